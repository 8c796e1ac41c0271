"""Each thing that can be wrong with a run gives its own verdict: the judge is seen to go red, for the right reason."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from support.records import Copy, Edit, said

from harness.model.causes import Cause, Status
from harness.model.record import EndKind
from harness.model.verdict import Verdict

CopyOf = Callable[[str], Copy]
FAIL, ERROR, UNSUPPORTED = Status.FAIL, Status.ERROR, Status.UNSUPPORTED
PASSED = "esrt-kexec-file"


def verdict_is(verdict: Verdict, status: Status, cause: Cause, epoch: int, *words: str) -> None:
    seen = f"{verdict.status} {verdict.cause} epoch {verdict.epoch}\n{said(verdict)}"
    assert (verdict.status, verdict.cause, verdict.epoch) == (status, cause, epoch), seen
    for word in words:
        assert word in seen, f"{word!r} is not in:\n{seen}"


# Bytes in memory


@pytest.mark.parametrize(
    ("sample", "epoch", "why"),
    [
        ("1-up", 1, "while the kernel of epoch 1 was running"),
        ("1-loaded", 1, "while the kernel of epoch 1 was running"),
        ("2-up", 2, "kexec_file_load in epoch 1: none of its 4 segments covers it"),
        ("2-loaded", 2, "while the kernel of epoch 2 was running"),
        ("3-up", 3, "kexec_file_load in epoch 2: none of its 4 segments covers it"),
    ],
)
@pytest.mark.parametrize("offset", [0x100, 0x187], ids=["first", "last"])
def test_one_flipped_byte(copy_of: CopyOf, sample: str, epoch: int, why: str, offset: int) -> None:
    file = f"samples/{sample}-esrt.bin"
    verdict = copy_of(PASSED).flip(file, offset).judge()
    address = 0x39FFF000 + offset
    verdict_is(
        verdict,
        FAIL,
        Cause.ESRT_CORRUPT,
        epoch,
        "the ESRT at 0x39fff100 was overwritten",
        f"1 of 136 bytes differ; the first at {address:#x}",
        f"{file} against samples/0-handoff-esrt.bin",
        why,
    )


@pytest.mark.parametrize("offset", [0, 0xFF, 0x188, 0xFFF])
def test_flipped_canary(copy_of: CopyOf, offset: int) -> None:
    verdict = copy_of(PASSED).flip("samples/2-up-esrt.bin", offset).judge()
    verdict_is(
        verdict,
        FAIL,
        Cause.CANARY_DAMAGED,
        2,
        "the ESRT itself is intact",
        f"canary damaged at {0x39FFF000 + offset:#x}",
        "samples/2-up-esrt.bin",
    )


def test_canary_under_a_segment(copy_of: CopyOf) -> None:
    """A segment that ends between the canary and the table is named, although it does not cover the table."""
    copy = copy_of("esrt-kexec-load-6.1").heal("samples/2-up-esrt.bin").flip("samples/2-up-esrt.bin", 0)
    loaded = str(copy.only(kind="loaded")["body_file"])
    copy.edit(loaded, "memsz = 0x2cc8000", "memsz = 0x16c7080")
    verdict_is(copy.judge(), FAIL, Cause.CANARY_DAMAGED, 2, "put segment[3]", f"@{loaded}")


def test_bgrt_image(copy_of: CopyOf) -> None:
    verdict = copy_of("bgrt-kexec-load").flip("samples/1-up-bgrt.bin", 5).judge()
    verdict_is(verdict, FAIL, Cause.BGRT_CORRUPT, 1, "BGRT image at 0x3e521018", "the first at 0x3e52101d")


@pytest.mark.parametrize("offset", [0x100, 0], ids=["table", "canary"])
def test_wrong_at_the_handoff_is_no_verdict_on_the_kernel(copy_of: CopyOf, offset: int) -> None:
    verdict = copy_of(PASSED).flip("samples/0-handoff-esrt.bin", offset).judge()
    verdict_is(verdict, ERROR, Cause.SETUP_NOT_PROVED, 3, "hand-off")


# Files of the record

SAMPLE = "samples/2-up-esrt.bin"


def _truncated(name: str) -> Edit:
    def edit(copy: Copy) -> None:
        path = copy.path / name
        path.write_bytes(path.read_bytes()[:-1])

    return edit


DAMAGED_FILES: dict[str, tuple[Edit, str]] = {
    "missing": (lambda copy: (copy.path / SAMPLE).unlink(), f"{SAMPLE}: No such file"),
    "truncated": (_truncated(SAMPLE), f"{SAMPLE}: 4095 bytes, 4096 were sampled"),
    "other-bytes": (lambda copy: copy.flip(SAMPLE, 0x100, noted=False), f"{SAMPLE}: its SHA-256"),
    "other-place": (
        lambda copy: copy.change({"address": 0x1000}, type="sample", file=SAMPLE),
        f"{SAMPLE}: not a sample of 0x39fff000-0x39ffffff",
    ),
    "outside": (
        lambda copy: copy.change({"file": "../../etc/passwd"}, type="sample", file=SAMPLE),
        "../../etc/passwd: points outside the run directory",
    ),
    "end-is-no-json": (_truncated("end.json"), "end.json: does not say how a run ended"),
    "journal-line": (
        lambda copy: copy.edit("journal.jsonl", '"phase": "agent"', "X"),
        "journal.jsonl:5: not a journal",
    ),
}


@pytest.mark.parametrize("case", DAMAGED_FILES)
def test_damaged_file(copy_of: CopyOf, case: str) -> None:
    edit, words = DAMAGED_FILES[case]
    copy = copy_of(PASSED)
    copy.entries = copy.entries  # the journal in the tests' own form
    copy.seal()
    (copy.path / "end.json").write_text(copy.read("end.json").rstrip())
    edit(copy)
    if case != "end-is-no-json":
        copy.seal()
    verdict = copy.judge(seal=False)
    verdict_is(verdict, ERROR, Cause.BAD_RECORD, verdict.epoch, words)


def test_no_end(copy_of: CopyOf) -> None:
    copy = copy_of(PASSED)
    (copy.path / "end.json").unlink()
    verdict_is(copy.judge(seal=False), ERROR, Cause.BAD_RECORD, 0, "no end.json: the harness was killed")


def test_killed_harness_keeps_a_fail_that_was_seen(copy_of: CopyOf) -> None:
    copy = copy_of("esrt-kexec-load-6.1")
    (copy.path / "end.json").unlink()
    verdict_is(copy.judge(seal=False), FAIL, Cause.ESRT_CORRUPT, 2)


# Identity


def _hello(number: int, **fields: str) -> Edit:
    return lambda copy: copy.change({"fields": fields}, type="frame", kind="hello", epoch=number)


def _boot_id(copy: Copy, epoch: int) -> str:
    return str(copy.only(kind="hello", epoch=epoch)["fields"]["boot_id"])


def _second_hello(copy: Copy) -> None:
    hello = copy.only(kind="hello", epoch=2)
    again = {**hello, "fields": {**hello["fields"], "boot_id": "11111111-2222-3333-4444-555555555555"}}
    entries = copy.entries
    entries.insert(entries.index(hello) + 1, again)
    copy.entries = entries


IDENTITIES: dict[str, tuple[Edit, Status, Cause, str]] = {
    "same-boot-id": (
        lambda copy: copy.change({"fields": {"boot_id": _boot_id(copy, 1)}}, kind="hello", epoch=2),
        FAIL,
        Cause.OLD_KERNEL,
        "epoch 2: it is the kernel of epoch 1 again: the boot id is the same",
    ),
    "old-epoch-number": (_hello(2, epoch="1"), FAIL, Cause.OLD_KERNEL, "epoch 2: its command line says epoch 1"),
    "other-release": (
        _hello(2, release="6.1.0-55-amd64"),
        FAIL,
        Cause.WRONG_KERNEL,
        "epoch 2: 6.1.0-55-amd64 is running, planned was 6.1.0-56-cloud-amd64",
    ),
    "other-build": (
        lambda copy: copy.edit(str(copy.only(kind="hello", epoch=2)["body_file"]), "2026-11-16", "2026-11-15"),
        FAIL,
        Cause.WRONG_KERNEL,
        "epoch 2: another build is running",
    ),
    "not-by-kexec": (_hello(2, loader="0x21"), FAIL, Cause.OLD_KERNEL, "type_of_loader is 0x21: a kexec did not"),
    "booted-twice": (_second_hello, FAIL, Cause.BOOT_LOOP, "epoch 2: it booted twice"),
    "cmdline": (
        lambda copy: copy.edit(copy.fact_file(2, "cmdline"), "panic=0", "panic=1"),
        ERROR,
        Cause.SETUP_NOT_PROVED,
        "panic=1",
    ),
    "hello-gone": (
        lambda copy: copy.drop(kind="hello", epoch=2),
        ERROR,
        Cause.MISSING_REPORT,
        "epoch 2: its guest agent never reported",
    ),
    "hello-lacks-boot-id": (_hello(2, boot_id=""), ERROR, Cause.MISSING_REPORT, "epoch 2: its report lacks boot_id"),
    "cmdline-gone": (
        lambda copy: copy.drop(kind="fact", epoch=2, name="cmdline"),
        ERROR,
        Cause.MISSING_REPORT,
        "epoch 2: it did not report /proc/cmdline",
    ),
    "up-gone": (
        lambda copy: copy.drop(kind="up", epoch=2),
        ERROR,
        Cause.MISSING_REPORT,
        "epoch 2: its guest agent never said that it was done",
    ),
}


@pytest.mark.parametrize("case", IDENTITIES)
def test_identity(copy_of: CopyOf, case: str) -> None:
    edit, status, cause, words = IDENTITIES[case]
    copy = copy_of(PASSED)
    edit(copy)
    verdict_is(copy.judge(), status, cause, 2, words)


def test_first_kernel_by_a_kexec(copy_of: CopyOf) -> None:
    copy = copy_of(PASSED)
    _hello(1, loader="0xd0")(copy)
    verdict_is(copy.judge(), FAIL, Cause.OLD_KERNEL, 1, "a kexec started it, not the EFI agent")


def test_last_epoch_never_reported(copy_of: CopyOf) -> None:
    """A journal that says complete, and holds only two of three epochs."""
    copy = copy_of("esrt-no-table")
    copy.drop(kind="hello", epoch=1)
    verdict_is(copy.judge(), ERROR, Cause.MISSING_REPORT, 1)


# What the kernels show


def test_esrt_fact_gone(copy_of: CopyOf) -> None:
    verdict = copy_of(PASSED).drop(kind="fact", name="esrt", epoch=2).judge()
    verdict_is(verdict, ERROR, Cause.MISSING_REPORT, 2, "the guest of epoch 2 did not report")


def test_acpi_bgrt_fact_gone(copy_of: CopyOf) -> None:
    verdict = copy_of("bgrt-kexec-load").heal("samples/2-up-bgrt.bin").drop(name="acpi-bgrt", epoch=1).judge()
    verdict_is(verdict, ERROR, Cause.MISSING_REPORT, 1, "(acpi-bgrt)")


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_sysfs_shows_something_else(copy_of: CopyOf, epoch: int) -> None:
    copy = copy_of(PASSED)
    file = copy.fact_file(epoch, "esrt")
    copy.edit(file, "entry1/fw_version=65537", "entry1/fw_version=65538")
    verdict_is(
        copy.judge(), FAIL, Cause.TABLE_REFUSED, epoch, "entry1/fw_version is 65538 in sysfs, 65537 in the table", file
    )


def test_sysfs_shows_nothing(copy_of: CopyOf) -> None:
    copy = copy_of(PASSED)
    (copy.path / copy.fact_file(3, "esrt")).write_text("absent\n")
    number = copy.print(3, "esrt: ESRT header is not in the memory map.")
    verdict_is(
        copy.judge(),
        FAIL,
        Cause.TABLE_REFUSED,
        3,
        "the kernel shows no ESRT",
        f"console.log:{number}",
        "not in the mem",
    )


def test_sysfs_shows_nothing_on_a_kernel_of_unknown_configuration(copy_of: CopyOf) -> None:
    """A bzImage without its .config may be built without CONFIG_EFI_ESRT: that is not the kernel's fault."""
    copy = copy_of("esrt-runtime-data")
    for epoch in (1, 2, 3):
        (copy.path / copy.fact_file(epoch, "esrt")).write_text("absent\n")
    console = copy.path / "console.log"
    console.write_bytes(console.read_bytes().replace(b"esrt: ", b"xxxx: "))
    verdict_is(copy.judge(), FAIL, Cause.TABLE_REFUSED, 1)
    plan = copy.json("plan.json")
    for planned in plan["epochs"]:
        planned["kernel"]["config"] = None
    copy.edit_json("plan.json", epochs=plan["epochs"])
    verdict_is(copy.judge(), UNSUPPORTED, Cause.NO_CAPABILITY, 1, "its configuration is unknown")


