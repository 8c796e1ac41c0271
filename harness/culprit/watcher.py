"""Watches ranges of memory during a run, with QEMU's gdb stub, and keeps who wrote to them.

A write watchpoint is on a virtual address. A table is reached by two: the same as its physical one (firmware, the jump
of a kexec, the start of a kernel) and the kernel's direct map, whose base is fixed with nokaslr.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from harness.autopsy.atlas import Naming, make_chart
from harness.autopsy.looks import view_of
from harness.clock import Deadline
from harness.errors import HarnessError
from harness.evidence.code.culprit import changed
from harness.evidence.pagetable.virtual import View
from harness.evidence.ranges import PAGE_BYTES, Range
from harness.machine.gdb import SIGTRAP, Gdb, Stop
from harness.model.autopsy import Cpu, Place
from harness.model.culprit import Target, Write
from harness.model.plan import Accel
from harness.model.record import Phase, Point
from harness.stage.stage import Stage

DIRECT_MAPS = (0xFFFF8880_00000000, 0xFF110000_00000000)
"""page_offset_base without KASLR, with four and with five levels (Documentation/arch/x86/x86_64/mm.rst)."""
MAX_WATCHED_BYTES = PAGE_BYTES
KVM_WATCHED_BYTES = 8
"""KVM uses the CPU's own debug registers."""
MAX_STOPS = 6000
_REAPED_S = 1.0
_CODE_BEFORE, _CODE_BYTES = 16, 48

Choose = Callable[[Stage], Sequence[Target]]


@dataclass
class _Writing:
    """Hits of one instruction, one after the other."""

    t_s: float
    epoch: int
    phase: Phase
    cpu: Cpu
    place: Place
    through: int
    target: Target
    before: bytes
    after: bytes
    code: bytes
    count: int = 1

    def value(self) -> Write:
        where = changed(self.before, self.after, self.target.start)
        part = slice(where.start - self.target.start, where.end - self.target.start)
        return Write(
            t_s=round(self.t_s, 3),
            epoch=self.epoch,
            phase=self.phase,
            cpu=self.cpu.index,
            place=self.place,
            through=self.through,
            target=self.target,
            count=self.count,
            start=where.start,
            end=where.end,
            before_hex=self.before[part].hex(),
            after_hex=self.after[part].hex(),
            registers={
                **self.cpu.general,
                "rip": self.cpu.rip,
                "cr3": self.cpu.cr3,
                "rflags": self.cpu.rflags,
            },
            code_hex=self.code.hex(),
        )


@dataclass
class _Watched:
    """One target and the bytes it held last."""

    target: Target
    last: bytes


