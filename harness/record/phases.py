"""Where a run stands: epoch and phase as a pure function of what is seen of the machine.

Console lines, frames, QMP events and ports drive it; what the runner believes does not. Everything a wait or a verdict
says about phase and epoch comes from here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from harness.machine.frame import Frame
from harness.machine.happenings import Data, Event, Line, Match
from harness.model.plan import Plan
from harness.model.record import Phase
from harness.model.words.kdump import CrashStep

PANIC = "panic"
"""Name of the console pattern for a panic's first line."""

_BANNER = re.compile(r"(?:^|\] ?)(?P<banner>Linux version \d+\.\d+\S*)")
"""init/main.c: the first thing start_kernel() prints, since 2.6 at the latest. With a console on a UART it comes when
that console is registered (console_init), with all that was logged before it."""
_DRIVERS_BEGIN = re.compile(r"(?:^|\] ?)(?:smp: Brought up \d+ node|devtmpfs: initialized)")
"""kernel/smp.c smp_init(); drivers/base/devtmpfs.c, the first of driver_init(): in this order, on 5.10 to 7.3, between
the end of start_kernel() and the first initcall of a driver. Kernels without CONFIG_SMP print the second only."""
_XEN = re.compile(r"^\(XEN\) (?:\[[^\]]*\] )?(?P<banner>Xen version \S+)")
"""xen/drivers/char/console.c, console_init_preirq(): the first line that Xen prints with its prefix."""
_BEGUN = frozenset({Phase.EARLY, Phase.KERNEL, Phase.KEXECED, Phase.USERSPACE, Phase.LOAD, Phase.CAPTURE})
"""A kernel of this epoch has printed its first line, or reported."""


@dataclass(frozen=True)
class Entered:
    """A phase has begun."""

    phase: Phase
    epoch: int
    detail: str = ""


@dataclass(frozen=True)
class State:
    """Where a run stands.

    ``captures`` are the epochs of capture kernels: those that a crash begins.
    """

    phase: Phase = Phase.START
    epoch: int = 0
    captures: frozenset[int] = field(default_factory=frozenset)
    panic: str = ""
    """The first line of a panic that nobody waits for."""
    again: str = ""
    """The banner of a kernel that began where one had begun already."""

    @property
    def capture_follows(self) -> bool:
        """Is a crash of the kernel of this epoch what the scenario wants?"""
        return self.epoch + 1 in self.captures


def captures(plan: Plan) -> frozenset[int]:
    """The epochs whose kernel captures the memory of the one before."""
    return frozenset(epoch + 1 for epoch, _ in plan.steps(CrashStep))


def step(state: State, data: Data) -> tuple[State, tuple[Entered, ...]]:
    """The state after a happening, and the phases that began with it."""
    match data:
        case Frame(kind=kind):
            entered = tuple(_frame(state, kind, data))
        case Event(name=name):
            entered = tuple(_event(state, name))
        case Match(name=name, text=text) if name == PANIC:
            state, entered = _panic(state, text)
        case Line(text=text):
            state, entered = _line(state, text)
        case _:
            return state, ()
    for item in entered:
        state = replace(state, phase=item.phase, epoch=item.epoch)
    return state, entered


def _frame(state: State, kind: str, frame: Frame) -> Iterator[Entered]:
    if kind == "ready" and state.phase in (Phase.START, Phase.FIRMWARE):
        if state.phase is Phase.START:  # QMP and link are read by two threads
            yield Entered(Phase.FIRMWARE, state.epoch)
        yield Entered(Phase.AGENT, state.epoch)
    elif kind == "start":
        yield Entered(Phase.STUB, 1, "started by the EFI agent")
    elif kind == "hello":
        release = frame.fields.get("release", "")
        epoch = state.epoch + 1 if state.phase is Phase.CRASHED else state.epoch  # its console is silent
        capture = epoch in state.captures
        if capture:
            yield Entered(Phase.CAPTURE, epoch, f"user space of {release}")
        else:
            yield Entered(Phase.USERSPACE, epoch, release)
    elif kind == "leaving":
        # A guest is in the next epoch from the moment it says it leaves: all that is printed after that belongs there.
        yield Entered(Phase.JUMP, state.epoch + 1)
    elif kind == "crashing":
        yield Entered(Phase.CRASHED, state.epoch, "on request")


def _event(state: State, name: str) -> Iterator[Entered]:
    if name == "RESUME" and state.phase is Phase.START:
        yield Entered(Phase.FIRMWARE, state.epoch)
    elif name == "RESET" and state.epoch:  # only where QEMU was told to go on after a reset
        yield Entered(Phase.FIRMWARE, state.epoch, "again, after a reset")


def _panic(state: State, text: str) -> tuple[State, tuple[Entered, ...]]:
    if state.phase is Phase.CRASHED:
        return state, ()
    if state.capture_follows:
        return state, (Entered(Phase.CRASHED, state.epoch, text),)
    return replace(state, panic=state.panic or text), ()


def _line(state: State, text: str) -> tuple[State, tuple[Entered, ...]]:
    banner = _BANNER.search(text)
    if banner is not None:
        return _banner(state, banner["banner"])
    xen = _XEN.match(text)
    if xen is not None and state.phase is Phase.STUB:
        return state, (Entered(Phase.XEN, state.epoch, xen["banner"]),)
    if state.phase is Phase.EARLY and _DRIVERS_BEGIN.search(text):
        return state, (Entered(Phase.KEXECED if state.epoch > 1 else Phase.KERNEL, state.epoch),)
    return state, ()


def _banner(state: State, banner: str) -> tuple[State, tuple[Entered, ...]]:
    if state.panic:  # panic_print= may show the whole log again (kernel/panic.c, PANIC_PRINT_ALL_PRINTK_MSG)
        return state, ()
    if state.phase is Phase.CRASHED:
        return state, (Entered(Phase.CAPTURE, state.epoch + 1, banner),)
    again = replace(state, again=state.again or banner) if state.phase in _BEGUN else state
    return again, (Entered(Phase.EARLY, max(state.epoch, 1), banner),)
