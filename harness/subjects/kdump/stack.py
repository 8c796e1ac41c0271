"""What the CPUs were doing when the kernel crashed: their registers, and the stack of the task that crashed it."""

from __future__ import annotations

from harness.evidence.code.stack import CALL_BYTES, behind_call, returns
from harness.evidence.code.symbols import SymbolTable
from harness.evidence.defect import Defect
from harness.evidence.pagetable.pagetables import EFI_WINDOW
from harness.evidence.ranges import PAGE_BYTES, align_up
from harness.evidence.vmcore import Cpu, Dump
from harness.evidence.vmcore.lawful import STACK_BYTES
from harness.model.causes import Cause
from harness.model.verdict import Check, Evidence
from harness.subjects.common import passed
from harness.subjects.kdump.said import failed
from harness.subjects.kdump.view import KdumpView

_CPUS = "kdump: cpus"
_STACK = "kdump: stack"
_MIN_FRAMES = 3
_PATIENT_WALK = 64


def check_cpus(view: KdumpView) -> Check | None:
    """Every CPU of the machine left its registers."""
    dump = view.dump
    if not isinstance(dump, Dump):
        return None
    wanted = view.observations.plan.scenario.machine.cpus
    if len(dump.notes) != wanted:
        text = f"the dump has the registers of {len(dump.notes)} CPUs, the machine has {wanted}"
        return failed(_CPUS, Cause.CPU_NOTES, text, epoch=view.crashed.number)
    names = view.symbols
    return passed(
        _CPUS,
        f"the registers of {'the CPU' if wanted == 1 else f'all {wanted} CPUs'} are in the dump",
        evidence=(
            Evidence(
                text=f"CPU {cpu.number}: process {cpu.pid}, at "
                f"{names.text(cpu.registers['rip']) if names else hex(cpu.registers['rip'])}",
                where="the dump",
            )
            for cpu in dump.notes
        ),
    )


def check_stack(view: KdumpView) -> Check | None:
    """The stack of the task that crashed leads from the trigger to the capture kernel."""
    dump = view.dump
    if not isinstance(dump, Dump) or isinstance(dump.vmcoreinfo, Defect) or view.symbols is None:
        return None
    symbols = view.symbols.shifted(dump.vmcoreinfo.kernel_offset)
    wanted_pid = view.crashed_pid
    cpu = next((cpu for cpu in dump.notes if cpu.pid == wanted_pid), None)
    if cpu is None:
        pids = ", ".join(str(cpu.pid) for cpu in dump.notes) or "none"
        text = f"no CPU ran process {wanted_pid or view.trigger.worker}, which crashed the kernel; they ran {pids}"
        return failed(_STACK, Cause.BACKTRACE, text, epoch=view.crashed.number)
    rip = cpu.registers["rip"]
    if not (EFI_WINDOW.contains(rip) if view.trigger.in_firmware else symbols.is_code(rip)):
        whose = "firmware" if view.trigger.in_firmware else "this kernel"
        text = f"CPU {cpu.number} stopped at {rip:#x}, where {whose} has no code"
        return failed(_STACK, Cause.BACKTRACE, text, epoch=view.crashed.number)
    names = names_on_stack(dump, cpu, symbols)
    trail = " < ".join([symbols.text(cpu.registers["rip"]), *names[:_PATIENT_WALK]])
    wanted = view.trigger.code
    plain = {name.partition("+")[0].partition(".")[0] for name in (symbols.text(cpu.registers["rip"]), *names)}
    if len(names) < _MIN_FRAMES or (wanted and not plain & set(wanted)):
        text = (
            f"the stack of the task that crashed has {len(names)} return addresses, and none of "
            f"{', '.join(wanted) or 'the trigger'}"
        )
        return failed(
            _STACK,
            Cause.BACKTRACE,
            text,
            epoch=view.crashed.number,
            evidence=(Evidence(text=trail[:600], where="the dump"),),
        )
    return passed(
        _STACK,
        f"the stack of the task that crashed has {len(names)} return addresses, the trigger's among them",
        evidence=(Evidence(text=trail[:600], where="the dump"),),
    )


def _stack(dump: Dump, top: int) -> bytes:
    """From the stack pointer to the stack's end, or to the first page that is not there: the stacks of exceptions are
    smaller, with guard pages between them.
    """
    pieces = []
    end = align_up(top + 1, STACK_BYTES)
    while top < end:
        size = align_up(top + 1, PAGE_BYTES) - top
        piece = dump.read_virtual(top, size)
        if isinstance(piece, Defect):
            break
        pieces.append(piece)
        top += size
    return b"".join(pieces)


def names_on_stack(dump: Dump, cpu: Cpu, symbols: SymbolTable) -> list[str]:
    """The functions on a CPU's stack, innermost first."""
    top = cpu.registers["rsp"]
    stack = _stack(dump, top)

    def is_return(address: int) -> bool:
        if not symbols.is_code(address):
            return False
        before = dump.read_virtual(address - CALL_BYTES, CALL_BYTES)
        return isinstance(before, bytes) and behind_call(before)

    found = returns(stack, top, cpu.registers["rbp"], is_return, limit=_PATIENT_WALK)
    located = (symbols.caller(item.address) for item in found)
    return [item.text for item in located if item is not None]
