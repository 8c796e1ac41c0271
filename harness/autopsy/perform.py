"""The autopsy: what a machine was doing when its run ended badly, looked at while QEMU still lives.

Each act has its own time, the whole has TOTAL_S; an act that fails is noted and the next one tried. Nothing here
raises for what QEMU or the guest does: the verdict on the run stands before the autopsy begins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from harness.autopsy.atlas import Naming, make_chart
from harness.autopsy.looks import COMMAND_S, look_once, view_of, watch
from harness.clock import Deadline
from harness.errors import HarnessError, HostError, SilentQemuError
from harness.evidence import printk, vmcoreinfo
from harness.evidence.code.stack import CALL_BYTES, Return, behind_call, call_target, returns
from harness.evidence.code.whose import Atlas
from harness.evidence.defect import Defect
from harness.evidence.pagetable.pagetables import EFI_WINDOW
from harness.evidence.pagetable.virtual import View
from harness.evidence.ranges import PAGE_BYTES
from harness.machine.happenings import Line
from harness.machine.machine import Machine
from harness.machine.memory import Memory
from harness.model.autopsy import Act, Autopsy, Call, CallSource, Cpu, CpuReport, Owner, Place
from harness.record.observations import Observations

TOTAL_S = 10.0
_NMI_S = 1.0
_STACK_BYTES = 8192
_LOG_LINES = 30
_LOG_TEXT_BYTES = 400

T = TypeVar("T")


@dataclass
class _Found:
    """The parts of an Autopsy, filled in one by one."""

    status: str = ""
    symbols: str = ""
    cpus: tuple[CpuReport, ...] = ()
    watched_s: float = 0.0
    ran: bool = False
    console_bytes: int = 0
    looks: list[tuple[Cpu, ...]] = field(default_factory=list)
    printk: tuple[str, ...] = ()
    nmi: tuple[str, ...] = ()
    undisturbed_bytes: int | None = None
    screen: str = ""


def perform(
    machine: Machine,
    observations: Observations,
    *,
    epoch: int,
    naming: Naming,
    nmi: bool = True,
    total_s: float = TOTAL_S,
) -> Autopsy:
    """Look at a machine whose run has ended badly. Takes ``total_s`` seconds at most, and a command's two more.

    Args:
        observations: the record so far, unsealed (``RunWriter.record``).
        epoch: the epoch in which the run ended.
        naming: where names for code come from; the time it takes counts.
        nmi: inject an NMI at the end. What the guest prints after it is the autopsy's doing, see
            ``Autopsy.undisturbed_bytes``.
    """
    return _Autopsy(machine, observations, epoch, naming, total_s).perform(nmi=nmi)


class _Autopsy:
    def __init__(
        self, machine: Machine, observations: Observations, epoch: int, naming: Naming, total_s: float
    ) -> None:
        self._machine = machine
        self._observations = observations
        self._epoch = epoch
        self._naming = naming
        self._deadline = Deadline.after(total_s)
        self._memory = Memory(machine.qmp, machine.directory, timeout_s=COMMAND_S)
        self._acts: list[Act] = []
        self._silent = False
        self._found = _Found()

    def perform(self, *, nmi: bool) -> Autopsy:
        found = self._found
        self._act("status", self._status)
        self._act("instruction pointers", self._watch)
        self._act("registers and stacks", self._look)
        if self._observations.plan.scenario.machine.vga:
            self._act("screen", self._screen)
        if nmi and found.status == "running":
            self._act("nmi", self._nmi)
        return Autopsy(
            status=found.status,
            epoch=self._epoch,
            symbols=found.symbols,
            cpus=found.cpus,
            watched_s=round(found.watched_s, 3),
            ran=found.ran,
            console_bytes=found.console_bytes,
            printk=found.printk,
            nmi=found.nmi,
            undisturbed_bytes=found.undisturbed_bytes,
            screen=found.screen,
            acts=tuple(self._acts),
        )

    def _act(self, name: str, act: Callable[[], str]) -> None:
        """Do one thing; what it returns, or the error it ends with, is why it failed."""
        began_s = self._machine.feed.now_s()
        if self._silent:
            failure = "not tried: QEMU does not answer"
        elif self._deadline.expired:
            failure = "not tried: the autopsy's time is over"
        else:
            try:
                failure = act()
            except HarnessError as error:  # Interrupted too: the run has its end already
                failure = error.message
                self._silent = not isinstance(error, HostError) or isinstance(error, SilentQemuError)
            except OSError as error:
                failure = f"the record cannot be written: {error.strerror or error}"
        took_s = self._machine.feed.now_s() - began_s
        self._acts.append(Act(name=name, t_s=round(began_s, 3), took_s=round(took_s, 3), failure=failure))

    def _status(self) -> str:
        self._found.status = self._machine.qmp.status(timeout_s=COMMAND_S)
        return ""

    def _watch(self) -> str:
        """Registers, several times, with the CPUs running between."""
        found, feed = self._found, self._machine.feed
        began_s, console_bytes = feed.now_s(), self._machine.console.size_bytes
        found.ran = found.status == "running"
        failure = ""
        for seen in watch(self._machine, self._memory, running=found.ran):
            if isinstance(seen, Defect):
                failure = seen.text
            else:
                found.looks.append(seen)
        found.watched_s = feed.now_s() - began_s
        found.console_bytes = self._machine.console.size_bytes - console_bytes
        return failure

    def _look(self) -> str:
        """The CPUs once more, all at one moment: places, stacks, and the kernel's log."""
        with self._memory.stopped():
            cpus = look_once(self._machine, self._memory)
            if isinstance(cpus, Defect):
                return cpus.text
            read = self._read
            views = [view_of(cpu, read) for cpu in cpus]
            kernel = max(views, key=lambda view: isinstance(view.physical(_KERNEL_MAP), int))
            chart = make_chart(self._observations, self._epoch, self._naming, view=kernel, read=read)
            self._found.symbols = chart.symbols
            pairs = zip(cpus, views, strict=True)
            self._found.cpus = tuple(self._report(cpu, view, chart.atlas) for cpu, view in pairs)
            self._act("kernel log", lambda: self._log(chart.atlas, kernel))
        return ""

    def _report(self, cpu: Cpu, view: View, atlas: Atlas) -> CpuReport:
        def place(address: int, which: Cpu) -> Place:
            return atlas.place(address, which, view, self._read)

        places: dict[int, Place] = {}
        seen = []
        for look in self._found.looks:
            then = next((item for item in look if item.index == cpu.index), None)
            if then is not None:
                # Once each: a place may take a scan for the image it is in.
                if then.ip not in places:
                    places[then.ip] = place(then.ip, then)
                seen.append(places[then.ip])
        calls: tuple[Call, ...] = ()
        if cpu.bits == 64 and cpu.cpl == 0:
            stack = view.some(cpu.rsp, _STACK_BYTES)
            code = _Returns(atlas, view, cpu, self._read)
            found = returns(stack, cpu.rsp, cpu.rbp, code)
            # A call that never returns may be a function's last instruction; what is behind it is another function.
            calls = tuple(_call(item, place(item.address - 1, cpu), code.callee(item.address)) for item in found)
        return CpuReport(cpu=cpu, place=place(cpu.ip, cpu), seen=tuple(seen), calls=calls)

    def _log(self, atlas: Atlas, view: View) -> str:
        """What the kernel has logged after the last line that the console shows."""
        records = kernel_log(atlas, view)
        if isinstance(records, Defect):
            return records.text
        shown = self._observations.record.console.decode("utf-8", "backslashreplace")
        lines = [line[:_LOG_TEXT_BYTES] for line in printk.text_of(records).splitlines()]
        texts = [line.partition("] ")[2] for line in lines]
        last = max((number for number, text in enumerate(texts, 1) if text.strip() and text in shown), default=0)
        self._found.printk = tuple(lines[last:][-_LOG_LINES:])
        return ""

    def _screen(self) -> str:
        name = "screen.png"
        path = self._machine.directory / name
        arguments = {"filename": str(path), "format": "png"}  # QEMU >= 7.1
        self._machine.qmp.execute("screendump", arguments, timeout_s=COMMAND_S)
        self._found.screen = name
        return "" if Path(path).is_file() else "QEMU wrote no file"

    def _nmi(self) -> str:
        """The last act, as it disturbs the guest: firmware dumps its registers and stops, a kernel prints a line."""
        feed, console = self._machine.feed, self._machine.console
        cursor = feed.cursor()
        self._found.undisturbed_bytes = console.size_bytes
        self._machine.qmp.execute("inject-nmi", timeout_s=COMMAND_S)
        feed.until(lambda: False, self._deadline.sooner(_NMI_S))
        lines = [happening.data.text for happening in feed.since(cursor) if isinstance(happening.data, Line)]
        self._found.nmi = tuple(lines[:_LOG_LINES])
        return "" if lines else "the guest printed nothing"

    def _read(self, address: int, size_bytes: int) -> bytes:
        if self._deadline.expired:
            raise HostError("the autopsy's time is over")
        return self._memory.read(address, size_bytes)


