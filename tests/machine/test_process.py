from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from leaks import children, open_files

from harness import clock
from harness.clock import Deadline
from harness.machine.feed import Feed
from harness.machine.happenings import Exited
from harness.machine.process import Process

from .conftest import FAKE, NONCE, no_failure, of_kind, won

SLEEP = shutil.which("sleep") or "sleep"
START_AND_WAIT = f"""
import sys, threading
from pathlib import Path
from harness.machine.machine import Machine
with Machine.start(({str(FAKE)!r},), Path(sys.argv[1]), nonce={NONCE!r}) as machine:
    print(machine.process.pid, flush=True)
    threading.Event().wait()
"""


def start(tmp_path: Path, feed: Feed, *argv: str) -> Process:
    return Process.start(argv, tmp_path / "stderr", feed, ())


def test_the_end_is_pushed_with_its_status(tmp_path: Path) -> None:
    feed = Feed()
    process = start(tmp_path, feed, "/bin/sh", "-c", "echo some words >&2; exit 7")
    outcome = won(feed.wait(of_kind("qemu-exited"), no_failure, Deadline.after(5), since=0))
    assert outcome.value.data == Exited(7)
    assert (process.status, process.errors(), process.stop()) == (7, "some words", 7)


def test_stop_terminates_first_and_may_be_repeated(tmp_path: Path) -> None:
    process = start(tmp_path, Feed(), SLEEP, "60")
    assert process.status is None
    assert process.stop() == -signal.SIGTERM
    assert process.stop() == -signal.SIGTERM


def test_stop_kills_what_does_not_listen(tmp_path: Path) -> None:
    process = start(tmp_path, Feed(), SLEEP, "60")
    os.kill(process.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)  # until it has really stopped
    began_s = clock.now_s()
    assert process.stop(patience_s=0.1) == -signal.SIGKILL
    assert clock.now_s() - began_s < 1.0


def test_it_has_a_session_of_its_own_so_that_ctrl_c_reaches_the_harness_only(tmp_path: Path) -> None:
    process = start(tmp_path, Feed(), SLEEP, "60")
    assert os.getsid(process.pid) == process.pid
    process.stop()


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv (util-linux) is not installed")
def test_qemu_dies_with_a_harness_that_is_killed(tmp_path: Path) -> None:
    harness = subprocess.Popen(
        [sys.executable, "-c", START_AND_WAIT, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert harness.stdout is not None
    with harness.stdout:
        qemu = os.pidfd_open(int(harness.stdout.readline()))
    try:
        harness.kill()
        harness.wait()
        ended = select.poll()
        ended.register(qemu, select.POLLIN)
        assert ended.poll(5000) != []
    finally:
        os.close(qemu)


def test_the_leak_check_sees_a_process_a_file_and_a_thread(tmp_path: Path) -> None:
    """The guard of this directory (fixture nothing_left) looks at these three."""
    processes, files, threads = children(), open_files(), set(threading.enumerate())
    process = start(tmp_path, Feed(), SLEEP, "60")
    with (tmp_path / "x").open("w"):
        assert process.pid in children() - processes
        assert str(tmp_path / "x") in set(open_files().values()) - set(files.values())
        assert [thread.name for thread in set(threading.enumerate()) - threads] == ["qemu-waiter"]
    process.stop()
    assert process.pid not in children()
