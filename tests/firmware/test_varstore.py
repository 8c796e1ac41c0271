from __future__ import annotations

import logging
import stat
import struct
import uuid
from pathlib import Path

import pytest
from virt.firmware.efi import efivar, guids, ucs16
from virt.firmware.varstore.edk2 import Edk2VarStore

from harness.errors import HostError, InputError
from harness.firmware.varstore import NV_DATA_GUID, make_varstore, variable_names
from harness.model.plan import FirmwareFiles

HEADER_BYTES = 72
AUTH_VARIABLE_GUID = uuid.UUID("aaf32c78-947b-439a-a180-2e144ec37792")


def volume(size: int = 0x8000, guid: uuid.UUID = NV_DATA_GUID) -> bytearray:
    """An empty variable store, put together from the PI specification and EDK2's VariableFormat.h."""
    data = bytearray(b"\xff" * size)
    data[:HEADER_BYTES] = struct.pack(
        "<16s16sQ4sIHHHBBIIII", bytes(16), guid.bytes_le, size, b"_FVH", 0, 72, 0, 0, 0, 2, size // 4096, 4096, 0, 0
    )
    store = struct.pack("<16sIBBHI", AUTH_VARIABLE_GUID.bytes_le, size - HEADER_BYTES, 0x5A, 0xFE, 0, 0)
    data[HEADER_BYTES : HEADER_BYTES + len(store)] = store
    return data


@pytest.fixture
def firmware(tmp_path: Path) -> FirmwareFiles:
    template = tmp_path / "VARS.fd"
    template.write_bytes(volume())
    return FirmwareFiles(name="f", code=tmp_path / "CODE.fd", vars_template=template, descriptor="d")


def test_a_fresh_copy_that_can_be_written(firmware: FirmwareFiles, tmp_path: Path) -> None:
    firmware.vars_template.chmod(0o444)
    made = make_varstore(firmware, tmp_path / "run.fd")
    assert made.read_bytes() == firmware.vars_template.read_bytes()
    assert made.stat().st_mode & stat.S_IWUSR
    made.write_bytes(b"the firmware wrote here")
    assert make_varstore(firmware, tmp_path / "run.fd").read_bytes() == firmware.vars_template.read_bytes()


def test_variables_are_seen(firmware: FirmwareFiles, tmp_path: Path) -> None:
    assert variable_names(firmware.vars_template) == ()
    store = Edk2VarStore(str(firmware.vars_template))
    variables = store.get_varlist()
    variables["Boot0000"] = efivar.EfiVar(
        ucs16.from_string("Boot0000"), guid=guids.parse_str(guids.EfiGlobalVariable), attr=7, data=b"x"
    )
    store.write_varstore(str(tmp_path / "with.fd"), variables)
    assert variable_names(tmp_path / "with.fd") == ("Boot0000",)


def changed(offset: int, data: bytes) -> bytes:
    image = volume()
    image[offset : offset + len(data)] = data
    return bytes(image)


WRONG = {
    "empty": (b"", "it has 0 bytes"),
    "text": (b"hello world " * 100, "is no UEFI firmware volume"),
    "code": (bytes(volume(guid=uuid.UUID(int=1))), "it holds firmware code"),
    "cut off": (bytes(volume()[:0x4000]), "is cut off: 16384 of 32768 bytes"),
    "other store": (changed(HEADER_BYTES, bytes(16)), "unknown varstore guid"),
    "not formatted": (changed(HEADER_BYTES + 20, b"\x00"), "unknown varstore format"),
    "unhealthy": (changed(HEADER_BYTES + 21, b"\x00"), "unknown varstore state"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_refused(
    firmware: FirmwareFiles, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    content, message = WRONG[name]
    firmware.vars_template.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        make_varstore(firmware, tmp_path / "run.fd")
    assert "CODE.fd:VARS.fd" in caught.value.hint
    assert not (tmp_path / "run.fd").exists()
    assert capsys.readouterr() == ("", "")


def test_a_variable_that_runs_over_the_end(firmware: FirmwareFiles, tmp_path: Path) -> None:
    image = volume(size=HEADER_BYTES + 28 + 40)
    image[HEADER_BYTES + 28 :] = struct.pack("<HBxLQ", 0x55AA, 0x3F, 7, 0).ljust(40, b"\0")
    firmware.vars_template.write_bytes(image)
    with pytest.raises(InputError, match="damaged variable store"):
        make_varstore(firmware, tmp_path / "run.fd")


def test_the_librarys_log_leaves_nothing_behind(firmware: FirmwareFiles, tmp_path: Path) -> None:
    before = list(logging.getLogger().handlers)
    make_varstore(firmware, tmp_path / "run.fd")
    assert logging.getLogger().handlers == before


def test_a_missing_template(firmware: FirmwareFiles, tmp_path: Path) -> None:
    firmware.vars_template.unlink()
    with pytest.raises(InputError, match=r"cannot read the variable store .*VARS\.fd: No such file"):
        make_varstore(firmware, tmp_path / "run.fd")


def test_a_destination_that_cannot_be_written(firmware: FirmwareFiles, tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot write the variable store"):
        make_varstore(firmware, tmp_path / "nowhere/run.fd")
