"""The dump against samples from outside, and what may differ."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from evidence.test_printk import BASE
from evidence.vmcore.kernel import PER_CPU, PER_CPU_PHYS, STACK_PHYS, SYMBOLS, Kernel, symbols
from evidence.vmcore.writers import PAGE, elf, flipped, kdump, opened, page
from harness.evidence.ranges import Range
from harness.evidence.vmcore import Dump
from harness.evidence.vmcore.lawful import LOW_BYTES, at_capture, at_panic
from harness.evidence.vmcore.truth import Lawful, compare

PAGES = {pfn: page(pfn) for pfn in range(300, 310)}


def samples(pages: dict[int, bytes]) -> Iterator[tuple[int, bytes]]:
    return ((pfn * PAGE, data) for pfn, data in pages.items())


def changed(address: int, size: int = 1) -> dict[int, bytes]:
    pages = dict(PAGES)
    for place in range(address, address + size):
        pages[place // PAGE] = flipped(pages[place // PAGE], place % PAGE)
    return pages


class TestCompare:
    def test_equal(self) -> None:
        for dump in (opened(elf(PAGES)), opened(kdump(PAGES))):
            found = compare(dump, samples(PAGES))
            assert (found.compared, found.equal, found.different, found.passed) == (10, 10, (), True)

    def test_nothing_compared_is_no_pass(self) -> None:
        assert not compare(opened(elf(PAGES)), ()).passed
        found = compare(opened(kdump(PAGES, absent=[400])), [(400 * PAGE, bytes(PAGE)), (900 * PAGE, bytes(10))])
        assert (found.compared, found.absent, found.outside, found.passed) == (0, 1, 1, False)

    def test_one_flipped_bit(self) -> None:
        at = 303 * PAGE + 1234
        found = compare(opened(elf(changed(at))), samples(PAGES))
        assert (found.compared, found.equal, found.different_pages, found.passed) == (10, 9, 1, False)
        held = PAGES[303][1234] ^ 0x10
        assert str(found.different[0]) == f"{at:#x}: {held:#04x} in the dump, {PAGES[303][1234]:#04x} before (1 bytes)"

    def test_sample_of_many_pages_and_of_parts(self) -> None:
        dump = opened(elf(changed(305 * PAGE, 3)))
        whole = b"".join(PAGES.values())
        found = compare(dump, [(300 * PAGE + 100, whole[100:-100])])
        assert (found.compared, found.different_pages, found.different[0].address) == (10, 1, 305 * PAGE)
        assert compare(dump, [(305 * PAGE + 3, whole[5 * PAGE + 3 :][:50])]).passed
        assert not compare(dump, [(305 * PAGE + 2, whole[5 * PAGE + 2 :][:50])]).passed

    def test_another_runs_dump(self) -> None:
        other = {pfn: page(pfn + 1000) for pfn in range(300, 500)}
        found = compare(opened(elf(other)), samples({pfn: page(pfn) for pfn in range(300, 500)}))
        assert (found.equal, found.different_pages, len(found.different)) == (0, 200, 64)

    def test_page_that_cannot_be_had(self) -> None:
        data = kdump(PAGES)
        found = compare(opened(data[:-4000]), samples(PAGES))
        assert (found.compared, len(found.unreadable), found.passed) == (9, 1, False)

    def test_only_the_lawful_bytes(self) -> None:
        at = 303 * PAGE + 100
        law = Lawful(Range.sized(at, 8), "the clock")
        found = compare(opened(elf(changed(at, 8))), samples(PAGES), [law])
        assert (dict(found.lawful), found.lawful_pages, found.coarse_pages) == ({"the clock": 1}, 1, 0)
        assert found.passed
        for start, size in ((at - 1, 8), (at, 9)):
            assert compare(opened(elf(changed(start, size))), samples(PAGES), [law]).different[0].count_bytes == 1

    def test_lawful_across_pages_and_large(self) -> None:
        at = 304 * PAGE - 8
        for law in (Lawful(Range.sized(at, 16), "r"), Lawful(Range.sized(0, 1 << 30), "r")):
            found = compare(opened(elf(changed(at, 16))), samples(PAGES), [law])
            assert (dict(found.lawful), found.lawful_pages, found.passed) == ({"r": 2}, 2, True)

    def test_coarse_reasons_come_last_and_are_counted(self) -> None:
        at = 303 * PAGE
        laws = [Lawful(Range.sized(0, 1 << 30), "data", exact=False), Lawful(Range.sized(at, 4), "the clock")]
        exact = compare(opened(elf(changed(at, 4))), samples(PAGES), laws)
        assert (dict(exact.lawful), exact.coarse_pages) == ({"the clock": 1}, 0)
        coarse = compare(opened(elf(changed(at, 5))), samples(PAGES), laws)
        assert (dict(coarse.lawful), coarse.coarse_pages) == ({"data": 1, "the clock": 1}, 1)


class TestLawful:
    @pytest.fixture
    def kernel(self) -> Kernel:
        kernel = Kernel()
        for cpu in range(2):
            offset = PER_CPU + cpu * 2 * PAGE
            kernel.log.put(SYMBOLS["__per_cpu_offset"] + 8 * cpu, "Q", offset)
            kernel.write64(PER_CPU_PHYS + cpu * 2 * PAGE, SYMBOLS["init_task"])
        kernel.log.put(SYMBOLS["crash_notes"], "Q", PAGE + 0x200)
        kernel.log.put(SYMBOLS["vmcoreinfo_note"], "Q", PER_CPU + 3 * PAGE)
        return kernel

    @pytest.fixture
    def dump(self, kernel: Kernel) -> Dump:
        return opened(elf(kernel.pages(), kernel.notes()))

    def reason(self, laws: tuple[Lawful, ...], physical: int) -> str:
        return next((law.reason for law in laws if law.range.contains(physical)), "")

    def test_each_place(self, kernel: Kernel, dump: Dump) -> None:
        laws = at_panic(dump, symbols())
        assert all(law.exact for law in laws)
        places = {
            kernel.image(BASE + 0x1010): "the log",
            kernel.image(BASE + 0x20010): "the log",
            kernel.image(BASE + 0x80FFF): "the log",
            kernel.image(SYMBOLS["jiffies"]): "timekeeping",
            kernel.image(SYMBOLS["rcu_state"]): "RCU",
            kernel.image(SYMBOLS["textbuf.4"]): "the log",
            STACK_PHYS[0]: "the stack",
            STACK_PHYS[3] + 0xFFF: "the stack",
            PER_CPU_PHYS: "per-CPU",
            PER_CPU_PHYS + 2 * PAGE + 0xFFF: "per-CPU",
            PER_CPU_PHYS + PAGE + 0x200: "crash_save_cpu()",
            PER_CPU_PHYS + 3 * PAGE: "crash_save_vmcoreinfo()",
            kernel.image(SYMBOLS["init_task"]): "RCU",
        }
        for place, begins in places.items():
            assert self.reason(laws, place).startswith(begins), (hex(place), self.reason(laws, place))

    def test_nothing_else(self, kernel: Kernel, dump: Dump) -> None:
        laws = at_panic(dump, symbols())
        for place in (
            kernel.image(SYMBOLS["innocent"]),
            kernel.image(SYMBOLS["_stext"]),
            kernel.image(BASE + 0x81000),
            STACK_PHYS[0] - 1,
            STACK_PHYS[0] + PAGE,
            PER_CPU_PHYS + PAGE + 0x1FF,
            PER_CPU_PHYS + PAGE + 0x400,
        ):
            assert not self.reason(laws, place), hex(place)

    def test_without_symbols_the_variables_are_coarse(self, dump: Dump, kernel: Kernel) -> None:
        data = Range.sized(kernel.image(SYMBOLS["jiffies"]), 0x1000)
        laws = at_panic(dump, None, [data])
        assert [law for law in laws if not law.exact] == [Lawful(data, laws[-1].reason, exact=False)]
        assert self.reason(laws, kernel.image(BASE + 0x1010)).startswith("the log")
        assert not self.reason(laws, PER_CPU_PHYS)

    def test_damaged_pointers_make_nothing_lawful(self, kernel: Kernel) -> None:
        for name in ("__per_cpu_offset", "crash_notes", "vmcoreinfo_note"):
            kernel.log.put(SYMBOLS[name], "QQ", 0x7777_7777_0000, 0x7777_7777_0000)
        kernel.log.put(BASE + 0x40 + 8, "I", 60)
        kernel.log.put(BASE, "Q", 0)
        laws = at_panic(opened(elf(kernel.pages(), kernel.notes())), symbols())
        reasons = {law.reason.split(":")[0] for law in laws}
        assert "per-CPU data" not in reasons
        assert sum(law.range.size_bytes for law in laws) < 64 * 1024

    def test_no_vmcoreinfo(self) -> None:
        assert at_panic(opened(elf(PAGES, b"\0")), symbols()) == ()

    def test_after_the_jump_only_what_the_capture_kernel_boots_through(self) -> None:
        assert at_capture(opened(elf(PAGES))) == ()
        (law,) = at_capture(opened(elf({1: page(1), **PAGES})))
        assert law.range == Range(0, LOW_BYTES)
