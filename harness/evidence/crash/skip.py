"""Functions that are in many backtraces and to blame for none.

A table with a reason for each group. A name is generic when one of the patterns is found anywhere in it: kernels add
prefixes and suffixes (``__``, ``_noprof``, ``_nested``, ``_bh``) faster than a list of full names could follow.

A function belongs here when skipping it always leads to somebody who knows more. A helper that crashes by itself as
often as by its caller (put_page, rb_erase, queue_work) does not: it would hide different bugs under one caller's name.
What is generic for one kind of report only stands in that report's row.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Generic:
    reason: str
    patterns: tuple[str, ...]


GENERIC: tuple[Generic, ...] = (
    Generic(
        "prints the report itself",
        (
            r"dump_stack|^show_(?:stack|regs|trace)|^dump_(?:backtrace|page)|^unwind_backtrace|^walk_stackframe",
            r"^print_(?:address|report|bad|usage|circular|deadlock|irq|unlock|lock|freed|trailer|page|other|cpu)",
            r"^(?:stack_trace_|save_stack|arch_stack_walk)|^spin_(?:dump|bug)|^rwlock_bug|^bad_page$",
            r"printk|^_?(?:net)?dev_(?:info|notice|warn|err|alert|crit|emerg|printk)$",
            r"^slab_(?:bug|err|fix)|^object_err|^check_bytes_and_report",
            r"^(?:nmi|rcu|sched)_(?:trigger_cpumask|dump_cpu|show_task|cpu_backtrace)|^arch_trigger_cpumask",
        ),
    ),
    Generic(
        "lockdep and lock debugging: noticed it",
        (
            r"lockdep|lock_(?:acquire|release|acquired|contended|downgrade|is_held|class)|^check_(?:noncircular|prev|usage"
            r"|chain|deadlock|irq_usage|preemption|wait_context)|^mark_(?:lock|held)|^validate_chain|^assign_lock_key"
            r"|reacquire_held|^debug_(?:check_no_locks|spin|rwlock|mutex|rt_mutex)|^seqcount_lockdep|^debug_locks_off",
        ),
    ),
    Generic(
        "the way into the report: a trap, a fault or a warning",
        (
            r"(?<!pv)panic|^print_tainted|^(?:get|add|test)_taint|fortify_report|^__?warn|^warn_(?:slowpath|alloc|bogus)|^report_bug|^fixup_bug"
            r"|^handle_bug|^bug_handler|^brk_handler|^call_break_hook|^ref_tracker_",
            r"^do_(?:error_trap|trap|trap_break|invalid_op|general_protection|debug|debug_exception|undefinstr)$|_trap$"
            r"|^invalid_op|^general_protection|^(?:asm_)?exc_|^program_check|^die|^__die|^oops|^bad_area",
            r"^(?:async_|do_|__do_)?page_fault$|^do_user_addr_fault|^page_fault_oops|^no_context|^__bad_area"
            r"|^kernelmode_fixup|^do_kern_addr_fault",
            r"^el[01]_|^el[01]h_|^el0t_|^__do_kernel_fault|^do_(?:mem_abort|tag_check_fault|translation_fault|bad_area)",
            r"^(?:do_)?double_fault$|^df_debug|^error_(?:entry|exit)|^idtentry|^common_exception|^handle_exception",
        ),
    ),
    Generic(
        "a sanitizer or a hardening check: it found the fault, it did not make it",
        (
            r"kasan|kmsan|kcsan|kfence|ubsan|__asan|__hwasan|__msan|__tsan|__sanitizer|stack_chk_fail",
            r"^check_memory_region|^memory_is_poisoned|^check_region_inline|^bytes_is_nonzero|^handle_overflow",
            r"check_(?:heap_)?object|usercopy|^check_(?:page_span|bogus_address|copy_size)|^instrument_|^_*read_(?:word_at_a_time|once_word)",
        ),
    ),
    Generic("injects the failure that was asked for", (r"should_fail|^fail_dump",)),
    Generic(
        "copies, compares or formats what it is told to",
        (
            r"mem(?:cpy|set|move|cmp|chr|dup)|^k?strn?dup|str(?:n|l|s|r|case|ncase)?(?:cpy|cmp|len|str|chr|cat|nlen)|strscpy|strnlen",
            r"copy_(?:to|from)_user|copy_user|(?:get|put)_user|might_(?:fault|sleep|resched)|^copy(?:in|out)|copy_(?:to|from|page)_(?:to_|from_)?iter",
            r"^(?:string|pointer|number)(?:_nocheck)?$|^string_|_string$|^va_format|snprintf|scnprintf|^v?sprintf$|hex_dump|^k?v?asprintf",
            r"^crc(?:16|32|32c)(?:_|$)|^(?:crypto|cipher|aes|aesti|aesni|xts)_\w*crypt",
        ),
    ),
    Generic(
        "allocates what its caller asked for, or frees what its caller gave",
        (
            r"k?v?[mzc]alloc|krealloc|kmem_cache|^k(?:v|z)?free|^(?:__)?(?:slab_alloc|slab_free|cache_alloc|cache_grow)",
            r"alloc_(?:\w+_)?pages?(?:_|$)|^(?:new|allocate)_slab|^alloc_slab|^get_page_from_freelist|^(?:prep_new|_*free(?:_\w+)?)_pages?(?:_\w+)?$"
            r"|^post_alloc_hook|page_owner|^folio_alloc|^v(?:free|unmap)|^__vunmap|^fallback_alloc|^__alloc_percpu",
        ),
    ),
    Generic(
        "takes or releases a lock for its caller",
        (
            r"(?:spin|raw_read|raw_write|read|write)_(?:lock|unlock|trylock)|^queued_(?:spin|read|write)|^native_queued"
            r"|^__?pv_queued|^osq_|^arch_spin|^rt_(?:spin|mutex|read|write)",
            r"mutex_(?:lock|unlock|trylock|remove|optimistic_spin|spin_on_owner|can_spin)|_mutex_lock"
            r"|(?:^|_)(?:down|up)_(?:read|write)|^_*(?:down|up)(?:_trylock|_timeout|_interruptible|_killable)?$"
            r"|^(?:try_)?(?:un)?lock_page|^folio_(?:un)?lock",
        ),
    ),
    Generic(
        "keeps a count, a list or a tree, sets a bit",
        (
            r"^_*rb_(?:erase|insert|next|prev|first|last|link|replace)",
            r"atomic(?:64|_long)?_(?:dec|inc|read|set|add|sub|or|and|xor|fetch|xchg|cmpxchg|try|andnot)|refcount_",
            r"^kref_|^(?:drop|clear|inc|set)_nlink|^_*seqprop_|^_*rh(?:ash|l)?t(?:able)?_(?:lookup|insert|remove)|list_(?:add|del|move|replace|splice)|^_?compound_head|^(?:arch_|_)*(?:test|set|clear|change)(?:_and_\w+)?_bit",
            r"^_?dput$|^(?:fast|retain|lockref_put)_d(?:put|entry)|^iput$",
        ),
    ),
    Generic(
        "watches objects, timers and work; the owner is its caller",
        (r"debug_object|^debug_print_object|^debug_check_no_obj|is_static_object",),
    ),
    Generic(
        "adds room to a packet; whoever counted wrong called it",
        (r"^skb_(?:put|push|over_panic|under_panic|panic)$|^__skb_put$",),
    ),
    Generic(
        "the driver model: does to a device what its driver asked for",
        (
            r"^kobject_(?:del|put|uevent|cleanup|release)|^add_uevent_var|^device_(?:add|del|unregister|destroy|release"
            r"|for_each_child|remove_file|remove_attrs)|^devres_release|^get_device_parent|sysfs_remove|^ida_(?:free|remove)",
            r"^unregister_netdev|^rollback_registered|^i2c_del_adapter|^__unregister_client|^tty_unregister_device"
            r"|^hwrng_unregister|^usb_(?:kill|unlink|submit|hcd_submit)_(?:anchored_)?urb|^usb_(?:control|bulk|interrupt)_msg"
            r"|^usb_start_wait_urb|^dummy_urb_enqueue",
        ),
    ),
    Generic(
        "stops or awaits what somebody else set up",
        (
            r"^_*cleanup_srcu_struct|^_*(?:flush|cancel|try_to_grab|drain|destroy)_(?:\w+_)?(?:work|pending|workqueue)|^(?:try_to_)?del_timer|^_*(?:mod|add)_timer|^lock_timer_base"
            r"|^timer_delete|^complete(?:_all)?$|^wait_for_co|^(?:do_)?wait_for_common|wake_up|^finish_wait|^kthread_stop",
        ),
    ),
    Generic(
        "bookkeeping of the kernel's own entry, exit and preemption",
        (
            r"perf_trace|^trace_(?:hardirqs|event_raw|irq)|^__traceiter|^_indirect_thunk|__x86_indirect|^retint_|^irqentry_"
            r"|^sysvec_|^asm_|^ftrace_|^debug_smp_processor|preempt_(?:check|count)|^preempt_schedule|^restore_regs",
        ),
    ),
)

_ANY = re.compile("|".join(f"(?:{pattern})" for row in GENERIC for pattern in row.patterns))


def is_generic(function: str) -> bool:
    """Whether a function can be passed over when the guilty one is looked for."""
    return _ANY.search(function) is not None


def reason(function: str) -> str | None:
    """Why a function is passed over, or None when it is not."""
    for row in GENERIC:
        if any(re.search(pattern, function) for pattern in row.patterns):
            return row.reason
    return None
