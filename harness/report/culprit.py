"""Who wrote, as text for a person."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator

from harness.evidence.code.culprit import sentence, who
from harness.model.culprit import Culprit, Write

_WIDTH = 110
_SHOWN_BYTES = 16
_SHOWN_WRITES = 8


def render(culprit: Culprit) -> str:
    """The sentence, then each write with its proof."""
    lines = _wrap(f"{culprit.variant}: {sentence(culprit)}", "")
    lines += ["", f"  watched: {', '.join(str(target) for target in culprit.targets) or 'nothing'}"]
    for write in culprit.writes[:_SHOWN_WRITES]:
        lines += _write(write)
    if len(culprit.writes) > _SHOWN_WRITES:
        lines.append(f"  and {len(culprit.writes) - _SHOWN_WRITES} more, see culprit.json")
    for note in culprit.notes:
        lines += _wrap(f"note: {note}", "  ")
    lines += _wrap(f"the run ended: {culprit.ended}", "  ")
    if culprit.run_dir:
        lines.append(f"  record: {shlex.quote(culprit.run_dir)}")
    return "\n".join(lines) + "\n"


def _write(write: Write) -> Iterator[str]:
    yield ""
    yield from _wrap(f"{write.t_s:.2f} s, epoch {write.epoch} ({write.phase}): {who(write.place)}", "  ")
    registers = " ".join(f"{name} {write.registers.get(name, 0):#x}" for name in ("rip", "rsi", "rdi", "rcx", "cr3"))
    yield f"    {registers}"
    yield f"    code from 16 bytes before rip: {write.code_hex}"
    times = "once" if write.count == 1 else f"{write.count} times"
    if write.start == write.end:
        yield f"    wrote {times}, each time what was there already"
    else:
        yield f"    wrote {times}, changing {write.start:#x}-{write.end - 1:#x}:"
        yield f"      was {_bytes(write.before_hex)}"
        yield f"      is  {_bytes(write.after_hex)}"
    if write.place.detail:
        yield from _wrap(write.place.detail, "    ")
    if write.segment:
        yield from _wrap(f"the place belongs to {write.segment}", "    ")
    if write.origin:
        yield from _wrap(write.origin, "    ")


def _bytes(text: str) -> str:
    shown = bytes.fromhex(text)[:_SHOWN_BYTES].hex(" ")
    return f"{shown} ..." if len(text) > 2 * _SHOWN_BYTES else shown


def _wrap(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
