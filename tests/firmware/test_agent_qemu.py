"""The real EFI agent under the real OVMF, without a kernel (seconds a machine, TCG)."""

from __future__ import annotations

import re
import struct
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from agent_vm import QEMU, AgentVm

from harness.evidence.tables.canary import canary_bytes
from harness.firmware.build import AgentBinary

pytestmark = [pytest.mark.qemu, pytest.mark.skipif(QEMU is None, reason="no qemu-system-x86_64 on PATH")]

ESRT_GUID = "b122a263-3661-4f68-9929-78f8b0d62180"
PRIVATE_GUID = "6f2f1f9c-9a55-4e0b-8a3c-0123456789ab"
SEED = 0x0123456789ABCDEF
ESRT = struct.pack("<IIQ", 1, 1, 1) + uuid.UUID(int=77).bytes_le + struct.pack("<6I", 1, 2, 1, 0, 1, 0)
PRIVATE = bytes(range(256)) * 20
INITRD = bytes(n * n % 251 for n in range(300_001))
CMDLINE = b"console=ttyS0,115200 harness.nonce=1a2b3c4d harness.epoch=1"

TABLE = (
    f"table name=esrt guid={ESRT_GUID} type=4 pages=1 offset=0x100 canary={SEED:#x} below=0x3c000000"
    " content=opt/harness/table0"
)
SECOND = (
    f"table content=opt/harness/table1 at=0x20000000 canary=81985529216486895 offset=8 pages=2 type=6"
    f" guid={PRIVATE_GUID} name=private"
)
BOOT = "boot kernel=opt/harness/kernel initrd=opt/harness/initrd cmdline=opt/harness/cmdline"
GOOD = ("HARNESS-PLAN 1", "nonce 1a2b3c4d", TABLE, SECOND, BOOT)


