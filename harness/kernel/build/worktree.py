"""The source as it is built: a copy that takes patches and gives them back, touching no more files than needed.

A kernel and its twins are built in one place, one after the other. Only the files that differ are written, so make
builds only what depends on them: a twin takes seconds instead of minutes.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.errors import HostError, InputError
from harness.kernel.build.recipe import Part
from harness.kernel.build.trees import Tree

_STATE = "state.json"
_NAMES = re.compile(r"^(?:---|\+\+\+) (?:[^/\s]+/)?([^\t\n]+)", re.MULTILINE)
_HUNK = re.compile(r"Hunk #(?P<hunk>\d+) (?:FAILED|ignored) at (?P<line>\d+)")
_FILE = re.compile(r"(?:checking|patching) file '?(?P<file>[^'\n]+?)'?$")


@dataclass(frozen=True)
class _State:
    """What is in the copy. ``patches`` is None while it is being changed: then only ``touched`` is certain."""

    key: str
    patches: list[str] | None
    touched: list[str]


def prepare(tree: Tree, patches: Sequence[Part], work: Path) -> Path:
    """Make ``work/src`` the source with the patches and return it.

    Raises:
        InputError: a patch does not apply; the message names file and hunk.
        HostError: no space, or the program patch is missing.
    """
    source, state = work / "src", _load(work)
    wanted = [part.digest for part in patches]
    if state is not None and state.key == tree.key and state.patches == wanted and source.is_dir():
        return source
    root = tree.open()
    touched = sorted({name for part in patches for name in touched_by(part)})
    before = state.touched if state is not None else []
    _save(work, _State("", None, sorted({*before, *touched})))
    if tree.files is not None:
        _follow(root, tree.files(), work)
    elif state is None or state.key != tree.key or not source.is_dir():
        _link(root, source)
    for name in {*before, *touched}:
        _restore(root / name, source / name)
    for part in patches:
        _apply(part, source, tree.title)
    _save(work, _State(tree.key, wanted, touched))
    return source


def touched_by(part: Part) -> tuple[str, ...]:
    """The files that a patch names, relative to the source's top.

    Raises:
        InputError: it names none, or one that is outside.
    """
    found = dict.fromkeys(name.strip() for name in _NAMES.findall(part.text))
    names = tuple(name for name in found if name not in {"/dev/null", "dev/null"})
    if not names:
        raise InputError(
            f"{part.path} is no patch: it has no `--- a/FILE` and `+++ b/FILE`", hint="make it with diff -u"
        )
    for name in names:
        if name.startswith("/") or ".." in PurePosixPath(name).parts:
            raise InputError(f"{part.path} names a file outside the source: {name}")
    return names


def _load(work: Path) -> _State | None:
    try:
        told = json.loads((work / _STATE).read_text(encoding="utf-8"))
        return _State(told["key"], told["patches"], told["touched"])
    except (FileNotFoundError, json.JSONDecodeError, KeyError, TypeError):
        return None


def _save(work: Path, state: _State) -> None:
    new = work / f"{_STATE}.new"
    new.write_text(json.dumps(state.__dict__), encoding="utf-8")
    new.replace(work / _STATE)


def _link(root: Path, source: Path) -> None:
    """All files at once, as hard links: 2 s and no space. What is changed later is written anew, never in place."""
    shutil.rmtree(source, ignore_errors=True)
    done = subprocess.run(
        ["cp", "-al", str(root), str(source)], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode == 0:
        return
    shutil.rmtree(source, ignore_errors=True)  # a file system without hard links
    shutil.copytree(root, source, symlinks=True)


def _follow(root: Path, names: Iterable[str], work: Path) -> None:
    """Make the copy what a directory of the user's is now, writing only what changed since the last time.

    Files are written with the time of now, not their own: an older version that is put back must be built too.
    """
    listing = work / "files.json"
    try:
        known = json.loads(listing.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        known = {}
        shutil.rmtree(work / "src", ignore_errors=True)
    listing.unlink(missing_ok=True)  # an interrupted copy begins again
    seen = {}
    for name in names:
        stat = (root / name).lstat()
        seen[name] = [stat.st_size, stat.st_mtime_ns, stat.st_mode]
        if known.get(name) != seen[name]:
            _restore(root / name, work / "src" / name)
    for name in known.keys() - seen.keys():
        (work / "src" / name).unlink(missing_ok=True)
    listing.write_text(json.dumps(seen), encoding="utf-8")


def _restore(original: Path, copy: Path) -> None:
    copy.unlink(missing_ok=True)
    if original.is_symlink():
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.symlink_to(os.readlink(original))
    elif original.is_file():
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(original, copy)
        shutil.copymode(original, copy)


def _apply(part: Part, source: Path, title: str) -> None:
    for dry in (["--dry-run"], []):
        argv = ["patch", "-p1", "--fuzz=0", "--forward", "--batch", "--no-backup-if-mismatch", "--reject-file=-", *dry]
        argv += ["-d", str(source)]
        try:
            done = subprocess.run(
                argv, capture_output=True, text=True, errors="surrogateescape", check=False, input=part.text
            )
        except FileNotFoundError as error:
            raise HostError("patch is not installed", hint="apt-get install patch") from error
        if done.returncode != 0:
            if "No space left" in done.stdout + done.stderr:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            raise InputError(
                f"patch {part.name} does not apply to {title}: {_why(done.stdout + done.stderr)}",
                hint=f"{part.path} must apply exactly (patch -p1 --fuzz=0); make it anew for this source",
            )


def _why(output: str) -> str:
    """The first file and hunk that failed."""
    file = ""
    for line in output.splitlines():
        found = _FILE.match(line.strip())
        file = found["file"] if found else file
        hunk = _HUNK.search(line)
        if "previously applied" in line:
            return f"{file}: it seems to be applied already"
        if hunk:
            return f"{file}: hunk {hunk['hunk']} fails at line {hunk['line']}"
        if "can't find file" in line or "No file to patch" in line:
            return line.strip()
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "patch said nothing"
