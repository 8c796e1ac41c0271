"""Damage that the tests of several checks do to copies of records, and what kernels print when they die."""

from __future__ import annotations

import struct
from typing import Any

from support.records import Copy, Edit

PASSED = "esrt-kexec-file"
"""A PASS: three kernels by kexec_file_load, an ESRT at 0x39fff100 in EfiBootServicesData."""
OOPS = "BUG: kernel NULL pointer dereference, address: 0000000000000010"
PANIC = "Kernel panic - not syncing: Fatal exception"


def hello(number: int, /, **fields: str) -> Edit:
    """Other fields in what the guest agent reports of its kernel."""
    return lambda copy: copy.change({"fields": fields}, type="frame", kind="hello", epoch=number)


def another_memory_type(copy: Copy) -> None:
    """The table's pages as EfiLoaderData in the map of the hand-off."""
    path = copy.path / str(copy.only(kind="memmap")["body_file"])
    data = bytearray(path.read_bytes())
    for offset in range(0, len(data), 48):
        start, _, pages = struct.unpack_from("<QQQ", data, offset + 8)
        if start <= 0x39FFF000 < start + pages * 4096:
            struct.pack_into("<I", data, offset, 2)
    path.write_bytes(data)


def expecting(copy: Copy, *expectations: dict[str, Any]) -> Copy:
    """The same run, as if its scenario had asked for something else."""
    scenario = copy.json("plan.json")["scenario"]
    return copy.edit_json("plan.json", scenario={**scenario, "expect": list(expectations)})