_KERNEL_MAP = 0xFFFFFFFF_81000000
"""Where a kernel's text begins with nokaslr: mapped in the tables of a kernel, not in those of firmware."""


class _Returns:
    """Is a word on the stack an address that a call may return to? Answers are kept: stacks repeat themselves."""

    def __init__(self, atlas: Atlas, view: View, cpu: Cpu, read: Callable[[int, int], bytes]) -> None:
        self._atlas = atlas
        self._view = view
        self._cpu = cpu
        self._read = read
        self._known: dict[int, bool] = {}

    def __call__(self, word: int) -> bool:
        if word < PAGE_BYTES:  # no address: nobody maps the first page
            return False
        if word not in self._known:
            self._known[word] = self._is_code(word)
        return self._known[word]

    def _is_code(self, word: int) -> bool:
        symbols = self._atlas.symbols
        if symbols is not None and symbols.is_code(word):
            return self._after_call(word)
        # Direct map, stacks and heap of a kernel are no code; firmware's is in the lower half (boot services) or
        # in the 64 GiB that the kernel keeps for EFI (arch/x86/platform/efi/efi_64.c, EFI_VA_START).
        if word >> 47 and not EFI_WINDOW.contains(word):
            return False
        if not self._after_call(word):
            return False
        place = self._atlas.place(word, self._cpu, self._view, self._read)
        return place.owner in (Owner.FIRMWARE, Owner.STUB, Owner.CONTROL)

    def callee(self, word: int) -> str:
        """The function that the call before ``word`` names; empty for an indirect call, also one through a thunk."""
        code = self._view.read(word - CALL_BYTES, CALL_BYTES)
        target = call_target(code, word) if isinstance(code, bytes) else None
        located = self._atlas.symbols.find(target) if target is not None and self._atlas.symbols is not None else None
        if located is None or located.offset or located.name.startswith(_THUNKS):
            return ""
        return located.name

    def _after_call(self, word: int) -> bool:
        code = self._view.read(word - CALL_BYTES, CALL_BYTES)
        return isinstance(code, bytes) and behind_call(code)


