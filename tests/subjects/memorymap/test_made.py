"""Memory maps: each thing that can be wrong with one gives its own verdict, on real records."""

from __future__ import annotations

import hashlib
import shutil
import struct
from collections.abc import Callable

import pytest
from support.records import Copy, said

from harness.model.causes import Cause, Status
from harness.model.verdict import Check, Verdict
from harness.model.words.memorymap import RangeType

CopyOf = Callable[[str], Copy]
MADE = "placement-made-map"
TWIN = "placement-low-hole-twin"
RESET = "placement-kexec-low-6.1"
FAIL, ERROR = Status.FAIL, Status.ERROR


def verdict_is(verdict: Verdict, status: Status, cause: Cause, epoch: int | None, *words: str) -> None:
    seen = f"{verdict.status} {verdict.cause} epoch {verdict.epoch}\n{said(verdict)}"
    assert (verdict.status, verdict.cause) == (status, cause), seen
    assert epoch is None or verdict.epoch == epoch, seen
    for word in words:
        assert word in seen, f"{word!r} is not in:\n{seen}"


def damage(copy: Copy, subject: str, epoch: int, point: str, offset: int) -> Copy:
    """Flip a byte of one sample only: the same bytes are kept once, so it gets a file of its own."""
    first = copy.only(type="sample", subject=subject, epoch=epoch, point=point)["file"]
    file = f"samples/own-{epoch}-{point}.bin"
    shutil.copyfile(copy.path / first, copy.path / file)
    copy.change({"file": file}, type="sample", subject=subject, epoch=epoch, point=point)
    return copy.flip(file, offset)


# What firmware occupies


@pytest.mark.parametrize("subject", ["memory-0x1000000", "memory-0x8000000", "memory-0x9000000", "memory-0x30000000"])
@pytest.mark.parametrize(("epoch", "point"), [(1, "up"), (1, "loaded"), (2, "up")])
@pytest.mark.parametrize("offset", [0, -1], ids=["first", "last"])
def test_a_byte_of_what_is_occupied(copy_of: CopyOf, subject: str, epoch: int, point: str, offset: int) -> None:
    verdict = damage(copy_of(MADE), subject, epoch, point, offset).judge()
    place = subject.removeprefix("memory-")
    verdict_is(verdict, FAIL, Cause.OCCUPIED_OVERWRITTEN, epoch, f"at {place}-", "0x1000 bytes from", "the kernel of")


@pytest.mark.parametrize(("epoch", "point"), [(1, "up"), (1, "loaded"), (2, "up")])
def test_a_range_that_was_not_sampled(copy_of: CopyOf, epoch: int, point: str) -> None:
    copy = copy_of(MADE).drop(type="sample", subject="memory-0x8000000", epoch=epoch, point=point)
    verdict_is(copy.judge(), ERROR, Cause.MISSING_REPORT, None, f"nothing from epoch {epoch} ({point})")


def test_a_kernel_without_an_initrd_is_never_up(copy_of: CopyOf) -> None:
    """It cannot report, so nothing is sampled then, and nothing is missing; of its predecessor it still is."""
    copy = copy_of(MADE).drop(type="sample", epoch=2, point="up")
    first, second = copy.json("plan.json")["epochs"]
    copy.edit_json("plan.json", epochs=[first, {**second, "without_initrd": True}])
    assert occupied(copy.judge()).status is Status.PASS
    copy.drop(type="sample", subject="memory-0x8000000", epoch=1, point="loaded")
    check = occupied(copy.judge())
    assert (check.status, check.cause) == (ERROR, Cause.MISSING_REPORT)
    assert "nothing from epoch 1 (loaded)" in check.summary


def occupied(verdict: Verdict) -> Check:
    return next(check for check in verdict.checks if check.name == "occupied")


# Where the kernel lies


def iomem(copy: Copy, epoch: int, old: str, new: str) -> Copy:
    return copy.edit(copy.fact_file(epoch, "iomem"), old, new)


def kernel_code(copy: Copy, epoch: int) -> str:
    return next(line for line in copy.read(copy.fact_file(epoch, "iomem")).splitlines() if "Kernel code" in line)


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_kernel_that_is_too_low(copy_of: CopyOf, epoch: int) -> None:
    copy = copy_of(MADE)
    line = kernel_code(copy, epoch)
    verdict = iomem(copy, epoch, line, "  00fff000-02000000 : Kernel code").judge()
    verdict_is(verdict, FAIL, Cause.KERNEL_MISPLACED, epoch, "lies at 0xfff000-", "below 0x1000000")


def test_a_kernel_over_what_is_occupied(copy_of: CopyOf) -> None:
    copy = copy_of(MADE)
    line = kernel_code(copy, 1)
    verdict = iomem(copy, 1, line, "  18000000-19000000 : Kernel code").judge()
    verdict_is(verdict, FAIL, Cause.KERNEL_MISPLACED, 1, "over ACPIMemoryNVS at 0x8000000-0x8003fff")


