"""The backtrace of a report as data, and names for the addresses of a kernel that has none (CONFIG_KALLSYMS=n)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from harness.evidence.code.symbols import SymbolTable
from harness.evidence.crash.formats.values import Frame
from harness.evidence.crash.messages import Message
from harness.evidence.crash.trace import Mark, item

_PLACE = re.compile(
    r"(?P<function>[A-Za-z_$][\w$.]*)\+0x(?P<offset>[0-9a-f]+)(?:/0x(?P<size>[0-9a-f]+))?(?:\s+\[(?P<module>[\w-]+)[^\]]*\])?"
)
# %pB without symbols: " 0xffffffff810012f0"; older ones "[<ffffffff810012f0>] 0xffffffff810012f0"
_BARE = re.compile(
    r"(?P<lead>\s*(?:<\S+>\s+)?(?P<doubt>\? )?|(?P<pc>RIP:? (?:[0-9a-f]{4}:)?\s*))(?:\[<[0-9a-f]+>\]\s*)*"
    r"0x(?P<address>[0-9a-f]{16})(?P<rest>\s*(?:\[.*\])?)$"
)
_DOUBTFUL = re.compile(r"\s*(?:<\S+>\s+)?(?:\[<[0-9a-f]+>\]\s*)*\? [A-Za-z_$][\w$.]*\+0x")
_ENDED = re.compile(r"\s*</(?:TASK|IRQ|NMI)>|-+\[ end trace")
_OFFSET = re.compile(rb"Kernel Offset: 0x(?P<offset>[0-9a-f]+) from 0x(?P<base>[0-9a-f]+)")


def backtrace(messages: Iterable[Message]) -> tuple[Frame, ...]:
    """Where the processor was, and the frames of the first backtrace.

    What the kernel itself doubts (``?``) is left out, unless there is nothing else: the unwinder cannot pass through
    firmware, which has no frame pointers, so all that stands behind is doubtful then.
    """
    frames: list[Frame] = []
    doubtful: list[Frame] = []
    traced = False
    for message in messages:
        if doubtful and not traced and _ENDED.match(message.text):
            break
        found = item(message.text)
        bare = _BARE.match(message.text)
        if bare is not None and not bare["doubt"]:
            name = found.function if found is not None else ""
            frames.append(Frame(name, address=int(bare["address"], 16)))
            traced = traced or not bare["pc"]
        elif _DOUBTFUL.match(message.text):
            doubtful.append(replace(_frame(message.text, ""), certain=False))
        elif found is None:
            continue
        elif found.mark in (Mark.PC, Mark.FRAME):
            frames.append(_frame(message.text, found.function))
            traced = traced or found.mark is Mark.FRAME
        elif traced or (doubtful and found.mark is not Mark.HEADER):
            break
    return tuple(frames) if traced else (*frames, *doubtful)


def _frame(text: str, function: str) -> Frame:
    places = list(_PLACE.finditer(text))
    if not places:
        return Frame(function)
    place = places[-1]  # Arm prints the callee before the caller
    size = int(place["size"], 16) if place["size"] else None
    return Frame(place["function"], int(place["offset"], 16), size, place["module"] or "")


def moved(table: SymbolTable, data: bytes, start: int, end: int) -> SymbolTable:
    """The table as KASLR moved the kernel, which a panic tells at its end; unmoved where nothing says so.

    A table that was read from the running kernel (/proc/kallsyms) has the addresses as they are, and stays.
    """
    match = _OFFSET.search(data, start, end)
    if match is None or table.address("_text") not in (int(match["base"], 16), None):
        return table
    return table.shifted(int(match["offset"], 16))


def named(message: Message, table: SymbolTable) -> Message:
    """The message with a name where a line of a backtrace has a bare address that the table knows."""
    match = _BARE.match(message.text)
    if match is None:
        return message
    address = int(match["address"], 16)
    located = table.find(address) if match["pc"] else table.caller(address)
    if located is None:
        return message
    return replace(message, text=f"{match['lead']}{located.full}{match['rest']}")
