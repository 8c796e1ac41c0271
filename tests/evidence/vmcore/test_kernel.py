"""Virtual memory, log, and the plausibility of the crash: a made kernel, and real ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from evidence.vmcore.kernel import CODE, REPORT, STACK, SYMBOLS, Kernel, symbols, vmcoreinfo
from evidence.vmcore.writers import PAGE, TESTDATA, elf, kdump, opened
from harness.evidence.code import kallsyms
from harness.evidence.code.symbols import SymbolTable
from harness.evidence.defect import Defect
from harness.evidence.printk import text_of
from harness.evidence.vmcore import Dump
from harness.evidence.vmcore.task import Plausibility, backtrace, find_crash, plausibility

COMM = "h-4d2c9a11"


def dump_of(kernel: Kernel, **more: str) -> Dump:
    return opened(elf(kernel.pages(), kernel.notes(more=more)))


def judged(kernel: Kernel, dump: Dump | None = None) -> Plausibility:
    dump = dump or dump_of(kernel)
    log = dump.dmesg()
    assert isinstance(log, tuple), log
    return plausibility(dump, log, symbols(), COMM)


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


class TestCrash:
    def test_plausible(self) -> None:
        found = judged(Kernel())
        assert found.doubts == ()
        assert found.crash is not None
        assert (found.crash.headline, found.crash.cpu, found.crash.pid) == (REPORT[1].decode(), 1, 42)
        assert (found.rip, found.expected, found.found) == ("__crash_kexec+0x55", 2, 2)
        assert [(frame.text, frame.sure) for frame in found.frames] == [
            ("__crash_kexec+0x54", False),
            ("panic+0x22", True),
            ("vfs_write+0x99", False),
            ("sysrq_handle_crash+0x10", True),
            ("vfs_write+0xa0", True),
        ]

    def test_without_symbols_only_the_pid_is_held_against_the_log(self) -> None:
        dump = dump_of(Kernel())
        log = dump.dmesg()
        assert isinstance(log, tuple)
        found = plausibility(dump, log, None, COMM)
        assert (found.doubts, found.cpu, found.frames) == ((), dump.notes[1], ())

    def test_another_task(self) -> None:
        kernel = Kernel(tuple(line.replace(b"4d2c9a11", b"4d2c9a12") for line in REPORT))
        assert judged(kernel).doubts == (f"the task that crashed is called 'h-4d2c9a12' in the log, not '{COMM}'",)

    def test_registers_of_another_task(self) -> None:
        kernel = Kernel()
        found = judged(kernel, opened(elf(kernel.pages(), kernel.notes(pid=43))))
        assert found.doubts == ("no CPU's registers are of pid 42, which crashed on CPU 1 by the log",)

    def test_cpu_numbers_shifted_by_one_that_was_offline(self) -> None:
        kernel = Kernel(tuple(line.replace(b"CPU: 1", b"CPU: 2") for line in REPORT))
        assert judged(kernel).doubts == ()

    def test_stack_of_another_crash(self) -> None:
        kernel = Kernel()
        kernel.write_stack(0x2FF8, SYMBOLS["vfs_write"] + 0x11)
        assert judged(kernel).doubts == (
            "of the log's call trace, sysrq_handle_crash+0x10 is not on the stack of CPU 1",
        )

    def test_stack_pointer_to_nowhere(self) -> None:
        kernel = Kernel()
        kernel.registers[19] = 0x1000
        doubts = judged(kernel).doubts
        assert doubts[0].startswith("the stack at 0x1000 cannot be read")
        assert len(doubts) == 2

    def test_no_panic(self) -> None:
        kernel = Kernel((b"Linux version 6.1.0", b"all is well"))
        assert judged(kernel).doubts == ("the log in the dump tells of no panic and no oops",)

    def test_panic_written_by_user_space_does_not_count(self) -> None:
        kernel = Kernel((b"Linux version 6.1.0",))
        kernel.log.add(REPORT[1], facility=1)
        assert judged(kernel).crash is None

    def test_guesses_need_not_all_be_there(self) -> None:
        """As without ORC: every frame has a question mark, and one is overwritten meanwhile."""
        report = tuple(b" ? " + line[1:] if b"+0x" in line and b"?" not in line else line for line in REPORT)
        kernel = Kernel(report)
        assert (judged(kernel).found, judged(kernel).expected) == (3, 3)
        kernel.write_stack(0x2F00, 0)
        assert (judged(kernel).doubts, judged(kernel).found) == ((), 2)
        kernel.write_stack(0x2FF8, 0)
        assert len(judged(kernel).doubts) == 1


OOPS = (
    b"BUG: kernel NULL pointer dereference, address: 0000000000000000",
    b"Oops: 0002 [#1] PREEMPT SMP NOPTI",
    b"CPU: 1 PID: 42 Comm: h-4d2c9a11 Kdump: loaded Tainted: G           O       6.1.0-test #1",
    b"RIP: 0010:sysrq_handle_crash+0x16/0x200",
    b"Call Trace:",
    b" <IRQ>",
    b" vfs_write+0xa0/0x200",
    b" </IRQ>",
    b" <TASK>",
    b" panic+0x77/0x200",
    b" </TASK>",
)


class TestOops:
    """With panic_on_oops crash_kexec() runs before panic(): its registers are those of the fault."""

    def test_plausible(self) -> None:
        kernel = Kernel(OOPS)
        kernel.registers[16] = SYMBOLS["sysrq_handle_crash"] + 0x16
        found = judged(kernel)
        assert found.doubts == ()
        assert found.crash is not None
        assert (found.crash.headline, found.crash.panicked) == (OOPS[0].decode(), False)
        assert found.crash.trace == ("vfs_write+0xa0",)

    def test_another_place(self) -> None:
        assert judged(Kernel(OOPS)).doubts == ("RIP is __crash_kexec+0x55, and sysrq_handle_crash+0x16 in the log",)

    def test_panic_after_an_oops(self) -> None:
        kernel = Kernel((*OOPS, b"Kernel panic - not syncing: Fatal exception"))
        found = judged(kernel)
        assert found.crash is not None
        assert (found.crash.headline, found.crash.comm, found.doubts) == (
            *("Kernel panic - not syncing: Fatal exception", COMM),
            (),
        )


def real(name: str) -> tuple[Dump, SymbolTable]:
    table = kallsyms.parse((TESTDATA / f"{name}.kallsyms").read_text())
    assert isinstance(table, SymbolTable)
    return opened((TESTDATA / f"{name}.kdump").read_bytes()), table


class TestReal:
    """Dumps made by makedumpfile; see tests/testdata/vmcore/cut.py."""

    @pytest.mark.parametrize(
        ("name", "release", "records", "cpu", "frames"),
        [("tiny-5.10", "5.10.262-tiny", 294, 0, 8), ("debian-7.2-cloud", "7.2.13+deb14-cloud-amd64", 429, 0, 8)],
    )
    def test_all_of_it(self, name: str, release: str, records: int, cpu: int, frames: int) -> None:
        dump, table = real(name)
        assert (dump.complete, dump.defects, dump.verify().defects) == (True, (), ())
        assert not isinstance(dump.vmcoreinfo, Defect)
        assert dump.vmcoreinfo.release == release
        log = dump.dmesg()
        assert isinstance(log, tuple)
        assert [record.sequence for record in log] == list(range(records))
        assert log[0].text.startswith(f"Linux version {release} ")
        assert (log[-1].caller, log[-1].level) in {("T1", 4)}
        assert "harness: nonce 4d2c9a11\n" in text_of(log)
        found = plausibility(dump, log, table, "h4rness")
        assert found.doubts == ()
        assert found.crash is not None
        assert (found.crash.headline, found.crash.cpu, found.crash.pid) == (
            *("Kernel panic - not syncing: sysrq triggered crash", cpu),
            1,
        )
        assert (found.rip.partition("+")[0], found.expected, found.found) == ("__crash_kexec", frames, frames)

    def test_the_log_of_one_is_not_the_stack_of_the_other(self) -> None:
        (old, _), (new, table) = real("tiny-5.10"), real("debian-7.2-cloud")
        log = old.dmesg()
        assert isinstance(log, tuple)
        assert "is not on the stack" in plausibility(new, log, table, "h4rness").doubts[0]

    def test_backtrace_has_the_way_in(self) -> None:
        dump, table = real("debian-7.2-cloud")
        frames = backtrace(dump, dump.notes[0], table)
        assert isinstance(frames, tuple)
        sure = [frame.text.partition("+")[0] for frame in frames if frame.sure]
        wanted = ["vpanic", "panic", "sysrq_handle_crash", "__handle_sysrq.cold", "write_sysrq_trigger"]
        assert [name for name in sure if name in wanted] == wanted


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


def test_find_crash_needs_records() -> None:
    assert find_crash(()) == Defect("the log in the dump tells of no panic and no oops")
