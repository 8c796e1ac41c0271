from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HostError, InputError
from harness.firmware.descriptors import descriptor_directories, descriptors, find_firmware, version_of
from harness.model.words.driver import FirmwareArch

VOLUME = bytes(40) + b"_FVH" + bytes(20)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "CODE.fd").write_bytes(VOLUME.ljust(896 * 1024, b"\xff"))
    (tmp_path / "VARS.fd").write_bytes(VOLUME.ljust(128 * 1024, b"\xff"))
    (tmp_path / "etc").mkdir()
    (tmp_path / "usr").mkdir()
    return tmp_path


def document(directory: Path, **changes: Any) -> dict[str, Any]:
    return {
        "description": "UEFI firmware for x86_64",
        "interface-types": ["uefi"],
        "mapping": {
            "device": "flash",
            "executable": {"filename": str(directory / "CODE.fd"), "format": "raw"},
            "nvram-template": {"filename": str(directory / "VARS.fd"), "format": "raw"},
        },
        "targets": [{"architecture": "x86_64", "machines": ["pc-i440fx-*", "pc-q35-*"]}],
        "features": ["acpi-s3", "amd-sev", "verbose-dynamic"],
        "tags": [],
        **changes,
    }


def write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def find(directory: Path) -> Any:
    return find_firmware("ovmf-x64", (directory / "etc", directory / "usr"))


def test_the_first_that_does_in_order_of_names(directory: Path) -> None:
    write(directory / "usr/70-other.json", document(directory))
    write(directory / "usr/50-secure.json", document(directory, features=["secure-boot", "requires-smm"]))
    chosen = write(directory / "etc/60-plain.json", document(directory))
    found = find(directory)
    assert found.descriptor == str(chosen)
    assert (found.name, found.code, found.vars_template) == ("ovmf-x64", directory / "CODE.fd", directory / "VARS.fd")
    assert found.version == ""


def test_etc_hides_the_file_of_the_same_name_in_usr(directory: Path) -> None:
    write(directory / "usr/60-plain.json", document(directory))
    assert find(directory).descriptor == str(directory / "usr/60-plain.json")
    write(directory / "etc/60-plain.json", "")
    with pytest.raises(HostError, match=r"60-plain\.json is empty, which hides the package's"):
        find(directory)
    own = document(directory)
    own["mapping"]["executable"]["filename"] = str(directory / "OWN.fd")
    (directory / "OWN.fd").write_bytes(VOLUME)
    write(directory / "etc/60-plain.json", own)
    assert find(directory).code == directory / "OWN.fd"


def test_order_of_descriptors(directory: Path) -> None:
    for name in ("usr/20.json", "etc/30.json", "usr/10.json", "etc/10.json", "usr/note.txt"):
        (directory / name).touch()
    found = descriptors((directory / "etc", directory / "usr", directory / "nowhere"))
    assert [str(path.relative_to(directory)) for path in found] == ["etc/10.json", "usr/20.json", "etc/30.json"]


def test_the_directories_are_those_of_qemu() -> None:
    assert descriptor_directories({"HOME": "/home/x"}) == (
        Path("/home/x/.config/qemu/firmware"),
        Path("/etc/qemu/firmware"),
        Path("/usr/share/qemu/firmware"),
    )
    assert descriptor_directories({"HOME": "/home/x", "XDG_CONFIG_HOME": "/c"})[0] == Path("/c/qemu/firmware")


def mapping(directory: Path, **changes: Any) -> dict[str, Any]:
    return {**document(directory)["mapping"], **changes}


REASONS = {
    "bios": (lambda d: document(d, **{"interface-types": ["bios"]}), "is not UEFI"),
    "i386": (
        lambda d: document(d, targets=[{"architecture": "i386", "machines": ["pc-q35-*"]}]),
        "is for i386, not x86_64",
    ),
    "no target": (lambda d: document(d, targets=[]), "is for no architecture"),
    "i440fx": (
        lambda d: document(d, targets=[{"architecture": "x86_64", "machines": ["pc-i440fx-*"]}]),
        "is not for the machine type q35",
    ),
    "q35 of another architecture": (
        lambda d: document(
            d,
            targets=[
                {"architecture": "x86_64", "machines": ["microvm"]},
                {"architecture": "i386", "machines": ["pc-q35-*"]},
            ],
        ),
        "is not for the machine type q35",
    ),
    "smm": (lambda d: document(d, features=["requires-smm"]), "needs SMM"),
    "secure boot": (lambda d: document(d, features=["secure-boot"]), "is built for Secure Boot"),
    "keys": (lambda d: document(d, features=["enrolled-keys"]), "has Secure Boot keys enrolled"),
    "memory": (
        lambda d: document(d, mapping={"device": "memory", "filename": "/x"}),
        "is loaded as 'memory', not as flash",
    ),
    "stateless": (lambda d: document(d, mapping=mapping(d, mode="stateless")), "is a stateless image"),
    "qcow2": (
        lambda d: document(d, mapping=mapping(d, executable={"filename": "/x", "format": "qcow2"})),
        "has its executable in the format 'qcow2', not 'raw'",
    ),
    "missing file": (
        lambda d: document(d, mapping=mapping(d, executable={"filename": "/no/CODE.fd", "format": "raw"})),
        "names /no/CODE.fd, which does not exist",
    ),
    "missing template": (
        lambda d: document(d, mapping={k: v for k, v in mapping(d).items() if k != "nvram-template"}),
        "is not a firmware descriptor: it has no 'mapping.nvram-template.filename'",
    ),
    "broken JSON": (lambda _: '{"mapping": ', "is not JSON: Expecting value"),
    "a list": (lambda _: "[]", "is not a firmware descriptor: it has no 'mapping'"),
    "no mapping": (lambda _: "{}", "is not a firmware descriptor: it has no 'mapping'"),
    "odd types": (lambda d: document(d, targets="x86_64", features=None), "is for no architecture"),
}


