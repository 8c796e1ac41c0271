"""What a kernel may still change in its own memory between reporting a panic and the jump to the capture kernel.

A sample taken when the panic is reported (pvpanic, or the console's first line) is a little early: the kernel goes on
to print, to stop the other CPUs, to save their registers and to leave its message for the capture kernel
(panic(), __crash_kexec(), native_machine_crash_shutdown()). Until they are stopped the other CPUs run and tick.

After the jump next to nothing is: the capture kernel lives in its own region, and makedumpfile only reads. A sample
taken when the capture kernel has begun to speak (its first console line) must be equal, on any number of CPUs; that is
the stronger test of the dump, and the first sample that of what happened on the way.

Each entry was seen to change on 5.10, 6.1, 6.12 and 7.2, or follows from the functions named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from harness.evidence.code.symbols import SymbolTable
from harness.evidence.defect import Defect
from harness.evidence.ranges import PAGE_BYTES, Range, align_down, merged
from harness.evidence.vmcore.dump import Dump
from harness.evidence.vmcore.truth import Lawful
from harness.evidence.vmcoreinfo import VmcoreInfo

STACK_BYTES = 16 * 1024
"""THREAD_SIZE of x86-64 without KASAN."""
LOW_BYTES = 1 << 20
_NOTES_BYTES = 512
"""A CPU's crash note, rounded up to a power of two (crash_notes_memory_init())."""
_MAX_CPUS = 8192
_RATELIMIT_BYTES = 64
"""struct ratelimit_state has 40, with lock debugging more."""
_MAX_RANGE_BYTES = 64 << 20
_MAX_TASK_BYTES = 64 * 1024

_LOG = "the log: panic() and the functions below it go on printing"
_CONSOLE = "the consoles print what is in the log, and keep how far they got"
_TIME = "timekeeping: the tick goes on until the CPUs are stopped"
_STOP = "stopping the other CPUs by NMI (nmi_shootdown_cpus(), kdump_nmi_shootdown_cpus())"
_JUMP = "crash_kexec() on its way: its lock, CPU and switches"
_APIC = "the interrupt controllers are switched off (native_machine_crash_shutdown())"
_OOPS = "oops_begin() and what it counts"
_NOTE = "crash_save_vmcoreinfo() appends CRASHTIME to VMCOREINFO"
_CPU_NOTE = "crash_save_cpu() writes the CPU's registers"
_PER_CPU = "per-CPU data: run queue, timers, statistics and exception stacks until the CPU is stopped"
_STACK = "the stack of a task that ran on a CPU"
_TASK = "the task that ran on a CPU: its times and flags"
_SCHEDULER = "RCU and the scheduler, driven by the tick"
_DATA = "the kernel's data: there are no symbols to say which"
_LOW = "the first MiB: kexec-tools' purgatory has copied it away, and the capture kernel boots through it"

