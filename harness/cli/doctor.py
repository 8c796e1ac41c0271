"""``harness doctor``: what is here, what is missing, which scenarios are possible."""

from __future__ import annotations

import argparse
import json
from contextlib import suppress
from dataclasses import replace

from harness.cache import Cache, default_cache
from harness.cli import setting
from harness.cli.exits import Exit
from harness.errors import HarnessError, HostError
from harness.firmware.descriptors import find_firmware
from harness.host import speed
from harness.host.accel import AUTO, choose_accel
from harness.host.doctor import diagnose, diagnosis_json, diagnosis_text
from harness.host.probe import Finding, Host, probe
from harness.kernel.registry import Registry, resolve, resolve_hypervisor
from harness.load.matrix import DEFAULT_FIRMWARE
from harness.load.scenarios import Variant, find_files, load_files
from harness.model.kernel import way_out
from harness.model.scenario import Scenario
from harness.plan.gate import refusal


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """``harness doctor``."""
    parser = commands.add_parser("doctor")
    parser.add_argument("--json", action="store_true", help="as JSON")
    setting.add_directories(parser)
    parser.set_defaults(action=doctor)


def doctor(options: argparse.Namespace) -> Exit:
    """Look at this machine; exit 3 when no scenario can run here."""
    cache = default_cache()
    host = probe(cache.root)
    accel = pace = None
    try:
        firmware = find_firmware(DEFAULT_FIRMWARE)
    except HostError as error:
        host = _without_firmware(host, error)
    else:
        with suppress(HostError):  # QEMU is missing: the findings say so
            accel = choose_accel(AUTO, host=host, firmware=firmware, cache=cache)
            pace = speed.speed_now(speed.calibrate(host, firmware, cache), host)
    registry = setting.places(options).registry()
    variants = load_files(find_files(setting.places(options).scenarios))
    diagnosis = diagnose(
        host,
        accel=accel,
        speed=pace,
        kernels=[(name, _release(name, registry, cache)) for name in registry.names],
        scenario_gates=[
            (variant.id, missing_program(variant.scenario, host) or _gate(variant, registry, cache))
            for variant in variants
        ],
    )
    if options.json:
        print(json.dumps(diagnosis_json(diagnosis), indent=1))
    else:
        print(diagnosis_text(diagnosis), end="")
    return Exit.OK if diagnosis.ready else Exit.ERROR


def _without_firmware(host: Host, error: HostError) -> Host:
    """There may be firmware for this machine that does not do: the same words then as from ``harness run``."""

    def told(finding: Finding) -> Finding:
        if finding.name != "firmware":
            return finding
        return replace(finding, ok=False, seen=error.message, hint=error.hint)

    return replace(host, findings=tuple(told(finding) for finding in host.findings))


def _release(name: str, registry: Registry, cache: Cache) -> str | None:
    try:
        return resolve(name, registry, cache, offline=True).release
    except HarnessError:
        return None


def missing_program(scenario: Scenario, host: Host) -> str | None:
    """The program that this scenario needs, others do not, and that is not here; with the way out."""
    if scenario.machine.tpm is None or "swtpm" in host.tools:
        return None
    return f"swtpm is not installed ({host.finding('swtpm').hint})"


def _gate(variant: Variant, registry: Registry, cache: Cache) -> str | None:
    """Why a variant cannot be tested here, or None."""
    try:
        kernels = [resolve(ref, registry, cache, offline=True) for ref in variant.scenario.kernels]
        if variant.scenario.hypervisor is not None:
            resolve_hypervisor(variant.scenario.hypervisor.name, registry, cache, offline=True)
    except HarnessError as error:
        return f"{error.message} ({error.hint})" if error.hint else error.message
    found = refusal(variant.scenario, kernels)
    if found is None:
        return None
    return f"{found.kernel} lacks {found.capability}: {found.reason}. {way_out(found.capability)}"