def test_bgrt_moved(copy_of: CopyOf) -> None:
    copy = copy_of("bgrt-kexec-load").heal("samples/2-up-bgrt.bin")
    path = copy.path / copy.fact_file(2, "acpi-bgrt")
    data = bytearray(path.read_bytes())
    data[40] ^= 0x10  # the image's address,
    data[9] = (data[9] - (data[40] - (data[40] ^ 0x10))) % 256  # and the checksum that goes with it
    path.write_bytes(data)
    verdict_is(copy.judge(), FAIL, Cause.TABLE_REFUSED, 2, "the image is at 0x3e521008", "it was at 0x3e521018")


# Set-up


def _memory_type(copy: Copy) -> None:
    path = copy.path / str(copy.only(kind="memmap")["body_file"])
    data = bytearray(path.read_bytes())
    for offset in range(0, len(data), 48):
        start, _, pages = struct.unpack_from("<QQQ", data, offset + 8)
        if start <= 0x39FFF000 < start + pages * 4096:
            struct.pack_into("<I", data, offset, 2)
    path.write_bytes(data)


def _without_guid(copy: Copy) -> None:
    name = str(copy.only(kind="systab")["body_file"])
    lines = copy.read(name).splitlines(keepends=True)
    (copy.path / name).write_text("".join(line for line in lines if not line.startswith("b122a263")))


