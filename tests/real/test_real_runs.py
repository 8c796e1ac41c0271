"""What must be red, made red on real kernels: each gives its own verdict, and says where to look.

The green ones are the scenarios themselves (tox.ini runs esrt/kexec-file on the same kernel by pytest).
"""

from __future__ import annotations

import json
import mmap
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.fake_host import HARNESS, finish, until

from harness.cli import main
from harness.model.causes import Cause, Status
from harness.model.record import EndKind, Phase

from .conftest import KERNEL, At, Range

FILE = "steps[1].kexec.syscall=file"
SMALL = "steps[1].kexec.initrd.pad=0"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


def test_kexec_load_loses_the_esrt(runs: Path, capsys: pytest.CaptureFixture[str], nothing_left: None) -> None:
    """The bug the project is about, found by the command line, and known to known-issues.yaml."""
    words = ["run", "esrt/kexec-load", "--kernel", KERNEL, "--no-known-issues", "--runs", str(runs), "--json", "-"]
    assert main(words) == 1
    (verdict,) = json.loads(capsys.readouterr().out)["verdicts"]
    assert (verdict["status"], verdict["cause"], verdict["epoch"]) == ("FAIL", "esrt-corrupt", 2)
    headline = re.fullmatch(
        r"the ESRT at (0x[0-9a-f]+) was overwritten, .*segment\[\d\] \(initrd\) (0x[0-9a-f]+)-(0x[0-9a-f]+) "
        r"of kexec_load covers it; in epoch 2: the kernel shows no ESRT in /sys/firmware/efi/esrt",
        verdict["headline"],
    )
    assert headline, verdict["headline"]
    table, first, last = (int(number, 16) for number in headline.groups())
    assert first <= table <= last
    (check,) = [check for check in verdict["checks"] if check["name"] == "table_intact: esrt"]
    evidence = "\n".join(item["text"] for item in check["evidence"])
    assert "the kernel of epoch 2 says: esrt: Unsupported ESRT version" in evidence
    assert "predicted before the jump" in evidence
    assert "confirmed after the jump" in evidence
    (run,) = runs.iterdir()
    assert main(["judge", str(run)]) == 0
    assert capsys.readouterr().out.startswith("KNOWN BUG ")


def test_a_table_that_nobody_keeps(runs: Path, capsys: pytest.CaptureFixture[str], nothing_left: None) -> None:
    """RTPROP by the call that keeps an ESRT. What the next kernel loses by it depends on the bytes."""
    words = ["run", "tables/rtprop-kexec-file", "--kernel", KERNEL, "--no-known-issues", "--runs", str(runs / "rtprop")]
    assert main([*words, "--json", "-"]) == 1
    (verdict,) = json.loads(capsys.readouterr().out)["verdicts"]
    assert (verdict["status"], verdict["cause"]) == ("FAIL", "rtprop-corrupt")
    assert verdict["headline"].startswith("the RTPROP table at 0x39fff100 was overwritten")
    checks = {check["name"]: check["status"] for check in verdict["checks"]}
    assert (checks["setup"], checks["kexec_would_overlap: rtprop"]) == ("PASS", "PASS")


def test_a_byte_flipped_while_a_kernel_runs(machines: Range) -> None:
    """In guest memory itself, which is a file here; no kexec has to do with it, and the verdict says so."""
    plan = machines.plan("esrt/kexec-load", FILE, SMALL)
    memory_bytes = plan.scenario.machine.memory
    backend = f"memory-backend-file,id=ram,size={memory_bytes},mem-path={{run}}/ram,share=on"
    plan = plan.model_copy(update={"argv": (*plan.argv, "-object", backend, "-machine", "memory-backend=ram")})
    table = plan.tables[0]
    assert table.below is not None
    address = table.below - 4096 * table.pages + table.offset + 16 + 3  # inside its first entry

    def flip() -> None:
        with (machines.directory / "ram").open("r+b") as file, mmap.mmap(file.fileno(), memory_bytes) as memory:
            assert memory[address - 19 : address - 3] == bytes.fromhex(table.content_hex)[:16]
            memory[address] ^= 0x10

    at = At(Phase.LOAD, 1, flip)
    ran = machines.run(plan, at)
    (machines.directory / "ram").unlink()
    assert at.done
    assert ran.end.kind is EndKind.COMPLETE
    assert (ran.verdict.status, ran.verdict.cause, ran.verdict.epoch) == (Status.FAIL, Cause.ESRT_CORRUPT, 1)
    evidence = ran.evidence("table_intact: esrt")
    assert f"1 of {len(table.content_hex) // 2} bytes differ; the first at {address:#x}" in evidence
    assert "no kexec lies between this and the sample before" in evidence


def test_a_table_that_no_segment_comes_near(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], nothing_left: None
) -> None:
    """Intact, and yet no PASS: the run could not have found the bug."""
    far = ["--set", SMALL, "--set", FILE, "--set", "firmware.tables[0].esrt.below=0x20000000"]
    words = ["run", "esrt/kexec-load", "--kernel", KERNEL, *far, "--no-known-issues", "--runs", str(tmp_path)]
    assert main([*words, "--json", "-"]) == 3
    (verdict,) = json.loads(capsys.readouterr().out)["verdicts"]
    assert (verdict["status"], verdict["cause"]) == ("ERROR", "no-overlap")
    checks = {check["name"]: check["status"] for check in verdict["checks"]}
    assert checks["table_intact: esrt"] == "PASS"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_harness_is_stopped(tmp_path: Path, number: signal.Signals) -> None:
    """While a kernel boots: no QEMU is left, whether harness could clean up or not."""
    words = ["run", "esrt/no-table", "--kernel", KERNEL, "--runs", str(tmp_path)]
    process = subprocess.Popen(
        [sys.executable, "-c", HARNESS, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: "Linux version" in _console(tmp_path), "the kernel starts", 180)
    (run,) = tmp_path.iterdir()
    assert _machines(run)
    done = finish(process, number)
    until(lambda: not _machines(run), "QEMU ends with harness", 5)
    if number == signal.SIGKILL:
        assert main(["judge", str(run)]) == 3
        return
    assert (done.status, done.message) == (130, f"harness: stopped on request; 1 of 1 runs have a record in {tmp_path}")
    assert json.loads((run / "verdict.json").read_text())["cause"] == "interrupted"


def _console(runs: Path) -> str:
    return "".join(path.read_text(errors="replace") for path in runs.glob("*/console.log"))


def _machines(run: Path) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if os.fsencode(run) in text:
            found.append(path.parent.name)
    return found
