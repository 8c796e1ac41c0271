"""A copy of the harness that things are added to, and a host of fakes that it runs on."""

from __future__ import annotations

import compileall
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes.fake_host import CHECKOUT, Done, FakeHost

from .additions import Addition, copy_of_the_tree, make


@dataclass
class Tree:
    """``root`` has a ``harness/`` of its own; nothing of this checkout's is imported."""

    root: Path
    host: FakeHost

    def run(self, *words: str) -> Done:
        """A command line, to its end."""
        done = subprocess.run(
            words, cwd=self.host.root / "cwd", env=self.host.environment, capture_output=True, text=True, check=False
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def harness(self, *arguments: str) -> Done:
        """A command of the harness."""
        return self.run(*self.host.command(*arguments))

    def python(self, code: str) -> Done:
        """A program that imports the copy."""
        return self.run(sys.executable, "-c", code)

    def scenario(self, steps: str, expect: str, more: str = "") -> None:
        """The one scenario of the host, with other steps and expectations."""
        text = (
            "id: {id}\nwhy: Something was added.\nmatrix: {{kernel: [{kernels}], firmware: [ovmf-x64]}}\n"
            f"steps: {steps}\nexpect: {expect}\n{more}"
        )
        self.host.scenario("fake/one", text=text)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiled once: a copy of it starts four times as fast."""
    root = tmp_path_factory.mktemp("compiled")
    copy_of_the_tree(root)
    assert compileall.compile_dir(root / "harness", quiet=2)
    return root


@pytest.fixture
def tree(compiled: Path, tmp_path: Path) -> Iterator[Callable[[Addition], Tree]]:
    """Gives a copy with something added."""
    hosts: list[FakeHost] = []

    def with_(addition: Addition) -> Tree:
        root = tmp_path / f"tree{len(hosts)}"
        shutil.copytree(compiled, root)
        make(addition, root)
        host = FakeHost.build(tmp_path / f"host{len(hosts)}")
        host.environment |= {"PYTHONPATH": f"{root}:{CHECKOUT / 'tests'}"}
        hosts.append(host)
        return Tree(root, host)

    yield with_
    for host in hosts:
        host.end()
