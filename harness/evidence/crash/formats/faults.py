"""Crash formats of the kernel: sanitizers, and faults of the processor."""

from __future__ import annotations

from harness.evidence.crash.formats.table import FUNCTION, Format, row
from harness.evidence.crash.formats.values import Kind, Severity
from harness.evidence.crash.guilty import Where

_P, _O, _W = Severity.PANIC, Severity.OOPS, Severity.WARNING
# What makes an object for its caller, so that the leak is not in it.
_MAKES = r"alloc|mmap|dup$|^kmem|slab|^create_object|^idr_get|list_lru_init|^pcpu_|^kv?asprintf|^radix_tree"

SANITIZERS: tuple[Format, ...] = (
    # mm/kasan/report.c. Until 4.9 "on address" instead of a function, until 4.14 "at addr" behind it
    row(Kind.KASAN, "BUG: KASAN", r"BUG: KASAN: (?P<what>[\w-]+) on address", "KASAN: {what}{access}", _O),
    row(
        Kind.KASAN,
        "BUG: KASAN",
        r"BUG: KASAN: (?:double-free or )?invalid-free in ",
        "KASAN: invalid-free{where}",
        _O,
        Where.TRACE,
    ),
    row(
        Kind.KASAN,
        "BUG: KASAN",
        r"BUG: KASAN: double-free in ",
        "KASAN: invalid-free{where}",
        _O,
        Where.TRACE,
    ),
    row(
        Kind.KASAN,
        "BUG: KASAN",
        rf"BUG: KASAN: (?P<what>[\w-]+) in (?:{FUNCTION})?",
        "KASAN: {what}{access}{where}",
        _O,
        Where.TRACE,
    ),
    row(Kind.KASAN, "BUG: KASAN", r"BUG: KASAN: (?P<what>.*)", "KASAN: {what}", _O, Where.TRACE),
    # mm/kfence/report.c
    row(
        Kind.KFENCE,
        "BUG: KFENCE",
        rf"BUG: KFENCE: (?P<what>[\w -]+?) in {FUNCTION}",
        "KFENCE: {what}{where}",
        _O,
        Where.BARE,
        skip=r"alloc|free_bulk",
    ),
    row(
        Kind.KMSAN,
        "BUG: KMSAN",
        rf"BUG: KMSAN: (?P<what>[\w-]+) in {FUNCTION}",
        "KMSAN: {what}{where}",
        _O,
        Where.BARE,
    ),
    # kernel/kcsan/report.c. Two functions in the order of the alphabet: the race is the same both ways round
    row(Kind.KCSAN, "BUG: KCSAN", r"BUG: KCSAN: (?P<race>[\w: -]+? in .*)", "KCSAN: {race}", _W),
    # lib/ubsan.c: "Undefined behaviour" until 5.6
    row(
        Kind.UBSAN,
        "UBSAN:",
        r"UBSAN: Undefined behaviour in (?P<file>\S+?):\d+",
        "UBSAN: undefined-behaviour{where}",
        _W,
        Where.TRACE,
        alone="UBSAN: undefined-behaviour in {file}",
    ),
    row(
        Kind.UBSAN,
        "UBSAN:",
        r"UBSAN: (?P<what>[\w -]+) in (?P<file>\S+?):\d+",
        "UBSAN: {what}{where}",
        _W,
        Where.TRACE,
        alone="UBSAN: {what} in {file}",
    ),
    # mm/kmemleak.c, as a fuzzer prints /sys/kernel/debug/kmemleak
    row(
        Kind.LEAK,
        "BUG",
        r"(?:\d{4}/\d\d/\d\d [\d:]{8} )?BUG: memory leak",
        "memory leak{where}",
        _W,
        Where.TRACE,
        skip=_MAKES,
    ),
    row(
        Kind.LEAK,
        "unreferenced object",
        r"unreferenced object 0x",
        "memory leak{where}",
        _W,
        Where.TRACE,
        skip=_MAKES,
    ),
)

