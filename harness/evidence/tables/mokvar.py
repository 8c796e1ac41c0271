"""The EFI MOK variable configuration table: shim's variables in one piece, and what Linux shows of them.

Layout and rules: drivers/firmware/efi/mokvar-table.c (58c909022a5a, v5.10). Entries of a 256-byte name, a 64-bit size
and the data, one after the other without padding; an entry with an empty name and no data ends the table.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from harness.evidence.defect import Defect
from harness.evidence.tables.shown import Shown, listed

NAME_BYTES = 256
HEADER_BYTES = NAME_BYTES + 8
MAX_BYTES = 2**24
"""More than any table of this harness; the kernel's limit is the EFI memory descriptor that holds the table."""
_FACT = "mok-variables"
_ABSENT = "absent"
_MESSAGE = "EFI MOKvar config table is not valid"


@dataclass(frozen=True)
class MokVariable:
    name: str
    data: bytes


def make_variables(count: int, size_bytes: int, seed: str) -> tuple[MokVariable, ...]:
    """``count`` variables of this size, of names that nobody reads, and unlike those of any other run."""
    return tuple(MokVariable(f"Harness{number}", _stream(f"{seed}/{number}", size_bytes)) for number in range(count))


def _stream(seed: str, size_bytes: int) -> bytes:
    return hashlib.shake_128(seed.encode()).digest(size_bytes)


def build(variables: Sequence[MokVariable]) -> bytes:
    """The table's bytes, with the entry that ends it."""
    entries = (
        variable.name.encode("ascii").ljust(NAME_BYTES, b"\0") + struct.pack("<Q", len(variable.data)) + variable.data
        for variable in variables
    )
    return b"".join(entries) + bytes(HEADER_BYTES)


def parse(data: bytes) -> tuple[MokVariable, ...] | Defect:
    """Decode a table as efi_mokvar_table_init() does; what comes behind its end is ignored."""
    found: list[MokVariable] = []
    offset = 0
    while len(data) - offset >= HEADER_BYTES:
        raw = data[offset : offset + NAME_BYTES]
        size_bytes = int.from_bytes(data[offset + NAME_BYTES : offset + HEADER_BYTES], "little")
        offset += HEADER_BYTES
        if not raw[0]:
            if size_bytes:
                return Defect(f"a MOK variable without name has {size_bytes} bytes", _MESSAGE)
            return tuple(found) if found else Defect("the MOKvar table has no entries")
        if b"\0" not in raw or size_bytes > len(data) - offset:
            break
        found.append(MokVariable(raw.partition(b"\0")[0].decode("latin-1"), data[offset : offset + size_bytes]))
        offset += size_bytes
    return Defect("the MOKvar table has no end", _MESSAGE)


def size_bytes(data: bytes) -> int | Defect:
    """How long the table is, its end entry included."""
    found = parse(data)
    if isinstance(found, Defect):
        return found
    return HEADER_BYTES + sum(HEADER_BYTES + len(variable.data) for variable in found)


def differences(shown: Shown) -> tuple[str, ...]:
    """What /sys/firmware/efi/mok-variables shows otherwise than the table says; empty when all agrees.

    The fact is a ``NAME=SIZE SHA256`` line a file there, or ``absent``.
    """
    table = parse(shown.content)
    if isinstance(table, Defect):
        return (f"firmware's own table is bad: {table}",)
    if shown.text(_FACT).strip() == _ABSENT:
        return ("the kernel shows no MOK variables in /sys/firmware/efi/mok-variables",)
    expected = {item.name: f"{len(item.data)} {hashlib.sha256(item.data).hexdigest()}" for item in table}
    seen = shown.values(_FACT)
    found = [f"the kernel shows no variable {name}" for name in expected if name not in seen]
    found += [f"the kernel shows a variable {name}, which is not in the table" for name in seen if name not in expected]
    found += [
        f"{name} is {seen[name]} in sysfs, {value} in the table"
        for name, value in expected.items()
        if seen.get(name, value) != value
    ]
    return tuple(found) or listed(shown)
