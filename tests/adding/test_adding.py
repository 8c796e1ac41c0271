"""docs/adding.md, followed for real: the addition works, it takes no more files than the guide says, and what is
forgotten is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import fake_guest as guest
from fakes.fake_host import CHECKOUT, Done
from guest.shell import running

from . import additions as add
from .additions import Addition
from .conftest import Tree

Grow = Callable[[Addition], Tree]
BOOT, VARIANT = "[boot, {{kexec: {{syscall: file}}}}]", "fake/one[fake,ovmf-x64]"
REGISTRIES = "import harness.subjects.registry, harness.subjects.acts"


def played(tree: Tree, *phases: guest.Steps) -> dict[str, Any]:
    """The verdict of a run of the one scenario, played so."""
    tree.host.play(guest.script(*phases))
    done = tree.harness("run", "--json", "-")
    (verdict,) = json.loads(done.out)["verdicts"]
    return dict(verdict)


def reporting(name: str, *bodies: str) -> list[guest.Steps]:
    """A run that ends well, whose kernels report this fact."""
    phases, up = guest.whole_run(), iter(bodies)
    for phase in phases:
        if phase[-1].get("frame") == "up":
            phase.insert(-1, guest.frame("fact", next(up), name=name))
    return phases


def check_of(verdict: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [check for check in verdict["checks"] if check["name"] == name]
    return dict(found)


def refused(done: Done, what: str) -> None:
    """Nothing loads, and the reason names what nobody claims."""
    assert done.status != 0
    assert re.search(rf"UnclaimedError: {what}", done.err), done.err


# How many files


def limits() -> dict[str, int]:
    """The table of docs/adding.md: what is added, and its source files."""
    text = (CHECKOUT / "docs/adding.md").read_text(encoding="utf-8")
    return {name: int(count) for name, count in re.findall(r"^\| \[([a-z ]+)\]\(#[a-z-]+\) \| (\d+) \|", text, re.M)}


ADDED = {
    "table": (add.TABLE, 4),
    "step": (add.STEP, 4),
    "expectation": (add.EXPECTATION, 3),
    "cause": (add.CAUSE, 3),
    "fact": (add.FACT, 2),
    "kernel kind": (add.KERNEL_KIND, 2),
    "report format": (add.REPORT_FORMAT, 2),
}
CASE_FILE = 1
"""Of a crash format: the row, and its case in the tests' data."""


@pytest.mark.parametrize("name", ADDED)
def test_the_guide_says_how_many_files(name: str) -> None:
    addition, most = ADDED[name]
    assert limits()[name] == len(addition.files) <= most


def test_the_guide_says_how_many_files_a_crash_format_takes() -> None:
    assert limits()["crash format"] == len(add.CRASH_FORMAT.files) + CASE_FILE == 2


def test_the_guide_names_each_file() -> None:
    text = (CHECKOUT / "docs/adding.md").read_text(encoding="utf-8")
    fixed = {file for addition, _ in ADDED.values() for file in addition.files - addition.new.keys() - {add.CHECK}}
    assert {file for file in fixed if f"harness/{file}" not in text and f"harness/{generic(file)}" not in text} == set()


def generic(file: str) -> str:
    """``subjects/vitals/act.py`` as the guide has it, for any subject."""
    return re.sub(r"/vitals(?=[./])", "/SUBJECT", file)


# Expectation, cause, fact


def test_an_expectation(tree: Grow) -> None:
    grown = tree(add.EXPECTATION)
    grown.scenario(BOOT, "[no_crash, untainted]")
    assert grown.harness("check").status == 0
    good = played(grown, *reporting("tainted", "0\n", "0\n"))
    assert (good["status"], check_of(good, "untainted")["status"]) == ("PASS", "PASS")
    bad = played(grown, *reporting("tainted", "0\n", "512\n"))
    assert (bad["status"], bad["cause"], bad["epoch"]) == ("FAIL", "oops", 2)
    silent = played(grown, *guest.whole_run())
    assert (silent["status"], silent["cause"]) == ("ERROR", "missing-report")


