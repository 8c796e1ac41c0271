"""Fixtures for all tests."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from leaks import children, open_files
from support.records import Copy
from support.words import Notes, Told, compare, home, name_of

from harness.clock import Deadline

# In CI the same examples each time: a red run must be red again. At home new ones are tried.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


@pytest.fixture(autouse=True)
def cache_of_its_own(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test writes to the user's cache; those that start machines read the real one, where the kernels are."""
    if request.node.get_closest_marker("qemu") is None:
        factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
        monkeypatch.setenv("HARNESS_CACHE", str(Path(factory.getbasetemp(), "cache")))


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[str], Copy]:
    """A copy of a real record, to be damaged."""
    return lambda name: Copy(name, tmp_path)


@pytest.fixture
def told(request: pytest.FixtureRequest) -> Iterator[Told]:
    """Holds the wording of what the test gives to it against what is kept of it."""
    notes = Notes()
    yield notes
    assert notes.texts, "the test has given nothing to told"
    compare(home(request.path), name_of(request.node.name), "\n".join(notes.texts))


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Red when a test leaves a process, a thread or a file descriptor behind."""
    threads, files, processes = set(threading.enumerate()), open_files(), children()
    yield
    deadline = Deadline.after(2.0)
    for thread in set(threading.enumerate()) - threads:
        thread.join(deadline.remaining_s)
    assert set(threading.enumerate()) - threads == set()
    assert {fd: name for fd, name in open_files().items() if fd not in files} == {}
    assert children() - processes == set()
