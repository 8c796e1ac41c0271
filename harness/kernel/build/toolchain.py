"""The programs that build a kernel: are they here, and which compiler is it?"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from harness.errors import HostError

CCACHE_LINKS = Path("/usr/lib/ccache")
"""Where Debian's ccache has links that are called as the compilers are. The name in the command stays ``gcc``, so
installing ccache later does not make make build everything again."""
PROGRAMS: Mapping[str, str] = {
    "make": "make",
    "gcc": "gcc",
    "ld": "binutils",
    "flex": "flex",
    "bison": "bison",
    "bc": "bc",
    "patch": "patch",
    "perl": "perl",
    "tar": "tar",
    "xz": "xz-utils",
}
HEADERS: Mapping[str, str] = {"libelf.h": "libelf-dev", "openssl/opensslv.h": "libssl-dev"}
"""Debian's package of each program and header that a build asks for."""


def need_tools() -> None:
    """Are all programs and headers here that a kernel build needs?

    Raises:
        HostError: some are missing; the hint names the packages.
    """
    lacking = {program: package for program, package in PROGRAMS.items() if shutil.which(program) is None}
    if "gcc" not in lacking:
        lacking |= {header: package for header, package in HEADERS.items() if not _has_header(header)}
    if "gcc" in lacking:
        lacking["the C library's headers"] = "libc6-dev"
    if lacking:
        raise HostError(
            f"no kernel can be built here: {', '.join(lacking)} missing",
            hint=f"apt-get install {' '.join(dict.fromkeys(lacking.values()))}; "
            "or `make build-tools` for all that setup/apt-packages-build.txt names",
        )


def compiler() -> str:
    """What compiles and links, in words; part of what a build is identified by. Empty when there is no compiler."""
    if shutil.which("gcc") is None or shutil.which("ld") is None:
        return ""
    return f"{_first_line('gcc')}, {_first_line('ld')}"


def environment(cache_root: Path, work: Path) -> dict[str, str]:
    """For make: a fixed language and identity, and ccache where it is installed.

    With the work directory as its base ccache finds what was compiled in another one.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KBUILD_", "MAKE", "MFLAGS"))}
    for name in ("ARCH", "CROSS_COMPILE", "CC", "LD", "LLVM", "LOCALVERSION", "KCONFIG_CONFIG", "O", "V", "W", "C"):
        kept.pop(name, None)
    kept |= {
        "LC_ALL": "C",
        "LOCALVERSION": "",  # set, so that no `+` is added for a source that is below some git tree
        "KBUILD_BUILD_USER": "harness",
        "KBUILD_BUILD_HOST": "harness",
        "KBUILD_BUILD_VERSION": "1",
        "KBUILD_BUILD_TIMESTAMP": "1970-01-01",
        "CCACHE_DIR": str(cache_root / "ccache"),
        "CCACHE_BASEDIR": str(work),
        "CCACHE_NOHASHDIR": "1",
        "CCACHE_MAXSIZE": "2G",
    }
    if (CCACHE_LINKS / "gcc").exists():
        kept["PATH"] = f"{CCACHE_LINKS}:{kept.get('PATH', os.defpath)}"
    return kept


def cores() -> int:
    """How many programs to run at the same time."""
    return len(os.sched_getaffinity(0))


def _has_header(name: str) -> bool:
    done = subprocess.run(
        ["gcc", "-E", "-x", "c", "-"], input=f"#include <{name}>\n", capture_output=True, text=True, check=False
    )
    return done.returncode == 0


def _first_line(program: str) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, errors="replace", check=False)
    return (done.stdout.splitlines() or [""])[0].strip()
