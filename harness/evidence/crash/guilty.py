"""Which function of a report is to blame.

A backtrace begins with what printed it and ends with what every task runs. Between them one function is the caller's
choice of words for the bug; which one depends on the kind of report, and the ways are the members of Where.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.evidence.crash.messages import Message
from harness.evidence.crash.skip import is_generic
from harness.evidence.crash.trace import FIRMWARE, Item, Mark, items, plain
from harness.evidence.ranges import PAGE_BYTES


class Where(StrEnum):
    """Where a report names its function."""

    NOWHERE = "nowhere"
    GIVEN = "given"
    """In the line itself."""
    TRACE = "trace"
    """The first frame that is not generic, in the first backtrace."""
    BARE = "bare"
    """The same, but the first backtrace has no header."""
    STALL = "stall"
    """Below what dispatches: loops are seen at any of their places, so the innermost frame would differ each time."""
    LOCKUP = "lockup"
    """The same, where the backtrace is that of the processor which loops, without the interrupt that noticed it."""
    HANG = "hang"
    """The first frame that is not waiting."""
    LOCK = "lock"
    """Where the lock was to be taken, as lockdep says it."""
    DEPENDENCY = "dependency"
    """Where the lock became one that interrupts take: the first backtrace, before the one of today."""
    WORK = "work"
    """The function of the work item, as the workqueue says it."""
    HELD = "held"
    """Where a lock was taken that nobody released."""


@dataclass(frozen=True)
class Blame:
    function: str
    """Empty: the report has a backtrace that tells nothing, or none."""
    frames: tuple[str, ...]
    innermost: str
    """The first function of the backtrace, be it as generic as it may."""
    traced: bool
    """There was some backtrace."""


_SYSCALL = re.compile(r"^__(?:x64|ia32|x32|arm64|riscv|s390x?|powerpc|loongarch|se|do)_(?:compat_)?sys_(?=[a-z])")
_KERNEL_SYSCALL = re.compile(r"^ksys_(?=[a-z])")


def syscall_name(function: str) -> str:
    """A system call without its wrappers: ``__x64_sys_mount`` is ``sys_mount``, ``ksys_mount`` is ``mount``."""
    return _KERNEL_SYSCALL.sub("", _SYSCALL.sub("sys_", function))


def blame(where: Where, messages: Sequence[Message], also_generic: str = "") -> Blame:
    """The function to blame in the messages that follow a report's first line.

    ``also_generic`` is a pattern of further functions to pass over.
    """
    found = tuple(items(messages))
    more = re.compile(also_generic) if also_generic else None

    def generic(function: str) -> bool:
        return is_generic(function) or (more is not None and more.search(function) is not None)

    function, chain = _WAYS[where](found, generic)
    if where is Where.TRACE and _in_firmware(messages):
        function, chain = FIRMWARE, [FIRMWARE, *chain]
    if where is Where.LOCK or (where is Where.DEPENDENCY and not function):
        function = _taken(messages, _TAKING, generic) or function or _any_taken(messages)
    elif where is Where.HELD:
        function = _taken(messages, _HOLDING, generic) or function
    elif where is Where.WORK:
        function = next((match[1] for message in messages[:8] if (match := _LAST_FUNCTION.search(message.text))), "")
    innermost = syscall_name(chain[0]) if chain else ""
    return Blame(syscall_name(function), _frames(chain), innermost, any(item.mark is Mark.FRAME for item in found))


def _frames(chain: Sequence[str]) -> tuple[str, ...]:
    return tuple(syscall_name(function) for function in chain if not is_generic(function))


_PLACE = re.compile(r"(?:RIP:? +(?:[0-9a-f]{4}:)?|EIP:? |EIP is at |pc : |epc ?: |PC is at )")
_NO_SYMBOL = re.compile(
    r"(?:RIP:? +(?:0010:|0008:)?|EIP:? (?:0060:)?|pc : |epc ?: )\s*(?:\[<[0-9a-f]+>\]\s*){0,2}"
    r"0x(?P<address>[0-9a-f]{1,16})$"
)
_CALLS_FIRMWARE = re.compile(
    r"\b_*(?:efi(?:64)?_(?:call|thunk|rts)|efi_call_rts|virt_efi_|efi_enter_virtual|arch_efi_call)\w*"
)
_REGISTERS = 60
"""So many messages behind its place, the backtrace of a fault has begun."""


def _in_firmware(messages: Sequence[Message]) -> bool:
    """Whether the processor was at an address that no symbol names, and a call of EFI runtime services led there.

    Until 4.20 or so, and before SetVirtualAddressMap, firmware runs where it lies; a jump to zero is nobody's code.
    """
    for index, message in enumerate(messages[:_REGISTERS]):
        if _PLACE.match(message.text) is None:
            continue
        place = _NO_SYMBOL.match(message.text)  # a later place is that of who was interrupted
        behind = messages[index + 1 : index + _REGISTERS]
        return (
            place is not None
            and int(place["address"], 16) > _NULL_PAGE
            and any(_CALLS_FIRMWARE.search(item.text) for item in behind)
        )
    return False


_NULL_PAGE = PAGE_BYTES

Generic = Callable[[str], bool]


def _trace(found: Sequence[Item], generic: Generic) -> tuple[str, Sequence[str]]:
    chain = _first_trace(found)
    return next((function for function in chain if not generic(function)), ""), chain


def _bare(found: Sequence[Item], generic: Generic) -> tuple[str, Sequence[str]]:
    chain = _until_section(found)
    return next((function for function in chain if not generic(function)), ""), chain


def _first_trace(found: Sequence[Item]) -> list[str]:
    """Where the processor was, and the frames behind the first header; without a header all frames."""
    header = next((index for index, item in enumerate(found) if item.mark is Mark.HEADER), None)
    if header is None:
        return _until_section(found)
    before = [item.function for item in found[:header] if item.mark is Mark.PC]
    return before + _until_section(found[header + 1 :])


_INJECTED = re.compile(r"should_fail")


def _until_section(found: Sequence[Item]) -> list[str]:
    """Functions up to user space, another section or another backtrace; marks before the first frame do not count."""
    chain: list[str] = []
    frames = 0
    for item in found:
        if item.mark in (Mark.PC, Mark.FRAME):
            chain.append(item.function)
            frames += item.mark is Mark.FRAME
        elif frames and item.mark in (Mark.SECTION, Mark.HEADER, Mark.USER):
            break
    # The backtrace of an injected failure is another task's, or of another time; whose the next one is cannot be told.
    return [] if any(map(_INJECTED.search, chain)) else chain


_INTERRUPT = re.compile(
    r"apic_timer_interrupt|^(?:__irq_svc|el1_irq|el1h_64_irq|timer_interrupt|handle_irq$|do_riscv_irq|smp_trace_apic)"
    r"|^(?:arch_irq_work|decrementer_common|gic_handle_irq|el1_interrupt|handle_riscv_irq)"
)
_STARVED = re.compile(r"^rcu_(?:gp_(?:kthread|fqs_loop)|tasks_kthread)")
_DISPATCH = re.compile(
    # timers, softirqs, work, threads
    r"^(?:call_timer_fn|expire_timers|__?run_timers?|run_timer_softirq|__run_hrtimer|__hrtimer_run_queues"
    r"|hrtimer_run_softirq|tasklet_\w*action\w*|__do_softirq|__softirqentry_text_start|handle_softirqs|do_softirq"
    r"|process_one_work|process_scheduled_works|kthread_worker_fn|kthread|ret_from_fork\w*|run_ksoftirqd|task_work_run"
    r"|rcu_do_batch|rcu_core|irq_work_run\w*|blk_done_softirq|net_[rt]x_action"
    # interrupts between processors, packets
    r"|(?:generic_)?smp_call_function\w*|__?netif_receive_skb\w*|netif_receive_skb\w*|__napi_poll|napi_poll"
    # files, memory, executables
    r"|_*vfs_(?:read|write|ioctl|writev|readv|iter_\w+)|do_vfs_ioctl|do_iter_\w+|\w*sys_ioctl|(?:compat_)?S[Yy]SC?_ioctl|do_readv\w*|new_sync_(?:read|write)"
    r"|do_loop_readv\w*|blkdev_ioctl|__blkdev_driver_ioctl|compat_blkdev\w*|(?:kernel|do|__kernel)_(?:read|write)v?|mmap_region|__mmap_region|search_binary_handler"
    r"|__fput"
    # sockets and netlink
    r"|do_dentry_open|vfs_open|_*sock_release|sk_common_release|_*sys_(?:[gs]etsockopt|connect|listen|accept4?|socketpair)"
    r"|smpboot_thread_fn|cpu_startup_entry|start_secondary|exit_to_user\w*"
    r"|sock_common_\w+|sock_(?:ioctl|do_ioctl|read_iter|write_iter)|_*sock_(?:sendmsg|recvmsg)\w*|_*sys_(?:sendmsg|recvmsg|sendto)"
    r"|nfnetlink_rcv\w*|netlink_(?:dump|rcv_skb|unicast|sendmsg)|__netlink_dump_start|genl_\w+|rtnetlink_rcv\w*"
    # the border of user space
    r"|do_(?:fast_)?syscall_\w+|do_int80\w*|x64_sys_call|ia32_sys_call|entry_\w+|sysenter_\w+|stub_\w+|tracesys\w*"
    r"|system_call\w*|ret_fast_syscall\w*|ret_to_user\w*|el0_svc\w*|do_el0_svc|invoke_syscall|syscall_handler"
    r"|do_trap_ecall_u|ret_from_syscall\w*|cstar_dispatch|ia32_sysret\w*|int_ret_from\w*|do_syscall|syscall_exception)$"
)
# Where user space touched memory: the way in when no system call was.
_USER_FAULT = re.compile(r"^_*(?:handle_mm_fault|do_fault|do_page_fault|do_user_addr_fault|page_fault)$")
_MANY_CPUS = re.compile(r"^(?:generic_)?smp_call_function")


def _stall(found: Sequence[Item], _generic: Generic) -> tuple[str, Sequence[str]]:
    """Below the innermost dispatcher outside the interrupt that noticed the stall."""
    chains = [chain for chain in _chains(found) if not any(_STARVED.search(function) for function in chain)]
    # Tasks that wait may be shown before the processor that does not.
    chain = next((chain for chain in chains if chain != ["__switch_to"]), [])
    last = _interrupted(chain)
    if last < 0 and where_it_waited(chain):
        return "", chain
    outside = _below_dispatcher(chain[last + 1 :])
    if last > 0 and (not outside or _PLUMBING.search(outside)):
        # An idle processor, or a thread that only waits: the loop is in the interrupt's own work.
        return _below_dispatcher(chain[:last]) or outside, chain
    return outside, chain


# What runs in the interrupt that notices a stall.
_NOTICES = re.compile(r"tick|update_process_times|^rcu_|watchdog|nmi_|hrtimer|show_stack|dump_stack|sched_show")


def _interrupted(chain: Sequence[str]) -> int:
    """The index of the outermost frame of the interrupt that noticed the stall; -1 where the backtrace has none.

    Behind it, an interrupt may be what loops. Where nothing tells which it was, all are taken for it.
    """
    hits = [index for index, function in enumerate(chain) if _INTERRUPT.search(function)]
    if not hits:
        return -1
    notices = [index for index, function in enumerate(chain) if _NOTICES.search(function)]
    if not notices or notices[0] > hits[0]:
        return hits[-1]
    end = next((index for index in hits if index > notices[0]), hits[-1])
    while end + 1 in hits or (end + 1 < len(chain) and _NOTICES.search(chain[end + 1])):
        end += 1
    return end


def _lockup(found: Sequence[Item], generic: Generic) -> tuple[str, Sequence[str]]:
    chain = _first_trace(found)
    if any(_NOTICES.search(function) for function in chain):
        return _stall(found, generic)
    inside = _below_dispatcher(chain)
    return (inside, chain) if inside and not where_it_waited(chain) else _stall(found, generic)


_PLUMBING = re.compile(
    r"^(?:kthread|smpboot_|worker_thread|ksoftirqd|run_ksoftirqd|cpu_|do_idle|default_idle|arch_cpu_idle)"
)


def _below_dispatcher(chain: Sequence[str]) -> str:
    """The function that something dispatched, or that user space reached by touching memory; empty: there is none."""
    chain = [function for function in chain if "rcu" not in function]
    for index, function in enumerate(chain):
        if _MANY_CPUS.search(function):
            return "smp_call_function"
        if index and _DISPATCH.search(function):
            below = chain[index - 1]
            if index > 1 and below.replace("compat_", "") == chain[index - 2]:
                return chain[index - 2]
            return below
    return next((below for below, function in itertools.pairwise(chain) if _USER_FAULT.search(function)), "")


def where_it_waited(chain: Sequence[str]) -> bool:
    """Whether a backtrace begins in the scheduler: the task was preempted, so the loop is somewhere else."""
    return bool(chain) and chain[0] in ("__schedule", "schedule", "context_switch", "__switch_to")


def _chains(found: Sequence[Item]) -> list[list[str]]:
    """Every backtrace of the report, each from its own header (or the place of the processor before it)."""
    chains: list[list[str]] = [[]]
    framed = False
    for item in found:
        if item.mark in (Mark.HEADER, Mark.SECTION, Mark.USER):
            if framed:
                chains.append([])
            framed = False
        else:
            chains[-1].append(item.function)
            framed = framed or item.mark is Mark.FRAME
    return [chain for chain in chains if chain]


# Everything waits for these; the first pattern that fits gives the bucket's name, or, when empty, the function's own.
_BUCKETS: Mapping[str, str] = {
    r"^_*rtnl_lock": "",
    r"synchronize_(?:rcu|srcu|net|sched)": "synchronize_rcu",
}
_WAITING = re.compile(
    r"sched|^do_read_cache_|_lock|lock_|_slowlock|slowpath|down_|^down|rwsem|rwbase|mutex|semaphore|completion|kthread|wait|synchronize"
    r"|context_switch|__switch_to|cancel_(?:delayed_)?work|rcu_barrier|^__flush_work|^flush_work|^io_|preempt"
    r"|percpu_ref|get_signal|^trace_|ret_from_fork|^worker_thread|^process_one_work|^do_raw|freez"
)


def _hang(found: Sequence[Item], generic: Generic) -> tuple[str, Sequence[str]]:
    chain = _first_trace(found)
    for function in chain:
        for pattern, bucket in _BUCKETS.items():
            if re.search(pattern, function):
                return bucket or function, chain
    return next((function for function in chain if not _WAITING.search(function) and not generic(function)), ""), chain


_LAST_FUNCTION = re.compile(r"last function: ([A-Za-z_]\w*)")
_TAKING = re.compile(
    r"task is already holding|just changed the state of lock|is trying to (?:acquire|release)(?: lock)?|\btakes:$"
    r"|is freeing memory .* with a lock still held"
)
_HOLDING = re.compile(r"\d+ locks? held by ")
_AT = re.compile(
    r".*\bat: (?:\[<[0-9a-f]+>\] )?(?P<function>[A-Za-z_][\w.]*)(?:\+0x|\s+\S+:\d+|$)"
    r"|\s*\[<[0-9a-f]+>\] (?P<bare>[A-Za-z_][\w.]*)\+0x"
)


def _taken(messages: Sequence[Message], head: re.Pattern[str], generic: Generic) -> str:
    """The function in which lockdep saw the lock taken; empty when each that it names is a wrapper of some lock."""
    for index, message in enumerate(messages[:60]):
        if head.search(message.text):
            for follower in messages[index : index + 4]:
                match = _AT.match(follower.text)
                if match and not generic(function := plain(match["function"] or match["bare"])):
                    return function
    return ""


def _any_taken(messages: Sequence[Message]) -> str:
    """The first function that lockdep names, though it be a wrapper of some lock."""
    return _taken(messages, _TAKING, lambda _function: False)


def _nowhere(_found: Sequence[Item], _generic: Generic) -> tuple[str, Sequence[str]]:
    return "", _first_trace(_found)


_WAYS: Mapping[Where, Callable[[Sequence[Item], Generic], tuple[str, Sequence[str]]]] = {
    Where.NOWHERE: _nowhere,
    Where.GIVEN: _nowhere,
    Where.TRACE: _trace,
    Where.BARE: _bare,
    Where.STALL: _stall,
    Where.LOCKUP: _lockup,
    Where.HANG: _hang,
    Where.LOCK: _trace,
    Where.DEPENDENCY: _bare,
    Where.HELD: _trace,
    Where.WORK: _trace,
}
