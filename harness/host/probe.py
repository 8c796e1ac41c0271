"""What is installed here, looked up once: programs, firmware descriptors, processors, memory, space.

The texts and the JSON are shaped by pure functions; ``probe`` alone looks at the machine.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import HostError

QEMU = "qemu-system-x86_64"
QEMU_HINT = "apt-get install qemu-system-x86"
MIN_PYTHON = (3, 11)
MIN_MEMORY_BYTES = 2 * 2**30
"""A 1 GiB guest, its page cache (the padded initrd is read several times) and QEMU itself."""
MIN_CACHE_BYTES = 3 * 2**30
"""Five Debian kernels take about 1.5 GiB unpacked; the run records need the rest."""

SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Debian keeps kexec here, and the PATH of an ordinary user does not name it."""


@dataclass(frozen=True)
class Finding:
    """One thing the harness looks for on this machine."""

    name: str
    ok: bool
    seen: str
    """What was found: a path, a version, a size; or that nothing was."""
    needed_for: str
    package: str = ""
    """The Debian package that brings it; empty when no package does."""
    hint: str = ""
    """What to do about it when it is not ok."""
    required: bool = True
    """False when some scenarios can be run without it."""


@dataclass(frozen=True)
class Tool:
    """A program the harness starts, or puts into the guest."""

    program: str
    needed_for: str
    package: str
    required: bool = True


TOOLS = (
    Tool("setpriv", "QEMU ends with the harness, also when that is killed", "util-linux"),
    Tool("clang", "building the EFI agent", "clang"),
    Tool("lld-link", "building the EFI agent", "lld"),
    Tool("kexec", "in the guest: loading the next kernel", "kexec-tools"),
    Tool("busybox", "in the guest: shell and tools", "busybox-static"),
    Tool("makedumpfile", "in the guest: kdump scenarios", "makedumpfile", required=False),
    Tool("swtpm", "machines with a TPM: scenarios with machine: {tpm: ...}", "swtpm", required=False),
    Tool("mcopy", "ESP images: scenarios with boot: esp", "mtools", required=False),
    Tool("kmod", "in the guest: the kernel's modules", "kmod"),
    Tool("zstd", "reading kernels compressed with zstd", "zstd"),
    Tool("xz", "reading kernel packages and kernels compressed with xz", "xz-utils"),
    Tool("apt-get", "fetching Debian kernels", "apt", required=False),
)


@dataclass(frozen=True)
class Host:
    """This machine as the planner and the doctor see it."""

    qemu: Path | None
    qemu_version: str
    """``7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)``; empty without QEMU."""
    tools: dict[str, Path]
    """Where each program of TOOLS was found; those that are missing have no entry."""
    findings: tuple[Finding, ...]
    cores: int
    memory_available_bytes: int
    cache_free_bytes: int
    kernel_release: str
    cpu_model: str

    def finding(self, name: str) -> Finding:
        """Raises: KeyError: nothing of that name is looked for."""
        for finding in self.findings:
            if finding.name == name:
                return finding
        raise KeyError(name)

    @property
    def missing(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if not finding.ok)


def require_qemu(host: Host) -> Path:
    """The path of QEMU.

    Raises:
        HostError: QEMU is not on PATH, or does not answer ``--version``.
    """
    if host.qemu is None:
        raise HostError(f"{QEMU} is not on PATH", hint=QEMU_HINT)
    if not host.qemu_version:
        raise HostError(f"{host.qemu} --version: {host.finding(QEMU).seen}", hint=f"{QEMU_HINT} --reinstall")
    return host.qemu


def parse_qemu_version(text: str) -> str:
    """The version in the first line of ``qemu-system-x86_64 --version``; empty when it is something else."""
    match = re.match(r"QEMU emulator version (?P<version>\d+\.\d+[^\n]*)", text)
    return match["version"].strip() if match else ""


def parse_memory_available(meminfo: str) -> int:
    """MemAvailable of /proc/meminfo in bytes (the file counts KiB); 0 when it is not said."""
    match = re.search(r"^MemAvailable:\s+(\d+) kB$", meminfo, re.MULTILINE)
    return int(match[1]) * 1024 if match else 0


def parse_cpu_model(cpuinfo: str) -> str:
    """The first ``model name`` of /proc/cpuinfo, or ``unknown``."""
    match = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return match[1].strip() if match else "unknown"


def is_static_elf(data: bytes) -> bool:
    """Is this a 64-bit little-endian ELF file without PT_INTERP (ELF gABI, program header type 3)?

    ``data`` need hold no more than the first 4 KiB: the program headers follow the ELF header.
    """
    if data[:6] != b"\x7fELF\x02\x01" or len(data) < 64:
        return False
    offset, size, count = (int.from_bytes(data[a:b], "little") for a, b in ((32, 40), (54, 56), (56, 58)))
    types = [int.from_bytes(data[offset + n * size :][:4], "little") for n in range(count)]
    return 3 not in types


def descriptor_for_x86_64(document: Any) -> bool:
    """Does a firmware descriptor (docs/interop/firmware.json of QEMU) offer UEFI in flash for x86_64?"""
    if not isinstance(document, dict) or "uefi" not in document.get("interface-types", ()):
        return False
    mapping = document.get("mapping", {})
    architectures = [target.get("architecture") for target in document.get("targets", ())]
    return mapping.get("device") == "flash" and "x86_64" in architectures


