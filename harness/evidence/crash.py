"""Crashes on a console: a table of formats and one walk over the lines.

To add a format, add a row. A row's pattern is matched at the beginning of a line (after printk's timestamp), so a
line that merely mentions a crash, from a program or in an echoed command, is none.

A hash mismatch in the purgatory of kexec_file_load(2) has no row: it hangs without a word
(arch/x86/purgatory/purgatory.c). The purgatory of kexec-tools speaks only with --console-serial or --console-vga.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.evidence.klog import Line


class Severity(StrEnum):
    PANIC = "panic"
    """The machine stops here."""
    OOPS = "oops"
    """The kernel broke, or its memory is damaged; it may go on."""
    WARNING = "warning"
    """Something is wrong and said so: WARNING, lockups, stalls, lockdep."""


@dataclass(frozen=True)
class Crash:
    title: str
    """Without addresses and pids; where easy in the words of syzkaller, so that two runs compare equal."""
    severity: Severity
    line_number: int
    text: str
    """The line, as printed."""


@dataclass(frozen=True)
class Format:
    """One kind of crash.

    ``title`` may use the pattern's groups. ``{where}`` is `` in FUNCTION``, from the group ``function`` or else from
    the ``RIP:`` line of the report; it is empty when there is none.
    """

    pattern: re.Pattern[str]
    title: str
    severity: Severity
    needs_timestamp: bool = False
    """For patterns that a program's output could match too."""


def _row(pattern: str, title: str, severity: Severity, *, needs_timestamp: bool = False) -> Format:
    return Format(re.compile(pattern), title, severity, needs_timestamp)


_FUNCTION = r"(?P<function>[A-Za-z_][\w.]*)(?:\+0x[0-9a-f]+)?(?:/0x[0-9a-f]+)?"