def test_a_kernel_that_does_not_say_where_it_is(copy_of: CopyOf) -> None:
    copy = copy_of(MADE)
    text = copy.read(copy.fact_file(2, "iomem"))
    for line in text.splitlines():
        if "Kernel " in line:
            copy.edit(copy.fact_file(2, "iomem"), f"{line}\n", "")
    verdict_is(copy.judge(), ERROR, Cause.MISSING_REPORT, None, "no /proc/iomem with a kernel in it from epoch 2")


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_page_allocation_failure(copy_of: CopyOf, epoch: int) -> None:
    copy = copy_of(MADE)
    copy.print(epoch, "swapper/0: page allocation failure: order:10, mode:0xcc1(GFP_KERNEL|GFP_DMA), nodemask=(null)")
    verdict_is(copy.judge(), FAIL, Cause.PAGE_ALLOCATION_FAILED, epoch, "order:10")


def test_the_twin_is_below_16_mib(copy_of: CopyOf) -> None:
    verdict = copy_of(TWIN).judge()
    verdict_is(verdict, FAIL, Cause.KERNEL_MISPLACED, 1, "the kernel of epoch 1 lies at 0xa00000-", "below 0x1000000")


# The reset without a word


def test_a_kexec_below_the_preferred_address(copy_of: CopyOf) -> None:
    words = "kexec had put the kernel at 0xc00000, below its pref_address 0x1000000"
    verdict_is(copy_of(RESET).judge(), FAIL, Cause.TRIPLE_FAULT, 2, words, "as far as 0x4378000")


def test_without_qemu_s_log_the_same_is_a_silent_reset(copy_of: CopyOf) -> None:
    copy = copy_of(RESET)
    (copy.path / "qemu.log").write_text("CPU Reset (CPU 0)\n")
    verdict_is(copy.judge(), FAIL, Cause.SILENT_RESET, 2, "kexec had put the kernel at 0xc00000, below its")


def test_a_reset_in_the_stub(copy_of: CopyOf) -> None:
    """As the report of 2019 describes it: StartImage, and the machine starts again."""
    copy = copy_of(MADE).end_at(1, "stub", "reset", "the machine was reset (QMP SHUTDOWN, guest-reset)")
    words = "reset in the EFI stub without a word: as when the kernel is placed below LOAD_PHYSICAL_ADDR"
    verdict = copy.judge()
    verdict_is(verdict, FAIL, Cause.SILENT_RESET, 1, words)
    assert verdict.headline.startswith(words)


def test_a_reset_in_the_stub_after_words_of_its_own_is_another(copy_of: CopyOf) -> None:
    copy = copy_of(MADE).end_at(1, "stub", "reset", "the machine was reset")
    (copy.path / "console.log").write_bytes((copy.path / "console.log").read_bytes() + b"EFI stub: ERROR: oh\r\n")
    assert "LOAD_PHYSICAL_ADDR" not in copy.judge().headline


# Did the kernel get that map at all?


def descriptor(copy: Copy, kind: str, start: int, new_type: int) -> Copy:
    """Another type for the descriptor that begins there."""
    path = copy.path / copy.only(type="frame", kind=kind)["body_file"]
    data = bytearray(path.read_bytes())
    at = next(n for n in range(0, len(data), 48) if struct.unpack_from("<Q", data, n + 8)[0] == start)
    struct.pack_into("<I", data, at, new_type)
    path.write_bytes(data)
    return copy


@pytest.mark.parametrize(
    ("start", "new_type", "words"),
    [
        (0x1000000, 4, "0x1000000-0x100ffff was to be runtime-services-data, the map has BootServicesData there"),
        (0x8000000, 7, "0x8000000-0x8003fff was to be acpi-nvs, the map has ConventionalMemory there"),
        (0x18000000, 0, "0x18000000-0x18003fff was to be unusable, the map has ReservedMemoryType there"),
    ],
)
def test_a_range_of_another_type(copy_of: CopyOf, start: int, new_type: int, words: str) -> None:
    verdict = descriptor(copy_of(MADE), "memmap", start, new_type).judge()
    verdict_is(verdict, ERROR, Cause.SETUP_NOT_PROVED, None, words)


def test_a_hole_that_is_none(copy_of: CopyOf) -> None:
    """The descriptor behind the hole begins a page earlier."""
    copy = copy_of(MADE)
    path = copy.path / copy.only(type="frame", kind="memmap")["body_file"]
    data = bytearray(path.read_bytes())
    at = next(n for n in range(0, len(data), 48) if struct.unpack_from("<Q", data, n + 8)[0] == 0x9004000)
    struct.pack_into("<Q", data, at + 8, 0x9003000)
    path.write_bytes(data)
    verdict_is(copy.judge(), ERROR, Cause.SETUP_NOT_PROVED, None, "0x9000000-0x9003fff was to be a hole, the map has")


