"""Memory maps by the real EFI agent under the real OVMF: what it makes of them, and what it refuses to begin."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from agent_vm import QEMU, AgentVm

from harness.evidence.defect import Defect
from harness.evidence.maps import efimap
from harness.evidence.maps.efimap import EfiRegion
from harness.evidence.ranges import Range
from harness.evidence.tables.canary import canary_bytes
from harness.record.observations import MadeRange

pytestmark = [pytest.mark.qemu, pytest.mark.skipif(QEMU is None, reason="no qemu-system-x86_64 on PATH")]

SEED = 0x0123456789ABCDEF
BOOT = "boot kernel=opt/harness/kernel"
VOLUME = Range(0x900000, 0x1500000)
"""The DXE firmware volume of OVMF, in boot services data (OvmfPkg/Include/Fdf/MemFd.fdf.inc of 2022)."""
OCCUPIED = f"range at=0x1000000 pages=16 type=6 canary={SEED:#x} hook=yes"
FREE_BELOW = "range at=0x900000 pages=0x700 type=7 hook=yes"
FREE_ABOVE = "range at=0x1010000 pages=0x4f0 type=7 hook=yes"


def text(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in ("HARNESS-PLAN 1", "nonce 1a2b3c4d", *lines)).encode()


@pytest.fixture(scope="session")
def kernel(build: Callable[..., bytes]) -> bytes:
    """An EFI application in the place of a kernel (memory_probe.c)."""
    return build("memory_probe.c", "text.c")


def regions(vm: AgentVm, kind: str = "memmap") -> tuple[EfiRegion, ...]:
    frame = vm.frame(kind)
    found = efimap.parse_descriptors(frame.body, int(frame.fields["descriptor_size"], 0))
    assert not isinstance(found, Defect)
    return found


def types(found: tuple[EfiRegion, ...], where: Range) -> list[int]:
    """The types of all that shares a byte with a range, and nothing when some of it is not listed."""
    inside = [region for region in found if region.range.overlaps(where)]
    covered = sum(both.size_bytes for region in inside if (both := region.range.intersection(where)) is not None)
    return [region.type for region in inside] if covered == where.size_bytes else []


def made(vm: AgentVm) -> list[MadeRange]:
    return [MadeRange.read(frame.fields) for frame in vm.frames if frame.kind == "range"]


def test_every_type_where_memory_is_free(again, kernel: bytes) -> None:
    wanted = {0x10000000 + n * 0x100000: n for n in range(15)} | {0x11000000: None}
    lines = [
        f"range at={at:#x} pages=3 type={'hole' if n is None else n}" + (f" canary={SEED:#x}" if n != 7 else "")
        for at, n in wanted.items()
    ]
    vm = again({"plan": text(*lines, f"{BOOT} at=0x20000000"), "kernel": kernel})
    assert vm.go().kind == "handoff", vm.frames[-1]
    vm.command("stop")
    assert vm.frame("image").fields["address"] == "0x20000000"
    for at, number in wanted.items():
        where = Range.sized(at, 0x3000)
        assert types(regions(vm), where) == ([] if number is None else [number])
        if number != 7:
            assert vm.memory(at, 0x3000) == canary_bytes(SEED, at, 0x3000)
    # Persistent memory and a hole cannot be allocated: only the hooked map has them.
    hooked = {piece.range.start for piece in made(vm) if piece.how == "hooked"}
    assert hooked == {0x10000000 + 14 * 0x100000, 0x11000000}
    assert types(regions(vm, "firmware-memmap"), Range.sized(0x11000000, 0x3000)) == [4]
    assert [len(line.split()) for line in vm.frame("hooks").body.decode().splitlines()] == [3, 3, 3]


def test_a_volume_is_taken_over_and_the_hooks_keep_their_word(again, kernel: bytes) -> None:
    vm = again({"plan": text(OCCUPIED, FREE_BELOW, FREE_ABOVE, BOOT), "kernel": kernel})
    assert vm.go().kind == "handoff", vm.frames[-1]
    assert {(piece.range.start, piece.type, piece.was, piece.how) for piece in made(vm)} == {
        (0x1000000, 6, 4, "hooked"),
        (0x900000, 7, 4, "hooked"),
        (0x1010000, 7, 4, "hooked"),
    }
    assert types(regions(vm, "firmware-memmap"), VOLUME) == [4]
    assert types(regions(vm), VOLUME) == [7, 6, 7]
    assert vm.memory(0x1000000, 0x10000) == canary_bytes(SEED, 0x1000000, 0x10000)
    vm.wait("start", sending=b"S")
    vm.wait_console(b"end=0x0\n")
    said = dict(re.findall(rb"^(\w+)=(0x[0-9a-f]+)\r?$", vm.console, re.MULTILINE))
    said = {name.decode(): int(value, 16) for name, value in said.items()}
    not_found, too_small = 0x800000000000000E, 0x8000000000000005
    assert (said["small"], said["map"], said["same"]) == (too_small, 0, 1)
    assert (said["overlaps"], said["unjoined"]) == (0, 0)
    # Pages on both sides of the border of what is hooked and what is firmware's own.
    assert said["border"] == said["free"] == 0
    assert said["claimed"] == said["real"] == 2 << 56 | 0x2000
    assert (said["again"], said["again2"], said["free2"]) == (not_found, not_found, not_found)
    assert said["before"] == said["after"]
    assert said["before"] >> 56 == 7
    # What is occupied is given to nobody, and half a request changes nothing.
    assert (said["occupied"], said["half"]) == (not_found, not_found)
    assert said["unharmed"] == 7 << 56 | 0x700000
    assert (said["inside"], said["middle"], said["first"], said["second"]) == (0, 0, 2 << 56 | 0x1000, 7 << 56 | 0x1000)
    assert (said["any"], said["elsewhere"], said["crc"], said["exit"]) == (0, 1, 1, 0)


def test_of_a_map_what_can_be_had(again, kernel: bytes) -> None:
    lines = (
        f"range at=0x1000000 pages=1 type=6 canary={SEED:#x} hook=yes",
        "range at=0x62a000 pages=0x3bd6 type=7 hook=yes fit=yes",
        f"range at=0x3f000000 pages=0x1000 type=0 canary={SEED:#x} fit=yes",
        "range at=0x80000000 pages=16 type=4 fit=yes",
    )
    vm = again({"plan": text(*lines, BOOT), "kernel": kernel})
    assert vm.go().kind == "handoff", vm.frames[-1]
    # OVMF's ACPI NVS stays, the occupied page stays, all else of the hole is free.
    low = types(regions(vm), Range(0x62A000, 0x4200000))
    assert low == [7, 10, 7, 10, 7, 6, 7]
    top = [piece for piece in made(vm) if piece.fit and piece.type == 0]
    own = regions(vm, "firmware-memmap")
    assert top, "there are free pages between those of firmware"
    assert all(piece.how == "allocated" and types(own, piece.range) == [0] for piece in top)
    assert not [piece for piece in made(vm) if piece.range.start >= 0x80000000]


REFUSED = {
    "no such type": (["range at=0x10000000 pages=1 type=15"], "plan line 3: not a memory type that can be made: 15"),
    "no type at all": (["range at=0x10000000 pages=1 type=reserved"], "not a number of at most 64 bits: reserved"),
    "odd address": (["range at=0x10000800 pages=1 type=0"], "at= is not a multiple of the page size"),
    "no pages": (["range at=0x10000000 pages=0 type=0"], "pages= must be 1 or more"),
    "too many pages": (["range at=0x10000000 pages=0xffffffffffffffff type=0"], "pages= must be 1 or more"),
    "canaries in free memory": (["range at=0x10000000 pages=1 type=7 canary=1"], "free memory keeps no canaries"),
    "perhaps": (["range at=0x10000000 pages=1 type=0 hook=perhaps"], "can only be yes, or left out: perhaps"),
    "unknown key": (["range at=0x10000000 pages=1 type=0 size=3"], "unknown key: size"),
    "overlapping requests": (
        ["range at=0x10000000 pages=3 type=0", "range at=0x10002000 pages=1 type=6"],
        "plan line 4: overlaps the range of line 3",
    ),
    "too many ranges": (
        [f"range at={0x10000000 + n * 4096:#x} pages=1 type=0" for n in range(257)],
        "plan line 259: too many ranges",
    ),
    "a plan too large for the link": (
        [f"range at={0x10000000 + n * 4096:#x} pages=1 type=0 {'0' * 400}=1" for n in range(200)],
        "the plan is larger than 64 KiB",
    ),
    "over firmware": (
        ["range at=0x10000000 pages=1 type=6", "range at=0x8ff000 pages=2 type=6"],
        "plan line 4: the range cannot be made at 0x8ff000, where the firmware has ACPI NVS",
    ),
    "over a volume, not hooked": (
        ["range at=0x1000000 pages=1 type=6"],
        "plan line 3: the range cannot be made at 0x1000000, where the firmware has boot services data",
    ),
    "over firmware, hooked": (
        ["range at=0x810000 pages=1 type=6 hook=yes"],
        "plan line 3: the range cannot be made at 0x810000, where the firmware has ACPI NVS",
    ),
    "in a hole": (
        ["range at=0x9f000 pages=2 type=0"],
        "the range cannot be made at 0xa0000, where the firmware's map has a hole",
    ),
    "over the kernel's place": (
        ["range at=0x20000000 pages=1 type=0", f"{BOOT} at=0x20000000"],
        "plan line 3: the range overlaps the place of the kernel's image",
    ),
    "kernel over firmware": ([f"{BOOT} at=0x1000000"], "the place for the kernel's image is not free"),
    "kernel too low": ([f"{BOOT} at=0xff000"], "at= is not a multiple of the page size from 1 MiB"),
    "over a table": (
        [
            "table name=x guid=b122a263-3661-4f68-9929-78f8b0d62180 type=4 pages=1 offset=0 canary=1 at=0x20000000"
            " content=opt/harness/kernel".replace("pages=1", "pages=100"),
            "range at=0x20001000 pages=1 type=0",
        ],
        "plan line 4: the range overlaps the pages of the table x",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_before_anything_is_done(again, kernel: bytes, name: str) -> None:
    lines, what = REFUSED[name]
    boot = [] if any(line.startswith("boot ") for line in lines) else [BOOT]
    assert_refused(again({"plan": text(*lines, *boot), "kernel": kernel}), what)


def assert_refused(vm: AgentVm, what: str) -> None:
    """One error, nothing after it, and nothing done before it."""
    assert vm.go().kind == "error"
    error = vm.frames[-1]
    assert error.kind == "error"
    assert what in error.fields["what"]
    assert int(error.fields["status"], 16) >> 63 or len(error.fields["status"]) == len("0x80000003")
    assert {frame.kind for frame in vm.frames} <= {"ready", "go", "error"}
    vm.command("stop")
    assert vm.memory(0x10000000, 8) != canary_bytes(SEED, 0x10000000, 8)


def test_the_agent_does_not_take_away_its_own_memory(again, kernel: bytes) -> None:
    first = again({"plan": text(BOOT), "kernel": kernel})
    assert first.go().kind == "handoff"
    fields = first.frame("image").fields
    image = Range.sized(int(fields["address"], 0), int(fields["size"], 0)).pages
    # Two images are loader code then: the kernel's, which is reported, and the agent.
    code = [item.range for item in regions(first) if item.type == 1]
    own = next(page for item in code for page in range(item.start, item.end, 4096) if not image.contains(page))
    for line, what in (
        (f"range at={own:#x} pages=1 type=6 hook=yes", f"made at {own:#x}, it would overlap the EFI agent itself"),
        (f"range at={own:#x} pages=1 type=hole hook=yes fit=yes", "the hole would take away the EFI agent itself"),
    ):
        assert_refused(again({"plan": text(line, BOOT), "kernel": kernel}), what)
    # The stack, by its address: between page tables and pools, in boot services data.
    registers = first.command("human-monitor-command", **{"command-line": "info registers"})
    stack = int(re.search(r"RSP=([0-9a-f]+)", registers)[1], 16) & ~0xFFF
    line = f"range at={stack:#x} pages=1 type=hole hook=yes fit=yes"
    assert_refused(
        again({"plan": text(line, BOOT), "kernel": kernel}), "the hole would take away the EFI agent's stack"
    )
    tables = int(re.search(r"CR3=([0-9a-f]+)", registers)[1], 16)
    line = f"range at={tables:#x} pages=1 type=hole hook=yes fit=yes"
    assert_refused(again({"plan": text(line, BOOT), "kernel": kernel}), "the hole would take away the page tables")


def test_32_bit_firmware_is_not_hooked(again32, build: Callable[..., bytes]) -> None:
    files = {"plan": text(OCCUPIED, BOOT), "kernel": b"MZ"}
    assert_refused(again32(files), "plan line 3: only 64-bit firmware is hooked")