def _plan_table(**values: object) -> Edit:
    def edit(copy: Copy) -> None:
        tables = copy.json("plan.json")["tables"]
        copy.edit_json("plan.json", tables=[{**tables[0], **values}])

    return edit


SETUPS: dict[str, tuple[Edit, Cause, str]] = {
    "memory-type": (_memory_type, Cause.SETUP_NOT_PROVED, "as LoaderData, planned was BootServicesData"),
    "no-guid": (_without_guid, Cause.SETUP_NOT_PROVED, "the system table does not list its GUID b122a263"),
    "other-address": (
        lambda copy: copy.edit(str(copy.only(kind="systab")["body_file"]), "0x39fff100", "0x39ffe100"),
        Cause.SETUP_NOT_PROVED,
        "the system table has it at 0x39ffe100, but 0x39fff100 was sampled",
    ),
    "not-below": (_plan_table(below=0x39FFF000), Cause.SETUP_NOT_PROVED, "not below 0x39fff000"),
    "not-at": (_plan_table(below=None, at=0x39FFE000), Cause.SETUP_NOT_PROVED, "not at 0x39ffe000"),
    "no-systab": (lambda copy: copy.drop(kind="systab"), Cause.MISSING_REPORT, "did not report the system table"),
    "no-memmap": (lambda copy: copy.drop(kind="memmap"), Cause.MISSING_REPORT, "memory map is missing"),
    "no-handoff": (lambda copy: copy.drop(kind="handoff"), Cause.MISSING_REPORT, "never reported the hand-off"),
    "no-sample": (
        lambda copy: copy.drop(type="sample", point="handoff"),
        Cause.MISSING_REPORT,
        "it was never read back from outside",
    ),
    "other-syscall": (
        lambda copy: copy.change({"fields": {"syscall": "load"}}, kind="loaded", epoch=2),
        Cause.SETUP_NOT_PROVED,
        "the guest of epoch 2 says that it loaded by 'load', planned was file",
    ),
}


