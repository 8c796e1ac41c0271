from __future__ import annotations

import errno
from pathlib import Path

import pytest

from harness.cache import Cache
from harness.errors import HostError
from harness.kernel.debian import sources
from harness.kernel.debian.apt import Machine, Suite, SuiteMissing
from harness.kernel.debian.sources import Source

from .conftest import FakeApt


def suite(name: str, machine: Machine, cache: Cache) -> Suite:
    return Suite(name, sources.for_suite(machine.sources, name, machine.codename), cache)


def test_the_machines_configuration_is_read(tmp_path: Path) -> None:
    parts = tmp_path / "apt/sources.list.d"
    parts.mkdir(parents=True)
    (tmp_path / "apt/sources.list").write_text("deb http://a.example.org/debian bookworm main\n")
    (parts / "debian.sources").write_text(
        "Types: deb\nURIs: http://b.example.org/debian\nSuites: bookworm\nComponents: main\n"
    )
    (parts / "old.list.save").write_text("deb http://c.example.org/debian bookworm main\n")
    (tmp_path / "os-release").write_text('ID=debian\nVERSION_CODENAME=bookworm\nHOME_URL="x"\n')
    machine = Machine.read(tmp_path)
    assert [source.uri for source in machine.sources] == ["http://a.example.org/debian", "http://b.example.org/debian"]
    assert machine.codename == "bookworm"


def test_another_distribution_has_no_codename_here(tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text("ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=jammy\n")
    assert Machine.read(tmp_path) == Machine((), "")


def test_nothing_is_written_outside_the_private_root(apt: FakeApt, machine: Machine, cache: Cache) -> None:
    apt.archive.add_kernel("trixie-security", "6.12.1+deb13-amd64", "6.12.1-1")
    suite("trixie-security", machine, cache).update()
    root = cache.root / "apt/trixie-security"
    conf = (root / "apt.conf").read_text()
    for setting in ("Dir::State", "Dir::State::lists", "Dir::State::status", "Dir::Cache", "Dir::Etc::sourcelist"):
        assert f'{setting} "{root}' in conf
    assert 'Acquire::AllowInsecureRepositories "false"' in conf
    assert "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg" in (root / "harness.sources").read_text()


def test_a_suite_comes_from_the_right_archive(apt: FakeApt, machine: Machine, cache: Cache) -> None:
    apt.archive.suite("sid")
    apt.archive.suite("trixie-security")
    suite("sid", machine, cache).update()
    suite("trixie-security", machine, cache).update()
    assert apt.calls == [
        "apt-get update http://deb.example.org/debian sid",
        "apt-get update http://deb.example.org/debian-security trixie-security",
    ]


def test_packages_and_download(apt: FakeApt, machine: Machine, cache: Cache, tmp_path: Path) -> None:
    digest = apt.archive.add_kernel("sid", "6.1.0-1-amd64", "6.1.2-1")
    apt.archive.add("sid", "linux-headers-6.1.0-1-amd64", "6.1.2-1", {})
    apt.archive.add("sid", "linux-image-6.1.0-1-amd64-dbg", "6.1.2-1", {})
    sid = suite("sid", machine, cache)
    sid.update()
    (package,) = sid.kernels()
    assert (package.name, package.version, package.suite) == ("linux-image-6.1.0-1-amd64", "6.1.2-1", "sid")
    assert package.sha256 == digest
    (tmp_path / "into").mkdir()
    path = sid.download(package, tmp_path / "into")
    assert path.stat().st_size == package.size_bytes


def test_a_suite_without_kernels(apt: FakeApt, machine: Machine, cache: Cache) -> None:
    apt.archive.suite("sid")
    sid = suite("sid", machine, cache)
    sid.update()
    assert sid.kernels() == []


def test_a_suite_that_is_not_there(apt: FakeApt, machine: Machine, cache: Cache) -> None:
    with pytest.raises(SuiteMissing, match="the archive has no suite bookworm-backports"):
        suite("bookworm-backports", machine, cache).update()


def test_the_next_archive_is_tried(apt: FakeApt, machine: Machine, cache: Cache) -> None:
    other = Source("http://other.example.org/debian", "bookworm", ("main",), "/etc/apt/keyrings/other.gpg")
    both = Machine((*machine.sources, other), "bookworm")
    with pytest.raises(SuiteMissing):
        suite("sid", both, cache).update()
    assert [call.split()[2] for call in apt.calls] == [
        "http://deb.example.org/debian",
        "http://other.example.org/debian",
    ]


def test_a_machine_without_debians_archive(apt: FakeApt, cache: Cache) -> None:
    with pytest.raises(SuiteMissing, match="this machine's apt has no Debian archive for sid") as caught:
        suite("sid", Machine((), ""), cache).update()
    assert "sources.list.d" in caught.value.hint
    assert apt.calls == []


@pytest.mark.parametrize(
    ("output", "explained"),
    [
        ("W: x\nE: Could not resolve 'deb.example.org'", ("cannot be reached (E: Could not resolve", "network")),
        ("E: Write error - write (28: No space left on device)", ("the disk of the cache is full", "free some space")),
        ("W: GPG error: x sid InRelease: NO_PUBKEY 0123", ("its signature cannot be checked (W: GPG", "keyring")),
        ("E: Release file for x is not valid yet", ("out of date", "clock")),
        ("E: Failed to fetch x  Hash Sum mismatch", ("being changed", "try again")),
        ("E: something new", ("apt-get failed: E: something new", "")),
    ],
)
def test_failures_are_explained(
    apt: FakeApt, machine: Machine, cache: Cache, output: str, explained: tuple[str, str]
) -> None:
    apt.archive.suite("sid")
    apt.fail(output)
    with pytest.raises(HostError) as caught:
        suite("sid", machine, cache).update()
    assert not isinstance(caught.value, SuiteMissing)
    assert explained[0] in caught.value.message
    assert explained[1] in caught.value.hint


def test_a_full_disk_while_the_root_is_made(
    apt: FakeApt, machine: Machine, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object, **_kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(HostError, match=r"the disk of the cache .* is full"):
        suite("sid", machine, cache).update()


def test_a_machine_without_apt(machine: Machine, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match="apt-get is not installed"):
        suite("sid", machine, cache).update()
