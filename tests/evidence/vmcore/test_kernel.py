"""Virtual memory, log, and the stack of the crash: a made kernel, and real ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from evidence.vmcore.kernel import CODE, STACK, SYMBOLS, Kernel, vmcoreinfo
from evidence.vmcore.writers import PAGE, TESTDATA, elf, kdump, opened, verify
from harness.evidence.code import kallsyms
from harness.evidence.code.symbols import SymbolTable
from harness.evidence.defect import Defect
from harness.evidence.printk import text_of
from harness.evidence.vmcore import Dump
from harness.subjects.kdump.stack import names_on_stack


def dump_of(kernel: Kernel, **more: str) -> Dump:
    return opened(elf(kernel.pages(), kernel.notes(more=more)))


class TestVirtual:
    def test_image_and_page_tables(self) -> None:
        dump = dump_of(Kernel())
        assert dump.read_virtual(CODE + 0x300 + 0x22 - 5, 5) == b"\xe8abcd"
        assert dump.physical(STACK + PAGE + 7) == 0x0070_3007
        assert dump.physical(STACK + PAGE + 8) == 0x0070_3008  # now from memory
        stack = dump.read_virtual(STACK + 0x2FF8, 0x20)
        assert isinstance(stack, bytes)
        assert stack[:8] == (SYMBOLS["sysrq_handle_crash"] + 0x10).to_bytes(8, "little")
        assert stack[24:] == (SYMBOLS["vfs_write"] + 0xA0).to_bytes(8, "little")

    def test_not_mapped(self) -> None:
        dump = dump_of(Kernel())
        assert "is not mapped" in str(dump.read_virtual(STACK + 0x10000, 8))
        assert "is not mapped" in str(dump.read_virtual(STACK + 4 * PAGE - 4, 8))
        assert "not canonical" in str(dump.read_virtual(1 << 60, 8))
        assert "too many" in str(dump.read_virtual(STACK, 1 << 40))

    def test_page_left_out(self) -> None:
        kernel = Kernel()
        pages = kernel.pages()
        del pages[0x703]
        dump = opened(kdump(pages, absent=[0x703], note_bytes=kernel.notes(), vmcoreinfo=vmcoreinfo()))
        assert dump.read_virtual(STACK + PAGE, 8) == Defect("the page at 0x703000 is not in the dump")

    def test_without_page_tables(self) -> None:
        dump = dump_of(Kernel(), **{"SYMBOL(init_top_pgt)": "ffff888000000000"})
        assert "are not in its image" in str(dump.read_virtual(STACK, 8))


def real(name: str) -> tuple[Dump, SymbolTable]:
    table = kallsyms.parse((TESTDATA / f"{name}.kallsyms").read_text())
    assert isinstance(table, SymbolTable)
    return opened((TESTDATA / f"{name}.kdump").read_bytes()), table


WAY_IN = ("panic", "sysrq_handle_crash", "write_sysrq_trigger")


class TestReal:
    """Dumps made by makedumpfile; see tests/testdata/vmcore/cut.py."""

    @pytest.mark.parametrize(
        ("name", "release", "records", "frames"),
        [("tiny-5.10", "5.10.262-tiny", 294, 9), ("debian-7.2-cloud", "7.2.13+deb14-cloud-amd64", 429, 18)],
    )
    def test_all_of_it(self, name: str, release: str, records: int, frames: int) -> None:
        dump, table = real(name)
        assert (dump.complete, dump.defects, verify(dump).defects) == (True, (), ())
        assert not isinstance(dump.vmcoreinfo, Defect)
        assert dump.vmcoreinfo.release == release
        log = dump.dmesg()
        assert isinstance(log, tuple)
        assert [record.sequence for record in log] == list(range(records))
        assert log[0].text.startswith(f"Linux version {release} ")
        assert (log[-1].caller, log[-1].level) in {("T1", 4)}
        assert "harness: nonce 4d2c9a11\n" in text_of(log)
        names = [name.partition("+")[0] for name in names_on_stack(dump, dump.notes[0], table)]
        assert tuple(name for name in names if name in WAY_IN) == WAY_IN
        assert len(names) == frames


MUTATIONS: dict[str, Callable[[Kernel], None]] = {
    "head": lambda kernel: kernel.log.put(0xFFFFFFFF_82000040 + 8 + 24, "Q", 77),
    "prb": lambda kernel: kernel.log.put(0xFFFFFFFF_82000000, "Q", STACK + 0x20000),
    "size": lambda kernel: kernel.log.put(0xFFFFFFFF_82000040 + 56, "I", 60),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_damaged_log_is_a_defect(name: str) -> None:
    kernel = Kernel()
    MUTATIONS[name](kernel)
    assert isinstance(dump_of(kernel).dmesg(), Defect)