_REASONS = {
    _LOG: "prb printk_rb_static _printk_rb_static_infos _printk_rb_static_descs __log_buf clear_seq textbuf text "
    "printk_shared_pbufs panic_flush_buf buf",
    _CONSOLE: "console_sem console_seq console_locked console_owner console_owner_lock console_waiter "
    "console_may_schedule console_dropped exclusive_console exclusive_console_stop_seq univ8250_console "
    "serial8250_ports early_serial_console early_com1 panic_console_dropped console_msg_format dropped_text "
    "ext_text dump_lock printk_cpu_sync_owner printk_cpu_sync_nested printk_ringbuffer_lock nbcon_cpu_emergency_cnt "
    "console_printk logbuf_lock console_srcu console_mutex oops_in_progress panic_in_progress",
    _TIME: "jiffies jiffies_64 jiffies_seq jiffies_lock tk_core tk_data timekeeper_data shadow_timekeeper tk_fast_mono "
    "tk_fast_raw _vdso_data vdso_k_time_data vdso_time_data vdso_data_store tick_next_period last_jiffies_update "
    "hpet timekeeper_lock pvclock_gtod_data clocksource_tsc watchdog_timer watchdog_lock tick_do_timer_cpu "
    "tick_broadcast_lock calc_load_update avenrun",
    _STOP: "nmi_desc crashing_cpu crash_ipi_issued shootdown_callback waiting_for_crash_ipi cpus_stopped "
    "virt_rebooting crash_nmi_callback_nb panic_this_cpu_backtrace_printed stopping_cpu smp_no_nmi_ipi "
    "smp_stop_nmi_callback_nb "
    "crash_smp_send_stop_done crash_nmi_lock emergency_virt_callback",
    _JUMP: "__kexec_lock kexec_mutex panic_cpu panic_redirect_cpu panic_try_force_cpu ftrace_enabled old_cpu "
    "panic_on_this_cpu crash_kexec_post_notifiers kexec_crash_loaded tainted_mask panic_blink",
    _APIC: "ioapic_lock i8259A_lock",
    _OOPS: "die_lock die_owner die_nest_count die_counter exec_summary_regs oops_count oops_id warn_count",
    _NOTE: "vmcoreinfo_size vmcoreinfo_data vmcoreinfo_note vmcoreinfo_data_safecopy",
    _SCHEDULER: "rcu_state rcu_sched_data rcu_tasks rcu_exp_gp_kworker init_task init_stack init_thread_union",
}
"""Reason to the names of variables. A compiler's ending (``text.2``) does not count."""
REASON_OF = {name: reason for reason, names in _REASONS.items() for name in names.split()}
"""The reason of each variable."""


def at_panic(dump: Dump, symbols: SymbolTable | None, kernel_data: Sequence[Range] = ()) -> tuple[Lawful, ...]:
    """What may differ from a sample taken when the panic was reported.

    Args:
        symbols: of the crashed kernel, variables included (System.map, vmlinux, or kallsyms with KALLSYMS_ALL), at
            its run-time addresses. None, or functions only: the variables' whole ranges are lawful, but not exact.
        kernel_data: where its variables are: the rows ``Kernel data`` and ``Kernel bss`` of its /proc/iomem. Needed
            without symbols only.
    """
    info = dump.vmcoreinfo
    if isinstance(info, Defect):
        return ()
    found = [*_log(dump, info), *_stacks(dump)]
    if symbols is not None and symbols.address("jiffies") is not None:
        found += _variables(dump, symbols)
        found += _ratelimits(dump, symbols)
        found += _vmcoreinfo_pages(dump, symbols)
        found += _per_cpu(dump, symbols)
    else:
        found += [Lawful(item, _DATA, exact=False) for item in kernel_data]
    return tuple(found)


def at_capture(dump: Dump) -> tuple[Lawful, ...]:
    """What may differ from a sample taken when the capture kernel had printed its first line.

    Only a dump whose ELF headers kexec-tools wrote (kexec_load) holds pages below 1 MiB; it shows what the purgatory
    copied to its backup region (purgatory/arch/i386/crashdump_backup.c). The sample taken at the panic covers them.
    """
    low = Range(0, LOW_BYTES)
    return (Lawful(low, _LOW),) if any(item.overlaps(low) for item in dump.ranges) else ()


def _physical(dump: Dump, address: int, size: int, reason: str, *, exact: bool = True) -> Iterator[Lawful]:
    """A virtual range as physical ones; pages that are not mapped are no memory that could differ."""
    pages: list[Range] = []
    end = address + min(size, _MAX_RANGE_BYTES)
    while address < end:
        step = min(end, align_down(address, PAGE_BYTES) + PAGE_BYTES) - address
        physical = dump.physical(address)
        if not isinstance(physical, Defect):
            pages.append(Range.sized(physical, step))
        address += step
    return (Lawful(item, reason, exact) for item in merged(pages))


