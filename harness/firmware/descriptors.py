"""Which firmware: by name through QEMU's firmware descriptors, or as a pair of files.

A descriptor is a JSON file that a package installs for each build (docs/interop/firmware.json of QEMU, which also gives
the rules for the directories that are followed here).
"""

from __future__ import annotations

import fnmatch
import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import HostError, InputError
from harness.model.plan import FirmwareFiles
from harness.model.words.driver import FirmwareArch

OVMF_X64 = "ovmf-x64"
OVMF_IA32 = "ovmf-ia32"
_MACHINE = "pc-q35-7.2"
"""A versioned name of the machine type that is used; descriptors give patterns such as ``pc-q35-*``."""
_REQUIRES_SMM = "requires-smm"


@dataclass(frozen=True)
class _Wanted:
    """What a descriptor must offer to be chosen for a name."""

    arch: FirmwareArch
    target: str
    """The architecture as descriptors name it."""
    package: str
    """Debian's."""
    unwanted: Mapping[str, str]
    """Features that rule a descriptor out, and why."""


_KEYS = {"enrolled-keys": "has Secure Boot keys enrolled, and the EFI agent is not signed"}
_WANTED = {
    OVMF_X64: _Wanted(
        FirmwareArch.X64,
        "x86_64",
        "ovmf",
        {_REQUIRES_SMM: "needs SMM, which is off here", **_KEYS, "secure-boot": "is built for Secure Boot"},
    ),
    # There is only one 32-bit build in Debian, with SMM and Secure Boot. Without keys it starts what is not signed.
    OVMF_IA32: _Wanted(FirmwareArch.IA32, "i386", "ovmf-ia32", _KEYS),
}


@dataclass(frozen=True)
class Rejection:
    """Why a descriptor was not chosen."""

    descriptor: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.descriptor.name} {self.reason}"


class _Rejected(Exception):
    """The descriptor at hand does not do."""


def descriptor_directories(environ: Mapping[str, str] | None = None) -> tuple[Path, ...]:
    """Where descriptors lie, the most important directory first: the user's, the administrator's, the packages'."""
    environ = os.environ if environ is None else environ
    config = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME", "/"), ".config")
    return Path(config, "qemu/firmware"), Path("/etc/qemu/firmware"), Path("/usr/share/qemu/firmware")


def find_firmware(name: str, directories: Sequence[Path] | None = None) -> FirmwareFiles:
    """The firmware called ``name``.

    Args:
        name: ``ovmf-x64``, ``ovmf-ia32``, or two files of 64-bit firmware as ``CODE.fd:VARS.fd``.
        directories: of descriptors, the most important first; default :func:`descriptor_directories`.

    Raises:
        InputError: there is no such name, or the files are not what they should be.
        HostError: no descriptor offers such a firmware; the message says why not, for each of them.
    """
    if ":" in name:
        return _file_pair(name)
    wanted = _WANTED.get(name)
    if wanted is None:
        raise InputError(
            f"there is no firmware called {name!r}",
            hint=f"allowed: {', '.join(_WANTED)}, or two files as CODE.fd:VARS.fd",
        )
    directories = descriptor_directories() if directories is None else directories
    rejections = []
    for descriptor in descriptors(directories):
        try:
            return _choose(name, wanted, descriptor)
        except _Rejected as rejected:
            rejections.append(Rejection(descriptor, str(rejected)))
    seen = "; ".join(map(str, rejections)) or f"no descriptors in {', '.join(map(str, directories))}"
    raise HostError(f"no firmware does for {name}: {seen}", hint=f"apt-get install {wanted.package}")


def descriptors(directories: Sequence[Path]) -> list[Path]:
    """The descriptor files in the order of their names; of two of the same name the one in the earlier directory."""
    chosen: dict[str, Path] = {}
    for directory in directories:
        for file in directory.glob("*.json"):
            chosen.setdefault(file.name, file)
    return [chosen[name] for name in sorted(chosen)]


def version_of(path: Path) -> str:
    """``ovmf 2022.11-6+deb12u2`` for a file of a Debian package; empty when that cannot be said."""
    package = _output(["dpkg-query", "--search", str(path)]).partition(":")[0]
    if not package or "," in package:
        return ""
    return _output(["dpkg-query", "--show", "--showformat=${Package} ${Version}", package])


