"""The diagnosis of a machine: what is here, what is missing, what can be tested and why the rest cannot. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.host.accel import AccelChoice
from harness.host.probe import Finding, Host
from harness.host.speed import HostSpeed


@dataclass(frozen=True)
class KernelState:
    """A kernel of the registry: ``fetched`` says what lies in the cache (a release), or is None."""

    name: str
    fetched: str | None


@dataclass(frozen=True)
class Gate:
    """A scenario variant; ``reason`` says why it cannot be tested here, or is None."""

    variant: str
    reason: str | None

    @property
    def possible(self) -> bool:
        return self.reason is None


@dataclass(frozen=True)
class Diagnosis:
    findings: tuple[Finding, ...]
    accel: AccelChoice | None
    """None when it could not be tried: QEMU or the firmware is missing."""
    speed: HostSpeed | None
    kernels: tuple[KernelState, ...]
    gates: tuple[Gate, ...]

    @property
    def ready(self) -> bool:
        """Is everything here that every run needs?"""
        return all(finding.ok for finding in self.findings if finding.required)

    @property
    def install(self) -> str:
        """One command that brings what packages can bring; empty when nothing is missing."""
        packages = sorted({finding.package for finding in self.findings if not finding.ok and finding.package})
        return f"apt-get install {' '.join(packages)}" if packages else ""


def diagnose(
    host: Host,
    *,
    accel: AccelChoice | None = None,
    speed: HostSpeed | None = None,
    kernels: Sequence[tuple[str, str | None]] = (),
    scenario_gates: Sequence[tuple[str, str | None]] = (),
) -> Diagnosis:
    """Put together what was found.

    ``kernels`` are (registry name, what was fetched or None), ``scenario_gates`` (variant id, reason or None). A gate
    is closed here too when something is missing that every run needs: a variant is not possible without QEMU.
    """
    lacking = ", ".join(finding.name for finding in host.findings if finding.required and not finding.ok)
    blocked = f"missing here: {lacking}" if lacking else None
    return Diagnosis(
        findings=host.findings,
        accel=accel,
        speed=speed,
        kernels=tuple(KernelState(name, fetched) for name, fetched in kernels),
        gates=tuple(Gate(variant, reason or blocked) for variant, reason in scenario_gates),
    )


def diagnosis_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """The diagnosis for ``harness doctor --json``."""
    accel, speed = diagnosis.accel, diagnosis.speed
    return {
        "format": 1,
        "ready": diagnosis.ready,
        "install": diagnosis.install,
        "findings": [asdict(finding) for finding in diagnosis.findings],
        "accelerator": {"name": accel.accel.value, "reason": accel.reason} if accel else None,
        "speed": asdict(speed) if speed else None,
        "kernels": [asdict(kernel) for kernel in diagnosis.kernels],
        "scenarios": [
            {"variant": gate.variant, "possible": gate.possible, "reason": gate.reason} for gate in diagnosis.gates
        ],
    }


def diagnosis_text(diagnosis: Diagnosis) -> str:
    """The diagnosis for people: lines of plain text, what is wrong with what to do about it below it."""
    lines = ["Machine"]
    width = max((len(finding.name) for finding in diagnosis.findings), default=0)
    for finding in diagnosis.findings:
        mark = "ok     " if finding.ok else "MISSING" if finding.required else "missing"
        lines.append(f"  {mark}  {finding.name:{width}}  {finding.seen}")
        if not finding.ok:
            lines.append(f"           {'':{width}}  needed for: {finding.needed_for}")
            lines.append(f"           {'':{width}}  try: {finding.hint}")
    lines += ["", "Accelerator", *_accelerator(diagnosis)]
    if diagnosis.kernels:
        width = max(len(kernel.name) for kernel in diagnosis.kernels)
        lines += ["", "Kernels"]
        lines += [f"  {kernel.name:{width}}  {kernel.fetched or 'not fetched'}" for kernel in diagnosis.kernels]
    if diagnosis.gates:
        possible = sum(gate.possible for gate in diagnosis.gates)
        lines += ["", f"Scenarios: {possible} of {len(diagnosis.gates)} variants can be tested here"]
        lines += [f"  {'yes' if gate.possible else 'no '}  {gate.variant}" + _because(gate) for gate in diagnosis.gates]
    lines += ["", _conclusion(diagnosis)]
    return "\n".join(lines) + "\n"


def _accelerator(diagnosis: Diagnosis) -> list[str]:
    if diagnosis.accel is None:
        return ["  not tried: QEMU or its firmware is missing"]
    lines = [f"  {diagnosis.accel.accel.value}: {diagnosis.accel.reason}"]
    if diagnosis.speed is not None:
        lines.append(f"  budgets x {diagnosis.speed.factor:g}: {diagnosis.speed.reason}")
    return lines


def _because(gate: Gate) -> str:
    return "" if gate.reason is None else f": {gate.reason}"


def _conclusion(diagnosis: Diagnosis) -> str:
    if diagnosis.ready and diagnosis.gates and not any(gate.possible for gate in diagnosis.gates):
        return "This machine is ready, but no scenario can be tested yet; the reasons are above."
    if diagnosis.ready and not diagnosis.install:
        return "Nothing is missing."
    if diagnosis.ready:
        return f"Ready; for the rest: {diagnosis.install}"
    return f"Not ready. {diagnosis.install or 'See the hints above.'}"
