"""Crash formats of the kernel: lockdep, lock debugging, RCU, hangs, WARNING."""

from __future__ import annotations

from harness.evidence.crash.formats.table import FUNCTION, Format, row
from harness.evidence.crash.formats.values import Kind, Severity
from harness.evidence.crash.guilty import Where

_O, _W = Severity.OOPS, Severity.WARNING
_RUNNING = r"(?:(?:NMI )?watchdog: )?"
# Lockdep wrote, until 4.10 or so, "[ INFO: ... ]", then "WARNING: ..." since; some checks write "[ BUG: ... ]".
_HEAD = r"(?:WARNING: |\[ (?:INFO|BUG): |BUG: )"

LOCKDEP: tuple[Format, ...] = (
    # kernel/locking/lockdep.c
    row(
        Kind.LOCKDEP,
        ("WARNING:", "INFO:", "BUG"),
        rf"{_HEAD}(?:HARD|SOFT)IRQ-safe -> (?:HARD|SOFT)IRQ-unsafe lock order detected",
        "possible deadlock{where}",
        _W,
        Where.DEPENDENCY,
        unnamed="{said}",
    ),
    row(
        Kind.LOCKDEP,
        ("WARNING:", "INFO:", "BUG"),
        rf"{_HEAD}possible (?:circular locking dependency|recursive locking|irq lock inversion dependency) detected",
        "possible deadlock{where}",
        _W,
        Where.LOCK,
        unnamed="{said}",
    ),
    row(
        Kind.LOCKDEP,
        ("WARNING:", "INFO:", "BUG"),
        rf"{_HEAD}inconsistent lock state",
        "inconsistent lock state{where}",
        _W,
        Where.LOCK,
        unnamed="{said}",
    ),
    row(
        Kind.LOCKDEP,
        ("WARNING:", "INFO:", "BUG"),
        r"(?:\[ )?(?P<head>BUG|WARNING): bad (?P<what>unlock|contention) balance detected",
        "{head}: bad {what} balance{where}",
        _W,
        Where.TRACE,
    ),
    row(
        Kind.LOCKDEP,
        ("WARNING:", "INFO:", "BUG"),
        r"(?:\[ )?(?P<head>BUG|WARNING): held lock freed",
        "{head}: held lock freed{where}",
        _W,
        Where.LOCK,
    ),
    row(
        Kind.LOCKDEP,
        ("WARNING:", "INFO:", "BUG"),
        rf"{_HEAD}Nested lock was not taken",
        "WARNING: nested lock was not taken{where}",
        _W,
        Where.TRACE,
    ),
    row(
        Kind.LOCKDEP,
        ("WARNING:", "INFO:", "BUG"),
        r"(?:\[ )?(?P<head>BUG|WARNING): lock held when returning to user space",
        "{head}: lock held when returning to user space{where}",
        _W,
        Where.HELD,
    ),
    row(
        Kind.LOCKDEP,
        ("WARNING:", "INFO:", "BUG"),
        r"(?:\[ )?(?P<head>BUG|WARNING): (?:\S+/\d+ )?still has locks held",
        "{head}: still has locks held{where}",
        _W,
        Where.HELD,
    ),
    row(
        Kind.LOCKDEP,
        ("WARNING:", "INFO:", "BUG"),
        rf"{_HEAD}Invalid wait context",
        "WARNING: locking bug{where}",
        _W,
        Where.TRACE,
    ),
    row(
        Kind.LOCKDEP,
        "INFO:",
        r"INFO: trying to register non-static key",
        "INFO: trying to register non-static key{where}",
        _W,
        Where.TRACE,
    ),
    row(
        Kind.RCU,
        "WARNING:",
        r"WARNING: suspicious RCU usage",
        "WARNING: suspicious RCU usage{where}",
        _W,
        Where.TRACE,
        skip=r"rcu",
        unnamed="{said}",
    ),
    row(
        Kind.RCU,
        "INFO:",
        r"\[ INFO: suspicious RCU usage",
        "INFO: suspicious RCU usage{where}",
        _W,
        Where.TRACE,
    ),
    # kernel/locking/spinlock_debug.c
    row(
        Kind.LOCKING,
        "BUG",
        r"BUG: (?P<what>(?:spinlock|rwlock|\w+-lock|rtmutex) (?:lockup suspected|already unlocked|recursion|bad magic"
        r"|wrong owner|wrong CPU|cpu recursion|trylock failure on UP|uninitialized))",
        "BUG: {what}{where}",
        _O,
        Where.TRACE,
    ),
    # kernel/sched/core.c
    row(
        Kind.ATOMIC,
        "BUG",
        r"BUG: scheduling while atomic",
        "BUG: scheduling while atomic{where}",
        _O,
        Where.TRACE,
        skip=r"schedul|^preempt_|resched",
    ),
    row(
        Kind.ATOMIC,
        "BUG",
        r"BUG: sleeping function called from invalid context at (?P<file>\S+?):\d+",
        "BUG: sleeping function called from invalid context{where}",
        _W,
        Where.TRACE,
        skip=r"resched|^_?lock_sock",
        alone="BUG: sleeping function called from invalid context in {file}",
    ),
    row(
        Kind.ATOMIC,
        "BUG",
        r"BUG: assuming (?P<what>\w[\w ]*) context at ",
        "BUG: assuming {what} context{where}",
        _W,
        Where.TRACE,
    ),
)

