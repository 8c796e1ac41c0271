"""Backtraces, as the kernels of all architectures print them, read into one sequence of items."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from harness.evidence.crash.messages import Message
from harness.evidence.pagetable.pagetables import EFI_WINDOW


class Mark(StrEnum):
    PC = "pc"
    """Where the processor was: RIP, EIP, pc, NIP."""
    FRAME = "frame"
    HEADER = "header"
    """``Call Trace:`` and its like: a backtrace begins."""
    SECTION = "section"
    """The backtrace of another time begins: who allocated it, who freed it, where a lock was taken before."""
    USER = "user"
    """User space: the end of the kernel's part."""


@dataclass(frozen=True)
class Item:
    mark: Mark
    function: str = ""


_NAME = r"(?P<function>[A-Za-z_$][\w$]*(?:\.[\w$]+)*)"
_OFFSET = r"\+0x[0-9a-f]+(?:/0x[0-9a-f]+)?"
_ADDRESS = r"(?:\[<?(?:0x)?[0-9a-fA-F]+>?\]\s*)"
_SOURCE = r"[\w./+-]+\.[chSs]:\d+"

_PC = re.compile(
    r"(?:RIP:? +(?P<segment>[0-9a-f]{4}:)?|E?IP: (?:[0-9a-f]{4}:)?|EIP is at |PC is at |pc : |epc ?: |NIP |PC: )"
    rf"\s*{_ADDRESS}{{0,2}}(?:(?:{_NAME}(?:{_OFFSET}|\s+{_SOURCE}))|(?P<raw>\S+))"
)
_FRAME = re.compile(
    rf"\s*(?:<\S+>\s+)?{_ADDRESS}{{0,2}}(?P<doubt>\? )?{_NAME}(?:{_OFFSET}(?:$|[\s(])|\s+{_SOURCE}(?:\s+\[inline\])?$)"
)
# Arm: [<80b12478>] (dump_stack+0xa0/0xc0) from [<80134..>] (panic+0x104/0x2cc); since 5.18: dump_stack from panic+0x..
_FRAME_ARM = re.compile(
    rf"\s*(?:{_ADDRESS}\([\w.$]+(?:{_OFFSET})?\)|[\w.$]+) from (?:{_ADDRESS}\(|(?=[\w.$]+\+0x))(?:{_NAME}{_OFFSET}|\S)"
)
_HEADER = re.compile(
    r"\s*(?:Call [Tt]race:|(?:stack )?[Bb]acktrace:|Stack traceback:|\*\*\* Call Trace|Uninit was created at:)"
)
_SECTION = re.compile(
    r"\s*(?:(?:Allocated|Freed|freed|allocated) by task |kfence-#\d+ \[|(?:Local variable|Uninit was stored)"
    r"|Last (?:potentially related )?(?:work|call_rcu)|page last |Showing all locks|NMI backtrace for cpu"
    r"|(?:RCU|rcu: RCU) grace-period kthread stack dump|INFO: Allocated in|INFO: Freed in|Task dump for CPU"
    r"|Memory state around|\d+ locks? held by|hex dump)"
)
_COMPILER_SUFFIX = re.compile(r"\.(?:isra|constprop|part|cold|llvm|lto_priv|localalias|clone|\d)\b.*")
_KERNEL_SEGMENTS = ("0010:", "0060:", "0008:", "e030:", "")
"""x86: kernel code segments of 64 and 32 bits, and of a Xen PV guest."""


def items(messages: Iterable[Message]) -> Iterator[Item]:
    """What the messages tell about backtraces, in their order. Frames with a question mark are left out."""
    nowhere = False
    for message in messages:
        if nowhere and (caller := _LINK.match(message.text)):
            yield Item(Mark.PC, plain(caller["function"]))
        nowhere = _NOWHERE.match(message.text) is not None or (nowhere and _LINK.match(message.text) is None)
        found = item(message.text)
        if found is not None:
            yield found


def item(text: str) -> Item | None:
    """What one message tells, or None."""
    if _HEADER.match(text):
        return Item(Mark.HEADER)
    if _SECTION.match(text):
        return Item(Mark.SECTION)
    if match := _PC.match(text):
        if (match["segment"] or "") not in _KERNEL_SEGMENTS:
            return Item(Mark.USER)
        return _named(Mark.PC, match["function"] or _firmware(match["raw"]))
    # Arm prints callee and caller: the caller counts, for a tail call leaves its caller out of the next line.
    if match := _FRAME_ARM.match(text):
        return _named(Mark.FRAME, match["function"])
    match = _FRAME.match(text)
    return _named(Mark.FRAME, match["function"]) if match and not match["doubt"] else None


# Arm, after a jump to no address: who jumped is in the link register.
_NOWHERE = re.compile(r"(?:PC is at |pc : )(?:0x0*|\(null\))(?:$|\s)")
_LINK = re.compile(rf"(?:LR is at |lr : ){_NAME}{_OFFSET}")

FIRMWARE = "firmware"
"""Stands for a function where the processor was in code of the EFI runtime services."""


def _firmware(raw: str | None) -> str | None:
    """``0xfffffffeff255bb0``: no symbol can name it."""
    is_address = raw is not None and re.fullmatch(r"0x[0-9a-f]{16}", raw)
    return FIRMWARE if raw is not None and is_address and EFI_WINDOW.contains(int(raw, 16)) else None


def _named(mark: Mark, function: str | None) -> Item | None:
    return Item(mark, plain(function)) if function else None


_MANGLED = re.compile(r"_ZN?(?P<parts>\d+[A-Za-z_].*)")
_RUST_HASH = re.compile(r"h[0-9a-f]{16}")


def plain(function: str) -> str:
    """A function's name without what the compiler put behind it; C++ and old Rust names without their mangling."""
    if match := _MANGLED.match(function):
        return _demangled(match["parts"]) or function
    return _COMPILER_SUFFIX.sub("", function)


def _demangled(parts: str) -> str:
    """``4core3fmt5write17h0123456789abcdefE`` is ``core::fmt::write``: names with their lengths in front."""
    names: list[str] = []
    while match := re.match(r"\d+", parts):
        end = match.end() + int(match[0])
        names.append(parts[match.end() : end])
        parts = parts[end:]
    return "::".join(name for name in names if not _RUST_HASH.fullmatch(name))
