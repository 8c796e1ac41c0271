from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from harness.cache import Cache
from harness.errors import HostError, InputError
from harness.kernel.build import build as builds
from harness.kernel.build import built
from harness.kernel.build.recipe import SourceOrigin
from harness.kernel.build.trees import Tree, find_tree
from harness.kernel.debian.apt import Machine
from harness.kernel.registry import listing, resolve

from . import source
from .conftest import FakeApt
from .source import Kernels

DEBIAN = "{debian: linux-source-6.1, suites: [bookworm-security, bookworm]}"
ORIGIN = SourceOrigin(debian="linux-source-6.1", suites=("bookworm-security", "bookworm"))


def add_source(apt: FakeApt, tmp_path: Path, suite: str, version: str, changes: dict[str, str] | None = None) -> str:
    packed = source.write_tarball(tmp_path / f"{version}.tar.xz", changes).read_bytes()
    files = {"./usr/src/linux-source-6.1.tar.xz": packed, "./usr/share/doc/linux-source-6.1/README": b""}
    return apt.archive.add(suite, "linux-source-6.1", version, files)


def find(cache: Cache, machine: Machine, *, offline: bool = False, refresh: bool = False) -> Tree:
    return find_tree("tiny", ORIGIN, Path("/"), cache, machine=machine, offline=offline, refresh=refresh)


def test_debians_source_is_chosen_once_and_fetched_when_it_is_opened(
    apt: FakeApt, cache: Cache, machine: Machine, tmp_path: Path
) -> None:
    add_source(apt, tmp_path, "bookworm", "6.1.176-1")
    add_source(apt, tmp_path, "bookworm-security", "6.1.192-2")
    apt.archive.add("bookworm", "linux-source-6.1-extra", "9", {})
    tree = find(cache, machine)
    assert tree.title == "linux-source-6.1 6.1.192-2 (bookworm-security)"
    assert not any(" download " in call for call in apt.calls)
    root = tree.open()
    assert (root / "main.c").read_text() == source.MAIN
    calls = apt.calls
    add_source(apt, tmp_path, "bookworm-security", "6.1.200-1")
    assert find(cache, machine, offline=True).open() == root
    assert apt.calls == calls
    assert find(cache, machine, refresh=True).title.startswith("linux-source-6.1 6.1.200-1")


def test_a_source_that_no_suite_has(apt: FakeApt, cache: Cache, machine: Machine) -> None:
    apt.archive.suite("bookworm")
    with pytest.raises(HostError, match=r"tiny: no linux-source-6\.1 in bookworm-security, bookworm"):
        find(cache, machine)
    with pytest.raises(HostError, match=r"linux-source-6\.1 is not in the cache"):
        find(cache, machine, offline=True)


def test_a_pinned_source_that_is_gone(apt: FakeApt, cache: Cache, machine: Machine, tmp_path: Path) -> None:
    add_source(apt, tmp_path, "bookworm", "6.1.176-1")
    pinned = ORIGIN.model_copy(update={"pin": "6.1.1-1"})
    with pytest.raises(HostError, match=r"no linux-source-6\.1 of version 6\.1\.1-1 in") as caught:
        find_tree("tiny", pinned, Path("/"), cache, machine=machine)
    assert caught.value.hint == "they have 6.1.176-1"


@pytest.mark.usefixtures("programs")
def test_from_the_archive_to_a_kernel(apt: FakeApt, cache: Cache, machine: Machine, tmp_path: Path) -> None:
    add_source(apt, tmp_path, "bookworm", "6.1.192-2")
    kernels = Kernels(tmp_path / "kernels", DEBIAN)
    (row, twin) = listing(kernels.registry, cache)
    assert (row.kind, row.fetched, twin.of) == ("source", False, "tiny")
    kernel = resolve("tiny", kernels.registry, cache, machine=machine)
    assert kernel.origin.startswith("linux-source-6.1 6.1.192-2 (bookworm); tinyconfig, base; gcc 1.0")
    assert [package.version for package in kernel.packages] == ["6.1.192-2"]
    (row, twin) = listing(kernels.registry, cache)
    assert (row.fetched, row.release, row.suite) == (True, source.RELEASE, "bookworm")
    assert row.origin == kernel.origin
    assert not twin.fetched
    kernels.write("fragments/base.config", "CONFIG_KEXEC=y\nCONFIG_NEEDED=y\n")
    assert not listing(kernels.registry, cache)[0].fetched
    (kernels.directory / "fragments/base.config").unlink()
    assert "no such file" in listing(kernels.registry, cache)[0].description


