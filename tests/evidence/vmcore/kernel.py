"""A small crashed kernel: physical memory with page tables, a log, two stacks and a little code."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from evidence.test_printk import BASE, LAYOUT, MEMORY_BYTES, Log
from evidence.vmcore.writers import PAGE, notes, prstatus
from harness.evidence.code.symbols import SymbolTable, symbol_table

PHYS_BASE = 0x0020_0000
"""The image's virtual 0xffffffff82000000 is at physical 0x02200000."""
IMAGE_PHYS = BASE - 0xFFFFFFFF_80000000 + PHYS_BASE
TABLES_PHYS = 0x0010_0000
STACK = 0xFFFF8880_00010000
"""Of the crashing task; mapped by the page tables only, as with CONFIG_VMAP_STACK."""
STACK_PHYS = (0x0050_0000, 0x0070_3000, 0x0060_0000, 0x0051_1000)
CODE = BASE + 0xF0000
TOP = BASE + 0xE0000
SYMBOLS = {
    "_stext": CODE,
    "__crash_kexec": CODE + 0x100,
    "panic": CODE + 0x300,
    "sysrq_handle_crash": CODE + 0x500,
    "vfs_write": CODE + 0x700,
    "_etext": CODE + 0x1000,
    "jiffies": BASE + 0xD0000,
    "rcu_state": BASE + 0xD0100,
    "textbuf.4": BASE + 0xD0200,
    "innocent": BASE + 0xD0300,
    "__per_cpu_offset": BASE + 0xD0400,
    "crash_notes": BASE + 0xD0500,
    "vmcoreinfo_note": BASE + 0xD0508,
    "init_task": BASE + 0xD0600,
    "behind": BASE + 0xD0A00,
    "_end": BASE + MEMORY_BYTES,
}
PER_CPU_BYTES = 0x1000
PER_CPU_PHYS = 0x0080_0000
PER_CPU = 0xFFFF8880_00080000
REPORT = (
    b"sysrq: Trigger a crash",
    b"Kernel panic - not syncing: sysrq triggered crash",
    b"CPU: 1 UID: 0 PID: 42 Comm: h-4d2c9a11 Kdump: loaded Not tainted 6.1.0-test #1",
    b"Call Trace:",
    b" <TASK>",
    b" dump_stack_lvl+0x33/0x42",
    b" panic+0x19/0x200",
    b" ? vfs_write+0x99/0x200",
    b" sysrq_handle_crash+0x10/0x200",
    b" vfs_write+0xa0/0x200",
    b" </TASK>",
)


def vmcoreinfo(more: Mapping[str, str] | None = None) -> bytes:
    values = {
        "OSRELEASE": "6.1.0-test",
        **LAYOUT,
        "SYMBOL(init_top_pgt)": f"{TOP:x}",
        "NUMBER(phys_base)": str(PHYS_BASE),
        "KERNELOFFSET": "0",
        **(more or {}),
    }
    return "".join(f"{key}={value}\n" for key, value in values.items()).encode()


def symbols() -> SymbolTable:
    kinds = {"_stext": "T", "panic": "T", "vfs_write": "T", "__crash_kexec": "T", "sysrq_handle_crash": "t"}
    table = [(address, kinds.get(name, "d"), name) for name, address in SYMBOLS.items()]
    absolute = (("__per_cpu_start", 0), ("current_task", 0), ("__per_cpu_end", PER_CPU_BYTES))
    return symbol_table([*table, *((address, "A", name) for name, address in absolute)])


class Kernel:
    """Change ``log``, ``registers`` or ``physical`` before :meth:`pages`."""

    def __init__(self, report: tuple[bytes, ...] = REPORT) -> None:
        self.log = Log(count_bits=6, size_bits=12)
        self.physical: dict[int, bytearray] = {}
        for line in report:
            self.log.add(line)
        self.registers = [0] * 27
        self.registers[16], self.registers[19] = SYMBOLS["__crash_kexec"] + 0x55, STACK + 0x2E00
        self._code()
        self._tables()
        # What a real stack has: a leftover that no call stands before, then the way in.
        for place, name, offset in (
            (0x2E10, "__crash_kexec", 0x54),
            (0x2E40, "panic", 0x22),
            (0x2F00, "vfs_write", 0x99),
            (0x2FF8, "sysrq_handle_crash", 0x10),
            (0x3010, "vfs_write", 0xA0),
        ):
            self.write_stack(place, SYMBOLS[name] + offset)

    def _code(self) -> None:
        for name, offset, call in (
            ("panic", 0x22, b"\xe8abcd"),
            ("sysrq_handle_crash", 0x10, b"\xe8abcd"),
            ("vfs_write", 0xA0, b"\xff\x50\x18"),
        ):
            at = SYMBOLS[name] + offset - len(call) - BASE
            self.log.memory[at : at + len(call)] = call

    def _tables(self) -> None:
        """4 levels: the image as it is; the stack's four pages, scattered; two CPUs' areas."""
        self.write64(self.image(TOP) + 8 * 0x1FE, 0)
        top = self.image(TOP)
        pages = {STACK + PAGE * number: place for number, place in enumerate(STACK_PHYS)}
        pages |= {PER_CPU + PAGE * number: PER_CPU_PHYS + PAGE * number for number in range(4)}
        self._next_table = TABLES_PHYS
        for virtual, place in pages.items():
            table = top
            for level in (3, 2, 1):
                entry = table + 8 * (virtual >> 12 + 9 * level & 0x1FF)
                if not self.read64(entry):
                    self.write64(entry, self._next_table | 0x63)
                    self._next_table += PAGE
                table = self.read64(entry) & ~0xFFF
            self.write64(table + 8 * (virtual >> 12 & 0x1FF), place | 1 << 63 | 0x63)

    @staticmethod
    def image(virtual: int) -> int:
        return virtual - BASE + IMAGE_PHYS

    def write64(self, physical: int, value: int) -> None:
        if IMAGE_PHYS <= physical < IMAGE_PHYS + MEMORY_BYTES:
            struct.pack_into("<Q", self.log.memory, physical - IMAGE_PHYS, value)
        else:
            struct.pack_into("<Q", self.physical.setdefault(physical // PAGE, bytearray(PAGE)), physical % PAGE, value)

    def read64(self, physical: int) -> int:
        if IMAGE_PHYS <= physical < IMAGE_PHYS + MEMORY_BYTES:
            return int(struct.unpack_from("<Q", self.log.memory, physical - IMAGE_PHYS)[0])
        page = self.physical.get(physical // PAGE, bytes(PAGE))
        return int(struct.unpack_from("<Q", page, physical % PAGE)[0])

    def write_stack(self, offset: int, value: int) -> None:
        self.write64(STACK_PHYS[offset // PAGE] + offset % PAGE, value)

    def notes(self, pid: int = 42, more: Mapping[str, str] | None = None) -> bytes:
        text = vmcoreinfo(more)
        return prstatus(0, [0] * 27) + prstatus(pid, self.registers) + notes(text, pids=())

    def pages(self) -> dict[int, bytes]:
        image = {
            IMAGE_PHYS // PAGE + number: bytes(self.log.memory[number * PAGE :][:PAGE])
            for number in range(MEMORY_BYTES // PAGE)
        }
        whole = {place // PAGE: bytes(PAGE) for place in STACK_PHYS}
        whole |= {PER_CPU_PHYS // PAGE + number: bytes(PAGE) for number in range(4)}
        return dict(sorted({**whole, **{pfn: bytes(data) for pfn, data in self.physical.items()}, **image}.items()))