def test_an_expectation_that_nobody_claims_cannot_load(tree: Grow) -> None:
    grown = tree(add.EXPECTATION.without(add.ROW))
    refused(grown.python(REGISTRIES), "expectation claimed by no subject: Untainted")
    grown.scenario(BOOT, "[no_crash, untainted]")
    grown.host.play(guest.script(*guest.whole_run()))
    refused(grown.harness("run"), "expectation claimed by no subject: Untainted")
    assert grown.host.runs == [], "nothing was started"


def test_a_cause(tree: Grow) -> None:
    grown = tree(add.EXPECTATION + add.CAUSE)
    grown.scenario(BOOT, "[no_crash, untainted]")
    known = {
        "scenario": "fake/*",
        "kernel": "*",
        "cause": "tainted",
        "epoch": 2,
        "reason": "so it is, and it is known",
        "reference": "docs/x.md",
    }
    bad = played(grown, *reporting("tainted", "0\n", "512\n"))
    assert (bad["status"], bad["cause"], bad["known"]) == ("FAIL", "tainted", None)
    (grown.host.root / "kernels/known-issues.yaml").write_text(json.dumps([known]))
    bad = played(grown, *reporting("tainted", "0\n", "512\n"))
    assert (bad["status"], bad["cause"], bad["known"]["cause"]) == ("FAIL", "tainted", "tainted")


def test_a_cause_that_nobody_claims_cannot_load(tree: Grow) -> None:
    refused(
        tree(add.EXPECTATION + add.CAUSE.without(add.ROW)).python(REGISTRIES), "cause claimed by no subject: tainted"
    )


def test_a_fact(tree: Grow, tmp_path: Path) -> None:
    grown = tree(add.EXPECTATION + add.FACT)
    script = "proc=$sys; send_facts; read forever"
    (tmp_path / "sys/kernel").mkdir(parents=True)
    (tmp_path / "sys/sys/kernel").mkdir(parents=True)
    (tmp_path / "sys/sys/kernel/tainted").write_text("512\n")
    files = grown.root / "harness/guest/files"
    with running(script, tmp_path, sys=tmp_path / "sys", files=files) as shell:
        sent: dict[str, bytes] = {}
        while "taint-words" not in sent and (frames := shell.frames(1)):
            sent[frames[0].fields["name"]] = frames[0].body
    assert sent["taint-words"] == b"tainted=512\n"
    grown.scenario(BOOT, "[no_crash, untainted]")
    bad = played(grown, *reporting("taint-words", "0", "tainted=512\n"))
    assert "tainted=512" in check_of(bad, "untainted")["summary"]


# Step


def test_a_step(tree: Grow, tmp_path: Path) -> None:
    grown = tree(add.STEP)
    grown.scenario("[boot, sync, {{kexec: {{syscall: file}}}}]", "[no_crash]")
    phases = guest.whole_run()
    phases.insert(4, [{"wait_frame": "sync"}, guest.frame("synced")])
    verdict = played(grown, *phases)
    assert verdict["status"] == "PASS"
    journal = [json.loads(line) for line in (Path(verdict["run_dir"]) / "journal.jsonl").read_text().splitlines()]
    assert [entry["epoch"] for entry in journal if entry.get("name") == "sync"] == [1]
    assert [entry["epoch"] for entry in journal if entry.get("kind") == "synced"] == [1]
    with running("obey sync; read forever", tmp_path, files=grown.root / "harness/guest/files") as shell:
        assert [frame.kind for frame in shell.frames(1)] == ["synced"]


def test_a_step_that_nobody_claims_or_does_cannot_load(tree: Grow) -> None:
    refused(tree(add.STEP.without(add.ROW)).python(REGISTRIES), "step claimed by no subject: SyncStep")
    refused(tree(add.STEP.without(add.ACT)).python(REGISTRIES), "step claimed by no subject: SyncStep")


# Table

PLANNED = """
from support.synthetic import kernel, plan, prepared, scenario
made = scenario(
    firmware={"tables": [{"smbios3": {"below": 0x3a000000, "most": 512}}]},
    expect=[{"table_intact": "smbios3"}, {"kexec_would_overlap": "smbios3"}, {"no_crash": True}],
)
planned = plan(made, prepared([kernel(), kernel()]))
(table,) = planned.tables
print(table.guid, table.content_hex, *planned.watch)
"""


