"""The examples of docs/writing-scenarios.md are right."""

from __future__ import annotations

import re
from pathlib import Path

from load_samples import ROOT, SCENARIO

from harness.load import load_files
from harness.load.known_issues import load_known_issues

BLOCKS = re.findall(
    r"```yaml\n(.*?)```", (ROOT / "docs" / "writing-scenarios.md").read_text(encoding="utf-8"), re.DOTALL
)


def test_the_examples_load(tmp_path: Path) -> None:
    whole, matrix, issue = BLOCKS
    folder = tmp_path / "scenarios" / "esrt"
    folder.mkdir(parents=True)
    (folder / "two-entries.yaml").write_text(whole)
    assert len(load_files([folder / "two-entries.yaml"])) == 2
    (tmp_path / "matrix.yaml").write_text(f"id: esrt/sizes\nwhy: x\nexpect: [no_crash]\n{matrix}")
    assert load_files([tmp_path / "matrix.yaml"])[0].id == "esrt/sizes[debian-6.1,ovmf-x64,file,20]"
    (tmp_path / "issue.yaml").write_text(issue)
    assert load_known_issues(tmp_path / "issue.yaml", {"esrt/kexec-load"})[0].epoch == 2


def test_the_samples_of_the_tests_load(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SCENARIO)
    assert len(load_files([tmp_path / "a.yaml"])) == 2
