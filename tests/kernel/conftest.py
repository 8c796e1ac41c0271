"""Fake apt-get, apt-cache and depmod: programs on PATH, as the harness starts them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from harness.cache import Cache
from harness.kernel.debian.apt import Machine
from harness.kernel.debian.sources import Source

from . import source
from .build import Archive
from .source import Kernels

FAKE_APT = """\
#!{python} -IS
import os, pathlib, re, shutil, sys
arguments = sys.argv[1:]
assert arguments[:2] == ["-q", "-c"], arguments
conf = pathlib.Path(arguments[2]).read_text()
assert 'APT::Get::AllowUnauthenticated "false"' in conf and "#clear APT::Update::Post-Invoke;" in conf
source = pathlib.Path(re.search(r'sourcelist "(.*)"', conf)[1]).read_text()
suite = re.search(r"Suites: (.*)", source)[1]
uri = re.search(r"URIs: (.*)", source)[1]
directory = pathlib.Path(os.environ["FAKE_ARCHIVE"]) / suite
program, (command, *rest) = pathlib.Path(sys.argv[0]).name, arguments[3:]
with open(os.environ["FAKE_LOG"], "a") as log:
    print(program, command, uri, suite, *rest, file=log)
failure = pathlib.Path(os.environ["FAKE_ARCHIVE"]) / "failure"
if command in ("update", "download") and failure.exists():
    print(failure.read_text(), file=sys.stderr)
    sys.exit(100)
if command == "update" and not directory.is_dir():
    print(f"E: The repository '{{uri}} {{suite}} Release' does not have a Release file.", file=sys.stderr)
    sys.exit(100)
stanzas = [s for s in (directory / "Packages").read_text().split("\\n\\n") if s.strip()] if directory.is_dir() else []
if command == "pkgnames":
    for stanza in stanzas:
        name = re.match(r"Package: (.*)", stanza)[1]
        if name.startswith(rest[0]):
            print(name)
if command == "show":
    print("\\n\\n".join(s for s in stanzas if re.match(r"Package: (.*)", s)[1] in rest))
if command == "download":
    name, version = rest[0].split("=")
    shutil.copy(directory / f"{{name}}_{{version}}_amd64.deb", ".")
"""

FAKE_DEPMOD = """\
#!/bin/sh
echo "kernel/drivers/block/virtio_blk.ko:" > "$2/lib/modules/$3/modules.dep"
"""


class FakeApt:
    """The archive behind the fake apt, and what it was asked."""

    def __init__(self, directory: Path) -> None:
        self.archive = Archive(directory / "archive")
        self.log = directory / "apt.log"
        self.log.touch()

    @property
    def calls(self) -> list[str]:
        return self.log.read_text().splitlines()

    def fail(self, output: str) -> None:
        (self.archive.directory / "failure").write_text(output)


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeApt:
    programs = tmp_path / "bin"
    programs.mkdir()
    texts = dict.fromkeys(("apt-get", "apt-cache"), FAKE_APT.format(python=sys.executable)) | {"depmod": FAKE_DEPMOD}
    for name, text in texts.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    fake = FakeApt(tmp_path)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_ARCHIVE", str(fake.archive.directory))
    monkeypatch.setenv("FAKE_LOG", str(fake.log))
    return fake


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def machine() -> Machine:
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    main = Source("http://deb.example.org/debian", "bookworm", ("main",), keyring)
    security = Source("http://deb.example.org/debian-security", "bookworm-security", ("main",), keyring)
    return Machine((main, security), "bookworm")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs to build with that are only asked for their names."""
    directory = source.write_programs(tmp_path / "programs")
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    monkeypatch.setattr("harness.kernel.build.toolchain.CCACHE_LINKS", tmp_path / "none")


@pytest.fixture
def kernels(programs: None, tmp_path: Path) -> Kernels:
    """Entries whose source is a tarball, and everything needed to build them."""
    tarball = source.write_tarball(tmp_path / "linux-6.1.tar.xz")
    return Kernels(tmp_path / "kernels", f"{{tarball: {tarball}}}")