FORMATS: tuple[Format, ...] = (
    # kernel/panic.c
    _row(r"Kernel panic - not syncing: (?P<why>.*)", "kernel panic: {why}", Severity.PANIC),
    # arch/x86/kernel/traps.c, doublefault_32.c
    _row(r"PANIC: double fault", "PANIC: double fault{where}", Severity.PANIC),
    # arch/x86/mm/fault.c: since 5.1 (f28b11a2abd9) "page fault for address", before "kernel paging request at"
    _row(
        r"BUG: unable to handle (?:page fault for address|kernel paging request at)",
        "BUG: unable to handle kernel paging request{where}",
        Severity.OOPS,
    ),
    _row(
        r"BUG: (?:kernel NULL pointer dereference, address|unable to handle kernel NULL pointer dereference)",
        "BUG: unable to handle kernel NULL pointer dereference{where}",
        Severity.OOPS,
    ),
    # lib/bug.c
    _row(r"kernel BUG at (?P<file>\S+?)!", "kernel BUG{where}", Severity.OOPS),
    # mm/kasan/report.c
    _row(rf"BUG: KASAN: (?P<what>[\w-]+) in {_FUNCTION}", "KASAN: {what}{access}{where}", Severity.OOPS),
    # mm/kfence/report.c
    _row(rf"BUG: KFENCE: (?P<what>[\w -]+?) in {_FUNCTION}", "KFENCE: {what}{where}", Severity.OOPS),
    _row(rf"BUG: KMSAN: (?P<what>[\w-]+) in {_FUNCTION}", "KMSAN: {what}{where}", Severity.OOPS),
    _row(rf"BUG: KCSAN: (?P<what>[\w: -]+?) in {_FUNCTION}", "KCSAN: {what}{where}", Severity.WARNING),
    # lib/ubsan.c
    _row(r"UBSAN: (?P<what>[\w -]+) in (?P<file>\S+?):\d+", "UBSAN: {what} in {file}", Severity.WARNING),
    # arch/x86/kernel/traps.c, handle_stack_overflow(); newer kernels name the stack: TASK, NMI, #DF
    _row(r"BUG: (?:\S+ )?stack guard page was hit at", "BUG: stack guard page was hit{where}", Severity.OOPS),
    # kernel/watchdog.c
    _row(r"(?:NMI )?(?:watchdog: )?BUG: soft lockup - CPU#\d+ stuck", "BUG: soft lockup{where}", Severity.WARNING),
    _row(
        r"(?:NMI )?watchdog: (?:CPU ?\d+: )?Watchdog detected hard LOCKUP on cpu",
        "hard LOCKUP{where}",
        Severity.WARNING,
    ),
    _row(r"BUG: workqueue lockup - pool", "BUG: workqueue lockup", Severity.WARNING),
    # kernel/rcu/tree_stall.h, tree_exp.h
    _row(
        r"(?:rcu: )?INFO: rcu_\w+ (?:self-)?detected (?:expedited )?stalls? on (?:CPU|tasks)",
        "INFO: rcu detected stall{where}",
        Severity.WARNING,
    ),
    # kernel/hung_task.c
    _row(r"INFO: task \S.* blocked (?:in I/O wait )?for more than \d+ seconds", "INFO: task hung", Severity.WARNING),
    # lib/list_debug.c
    _row(r"list_(?:add|del) corruption", "BUG: corrupted list{where}", Severity.OOPS),
    # mm/page_alloc.c, warn_alloc()
    _row(
        r"\S.{0,15}: page allocation failure: order:(?P<order>\d+), mode:",
        "page allocation failure: order:{order}",
        Severity.WARNING,
    ),
    # mm/page_alloc.c, mm/memory.c
    _row(r"BUG: Bad (?P<what>page state|page map|page cache|rss-counter state)\b", "BUG: Bad {what}", Severity.OOPS),
    _row(r"BUG: scheduling while atomic: ", "BUG: scheduling while atomic{where}", Severity.OOPS),
    _row(
        r"BUG: sleeping function called from invalid context at (?P<file>\S+?):\d+",
        "BUG: sleeping function called from invalid context in {file}",
        Severity.WARNING,
    ),
    # kernel/locking/lockdep.c
    _row(
        r"WARNING: (?:possible (?:circular locking dependency|recursive locking|irq lock inversion dependency)"
        r"|(?:HARD|SOFT)IRQ-safe -> (?:HARD|SOFT)IRQ-unsafe lock order) detected",
        "possible deadlock",
        Severity.WARNING,
    ),
    _row(r"WARNING: inconsistent lock state", "inconsistent lock state", Severity.WARNING),
    _row(r"WARNING: suspicious RCU usage", "WARNING: suspicious RCU usage", Severity.WARNING),
    _row(r"WARNING: bad unlock balance detected!", "WARNING: bad unlock balance", Severity.WARNING),
    _row(r"WARNING: held lock freed!", "WARNING: held lock freed", Severity.WARNING),
    _row(r"\[ BUG: Invalid wait context \]", "WARNING: locking bug", Severity.WARNING),
    _row(r"INFO: trying to register non-static key", "INFO: trying to register non-static key", Severity.WARNING),
    # kernel/panic.c, __warn(): until 6.18, and the other way round since 6.19 (28ea295f941e)
    _row(rf"WARNING: CPU: \d+ PID: \d+ at (?:\S+:\d+ )?{_FUNCTION}", "WARNING{where}", Severity.WARNING),
    _row(rf"WARNING: (?:\S+:\d+ )?at {_FUNCTION}, CPU#\d+: ", "WARNING{where}", Severity.WARNING),
    # arch/x86/kernel/dumpstack.c, __die_header(): newer kernels put "Oops: " before every text
    _row(
        r"(?:Oops: )?(?P<what>general protection fault|divide error|invalid opcode|double fault|stack segment"
        r"|alignment check|segment not present|int3|bounds|control protection fault|stack guard page"
        r"|kernel stack overflow)[^:\[]*: [0-9a-f]{4} \[#\d+\]",
        "{what}{where}",
        Severity.OOPS,
    ),
    _row(r"Oops: .*[0-9a-f]{4} \[#\d+\]", "Oops{where}", Severity.OOPS),
    # arch/x86/platform/efi/quirks.c, efi_crash_gracefully_on_page_fault()
    _row(
        r"(?:efi: )?\[Firmware Bug\]: Page fault caused by firmware at PA: ",
        "firmware: page fault in a runtime service",
        Severity.WARNING,
    ),
    # EDK2: UefiCpuPkg/Library/CpuExceptionHandlerLib, MdePkg/Library/BaseDebugLibSerialPort and its like
    _row(
        r"!!!! (?P<arch>X64|IA32) Exception Type - (?P<number>[0-9A-Fa-f]{2})\((?P<what>[^)]*)\)",
        "firmware: {arch} exception {what}",
        Severity.PANIC,
    ),
    _row(
        r"ASSERT \[(?P<module>[^\]]*)\] \S+?\(\d+\): (?P<what>.*)",
        "firmware: ASSERT in {module}: {what}",
        Severity.PANIC,
    ),
    # drivers/firmware/efi/libstub
    _row(r"EFI stub: ERROR: (?P<what>.*)", "EFI stub: {what}", Severity.OOPS),
    # kexec-tools, purgatory/purgatory.c
    _row(r"sha256 digests do not match :\(", "kexec: purgatory found other bytes than were loaded", Severity.PANIC),
    # Any other BUG of the kernel
    _row(r"BUG: (?P<what>[A-Za-z].*)", "BUG: {what}", Severity.OOPS, needs_timestamp=True),
)