def _pointer(dump: Dump, address: int | None) -> int | None:
    data = None if address is None else dump.read_virtual(address, 8)
    return int.from_bytes(data, "little") if isinstance(data, bytes) else None


def _log(dump: Dump, info: VmcoreInfo) -> Iterator[Lawful]:
    """The ring buffer, by VMCOREINFO alone."""
    prb = _pointer(dump, info.symbol("prb"))
    if prb is None:
        return
    yield from _physical(dump, prb, info.size("printk_ringbuffer") or 0, _LOG)
    rings = (
        ("desc_ring", "prb_desc_ring", "count_bits", (("descs", "prb_desc"), ("infos", "printk_info"))),
        ("text_data_ring", "prb_data_ring", "size_bits", (("data", ""),)),
    )
    for member, struct, bits, arrays in rings:
        ring = prb + (info.offset(f"printk_ringbuffer.{member}") or 0)
        order = (_pointer(dump, ring + (info.offset(f"{struct}.{bits}") or 0)) or 0) % 2**32
        for name, item in arrays:
            start = _pointer(dump, ring + (info.offset(f"{struct}.{name}") or 0))
            size = (info.size(item) or 0) if item else 1
            if start is not None and order <= 26:
                yield from _physical(dump, start, size << order, _LOG)


def _stacks(dump: Dump) -> Iterator[Lawful]:
    for cpu in dump.notes:
        stack = align_down(cpu.registers["rsp"], STACK_BYTES)
        yield from _physical(dump, stack, STACK_BYTES, _STACK)


def _ratelimits(dump: Dump, symbols: SymbolTable) -> Iterator[Lawful]:
    """The state of each pr_*_ratelimited(): a static ``_rs`` in every function that has one, so many of one name."""
    for number, name in enumerate(symbols.names):
        if name == "_rs" or name.startswith("_rs."):
            start = symbols.addresses[number]
            end = next((address for address in symbols.addresses[number + 1 :][:8] if address > start), start)
            yield from _physical(dump, start + symbols.shift, min(end - start, _RATELIMIT_BYTES), _LOG)


def _variables(dump: Dump, symbols: SymbolTable) -> Iterator[Lawful]:
    for name, linked in zip(symbols.names, symbols.addresses, strict=True):
        reason = REASON_OF.get(re.sub(r"\.\d+$", "", name))
        address = linked + symbols.shift
        place = symbols.find(address) if reason is not None else None
        if reason is not None and place is not None:
            yield from _physical(dump, address, place.size_bytes, reason)


def _vmcoreinfo_pages(dump: Dump, symbols: SymbolTable) -> Iterator[Lawful]:
    for name in ("vmcoreinfo_note", "vmcoreinfo_data"):
        page = _pointer(dump, symbols.address(name))
        if page is not None:
            yield from _physical(dump, page, PAGE_BYTES, _NOTE)


def _per_cpu(dump: Dump, symbols: SymbolTable) -> Iterator[Lawful]:
    offsets = symbols.address("__per_cpu_offset")
    start, end = symbols.address("__per_cpu_start"), symbols.address("__per_cpu_end")
    notes = _pointer(dump, symbols.address("crash_notes"))
    current = symbols.address("current_task") or symbols.address("pcpu_hot")
    task = symbols.range("init_task")
    if offsets is None or start is None or end is None:
        return
    for cpu in range(min(len(dump.notes), _MAX_CPUS)):
        offset = _pointer(dump, offsets + 8 * cpu)
        if offset is None:
            continue
        yield from _physical(dump, (start + offset) % 2**64, end - start, _PER_CPU)
        if notes is not None:
            yield from _physical(dump, (notes + offset) % 2**64, _NOTES_BYTES, _CPU_NOTE)
        running = None if current is None else _pointer(dump, (current + offset) % 2**64)
        if running is not None and task is not None:
            yield from _physical(dump, running, min(task.size_bytes, _MAX_TASK_BYTES), _TASK)
