"""Makes the dumps beside this file out of whole ones: only the pages that reading them touches.

``python cut.py NAME VMCORE KALLSYMS``: VMCORE is a copy of /proc/vmcore, KALLSYMS the crashed kernel's /proc/kallsyms.
Writes NAME.kdump, by ``makedumpfile -c -d 0`` from a small ELF core to which the pages that makedumpfile itself asks
for are added, and NAME.kallsyms, the symbols that its
backtrace names. The kernels were crashed by ``echo c >/proc/sysrq-trigger`` in process 1, on two
CPUs, in QEMU; the dumps taken by ``cat /proc/vmcore`` in the capture kernel.
"""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from harness.evidence.code import kallsyms
from harness.evidence.code.symbols import SymbolTable
from harness.evidence.vmcore import Dump, open_dump
from harness.subjects.kdump.stack import names_on_stack

_PAGE = 4096


def main(name: str, vmcore: Path, symbols: Path) -> None:
    """Cut one dump."""
    here = Path(__file__).parent
    table = kallsyms.parse(symbols.read_bytes().rstrip(b"\0").decode(errors="replace"))
    assert isinstance(table, SymbolTable)
    with vmcore.open("rb", buffering=0) as file:
        dump = open_dump(lambda offset, size: os.pread(file.fileno(), size, offset), vmcore.stat().st_size)
        assert isinstance(dump, Dump)
        pages, frames = touched(dump, table)
        note = b"".join(
            struct.pack("<III", len(item.name) + 1, len(item.data), item.type)
            + padded(item.name.encode() + b"\0")
            + padded(item.data)
            for item in dump.raw_notes
        )
        with tempfile.TemporaryDirectory() as scratch:
            core = Path(scratch) / "core"
            target = here / f"{name}.kdump"
            while True:
                core.write_bytes(elf(pages, note, dump))
                target.unlink(missing_ok=True)
                done = subprocess.run(
                    ["makedumpfile", "-c", "-d", "0", core, target], check=False, capture_output=True, text=True
                )
                missing = {int(text, 16) // _PAGE for text in re.findall(r"non-existent page at 0x(\w+)", done.stderr)}
                if not missing:
                    break
                for pfn in missing:
                    page = dump.page(pfn)
                    assert isinstance(page, bytes), (pfn, page)
                    pages[pfn] = page
            done.check_returncode()
            target.chmod(0o644)
    wanted = {"_stext", "_etext", "_end", *frames}
    lines = [
        f"{address + table.shift:016x} {kind} {symbol}\n"
        for address, kind, symbol in zip(table.addresses, table.types, table.names, strict=True)
        if symbol in wanted
    ]
    (here / f"{name}.kallsyms").write_text("".join(lines))


def touched(dump: Dump, table: SymbolTable) -> tuple[dict[int, bytes], set[str]]:
    """The pages that the log and the backtrace need, and the names in the backtrace."""
    pages: dict[int, bytes] = {}
    read = dump.pages.read

    def recording(address: int, size: int) -> bytes | None:
        for pfn in range(address // _PAGE, (address + size - 1) // _PAGE + 1):
            page = dump.page(pfn)
            if isinstance(page, bytes):
                pages[pfn] = page
        return read(address, size)

    dump.pages.read = recording  # type: ignore[method-assign]
    log = dump.dmesg()
    assert isinstance(log, tuple)
    (cpu,) = (cpu for cpu in dump.notes if cpu.pid == 1)
    named = {name.partition("+")[0] for name in (table.text(cpu.registers["rip"]), *names_on_stack(dump, cpu, table))}
    return pages, named


def padded(data: bytes) -> bytes:
    """To a multiple of 4 bytes."""
    return data + bytes(-len(data) % 4)


def elf(pages: dict[int, bytes], note: bytes, dump: Dump) -> bytes:
    """A core with one PT_LOAD a run of pages, at the virtual addresses of the whole dump's."""
    runs: list[list[int]] = []
    for pfn in sorted(pages):
        if runs and runs[-1][-1] == pfn - 1:
            runs[-1].append(pfn)
        else:
            runs.append([pfn])
    linear = next(item for item in dump.segments if item.virtual < 0xFFFFFFFF_80000000)
    count = 1 + len(runs)
    note_at = 64 + 56 * count
    at = note_at + len(note) + -(note_at + len(note)) % _PAGE
    headers = [struct.pack("<IIQQQQQQ", 4, 0, note_at, 0, 0, len(note), len(note), 0)]
    for run in runs:
        physical, size = run[0] * _PAGE, len(run) * _PAGE
        virtual = physical - linear.physical + linear.virtual
        headers.append(struct.pack("<IIQQQQQQ", 1, 7, at, virtual, physical, size, size, 0))
        at += size
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    head = struct.pack("<16sHHIQQQIHHHHHH", ident, 4, 62, 1, 0, 64, 0, 0, 64, 56, count, 0, 0, 0)
    front = head + b"".join(headers) + note
    return front + bytes(-len(front) % _PAGE) + b"".join(pages[pfn] for run in runs for pfn in run)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
