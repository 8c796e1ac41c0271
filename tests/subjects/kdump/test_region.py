"""The capture kernel and its region."""

from __future__ import annotations

import pytest
from support.kdump_records import Kdump, red
from support.verdicts import said
from support.words import Told

from harness.model.causes import Cause, Status
from harness.model.verdict import Verdict


def test_a_capture_kernel_outside_of_its_region(raw: Kdump) -> None:
    iomem = raw.fact_file(2, "iomem")
    text = raw.read(iomem)
    (raw.path / iomem).write_text(text + "20000000-20ffffff : System RAM\n")
    assert "0x20000000-0x20ffffff" in red(raw.judge(), Cause.CAPTURE_MISPLACED, "kdump: region")


def test_a_second_kernel_that_is_no_capture_kernel(raw: Kdump) -> None:
    name = raw.fact_file(2, "cmdline")
    (raw.path / name).write_text(raw.read(name).partition(" elfcorehdr=")[0] + "\n")
    red(raw.judge(), Cause.CAPTURE_FAILED, "kdump: region")


def cmdline(raw: Kdump, old: str, new: str) -> Verdict:
    name = raw.fact_file(2, "cmdline")
    assert old in raw.read(name)
    (raw.path / name).write_text(raw.read(name).replace(old, new))
    return raw.judge()


def test_what_kexec_tools_adds_to_the_command_line(raw: Kdump) -> None:
    assert cmdline(raw, " elfcorehdr=", " acpi_rsdp=0x1f77d014 elfcorehdr=").status is Status.PASS


@pytest.mark.parametrize("added", [" acpi_rsdp=0x1 quiet elfcorehdr=", " memmap=1G elfcorehdr="])
def test_what_nobody_planned_on_the_command_line(raw: Kdump, added: str) -> None:
    verdict = cmdline(raw, " elfcorehdr=", added)
    assert (verdict.status, verdict.cause) == (Status.ERROR, Cause.SETUP_NOT_PROVED), said(verdict)


def test_a_trigger_without_effect_accuses_nobody(raw: Kdump) -> None:
    entries = raw.entries
    place = next(n for n, entry in enumerate(entries) if entry["type"] == "phase" and entry["epoch"] == 2)
    raw.file.unlink()
    raw.entries = entries[:place]
    raw.edit_json("end.json", kind="guest-error", detail="crash: sysrq had no effect", epoch=1, phase="crashed")
    verdict = raw.judge()
    assert (verdict.status, verdict.cause) == (Status.ERROR, Cause.GUEST_ERROR), said(verdict)


def test_the_capture_kernel_ends_half_way(raw: Kdump, told: Told) -> None:
    """A reset while it copies: what is there of the dump is kept under another name, and is no dump."""
    entries = raw.entries
    place = next(number for number, entry in enumerate(entries) if entry.get("kind") == "progress")
    (vmcore,) = [entry for entry in entries if entry["type"] == "vmcore"]
    raw.file.rename(raw.path / "vmcore.incomplete")
    raw.entries = [*entries[: place + 1], {**vmcore, "file": "vmcore.incomplete"}]
    raw.edit_json("end.json", kind="reset", detail="the machine was reset", epoch=2, phase="capture kernel")
    red(told(raw.judge()), Cause.VMCORE_INCOMPLETE, "kdump: capture")


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("Out of memory: Killed process 1 (init)", Cause.CAPTURE_OUT_OF_MEMORY),
        ("Kernel panic - not syncing: System is deadlocked on memory", Cause.CAPTURE_OUT_OF_MEMORY),
        ("nothing special", Cause.CAPTURE_FAILED),
    ],
)
def test_a_capture_kernel_that_does_not_come_up(raw: Kdump, line: str, cause: Cause) -> None:
    raw.print(2, line)
    entries = raw.entries
    place = next(n for n, entry in enumerate(entries) if entry.get("kind") == "hello" and entry["epoch"] == 2)
    raw.file.unlink()
    raw.entries = entries[:place]
    raw.edit_json("end.json", kind="timeout", detail="no 'hello' report", epoch=2, phase="capture kernel")
    red(raw.judge(), cause, "kdump: capture")


def test_no_capture_kernel_at_all(raw: Kdump) -> None:
    entries = raw.entries
    place = next(n for n, entry in enumerate(entries) if entry["type"] == "phase" and entry["epoch"] == 2)
    raw.file.unlink()
    raw.entries = entries[:place]
    raw.edit_json("end.json", kind="timeout", detail="no first line", epoch=1, phase="crashed")
    red(raw.judge(), Cause.CAPTURE_FAILED, "kdump: capture")


def test_a_region_that_is_gone(raw: Kdump) -> None:
    iomem = raw.fact_file(1, "iomem")
    (raw.path / iomem).write_text("".join(row for row in raw.read(iomem).splitlines(True) if "Crash kernel" not in row))
    entries = raw.entries
    place = next(n for n, entry in enumerate(entries) if entry.get("kind") == "loaded")
    raw.file.unlink()
    raw.entries = entries[: place + 1]
    raw.change({"fields": {"rc": "22"}}, kind="loaded")
    raw.edit_json("end.json", kind="guest-error", detail="kexec could not load", epoch=1, phase="kexec load")
    red(raw.judge(), Cause.CRASH_REGION_LOST, "kdump: capture")
