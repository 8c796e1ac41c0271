"""swtpm behind real QEMU: owned by the machine as QEMU is."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.clock import Deadline
from harness.errors import QemuError
from harness.machine.feed import Failure, Feed
from harness.machine.happenings import Happening
from harness.machine.machine import Machine
from harness.model.record import EndKind, Phase
from harness.record.phases import State
from harness.stage.failures import failure

from .conftest import NONCE, lost, of_kind

QEMU, SWTPM = shutil.which("qemu-system-x86_64"), shutil.which("swtpm")
# fmt: off
ARGV = (
    QEMU or "qemu-system-x86_64", "-accel", "tcg", "-M", "q35", "-m", "64", "-nodefaults", "-no-user-config",
    "-display", "none", "-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device", "tpm-tis,tpmdev=tpm0",
)
# fmt: on
pytestmark = [
    pytest.mark.qemu,
    pytest.mark.skipif(QEMU is None or SWTPM is None, reason="qemu-system-x86_64 or swtpm is not installed"),
]
PROGRAM = Path(SWTPM or "swtpm")
START_AND_WAIT = f"""
import sys, threading
from pathlib import Path
from harness.machine.machine import Machine
with Machine.start({ARGV!r}, Path(sys.argv[1]), nonce={NONCE!r}, swtpm=Path({str(PROGRAM)!r})) as machine:
    print(machine.tpm.process.pid, flush=True)
    threading.Event().wait()
"""


def as_in_a_run(happening: Happening) -> Failure | None:
    state = State(epoch=1, phase=Phase.KERNEL)
    return failure(state, state, happening)


@pytest.mark.parametrize("name", ["plain", "a,comma and a space"])
def test_a_tpm_and_its_end(tmp_path: Path, name: str) -> None:
    directory = tmp_path / name
    directory.mkdir()
    with Machine.start(ARGV, directory, nonce=NONCE, swtpm=PROGRAM) as machine:
        assert machine.tpm is not None
        (tpm,) = machine.qmp.execute("query-tpm")
        assert (tpm["model"], tpm["options"]["type"]) == ("tpm-tis", "emulator")
        assert machine.tpm.process.status is None
        assert machine.tpm.theirs.fileno() == -1, "QEMU alone has this end"
    assert machine.tpm.process.status == 0, "QEMU shut it down"
    assert list((directory / "tpm").glob("tpm2-00.*")), "it kept its state in the run directory"


@pytest.mark.parametrize("status", [-signal.SIGKILL, -signal.SIGTERM])
def test_a_swtpm_that_is_killed_is_the_hosts_fault(tmp_path: Path, status: int) -> None:
    feed = Feed()
    with Machine.start(ARGV, tmp_path, feed, nonce=NONCE, swtpm=PROGRAM) as machine:
        assert machine.tpm is not None
        os.kill(machine.tpm.process.pid, -status)
        outcome = lost(feed.wait(of_kind("hello"), as_in_a_run, Deadline.after(10), since=0))
        assert machine.process.status is None
    assert outcome.kind is EndKind.HOST
    assert outcome.detail.startswith("swtpm ended ")


def test_qemus_end_explains_that_of_swtpm(tmp_path: Path) -> None:
    feed = Feed()
    with Machine.start(ARGV, tmp_path, feed, nonce=NONCE, swtpm=PROGRAM) as machine:
        os.kill(machine.process.pid, signal.SIGKILL)
        outcome = lost(feed.wait(of_kind("hello"), as_in_a_run, Deadline.after(10), since=0))
    assert (outcome.kind, outcome.detail) == (EndKind.QEMU_DIED, "QEMU ended by signal 9")


def test_it_ends_when_a_test_fails(tmp_path: Path) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        Machine.start(ARGV, tmp_path, nonce=NONCE, swtpm=PROGRAM) as machine,
    ):
        raise ZeroDivisionError
    assert machine.tpm is not None
    assert machine.tpm.process.status is not None


def test_it_ends_when_qemu_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(QemuError, match="invalid option"):
        Machine.start((*ARGV, "-frobnicate"), tmp_path, nonce=NONCE, swtpm=PROGRAM).__enter__()


def test_a_swtpm_that_does_not_start(tmp_path: Path) -> None:
    program = tmp_path / "swtpm"
    program.write_text("#!/bin/sh\necho no such TPM >&2\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(QemuError, match="swtpm ended with status 3 while QEMU started: no such TPM"):
        Machine.start(ARGV, tmp_path, nonce=NONCE, swtpm=program).__enter__()


def test_no_swtpm(tmp_path: Path) -> None:
    with pytest.raises(QemuError, match="was not found") as caught:
        Machine.start(ARGV, tmp_path, nonce=NONCE, swtpm=tmp_path / "swtpm").__enter__()
    assert "apt install swtpm" in caught.value.hint


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv (util-linux) is not installed")
def test_it_dies_with_a_harness_that_is_killed(tmp_path: Path) -> None:
    harness = subprocess.Popen(
        [sys.executable, "-c", START_AND_WAIT, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert harness.stdout is not None
    with harness.stdout:
        swtpm = os.pidfd_open(int(harness.stdout.readline()))
    try:
        harness.kill()
        harness.wait()
        ended = select.poll()
        ended.register(swtpm, select.POLLIN)
        assert ended.poll(5000) != []
    finally:
        os.close(swtpm)
