"""A kernel that cannot be started by a newer one: red on real kernels, and known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli import main

SCENARIO = "seams/five-to-four-older"
VARIANT = ("--kernel", "debian-6.12-cloud", "--set", "syscall=file")


def test_a_bit_in_the_page_tables_that_the_older_kernel_does_not_mask(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], nothing_left: None
) -> None:
    """6.12 on five levels of page tables starts 5.10, which dies before its first word."""
    assert main(["run", SCENARIO, *VARIANT, "--runs", str(tmp_path), "--json", "-"]) == 0
    (verdict,) = json.loads(capsys.readouterr().out)["verdicts"]
    assert (verdict["status"], verdict["cause"], verdict["epoch"]) == ("FAIL", "triple-fault", 2)
    assert verdict["known"]["cause"] == "triple-fault"
    (levels,) = [check for check in verdict["checks"] if check["name"] == "paging_levels"]
    assert "/proc/cpuinfo has la57" in levels["evidence"][0]["text"]
    (run,) = tmp_path.iterdir()
    assert main(["judge", str(run), "--no-known-issues"]) == 1