def _output(argv: Sequence[str]) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _choose(name: str, wanted: _Wanted, descriptor: Path) -> FirmwareFiles:
    document = _read(descriptor)
    for reason in _reasons_against(document, wanted):
        raise _Rejected(reason)
    code = _flash_file(document["mapping"], "executable")
    return FirmwareFiles(
        name=name,
        code=code,
        vars_template=_flash_file(document["mapping"], "nvram-template"),
        descriptor=str(descriptor),
        version=version_of(code),
        arch=wanted.arch,
        smm=_REQUIRES_SMM in _list(document, "features"),
    )


def _read(descriptor: Path) -> dict[str, Any]:
    try:
        text = descriptor.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _Rejected(f"cannot be read: {error}") from error
    if not text:
        raise _Rejected("is empty, which hides the package's descriptor of this name")
    try:
        document = json.loads(text)
    except ValueError as error:
        raise _Rejected(f"is not JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("mapping"), dict):
        raise _Rejected("is not a firmware descriptor: it has no 'mapping'")
    return document


def _reasons_against(document: Mapping[str, Any], wanted: _Wanted) -> Iterator[str]:
    mapping = document["mapping"]
    if "uefi" not in _list(document, "interface-types"):
        yield "is not UEFI"
    targets = [target for target in _list(document, "targets") if isinstance(target, dict)]
    architectures = {str(target.get("architecture")) for target in targets}
    if wanted.target not in architectures:
        yield f"is for {', '.join(sorted(architectures)) or 'no architecture'}, not {wanted.target}"
    machines = [m for t in targets if t.get("architecture") == wanted.target for m in _list(t, "machines")]
    if not any(fnmatch.fnmatchcase(_MACHINE, str(machine)) for machine in machines):
        yield "is not for the machine type q35"
    for feature, reason in wanted.unwanted.items():
        if feature in _list(document, "features"):
            yield reason
    if mapping.get("device") != "flash":
        yield f"is loaded as {mapping.get('device')!r}, not as flash"
    if mapping.get("mode", "split") != "split":
        yield f"is a {mapping['mode']} image, without a variable store of its own"


def _list(document: Mapping[str, Any], key: str) -> list[Any]:
    value = document.get(key)
    return value if isinstance(value, list) else []


def _flash_file(mapping: Mapping[str, Any], key: str) -> Path:
    entry = mapping.get(key)
    if not isinstance(entry, dict) or not isinstance(entry.get("filename"), str):
        raise _Rejected(f"is not a firmware descriptor: it has no 'mapping.{key}.filename'")
    if entry.get("format") != "raw":
        raise _Rejected(f"has its {key} in the format {entry.get('format')!r}, not 'raw'")
    path = Path(entry["filename"])
    if not path.is_file():
        raise _Rejected(f"names {path}, which does not exist")
    return path


def _file_pair(name: str) -> FirmwareFiles:
    first, _, second = name.partition(":")
    if not first or not second or ":" in second:
        raise InputError(f"{name!r} is not a pair of files", hint="write it as CODE.fd:VARS.fd")
    code, variables = Path(first).absolute(), Path(second).absolute()
    sizes_bytes = [_size_bytes(code), _size_bytes(variables)]
    # The two parts of one build fill its flash device, always whole MiB. Parts of different builds start and hang.
    if sum(sizes_bytes) % 2**20:
        raise InputError(
            f"{code.name} ({sizes_bytes[0]} bytes) and {variables.name} ({sizes_bytes[1]} bytes)"
            " are not the two parts of one firmware build",
            hint="take both from one build, such as OVMF_CODE_4M.fd:OVMF_VARS_4M.fd",
        )
    return FirmwareFiles(
        name=name, code=code, vars_template=variables, descriptor=f"--firmware {name}", version=version_of(code)
    )


def _size_bytes(path: Path) -> int:
    try:
        with path.open("rb") as file:
            head = file.read(64)
            size_bytes = file.seek(0, os.SEEK_END)
    except OSError as error:
        raise InputError(f"cannot read the firmware file {path}: {error.strerror or error}") from error
    if head[40:44] != b"_FVH":
        raise InputError(f"{path} is not UEFI firmware: it does not begin with a firmware volume")
    return size_bytes