def test_a_tarball_that_is_none(cache: Cache, tmp_path: Path) -> None:
    path = tmp_path / "linux.tar.xz"
    with pytest.raises(InputError, match="no such file"):
        find_tree("tiny", SourceOrigin(tarball="linux.tar.xz"), tmp_path, cache)
    path.write_text("hello")
    with pytest.raises(InputError, match="cannot be unpacked"):
        find_tree("tiny", SourceOrigin(tarball="linux.tar.xz"), tmp_path, cache).open()
    source.write_tarball(path, {"Kbuild": ""})
    tree = find_tree("tiny", SourceOrigin(tarball="linux.tar.xz"), tmp_path, cache)
    assert (tree.open() / "Kbuild").is_file()


def test_a_tarball_of_something_else(cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x/README").write_text("")
    subprocess.run(["tar", "-C", str(tmp_path), "-cf", str(tmp_path / "x.tar"), "x"], check=True)
    with pytest.raises(InputError, match="is no Linux source"):
        find_tree("tiny", SourceOrigin(tarball="x.tar"), tmp_path, cache).open()
    assert not any((cache.root / "kernel-sources").iterdir())


def git(directory: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", "-C", str(directory), *identity, *arguments], check=True, capture_output=True)


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize("with_git", [True, False])
def test_a_directory_is_followed_incrementally_and_never_changed(cache: Cache, tmp_path: Path, with_git: bool) -> None:
    tree = source.write_tree(tmp_path / "linux")
    if with_git:
        (tree / ".gitignore").write_text("*.o\n.config\n")
        git(tree, "init")
        git(tree, "add", ".")
        git(tree, "commit", "-m", "first")
    (tree / "main.o").write_text("built here")
    (tree / ".config").write_text("built here")
    kernels = Kernels(tmp_path / "kernels", "{tree: ../linux}")
    first = built.make(kernels.recipe(), cache)
    assert first.about.compiled == 2
    if with_git:
        assert f"{tree} at " in first.image.origin
    (work,) = (cache.root / builds.WORK).iterdir()
    assert not (work / "src/main.o").exists()
    assert not (work / "src/.config").exists()

    (tree / "slow.c").write_text("other\n")
    second = built.make(kernels.recipe(), cache)
    assert (second.about.compiled, second.directory == first.directory) == (1, False)
    assert second.image.image.read_bytes().endswith(b"other\n")
    assert ("with changes" in second.image.origin) == with_git

    twin = built.make(kernels.recipe("tiny+bug"), cache)
    assert b"line 8\n" not in twin.image.image.read_bytes()
    assert (tree / "main.c").read_text() == source.MAIN

    os.utime(tree / "slow.c", (1, 1))
    (tree / "slow.c").write_text("quick\n")  # back to the first: from the cache
    assert built.make(kernels.recipe(), cache).directory == first.directory


@pytest.mark.usefixtures("programs")
def test_a_removed_file_goes_from_the_copy(cache: Cache, tmp_path: Path) -> None:
    tree = source.write_tree(tmp_path / "linux", {"extra.c": "x\n"})
    kernels = Kernels(tmp_path / "kernels", "{tree: ../linux}")
    built.make(kernels.recipe(), cache)
    (work,) = (cache.root / builds.WORK).iterdir()
    assert (work / "src/extra.c").exists()
    (tree / "extra.c").unlink()
    built.make(kernels.recipe(), cache)
    assert not (work / "src/extra.c").exists()


def test_directories_that_are_none(cache: Cache, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such directory"):
        find_tree("tiny", SourceOrigin(tree="linux"), tmp_path, cache)
    (tmp_path / "linux").mkdir()
    with pytest.raises(InputError, match="is no Linux source"):
        find_tree("tiny", SourceOrigin(tree="linux"), tmp_path, cache)


def test_no_room_to_unpack(cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source.write_tarball(tmp_path / "linux.tar.xz")
    tree = find_tree("tiny", SourceOrigin(tarball="linux.tar.xz"), tmp_path, cache)
    monkeypatch.setattr("harness.kernel.build.trees.UNPACKED_BYTES", 2**60)
    with pytest.raises(HostError, match="GiB are needed to unpack a kernel source"):
        tree.open()
    assert not (cache.root / "kernel-sources").exists()
