"""Crash formats of Xen, the hypervisor."""

from __future__ import annotations

from harness.evidence.crash.formats.table import Format, Reason, row
from harness.evidence.crash.formats.values import Kind, Severity

_XEN = r"\(XEN\) (?:\[[^\]]*\] )?"
_P = Severity.PANIC

XEN: tuple[Format, ...] = (
    # Xen: xen/common/domain.c, xen/arch/x86/traps.c, xen/drivers/char/console.c, panic()
    row(
        Kind.XEN,
        "(XEN)",
        rf"{_XEN}Panic on CPU \d+:",
        "Xen: panic{reason}",
        _P,
        reason=Reason.BEHIND,
        unnamed="Xen: panic",
    ),
    row(Kind.XEN, "(XEN)", rf"{_XEN}\*\*\* DOUBLE FAULT \*\*\*", "Xen: double fault", _P),
    # xen/arch/x86/hvm/hvm.c, hvm_triple_fault(), vmx.c, svm.c
    row(
        Kind.XEN,
        "riple fault",
        rf"{_XEN}(?:\S*:\d+:)?(?:d\d+v\d+ |Dom\d+ )?[Tt]riple fault\b.*",
        "Xen: triple fault in a domain",
        _P,
    ),
    row(
        Kind.XEN,
        "(XEN)",
        rf"{_XEN}(?:\S*:\d+:)?d\d+v\d+ (?P<what>Failed vm entry|vmentry failure|Unexpected PIO status|Bad vmexit)\b.*",
        "Xen: {what} in a domain",
        _P,
    ),
    row(
        Kind.XEN,
        "(XEN)",
        # "halted" and "shutdown: rebooting" are what dom0 asks for when it is powered off and restarted
        rf"{_XEN}(?:Hardware )?Dom(?:ain )?0 (?P<what>crashed|shutdown: watchdog)",
        "Xen: dom0 {what}",
        _P,
    ),
    # xen/arch/x86/traps.c: the first word on an exception that a PV kernel has no handler for yet
    row(
        Kind.XEN,
        "(XEN)",
        rf"{_XEN}d\d+v\d+ Unhandled: vec \d+, (?P<what>#\w+)\[",
        "Xen: unhandled {what} in a domain",
        _P,
    ),
    # arch/x86/xen/setup.c, xen_memory_setup(), through xen_raw_console_write(); BUG() follows, without a console
    row(
        Kind.XEN,
        "Xen hypervisor allocated",
        r"Xen hypervisor allocated (?P<what>\w+) memory conflicts with E820 map",
        "Xen dom0: {what} memory conflicts with E820 map",
        _P,
    ),
    row(
        Kind.XEN,
        "(XEN)",
        rf"{_XEN}Domain \d+ \(vcpu#\d+\) crashed on cpu#\d+",
        "Xen: a domain crashed",
        _P,
    ),
    row(
        Kind.XEN,
        "(XEN)",
        rf"{_XEN}domain_crash(?:_sync)? called from (?P<what>[^\s:]+)",
        "Xen: domain_crash called from {what}",
        _P,
    ),
    row(Kind.XEN, "(XEN)", rf"{_XEN}FATAL TRAP: (?P<what>.*)", "Xen: fatal trap: {what}", _P),
    row(Kind.XEN, "(XEN)", rf"{_XEN}Xen BUG at (?P<what>\S+?):\d+", "Xen: BUG at {what}", _P),
    row(
        Kind.XEN,
        "(XEN)",
        rf"{_XEN}Assertion '(?P<what>.*)' failed at ",
        "Xen: assertion failed: {what}",
        _P,
    ),
)
