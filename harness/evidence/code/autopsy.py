"""What an autopsy comes to, in one sentence, and whether a guest that is late is still at work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.model.autopsy import Autopsy, Call, CallSource, CpuReport, Owner, Place

_IDLE = frozenset(
    {
        "default_idle",
        "native_safe_halt",
        "pv_native_safe_halt",
        "amd_e400_idle",
        "mwait_idle",
        "mwait_idle_with_hints",
        "acpi_safe_halt",
        "acpi_idle_do_entry",
        "intel_idle",
        "cpu_idle_poll",
        "poll_idle",
    }
)
"""Where Linux waits when there is nothing to do (arch/x86/kernel/process.c, drivers/acpi/processor_idle.c,
kernel/sched/idle.c)."""
_CALLERS = 3
_MANY = 4
"""So many different functions (or pages of code) in a second are work; a loop has fewer."""


def headline(autopsy: Autopsy) -> str:
    """``hung in efi_call+0x5, called from virt_efi_set_variable+0x4a``; empty when no CPU could be looked at."""
    if not autopsy.cpus:
        return ""
    report = busiest(autopsy)
    return f"{_doing(autopsy, report)}{_called_from(report)}{_through(report)}{_others(autopsy, report)}"


def busiest(autopsy: Autopsy) -> CpuReport:
    """The CPU that tells most: one that runs, else one that is halted for good, else an idle one."""
    return min(autopsy.cpus, key=lambda report: (_rank(report), report.cpu.index))


def _rank(report: CpuReport) -> int:
    if not report.cpu.halted:
        # A CPU that waits to be started or spins for another tells less than one that does something.
        return 1 if report.place.owner is Owner.UNMAPPED else 0
    return 3 if report.cpu.interrupts_on else 2


def _doing(autopsy: Autopsy, report: CpuReport) -> str:
    """What the CPU does, and where."""
    where = _where(report.place)
    if autopsy.status in ("guest-panicked", "shutdown"):
        word = "stopped by its panic" if autopsy.status == "guest-panicked" else "stopped by a reset or power-off"
        return f"{word} {where}"
    if report.cpu.halted:
        return _halted(report, where)
    if len(_functions(report.seen)) >= _MANY:
        return f"busy, last {where}"
    if autopsy.ran and len({place.address for place in report.seen}) > 1:
        return f"spinning {where}"
    return f"hung {where}"


def _through(report: CpuReport) -> str:
    """The other functions that it was seen in."""
    functions = [name for name in _functions(report.seen) if name != (report.place.name or report.place.owner)]
    if not functions:
        return ""
    more = f" and {len(functions) - _MANY} more" if len(functions) > _MANY else ""
    return f"; also seen in {', '.join(functions[:_MANY])}{more}"


def _halted(report: CpuReport, where: str) -> str:
    if not report.cpu.interrupts_on:
        return f"halted with interrupts off {where}"
    if is_idle(report):
        return f"idle {where}: nothing runs, the kernel waits for an interrupt"
    return f"halted {where}, waiting for an interrupt"


def is_idle(report: CpuReport) -> bool:
    """Is this CPU in the kernel's idle loop, with interrupts on?"""
    names = {report.place.name, *(call.place.name for call in linked(report)[:_CALLERS])}
    return report.cpu.halted and report.cpu.interrupts_on and bool(names & (_IDLE | {"do_idle", "cpuidle_enter_state"}))


def _where(place: Place) -> str:
    match place.owner:
        case Owner.UNMAPPED:
            return f"at {place.address:#x}, where nothing is mapped"
        case Owner.USER:
            return f"in user space, at {place.address:#x}"
        case Owner.UNKNOWN:
            return f"at {place.address:#x}, in code of nobody known"
        case Owner.KERNEL if not place.name:
            return f"in the kernel, at {place.address:#x} (no symbols)"
        case Owner.MODULE:
            return f"in a kernel module, at {place.address:#x}"
        case _:
            return f"in {place}"


def _called_from(report: CpuReport) -> str:
    """The callers of the function, without the function itself and without repeats."""
    names: list[str] = []
    last = report.place.name
    for call in linked(report):
        if call.place.name != last:
            names.append(str(call.place))
        last = call.place.name
    return f", called from {', from '.join(names[:_CALLERS])}" if names else ""