HANGS: tuple[Format, ...] = (
    # kernel/watchdog.c
    row(
        Kind.HANG,
        "BUG",
        rf"{_RUNNING}BUG: soft lockup - CPU#\d+ stuck",
        "BUG: soft lockup{where}",
        _W,
        Where.LOCKUP,
    ),
    row(
        Kind.HANG,
        "LOCKUP",
        rf"{_RUNNING}(?:CPU ?\d+: )?Watchdog detected hard LOCKUP on cpu",
        "hard LOCKUP{where}",
        _W,
        Where.LOCKUP,
    ),
    # kernel/workqueue.c, process_one_work()
    row(
        Kind.ATOMIC,
        "BUG",
        r"BUG: workqueue leaked (?P<what>[^:]+):",
        "BUG: workqueue leaked {what}{where}",
        _O,
        Where.WORK,
    ),
    row(Kind.HANG, "BUG", r"BUG: workqueue lockup - pool", "BUG: workqueue lockup", _W),
    # kernel/rcu/tree_stall.h, tree_exp.h, tasks.h
    row(
        Kind.HANG,
        "INFO:",
        r"(?:rcu: )?INFO: rcu_\w+ (?:self-)?detected (?:expedited )?stalls? on (?:CPU|tasks)",
        "INFO: rcu detected stall{where}",
        _W,
        Where.STALL,
    ),
    # kernel/hung_task.c
    row(
        Kind.HANG,
        "INFO:",
        r"INFO: task \S.* blocked (?:in I/O wait )?(?:on an? .*? )?for more than \d+ seconds",
        "INFO: task hung{where}",
        _W,
        Where.HANG,
    ),
    row(
        Kind.HANG,
        "INFO:",
        r"INFO: task \S.* can't die for more than \d+ seconds",
        "INFO: task can't die{where}",
        _W,
        Where.HANG,
    ),
    # net/core/dev.c, netdev_wait_allrefs()
    row(
        Kind.HANG,
        "to become free",
        r"unregister_netdevice: waiting for \S+ to become free",
        "unregister_netdevice: waiting for DEV to become free",
        _W,
        stamped=True,
    ),
)

