"""e820 tables and /proc/iomem listings out of logs: every wording, behind every prefix; and damage, which is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.evidence.listings import mapread
from harness.evidence.listings.entries import LogMap, MapKind, MapLog
from harness.evidence.ranges import Range

from .map_wordings import PREFIXES, WRAPS

Row = tuple[Range, int]
OLD = {1: "(usable)", 2: "(reserved)", 3: "(ACPI data)", 4: "(ACPI NVS)", 5: "(unusable)", 20: "type 20"}
NEW = {1: "usable", 2: "reserved", 3: "ACPI data", 4: "ACPI NVS", 5: "unusable", 20: "type 20"}
NEW |= {7: "persistent (type 7)", 0xEFFFFFFF: "soft reserved"}
V7 = NEW | {1: "System RAM", 2: "device reserved", 7: "persistent RAM (type 7)"}
SYSFS = {1: "System RAM", 2: "Reserved", 3: "ACPI Tables", 4: "ACPI Non-volatile Storage", 5: "Unusable memory"}
SYSFS |= {7: "Persistent Memory", 0xEFFFFFFF: "Soft Reserved", 20: "type 20"}


def brackets(who: str, rows: Sequence[Row], words: dict[int, str] = NEW, gap: str = "") -> list[str]:
    """e820__print_table(), arch/x86/kernel/e820.c"""
    return [f"{who}: [mem 0x{where.start:016x}-0x{where.last:016x}] {words[kind]}" for where, kind in rows]


def version_7(rows: Sequence[Row]) -> list[str]:
    lines, end = [], 0
    for (where, _), line in zip(rows, brackets("BIOS-e820", rows, V7), strict=True):
        if where.start > end:
            lines.append(f"BIOS-e820: [gap 0x{end:016x}-0x{where.start - 1:016x}]")
        lines.append(line.replace("] ", "]  "))
        end = where.end
    return lines


def dash(who: str, rows: Sequence[Row]) -> list[str]:
    """e820_print_map() before 3.5"""
    return [f" {who}: {where.start:016x} - {where.end:016x} {OLD[kind]}" for where, kind in rows]


def xen(rows: Sequence[Row], stamp: str = "") -> list[str]:
    """print_e820_memory_map(), xen/arch/x86/e820.c"""
    return [f"(XEN) {stamp} [{where.start:016x}, {where.last:016x}] {OLD[kind]}" for where, kind in rows]


def old_xen(rows: Sequence[Row]) -> list[str]:
    return [f"(XEN)  {where.start:016x} - {where.end:016x} {OLD[kind]}" for where, kind in rows]


def sysfs(rows: Sequence[Row]) -> list[str]:
    return [f"0x{where.start:016x}-0x{where.last:016x} {SYSFS[kind]}" for where, kind in rows]


WORDINGS: dict[str, Callable[[Sequence[Row]], list[str]]] = {
    "2.4 to 3.4": lambda rows: ["BIOS-provided physical RAM map:", *dash("BIOS-e820", rows)],
    "2.6 user": lambda rows: ["user-defined physical RAM map:", *dash("user", rows)],
    "2.6 modified": lambda rows: ["modified physical RAM map:", *dash("modified", rows)],
    "3.5 to 6.18": lambda rows: ["e820: BIOS-provided physical RAM map:", *brackets("BIOS-e820", rows)],
    "grep": lambda rows: brackets("BIOS-e820", rows),
    "user": lambda rows: ["e820: user-defined physical RAM map:", *brackets("user", rows)],
    "modified": lambda rows: ["modified physical RAM map:", *brackets("modified", rows)],
    "extended": lambda rows: ["extended physical RAM map:", *brackets("reserve setup_data", rows)],
    "xen dom0": lambda rows: ["Xen-provided physical RAM map:", *brackets("Xen", rows)],
    "BIOS-88": lambda rows: brackets("BIOS-88", rows),
    "7.x": lambda rows: ["BIOS-provided physical RAM map:", *version_7(rows)],
    "xen": lambda rows: ["(XEN) Xen-e820 RAM map:", *xen(rows)],
    "xen with stamps": lambda rows: ["(XEN) [2026-11-30 10:11:12] EFI RAM map:", *xen(rows, "[00000034301431d9] ")],
    "old xen": lambda rows: ["(XEN) Xen-e820 RAM map:", *old_xen(rows)],
    "sysfs": sysfs,
}
UPPER = [name for name in WORDINGS if name != "xen with stamps"]


@st.composite
def tables(draw: st.DrawFn) -> list[Row]:
    at, rows = 0, []
    for _ in range(draw(st.integers(2, 12))):
        at += draw(st.sampled_from((0, 0, 0x400, 0x1000, 0x10000000)))
        size = draw(st.sampled_from((0x400, 0x1000, 0x9FC00, 0x3FF00000)))
        rows.append((Range.sized(at, size), draw(st.sampled_from((1, 2, 3, 4, 5, 20)))))
        at += size
    return rows


# Quotation marks around every line are no prefix, and these lines have no other mark of what they are.
WITHOUT_A_MARK = {("sysfs", "json strings")}


def check(rows: Sequence[Row], wording: str, prefix: str, wrap: str, *, upper: bool = False) -> None:
    if (wording, prefix) in WITHOUT_A_MARK:
        return
    lines = [line.upper() if upper else line for line in WORDINGS[wording](rows)]
    log = WRAPS[wrap]([PREFIXES[prefix](line) for line in ["something else", *lines, "NX protection: active"]])
    found = mapread.read(log)
    assert not found.damaged, log.decode()
    (only,) = found.maps
    assert only.kind is MapKind.E820
    assert [(entry.region.range, entry.words) for entry in only.entries] == [
        (where, SYSFS[kind]) for where, kind in rows
    ], log.decode()
    assert not only.odd
    assert not only.remarks


FEW = [
    (Range(0, 0x9FC00), 1),
    (Range(0x9FC00, 0xA0000), 2),
    (Range(0x100000, 0x3FFF0000), 1),
    (Range(0x3FFF0000, 0x40000000), 4),
]


@pytest.mark.parametrize("wording", WORDINGS)
@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_wording_behind_every_prefix(wording: str, prefix: str) -> None:
    check(FEW, wording, prefix, "as they are")


@settings(max_examples=200, deadline=None)
@given(
    rows=tables(),
    wording=st.sampled_from(UPPER),
    prefix=st.sampled_from(sorted(PREFIXES)),
    wrap=st.sampled_from(["as they are", "crlf", "mail 72", "mail 80", "mail 76, quoted twice", "quoted-printable"]),
    upper=st.booleans(),
)
def test_any_table_in_any_wording(rows: list[Row], wording: str, prefix: str, wrap: str, upper: bool) -> None:
    check(rows, wording, prefix, wrap, upper=upper)


def read(text: str) -> MapLog:
    return mapread.read(text.encode())


def the_map(text: str) -> LogMap:
    found = read(text)
    assert not found.damaged
    (only,) = found.maps
    return only


def test_what_is_changed_later_is_a_remark() -> None:
    log = (
        "\n".join(brackets("BIOS-e820", FEW))
        + "\nsome line\ne820: update [mem 0x00000000-0x00000fff] usable ==> reserved\n"
    )
    log += "e820 update range: 0000000000002000 - 0000000000006000 (usable) ==> (reserved)\n"
    log += "e820: remove [mem 0x000a0000-0x000fffff] usable\n"
    found = the_map(log)
    assert len(found.entries) == 4
    assert [remark.line for remark in found.remarks] == [6, 7, 8]


@pytest.mark.parametrize(
    "line",
    [
        "BIOS-e820: [mem 0x0000000000100000-0x000000003ffeffff] usab",
        "BIOS-e820: [mem 0x000000000010",
        "BIOS-e820: [mem 0x0000000000100000-000000003ffeffff] usable",
        "BIOS-e80: [mem 0x0000000000100000-0x000000003ffeffff] usable",
        "OS-e820: [mem 0x0000000000100000-0x000000003ffeffff] usable",
    ],
)
def test_a_damaged_entry_is_a_damaged_table(line: str) -> None:
    lines = brackets("BIOS-e820", FEW)
    found = read("\n".join([*lines[:2], line, lines[3]]))
    assert not found.maps
    assert [(kind, remark.line) for kind, remark in found.damaged] == [(MapKind.E820, 3)]


def test_a_line_missing_between_gaps_is_seen() -> None:
    lines = version_7([(Range(0, 0xA0000), 1), (Range(0x100000, 0x200000), 1), (Range(0x200000, 0x400000), 2)])
    assert len(the_map("\n".join(lines)).entries) == 3
    for missing in (0, 1, 2):
        found = read("\n".join(lines[:missing] + lines[missing + 1 :]))
        assert not found.maps or missing == 1
        assert bool(found.damaged) == (missing != 1)


def test_two_kernels_have_two_tables_and_two_consoles_one() -> None:
    lines = brackets("BIOS-e820", FEW)
    assert [len(item.entries) for item in read("\n".join(lines * 2)).maps] == [4, 4]
    assert [len(item.entries) for item in read("\n".join(line for line in lines for _ in range(2))).maps] == [4]


@pytest.mark.parametrize(
    "line",
    [
        "system 00:05: [mem 0xb0000000-0xbfffffff window] has been reserved",
        "PM: hibernation: Registered nosave memory: [mem 0x00000000-0x00000fff]",
        "  node   0: [mem 0x0000000000001000-0x000000000009ffff]",
        "pci 0000:00:02.0: reg 0x10: [mem 0xc0000000-0xc0ffffff pref]",
        "NODE_DATA(0) allocated [mem 0x3ffd5000-0x3fffffff]",
        '0x0000000000000000-0x0000000000100000 : "bootloader"',
    ],
)
def test_what_is_no_table(line: str) -> None:
    assert read(line) == MapLog(())


def test_an_empty_entry_counts() -> None:
    lines = dash("BIOS-e820", [(Range(0, 0xA0000), 1), (Range(0xA0000, 0xA0000), 2), (Range(0x100000, 0x200000), 1)])
    found = the_map("\n".join(lines))
    assert [entry.number for entry in found.entries] == [0, 2]
    assert [(odd.number, odd.line, odd.why) for odd in found.odd] == [(1, 2, "it is empty")]


IOMEM = """\
00000000-00000fff : Reserved
00001000-0009fbff : System RAM
000a0000-000bffff : PCI Bus 0000:00
000f0000-000fffff : System ROM
00100000-3fffffff : System RAM
  01000000-01ffffff : Kernel code
    01100000-011fffff : something in it
  02000000-02ffffff : Kernel data
