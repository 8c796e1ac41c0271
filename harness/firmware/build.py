"""Compiles the EFI agent and its runtime driver (``agent/``), once for each version of sources, flags and compiler."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HostError
from harness.model.words.driver import FirmwareArch

SOURCES = Path(__file__).parent / "agent"
"""The agent's sources; ``driver/`` in it holds the driver's, which share its headers."""

COMPILER_FLAGS = (
    "-std=c11",
    "-ffreestanding",
    "-fshort-wchar",
    # Firmware's interrupt handlers run on the same stack (UEFI 2.10, 2.3.4).
    "-mno-red-zone",
    # No vector registers: the kernel's stub calls back into the agent, and nothing here needs them.
    "-mgeneral-regs-only",
    "-fno-stack-protector",
    # The driver runs at two addresses, and a table of jump targets would hold only one of them.
    "-fno-jump-tables",
    "-Os",
    "-Wall",
    "-Wextra",
    "-Wshadow",
    "-Wconversion",
    "-Wstrict-prototypes",
    "-Wmissing-prototypes",
    "-Werror",
)
LINKER_FLAGS = (
    "/nodefaultlib",
    # The same sources give the same bytes, so the hash in a plan says which agent ran.
    "/timestamp:0",
)
TARGET_FLAGS: Mapping[FirmwareArch, tuple[str, ...]] = {
    FirmwareArch.X64: ("-target", "x86_64-unknown-windows"),
    FirmwareArch.IA32: ("-target", "i386-unknown-windows"),
}
# Without a table of exception handlers, which Windows wants of 32-bit programs.
_LINKER_TARGET_FLAGS: Mapping[FirmwareArch, tuple[str, ...]] = {
    FirmwareArch.X64: ("/machine:x64",),
    FirmwareArch.IA32: ("/machine:x86", "/safeseh:no"),
}
APPLICATION_FLAGS = ("/subsystem:efi_application", "/entry:efi_main")
# Sections on pages of their own, so that the Memory Attributes Table can tell code from data.
DRIVER_FLAGS = ("/subsystem:efi_runtime_driver", "/entry:driver_main", "/driver", "/align:4096")
_VERSIONS = range(25, 12, -1)
_TIMEOUT_S = 120.0
_LAST_LINES = 12
_MAP_BASE = re.compile(r"Preferred load address is ([0-9a-f]+)")
_MAP_SYMBOL = re.compile(r"^ [0-9a-f]{4}:[0-9a-f]{8} +(\S+) +([0-9a-f]{8,16}) +\S+\.obj$", re.MULTILINE)


@dataclass(frozen=True)
class Tools:
    """Paths of the compiler and the linker."""

    clang: str
    linker: str


@dataclass(frozen=True)
class EfiImage:
    """A PE32 or PE32+ image."""

    path: Path
    sha256: str
    """Of the file at ``path``."""
    symbols: Mapping[str, int]
    """Name of each function and variable, and its offset from the image's first byte, in order of the offsets."""


@dataclass(frozen=True)
class AgentBinary(EfiImage):
    """The EFI agent, an EFI application, with the runtime driver that belongs to it."""

    arch: FirmwareArch
    source_sha256: str
    """Of the sources, the flags and the compiler's version: what the cache is addressed by."""
    driver: EfiImage


def build_agent(
    cache_dir: Path,
    *,
    arch: FirmwareArch = FirmwareArch.X64,
    sources: Path = SOURCES,
    search_path: str | None = None,
) -> AgentBinary:
    """The agent and its driver from the cache, compiled first when they are not there.

    Args:
        cache_dir: made when it does not exist; any number of processes may share it.
        arch: of the firmware that is to run them.
        sources: the directory of the .c and .h files.
        search_path: where to look for clang and lld-link, as in PATH; None for PATH itself.

    Raises:
        HostError: clang or lld is missing, the sources do not compile, or the cache cannot be written.
    """
    tools = find_tools(search_path)
    source_sha256 = _key(sources, arch, tools)
    # The image after its map, so that where an image is there is a map.
    files = [
        cache_dir / f"{name}-{source_sha256[:32]}{end}" for name in ("driver", "agent") for end in (".map", ".efi")
    ]
    try:
        if not all(file.is_file() for file in files):
            cache_dir.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cache_dir, prefix=".agent-") as scratch:
                for made, file in zip(_compile(tools, arch, sources, Path(scratch)), files, strict=True):
                    made.replace(file)
        driver, agent = _image(files[0], files[1]), _image(files[2], files[3])
    except OSError as error:
        raise HostError(
            f"the EFI agent cannot be kept in {cache_dir}: {error.strerror or error}",
            hint="name a directory that can be written as the cache",
        ) from error
    return AgentBinary(agent.path, agent.sha256, agent.symbols, arch, source_sha256, driver)


