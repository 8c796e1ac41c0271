"""Crash formats of the kernel: damaged memory, panics, and any other BUG."""

from __future__ import annotations

from harness.evidence.crash.formats.table import FUNCTION, Format, row
from harness.evidence.crash.formats.values import Kind, Severity
from harness.evidence.crash.guilty import Where

_P, _O, _W = Severity.PANIC, Severity.OOPS, Severity.WARNING
_PREEMPT = r"^check_preemption|^(?:__)?this_cpu_preempt|^debug_smp_processor|^percpu_counter"

MEMORY: tuple[Format, ...] = (
    # lib/list_debug.c
    row(
        Kind.LIST,
        "corruption",
        r"list_(?:add|del)(?:_\w+)?:? corruption",
        "BUG: corrupted list{where}",
        _O,
        Where.TRACE,
    ),
    # mm/page_alloc.c, mm/memory.c, kernel/fork.c
    row(
        Kind.MEMORY,
        "BUG: Bad page state",
        r"BUG: Bad page state\b",
        "BUG: Bad page state{where}",
        _O,
        Where.BARE,
        skip=r"^_*(?:free|put)_|alloc|^page_frag|^get_page|^release_pages",
    ),
    row(
        Kind.MEMORY,
        "BUG: Bad ",
        r"BUG: Bad (?P<what>page map|page cache|rss-counter state|swap)\b",
        "BUG: Bad {what}",
        _O,
    ),
    row(
        Kind.MEMORY,
        "BUG",
        r"BUG: non-zero (?P<what>\w+) on freeing mm",
        "BUG: non-zero {what} on freeing mm",
        _O,
    ),
    # mm/page_alloc.c, warn_alloc()
    row(
        Kind.MEMORY,
        "page allocation failure",
        r"\S.{0,15}: page allocation failure: order:(?P<order>\d+), mode:",
        "page allocation failure: order:{order}",
        _W,
    ),
    # mm/slub.c, slab_bug(); the object's history, when dropped messages ate the line above
    row(
        Kind.MEMORY,
        "BUG",
        r"BUG (?P<cache>\S+) \((?:Not tainted|Tainted)[^)]*\): (?P<what>(?!kasan: bad access).*)",
        "BUG: {what}",
        _O,
    ),
    row(Kind.MEMORY, "INFO:", r"INFO: (?P<what>(?:Freed|Allocated) in .*)", "INFO: {what}", _O, stamped=True),
    row(
        Kind.MEMORY,
        "BUG",
        r"BUG: Dentry \S.* still in use \(-?\d+\)\s+\[unmount of (?P<fs>.*)\]",
        "BUG: Dentry still in use [unmount of {fs}]",
        _O,
    ),
    # fs/super.c
    row(
        Kind.MEMORY,
        "VFS: Busy inodes",
        r"VFS: Busy inodes after unmount of ",
        "VFS: Busy inodes after unmount (use-after-free)",
        _O,
    ),
)

PANICS: tuple[Format, ...] = (
    # kernel/panic.c and its callers; the reason is cut where the caller's data begin
    row(
        Kind.PANIC,
        "Kernel panic",
        r"Kernel panic - not syncing: (?P<what>Attempted to kill init!|Fatal exception|System is deadlocked on memory)",
        "kernel panic: {what}",
        _P,
    ),
    row(
        Kind.PANIC,
        "Kernel panic",
        r"Kernel panic - not syncing: Out of memory",
        "kernel panic: System is deadlocked on memory",
        _P,
    ),
    # kernel/panic.c, check_panic_on_warn(): the origin (kernel, KASAN, UBSAN ...) stands in front in 5.10, 6.1 and 6.12
    row(
        Kind.PANIC,
        "Kernel panic",
        r"Kernel panic - not syncing: (?:\w+: )?(?P<what>panic_on_warn set)",
        "kernel panic: {what}",
        _P,
    ),
    row(
        Kind.PANIC,
        "Kernel panic",
        r"Kernel panic - not syncing: (?P<what>Couldn't open N_TTY ldisc)",
        "kernel panic: {what}",
        _P,
    ),
    row(
        Kind.PANIC,
        "Kernel panic",
        r"Kernel panic - not syncing: corrupted stack end detected inside scheduler",
        "kernel panic: corrupted stack end{where}",
        _P,
        Where.STALL,
    ),
    row(
        Kind.PANIC,
        "Kernel panic",
        r"Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in: (?:\[<)?(?![0-9a-f]{8,16}\b)"
        rf"{FUNCTION}",
        "kernel panic: stack is corrupted in {function}",
        _P,
        Where.GIVEN,
    ),
    row(
        Kind.PANIC,
        "Kernel panic",
        r"Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in",
        "kernel panic: stack is corrupted{where}",
        _P,
        Where.TRACE,
        skip="^__stack_chk_fail",
    ),
    row(Kind.PANIC, "Kernel panic", r"Kernel panic - not syncing: (?P<what>.*)", "kernel panic: {what}", _P),
    row(Kind.PANIC, "Kernel panic", r"Kernel panic(?: -|:) (?P<what>.*)", "kernel panic: {what}", _P, stamped=True),
)

# The last of all rows: any other BUG of the kernel.
OTHERS: tuple[Format, ...] = (
    row(
        Kind.BUG,
        "BUG: using ",
        r"BUG: using (?P<what>\w+)(?:\(\))? in preemptible",
        "BUG: using {what}() in preemptible code{where}",
        _O,
        Where.TRACE,
        skip=_PREEMPT,
    ),
    # A report's first word, cut off from the rest by another message
    row(Kind.BUG, "BUG", r"BUG:\s*$", "BUG: corrupted", _O),
    row(Kind.BUG, "INFO:", r"INFO:\s*$", "INFO: corrupted", _W),
    row(Kind.WARNING, "WARNING:", r"WARNING:\s*$", "WARNING: corrupted", _W, stamped=True),
    row(Kind.BUG, "BUG", r"BUG: (?P<what>[A-Za-z].*)", "BUG: {what}", _O, stamped=True),
)
