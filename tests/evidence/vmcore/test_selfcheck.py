from __future__ import annotations

import pytest

from evidence.vmcore.kernel import PER_CPU, PER_CPU_PHYS, STACK, STACK_PHYS, SYMBOLS, Kernel, symbols, vmcoreinfo
from evidence.vmcore.writers import PAGE, elf, note, opened, prstatus
from harness.evidence.code.symbols import symbol_table
from harness.evidence.vmcore.selfcheck import SelfCheck, check_notes


class Noted(Kernel):
    """With the notes also where the crashed kernel has them."""

    def __init__(self) -> None:
        super().__init__()
        self.log.put(SYMBOLS["crash_notes"], "Q", PAGE + 0x200)
        self.log.put(SYMBOLS["vmcoreinfo_note"], "Q", STACK)
        cpus = [prstatus(0, [0] * 27), prstatus(42, self.registers)]
        for number, data in enumerate(cpus):
            self.log.put(SYMBOLS["__per_cpu_offset"] + 8 * number, "Q", PER_CPU + number * 2 * PAGE)
            # What is behind the note may be anything.
            self.write(PER_CPU_PHYS + (2 * number + 1) * PAGE + 0x200, data + bytes(12) + b"other data")
        self.write(STACK_PHYS[0], note(b"VMCOREINFO", 0, vmcoreinfo()) + bytes(12))

    def write(self, physical: int, data: bytes) -> None:
        for at in range(0, len(data), 8):
            self.write64(physical + at, int.from_bytes(data[at : at + 8], "little"))

    def check(self, note_bytes: bytes | None = None) -> SelfCheck:
        return check_notes(opened(elf(self.pages(), note_bytes or self.notes())), symbols())


def test_all_three_agree() -> None:
    assert Noted().check() == SelfCheck(3, (), ())


@pytest.mark.parametrize(
    ("physical", "name"),
    [
        (PER_CPU_PHYS + PAGE + 0x200 + 200, "the registers of CPU 0"),
        (PER_CPU_PHYS + 3 * PAGE + 0x200 + 200, "the registers of CPU 1"),
        (PER_CPU_PHYS + 3 * PAGE + 0x200, "the registers of CPU 1"),
        (STACK_PHYS[0] + 400, "VMCOREINFO"),
    ],
)
def test_one_bit_in_memory(physical: int, name: str) -> None:
    kernel = Noted()
    kernel.write64(physical, kernel.read64(physical) ^ 1)
    assert kernel.check() == SelfCheck(3, (f"{name}: the note differs from the crashed kernel's memory",), ())


def test_one_register_in_the_notes() -> None:
    kernel = Noted()
    other = kernel.notes().replace(kernel.registers[16].to_bytes(8, "little"), bytes(8))
    assert kernel.check(other).doubts == ("the registers of CPU 1: the note differs from the crashed kernel's memory",)


def test_what_is_not_in_the_dump_is_no_doubt() -> None:
    kernel = Noted()
    pages = kernel.pages()
    del pages[STACK_PHYS[0] // PAGE]
    found = check_notes(opened(elf(pages, kernel.notes())), symbols())
    assert (found.compared, found.doubts, found.absent) == (
        2,
        (),
        ("VMCOREINFO: the page at 0x500000 is not in the dump",),
    )


def test_without_the_symbols() -> None:
    kernel = Noted()
    found = check_notes(opened(elf(kernel.pages(), kernel.notes())), symbol_table([(SYMBOLS["_stext"], "T", "_stext")]))
    assert (found.compared, found.absent[0]) == (0, "the registers of CPU 0: there is no symbol crash_notes")
