"""Scenarios out of ``efi_fake_mem=`` entries, and their trial on real machines."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import InputError, Interrupted
from harness.evidence.faking import entries as fakemem
from harness.evidence.faking.entries import FakeEntry
from harness.evidence.maps.efimap import EfiRegion
from harness.evidence.ranges import PAGE_BYTES, Range
from harness.fuzz.campaign import Found, Outcome
from harness.fuzz.entries import MIB, Entries
from harness.load.scenarios import Variant
from harness.model.causes import Status
from harness.model.scenario import Scenario
from harness.model.verdict import Verdict
from harness.record.observations import Observations
from harness.record.store import read_record
from harness.session.session import Session

FIRMWARE = "ovmf-x64"
_MEMORY = "3GiB"  # q35 has 2 GiB of it below 4 GiB and 1 GiB above
_EARLYCON = "earlycon=uart8250,io,0x3f8"
_HARMLESS = (FakeEntry(Range.sized(1 << 40, PAGE_BYTES), 0x8000),)
"""Beyond all memory of the guest: must change nothing."""
_SOFT_SURE_BYTES = 64 * MIB
"""With less, it may be that the EFI stub takes all of it for kernel and initrd, and nothing is Soft Reserved."""
_SCHEMA = "# yaml-language-server: $schema=../../harness/schema/scenario.schema.json\n"


def document(scenario_id: str, why: str, entries: Sequence[FakeEntry], *, soft: bool) -> dict[str, Any]:
    """A scenario that boots with these entries, as a document without its matrix."""
    expect: list[Any] = [{"fake_mem": "exact"}, *([{"soft_reserved": "exact"}] if soft else []), "no_crash"]
    return {
        "id": scenario_id,
        "why": why,
        "machine": {"memory": _MEMORY, "cpus": 1},
        "cmdline": [_EARLYCON, fakemem.cmdline_parameter(entries)],
        "steps": ["boot"],
        "expect": expect,
    }


def is_soft(regions: Sequence[EfiRegion], entries: Sequence[FakeEntry]) -> bool:
    """Is it sure that something will be Soft Reserved?"""
    return sum(where.size_bytes for where in fakemem.soft_reserved(regions, entries)) >= _SOFT_SURE_BYTES


@dataclass
class Bench:
    """Runs command lines on one kernel. Records of runs that held are removed; there would be hundreds."""

    session: Session
    kernel: str
    tell: Callable[[str], None]
    regions: tuple[EfiRegion, ...] = ()

    def survey(self) -> Verdict:
        """The first run: takes the firmware's map, and proves that the kernel has the option and the judge agrees.

        The verdict is a PASS, or says why nothing can be tried here.

        Raises:
            InputError, HostError, Interrupted: nothing can be run.
        """
        verdict = self._run("first run", "fuzz/first", _HARMLESS, soft=False)
        if verdict.status is Status.PASS:
            self.regions = Observations(read_record(Path(verdict.run_dir))).efi_map
            self._forget(verdict)
        return verdict

    def trial(self, which: str, entries: Entries) -> Outcome:
        """Run one command line and judge it.

        Raises:
            InputError, HostError, Interrupted: nothing can be run.
        """
        verdict = self._run(which, "fuzz/fake-mem", entries, soft=is_soft(self.regions, entries))
        if verdict.status is Status.FAIL:
            return Outcome.FAILS
        if verdict.status is Status.PASS:
            self._forget(verdict)
            return Outcome.HOLDS
        return Outcome.UNKNOWN

    def _run(self, which: str, scenario_id: str, entries: Entries, *, soft: bool) -> Verdict:
        data = document(scenario_id, "Made by harness fuzz.", entries, soft=soft)
        data.update(kernel=self.kernel, firmware_name=FIRMWARE)
        scenario = Scenario.model_validate_json(json.dumps(data))
        label = Path(self.kernel).name
        variant = Variant(f"{scenario_id}[{label},{FIRMWARE}]", scenario, "harness fuzz", 1)
        self.tell(f"{which}: {fakemem.cmdline_parameter(entries)}")
        verdicts = self.session.run((variant,))
        if not verdicts or self.session.interrupted:
            raise Interrupted("stopped on request")
        self.tell(f"{which}: {verdicts[0].status}: {verdicts[0].headline} ({verdicts[0].duration_s:.1f} s)")
        return verdicts[0]

    def _forget(self, verdict: Verdict) -> None:
        shutil.rmtree(verdict.run_dir, ignore_errors=True)


def write_scenario(
    directory: Path, found: Found, regions: Sequence[EfiRegion], *, kernel: str, seed: int
) -> tuple[Path, str]:
    """The smallest failing command line as a scenario file; the file and the scenario's id.

    Raises:
        InputError: the directory cannot be made or written.
    """
    name = f"found-{seed}-{found.run}"
    scenario_id = f"fake-mem/{name}"
    count = len(found.smallest)
    why = (
        f"Found by harness fuzz fake-mem --seed {seed}, in run {found.run} on {Path(kernel).name}, and made smaller: "
        f"{count} of {len(found.first)} entries. They must take effect, and the EFI memory map must be exact."
    )
    data = document(scenario_id, why, found.smallest, soft=is_soft(regions, found.smallest))
    ordered = {"id": data.pop("id"), "why": data.pop("why"), "refs": ["484a418d0754"]}
    ordered["matrix"] = {"kernel": [kernel], "firmware": [FIRMWARE]}
    ordered.update(data)
    # JSON is YAML, and has no surprises; one key a line, so that it can be read and edited.
    text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in ordered.items())
    path = directory / f"{name}.yaml"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        path.write_text(_SCHEMA + text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"--out {directory}: cannot be written ({error.strerror})") from error
    return path, scenario_id
