"""A plan whose QEMU is the fake one, and what a test may want to know of its record."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes.fake_guest import RELEASE
from firmware.test_varstore import volume
from kernel.build import bzimage

from harness.machine.feed import Feed
from harness.model.kernel import KernelImage
from harness.model.plan import Accel, Budgets, FirmwareFiles, Plan
from harness.model.record import EndKind, Entry, Phase, RunEnd
from harness.model.scenario import Scenario
from harness.model.verdict import Verdict
from harness.plan.planner import InitrdFile, Prepared, make_plan
from harness.record.store import read_record
from harness.session.runner import run_plan
from harness.session.session import judge_directory
from harness.stage.listener import Silent

FAKE = Path(__file__).parents[1] / "fakes" / "fake_qemu.py"
NONCE = "1a2b3c4d"
PATIENT = Budgets(firmware_s=20, boot_s=20, load_s=20, kexec_s=20, reply_s=20)
HASTY = Budgets(firmware_s=0.5, boot_s=0.5, load_s=0.5, kexec_s=0.5, reply_s=0.5)


@pytest.fixture(autouse=True)
def _nothing_left(nothing_left: None) -> None:
    """No test here leaves a process, a thread or an open file."""


def scenario(kexecs: int = 1, expect: Sequence[Any] = ("no_crash",), **more: Any) -> Scenario:
    document = {
        "id": "fake/run",
        "why": "The fake QEMU plays it.",
        "kernel": "fake",
        "firmware_name": "fake",
        "steps": ["boot", *[{"kexec": {"syscall": "file"}} for _ in range(kexecs)]],
        "expect": list(expect),
        **more,
    }
    return Scenario.model_validate_json(json.dumps(document))


@dataclass(frozen=True)
class Ran:
    """One run and its record, judged."""

    directory: Path
    plan: Plan
    end: RunEnd
    entries: tuple[Entry, ...]
    verdict: Verdict

    @property
    def console(self) -> str:
        return (self.directory / "console.log").read_bytes().decode()

    @property
    def phases(self) -> list[tuple[int, Phase]]:
        return [(entry.epoch, entry.phase) for entry in self.entries if entry.type == "phase"]

    def ended(self, kind: EndKind, phase: Phase, epoch: int) -> None:
        assert (self.end.kind, self.end.phase, self.end.epoch) == (kind, phase, epoch), self.end


@dataclass
class Stage:
    """Makes plans for the fake QEMU and runs them below ``root``."""

    root: Path
    monkeypatch: pytest.MonkeyPatch

    def kernel(self) -> KernelImage:
        image = self.root / "bzImage"
        image.write_bytes(bzimage(RELEASE))
        return KernelImage(
            name="fake",
            release=RELEASE,
            banner=RELEASE,
            image=image,
            sha256="0" * 64,
            size_bytes=image.stat().st_size,
            init_size_bytes=2**20,
            pref_address=2**24,
            alignment_bytes=2**21,
        )

    def prepared(self, epochs: int) -> Prepared:
        template, initrd = self.root / "VARS.fd", self.root / "initrd"
        template.write_bytes(volume())
        initrd.write_bytes(b"0707")
        return Prepared(
            kernels=[self.kernel()] * epochs,
            initrds=[InitrdFile(initrd, 4)] * epochs,
            firmware=FirmwareFiles(name="fake", code=template, vars_template=template, descriptor="fake"),
            agent=initrd,
            qemu=FAKE,
            qemu_version="fake",
            accel=Accel.TCG,
            accel_reason="fake",
            factor=1.0,
            tools={},
        )

    def plan(self, wanted: Scenario | None = None, budgets: Budgets = PATIENT) -> Plan:
        wanted = wanted or scenario()
        plan = make_plan(
            run_id="fake-run",
            nonce=NONCE,
            variant="fake/run[fake,fake]",
            scenario=wanted,
            scenario_file="fake.yaml",
            prepared=self.prepared(1 + len(wanted.kexecs)),
        )
        return plan.model_copy(update={"budgets": budgets})

    def play(self, script: dict[str, Any]) -> None:
        """The next QEMU plays this."""
        path = self.root / "script.json"
        path.write_text(json.dumps(script))
        self.monkeypatch.setenv("FAKE_QEMU", str(path))

    def run(
        self,
        script: dict[str, Any],
        plan: Plan | None = None,
        *,
        listener: Silent | None = None,
        watch_feed: Callable[[Feed], None] = lambda _feed: None,
    ) -> Ran:
        self.play(script)
        plan = plan or self.plan()
        directory = self.root / "run"
        end = run_plan(plan, directory, listener or Silent(), watch_feed=watch_feed)
        verdict = judge_directory(directory, (), lambda verdict, _plan: verdict.headline)
        record = read_record(directory)
        assert record.end is not None
        assert record.end.model_copy(update={"files": {}}) == end
        assert record.problems == ()
        assert (directory / "verdict.json").exists()
        return Ran(directory, plan, end, record.entries, verdict)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(tmp_path, monkeypatch)