def test_no_map_at_all(copy_of: CopyOf) -> None:
    copy = copy_of(MADE).drop(type="frame", kind="memmap")
    verdict_is(copy.judge(), ERROR, Cause.MISSING_REPORT, None, "the EFI agent's memory map is missing")


def test_hooks_that_were_not_reported(copy_of: CopyOf) -> None:
    copy = copy_of(MADE).drop(type="frame", kind="hooks")
    verdict_is(copy.judge(), ERROR, Cause.SETUP_NOT_PROVED, None, "is hooked, but not that it hooked anything")


def test_an_image_at_another_place(copy_of: CopyOf) -> None:
    copy = copy_of(MADE).change({"fields": {"address": "0x3c000000"}}, type="frame", kind="image")
    words = "the kernel's image was to be loaded at 0x20000000, it was loaded at 0x3c000000"
    verdict_is(copy.judge(), ERROR, Cause.SETUP_NOT_PROVED, None, words)


def test_canaries_that_were_never_there(copy_of: CopyOf) -> None:
    copy = copy_of(MADE)
    file = copy.only(type="sample", subject="memory-0x8000000", epoch=0)["file"]
    data = bytes(0x4000)
    (copy.path / file).write_bytes(data)
    copy.change({"sha256": hashlib.sha256(data).hexdigest()}, type="sample", file=file)
    words = "the canaries at 0x8000000-0x8003fff were damaged before the hand-off"
    verdict_is(copy.judge(), ERROR, Cause.SETUP_NOT_PROVED, None, words)


def test_canaries_that_were_not_read(copy_of: CopyOf) -> None:
    copy = copy_of(MADE).drop(type="sample", subject="memory-0x8000000", epoch=0)
    verdict_is(copy.judge(), ERROR, Cause.SETUP_NOT_PROVED, None, "0x8000000-0x8003fff were never read back")


def test_a_range_that_the_agent_did_not_fill(copy_of: CopyOf) -> None:
    copy = copy_of(MADE).drop(type="frame", kind="range", address="0x8000000")
    verdict_is(copy.judge(), ERROR, Cause.SETUP_NOT_PROVED, None, "canaries were to fill 0x8000000-0x8003fff")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "0x8000000-0x8003fff ACPI Non-volatile Storage",
            "0x8000000-0x8003fff System RAM",
            "0x4000 bytes of 0x8000000",
        ),
        ("0x1000000-0x100ffff Reserved", "0x1000000-0x100ffff System RAM", "0x10000 bytes of 0x1000000-0x100ffff"),
        ("0x900000-0xffffff System RAM", "0x900000-0xffffff Reserved", "0x0 bytes of 0xa00000-0xafffff"),
    ],
)
def test_a_kernel_with_another_map(copy_of: CopyOf, old: str, new: str, words: str) -> None:
    copy = copy_of(MADE)
    verdict = copy.edit(copy.fact_file(1, "memmap"), old, new).judge()
    verdict_is(verdict, ERROR, Cause.SETUP_NOT_PROVED, None, f"the first kernel has {words}", "as System RAM")


# The account of a map that was to be reproduced


def evidence(verdict: Verdict) -> str:
    (check,) = [check for check in verdict.checks if check.name == "memory map"]
    return "\n".join([check.summary, *(item.text for item in check.evidence)])


def test_the_account_is_in_the_verdict(copy_of: CopyOf) -> None:
    verdict = copy_of(MADE).judge()
    text = evidence(verdict)
    assert verdict.status is Status.PASS, said(verdict)
    for words in (
        "5 entries are as they were, 0 moved or cut for this guest, 1 there in part, 1 not at all, and 1 lost",
        "0x806000, reserved 0x806000-0x807fff: not at all; there are ACPIMemoryNVS 0x806000-0x807fff",
        "0x20000000, boot-services-data 0x20000000-0x2fffffff: 0xf233000 of 0x10000000 bytes; there are LoaderCode",
        "lost in the import: reserved 0x180000000-0x1801fffff: no memory there",
        "0x1000000-0x100ffff: RuntimeServicesData by the hooked GetMemoryMap; firmware has BootServicesData there",
    ):
        assert words in text, text


def test_what_the_map_does_not_list_is_told(copy_of: CopyOf) -> None:
    text = evidence(copy_of(MADE).judge())
    assert "0x200000-0x7fffff is not in that map; firmware's ConventionalMemory stays there" in text
    assert "0x808000-0x80ffff is not in that map; firmware's ConventionalMemory stays there" in text


def test_the_account_follows_the_map(copy_of: CopyOf) -> None:
    text = evidence(descriptor(copy_of(MADE), "memmap", 0x100000, 7).judge())
    assert "4 entries are as they were" in text
    assert f"0x100000, {RangeType.BOOT_SERVICES_CODE} 0x100000-0x1fffff: not at all; there are Conventional" in text