def linked(report: CpuReport) -> tuple[Call, ...]:
    """The calls that fit together, innermost first: those on the path from the instruction pointer outwards on which
    most call instructions name the function that is called next.

    A stack also holds return addresses of calls that are over; what they call is not what runs, so they drop out.
    """
    nodes = [report.place, *(call.place for call in report.calls)]
    best: list[tuple[int, int]] = [(0, -1)]  # points of the best path to each node, and the node before it
    for index, call in enumerate(report.calls, 1):
        steps = [(best[inner][0] + _link(call, nodes[inner]), -inner) for inner in range(index)]
        points, inner = max(steps)
        best.append((points, -inner))
    at = max(range(len(best)), key=lambda index: (best[index][0], -index))
    path: list[Call] = []
    while at > 0:
        path.append(report.calls[at - 1])
        at = best[at][1]
    return tuple(reversed(path))


def _link(call: Call, inner: Place) -> int:
    """How well a call fits the function that would have been called by it."""
    if call.callee:
        return 4 if call.callee == inner.name else 0
    return 2 if call.source is CallSource.FRAME_POINTER else 1


def _others(autopsy: Autopsy, report: CpuReport) -> str:
    others = [item for item in autopsy.cpus if item is not report]
    if not others:
        return ""
    if all(item.cpu.halted for item in others):
        return f" (CPU {report.cpu.index}; {len(others)} more halted)"
    return f" (CPU {report.cpu.index}; {len(others)} more CPUs)"


def _functions(places: Iterable[Place]) -> list[str]:
    """The functions that were seen, the most frequent first."""
    counts: dict[str, int] = {}
    for place in places:
        name = place.name or f"{place.owner}"
        counts[name] = counts.get(name, 0) + 1
    return sorted(counts, key=lambda name: -counts[name])


@dataclass(frozen=True)
class Progress:
    """Did a guest that is late do anything while it was watched?"""

    moving: bool
    why: str
    """One sentence, for the record."""


def progress(
    seen: Sequence[Sequence[tuple[Place, bool]]],
    *,
    operands: int = 0,
    console_bytes: int,
    frames: int,
    crashed: bool,
    running: bool,
) -> Progress:
    """Is it slow, or does it hang?

    Args:
        seen: for each look the place of each CPU, and whether that CPU was halted.
        operands: how many different pairs of RDI and RSI a CPU was seen with: what a copy, or a call, works on.
        console_bytes, frames: what the guest said meanwhile.
        crashed: the console of this epoch has a crash report: whatever comes after it is no progress.
        running: the CPUs could be let run.
    """
    stuck = "its console has a crash report" if crashed else "" if running else "its CPUs are stopped"
    if stuck:
        return Progress(False, stuck)
    if frames or console_bytes:
        words = "it has reported" if frames else f"its console goes on ({console_bytes} bytes)"
        return Progress(True, f"{words} meanwhile")
    places = [place for look in seen for place, halted in look if not halted]
    if not places:
        return Progress(False, "every CPU is halted and nothing is printed")
    return _by_places(places, operands)


def _by_places(places: Sequence[Place], operands: int) -> Progress:
    if any(place.owner is Owner.USER for place in places):
        return Progress(True, "a program runs in user space")
    # The copying, hashing and unpacking of a kexec are loops of a few instructions, and end.
    passing = {place.owner for place in places} & {Owner.SEGMENT, Owner.CONTROL, Owner.STUB}
    if passing and len({place.address for place in places}) > 1:
        return Progress(True, f"it is at work in the {', '.join(sorted(passing))}")
    names = {place.name or f"{place.address >> 12:x}" for place in places}
    if len(names) >= _MANY:
        return Progress(True, f"it runs through {len(names)} functions")
    if len(names) > 1 and operands >= _MANY:
        return Progress(True, f"it works on {operands} different things in {', '.join(sorted(names))}")
    return Progress(False, f"it stays in {', '.join(sorted({str(place) for place in places})[:_MANY])}")
