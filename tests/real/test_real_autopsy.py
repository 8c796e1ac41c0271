"""Hangs made on purpose in a real kernel and in real firmware, each named by its function; and a real culprit."""

from __future__ import annotations

import struct
from collections.abc import Callable

from harness.culprit.culprit import Case, investigate
from harness.evidence.code.autopsy import headline
from harness.evidence.code.culprit import guilty, sentence
from harness.load.scenarios import Variant
from harness.machine.gdb import Gdb
from harness.model.autopsy import Autopsy, Owner
from harness.model.causes import Cause
from harness.model.plan import Plan
from harness.model.record import EndKind, Point
from harness.record.store import read_record
from harness.session.runner import run_plan
from harness.session.session import Options, judge_directory
from harness.stage.listener import Silent
from harness.stage.stage import Helpers, Stage

from .conftest import Range

LOOP = b"\xeb\xfe"
"""A jump to itself."""
SET_VIRTUAL_ADDRESS_MAP = 24 + 4 * 8
"""In EFI_RUNTIME_SERVICES, behind its header (UEFI spec 2.10, section 4.5.1)."""
_SECONDS = 15.0


class Trap:
    """Puts LOOP somewhere at one border of the run."""

    def __init__(self, point: Point, epoch: int, find: Callable[[Stage], int]) -> None:
        self._when = (point, epoch)
        self._find = find

    def __call__(self, stage: Stage, point: Point) -> None:
        if (point, stage.recorder.epoch) == self._when:
            where = self._find(stage)
            with Gdb.attach(stage.machine.qmp) as gdb:
                gdb.write_physical(where, LOOP)
                gdb.go_on()


def run(machines: Range, plan: Plan, trap: Trap) -> tuple[Autopsy, Cause | None]:
    budgets = plan.budgets.model_copy(update={"kexec_s": _SECONDS, "boot_s": _SECONDS})
    plan = plan.model_copy(update={"budgets": budgets})
    end = run_plan(plan, machines.directory, Silent(), helpers=Helpers(machines.workshop.naming, trap))
    assert end.kind is EndKind.TIMEOUT, end
    found = read_record(machines.directory).autopsy
    assert found is not None
    return found, judge_directory(machines.directory, (), lambda verdict, _plan: verdict.headline).cause


def kernel_function(machines: Range, name: str) -> Callable[[Stage], int]:
    """Where a function of the first kernel lies in physical memory."""

    def find(stage: Stage) -> int:
        symbols = machines.workshop.naming.symbols_of(stage.plan.epochs[0].kernel)
        assert symbols is not None
        address, text = symbols.address(name), symbols.address("_text")
        assert address is not None
        assert text is not None
        start = next(row.range.start for row in stage.observations().iomem(1) if row.name == "Kernel code")
        return start + address - text

    return find


def runtime_service(offset: int) -> Callable[[Stage], int]:
    """Where a runtime service of the firmware begins."""

    def find(stage: Stage) -> int:
        read = stage.machine.memory.read
        frame = stage.observations().record.frame("systab")
        assert frame is not None
        (table,) = struct.unpack("<Q", read(int(frame.fields["address"], 0) + 0x58, 8))
        return int(struct.unpack("<Q", read(table + offset, 8))[0])

    return find


def test_a_hang_in_the_kernel_is_named_by_its_function(machines: Range) -> None:
    trap = Trap(Point.LOADED, 1, kernel_function(machines, "machine_kexec"))
    found, cause = run(machines, machines.plan("esrt/kexec-load"), trap)
    assert headline(found).startswith("hung in machine_kexec+0x0, called from kernel_kexec+")
    assert found.symbols.endswith("whose banner lies in memory where they say")
    assert not found.cpus[0].cpu.interrupts_on
    assert cause is Cause.HANG


def test_a_hang_in_firmware_is_named_with_the_call_that_led_there(machines: Range) -> None:
    trap = Trap(Point.HANDOFF, 0, runtime_service(SET_VIRTUAL_ADDRESS_MAP))
    found, cause = run(machines, machines.plan("esrt/kexec-load"), trap)
    assert found.cpus[0].place.owner is Owner.FIRMWARE
    assert headline(found).startswith("hung in firmware image RuntimeDxe+0x")
    assert "called from __efi_call+" in headline(found)
    assert "from efi_set_virtual_address_map+" in headline(found)
    assert cause is Cause.HANG


def test_who_overwrites_the_esrt(machines: Range) -> None:
    plan = machines.plan("esrt/kexec-load")
    case = Case(Variant(plan.variant, plan.scenario, plan.scenario_file, 1))
    found = investigate(case, machines.workshop, Options(machines.root), Silent())
    write = guilty(found)
    assert write is not None, sentence(found)
    assert (write.place.owner, write.epoch) == (Owner.CONTROL, 2)
    assert write.place.name in ("swap_pages", "relocate_kernel", "identity_mapped")
    assert write.through == write.target.start
    assert "(initrd)" in write.segment
    assert "are those of the initrd" in write.origin
    assert found.notes == ()