@dataclass
class Watcher:
    """Called at every border of a run; arms at one of them and watches from there to the run's end."""

    choose: Choose
    naming: Naming
    arm_at: tuple[Point, int] = (Point.HANDOFF, 0)
    """The border, and the epoch it belongs to."""
    targets: tuple[Target, ...] = ()
    notes: list[str] = field(default_factory=list)
    armed: bool = False
    _writings: list[_Writing] = field(default_factory=list)
    _stack: ExitStack = field(default_factory=ExitStack)
    _ended: threading.Event = field(default_factory=threading.Event)

    def __call__(self, stage: Stage, point: Point) -> None:
        """A border of the run.

        Raises:
            QemuError: the stub cannot be used.
        """
        if (point, stage.recorder.epoch) != self.arm_at:
            return
        self._anew()
        self.targets = tuple(self.choose(stage))
        if not self.targets:
            self.notes.append("there is nothing to watch: no table was found at the hand-off")
            return
        try:
            self._arm(stage)
        except HarnessError as error:
            self.notes.append(f"nothing could be watched: {error.message}")
            raise

    def _anew(self) -> None:
        """Forget an attempt that the host spoilt: the run is made once more."""
        self.close()
        self._ended.clear()
        self.notes.clear()
        self._writings.clear()
        self.armed = False

    def _arm(self, stage: Stage) -> None:
        session = self._stack.enter_context(Gdb.attach(stage.machine.qmp))
        watched: dict[int, _Watched] = {}
        for target in self.targets:
            item = _Watched(target, self._bytes(session, target))
            for base in (0, *DIRECT_MAPS):
                session.watch(Range.sized(base + target.start, target.size_bytes))
                watched[base + target.start] = item
        session.go_on()
        thread = threading.Thread(target=self._follow, args=(session, stage, watched), name="watchpoints", daemon=True)
        self._stack.callback(thread.join)
        self._stack.callback(session.close)
        thread.start()
        self.armed = True

    def close(self) -> None:
        """End the session, when the run has ended."""
        self._ended.set()
        self._stack.close()

    def writes(self) -> tuple[Write, ...]:
        """Who wrote, in order of time; after ``close``."""
        return tuple(writing.value() for writing in self._writings)

    def _follow(self, session: Gdb, stage: Stage, watched: dict[int, _Watched]) -> None:
        """The thread: take the stops until the session ends."""
        stops = 0
        try:
            while not self._ended.is_set():
                stop = session.wait_stop(Deadline.after(1.0))
                if stop is None or stop.signal != SIGTRAP or stop.watched not in watched:
                    continue  # a stop by QMP, whose asker lets the machine go on
                stops += 1
                self._hit(session, stage, stop, watched[stop.watched])
                if stops == MAX_STOPS:
                    self._give_up(session, watched)
                session.go_on()
        except HarnessError as error:
            # QEMU's end closes the session before it is reaped.
            if not self._ended.is_set() and stage.machine.process.wait(_REAPED_S) is None:
                self.notes.append(f"the watch ended early: {error.message}")

    def _give_up(self, session: Gdb, watched: dict[int, _Watched]) -> None:
        for address, item in watched.items():
            session.unwatch(Range.sized(address, item.target.size_bytes))
        self.notes.append(f"after {MAX_STOPS} writes nothing more was watched")

    def _hit(self, session: Gdb, stage: Stage, stop: Stop, item: _Watched) -> None:
        cpus = session.registers()
        cpu = cpus[stop.cpu] if stop.cpu < len(cpus) else cpus[0]

        def read(address: int, size_bytes: int) -> bytes:
            return session.read_physical(address, size_bytes) or b""

        view = view_of(cpu, read)
        through = stop.watched or 0
        if view.physical(through) != item.target.start:
            return  # the same virtual address of another address space
        before, item.last = item.last, self._bytes(session, item.target)
        last = self._writings[-1] if self._writings else None
        if last is not None and (last.cpu.ip, last.through, last.cpu.cr3) == (cpu.ip, through, cpu.cr3):
            last.count += 1
            last.after = item.last
            return
        code = view.some(cpu.ip - _CODE_BEFORE, _CODE_BYTES)
        self._writings.append(
            _Writing(
                stage.machine.feed.now_s(),
                stage.recorder.epoch,
                stage.recorder.phase,
                cpu,
                self._place(stage, cpu, view, read),
                through,
                item.target,
                before,
                item.last,
                code,
            )
        )

    def _place(self, stage: Stage, cpu: Cpu, view: View, read: Callable[[int, int], bytes]) -> Place:
        chart = make_chart(stage.observations(), stage.recorder.epoch, self.naming, view=view, read=read)
        return chart.atlas.place(cpu.ip, cpu, view, read)

    def _bytes(self, session: Gdb, target: Target) -> bytes:
        data = session.read_physical(target.start, target.size_bytes)
        return data if data is not None else bytes(target.size_bytes)


def whole_tables(stage: Stage) -> tuple[Target, ...]:
    """Every watched table of a run, its first page at most."""
    return tuple(
        Target(name=watch.name, start=watch.table.start, end=watch.table.start + _limit(stage, watch.table))
        for watch in stage.watches
    )


def _limit(stage: Stage, where: Range) -> int:
    most = KVM_WATCHED_BYTES if stage.plan.accel is Accel.KVM else MAX_WATCHED_BYTES
    return min(where.size_bytes, most)
