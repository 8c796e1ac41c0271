"""What the check no_crash shows of a crash."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.damage import OOPS, PANIC, PASSED
from support.records import Copy
from support.verdicts import verdict_is

from harness.evidence import crash, klog
from harness.model.causes import Cause, Status
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


CopyOf = Callable[[str], Copy]
FAIL, ERROR, UNSUPPORTED = Status.FAIL, Status.ERROR, Status.UNSUPPORTED


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
