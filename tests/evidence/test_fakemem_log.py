"""harness.evidence.faking.log: what kernels print"""

from __future__ import annotations

from harness.evidence import klog
from harness.evidence.defect import Defect
from harness.evidence.faking import log as fakemem_log
from harness.evidence.klog import Line
from harness.evidence.maps.efimap import EfiRegion
from harness.evidence.ranges import Range

from .fake_kernel import entry

# Linux 6.1 (15 columns) and an older one without HP, MR, CC and SP.
LOG = """\
[    0.000000] efi_fake_mem: add attr=0x0000000000040000 to [mem 0x0000000180000000-0x000000019fffffff]
[    0.000000] efi: EFI v2.70 by EDK II
[    0.013000] efi: mem00: [Conventional|   |  |  |  |  |  |  |  |  |  |   |WB|WT|WC|UC] \
range=[0x0000000000000000-0x000000000009ffff] (0MB)
[    0.013000] efi: mem01: [Conventional|   |  |  |  |SP|  |  |  |  |  |   |WB|WT|WC|UC] \
range=[0x0000000180000000-0x000000019fffffff] (512MB)
[    0.013000] efi: mem02: [Runtime Data|RUN|  |  |  |  |WB|WT|WC|UC] \
range=[0x000000007fef4000-0x000000007ff77fff] (0MB)
[    0.013000] efi: mem03: [MMIO        |attr=0x8000000000000401] range=[0x00000000ffc00000-0x00000000ffffffff] (4MB)
[    0.013000] efi: mem04: [type=77|   |  |  |  |  |  |  |  |  |  |   |  |  |  |UC] \
range=[0x0000000000001000-0x0000000000001fff] (0MB)
"""


def lines(text: str) -> tuple[Line, ...]:
    return klog.lines(text.encode())


def test_the_printed_map() -> None:
    (rows,) = fakemem_log.printed_maps(lines(LOG))
    assert [row.region for row in rows] == [
        EfiRegion(7, Range(0, 0xA0000), 0xF),
        EfiRegion(7, Range(0x180000000, 0x1A0000000), 0x4000F),
        EfiRegion(6, Range(0x7FEF4000, 0x7FF78000), 1 << 63 | 0xF),
        EfiRegion(11, Range(0xFFC00000, 0x100000000), 1 << 63 | 0x401),
        EfiRegion(77, Range(0x1000, 0x2000), 1),
    ]
    assert rows[1].line.number == 4


def test_the_entries_that_were_taken() -> None:
    assert fakemem_log.entries_taken(lines(LOG)) == (entry("512M@6G:0x40000"),)
    wrong = LOG.replace("0x0000000180000000-0x000000019fffffff]\n", "0x0000000180000000-0x000000017fffffff]\n", 1)
    assert isinstance(fakemem_log.entries_taken(lines(wrong)), Defect)


def test_several_maps() -> None:
    maps = fakemem_log.printed_maps(lines(LOG + LOG))
    assert isinstance(maps, tuple)
    assert [len(rows) for rows in maps] == [5, 5]
    assert fakemem_log.printed_maps(lines("[    0.000000] efi: EFI v2.70 by EDK II\n")) == ()


def test_a_map_with_a_hole_in_it_is_none() -> None:
    """Consoles lose bytes, and the log's buffer its oldest lines."""
    kept = LOG.splitlines(keepends=True)
    for n in (2, 4):
        assert isinstance(fakemem_log.printed_maps(lines("".join(kept[:n] + kept[n + 1 :]))), Defect)
    assert isinstance(fakemem_log.printed_maps(lines(LOG.replace("Runtime Data", "Runtime Da"))), Defect)
    assert isinstance(fakemem_log.printed_maps(lines(LOG.replace("|SP|", "|S|"))), Defect)
    assert isinstance(fakemem_log.printed_maps(lines(LOG.replace("mem01: [Conv", "mem01: Conv"))), Defect)


def test_what_is_no_descriptor() -> None:
    """Bytes that nobody wrote, taken for descriptors."""
    zeros = LOG.replace("0x0000000000000000-0x000000000009ffff", "0x0000000000000000-0xffffffffffffffff")
    wild = LOG.replace("0x0000000000000000-0x000000000009ffff", "0xdead000000000000-0x0000000000001fff")
    for text in (zeros, wild):
        maps = fakemem_log.printed_maps(lines(text))
        assert isinstance(maps, tuple)
        assert maps[0][0].region is None
    empty = LOG.replace("0x0000000000000000-0x000000000009ffff", "0x0000000000001000-0x0000000000000fff")
    (rows,) = fakemem_log.printed_maps(lines(empty))
    assert rows[0].region == EfiRegion(7, Range(0x1000, 0x1000), 0xF)