def test_a_table(tree: Grow) -> None:
    grown = tree(add.TABLE)
    firmware = "firmware: {{tables: [{{smbios3: {{below: 0x3a000000}}}}]}}\n"
    grown.scenario(BOOT, "[{{table_intact: smbios3}}, no_crash]", firmware)
    assert json.loads(grown.harness("check", "--json").out)["variants"] == [VARIANT]
    guid, content, watched = grown.python(PLANNED).out.split()
    assert guid == "f2fd1544-9794-4a2c-992e-e5bbcf20e394"
    assert (bytes.fromhex(content)[:5], sum(bytes.fromhex(content)) & 0xFF, len(content) // 2) == (b"_SM3_", 0, 24)
    assert watched == "smbios3"
    said = grown.python("from harness.subjects.registry import CAUSES as c; print(c['smbios3-corrupt'].name)")
    assert said.out == "tables\n"


def test_a_table_without_its_cause_cannot_load(tree: Grow) -> None:
    done = tree(add.TABLE.without(add.CAUSES)).python(REGISTRIES)
    assert done.status != 0
    assert "SMBIOS3_CORRUPT" in done.err


# Kernel kind, crash format, report format

TREE_ENTRY = {"kind": "tree", "name": "mine", "description": "a kernel that I have built", "tree": "../linux"}


def test_a_kernel_kind(tree: Grow) -> None:
    grown = tree(add.KERNEL_KIND)
    built = grown.host.root / "linux/arch/x86/boot/bzImage"
    built.parent.mkdir(parents=True)
    built.write_bytes((grown.host.root / "vmlinuz").read_bytes())
    entry = grown.host.root / "kernels/mine.yaml"
    entry.write_text(json.dumps(TREE_ENTRY))
    rows = {row["name"]: row for row in json.loads(grown.harness("kernels", "list", "--json").out)}
    assert rows["mine"]["kind"] == "tree"
    assert "a tree here" in grown.harness("kernels", "list").out
    assert grown.harness("kernels", "fetch", "mine").out == f"mine: {guest.RELEASE}\n"
    done = grown.harness("run", "--kernel", "mine")
    assert (done.status, "fake/one[mine,ovmf-x64]" in done.out) == (0, True), done
    entry.write_text(json.dumps({**TREE_ENTRY, "tre": 1}))
    done = grown.harness("kernels", "list")
    assert (done.status, "tre: 'tre' is not a key here" in done.message) == (2, True), done


CRASH = """\
[    1.000000] BUG: TASK shadow stack was hit at 000000005d7d3b4e (stack is 0000000000000001..0000000000000002)
[    1.000001] CPU: 0 PID: 1 Comm: init Not tainted 6.1.0 #1
[    1.000002] RIP: 0010:efi_call_rts+0x10/0x20
[    1.000003] Call Trace:
[    1.000004]  process_one_work+0x1c7/0x380
"""


def test_a_crash_format(tree: Grow) -> None:
    grown = tree(add.CRASH_FORMAT)
    log = grown.host.root / "cwd/console.log"
    log.write_text(CRASH)
    (row,) = map(json.loads, grown.harness("classify", "--json", str(log)).out.splitlines())
    assert (row["title"], row["kind"]) == ("BUG: shadow stack was hit in efi_call_rts", "fault")
    (row,) = map(json.loads, tree(Addition()).harness("classify", "--json", str(log)).out.splitlines())
    assert row["title"] != "BUG: shadow stack was hit in efi_call_rts", "it is known without the row"


def test_a_report_format(tree: Grow) -> None:
    grown = tree(add.REPORT_FORMAT)
    assert grown.harness("run", "--lines", "out").status == 0
    assert (grown.host.root / "cwd/out").read_text() == f"PASS - {VARIANT}\n"
    (run,) = grown.host.runs
    assert grown.harness("judge", "--lines", str(run)).out == f"PASS - {VARIANT}\n"
