"""Is the crash in the dump the one that the log tells of? Registers, stack and log must tell the same story."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.evidence.defect import Defect
from harness.evidence.printk import Record
from harness.evidence.ranges import PAGE_BYTES, align_down
from harness.evidence.vmcore.dump import Dump
from harness.evidence.vmcore.lawful import STACK_BYTES
from harness.evidence.vmcore.notes import Cpu

_PANIC = "Kernel panic - not syncing: "
_OOPS = re.compile(
    r"(?:BUG: |Oops: |general protection fault|traps: |kernel BUG at |invalid opcode|PANIC: double fault)"
)
_WHO = re.compile(
    r"CPU: (?P<cpu>\d+) (?:UID: \d+ )?PID: (?P<pid>\d+) Comm: (?P<comm>.{0,15}?) "
    r"(?:Kdump: |Not tainted|Tainted: )"
)
_RIP = re.compile(r"RIP: 0010:(?P<where>[\w.]+\+0x[0-9a-f]+)/0x")
_FRAME = re.compile(r" ?(?P<guess>\? )?(?P<where>[\w.]+\+0x[0-9a-f]+)/0x[0-9a-f]+(?: \[\w+.*\])?")
_MARK = re.compile(r" ?<(?P<end>/?)(?P<stack>[\w# ]+)>")
_PANICKING = ("panic", "vpanic", "dump_stack", "dump_stack_lvl", "show_stack", "__dump_stack")
"""These go on to call something else after they have printed the trace, so they return to another place."""
_CALL_BYTES = 7
_NEAR_LINES = 8
"""Other CPUs may print between the panic's message and who it was, but not much; further on come their backtraces."""


class Place(Protocol):
    """What an address is called."""

    @property
    def name(self) -> str: ...
    @property
    def offset(self) -> int: ...


class Symbols(Protocol):
    """What is needed of harness.evidence.code.symbols.SymbolTable."""

    def find(self, address: int, /) -> Place | None: ...
    def is_code(self, address: int, /) -> bool: ...


@dataclass(frozen=True)
class Crash:
    """What the log says of the crash. The numbers are None, and the texts empty, where it does not."""

    headline: str
    """``Kernel panic - not syncing: ...``, or the first line of the oops where crash_kexec() ran before panic()."""
    panicked: bool
    """Did panic() run? Else the registers saved are those of the oops."""
    cpu: int | None
    pid: int | None
    comm: str
    rip: str
    """``name+0x1c``, from the last oops in the log; empty for a panic without one."""
    trace: tuple[str, ...]
    """The call trace on the stack that crashed, innermost first, as ``name+0x1c``, without what the unwinder only
    guessed."""
    guessed: bool = False
    """It gave nothing but guesses, as it does without CONFIG_UNWINDER_ORC and frame pointers; ``trace`` has those."""


@dataclass(frozen=True)
class Frame:
    """A return address on a stack. ``sure`` when a call instruction stands before the place it returns to."""

    at: int
    address: int
    text: str
    """``name+0x1c``."""
    sure: bool


@dataclass(frozen=True)
class Plausibility:
    """The crash as log, registers and stack have it; no ``doubts`` when all agree."""

    crash: Crash | None
    cpu: Cpu | None
    rip: str
    """``name+0x1c`` of the registers saved."""
    frames: tuple[Frame, ...]
    expected: int
    """How many frames of the log's trace should be on the stack; without symbols 0."""
    found: int
    """How many of them are."""
    doubts: tuple[str, ...]


def find_crash(records: Sequence[Record]) -> Crash | Defect:
    """The last panic in a log, or else its first oops."""
    texts = [line for record in records if record.facility == 0 for line in record.text.split("\n")]
    panics = [number for number, line in enumerate(texts) if line.startswith(_PANIC)]
    oopses = [number for number, line in enumerate(texts) if _OOPS.match(line)]
    if not panics and not oopses:
        return Defect("the log in the dump tells of no panic and no oops")
    at = panics[-1] if panics else oopses[0]
    # panic() prints who it was after its message, unless an oops has done so before (dump_stack() in vpanic()).
    who = next(filter(None, map(_WHO.search, texts[at : at + _NEAR_LINES])), None)
    who = who or next(filter(None, map(_WHO.search, reversed(texts[:at]))), None)
    sure, guesses = _trace(texts)
    rips = [match["where"] for line in texts if (match := _RIP.match(line))]
    return Crash(
        headline=texts[at],
        panicked=bool(panics),
        cpu=int(who["cpu"]) if who else None,
        pid=int(who["pid"]) if who else None,
        comm=who["comm"] if who else "",
        rip=rips[-1] if rips else "",
        trace=tuple(sure or guesses),
        guessed=not sure,
    )