40000000-4fffffff : ACPI Tables
fed00000-fed003ff : HPET 0
  fed00000-fed003ff : PNP0103:00
100000000-13fffffff : System RAM
"""
DEPTHS = [0, 0, 0, 0, 0, 1, 2, 1, 0, 0, 1, 0]


def flat(text: str) -> str:
    """Without indentation, as a web page shows it."""
    return "\n".join(line.strip() for line in text.splitlines())


@pytest.mark.parametrize("prefix", [name for name in PREFIXES if name != "json strings"])
@pytest.mark.parametrize("shape", [str, flat, str.upper])
def test_iomem(prefix: str, shape: Callable[[str], str]) -> None:
    log = "\n".join(PREFIXES[prefix](line) for line in shape(f"$ cat /proc/iomem\n{IOMEM}$ \n").splitlines())
    found = the_map(log)
    assert found.kind is MapKind.IOMEM
    assert [entry.depth for entry in found.entries] == DEPTHS
    assert [entry.region.range for entry in found.entries][-1] == Range(0x100000000, 0x140000000)
    assert found.entries[1].words == "System RAM"
    assert [entry.region.type for entry in found.top] == [0, 7, 11, 11, 7, 9, 11, 7]


def test_iomem_of_16_digits_and_of_two_kernels() -> None:
    wide = "".join(
        f"{line[:8].rjust(16, '0')}-{line[9:17].rjust(16, '0')}{line[17:]}\n" for line in flat(IOMEM).splitlines()[:-1]
    )
    assert [len(item.entries) for item in read(wide * 2).maps] == [11, 11]


def test_iomem_without_capability() -> None:
    found = read("00000000-00000000 : Reserved\n00000000-00000000 : System RAM\n  00000000-00000000 : Kernel code\n")
    assert not found.maps
    assert [kind for kind, _ in found.damaged] == [MapKind.IOMEM]


@pytest.mark.parametrize("text", ["0000-001f : dma1\n0020-0021 : pic1\n", "00000000-00000fff : nothing known\n"])
def test_what_is_no_iomem(text: str) -> None:
    assert read(text) == MapLog(())
