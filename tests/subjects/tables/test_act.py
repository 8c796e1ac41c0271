"""Tables are found from outside, in a memory that the test fills."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from support.synthetic import NONCE, kernel, plan, prepared, scenario

from harness.evidence import klog
from harness.evidence.ranges import Range
from harness.evidence.tables import esrt
from harness.machine.frame import Frame
from harness.model import guids
from harness.model.plan import Plan
from harness.model.words.tables import TableName
from harness.stage.watch import Unwatched, Watch
from harness.subjects.tables.act import late_tables, locate, locate_late


@dataclass
class Memory:
    """Zeros, but for what is put there; remembers what was read."""

    pieces: dict[int, bytes] = field(default_factory=dict)
    reads: list[Range] = field(default_factory=list)

    def read(self, address: int, size_bytes: int) -> bytes:
        self.reads.append(Range.sized(address, size_bytes))
        data = bytearray(size_bytes)
        for start, piece in self.pieces.items():
            for offset, byte in enumerate(piece):
                if 0 <= start + offset - address < size_bytes:
                    data[start + offset - address] = byte
        return bytes(data)


def _plan(*tables: str) -> Plan:
    return plan(scenario(firmware={}, expect=[{"table_intact": name} for name in tables]), prepared([kernel()] * 2))


def _systab(tables: Mapping[str, int]) -> Frame:
    lines = "".join(f"{guid.upper()} {address:#x}\n" for guid, address in tables.items())
    return Frame(NONCE, 1, "systab", {"count": str(len(tables))}, lines.encode())


def _acpi(signature: bytes, body: bytes) -> bytes:
    table = bytearray(signature + struct.pack("<IB", 36 + len(body), 1) + bytes(27) + body)
    table[9] = -sum(table) % 256
    return bytes(table)


def _with_acpi(image: bytes, image_address: int = 0x3000, xsdt: int = 0x2000) -> Memory:
    bgrt = _acpi(b"BGRT", struct.pack("<HBBQII", 1, 1, 0, image_address, 0, 0))
    root = _acpi(b"XSDT", struct.pack("<Q", 0x2800))
    rsdp = bytearray(b"RSD PTR " + bytes([0]) + b"MAKER " + bytes([2]) + struct.pack("<IIQB3x", 0, 36, xsdt, 0))
    rsdp[8] = -sum(rsdp[:20]) % 256
    rsdp[32] = -sum(rsdp) % 256
    return Memory({0x1000: bytes(rsdp), 0x2000: root, 0x2800: bgrt, image_address: image})


def _only(found: object) -> Watch:
    (watch,) = found  # type: ignore[misc]
    assert isinstance(watch, Watch), watch
    return watch


def test_esrt_of_the_agent() -> None:
    fields = {"name": "esrt", "table_address": "0x39fff100", "table_size": "136"}
    fields |= {"pages_address": "0x39fff000", "pages_size": "4096"}
    memory = Memory()
    found = list(locate(_plan("esrt"), [Frame(NONCE, 1, "table", fields)], memory.read))
    assert found == [Watch(TableName.ESRT, Range(0x39FFF000, 0x3A000000), Range(0x39FFF100, 0x39FFF188))]
    assert memory.reads == []


def test_any_table_of_the_agent() -> None:
    names = ("rtprop", "mokvar", "private")
    frames = [
        Frame(
            NONCE,
            number,
            "table",
            {"name": name, "table_address": hex(number << 20 | 0x100), "table_size": "16",
             "pages_address": hex(number << 20), "pages_size": "8192"},
        )
        for number, name in enumerate(names, 1)
    ]  # fmt: skip
    found = list(locate(_plan(*names), frames, Memory().read))
    assert found == [
        Watch(TableName(name), Range.sized(number << 20, 8192), Range.sized(number << 20 | 0x100, 16))
        for number, name in enumerate(names, 1)
    ]


def test_esrt_of_the_firmware() -> None:
    content = esrt.build(esrt.make_entries(2, NONCE))
    memory = Memory({0x5000: content})
    watch = _only(locate(_plan("esrt"), [_systab({guids.ESRT: 0x5000})], memory.read))
    assert watch == Watch(TableName.ESRT, Range.sized(0x5000, 96), Range.sized(0x5000, 96))


def test_bgrt() -> None:
    memory = _with_acpi(b"BM" + struct.pack("<I", 1000))
    watch = _only(locate(_plan("bgrt"), [_systab({guids.ACPI20: 0x1000})], memory.read))
    assert watch.table == watch.pages == Range.sized(0x3000, 1000)


def _installed_at(address: int) -> Frame:
    fields = {"name": "bgrt", "acpi": "BGRT", "table_address": hex(address), "table_size": "1000"}
    return Frame(NONCE, 1, "table", {**fields, "pages_address": "0x3000", "pages_size": "4096"})


def test_bgrt_of_the_agent_is_the_one_that_a_kernel_would_find() -> None:
    memory = _with_acpi(b"BM" + struct.pack("<I", 1000), image_address=0x3100)
    watch = _only(locate(_plan("bgrt"), [_systab({guids.ACPI20: 0x1000}), _installed_at(0x3100)], memory.read))
    assert watch == Watch(TableName.BGRT, Range(0x3000, 0x4000), Range.sized(0x3100, 1000))


def test_bgrt_of_the_agent_behind_one_of_the_firmware() -> None:
    memory = _with_acpi(b"BM" + struct.pack("<I", 1000), image_address=0x5000)
    frames = [_systab({guids.ACPI20: 0x1000}), _installed_at(0x3100)]
    (found,) = locate(_plan("bgrt"), frames, memory.read)
    reason = "the agent has installed it at 0x3100-0x34e7, but the first one in firmware's tables is 0x5000-0x53e7"
    assert found == Unwatched(TableName.BGRT, reason)


def test_bgrt_of_the_agent_that_no_acpi_table_points_to() -> None:
    (found,) = locate(_plan("bgrt"), [_systab({guids.ACPI20: 0x1000}), _installed_at(0x3100)], Memory().read)
    assert isinstance(found, Unwatched)
    assert found.reason.startswith("no valid RSDP at 0x1000")


def test_memattr() -> None:
    memory = Memory({0x7000: struct.pack("<IIII", 1, 3, 48, 0)})
    watch = _only(locate(_plan("memattr"), [_systab({guids.MEMATTR: 0x7000})], memory.read))
    assert watch.table == Range.sized(0x7000, 16 + 3 * 48)


@pytest.mark.parametrize(
    ("name", "frames", "memory", "reason"),
    [
        ("esrt", [_systab({})], Memory(), "no configuration table with its GUID"),
        ("esrt", [], Memory(), "no configuration table with its GUID"),
        ("esrt", [_systab({guids.ESRT: 0x5000})], Memory({0x5008: b"\xcc" * 8}), "ESRT version is 0xcccccccccc"),
        ("memattr", [_systab({})], Memory(), "no configuration table with its GUID"),
        ("memattr", [_systab({guids.MEMATTR: 0x7000})], Memory(), "MEMATTR version is 0"),
        ("bgrt", [_systab({})], Memory(), "firmware has no ACPI 2.0"),
        ("esrt", [Frame(NONCE, 1, "systab", {}, b"no list")], Memory(), "not a GUID and an address: 'no list'"),
        ("rtprop", [_systab({})], Memory(), "no configuration table with its GUID"),
        ("rtprop", [_systab({guids.RTPROP: 0x5000})], Memory(), "RTPROP version 0x0"),
        ("private", [_systab({})], Memory(), "the scenario installs none"),
        ("bgrt", [_systab({guids.ACPI20: 0x1000})], Memory(), "no valid RSDP"),
        ("bgrt", [_systab({guids.ACPI20: 0x1000})], _with_acpi(b"\0" * 8), "the image begins with 0x0000"),
        (
            "bgrt",
            [_systab({guids.ACPI20: 0x1000})],
            _with_acpi(b"BM\xff\xff\xff\xff"),
            "it claims 4294967295 bytes, more than",
        ),
        (
            "memattr",
            [_systab({guids.MEMATTR: 0x7000})],
            Memory({0x7000: struct.pack("<IIII", 1, 0x10000, 4096, 0)}),
            "it claims",
        ),
    ],
)
def test_not_found_has_a_reason(name: str, frames: list[Frame], memory: Memory, reason: str) -> None:
    (found,) = locate(_plan(name), frames, memory.read)
    assert isinstance(found, Unwatched)
    assert found.name.value == name
    assert found.reason.startswith(reason), found


EFI_LINE = b"[    0.000000] efi: ACPI=0x3f77d000 ACPI 2.0=0x3f77d014 ESRT=0x39fff100 INITRD=0x3e5f4d18 \n"


def _with_initrd() -> Plan:
    steps = [{"boot": {}}, {"kexec": {"syscall": "file", "initrd": "none"}}]
    return plan(scenario(firmware={}, steps=steps, expect=[{"no_ramdisk": True}]), prepared([kernel()] * 2))


def test_the_stub_s_table_is_found_by_the_first_kernel_s_words() -> None:
    made = _with_initrd()
    assert late_tables(made) == (TableName.INITRD,)
    assert list(locate(made, [_systab({guids.INITRD: 0x1000})], Memory().read)) == []
    table = Range.sized(0x3E5F4D18, 16)
    assert _only(locate_late(made, klog.lines(EFI_LINE), Memory().read)) == Watch(TableName.INITRD, table, table)


@pytest.mark.parametrize("console", [b"", EFI_LINE.replace(b"INITRD", b"INITIAL")])
def test_the_stub_s_table_is_not_listed(console: bytes) -> None:
    (found,) = locate_late(_with_initrd(), klog.lines(console), Memory().read)
    assert found == Unwatched(TableName.INITRD, "the first kernel's efi: line does not list it")


def test_no_late_table_without_a_wish() -> None:
    assert late_tables(_plan("rtprop", "esrt")) == ()


def test_one_answer_for_each_watched_table() -> None:
    frames = [_systab({guids.MEMATTR: 0x7000})]
    memory = Memory({0x7000: struct.pack("<IIII", 2, 1, 48, 0)})
    esrt_answer, memattr_answer = locate(_plan("esrt", "memattr"), frames, memory.read)
    assert isinstance(esrt_answer, Unwatched)
    assert isinstance(memattr_answer, Watch)
