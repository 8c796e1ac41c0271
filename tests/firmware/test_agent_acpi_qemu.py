"""ACPI tables that the agent installs through EFI_ACPI_TABLE_PROTOCOL, under the real OVMF."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from agent_vm import QEMU, Again, AgentVm

from harness.evidence import acpi
from harness.evidence.acpi import AcpiTable
from harness.evidence.defect import Defect
from harness.evidence.ranges import Range
from harness.evidence.tables import bgrt
from harness.evidence.tables.canary import canary_bytes
from harness.evidence.tables.configtable import parse_listing
from harness.firmware.build import AgentBinary
from harness.model.words.driver import FirmwareArch

pytestmark = [pytest.mark.qemu, pytest.mark.skipif(QEMU is None, reason="no qemu-system-x86_64 on PATH")]

SEED = 0x0123456789ABCDEF
IMAGE = bgrt.make_image(64, 48, "1a2b3c4d")
BGRT = (
    f"table name=bgrt acpi=opt/harness/acpi0 pointer={bgrt.POINTER_OFFSET} type=4 pages=3 offset=0x100"
    f" canary={SEED:#x} below=0x3c000000 content=opt/harness/table0"
)
BOOT = "boot kernel=opt/harness/kernel"


def plan(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in ("HARNESS-PLAN 1", "nonce 1a2b3c4d", *lines)).encode()


@pytest.fixture(scope="session")
def files(build: Callable[..., bytes]) -> dict[str, bytes]:
    kernel = build("probe.c", "text.c")
    return {"plan": plan(BGRT, BOOT), "acpi0": bgrt.build(), "table0": IMAGE, "kernel": kernel}


def check(vm: AgentVm) -> AcpiTable:
    """The reported addresses held against memory; the ACPI table that a kernel would find."""
    assert vm.go().kind == "handoff", vm.frames[-1]
    fields = vm.frame("table").fields
    assert (fields["name"], fields["acpi"], fields["table_size"], fields["type"]) == (
        "bgrt",
        "BGRT",
        str(len(IMAGE)),
        "4",
    )
    start, address = int(fields["pages_address"], 0), int(fields["table_address"], 0)
    assert address == start + 0x100
    assert start + 3 * 4096 <= 0x3C000000
    vm.command("stop")
    expected = bytearray(canary_bytes(SEED, start, 3 * 4096))
    expected[0x100 : 0x100 + len(IMAGE)] = IMAGE
    assert vm.memory(start, 3 * 4096) == expected
    listed = parse_listing(vm.frame("systab").body.decode())
    assert not isinstance(listed, Defect), listed
    rsdp = acpi.find_rsdp(listed)
    assert isinstance(rsdp, int)
    table = acpi.find_table(vm.memory, rsdp, "BGRT")
    assert isinstance(table, AcpiTable), table
    assert table.address == int(fields["acpi_address"], 0)
    parsed = bgrt.parse(table.data)
    assert isinstance(parsed, bgrt.Bgrt), parsed
    assert parsed.image_address == address
    assert bgrt.image_range(parsed, vm.memory(address, bgrt.BMP_HEADER_BYTES)) == Range.sized(address, len(IMAGE))
    return table


def test_a_bgrt(again: Again, files: dict[str, bytes]) -> None:
    """Firmware's copy of the ACPI table lies in memory of its own type, reported after it was made."""
    vm = again(files)
    table = check(vm)
    frame = vm.frame("memmap")
    size = int(frame.fields["descriptor_size"], 0)
    regions = [struct.unpack_from("<IxxxxQQQ", frame.body, at) for at in range(0, len(frame.body), size)]
    kinds = [kind for kind, start, _, pages in regions if start <= table.address < start + pages * 4096]
    assert kinds == [9], "EfiACPIReclaimMemory"


def test_a_bgrt_on_32_bit_firmware(again32: Again, files: dict[str, bytes], build32_kernel: bytes) -> None:
    check(again32({**files, "kernel": build32_kernel}))


@pytest.fixture(scope="session")
def build32_kernel(build: Callable[..., bytes]) -> bytes:
    return build("probe.c", "text.c", arch=FirmwareArch.IA32)