def descriptor_dirs(environ: dict[str, str]) -> tuple[Path, ...]:
    """Where QEMU's firmware.json says descriptors lie: the vendor's, the administrator's, the user's."""
    home = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME", "/"), ".config")
    return Path("/usr/share/qemu/firmware"), Path("/etc/qemu/firmware"), Path(home, "qemu/firmware")


def human_bytes(number: int) -> str:
    """``23.3 GiB``."""
    return f"{number / 2**30:.1f} GiB" if number >= 2**30 else f"{number / 2**20:.0f} MiB"


def probe(cache: Path, *, environ: dict[str, str] | None = None, firmware_dirs: Sequence[Path] | None = None) -> Host:
    """Look once at everything the harness needs of this machine. Nothing is changed; never raises for what is missing.

    ``cache`` is the directory for downloads; it need not exist yet.
    """
    environ = dict(os.environ) if environ is None else environ
    path = environ.get("PATH", os.defpath)
    qemu = shutil.which(QEMU, path=path)
    qemu_said = _output([qemu, "--version"]) if qemu else ""
    version = parse_qemu_version(qemu_said)
    wide_path = os.pathsep.join((path, *SBIN))
    tools = {tool.program: Path(found) for tool in TOOLS if (found := shutil.which(tool.program, path=wide_path))}
    memory = parse_memory_available(_read("/proc/meminfo"))
    free = _free_bytes(cache)
    cores = len(os.sched_getaffinity(0))
    findings = (
        _qemu_finding(qemu, version, qemu_said),
        _firmware_finding(descriptor_dirs(environ) if firmware_dirs is None else firmware_dirs),
        *(_tool_finding(tool, tools.get(tool.program)) for tool in TOOLS),
        _python_finding(sys.version_info[:3]),
        Finding("cores", cores >= 1, str(cores), "one for each run at a time, and one for QEMU's input and output"),
        _amount(
            "memory", memory, MIN_MEMORY_BYTES, needed_for="a guest of 1 GiB", hint="give this machine more memory"
        ),
        _amount(
            "cache",
            free,
            MIN_CACHE_BYTES,
            needed_for="kernels and run records",
            hint="set HARNESS_CACHE to a directory on a larger disk",
            where=cache,
        ),
    )
    return Host(
        qemu=Path(qemu) if qemu else None,
        qemu_version=version,
        tools=tools,
        findings=findings,
        cores=cores,
        memory_available_bytes=memory,
        cache_free_bytes=free,
        kernel_release=platform.release(),
        cpu_model=parse_cpu_model(_read("/proc/cpuinfo")),
    )


def _qemu_finding(path: str | None, version: str, said: str) -> Finding:
    if path is None:
        seen = "not on PATH"
    elif version:
        seen = f"{version} at {path}"
    else:
        seen = f"{path} does not say a version: {(said.strip().splitlines() or ['no output'])[-1]}"
    return Finding(QEMU, bool(version), seen, "every run", "qemu-system-x86", "" if version else QEMU_HINT)


def _tool_finding(tool: Tool, path: Path | None) -> Finding:
    hint = f"apt-get install {tool.package}"
    if path is None:
        return Finding(tool.program, False, "not found", tool.needed_for, tool.package, hint, tool.required)
    if tool.program == "busybox" and not is_static_elf(_head(path)):
        seen = f"{path} is not statically linked, so it does not run in the guest"
        return Finding(tool.program, False, seen, tool.needed_for, tool.package, hint, tool.required)
    return Finding(tool.program, True, str(path), tool.needed_for, tool.package, "", tool.required)


def _firmware_finding(directories: Iterable[Path]) -> Finding:
    found = [file for directory in directories for file in _descriptors(directory)]
    seen = ", ".join(file.stem for file in found) or "no descriptor of UEFI firmware for x86_64"
    hint = "" if found else "apt-get install ovmf"
    return Finding("firmware", bool(found), seen, "every run", "ovmf", hint)


def _descriptors(directory: Path) -> list[Path]:
    good = []
    for file in sorted(directory.glob("*.json")):
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if descriptor_for_x86_64(document):
            good.append(file)
    return good


def _python_finding(version: tuple[int, ...]) -> Finding:
    wanted = ".".join(map(str, MIN_PYTHON))
    ok = version >= MIN_PYTHON
    return Finding("python", ok, ".".join(map(str, version)), f"the harness itself ({wanted} or newer)", "python3")


def _amount(name: str, have: int, least: int, *, needed_for: str, hint: str, where: Path | None = None) -> Finding:
    seen = f"{human_bytes(have)} free" + (f" at {where}" if where else "")
    ok = have >= least
    return Finding(name, ok, seen, f"{needed_for} (at least {human_bytes(least)})", hint="" if ok else hint)


def _free_bytes(path: Path) -> int:
    """Free space where ``path`` is or will be made."""
    for place in (path.absolute(), *path.absolute().parents):
        if place.is_dir():
            return shutil.disk_usage(place).free
    return 0


def _output(argv: Sequence[str]) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stdout or done.stderr


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4096)
    except OSError:
        return b""
