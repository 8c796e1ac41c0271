"""What is found on a machine: parsers on texts, and the probe on a machine made of a few files."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from harness.errors import HostError
from harness.host import probe as subject
from harness.host.probe import QEMU, probe, require_qemu

VERSION = """\
QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)
Copyright (c) 2003-2022 Fabrice Bellard and the QEMU Project developers
"""


def elf(*header_types: int) -> bytes:
    head = b"\x7fELF\x02\x01\x01" + bytes(25) + struct.pack("<QQIHHH", 64, 0, 0, 64, 56, len(header_types)) + bytes(6)
    return head + b"".join(struct.pack("<I", kind) + bytes(52) for kind in header_types)


def program(directory: Path, name: str, content: str | bytes = "#!/bin/sh\n") -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(0o755)
    return path


def descriptor(architecture: str = "x86_64", device: str = "flash", interface: str = "uefi") -> dict[str, object]:
    return {
        "interface-types": [interface],
        "mapping": {"device": device},
        "targets": [{"architecture": architecture, "machines": ["pc-q35-*"]}],
    }


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """A machine that has nothing: an empty PATH, and no sbin directories beside it."""
    monkeypatch.setattr(subject, "SBIN", ())
    (tmp_path / "bin").mkdir()
    return {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)}


def test_version_of_qemu() -> None:
    assert subject.parse_qemu_version(VERSION) == "7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)"


@pytest.mark.parametrize("text", ["", "bash: not found", "QEMU emulator version ?", "x QEMU emulator version 7.2"])
def test_what_is_no_version(text: str) -> None:
    assert subject.parse_qemu_version(text) == ""


def test_memory_is_in_bytes_and_zero_when_unsaid() -> None:
    assert subject.parse_memory_available("MemTotal:  100 kB\nMemAvailable:   24404 kB\n") == 24404 * 1024
    assert subject.parse_memory_available("MemTotal:  100 kB\n") == 0


def test_cpu_model() -> None:
    assert subject.parse_cpu_model("processor\t: 0\nmodel name\t: AMD EPYC\n\nmodel name\t: other\n") == "AMD EPYC"
    assert subject.parse_cpu_model("") == "unknown"


def test_static_elf() -> None:
    assert subject.is_static_elf(elf(1, 2))
    assert not subject.is_static_elf(elf(6, 3, 1)), "PT_INTERP"
    assert not subject.is_static_elf(b"#!/bin/sh\n")
    assert not subject.is_static_elf(b"\x7fELF\x02\x01")


@pytest.mark.parametrize(
    "document",
    [descriptor("aarch64"), descriptor(device="memory"), descriptor(interface="bios"), [], "text", {}],
)
def test_descriptors_of_other_firmware_do_not_count(document: object) -> None:
    assert not subject.descriptor_for_x86_64(document)


def test_descriptor_of_ovmf_counts() -> None:
    assert subject.descriptor_for_x86_64(descriptor())


def test_user_descriptors_follow_xdg() -> None:
    assert subject.descriptor_dirs({"HOME": "/home/a"})[-1] == Path("/home/a/.config/qemu/firmware")
    assert subject.descriptor_dirs({"HOME": "/home/a", "XDG_CONFIG_HOME": "/x"})[-1] == Path("/x/qemu/firmware")


def test_bare_machine_lacks_everything_and_says_how_to_get_it(bare: dict[str, str], tmp_path: Path) -> None:
    host = probe(tmp_path / "cache", environ=bare, firmware_dirs=[])
    lacking = {finding.name for finding in host.missing}
    assert lacking >= {QEMU, "firmware", *(tool.program for tool in subject.TOOLS)}
    assert all(finding.hint and finding.needed_for for finding in host.missing)
    assert host.finding("firmware").hint == "apt-get install ovmf"
    assert host.tools == {}
    assert not (tmp_path / "cache").exists(), "looking changes nothing"


def test_no_qemu_is_a_host_error(bare: dict[str, str], tmp_path: Path) -> None:
    host = probe(tmp_path, environ=bare, firmware_dirs=[])
    with pytest.raises(HostError, match=f"^{QEMU} is not on PATH$") as caught:
        require_qemu(host)
    assert caught.value.hint == "apt-get install qemu-system-x86"


def test_qemu_that_answers_nothing_sensible_is_a_host_error(bare: dict[str, str], tmp_path: Path) -> None:
    program(tmp_path / "bin", QEMU, "#!/bin/sh\necho 'cannot open shared object' >&2; exit 127\n")
    host = probe(tmp_path, environ=bare, firmware_dirs=[])
    assert not host.finding(QEMU).ok
    with pytest.raises(HostError, match="cannot open shared object"):
        require_qemu(host)


def test_qemu_is_found_with_its_version(bare: dict[str, str], tmp_path: Path) -> None:
    path = program(tmp_path / "bin", QEMU, f"#!/bin/sh\ncat <<'E'\n{VERSION}E\n".replace("cat <<", "/bin/cat <<"))
    host = probe(tmp_path, environ=bare, firmware_dirs=[])
    assert require_qemu(host) == path
    assert host.qemu_version == "7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)"


def test_programs_in_sbin_are_found_though_path_does_not_name_it(
    bare: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kexec = program(tmp_path / "sbin", "kexec")
    monkeypatch.setattr(subject, "SBIN", (str(tmp_path / "sbin"),))
    assert probe(tmp_path, environ=bare, firmware_dirs=[]).tools["kexec"] == kexec


@pytest.mark.parametrize(("content", "ok"), [(elf(1), True), (elf(3, 1), False)])
def test_busybox_must_be_static(bare: dict[str, str], tmp_path: Path, content: bytes, ok: bool) -> None:
    program(tmp_path / "bin", "busybox", content)
    finding = probe(tmp_path, environ=bare, firmware_dirs=[]).finding("busybox")
    assert finding.ok is ok
    assert ("not statically linked" in finding.seen) is not ok


def test_descriptors_are_named_and_broken_ones_passed_over(bare: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "60-edk2.json").write_text(json.dumps(descriptor()))
    (tmp_path / "61-arm.json").write_text(json.dumps(descriptor("aarch64")))
    (tmp_path / "62-broken.json").write_text("{")
    finding = probe(tmp_path, environ=bare, firmware_dirs=[tmp_path / "none", tmp_path]).finding("firmware")
    assert (finding.ok, finding.seen) == (True, "60-edk2")


def test_every_package_the_doctor_names_is_installed_by_the_set_up() -> None:
    listed = (Path(__file__).parents[2] / "setup/apt-packages.txt").read_text()
    packages = {line.split("#")[0].strip() for line in listed.splitlines()}
    # util-linux and apt are essential or always there on Debian.
    wanted = {tool.package for tool in subject.TOOLS} - {"util-linux", "apt"}
    assert wanted | {"qemu-system-x86", "ovmf"} <= packages