def find_tools(search_path: str | None = None) -> Tools:
    """clang and lld-link; see :func:`build_agent`."""
    return Tools(_program("clang", "clang", search_path), _program("lld-link", "lld", search_path))


def parse_map(text: str) -> dict[str, int]:
    """Symbols of a map file of lld-link: name (as in C) to offset from the image's first byte, in order of the offsets.

    String constants, whose names begin with ``?``, are left out.
    """
    base = _MAP_BASE.search(text)
    if base is None:
        return {}
    found = [(int(at, 16) - int(base[1], 16), name) for name, at in _MAP_SYMBOL.findall(text) if name[0] != "?"]
    # 32-bit code has an underscore before every name; the entry point tells which code it is.
    prefix = "_" if any(name in ("_efi_main", "_driver_main") for _, name in found) else ""
    return {name.removeprefix(prefix): offset for offset, name in sorted(found)}


def _image(map_file: Path, image: Path) -> EfiImage:
    symbols = parse_map(map_file.read_text(encoding="utf-8", errors="replace"))
    return EfiImage(image, hashlib.sha256(image.read_bytes()).hexdigest(), symbols)


def _program(name: str, package: str, search_path: str | None) -> str:
    """The program, or its newest versioned name (``lld-link-14``) where Debian's default package is not installed."""
    for candidate in (name, *(f"{name}-{version}" for version in _VERSIONS)):
        found = shutil.which(candidate, path=search_path)
        if found is not None:
            return found
    raise HostError(f"{name} is not installed; the EFI agent cannot be built", hint=f"apt-get install {package}")


def _key(sources: Path, arch: FirmwareArch, tools: Tools) -> str:
    files = sorted([*sources.rglob("*.c"), *sources.rglob("*.h")])
    if not files:
        raise HostError(f"no sources of the EFI agent in {sources}", hint="install harness again")
    digest = hashlib.sha256()
    flags = (*TARGET_FLAGS[arch], *COMPILER_FLAGS, *_linker_flags(arch, APPLICATION_FLAGS), *DRIVER_FLAGS)
    for part in (_run([tools.clang, "--version"]), _run([tools.linker, "--version"]), *flags):
        digest.update(part.encode() + b"\0")
    for file in files:
        content = file.read_bytes()
        digest.update(f"{file.relative_to(sources)} {len(content)}\0".encode() + content)
    return digest.hexdigest()


def _linker_flags(arch: FirmwareArch, kind: Sequence[str]) -> tuple[str, ...]:
    return (*_LINKER_TARGET_FLAGS[arch], *LINKER_FLAGS, *kind)


def _compile(tools: Tools, arch: FirmwareArch, sources: Path, scratch: Path) -> list[Path]:
    """The files in the order of the cache's."""
    made = []
    for name, directory, kind in (("driver", sources / "driver", DRIVER_FLAGS), ("agent", sources, APPLICATION_FLAGS)):
        image = scratch / f"{name}.efi"
        compile_image(tools, arch, sorted(directory.glob("*.c")), kind, image, headers=sources)
        made += [image.with_suffix(".map"), image]
    return made


def compile_image(
    tools: Tools,
    arch: FirmwareArch,
    sources: Sequence[Path],
    kind: Sequence[str],
    image: Path,
    *,
    headers: Path = SOURCES,
) -> None:
    """Makes ``image``, with its map (``.map``) and its object files beside it.

    Args:
        sources: the .c files.
        kind: :data:`APPLICATION_FLAGS` or :data:`DRIVER_FLAGS`.
        headers: where to look for headers that are not beside the sources.

    Raises:
        HostError: with the last lines of the compiler or linker.
    """
    compiler = [tools.clang, *TARGET_FLAGS[arch], *COMPILER_FLAGS, f"-I{headers}"]
    objects = []
    for source in sources:
        objects.append(image.parent / f"{image.stem}-{source.stem}.obj")
        _run([*compiler, "-c", str(source), "-o", str(objects[-1])])
    out = [f"/out:{image}", f"/map:{image.with_suffix('.map')}"]
    _run([tools.linker, *_linker_flags(arch, kind), *out, *map(str, objects)])


def _run(argv: Sequence[str]) -> str:
    """What the program printed.

    Raises:
        HostError: it could not be started, took too long, or failed; with its last lines.
    """
    program = Path(argv[0]).name
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except OSError as error:
        raise HostError(f"{argv[0]} cannot be started: {error.strerror or error}") from error
    except subprocess.TimeoutExpired as error:
        raise HostError(f"{program} did not end within {_TIMEOUT_S:.0f} seconds") from error
    if done.returncode:
        last = done.stdout.strip().splitlines()[-_LAST_LINES:]
        raise HostError(f"{program} failed on the EFI agent (exit {done.returncode})", hint="\n".join(last))
    return done.stdout