@pytest.mark.parametrize("case", SETUPS)
def test_setup(copy_of: CopyOf, case: str) -> None:
    edit, cause, words = SETUPS[case]
    copy = copy_of(PASSED)
    edit(copy)
    verdict_is(copy.judge(), ERROR, cause, 3, words)


def test_unknown_parameter(copy_of: CopyOf) -> None:
    copy = copy_of("kexec-add-efi-memmap")
    number = copy.print(1, 'Unknown kernel command line parameters "add_efi_memmap x=1", will be passed to user space.')
    verdict_is(
        copy.judge(),
        UNSUPPORTED,
        Cause.NO_CAPABILITY,
        2,
        "does not know its parameter add_efi_memmap",
        f"unknown to the kernel of epoch 1 @console.log:{number}",
    )


def test_another_unknown_parameter_is_nobodys_business(copy_of: CopyOf) -> None:
    copy = copy_of("kexec-add-efi-memmap")
    copy.print(1, 'Unknown kernel command line parameters "nonsense", will be passed to user space.')
    assert copy.judge().status is Status.PASS


# Does the run prove anything?


def _off_the_table(copy: Copy) -> None:
    """Kernel and initrd where neither model nor kernel would have put them."""
    for epoch in (1, 2):
        copy.edit(copy.fact_file(epoch, "kexec-klog"), "0x33f38000", "0x23f38000")


OVERLAPS: dict[str, tuple[str, Edit, str]] = {
    "elsewhere": (PASSED, _off_the_table, "no placement rule of the model puts"),
    "klog-gone": (
        PASSED,
        lambda copy: copy.drop(kind="fact", name="kexec-klog", epoch=1),
        "the kernel (it needs DYNAMIC_DEBUG for that) did not show its segments",
    ),
    "klog-empty": (
        PASSED,
        lambda copy: (copy.path / copy.fact_file(1, "kexec-klog")).write_bytes(b""),
        "did not show its segments",
    ),
    "iomem-gone": (
        PASSED,
        lambda copy: copy.drop(kind="fact", name="iomem", epoch=1),
        "/proc/iomem of epoch 1 is missing or cannot be read",
    ),
    "tool-says-nothing": (
        "kexec-add-efi-memmap",
        lambda copy: (copy.path / str(copy.only(kind="loaded", epoch=1)["body_file"])).write_bytes(b"\n"),
        "kexec-tools did not show its segments",
    ),
}


