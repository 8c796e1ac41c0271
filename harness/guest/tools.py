"""The host's programs that go into the guest, and the small one that is built for it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import HostError
from harness.guest.elf import Elf

FILES = Path(__file__).parent / "files"
LIBRARY_PATH = tuple(
    Path(name)
    for name in ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib")
)
"""Where shared libraries are looked for; no LD_LIBRARY_PATH, so that the same host gives the same initramfs."""
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PROGRAM_TIMEOUT_S = 60.0
HELPERS = ("hkexec", "hstress", "hruntime")
"""Programs of our own in the guest, one C file each; see the comment at the top of each."""
_HEADER = "freestanding.h"
"""Included by all of them."""
HELPER_FLAGS = (
    *(
        "-Os",
        "-static",
        "-nostdlib",
        "-ffreestanding",
        "-fno-stack-protector",
        "-fno-pic",
        "-Wall",
        "-Wextra",
    ),
    *("--target=x86_64-linux-gnu", "-fuse-ld=lld", "-Wl,--build-id=none", "-Wl,-s"),
)


@dataclass(frozen=True)
class GuestTools:
    """What an initramfs is made of, apart from the kernel's own modules."""

    busybox: Path
    kexec: Path
    libraries: tuple[tuple[str, Path], ...]
    """Path in the guest, without the leading slash, and file on the host, for each library kexec needs, sorted."""
    compiler: Path
    """clang, for ``hkexec``."""
    versions: dict[str, str] = field(default_factory=dict)
    """Package or program to version, for the plan."""


def find_tools() -> GuestTools:
    """Look for the programs on this host.

    Raises:
        HostError: a program or a library is missing, or busybox is not static; the hint names the Debian package.
    """
    busybox = find_program("busybox", "busybox-static")
    if _elf(busybox).interpreter is not None:
        raise HostError(
            f"{busybox} is not statically linked, so it does not run in the guest",
            hint="install the Debian package busybox-static",
        )
    kexec = find_program("kexec", "kexec-tools")
    compiler = find_program("clang", "clang")
    find_program("ld.lld", "lld")
    versions = {
        "busybox": first_line([busybox]),
        "kexec-tools": first_line([kexec, "--version"]),
        "clang": first_line([compiler, "--version"]),
        "guest-agent": agent_version(),
    }
    return GuestTools(busybox, kexec, find_libraries(kexec), compiler, versions)


@dataclass(frozen=True)
class DumpTools:
    """What the initramfs of a capture kernel has besides."""

    makedumpfile: Path
    libraries: tuple[tuple[str, Path], ...]
    """As those of GuestTools."""
    version: str


def find_dump_tools() -> DumpTools:
    """Look for makedumpfile on this host.

    Raises:
        HostError: it, or a library of it, is not there.
    """
    makedumpfile = find_program("makedumpfile", "makedumpfile")
    return DumpTools(makedumpfile, find_libraries(makedumpfile), first_line([makedumpfile, "-v"]))


def find_program(name: str, package: str) -> Path:
    """A program on PATH, or where a user's PATH on Debian does not look (kexec is in /sbin).

    Raises:
        HostError: it is not there.
    """
    path = shutil.which(name) or shutil.which(name, path=SYSTEM_PATH)
    if path is None:
        raise HostError(f"the program {name} is not installed", hint=f"install the Debian package {package}")
    return Path(path)


def find_libraries(program: Path, library_path: Sequence[Path] = LIBRARY_PATH) -> tuple[tuple[str, Path], ...]:
    """Every shared library of a program, and its dynamic loader, by following DT_NEEDED.

    Raises:
        HostError: a library is not there, or a file is not ELF.
    """
    interpreter = _elf(program).interpreter
    if interpreter is None:
        return ()
    found = {interpreter.lstrip("/"): Path(interpreter).resolve()}
    loader = Path(interpreter).name
    open_ends, seen = [program], {loader}
    while open_ends:
        current = open_ends.pop()
        for name in _elf(current).needed:
            if name in seen:
                continue
            seen.add(name)
            path = next((folder / name for folder in library_path if (folder / name).is_file()), None)
            if path is None:
                raise HostError(
                    f"the shared library {name}, which {current} needs, is not installed",
                    hint=f"install the Debian package that has {program.name} again",
                )
            found[f"lib/{name}"] = path.resolve()
            open_ends.append(path)
    return tuple(sorted(found.items()))


def agent_version() -> str:
    """A hash of everything in ``files``: it changes with every change of the guest's scripts."""
    digest = hashlib.sha256()
    for path in sorted(FILES.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def build_helper(tools: GuestTools, directory: Path, name: str = HELPERS[0]) -> Path:
    """Compile ``NAME.c`` into ``directory``; the result is kept and used again for the same source and compiler.

    Raises:
        HostError: clang or lld failed, or the directory cannot be written.
    """
    source = FILES / f"{name}.c"
    code = (source.read_text(), (FILES / _HEADER).read_text())
    key = "\0".join([*code, *HELPER_FLAGS, tools.versions.get("clang", str(tools.compiler))])
    path = directory / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    if path.is_file():
        return path
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory, prefix=f".{name}-") as scratch:
            built = Path(scratch) / name
            run([tools.compiler, *HELPER_FLAGS, "-o", built, source], package="clang lld")
            os.replace(built, path)
    except OSError as error:
        raise HostError(f"cannot write {path}: {error.strerror}", hint="choose another cache directory") from error
    return path


def run(argv: Sequence[str | Path], *, package: str, stdin: bytes = b"") -> bytes:
    """Standard output of a program.

    Raises:
        HostError: it is missing, fails, or takes longer than a minute.
    """
    try:
        done = subprocess.run(
            [str(word) for word in argv], input=stdin, capture_output=True, check=True, timeout=_PROGRAM_TIMEOUT_S
        )
    except FileNotFoundError as error:
        raise HostError(
            f"the program {argv[0]} is not installed", hint=f"install the Debian package {package}"
        ) from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines() or ["(no message)"]
        raise HostError(
            f"{Path(argv[0]).name} failed with status {error.returncode}: {said[0]}", hint="\n".join(said[1:])
        ) from error
    except subprocess.TimeoutExpired as error:
        raise HostError(f"{Path(argv[0]).name} took longer than {_PROGRAM_TIMEOUT_S:.0f} s") from error
    return done.stdout


def first_line(argv: Sequence[str | Path]) -> str:
    """The first line of what a program prints, such as its version.

    Raises:
        HostError: it failed.
    """
    lines = run(argv, package=Path(argv[0]).name).decode(errors="replace").splitlines()
    return lines[0].strip() if lines else "unknown"


def _elf(path: Path) -> Elf:
    try:
        return Elf.read(path)
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise HostError(f"{path}: {error}", hint="the guest runs x86-64 programs only") from error