@pytest.mark.parametrize("name", REASONS)
def test_every_rejection_is_told_with_its_reason(directory: Path, name: str) -> None:
    make, reason = REASONS[name]
    write(directory / "usr/60-odd.json", make(directory))
    write(directory / "usr/61-smm.json", document(directory, features=["requires-smm"]))
    with pytest.raises(HostError) as caught:
        find(directory)
    assert f": 60-odd.json {reason}" in caught.value.message
    assert "; 61-smm.json needs SMM" in caught.value.message
    assert caught.value.hint == "apt-get install ovmf"
    write(directory / "usr/90-good.json", document(directory))
    assert find(directory).descriptor.endswith("90-good.json"), "a bad descriptor does not hide a good one"


def test_a_descriptor_that_is_not_text(directory: Path) -> None:
    (directory / "usr/60-odd.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(HostError, match=r"60-odd\.json cannot be read"):
        find(directory)


def test_no_descriptor_at_all(directory: Path) -> None:
    with pytest.raises(HostError, match=r"no descriptors in .*etc, .*usr") as caught:
        find(directory)
    assert "ovmf" in caught.value.hint


IA32 = {
    "targets": [{"architecture": "i386", "machines": ["pc-q35-*"]}],
    "features": ["requires-smm", "secure-boot"],
}


def find32(directory: Path) -> Any:
    return find_firmware("ovmf-ia32", (directory / "etc", directory / "usr"))


def test_32_bit_firmware_has_smm_and_secure_boot_without_keys(directory: Path) -> None:
    write(directory / "usr/60-plain.json", document(directory))
    chosen = write(directory / "usr/70-ia32.json", document(directory, **IA32))
    found = find32(directory)
    assert (found.name, found.descriptor, found.arch, found.smm) == (
        "ovmf-ia32",
        str(chosen),
        FirmwareArch.IA32,
        True,
    )
    assert (find(directory).arch, find(directory).smm) == (FirmwareArch.X64, False)
    write(directory / "usr/50-ia32.json", document(directory, **{**IA32, "features": []}))
    assert not find32(directory).smm


def test_no_32_bit_firmware(directory: Path) -> None:
    write(directory / "usr/60-plain.json", document(directory))
    write(directory / "usr/70-keys.json", document(directory, **{**IA32, "features": ["enrolled-keys"]}))
    with pytest.raises(
        HostError, match=r"60-plain.json is for x86_64, not i386; 70-keys.json has Secure Boot"
    ) as caught:
        find32(directory)
    assert caught.value.hint == "apt-get install ovmf-ia32"


def test_an_unknown_name() -> None:
    with pytest.raises(InputError, match="no firmware called 'ovmf-x46'") as caught:
        find_firmware("ovmf-x46")
    assert "ovmf-x64, ovmf-ia32" in caught.value.hint


def test_a_pair_of_files(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(directory)
    found = find_firmware("CODE.fd:VARS.fd")
    assert (found.name, found.code, found.vars_template) == (
        "CODE.fd:VARS.fd",
        directory / "CODE.fd",
        directory / "VARS.fd",
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("CODE.fd:", "not a pair of files"),
        (":VARS.fd", "not a pair of files"),
        ("CODE.fd:VARS.fd:MORE.fd", "not a pair of files"),
        ("CODE.fd:gone.fd", "cannot read the firmware file .*gone.fd: No such file"),
        ("CODE.fd:etc", "cannot read the firmware file .*etc: Is a directory"),
        ("text:VARS.fd", "text is not UEFI firmware"),
        ("CODE.fd:CODE.fd", "are not the two parts of one firmware build"),
    ],
)
def test_a_wrong_pair(directory: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str) -> None:
    monkeypatch.chdir(directory)
    (directory / "text").write_text("hello")
    with pytest.raises(InputError, match=message):
        find_firmware(name)


def test_version_of_a_file_that_is_in_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert version_of(tmp_path) == ""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert version_of(Path("/bin/sh")) == "", "no dpkg-query: no version, and no error"


def test_version_of_a_packaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "dpkg-query"
    fake.write_text('#!/bin/sh\ncase "$1" in --search) echo "ovmf: $2";; --show) printf "%s 2022.11-6" "$3";; esac\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    assert version_of(Path("/x/CODE.fd")) == "ovmf 2022.11-6"
