"""What the check no_crash shows of a crash."""

from harness.evidence import crash, klog
from harness.subjects.vitals.crash import quoted

LOG = b"""\
[    1.000000] BUG: unable to handle page fault for address: ffffffffff281000
[    1.000100] RIP: 0010:efi_memmap_insert+0x11d/0x191
[    1.000200] Call Trace:
[    1.000300]  ? doubtful+0x1/0x2
[    1.000400]  efi_arch_mem_reserve+0x1b/0x1c
[    1.000500]  start_kernel+0x1/0x2
[    1.000600] Kernel panic - not syncing: Fatal exception
"""


def test_the_lines_of_a_report_and_its_backtrace() -> None:
    shown = [(item.text, item.where) for item in quoted(crash.find(klog.lines(LOG)))]
    assert [where for _, where in shown] == ["console.log:1", "console.log:7", "console.log:1"]
    assert shown[0][0].startswith("[    1.000000] BUG: unable to handle") or shown[0][0].startswith("BUG: unable")
    assert shown[2][0] == (
        "backtrace: efi_memmap_insert+0x11d/0x191 < efi_arch_mem_reserve+0x1b/0x1c < start_kernel+0x1/0x2"
    )


def test_a_report_without_a_backtrace_shows_none() -> None:
    found = crash.find(klog.lines(b"[    1.000000] Kernel panic - not syncing: VFS\n"))
    assert [item.where for item in quoted(found)] == ["console.log:1"]