@pytest.mark.parametrize("case", OVERLAPS)
def test_no_overlap(copy_of: CopyOf, case: str) -> None:
    name, edit, words = OVERLAPS[case]
    copy = copy_of(name)
    edit(copy)
    verdict_is(copy.judge(), ERROR, Cause.NO_OVERLAP, 1, "proves nothing about the ESRT at 0x39fff100", words)


def test_segments_moved_off_an_intact_table(copy_of: CopyOf) -> None:
    """kexec_load with its initrd below the table: the table is intact, and that proves nothing."""
    copy = copy_of("esrt-kexec-load-6.1").heal("samples/2-up-esrt.bin")
    copy.edit(str(copy.only(kind="loaded")["body_file"]), "0x38938000", "0x30938000")
    (copy.path / copy.fact_file(2, "esrt")).write_text(copy.read(copy.fact_file(1, "esrt")))
    verdict_is(copy.judge(), ERROR, Cause.NO_OVERLAP, 1)


def test_memory_that_is_never_ram(copy_of: CopyOf) -> None:
    """In EfiRuntimeServicesData no segment could ever come near the table: the control must not claim that."""
    copy = copy_of("esrt-runtime-data")
    plan = copy.json("plan.json")
    plan["scenario"]["expect"].append({"kexec_would_overlap": "esrt"})
    copy.edit_json("plan.json", scenario=plan["scenario"])
    verdict_is(
        copy.judge(),
        ERROR,
        Cause.NO_OVERLAP,
        1,
        "its memory (RuntimeServicesData) is no System RAM even without a reservation",
    )


@pytest.mark.parametrize(
    "edit",
    [
        lambda copy: copy.drop(kind="loaded", epoch=2),
        lambda copy: copy.change({"fields": {"rc": "1"}}, kind="loaded", epoch=2),
    ],
    ids=["gone", "failed"],
)
def test_one_kexec_of_two_is_known(copy_of: CopyOf, edit: Edit) -> None:
    copy = copy_of(PASSED)
    edit(copy)
    verdict_is(copy.judge(), ERROR, Cause.MISSING_REPORT, 3, "1 of 2 kexecs are known to have been loaded")


@pytest.mark.parametrize(("epoch", "point"), [(1, "up"), (1, "loaded"), (2, "up"), (2, "loaded"), (3, "up")])
def test_border_not_sampled(copy_of: CopyOf, epoch: int, point: str) -> None:
    verdict = copy_of(PASSED).drop(type="sample", epoch=epoch, point=point).judge()
    verdict_is(verdict, ERROR, Cause.MISSING_REPORT, 3, f"nothing from epoch {epoch} ({point})")


def test_epoch_that_was_not_up_is_not_passed_over(copy_of: CopyOf) -> None:
    """The table's own check says so too, and still looks at the epochs after it."""
    copy = copy_of(PASSED).drop(kind="up", epoch=1)
    table = next(check for check in copy.judge().checks if check.name == "table_intact: esrt")
    assert (table.status, table.cause) == (ERROR, Cause.MISSING_REPORT)
    assert "nothing from epoch 1 (no report)" in table.summary
    copy.edit(copy.fact_file(3, "esrt"), "entry1/fw_version=65537", "entry1/fw_version=65538")
    verdict_is(copy.judge(), FAIL, Cause.TABLE_REFUSED, 3)


# No table


def test_no_table_without_a_reason(copy_of: CopyOf) -> None:
    """UNSUPPORTED needs its reason; a sample that went missing is no missing table."""
    verdict = copy_of("esrt-no-table").drop(type="note").judge()
    verdict_is(verdict, ERROR, Cause.MISSING_REPORT, 1, "was not sampled at the hand-off")


def test_no_table_without_systab(copy_of: CopyOf) -> None:
    verdict = copy_of("esrt-no-table").drop(kind="systab").judge()
    verdict_is(verdict, ERROR, Cause.MISSING_REPORT, 1, "did not report the configuration tables")


# The console

OOPS = "BUG: kernel NULL pointer dereference, address: 0000000000000010"
PANIC = "Kernel panic - not syncing: Fatal exception"


@pytest.mark.parametrize("epoch", [1, 2, 3])
@pytest.mark.parametrize(
    ("text", "cause", "title"),
    [
        (PANIC, Cause.PANIC, "kernel panic: Fatal exception"),
        (OOPS, Cause.OOPS, "BUG: unable to handle kernel NULL pointer dereference"),
        ("kernel BUG at mm/slub.c:435!", Cause.OOPS, "kernel BUG"),
        ("BUG: something new", Cause.OOPS, "BUG: something new"),
        (
            f"{OOPS}\nRIP: 0010:efi_esrt_init+0x12/0x340\n{PANIC}",
            Cause.PANIC,
            "NULL pointer dereference in efi_esrt_init, then kernel panic: Fatal exception",
        ),
    ],
    ids=["panic", "oops", "bug-at", "bug", "oops-then-panic"],
)
def test_crash(copy_of: CopyOf, epoch: int, text: str, cause: Cause, title: str) -> None:
    copy = copy_of(PASSED)
    number = copy.print(epoch, text)
    verdict_is(
        copy.judge(), FAIL, cause, epoch, f"{title} (epoch {epoch})", f"{text.splitlines()[0]} @console.log:{number}"
    )