FAULTS: tuple[Format, ...] = (
    # arch/x86/kernel/traps.c, doublefault_32.c
    row(Kind.DOUBLE_FAULT, "PANIC:", r"(?:traps: )?PANIC: double fault", "PANIC: double fault{where}", _P, Where.TRACE),
    # arch/x86/mm/extable.c, early_fixup_exception(): by early_printk, so only with earlyprintk=, without a timestamp;
    # until 4.6 arch/x86/kernel/head_64.S, without the 0x; head_32.S names the vector by itself
    row(
        Kind.FAULT,
        "PANIC:",
        r"PANIC: early exception (?P<vector>(?:0x)?[0-9a-f]{2}) (?:IP|rip) ",
        "PANIC: early exception {vector}{where}",
        _P,
        Where.TRACE,
    ),
    row(Kind.FAULT, "BUG", r"BUG: Int (?P<vector>\d+): CR2 ", "BUG: early exception {vector}{where}", _P, Where.TRACE),
    row(
        Kind.FAULT,
        "Unknown interrupt or fault",
        r"Unknown interrupt or fault at: ",
        "PANIC: early exception{where}",
        _P,
        Where.TRACE,
    ),
    # arch/arm64/kernel/traps.c, arm64_serror_panic() prints it before it panics; bad_mode() until 5.12
    row(
        Kind.FAULT,
        "SError",
        r"SError Interrupt on CPU ?\d+, ",
        "SError{where}",
        _P,
        Where.TRACE,
    ),
    row(
        Kind.FAULT,
        "SError",
        r"Bad mode in Error handler detected .*SError",
        "SError{where}",
        _P,
        Where.TRACE,
    ),
    row(
        Kind.FAULT,
        ("Unhandled fault", "Unhandled prefetch", "exception on CPU"),
        r"Unhandled (?:\d+-bit )?(?P<what>el\d[ht]? \w+) exception on CPU",
        "Unhandled exception{where}",
        _P,
        Where.TRACE,
    ),
    # arch/x86/kernel/traps.c, handle_stack_overflow(); newer kernels name the stack: TASK, NMI, #DF
    row(
        Kind.FAULT,
        "BUG",
        r"BUG: (?:\S+ )?stack guard page was hit at",
        "BUG: stack guard page was hit{where}",
        _O,
        Where.STALL,
    ),
    # arch/arm64/kernel/traps.c, panic_bad_stack(): what recursed is below the dispatcher, the innermost frame is chance
    row(
        Kind.FAULT,
        "Insufficient stack space",
        r"Insufficient stack space to handle exception!",
        "kernel stack overflow{where}",
        _P,
        Where.STALL,
    ),
    # arch/x86/mm/fault.c: since 5.1 (f28b11a2abd9) "page fault for address", before "kernel paging request at";
    # arch/arm*/mm/fault.c: "Unable to handle kernel ... at virtual address"
    row(
        Kind.FAULT,
        ("nable to handle", "BUG"),
        r"(?:BUG: |(?:BUG: )?[Uu]nable to handle )kernel NULL pointer dereference",
        "BUG: unable to handle kernel NULL pointer dereference{where}",
        _O,
        Where.TRACE,
    ),
    row(
        Kind.FAULT,
        "nable to handle",
        r"(?:BUG: )?[Uu]nable to handle kernel access to user memory",
        "BUG: unable to handle kernel access to user memory{where}",
        _O,
        Where.TRACE,
    ),
    row(
        Kind.FAULT,
        "nable to handle",
        r"(?:BUG: )?[Uu]nable to handle (?:page fault for address|unknown paging fault"
        r"|kernel (?:paging request|\w+ \w+ [\w-]+ memory|(?:data )?access))",
        "BUG: unable to handle kernel paging request{where}",
        _O,
        Where.TRACE,
    ),
    row(
        Kind.FAULT,
        "nable to handle",
        r"(?:BUG: )?[Uu]nable to handle kernel",
        "BUG: unable to handle kernel",
        _O,
    ),
    # arch/powerpc/mm/fault.c
    row(
        Kind.FAULT,
        "BUG",
        r"BUG: Kernel NULL pointer dereference",
        "BUG: unable to handle kernel NULL pointer dereference{where}",
        _O,
        Where.TRACE,
    ),
    # arch/x86/kernel/dumpstack.c, __die_header(): newer kernels put "Oops: " before every text
    row(
        Kind.FAULT,
        " [#",
        r"(?:Oops: )?(?P<what>general protection fault|divide error|invalid opcode|double fault"
        r"|alignment check|segment not present|int3|bounds|control protection fault|stack guard page"
        r"|kernel stack overflow|coprocessor segment overrun|invalid TSS)\b[^\[]*?: [0-9a-f]{4} \[#\d+\]",
        "{what}{where}",
        _O,
        Where.TRACE,
    ),
    row(Kind.FAULT, " [#", r"divide_error: [0-9a-f]{4} \[#\d+\]", "divide error{where}", _O, Where.TRACE),
    row(
        Kind.FAULT,
        " [#",
        r"(?:Oops: )?stack segment\b[^\[]*?: [0-9a-f]{4} \[#\d+\]",
        "stack segment fault{where}",
        _O,
        Where.TRACE,
    ),
    row(
        Kind.FAULT,
        "protection fault",
        r"(?:Oops: )?general protection fault[:,] (?:0000|probably|maybe|[0-9a-f]{4} )",
        "general protection fault{where}",
        _O,
        Where.TRACE,
        stamped=True,
    ),
    row(Kind.MEMORY, "BUG", r"kernel BUG at mm/usercopy\.c:\d+!", "BUG: bad usercopy{where}", _O, Where.TRACE),
    row(Kind.LIST, "BUG", r"kernel BUG at lib/list_debug\.c:\d+!", "BUG: corrupted list{where}", _O, Where.TRACE),
    # lib/bug.c
    row(
        Kind.BUG,
        "BUG",
        r"[kK]ernel BUG at (?P<file>[^\s:!]+)(?::\d+)?!?",
        "kernel BUG{where}",
        _O,
        Where.TRACE,
    ),
    row(Kind.BUG, "BUG", r"[kK]ernel BUG at .*", "kernel BUG{where}", _O, Where.TRACE),
    # arch/arm64/kernel/traps.c, arch/arm/kernel/traps.c
    row(Kind.FAULT, " [#", r"Internal error: .*\[#\d+\]", "Internal error{where}", _O, Where.TRACE),
    row(
        Kind.FAULT,
        ("Unhandled fault", "Unhandled prefetch", "exception on CPU"),
        r"(?P<what>Unhandled (?:fault|prefetch abort)): ",
        "{what}{where}",
        _O,
        Where.TRACE,
        stamped=True,
    ),
    row(Kind.FAULT, "Alignment trap:", r"Alignment trap: ", "Alignment trap{where}", _O, Where.TRACE, stamped=True),
    row(
        Kind.FAULT,
        " [#",
        r"(?:Kernel )?Oops\b(?: - [\w ]+|: .*| )\[#\d+\]",
        "Oops{where}",
        _O,
        Where.TRACE,
    ),
)
