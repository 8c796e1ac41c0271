"""A kernel source in a directory of the user's: which files belong to it, and what identifies their contents.

The directory is only read. What was built in it stays out, so that it may be anything from clean to freshly built.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from harness.cache import sha256_of
from harness.errors import HostError, InputError

_BUILT = (".git", "include/config", "include/generated", "arch/x86/include/generated")
"""Besides objects and .config: where kbuild finds these, it refuses to build elsewhere ("source tree is not clean")."""


def check(directory: Path, name: str) -> None:
    """Is it a kernel source?

    Raises:
        InputError: it is not.
    """
    if not (directory / "Kbuild").is_file() or not (directory / "scripts/kconfig/merge_config.sh").is_file():
        raise InputError(f"{name} is no Linux source: it has no Kbuild and scripts/kconfig/merge_config.sh")


def identify(path: Path) -> tuple[str, str]:
    """A key that names the contents, and a title for people.

    Of git the tree and every change in it count; 0.3 s. Without git every file is read; seconds.

    Raises:
        InputError: git does not take it for its own.
        HostError: git is missing.
    """
    if _is_git(path):
        return _git_key(path), _git_title(path)
    return _plain_key(path), str(path)


def files(path: Path) -> tuple[str, ...]:
    """The paths of the files, relative to the directory."""
    return _git_files(path) if _is_git(path) else tuple(_plain_files(path))


def _is_git(path: Path) -> bool:
    return (path / ".git").exists()


def _git(path: Path, *arguments: str) -> bytes:
    try:
        done = subprocess.run(
            ["git", "-C", str(path), *arguments], capture_output=True, check=False, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError as error:
        raise HostError(f"git is not installed, so {path} cannot be read", hint="apt-get install git") from error
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit status {done.returncode}"]
        raise InputError(f"{path}: git {arguments[0]} failed: {lines[0]}")
    return done.stdout


def _git_files(path: Path) -> tuple[str, ...]:
    """Tracked files as they are now, and new ones that are not ignored: what was built in the tree stays there."""
    listed = _git(path, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = dict.fromkeys(os.fsdecode(name) for name in listed.split(b"\0") if name)
    return tuple(name for name in names if (path / name).is_symlink() or (path / name).is_file())


def _git_key(path: Path) -> str:
    digest = hashlib.sha256(_git(path, "rev-parse", "HEAD^{tree}"))
    digest.update(_git(path, "diff", "--no-ext-diff", "--binary", "HEAD"))
    new = _git(path, "ls-files", "-z", "--others", "--exclude-standard")
    for name in sorted(item for item in new.split(b"\0") if item):
        _hash_file(digest, path, os.fsdecode(name))
    return f"git-{digest.hexdigest()[:24]}"


def _git_title(path: Path) -> str:
    commit = _git(path, "rev-parse", "--short=12", "HEAD").decode().strip()
    changed = " with changes" if _git(path, "status", "--porcelain", "-z").strip(b"\0") else ""
    return f"{path} at {commit}{changed}"


def _plain_files(path: Path) -> Iterator[str]:
    for directory, below, names in os.walk(path):
        at = os.path.relpath(directory, path)
        below[:] = sorted(name for name in below if os.path.normpath(os.path.join(at, name)) not in _BUILT)
        for name in sorted(names):
            if not name.endswith((".o", ".ko", ".a", ".cmd", ".mod")) and name != ".config":
                yield os.path.normpath(os.path.join(at, name))


def _plain_key(path: Path) -> str:
    digest = hashlib.sha256()
    for name in _plain_files(path):
        _hash_file(digest, path, name)
    return f"dir-{digest.hexdigest()[:24]}"


def _hash_file(digest: hashlib._Hash, path: Path, name: str) -> None:
    file = path / name
    digest.update(os.fsencode(name) + b"\0")
    if file.is_symlink():
        digest.update(os.fsencode(os.readlink(file)))
    elif file.is_file():
        digest.update(sha256_of(file).encode() + (b"x" if os.access(file, os.X_OK) else b""))