def text(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


@pytest.fixture(scope="session")
def agent(binary: AgentBinary) -> Path:
    return binary.path


@pytest.fixture(scope="session")
def probe(build: Callable[..., bytes]) -> bytes:
    """An EFI application in the place of a kernel (probe.c)."""
    return build("probe.c", "text.c")


@pytest.fixture(scope="session")
def files(probe: bytes) -> dict[str, bytes]:
    return {
        "plan": text(*GOOD),
        "table0": ESRT,
        "table1": PRIVATE,
        "kernel": probe,
        "initrd": INITRD,
        "cmdline": CMDLINE,
    }


def check_tables(vm: AgentVm) -> None:
    """What the agent reported, held against guest memory read from outside."""
    tables = {frame.fields["name"]: frame.fields for frame in vm.frames if frame.kind == "table"}
    assert list(tables) == ["esrt", "private"]
    wanted = {
        "esrt": (ESRT, 0x100, 1, 4, ESRT_GUID),
        "private": (PRIVATE, 8, 2, 6, PRIVATE_GUID),
    }
    for name, (content, offset, pages, memory_type, guid) in wanted.items():
        fields = tables[name]
        start = int(fields["pages_address"], 0)
        assert (int(fields["pages_size"], 0), int(fields["type"], 0), fields["guid"]) == (
            pages * 4096,
            memory_type,
            guid,
        )
        assert int(fields["table_address"], 0) == start + offset
        assert int(fields["table_size"], 0) == len(content)
        expected = bytearray(canary_bytes(SEED, start, pages * 4096))
        expected[offset : offset + len(content)] = content
        assert vm.memory(start, pages * 4096) == expected
    assert int(tables["esrt"]["pages_address"], 0) + 4096 <= 0x3C000000
    assert int(tables["private"]["pages_address"], 0) == 0x20000000


def check_system_table(vm: AgentVm) -> None:
    frame = vm.frame("systab")
    address, config = int(frame.fields["address"], 0), int(frame.fields["config_address"], 0)
    count = int(frame.fields["count"], 0)
    systab = vm.memory(address, 120)
    assert systab[:8] == b"IBI SYST"
    assert struct.unpack_from("<QQ", systab, 104) == (count, config)
    raw = vm.memory(config, 24 * count)
    seen = [
        f"{uuid.UUID(bytes_le=raw[n : n + 16])} {hex(int.from_bytes(raw[n + 16 : n + 24], 'little'))}"
        for n in range(0, len(raw), 24)
    ]
    assert frame.body.decode().splitlines() == seen
    by_name = {frame.fields["name"]: frame.fields for frame in vm.frames if frame.kind == "table"}
    for fields in by_name.values():
        assert f"{fields['guid']} {fields['table_address']}" in seen
    assert frame.fields["vendor"] == "EDK II"


def check_memory_map(vm: AgentVm) -> None:
    frame = vm.frame("memmap")
    size = int(frame.fields["descriptor_size"], 0)
    assert len(frame.body) == size * int(frame.fields["count"], 0)
    regions = [struct.unpack_from("<IxxxxQQQ", frame.body, n) for n in range(0, len(frame.body), size)]
    assert sum(pages for _, _, _, pages in regions) * 4096 > 900 * 2**20
    for table in (f for f in vm.frames if f.kind == "table"):
        first = int(table.fields["pages_address"], 0)
        end = first + int(table.fields["pages_size"], 0)
        holding = [kind for kind, start, _, pages in regions if start <= first and end <= start + 4096 * pages]
        assert holding == [int(table.fields["type"], 0)]


def test_from_cold_to_the_image(agent: Path, files: dict[str, bytes], tmp_path: Path) -> None:
    with AgentVm(agent, tmp_path, files) as vm:
        ready = vm.wait("ready")
        assert (ready.nonce, ready.seq, ready.fields["agent"], ready.fields["vendor"]) == ("00000000", 1, "2", "EDK II")
        assert vm.wait("ready").seq == 2, "READY is said again until the host answers"
        assert vm.go().kind == "handoff"
        kinds = [frame.kind for frame in vm.frames if frame.kind != "ready"]
        assert kinds == ["go", "table", "table", "systab", "memmap", "image", "handoff"]
        assert [frame.seq for frame in vm.frames] == list(range(1, len(vm.frames) + 1))
        assert {frame.nonce for frame in vm.frames if frame.kind not in ("ready", "go")} == {"1a2b3c4d"}
        vm.command("stop")
        check_tables(vm)
        check_system_table(vm)
        check_memory_map(vm)
        vm.command("cont")
        vm.wait("start", sending=b"GS")  # a late G changes nothing
        error = vm.wait("error")
        assert error.fields == {"what": "the kernel image came back from StartImage", "status": "0x8000000000000001"}
        check_probe(vm)


def check_probe(vm: AgentVm) -> None:
    vm.wait_console(b"end=0x0\n")
    said = dict(re.findall(rb"^(\w+)=(.*?)\r?$", vm.console, re.MULTILINE))
    image, initrd = vm.frame("image").fields, vm.frame("initrd").fields
    assert said[b"cmdline"] == CMDLINE == image["cmdline"].encode()
    assert int(said[b"image"], 0) == int(image["address"], 0)
    assert (said[b"policy"], said[b"nopath"]) == (b"0x8000000000000003", b"0x8000000000000002")
    assert (said[b"nobuffer"], int(said[b"size"], 0)) == (b"0x8000000000000005", len(INITRD))
    assert int(said[b"load"], 0) == 0
    assert int(said[b"sum"], 0) == sum(n * byte for n, byte in enumerate(INITRD, 1))
    assert int(initrd["address"], 0) == int(said[b"initrd"], 0)
    assert int(initrd["size"], 0) == int(image["initrd_size"], 0) == len(INITRD)


def test_a_saved_machine_takes_another_plan(again, files: dict[str, bytes]) -> None:
    """The plan and all payload come after READY, so they are not part of what is saved at READY."""
    first = again(files)
    assert first.go().kind == "handoff"
    check_tables(first)
    check_memory_map(first)
    other = [line.replace("1a2b3c4d", "99999999").replace("0x3c000000", "0x30000000") for line in GOOD]
    second = again({**files, "plan": text(*other), "cmdline": b"other"})
    assert second.go().nonce == "99999999"
    assert second.frame("image").fields["cmdline"] == "other"
    check_tables(second)
    at = [vm.frames[vm.frames.index(vm.frame("go")) + 1].fields["pages_address"] for vm in (first, second)]
    assert at == ["0x3bfff000", "0x2ffff000"]


def test_below_is_exact_where_the_firmware_would_choose_another_place(
    agent: Path, files: dict[str, bytes], tmp_path: Path
) -> None:
    """With 3 GiB one GiB lies above 4 GiB; EDK2's AllocateMaxAddress would still go below 2 GiB."""
    high = TABLE.replace("0x3c000000", "0x100010800").replace("pages=1", "pages=16")
    small = {**files, "plan": text(*plan(high, BOOT))}
    with AgentVm(agent, tmp_path, small, memory="3G") as vm:
        vm.wait("ready")
        assert vm.go().kind == "handoff"
        assert vm.frame("table").fields["pages_address"] == "0x100000000"
        check_memory_map(vm)


def test_boot_without_initrd_and_command_line(again, files: dict[str, bytes]) -> None:
    vm = again({**files, "plan": text(*GOOD[:2], "boot kernel=opt/harness/kernel")})
    assert vm.go().kind == "handoff"
    assert (vm.frame("image").fields["cmdline"], vm.frame("image").fields["initrd_size"]) == ("", "0")
    vm.wait("start", sending=b"S")
    assert vm.wait("error").fields["status"] == "0x800000000000000e"
    vm.wait_console(b"no-initrd=")


INVALID, NOT_FOUND, BAD_SIZE = 0x8000000000000002, 0x800000000000000E, 0x8000000000000004


def plan(*table_and_boot: str) -> tuple[str, ...]:
    return ("HARNESS-PLAN 1", "nonce 1a2b3c4d", *table_and_boot)


BAD_PLANS = {
    "no magic": (("nonce 1a2b3c4d", BOOT), INVALID, "plan line 1: does not begin with HARNESS-PLAN"),
    "other version": (("HARNESS-PLAN 2", *GOOD[1:]), 0x8000000000000019, "plan line 1: unknown version"),
    "bad nonce": (("HARNESS-PLAN 1", "nonce 1A2B3C4D", BOOT), INVALID, "plan line 2: a nonce is"),
    "two nonces": (plan("nonce 1a2b3c4d", BOOT), INVALID, "plan line 3: a second nonce"),
    "no nonce": (("HARNESS-PLAN 1", BOOT), INVALID, "the plan has no nonce"),
    "no boot": (plan(TABLE), INVALID, "the plan has no boot"),
    "two boots": (plan(BOOT, BOOT), INVALID, "plan line 4: a second boot"),
    "unknown statement": (plan("tabel name=esrt", BOOT), INVALID, "plan line 3: unknown statement: tabel"),
    "indented statement": (plan(f" {BOOT}"), INVALID, "plan line 3: unknown statement: "),
    "unknown key": (plan(f"{TABLE} colour=red", BOOT), INVALID, "plan line 3: unknown key: colour"),
    "unknown key of boot": (plan(f"{BOOT} dtb=x"), INVALID, "plan line 3: unknown key: dtb"),
    "key twice": (plan(f"{TABLE} type=6", BOOT), INVALID, "plan line 3: key given twice: type"),
    "missing key": (plan(TABLE.replace(" pages=1", ""), BOOT), INVALID, "plan line 3: missing key: pages"),
    "no value": (plan(f"{TABLE} at=", BOOT), INVALID, "plan line 3: not a key=value field: at"),
    "no key": (plan(f"{TABLE} =4", BOOT), INVALID, "plan line 3: not a key=value field: "),
    "too many fields": (
        plan(TABLE + "".join(f" k{n}=1" for n in range(9))),
        INVALID,
        "plan line 3: too many fields at k4=1",
    ),
    "bad GUID": (plan(TABLE.replace("b122a263-", "b122a263x"), BOOT), INVALID, "plan line 3: not a GUID"),
    "bad number": (plan(TABLE.replace("type=4", "type=four"), BOOT), INVALID, "not a number of at most 64 bits: four"),
    "empty hexadecimal": (plan(TABLE.replace("type=4", "type=0x"), BOOT), INVALID, "not a number.*: 0x"),
    "number of 65 bits": (plan(TABLE.replace("0x100", "0x1" + "0" * 16), BOOT), INVALID, "not a number.*: 0x10000"),
    "decimal of 65 bits": (plan(TABLE.replace("0x100", "18446744073709551616"), BOOT), INVALID, "not a number"),
    "type of 33 bits": (plan(TABLE.replace("type=4", "type=0x100000004"), BOOT), INVALID, "type= is not a memory type"),
    "at and below": (plan(f"{TABLE} at=0x20000000", BOOT), INVALID, "needs either at= or below="),
    "neither at nor below": (plan(TABLE.replace(" below=0x3c000000", ""), BOOT), INVALID, "either at= or below="),
    "at not aligned": (plan(SECOND.replace("0x20000000", "0x20000800"), BOOT), INVALID, "not a multiple of the page"),
    "below too low": (plan(TABLE.replace("0x3c000000", "0xfff"), BOOT), INVALID, "below= leaves no room"),
    "no pages": (plan(TABLE.replace("pages=1", "pages=0"), BOOT), INVALID, "pages= must be"),
    "too many pages": (plan(TABLE.replace("pages=1", "pages=0x100000000000000"), BOOT), INVALID, "pages= must be"),
    "content too large": (plan(TABLE.replace("offset=0x100", "offset=0xfe0"), BOOT), BAD_SIZE, "larger than the pages"),
    "offset behind the pages": (plan(TABLE.replace("=0x100", "=0x1001"), BOOT), BAD_SIZE, "larger than the pages"),
    "offset at the top": (
        plan(TABLE.replace("=0x100", "=0xffffffffffffffff"), BOOT),
        BAD_SIZE,
        "larger than the pages",
    ),
    "neither content nor copy": (
        plan(TABLE.replace(" content=opt/harness/table0", ""), BOOT),
        INVALID,
        "either content= or copy=",
    ),
    "content and copy": (plan(f"{TABLE} copy=memattr", BOOT), INVALID, "either content= or copy="),
    "copy of what it cannot": (
        plan(TABLE.replace("content=opt/harness/table0", "copy=esrt"), BOOT),
        INVALID,
        "copy= is not memattr: esrt",
    ),
    "copy too large": (
        plan(TABLE.replace("content=opt/harness/table0", "copy=memattr").replace("offset=0x100", "offset=0xff0"), BOOT),
        BAD_SIZE,
        "larger than the pages",
    ),
    "content missing": (plan(TABLE.replace("table0", "table9"), BOOT), NOT_FOUND, "missing: opt/harness/table9"),
    "content empty": (
        plan(TABLE.replace("table0", "empty"), BOOT),
        BAD_SIZE,
        "fw_cfg file is empty: opt/harness/empty",
    ),
    "kernel missing": (plan(TABLE, BOOT.replace("/kernel", "/kernle")), NOT_FOUND, "missing: opt/harness/kernle"),
    "prefix of a name": (plan(BOOT.replace("/kernel", "/kerne")), NOT_FOUND, "missing: opt/harness/kerne$"),
    "neither listed nor not": (plan(f"{TABLE} listed=maybe", BOOT), INVALID, "listed= can only be no: maybe"),
    "kernel and file": (plan(f"{BOOT} file=\\x.efi"), INVALID, "plan line 3: boot needs either kernel= or file="),
    "neither kernel nor file": (plan("boot"), INVALID, "plan line 3: boot needs either kernel= or file="),
    "initrd missing": (plan(BOOT.replace("/initrd", "/nothing")), NOT_FOUND, "missing: opt/harness/nothing"),
    "too many tables": (plan(*[TABLE] * 17, BOOT), INVALID, "plan line 19: too many tables"),
    "control character": (plan(f"{TABLE}\r", BOOT), NOT_FOUND, r"missing: opt/harness/table0\?"),
}


def the_error(vm: AgentVm) -> dict[str, str]:
    """The error that ended the plan; nothing may follow it."""
    assert vm.go().kind == "error"
    assert vm.frames[-1].kind == "error"
    assert not {"handoff", "start"} & {frame.kind for frame in vm.frames}
    return dict(vm.frames[-1].fields)


@pytest.mark.parametrize("name", BAD_PLANS)
def test_bad_plan(again, files: dict[str, bytes], name: str) -> None:
    lines, status, what = BAD_PLANS[name]
    vm = again({**files, "plan": text(*lines), "empty": b""})
    error = the_error(vm)
    assert re.search(what, error["what"]), error
    assert int(error["status"], 16) == status
    assert not [frame for frame in vm.frames if frame.kind == "table"], "a bad plan is refused before any of it is done"


BAD_FIRMWARE = {
    "nothing free below": ([TABLE.replace("0x3c000000", "0x1000")], "table esrt: no free memory below the address"),
    "no such room": (
        [TABLE.replace("pages=1", "pages=0x3bfff")],
        "table esrt: no free memory below the address",
    ),
    # 0x900000 holds boot services data of OVMF itself; a second table at the place of the first is refused as well.
    "taken": ([TABLE, SECOND.replace("0x20000000", "0x900000")], "table private: AllocatePages refused"),
    "same place twice": ([SECOND, SECOND], "table private: AllocatePages refused"),
    "no such memory": ([SECOND.replace("0x20000000", "0x8000000000")], "table private: AllocatePages refused"),
    "no such type": ([TABLE.replace("type=4", "type=0x1000")], "table esrt: AllocatePages refused"),
}


@pytest.mark.parametrize("name", BAD_FIRMWARE)
def test_firmware_refuses(again, files: dict[str, bytes], name: str) -> None:
    tables, what = BAD_FIRMWARE[name]
    error = the_error(again({**files, "plan": text(*plan(*tables, BOOT))}))
    assert error["what"] == what
    assert int(error["status"], 16) >> 63


BAD_FILES = {
    "a kernel that is none": ({"kernel": b"not a kernel " * 1000}, "LoadImage refused the kernel"),
    "a kernel cut off": ({"kernel": b"MZ"}, "LoadImage refused the kernel"),
    "a command line of two lines": ({"cmdline": b"quiet\nsplash"}, "the command line has a character"),
    "a command line in UTF-8": ({"cmdline": "größe=1".encode()}, "the command line has a character"),
    "a command line too long": ({"cmdline": b"x" * 4097}, "the command line is longer"),
    "a plan too large": ({"plan": text(*GOOD) + b"\n" * 65536}, "the plan is larger than 64 KiB"),
    "an empty plan": ({"plan": b""}, "fw_cfg file is empty: opt/harness/plan"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_file(again, files: dict[str, bytes], name: str) -> None:
    changed, what = BAD_FILES[name]
    assert the_error(again({**files, **changed}))["what"].startswith(what)


def test_no_plan_at_all(again, files: dict[str, bytes]) -> None:
    vm = again({name: content for name, content in files.items() if name != "plan"})
    error = the_error(vm)
    assert error == {"what": "fw_cfg file is missing: opt/harness/plan", "status": hex(NOT_FOUND)}
    log = (vm.directory / "debugcon.log").read_text(errors="replace")
    assert "harness agent: fw_cfg file is missing: opt/harness/plan" in log


def test_noise_on_the_link_is_no_answer(again, files: dict[str, bytes]) -> None:
    vm = again(files)
    vm.wait("ready")
    vm.wait("ready", sending=b"\x00\xffgs\r\n S")
    vm.wait("ready")
    assert not [frame for frame in vm.frames if frame.kind == "go"]
    assert vm.go().kind == "handoff"


def test_a_file_is_started_by_its_device_path(
    agent: Path, probe: bytes, files: dict[str, bytes], tmp_path: Path
) -> None:
    esp = tmp_path / "esp"
    (esp / "efi").mkdir(parents=True)
    (esp / "efi" / "loader.efi").write_bytes(probe)
    boot = "boot file=\\efi\\loader.efi cmdline=opt/harness/cmdline"
    with AgentVm(agent, tmp_path / "vm", {**files, "plan": text(*plan(TABLE, boot))}, esp=esp) as vm:
        assert vm.go().kind == "handoff"
        vm.wait("start", sending=b"S")
        vm.wait_console(b"no-initrd=")
        assert b"cmdline=" + files["cmdline"] in vm.console
        assert b"device=0x1" in vm.console


@pytest.mark.parametrize("has_disk", [True, False])
def test_a_file_that_is_not_there(agent: Path, files: dict[str, bytes], tmp_path: Path, has_disk: bool) -> None:
    (tmp_path / "esp").mkdir()
    esp = tmp_path / "esp" if has_disk else None
    with AgentVm(agent, tmp_path / "vm", {**files, "plan": text(*plan("boot file=\\nothing.efi"))}, esp=esp) as vm:
        error = the_error(vm)
    assert error["what"] == "LoadImage of the file \\nothing.efi"
    assert int(error["status"], 16) == NOT_FOUND
