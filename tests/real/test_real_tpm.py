"""A TPM behind a real kernel."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from harness.cli import main
from harness.model.causes import Cause, Status
from harness.model.record import EndKind, Phase

from .conftest import KERNEL, At, Range

pytestmark = pytest.mark.skipif(shutil.which("swtpm") is None, reason="swtpm is not installed")


def test_the_event_log_survives_a_kexec_load(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], nothing_left: None
) -> None:
    words = ["run", "tables/tpm-log-kexec-load", "--kernel", KERNEL, "--runs", str(tmp_path), "--json", "-"]
    assert main(words) == 0
    (verdict,) = json.loads(capsys.readouterr().out)["verdicts"]
    checks = {check["name"]: check for check in verdict["checks"]}
    assert checks["tpm"]["status"] == "PASS"
    log, final = checks["table_intact: tpm-log"], checks["table_intact: tpm-final-log"]
    assert "is the same at all 3 borders of 2 epochs" in log["summary"]
    assert "epoch 2: binary_bios_measurements begins with the same log" in [item["text"] for item in log["evidence"]]
    assert "epoch 2: binary_bios_measurements ends with the same event" in [item["text"] for item in final["evidence"]]
    (run,) = tmp_path.iterdir()
    assert list((run / "tpm").iterdir()), "the TPM kept its state there"


def test_swtpm_is_killed_while_the_kernel_boots(machines: Range) -> None:
    """Whatever the kernel makes of it: the host's fault."""

    def kill() -> None:
        for stat in Path("/proc").glob("[0-9]*/cmdline"):
            words = stat.read_bytes().split(b"\0")
            if words[0].endswith(b"/swtpm") and stat.parent.joinpath("cwd").resolve() == machines.directory.resolve():
                os.kill(int(stat.parent.name), signal.SIGKILL)

    at = At(Phase.KERNEL, 1, kill)
    ran = machines.run(machines.plan("tables/tpm-log-kexec-load"), at)
    assert at.done
    assert (ran.end.kind, ran.end.detail) == (EndKind.HOST, "swtpm ended by signal 9 while QEMU lived")
    assert (ran.verdict.status, ran.verdict.cause) == (Status.ERROR, Cause.HOST)