def _trace(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """The first stack of the last call trace: what is sure, and what is guessed."""
    starts = [number for number, line in enumerate(texts) if line.startswith("Call Trace:")]
    sure: list[str] = []
    guessed: list[str] = []
    for line in texts[starts[-1] + 1 :] if starts else ():
        mark, frame = _MARK.fullmatch(line), _FRAME.fullmatch(line)
        if frame is not None:
            (guessed if frame["guess"] else sure).append(frame["where"])
        if (mark is None and frame is None) or (mark is not None and mark["end"]):
            break
    return sure, guessed


def backtrace(dump: Dump, cpu: Cpu, symbols: Symbols) -> tuple[Frame, ...] | Defect:
    """Every return address between a CPU's stack pointer and its stack's end, innermost first.

    Some are left over from calls that have returned; those that a debugger would show are among them.
    """
    rsp = cpu.registers["rsp"]
    end = align_down(rsp, STACK_BYTES) + STACK_BYTES
    stack = b""
    while rsp + len(stack) < end:
        at = rsp + len(stack)
        piece = dump.read_virtual(at, min(end, align_down(at, PAGE_BYTES) + PAGE_BYTES) - at)
        if isinstance(piece, Defect):
            if not stack:
                return Defect(f"the stack at {rsp:#x} cannot be read: {piece.text}")
            break  # exception and IRQ stacks are smaller, and end before a hole
        stack += piece
    return tuple(_frames(dump, symbols, rsp, stack))


def _frames(dump: Dump, symbols: Symbols, base: int, stack: bytes) -> Iterator[Frame]:
    for at in range(-base % 8, len(stack) - 7, 8):
        address = int.from_bytes(stack[at : at + 8], "little")
        if symbols.is_code(address):
            yield Frame(base + at, address, _text(symbols, address), _after_call(dump, address))


def _text(symbols: Symbols, address: int) -> str:
    """Named as the kernel names it: by the instruction before, because a call may be a function's last (%pB)."""
    place = symbols.find(address - 1)
    return f"{place.name}+{place.offset + 1:#x}" if place is not None else f"{address:#x}"


def _after_call(dump: Dump, address: int) -> bool:
    """CALL rel32 is E8 and four bytes; an indirect one FF /2 and one to five more, perhaps with a REX prefix."""
    code = dump.read_virtual(address - _CALL_BYTES, _CALL_BYTES)
    if isinstance(code, Defect):
        return False
    indirect = (code[_CALL_BYTES - size : _CALL_BYTES - size + 2] for size in (2, 3, 4, 6, 7))
    return code[2] == 0xE8 or any(op[0] == 0xFF and op[1] >> 3 & 7 == 2 for op in indirect)


def plausibility(dump: Dump, records: Sequence[Record], symbols: Symbols | None, comm: str) -> Plausibility:
    """Hold log, registers and stack against each other.

    Args:
        records: the dump's own log.
        symbols: of the crashed kernel at its run-time addresses; without them only the pid is compared.
        comm: what the crashing task was called (at most 15 characters; the run's nonce should be in it), or empty
            where the crash is not a task's.
    """
    crash = find_crash(records)
    if isinstance(crash, Defect):
        return Plausibility(None, None, "", (), 0, 0, (crash.text,))
    doubts = []
    if comm and crash.comm != comm:
        doubts.append(f"the task that crashed is called {crash.comm!r} in the log, not {comm!r}")
    cpu = _cpu(dump, crash)
    if cpu is None:
        doubts.append(f"no CPU's registers are of pid {crash.pid}, which crashed on CPU {crash.cpu} by the log")
        return Plausibility(crash, None, "", (), 0, 0, tuple(doubts))
    if symbols is None:
        return Plausibility(crash, cpu, "", (), 0, 0, tuple(doubts))
    frames = backtrace(dump, cpu, symbols)
    if isinstance(frames, Defect):
        doubts.append(frames.text)
        frames = ()
    rip = cpu.registers["rip"]
    place = symbols.find(rip)
    here = f"{place.name}+{place.offset:#x}" if place is not None else f"{rip:#x}"
    if not crash.panicked and crash.rip and here != crash.rip:
        doubts.append(f"RIP is {here}, and {crash.rip} in the log")
    expected = [where for where in crash.trace if where.partition("+")[0] not in _PANICKING]
    missing = [where for where in expected if where not in {frame.text for frame in frames}]
    # A guess may be a leftover below panic()'s own frame, which what panic() calls next overwrites.
    if len(missing) > (len(expected) // 2 if crash.guessed else 0):
        doubts.append(f"of the log's call trace, {', '.join(missing)} is not on the stack of CPU {cpu.number}")
    return Plausibility(crash, cpu, here, frames, len(expected), len(expected) - len(missing), tuple(doubts))


def _cpu(dump: Dump, crash: Crash) -> Cpu | None:
    """By the CPU's number, or by the pid where an offline CPU has shifted the numbers."""
    same_pid = [cpu for cpu in dump.notes if cpu.pid == crash.pid]
    return next((cpu for cpu in same_pid if cpu.number == crash.cpu), same_pid[0] if len(same_pid) == 1 else None)