# kernel/panic.c, __warn(): until 6.18, and the other way round since 6.19 (28ea295f941e).
# 7.0 or so puts the condition in front, in brackets.
_WARNING = r"WARNING: (?:\[.*\] )?(?:CPU: \d+ PID: \d+ (?:Comm: .* )?at )?"
# Words behind WARNING: that tell of a setting, a build or the machine, and of nothing that went wrong.
_REMARKS = (
    r"(?i:.*deprecat|.*screen: Driver|fbcon: Driver|\S+ uses wireless extensions|workqueue cpumask|polling idle"
    r"|kernel not compiled|'bootconfig' found|CPU does not support|BIOS bug: CPU MTRR|.*mitigation|Unprivileged eBPF"
    r"|Spectre)"
)
_LIBRARY = (
    # (source file and perhaps function, title, functions of the library)
    (r"lib/debugobjects\.c", "WARNING: ODEBUG bug{where}", r"^__?debug_|timer|free$|call_rcu|vunmap|_work$"),
    (r"lib/refcount\.c|include/linux/refcount\.h", "WARNING: refcount bug{where}", r"refcount|kobject_|kref"),
    (r"lib/kobject\.c", "WARNING: kobject bug{where}", r"kobject_|^device_add|kset_"),
    (r"fs/proc/generic\.c", "WARNING: proc registration bug{where}", r"proc_|remove_proc"),
    (
        r"mm/(?:slab_common|util|slub|slab)\.c:\d+ (?:at )?(?:__)?k\w?malloc",
        "WARNING: kmalloc bug{where}",
        r"alloc|dup|^__kmalloc|get_free_pages",
    ),
    (r"mm/vmalloc\.c:\d+ (?:at )?\S*vmalloc", "WARNING: zero-size vmalloc{where}", r"vmalloc|vzalloc|kvm?alloc"),
    (
        r"kernel/locking/lockdep\.c:\d+ (?:at )?\S*(?:lock_|hlock)",
        "WARNING: locking bug{where}",
        r"^(?:lock|release)_sock|lock_",
    ),
)

WARNINGS: tuple[Format, ...] = (
    # drivers/usb/core/urb.c: the driver that submits is to blame, and the title keeps both
    row(
        Kind.WARNING,
        "WARNING:",
        rf"{_WARNING}drivers/usb/core/urb\.c:\d+ (?:at )?usb_submit_urb",
        "WARNING{where}/usb_submit_urb",
        _W,
        Where.TRACE,
        skip=r"^usb_(?:submit_urb|start_wait_urb|bulk_msg|interrupt_msg|control_msg|internal_control)",
    ),
    row(
        Kind.WARNING,
        "WARNING:",
        rf"{_WARNING}mm/usercopy\.c:\d+ (?:at )?usercopy_warn",
        "WARNING: bad usercopy{where}",
        _W,
        Where.TRACE,
    ),
    *(
        row(Kind.WARNING, "WARNING:", rf"{_WARNING}(?:{path})", title, _W, Where.TRACE, skip=skip)
        for path, title, skip in _LIBRARY
    ),
    row(
        Kind.WARNING,
        "WARNING:",
        rf"WARNING: CPU: \d+ PID: \d+ (?:Comm: .* )?(?:at (?:\S+:\d+ )?{FUNCTION})?",
        "WARNING{where}",
        _W,
        Where.TRACE,
    ),
    row(
        Kind.WARNING,
        "WARNING:",
        rf"WARNING: (?:\[.*\] )?(?:\S+:\d+ )?at (?:{FUNCTION}|\S)",
        "WARNING{where}",
        _W,
        Where.TRACE,
    ),
    # arch/x86/kernel/unwind_frame.c, unwind_orc.c
    row(
        Kind.WARNING,
        "WARNING:",
        r"WARNING: kernel stack (?P<what>regs|frame pointer) at .* has bad (?:'\w+' )?value",
        "WARNING: kernel stack {what} has bad value",
        _W,
        stamped=True,
    ),
    row(
        Kind.WARNING,
        "WARNING:",
        r"WARNING: (?P<what>stack (?:going in the wrong direction|recursion))",
        "WARNING: {what}",
        _W,
        stamped=True,
    ),
    # Any other that the kernel itself prints, or a driver with its device in front; healthy kernels print some
    row(
        Kind.WARNING,
        "WARNING:",
        rf"WARNING: (?!{_REMARKS})(?P<what>[A-Za-z'`].*)",
        "WARNING: {what}",
        _W,
        stamped=True,
    ),
    row(
        Kind.WARNING,
        "WARNING:",
        r"[a-z][\w-]* \d[\w.:-]*: WARNING: (?P<what>[A-Za-z].*)",
        "WARNING: {what}",
        _W,
    ),
)