def test_a_warning_is_no_crash(copy_of: CopyOf) -> None:
    copy = copy_of(PASSED)
    number = copy.print(2, "WARNING: CPU: 0 PID: 1 at kernel/fork.c:1 foo+0x1/0x2")
    verdict = copy.judge()
    assert verdict.status is Status.PASS
    assert [item.where for check in verdict.checks for item in check.evidence if "not counted" in item.text] == [
        f"console.log:{number}"
    ]


def test_silent_epoch(copy_of: CopyOf) -> None:
    copy = copy_of(PASSED)
    entries = copy.entries
    ends = [entry["console_offset"] for entry in entries if entry["type"] == "phase" and entry["epoch"] == 2]
    console = copy.path / "console.log"
    console.write_bytes(console.read_bytes()[: ends[0]])
    verdict_is(copy.judge(), ERROR, Cause.NO_CONSOLE, 2, "the kernel of epoch 2 printed nothing")


# Ends

ENDS: dict[str, tuple[Edit, Status, Cause, int, str]] = {
    "panic": (lambda c: c.end_at(2, "userspace", "panic"), FAIL, Cause.SILENT_PANIC, 2, "what the runner saw"),
    "boot-loop": (lambda c: c.end_at(2, "kernel", "boot-loop"), FAIL, Cause.BOOT_LOOP, 2, "what the runner saw"),
    "halted": (lambda c: c.end_at(2, "kexec jump", "halted"), FAIL, Cause.STUB_FAILED, 2, "what the runner saw"),
    "port-lost": (lambda c: c.end_at(2, "userspace", "port-lost"), ERROR, Cause.PORT_LOST, 2, "the runner saw"),
    "clock-skew": (lambda c: c.end_at(1, "userspace", "clock-skew"), ERROR, Cause.CLOCK_SKEW, 1, "the runner saw"),
    "reset": (lambda c: c.end_at(2, "kernel", "reset"), FAIL, Cause.RESET, 2, "what the runner saw"),
    "poweroff": (lambda c: c.end_at(2, "kernel", "poweroff"), FAIL, Cause.POWEROFF, 2, "last console line"),
    "back": (lambda c: c.end_at(2, "kexec jump", "back-in-firmware"), FAIL, Cause.BACK_IN_FIRMWARE, 2, "saw"),
    "timeout-start": (lambda c: c.end_at(0, "start", "timeout"), ERROR, Cause.NO_BOOT, 0, "phase start"),
    "timeout-firmware": (lambda c: c.end_at(0, "firmware", "timeout"), ERROR, Cause.NO_BOOT, 0, "phase firmware"),
    "timeout-agent": (lambda c: c.end_at(0, "agent", "timeout"), ERROR, Cause.NO_BOOT, 0, "phase agent"),
    "timeout-userspace": (lambda c: c.end_at(1, "userspace", "timeout"), FAIL, Cause.HANG, 1, "phase userspace"),
    "timeout-load": (lambda c: c.end_at(1, "kexec load", "timeout"), FAIL, Cause.HANG, 1, "phase kexec load"),
    "timeout-jump": (lambda c: c.end_at(2, "kexec jump", "timeout"), FAIL, Cause.HANG, 2, "phase kexec jump"),
    "timeout-kernel": (lambda c: c.end_at(2, "kernel", "timeout"), FAIL, Cause.HANG, 2, "phase kernel"),
    "qemu-died": (
        lambda c: c.end_at(2, "kernel", "qemu-died", qemu_exit=-9),
        ERROR,
        Cause.QEMU_DIED,
        2,
        "QEMU's exit status: -9 @qemu.stderr",
    ),
    "host": (lambda c: c.end_at(1, "kernel", "host"), ERROR, Cause.HOST, 1, "what the runner saw"),
    "interrupted": (lambda c: c.end_at(1, "kernel", "interrupted"), ERROR, Cause.INTERRUPTED, 1, "saw"),
    "agent-error": (lambda c: c.end_at(0, "agent", "guest-error"), ERROR, Cause.AGENT_ERROR, 0, "saw"),
    "guest-error": (lambda c: c.end_at(1, "kexec load", "guest-error"), ERROR, Cause.GUEST_ERROR, 1, "saw"),
}