def with_header(signature: bytes = b"BGRT", length: int = bgrt.TABLE_BYTES) -> bytes:
    return signature + struct.pack("<I", length) + bgrt.build()[8:]


INVALID, BAD_SIZE, NOT_FOUND, ABORTED = 2, 4, 14, 21
BAD_LINES = {
    "guid too": (BGRT + " guid=b122a263-3661-4f68-9929-78f8b0d62180", INVALID, "needs either guid= or acpi="),
    "neither": (BGRT.replace("acpi=opt/harness/acpi0 ", ""), INVALID, "needs either guid= or acpi="),
    "no pointer": (BGRT.replace(f" pointer={bgrt.POINTER_OFFSET}", ""), INVALID, "missing key: pointer"),
    "pointer in the header": (BGRT.replace("pointer=40", "pointer=35"), INVALID, "pointer= is not between"),
    "pointer over the end": (BGRT.replace("pointer=40", "pointer=49"), INVALID, "pointer= is not between"),
    "pointer of 64 bits": (
        BGRT.replace("pointer=40", "pointer=0xfffffffffffffff8"),
        INVALID,
        "pointer= is not between",
    ),
    "pointer without acpi": (
        BGRT.replace("acpi=opt/harness/acpi0", "guid=b122a263-3661-4f68-9929-78f8b0d62180"),
        INVALID,
        "unknown key: pointer",
    ),
    "no file": (BGRT.replace("acpi0", "acpi9"), NOT_FOUND, "missing: opt/harness/acpi9"),
    "too small": (BGRT.replace("acpi0", "small"), BAD_SIZE, "too small for an ACPI table: opt/harness/small"),
    "another length": (BGRT.replace("acpi0", "longer"), BAD_SIZE, "is no ACPI table: its length is not the file's"),
    "there is one": (BGRT.replace("acpi0", "fadt"), ABORTED, "firmware has an ACPI table FACP of its own"),
    "two of one": (f"{BGRT}\n{BGRT}", ABORTED, "an ACPI table BGRT stands in the plan twice"),
}


def refused(vm: AgentVm) -> tuple[int, str]:
    assert vm.go().kind == "error"
    assert not [frame for frame in vm.frames if frame.kind in ("table", "handoff")], "nothing was done before"
    fields = vm.frames[-1].fields
    return int(fields["status"], 16) & 0xFFFF, fields["what"]


@pytest.mark.parametrize("name", BAD_LINES)
def test_refused_before_anything_is_done(again: Again, files: dict[str, bytes], name: str) -> None:
    line, status, what = BAD_LINES[name]
    esrt = BGRT.replace("name=bgrt", "name=esrt").replace(
        "acpi=opt/harness/acpi0 pointer=40", "guid=b122a263-3661-4f68-9929-78f8b0d62180"
    )
    given = {"small": b"BGRT" + bytes(39), "longer": with_header(length=57), "fadt": with_header(b"FACP")}
    found = refused(again({**files, **given, "plan": plan(esrt, line, BOOT)}))
    assert re.search(what, found[1]), found
    assert found[0] == status


LACKING = {
    b"A": "table bgrt: this firmware has no EFI_ACPI_TABLE_PROTOCOL",
    b"X": "table bgrt: this firmware has no ACPI 2.0 tables",
}


@pytest.fixture
def lacking(build: Callable[..., bytes], tmp_path: Path) -> Path:
    path = tmp_path / "lacking.efi"
    path.write_bytes(build("lacking.c", "fw_cfg.c", "frame.c", "image.c", "serial.c", "text.c"))
    return path


@pytest.mark.parametrize("lack", LACKING)
def test_firmware_without(
    lacking: Path, binary: AgentBinary, files: dict[str, bytes], tmp_path: Path, lack: bytes
) -> None:
    given = {**files, "agent": binary.path.read_bytes(), "lack": lack}
    with AgentVm(lacking, tmp_path / "vm", given) as vm:
        vm.wait("ready")
        assert refused(vm) == (NOT_FOUND, LACKING[lack])