_RIP = re.compile(
    r"(?:RIP: (?:[0-9a-f]{4}:)?|IP: )(?:\[<[0-9a-f]+>\] *){0,2}(?P<function>[A-Za-z_][\w.]*)\+0x[0-9a-f]+/0x"
)
_ACCESS = re.compile(r"(?P<access>Read|Write) of size \d+ at addr")
_LOOK_AHEAD = 60
"""Lines of a report in which its function is looked for; registers and a code dump stand before it at most."""
_COMPILER_SUFFIX = re.compile(r"\.(?:isra|constprop|part|cold|llvm)\b.*")
_NUMBERS = (
    (re.compile(r"\b0x[0-9a-f]+\b|\b[0-9a-f]{16}\b", re.IGNORECASE), "ADDR"),
    (re.compile(r"(?<![\w.-])-?\d+(?![\w-]|\.\d)"), "NUM"),
)


def find(log: Iterable[Line]) -> tuple[Crash, ...]:
    """The crashes in a console, in order. Lines of one report (BUG, then Oops, then panic) give one each."""
    everything = tuple(log)
    found: list[Crash] = []
    for index, line in enumerate(everything):
        for row in FORMATS:
            match = row.pattern.match(line.text)
            if match is not None and (line.timestamp_s is not None or not row.needs_timestamp):
                following = everything[index + 1 : index + 1 + _LOOK_AHEAD]
                found.append(Crash(_title(row, match, following), row.severity, line.number, line.text))
                break
    return tuple(found)


def _title(row: Format, match: re.Match[str], following: Sequence[Line]) -> str:
    # Only running text is normalised: a file's or a function's name may have digits, an allocation's order matters.
    groups = {
        name: _normal(text) if name in ("why", "what") else text
        for name, text in match.groupdict(default="").items()
        if name != "function"
    }
    function = match.groupdict().get("function") or _first(_RIP, "function", following)
    where = f" in {_COMPILER_SUFFIX.sub('', function)}" if function else ""
    access = _first(_ACCESS, "access", following[:5]) if "{access}" in row.title else ""
    return row.title.format(where=where, access=f" {access}" if access else "", **groups)


def _first(pattern: re.Pattern[str], group: str, following: Sequence[Line]) -> str:
    """The group in the first line that matches, before the next crash begins."""
    for line in following:
        if match := pattern.match(line.text):
            return match[group]
    return ""


def _normal(text: str) -> str:
    for pattern, replacement in _NUMBERS:
        text = pattern.sub(replacement, text)
    return text.strip()
