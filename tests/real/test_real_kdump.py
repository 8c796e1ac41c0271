"""Kdumps on a real kernel: clean ones, and one whose capture kernel does not come to its end."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import pytest
from fakes.fake_host import until

from harness.model.causes import Cause, Status
from harness.model.record import EndKind, Phase

from .conftest import At, Range


def tell(path: Path, command: str, **arguments: object) -> None:
    """One QMP command, on the socket for people."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        stream = client.makefile("rw")
        for name, values in (("qmp_capabilities", {}), (command, arguments)):
            stream.write(json.dumps({"execute": name, "arguments": values}) + "\n")
        stream.flush()
        answers = 0
        for line in stream:
            answers += "return" in json.loads(line)
            if answers == 2:
                return


@pytest.mark.parametrize("scenario", ["kdump/sysrq-file", "kdump/sysrq-load"])
def test_a_clean_kdump(machines: Range, scenario: str) -> None:
    ran = machines.run(machines.plan(scenario))
    assert (ran.verdict.status, ran.verdict.cause) == (Status.PASS, None), ran.verdict.headline
    assert "pages of the dump are what memory held" in ran.check("kdump: memory").summary
    assert (ran.directory / "vmcore").exists()
    assert "sysrq triggered crash" in (ran.directory / "vmcore-dmesg.txt").read_text(errors="replace")
    assert not list(ran.directory.glob("*.tmp"))
    assert not (ran.directory / "vmcore.disk").exists()


def test_a_capture_kernel_that_is_reset_while_it_copies(machines: Range) -> None:
    def reset() -> None:
        disk = machines.directory / "vmcore.disk"
        until(lambda: disk.stat().st_blocks > 8192, "the copy goes on", 300)
        tell(machines.directory / "qmp.sock", "human-monitor-command", **{"command-line": "o /b 0xcf9 6"})

    thread = threading.Thread(target=reset)
    at = At(Phase.CAPTURE, 2, thread.start)
    ran = machines.run(machines.plan("kdump/sysrq-file"), at)
    thread.join()
    assert (ran.end.kind, ran.end.epoch) == (EndKind.RESET, 2)
    assert (ran.verdict.status, ran.verdict.cause) == (Status.FAIL, Cause.VMCORE_INCOMPLETE), ran.verdict.headline
    assert (ran.directory / "vmcore.incomplete").exists()
    assert not (ran.directory / "vmcore").exists()