_THUNKS = ("__x86_indirect_", "__x86_call_")
"""arch/x86/lib/retpoline.S."""


def _call(found: Return, place: Place, callee: str) -> Call:
    """``place`` is that of the call's last byte."""
    source = CallSource.FRAME_POINTER if found.framed else CallSource.SCAN
    behind = {"address": place.address + 1, "offset": None if place.offset is None else place.offset + 1}
    place = place.model_copy(update=behind)
    return Call(stack_address=found.stack_address, place=place, source=source, callee=callee)


def kernel_log(atlas: Atlas, view: View) -> tuple[printk.Record, ...] | Defect:
    """The log of the kernel in memory, found by the symbols ``vmcoreinfo_data`` and ``vmcoreinfo_size``."""
    if atlas.symbols is None:
        return Defect("no symbols of this kernel")
    numbers = []
    for name in ("vmcoreinfo_data", "vmcoreinfo_size"):
        address = atlas.symbols.address(name)
        if address is None:
            return Defect(f"this kernel has no {name}")
        data = view.read(address, 8)
        if isinstance(data, Defect):
            return data
        numbers.append(int.from_bytes(data, "little"))
    where, size_bytes = numbers
    if not where or not 0 < size_bytes <= vmcoreinfo.MAX_BYTES:
        return Defect("the kernel has not written its VMCOREINFO yet")
    text = view.read(where, size_bytes)
    info = text if isinstance(text, Defect) else vmcoreinfo.parse(text)
    return info if isinstance(info, Defect) else printk.read_log(info, view.read)