@pytest.mark.parametrize("case", ENDS)
def test_end(copy_of: CopyOf, case: str) -> None:
    edit, status, cause, epoch, words = ENDS[case]
    copy = copy_of(PASSED)
    edit(copy)
    verdict_is(copy.judge(), status, cause, epoch, words)


def test_every_end_kind_is_tried() -> None:
    tried = {case.split("-")[0] if case.startswith("timeout") else case for case in ENDS}
    assert {"back-in-firmware" if case == "back" else case for case in tried} == (
        {kind.value for kind in EndKind} - {"complete"} | {"agent-error"}
    )


def test_first_kernel_never_spoke(copy_of: CopyOf) -> None:
    copy = copy_of(PASSED).end_at(1, "kernel", "timeout")
    console = copy.path / "console.log"
    console.write_bytes(console.read_bytes()[:58])
    verdict_is(copy.judge(), ERROR, Cause.NO_BOOT, 1, "phase kernel")


def test_panic_is_named_by_its_report(copy_of: CopyOf) -> None:
    copy = copy_of(PASSED)
    number = copy.print(2, f"{OOPS}\nRIP: 0010:efi_esrt_init+0x12/0x340\n{PANIC}")
    copy.end_at(2, "userspace", "panic", PANIC)
    verdict_is(copy.judge(), FAIL, Cause.PANIC, 2, "in efi_esrt_init, then kernel panic", f"console.log:{number}")


TIMER = "Kernel panic - not syncing: IO-APIC + timer doesn't work!  Boot with apic=debug"


def test_a_timer_that_comes_too_late_is_the_hosts(copy_of: CopyOf) -> None:
    """But beside another crash it is the kernel's."""
    copy = copy_of(PASSED)
    number = copy.print(2, TIMER)
    copy.end_at(2, "kernel", "panic", TIMER)
    verdict_is(copy.judge(), ERROR, Cause.HOST, 2, "timer doesn't work", f"console.log:{number}")
    copy.print(2, OOPS)
    assert copy.judge().status is FAIL


def test_a_timer_that_comes_too_late_under_kvm_is_the_kernels(copy_of: CopyOf) -> None:
    copy = copy_of(PASSED)
    copy.print(2, TIMER)
    copy.end_at(2, "kernel", "panic", TIMER).edit_json("plan.json", accel="kvm")
    verdict_is(copy.judge(), FAIL, Cause.PANIC, 2, "timer doesn't work")


def test_kexec_refused(copy_of: CopyOf) -> None:
    copy = copy_of(PASSED)
    loaded = copy.only(kind="loaded", epoch=1)
    copy.end_at(1, "kexec load", "guest-error", "kexec could not load the next kernel (rc 255)")
    copy.entries = [*copy.entries, {**loaded, "fields": {**loaded["fields"], "rc": "255"}}]
    (copy.path / loaded["body_file"]).write_text("kexec_file_load failed: Cannot assign requested address\n")
    verdict_is(
        copy.judge(), FAIL, Cause.KEXEC_LOAD_FAILED, 1, "Cannot assign requested address", f"@{loaded['body_file']}"
    )


def test_our_own_signal_is_no_evidence(copy_of: CopyOf) -> None:
    ended = copy_of(PASSED).end_at(2, "kernel", "timeout")
    assert "terminating on signal" in ended.read("qemu.stderr")
    assert "terminating on signal" not in said(ended.judge())
    verdict = ended.edit_json("end.json", kind="qemu-died").judge()
    assert "terminating on signal 15" in said(verdict)


@pytest.mark.parametrize("kind", ["panic", "reset", "timeout", "qemu-died", "interrupted"])
def test_damage_seen_at_the_end(copy_of: CopyOf, kind: str) -> None:
    """What lies in memory after a bad end explains it, or stands although the host then failed."""
    copy = copy_of("esrt-kexec-load-6.1").end_at(2, "kexec jump", kind).sample_again(2, "end", damaged=True)
    verdict_is(copy.judge(), FAIL, Cause.ESRT_CORRUPT, 2, "when the run ended", "put segment[3] (initrd)")


def test_firmware_that_runs_again_may_use_the_memory(copy_of: CopyOf) -> None:
    copy = copy_of(PASSED).end_at(2, "kexec jump", "back-in-firmware").sample_again(2, "end", damaged=True)
    verdict_is(copy.judge(), FAIL, Cause.BACK_IN_FIRMWARE, 2)


def test_intact_at_a_bad_end_is_not_enough(copy_of: CopyOf) -> None:
    verdict = copy_of(PASSED).end_at(2, "kexec jump", "timeout").sample_again(2, "end", damaged=False).judge()
    check = next(check for check in verdict.checks if check.name == "table_intact: esrt")
    assert (check.status, check.cause) == (ERROR, Cause.MISSING_REPORT)
    assert "the ESRT was intact at 4 borders, but there is nothing from epoch 2 (up)" in check.summary


