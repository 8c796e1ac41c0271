"""The notes of a dump: registers of each CPU, VMCOREINFO."""

from __future__ import annotations

import struct

from evidence.vmcore.writers import (
    VMCOREINFO,
    elf,
    kdump,
    note,
    notes,
    opened,
    page,
    prstatus,
)

PAGES = {pfn: page(pfn) for pfn in (3, 4, 5, 6, 9, 12, 13, 5000)}


class TestNotes:
    def test_without_vmcoreinfo(self) -> None:
        dump = opened(elf(PAGES, prstatus(1)))
        assert [defect.text for defect in dump.defects] == ["the dump has no VMCOREINFO note"]
        assert (
            str(dump.read_virtual(0xFFFFFFFF_81000000, 8)) == "virtual addresses need VMCOREINFO, and the dump has none"
        )
        assert str(dump.dmesg()) == "the dump has no VMCOREINFO note"

    def test_note_longer_than_the_notes(self) -> None:
        dump = opened(elf(PAGES, struct.pack("<III", 5, 1000, 1) + b"CORE\0\0\0\0"))
        assert dump.defects[0].text == "note 0 ends 1000 bytes behind the notes"

    def test_room_behind_the_last_note(self) -> None:
        dump = opened(elf(PAGES, notes() + bytes(50)))
        assert (dump.defects, len(dump.notes)) == ((), 2)

    def test_something_behind_the_last_note(self) -> None:
        dump = opened(elf(PAGES, notes() + bytes(12) + b"lost"))
        assert dump.defects[0].text == "there is something behind the last note, 3"

    def test_other_notes_are_not_registers(self) -> None:
        dump = opened(elf(PAGES, note(b"QEMU", 1, bytes(336)) + note(b"CORE", 1, bytes(100)) + notes()))
        assert len(dump.notes) == 2

    def test_two_vmcoreinfos_that_differ(self) -> None:
        dump = opened(kdump(PAGES, vmcoreinfo=VMCOREINFO.replace(b"0123abcd", b"0123abce")))
        assert [defect.text for defect in dump.defects] == [
            "the VMCOREINFO of the sub header differs from the one in the notes"
        ]

    def test_another_kernels_header(self) -> None:
        dump = opened(kdump(PAGES, release=b"6.2.0-other"))
        assert [defect.text for defect in dump.defects] == [
            "the header is of a kernel '6.2.0-other', VMCOREINFO of '6.1.0-test'"
        ]

    def test_phys_base_as_qemu_writes_it(self) -> None:
        assert opened(kdump(PAGES, phys_base=-0x16777216)).defects == ()
        assert "phys_base" in opened(kdump(PAGES, phys_base=-0x16777217)).defects[0].text
