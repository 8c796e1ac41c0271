"""Verdicts on a kdump: a real one passes, and each way to spoil it is a FAIL by its own cause."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from goldens import compare
from support.kdump_records import NAMES, PAGE, Kdump, without_note
from support.recorded import KDUMPS
from support.records import said

from harness.model.causes import Cause, Status
from harness.model.verdict import Verdict


@pytest.fixture
def raw(tmp_path: Path) -> Kdump:
    return Kdump("raw", tmp_path)


@pytest.fixture
def filtered(tmp_path: Path) -> Kdump:
    return Kdump("filtered", tmp_path)


def red(verdict: Verdict, cause: Cause, check: str) -> str:
    """The verdict is a FAIL of that cause, and this check says so; what it says."""
    assert (verdict.status, verdict.cause) == (Status.FAIL, cause), said(verdict)
    assert cause in [item.cause for item in verdict.checks if item.name == check], said(verdict)
    return said(verdict)


@pytest.mark.parametrize("name", NAMES)
def test_expected(name: str, tmp_path: Path) -> None:
    verdict = Kdump(name, tmp_path).judge(seal=False)
    found = {
        "run": name,
        "status": verdict.status,
        "cause": verdict.cause,
        "epoch": verdict.epoch,
        "checks": {check.name: [check.status, check.cause] for check in verdict.checks},
    }
    compare(KDUMPS / name / "expected.json", json.dumps(found, indent=1) + "\n")


def test_every_check_of_a_clean_dump_says_what_it_proves(raw: Kdump) -> None:
    verdict = raw.judge(seal=False)
    assert verdict.status is Status.PASS
    text = " ".join(check.summary for check in verdict.checks)
    for word in (
        "the vmcore complete after",
        "is inside 0x",
        "build id",
        "by the task hX",
        "return addresses",
        "pages",
    ):
        assert word in text


# The file


@pytest.mark.parametrize("kept", [10, 64, 500, 4096, 0.3, 0.5, 0.99])
def test_a_truncated_dump(raw: Kdump, kept: float) -> None:
    """Cut by the writer: the run itself believed it whole."""
    data = raw.file.read_bytes()
    raw.rewrite(data[: int(kept if kept > 1 else kept * len(data))])
    red(raw.judge(), Cause.VMCORE_INCOMPLETE, "kdump: file")


def test_an_empty_dump(raw: Kdump) -> None:
    raw.rewrite(b"")
    red(raw.judge(), Cause.VMCORE_CORRUPT, "kdump: file")


def test_less_than_was_written(raw: Kdump) -> None:
    """Nothing of the dump is missing, but something was behind it."""
    data = raw.file.read_bytes()
    raw.rewrite(data + b"more").rewrite(data, sealed=False)
    assert "were written" in red(raw.judge(), Cause.VMCORE_INCOMPLETE, "kdump: file")


@pytest.mark.parametrize("kept", [100, 5000, 0.5, 0.999])
def test_a_truncated_flattened_dump(filtered: Kdump, kept: float) -> None:
    data = filtered.file.read_bytes()
    verdict = filtered.rewrite(data[: int(kept if kept > 1 else kept * len(data))]).judge()
    red(verdict, Cause.VMCORE_INCOMPLETE, "kdump: file")


def test_no_dump_at_all(raw: Kdump) -> None:
    raw.file.unlink()
    red(raw.judge(), Cause.VMCORE_MISSING, "kdump: file")


def test_a_dump_that_nobody_kept(raw: Kdump) -> None:
    raw.drop(type="vmcore")
    red(raw.judge(), Cause.VMCORE_MISSING, "kdump: file")


def test_another_format_than_was_asked_for(raw: Kdump) -> None:
    raw.edit_plan(lambda plan: plan["scenario"]["steps"][-1]["capture"].update(filter=31))
    red(raw.judge(), Cause.VMCORE_CORRUPT, "kdump: file")


def test_noise_instead_of_a_dump(raw: Kdump) -> None:
    raw.rewrite(b"GIF89a" * 10000)
    red(raw.judge(), Cause.VMCORE_CORRUPT, "kdump: file")


# Its contents


@pytest.mark.parametrize("number", [0, 5, -1])
def test_one_page_flipped(raw: Kdump, number: int) -> None:
    address = raw.flip_page(number)
    text = red(raw.judge(), Cause.VMCORE_CORRUPT, "kdump: memory")
    assert f"{address:#x}" in text


def test_one_page_flipped_after_the_run_accuses_nobody(raw: Kdump) -> None:
    raw.flip_page(5, sealed=False)
    verdict = raw.judge()
    assert (verdict.status, verdict.cause) == (Status.ERROR, Cause.BAD_RECORD), said(verdict)


def test_the_dump_of_another_kernel(raw: Kdump) -> None:
    raw.edit_memory(b"OSRELEASE=6.1.192-tiny", b"OSRELEASE=6.1.193-tiny", count=-1)
    assert "6.1.193-tiny" in red(raw.judge(), Cause.VMCORE_FOREIGN, "kdump: origin")


def test_the_dump_of_another_build(raw: Kdump) -> None:
    raw.edit_memory(b"BUILD-ID=ef5", b"BUILD-ID=ef6", count=-1)
    assert "build id" in red(raw.judge(), Cause.VMCORE_FOREIGN, "kdump: origin")


def test_the_dump_of_another_run(raw: Kdump) -> None:
    """The same kernel, the same crash, another nonce; memory does not fit either, but that is not what it is."""
    nonce = raw.json("plan.json")["nonce"].encode()
    data = raw.file.read_bytes().replace(b"harness.nonce=" + nonce, b"harness.nonce=0badcafe")
    raw.rewrite(data.replace(b"hX" + nonce, b"hX0badcafe"))
    assert "0badcafe" in red(raw.judge(), Cause.VMCORE_FOREIGN, "kdump: origin")


def test_another_runs_task_crashed(raw: Kdump) -> None:
    nonce = raw.json("plan.json")["nonce"].encode()
    raw.edit_memory(b"hX" + nonce, b"hX0badcafe", count=-1)
    (raw.path / "vmcore-dmesg.txt").unlink()
    assert "hX0badcafe" in red(raw.judge(), Cause.VMCORE_FOREIGN, "kdump: crash")


def test_the_panic_of_another_cause(raw: Kdump) -> None:
    raw.edit_memory(
        b"panic - not syncing: sysrq triggered crash", b"panic - not syncing: Attempted to kill in!", count=-1
    )
    text = red(raw.judge(), Cause.WRONG_CRASH, "kdump: crash")
    assert "Attempted to kill" in text


def test_a_crash_before_the_injected_one(raw: Kdump) -> None:
    raw.edit_memory(b"sysrq: Trigger a crash", b"kernel BUG at foo.c:1!", count=-1)
    red(raw.judge(), Cause.WRONG_CRASH, "kdump: crash")


def test_another_task_crashed(raw: Kdump) -> None:
    nonce = raw.json("plan.json")["nonce"].encode()
    raw.edit_memory(b"Comm: hX" + nonce, b"Comm: kworker/01", count=-1)
    red(raw.judge(), Cause.WRONG_CRASH, "kdump: crash")


def test_a_log_that_the_capture_kernel_read_otherwise(raw: Kdump) -> None:
    raw.edit("vmcore-dmesg.txt", "Run /init as init process", "Run /sbin as init process")
    assert "makedumpfile read another log" in red(raw.judge(), Cause.VMCORE_CORRUPT, "kdump: crash")


def test_a_cpu_without_registers(raw: Kdump) -> None:
    raw.rewrite(without_note(raw.file.read_bytes(), b"CORE"))
    red(raw.judge(), Cause.CPU_NOTES, "kdump: cpus")


def test_another_number_of_cpus(raw: Kdump) -> None:
    raw.edit_plan(lambda plan: plan["scenario"]["machine"].update(cpus=2))
    assert "1 CPUs, the machine has 2" in red(raw.judge(), Cause.CPU_NOTES, "kdump: cpus")


def test_a_stack_of_nonsense(raw: Kdump) -> None:
    """The symbols are of a kernel whose code is elsewhere."""
    table = gzip.decompress((raw.path / "symbols.gz").read_bytes()).decode()
    moved = table.replace("sysrq", "other").replace("sys_rq", "other")
    (raw.path / "symbols.gz").write_bytes(gzip.compress(moved.encode()))
    red(raw.judge(), Cause.BACKTRACE, "kdump: stack")


# Memory


def test_memory_that_changed_after_the_panic(raw: Kdump) -> None:
    """A page of constants, which nothing may write to, was another one at the panic."""
    entry = raw.only(type="memory", point="capture")
    path = raw.path / entry["pages_file"]
    segment = raw.dump().segments[-1]
    data = raw.file.read_bytes()[segment.offset :][:PAGE]
    path.write_bytes(path.read_bytes() + (segment.physical // PAGE).to_bytes(8, "little") + b"\xff" * PAGE + data)
    raw.change({"changed": entry["changed"] + 1}, type="memory", point="capture")
    assert f"{segment.physical:#x}" in red(raw.judge(), Cause.MEMORY_CHANGED, "kdump: panic to capture")


def test_more_pages_changed_than_were_kept(raw: Kdump) -> None:
    raw.change({"changed": 70000}, type="memory", point="capture")
    red(raw.judge(), Cause.MEMORY_CHANGED, "kdump: panic to capture")


def test_a_dump_without_a_range_of_memory(raw: Kdump) -> None:
    entry = raw.only(type="memory", point="capture")
    ranges = [*entry["ranges"], [0x7FF00000, 0x7FF01000]]
    raw.change({"ranges": ranges}, type="memory", point="capture")
    name = raw.path / entry["digests_file"]
    name.write_bytes(name.read_bytes() + b"\1" * 8)
    assert "0x7ff00000-0x7ff00fff" in red(raw.judge(), Cause.VMCORE_RANGES, "kdump: ranges")


def test_a_dump_of_memory_that_was_none(raw: Kdump) -> None:
    entry = raw.only(type="memory", point="capture")
    name = raw.path / entry["digests_file"]
    name.write_bytes(name.read_bytes()[:-8])
    last = entry["ranges"][-1]
    ranges = [*entry["ranges"][:-1], *([[last[0], last[1] - PAGE]] if last[1] - last[0] > PAGE else [])]
    raw.change({"ranges": ranges}, type="memory", point="capture")
    red(raw.judge(), Cause.VMCORE_RANGES, "kdump: ranges")


@pytest.mark.parametrize("point", ["panic", "capture"])
def test_without_a_sample_nothing_is_proved(raw: Kdump, point: str) -> None:
    raw.drop(type="memory", point=point)
    verdict = raw.judge()
    assert (verdict.status, verdict.cause) == (Status.ERROR, Cause.MISSING_REPORT), said(verdict)


# The capture kernel


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


def test_the_capture_kernel_ends_half_way(raw: Kdump) -> None:
    """A reset while it copies: what is there of the dump is kept under another name, and is no dump."""
    entries = raw.entries
    place = next(number for number, entry in enumerate(entries) if entry.get("kind") == "progress")
    (vmcore,) = [entry for entry in entries if entry["type"] == "vmcore"]
    raw.file.rename(raw.path / "vmcore.incomplete")
    raw.entries = [*entries[: place + 1], {**vmcore, "file": "vmcore.incomplete"}]
    raw.edit_json("end.json", kind="reset", detail="the machine was reset", epoch=2, phase="capture kernel")
    text = red(raw.judge(), Cause.VMCORE_INCOMPLETE, "kdump: capture")
    assert "bytes were written of a /proc/vmcore of 3" in text


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


# What else must see that the crash is wanted


def test_no_crash_knows_the_injected_crash_from_another(raw: Kdump) -> None:
    raw.print(2, "BUG: kernel NULL pointer dereference, address: 0000000000000010")
    verdict = raw.judge()
    assert (verdict.status, verdict.cause, verdict.epoch) == (Status.FAIL, Cause.OOPS, 2), said(verdict)


# Filtered


def test_a_filter_of_another_level(filtered: Kdump) -> None:
    filtered.edit_plan(lambda plan: plan["scenario"]["steps"][-1]["capture"].update(filter=1))
    red(filtered.judge(), Cause.VMCORE_FILTER, "kdump: filter")


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("Excluded pages", "Existing pages", "left out nothing"),
        ("Free pages", "Free pictures", "free pages"),
    ],
)
def test_a_report_that_does_not_fit(filtered: Kdump, old: str, new: str, word: str) -> None:
    name = filtered.only(kind="captured")["body_file"]
    filtered.edit(name, old, new)
    assert word in red(filtered.judge(), Cause.VMCORE_FILTER, "kdump: filter")
