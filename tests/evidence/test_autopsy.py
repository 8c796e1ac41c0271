"""The sentence of an autopsy, and hang or slow."""

from __future__ import annotations

import pytest

from harness.evidence.code.autopsy import headline, is_idle, linked, progress
from harness.model.autopsy import Owner, Place

from .autopsies import RIP, autopsy, call, cpu, place, report


def test_a_loop_of_one_instruction() -> None:
    found = autopsy(report(place("machine_kexec", 0), call("kernel_kexec", "machine_kexec")))
    assert headline(found) == "hung in machine_kexec+0x0, called from kernel_kexec+0x20"


def test_a_loop_of_some_instructions() -> None:
    seen = (place("spin", 1, address=RIP), place("spin", 3, address=RIP + 2))
    assert headline(autopsy(report(place("spin", 1), seen=seen))) == "spinning in spin+0x1"


def test_many_functions_are_work() -> None:
    seen = tuple(place(name, address=RIP + index) for index, name in enumerate("abcdefg"))
    text = headline(autopsy(report(place("a"), seen=seen)))
    assert text.startswith("busy, last in a+0x10; also seen in b, c, d, e and 2 more")


def test_halted_for_good_and_idle() -> None:
    dead = report(place("panic"), of=cpu(halted=True, interrupts=False))
    idle = report(place("default_idle"), of=cpu(halted=True))
    waits = report(place("my_wait"), of=cpu(halted=True))
    assert headline(autopsy(dead)) == "halted with interrupts off in panic+0x10"
    assert headline(autopsy(idle)).startswith("idle in default_idle+0x10: nothing runs")
    assert headline(autopsy(waits)) == "halted in my_wait+0x10, waiting for an interrupt"
    assert is_idle(idle)
    assert not is_idle(waits)
    assert not is_idle(dead)


def test_firmware_under_a_kernel() -> None:
    where = place("VariableRuntimeDxe", 0x2D38, Owner.FIRMWARE)
    calls = [call("__efi_call"), call("switch_mm", "other"), call("virt_efi_set_variable", "__efi_call")]
    text = headline(autopsy(report(where, *calls)))
    assert text == (
        "hung in firmware image VariableRuntimeDxe+0x2d38, called from __efi_call+0x20, from virt_efi_set_variable+0x20"
    )


def test_what_is_left_over_on_the_stack_drops_out() -> None:
    calls = [call("stale", "gone"), call("outer", "inner"), call("stale2", "gone2"), call("outermost", "outer")]
    found = linked(report(place("inner"), *calls))
    assert [item.place.name for item in found] == ["outer", "outermost"]


def test_an_indirect_call_counts_less_than_one_that_names_its_function() -> None:
    calls = [call("indirect"), call("direct", "inner")]
    assert [item.place.name for item in linked(report(place("inner"), *calls))] == ["direct"]
    assert [item.place.name for item in linked(report(place("inner"), calls[0]))] == ["indirect"]


def test_a_framed_call_counts_more_than_a_scanned_one() -> None:
    calls = [call("scanned"), call("framed", framed=True)]
    assert [item.place.name for item in linked(report(place("inner"), *calls))] == ["scanned", "framed"]
    assert linked(report(place("inner"))) == ()
    assert linked(report(place("inner"), call("stale", "gone"))) == ()


@pytest.mark.parametrize(
    ("where", "text"),
    [
        (Place(address=0x1000, owner=Owner.UNMAPPED), "hung at 0x1000, where nothing is mapped"),
        (Place(address=0x1000, owner=Owner.UNKNOWN), "hung at 0x1000, in code of nobody known"),
        (Place(address=0x1000, owner=Owner.USER), "hung in user space, at 0x1000"),
        (Place(address=RIP, owner=Owner.KERNEL), f"hung in the kernel, at {RIP:#x} (no symbols)"),
        (Place(address=RIP, owner=Owner.MODULE), f"hung in a kernel module, at {RIP:#x}"),
        (Place(address=0xFFFFFFF0, owner=Owner.FIRMWARE, detail="flash"), "hung in firmware at 0xfffffff0 (flash)"),
        (place("purgatory", 0x40, Owner.SEGMENT), "hung in the kexec segment purgatory+0x40"),
        (place("", 0x40, Owner.STUB), "hung in the kernel's EFI stub+0x40"),
        (place("swap_pages", 0x72, Owner.CONTROL), "hung in swap_pages+0x72 (the copy in the kexec control page)"),
        (place("", 0x72, Owner.CONTROL), "hung in relocate_kernel+0x72 (the copy in the kexec control page)"),
    ],
)
def test_every_owner(where: Place, text: str) -> None:
    assert headline(autopsy(report(where))) == text


def test_the_cpu_that_tells_most() -> None:
    idle = report(place("default_idle"), of=cpu(0, halted=True))
    busy = report(place("spin"), of=cpu(1))
    off = report(place("stop_this_cpu"), of=cpu(2, halted=True, interrupts=False))
    assert headline(autopsy(idle, busy, off)) == "hung in spin+0x10 (CPU 1; 2 more halted)"
    assert headline(autopsy(idle, off)).startswith("halted with interrupts off in stop_this_cpu")


def test_stopped_machines() -> None:
    panicked = autopsy(report(place("pvpanic"), call("panic", "pvpanic")), status="guest-panicked", ran=False)
    assert headline(panicked) == "stopped by its panic in pvpanic+0x10, called from panic+0x20"
    reset = autopsy(report(place("f")), status="shutdown", ran=False)
    assert headline(reset) == "stopped by a reset or power-off in f+0x10"


def test_nobody_could_be_looked_at() -> None:
    assert headline(autopsy()) == ""


def _moves(*names: str, halted: bool = False, owner: Owner = Owner.KERNEL, **more: object) -> tuple[bool, str]:
    seen = [[(place(name, owner=owner, address=RIP + index), halted)] for index, name in enumerate(names)]
    values = {"console_bytes": 0, "frames": 0, "crashed": False, "running": True, **more}
    found = progress(seen, **values)  # type: ignore[arg-type]
    return found.moving, found.why


def test_slow() -> None:
    assert _moves("a", "b", "c", "d")[0]
    assert _moves("loop", console_bytes=10) == (True, "its console goes on (10 bytes) meanwhile")
    assert _moves("loop", frames=1) == (True, "it has reported meanwhile")
    assert _moves("", owner=Owner.USER)[0]
    assert _moves("purgatory", "purgatory", owner=Owner.SEGMENT)[0]
    assert _moves("swap_pages", "swap_pages", owner=Owner.CONTROL)[0]


def test_a_loop_that_works_on_one_thing_after_the_other_is_slow() -> None:
    assert _moves("copy", "clear", "copy", operands=8)[0]
    assert not _moves("copy", "clear", "copy", operands=3)[0]
    assert not _moves("delay", "delay", operands=8)[0]
    assert not _moves("copy", "clear", operands=8, halted=True)[0]


def test_hung() -> None:
    assert not _moves("a", "a", "a", "a")[0]
    assert not _moves("a", "b", "c")[0]
    assert _moves("a", "b", "c", "d", halted=True) == (False, "every CPU is halted and nothing is printed")
    assert _moves("a", "b", "c", "d", running=False) == (False, "its CPUs are stopped")
    assert not _moves("a", "b", "c", "d", crashed=True, console_bytes=100, frames=1)[0]
    assert not _moves("purgatory", owner=Owner.SEGMENT)[0]  # one place only
    assert not _moves()[0]