# Several at once


def _corrupt(epoch: int) -> Edit:
    return lambda copy: copy.flip(f"samples/{epoch}-up-esrt.bin", 0x100)


def _print(epoch: int, text: str) -> Edit:
    return lambda copy: copy.print(epoch, text)


SEVERAL: dict[str, tuple[list[Edit], Status, Cause, int]] = {
    "damage explains a panic": ([_corrupt(2), _print(2, PANIC)], FAIL, Cause.ESRT_CORRUPT, 2),
    "damage in epoch 2, then a stranger": (
        [_corrupt(2), _hello(3, release="5.10.0")],
        FAIL,
        Cause.ESRT_CORRUPT,
        2,
    ),
    "a stranger's memory accuses nobody": (
        [_corrupt(3), _hello(2, release="5.10.0")],
        FAIL,
        Cause.WRONG_KERNEL,
        2,
    ),
    "an old kernel's memory accuses nobody": ([_corrupt(2), _hello(2, epoch="1")], FAIL, Cause.OLD_KERNEL, 2),
    "memory of another type may be used": ([_corrupt(2), _memory_type], ERROR, Cause.SETUP_NOT_PROVED, 2),
    "another command line": (
        [_corrupt(2), lambda copy: copy.edit(copy.fact_file(1, "cmdline"), "nokaslr ", "")],
        ERROR,
        Cause.SETUP_NOT_PROVED,
        1,
    ),
    "a panic stays a panic without a proved set-up": ([_print(2, PANIC), _memory_type], FAIL, Cause.PANIC, 2),
    "refused tells more than an oops": (
        [lambda copy: copy.edit(copy.fact_file(2, "esrt"), "=65537", "=65538"), _print(2, OOPS)],
        FAIL,
        Cause.TABLE_REFUSED,
        2,
    ),
    "panic tells more than a reset": (
        [_print(2, PANIC), lambda copy: copy.end_at(2, "userspace", "reset")],
        FAIL,
        Cause.PANIC,
        2,
    ),
    "a fail stands beside an error": (
        [_corrupt(2), lambda copy: copy.drop(kind="fact", name="kexec-klog", epoch=1)],
        FAIL,
        Cause.ESRT_CORRUPT,
        2,
    ),
}


@pytest.mark.parametrize("case", SEVERAL)
def test_several_at_once(copy_of: CopyOf, case: str) -> None:
    edits, status, cause, epoch = SEVERAL[case]
    copy = copy_of(PASSED)
    for edit in edits:
        edit(copy)
    verdict = copy.judge()
    if case.startswith("memory of another"):
        epoch = verdict.epoch
    verdict_is(verdict, status, cause, epoch)


def test_damage_under_a_parameter_that_is_unknown(copy_of: CopyOf) -> None:
    """The causal control accuses nobody when its knob did nothing; a panic would still be one."""
    copy = copy_of("kexec-add-efi-memmap").flip("samples/2-up-esrt.bin", 0x100)
    verdict_is(copy.judge(), FAIL, Cause.ESRT_CORRUPT, 2)
    copy.print(1, 'Unknown kernel command line parameters "add_efi_memmap", will be passed to user space.')
    verdict_is(copy.judge(), UNSUPPORTED, Cause.NO_CAPABILITY, 2)
    copy.print(2, PANIC)
    verdict_is(copy.judge(), FAIL, Cause.PANIC, 2)


@pytest.mark.parametrize(
    ("modules", "status", "cause", "words"),
    [
        (
            "virtio_pci=built-in\nvirtio_blk=absent\n",
            UNSUPPORTED,
            Cause.NO_CAPABILITY,
            "no virtio_blk, neither built in",
        ),
        ("virtio_pci=loaded\nvirtio_blk=loaded\n", ERROR, Cause.GUEST_ERROR, "could not do a step"),
    ],
)
def test_a_kernel_that_cannot_read_the_disks(
    copy_of: CopyOf, modules: str, status: Status, cause: Cause, words: str
) -> None:
    copy = copy_of(PASSED).end_at(
        1, "kexec load", "guest-error", "the guest agent reports: load: no disk with serial k0"
    )
    fact = copy.only(kind="fact", epoch=1, fields={"name": "cmdline"})
    (copy.path / "facts/modules").write_text(modules)
    copy.entries = [*copy.entries, {**fact, "fields": {"name": "modules"}, "body_file": "facts/modules"}]
    verdict = copy.judge()
    verdict_is(verdict, status, cause, 1, "no disk with serial")
    assert words in next(check.hint for check in verdict.checks if check.name == "run")
