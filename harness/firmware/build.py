"""Compiles the EFI agent (``agent/``) with clang and lld, once for each version of sources, flags and compiler."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HostError

SOURCES = Path(__file__).parent / "agent"

COMPILER_FLAGS = (
    "-target",
    "x86_64-unknown-windows",
    "-std=c11",
    "-ffreestanding",
    "-fshort-wchar",
    # Firmware's interrupt handlers run on the same stack (UEFI spec 2.10, section 2.3.4).
    "-mno-red-zone",
    # No vector registers: the kernel's stub calls back into the agent, and nothing here needs them.
    "-mgeneral-regs-only",
    "-fno-stack-protector",
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
    "/subsystem:efi_application",
    "/entry:efi_main",
    "/nodefaultlib",
    # The same sources give the same bytes, so the hash in a plan says which agent ran.
    "/timestamp:0",
)
_VERSIONS = range(25, 12, -1)
_TIMEOUT_S = 120.0
_LAST_LINES = 12


@dataclass(frozen=True)
class AgentBinary:
    """The EFI agent, a PE32+ EFI application for x86-64."""

    path: Path
    sha256: str
    """Of the file at ``path``."""
    source_sha256: str
    """Of the sources, the flags and the compiler's version: what the cache is addressed by."""


def build_agent(cache_dir: Path, *, sources: Path = SOURCES, search_path: str | None = None) -> AgentBinary:
    """The agent from the cache, compiled first when it is not there.

    Args:
        cache_dir: made when it does not exist; any number of processes may share it.
        sources: the directory of the .c and .h files.
        search_path: where to look for clang and lld-link, as in PATH; None for PATH itself.

    Raises:
        HostError: clang or lld is missing, the sources do not compile, or the cache cannot be written.
    """
    clang = _program("clang", "clang", search_path)
    linker = _program("lld-link", "lld", search_path)
    source_sha256 = _key(sources, (_run([clang, "--version"]), _run([linker, "--version"])))
    path = cache_dir / f"agent-{source_sha256[:32]}.efi"
    try:
        if not path.is_file():
            cache_dir.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cache_dir, prefix=".agent-") as scratch:
                _compile(clang, linker, sources, Path(scratch)).replace(path)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise HostError(
            f"the EFI agent cannot be kept in {cache_dir}: {error.strerror or error}",
            hint="name a directory that can be written as the cache",
        ) from error
    return AgentBinary(path, sha256, source_sha256)


def _program(name: str, package: str, search_path: str | None) -> str:
    """The program, or its newest versioned name (``lld-link-14``) where Debian's default package is not installed."""
    for candidate in (name, *(f"{name}-{version}" for version in _VERSIONS)):
        found = shutil.which(candidate, path=search_path)
        if found is not None:
            return found
    raise HostError(f"{name} is not installed; the EFI agent cannot be built", hint=f"apt-get install {package}")


def _key(sources: Path, versions: Sequence[str]) -> str:
    files = sorted([*sources.glob("*.c"), *sources.glob("*.h")])
    if not files:
        raise HostError(f"no sources of the EFI agent in {sources}", hint="install harness again")
    digest = hashlib.sha256()
    for part in (*versions, *COMPILER_FLAGS, *LINKER_FLAGS):
        digest.update(part.encode() + b"\0")
    for file in files:
        content = file.read_bytes()
        digest.update(f"{file.name} {len(content)}\0".encode() + content)
    return digest.hexdigest()


def _compile(clang: str, linker: str, sources: Path, scratch: Path) -> Path:
    objects = []
    for source in sorted(sources.glob("*.c")):
        objects.append(scratch / f"{source.stem}.obj")
        _run([clang, *COMPILER_FLAGS, "-c", str(source), "-o", str(objects[-1])])
    agent = scratch / "agent.efi"
    _run([linker, *LINKER_FLAGS, f"/out:{agent}", *map(str, objects)])
    return agent


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
