"""Every command, done right: what it prints where, and its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fakes import fake_guest as guest
from fakes.fake_guest import frame, script
from fakes.fake_host import FakeHost
from kernel.build import bzimage
from support.recorded import RUNS, lay_out

from harness.cli import main, queries
from harness.load.schema import schema_text

VARIANT = "fake/one[fake,ovmf-x64]"


def test_run_passes(host: FakeHost) -> None:
    done = host.harness("run", "--json", "out.json")
    assert (done.status, done.message) == (0, "")
    assert "epoch 2  userspace" in done.out
    assert f"PASS        {VARIANT}" in done.out
    (run,) = host.runs
    document = json.loads((host.root / "cwd/out.json").read_text())
    assert document["exit"] == 0
    assert [item["status"] for item in document["verdicts"]] == ["PASS"]
    assert document["verdicts"][0]["run_dir"] == str(run)
    stored = json.loads((run / "verdict.json").read_text())
    assert stored == document["verdicts"][0]
    assert (run / "verdict.txt").read_text() in done.out
    assert host.machines() == {}


def test_json_on_standard_output_is_nothing_but_json(host: FakeHost) -> None:
    done = host.harness("run", "--json", "-")
    document = json.loads(done.out)
    assert [item["variant"] for item in document["verdicts"]] == [VARIANT]
    assert "epoch 2  userspace" in done.err


def test_a_fail_is_exit_1_and_a_panic_is_one(host: FakeHost) -> None:
    panic = {"console": "Kernel panic - not syncing: fake\r\n"}
    host.play(script(guest.ready(), guest.agent(), guest.start(), [panic]))
    done = host.harness("run")
    assert (done.status, done.message) == (1, "")
    assert "FAIL" in done.out
    assert "Kernel panic - not syncing: fake" in done.out


def test_an_error_is_exit_3(host: FakeHost) -> None:
    host.play({"steps": [{"exit": 7}]})
    done = host.harness("run")
    assert (done.status, done.message) == (3, "")
    assert "qemu-died" in done.out
    assert "status 7" in done.out


def test_nothing_testable_is_exit_5(host: FakeHost) -> None:
    (host.root / f"config-{guest.RELEASE}").write_text("# CONFIG_EFI_STUB is not set\nCONFIG_EFI=y\n")
    done = host.harness("run")
    assert (done.status, done.message) == (5, "")
    assert "CONFIG_EFI_STUB is not set" in done.out
    assert host.runs == []


@pytest.mark.parametrize(("words", "status"), [((), 0), (("--require-tested",), 3)])
def test_what_could_not_be_tested_is_counted(host: FakeHost, words: tuple[str, ...], status: int) -> None:
    bare = host.root / "kernels/bare"
    bare.mkdir()
    (bare / "vmlinuz").write_bytes(bzimage(guest.RELEASE))
    (bare / f"config-{guest.RELEASE}").write_text("CONFIG_EFI=y\n# CONFIG_EFI_STUB is not set\n")
    entry = {"kind": "file", "name": "bare", "description": "no EFI stub", "image": "bare/vmlinuz"}
    (host.root / "kernels/bare.yaml").write_text(json.dumps(entry))
    host.scenario("fake/two", ["bare"])
    done = host.harness("run", "--json", "out.json", *words)
    document = json.loads((host.root / "cwd/out.json").read_text())
    assert (done.status, document["exit"]) == (status, status)
    assert document["not_testable"] == ["fake/two[bare,ovmf-x64]"]
    assert done.out.rstrip().endswith("1 PASS, 1 UNSUPPORTED\n\n1 of 2 could not be tested here")
    assert done.message == ("harness: --require-tested: 1 of 2 could not be tested here" if words else "")


def test_check_refuses_a_kernel_that_is_not_there(host: FakeHost) -> None:
    path = host.scenario("fake/two", ["fkae"])
    done = host.harness("check", str(path))
    assert done.status == 2
    assert done.message.startswith(f"{path}:3:19: matrix.kernel[0]: there is no kernel 'fkae'; allowed: fake")
    assert "did you mean 'fake'" in done.message
    assert json.loads(host.harness("check", "--json", str(path)).out)["mistakes"][0]["line"] == 3


def test_nothing_testable_stays_exit_5(host: FakeHost) -> None:
    (host.root / f"config-{guest.RELEASE}").write_text("# CONFIG_EFI_STUB is not set\nCONFIG_EFI=y\n")
    assert host.harness("run", "--require-tested").status == 5


def test_several_runs_end_in_a_summary(host: FakeHost) -> None:
    host.scenario("fake/two")
    host.scenario("other/three")
    done = host.harness("run", "-j2", "fake/*")
    assert (done.status, done.message) == (0, "")
    assert done.out.rstrip().endswith("2 PASS")
    assert "other/three" not in done.out
    assert len(host.runs) == 2


def test_a_kernel_that_cannot_be_had_costs_its_own_variants_only(host: FakeHost) -> None:
    entry = {"kind": "debian", "name": "gone", "description": "never fetched", "series": "6.1", "flavour": "amd64"}
    (host.root / "kernels/gone.yaml").write_text(json.dumps({**entry, "suites": ["bookworm"]}))
    host.scenario("fake/two", ["gone", "fake"])
    done = host.harness("run", "--offline")
    assert (done.status, done.message) == (3, "")
    assert "gone is not in the cache" in done.out
    assert "1 ERROR, 2 PASS" in done.out


def test_only_a_kernel_that_cannot_be_had(host: FakeHost) -> None:
    entry = {"kind": "debian", "name": "gone", "description": "never fetched", "series": "6.1", "flavour": "amd64"}
    (host.root / "kernels/gone.yaml").write_text(json.dumps({**entry, "suites": ["bookworm"]}))
    done = host.harness("run", "--kernel", "gone", "--offline")
    assert done.status == 3
    assert done.message.splitlines()[0] == "harness: gone is not in the cache"
    assert not (host.root / "cwd/runs").exists() or host.runs == []


def test_known_issues_and_their_end(host: FakeHost) -> None:
    issue = {
        "scenario": "fake/one",
        "kernel": "fake",
        "cause": "oops",
        "reason": "The fake kernel always has this BUG.",
        "reference": "tests",
    }
    (host.root / "kernels/known-issues.yaml").write_text(json.dumps([issue]))
    gone = host.harness("run")
    assert gone.status == 1
    assert "known-issue-gone" in gone.out
    phases = guest.whole_run()
    phases[2] = [
        *phases[2],
        {"console": "[    0.200000] BUG: kernel NULL pointer dereference, address: 0000000000000000\r\n"},
    ]
    host.play(script(*phases))
    known = host.harness("run")
    assert (known.status, known.message) == (0, ""), known.out
    assert "KNOWN BUG" in known.out
    assert host.harness("run", "--no-known-issues").status == 1
    run = str(host.runs[-1])
    assert host.harness("judge", run).status == 0
    assert host.harness("judge", run, "--no-known-issues").status == 1


def test_list(host: FakeHost) -> None:
    host.scenario("fake/two")
    done = host.harness("list")
    assert (done.status, done.out, done.message) == (0, f"{VARIANT}\nfake/two[fake,ovmf-x64]\n", "")
    rows = json.loads(host.harness("list", "--json", "fake/two", "--kernel", "fake").out)
    assert [(row["id"], row["scenario"], row["line"]) for row in rows] == [("fake/two[fake,ovmf-x64]", "fake/two", 1)]


def test_check_and_schema(host: FakeHost) -> None:
    done = host.harness("check")
    assert (done.status, done.out, done.message) == (0, "1 files, 1 variants, no mistakes\n", "")
    assert json.loads(host.harness("check", "--json").out) == {"files": 1, "variants": [VARIANT], "mistakes": []}
    assert host.harness("schema").out == schema_text()


def test_judge_and_show(host: FakeHost) -> None:
    host.play(script(*guest.whole_run()[:3], [frame("fact", "y", name="x"), guest.SECOND, {"exit": 0}]))
    assert host.harness("run").status == 3
    (run,) = host.runs
    before = (run / "verdict.json").read_text()
    host.environment["PATH"] = "/usr/bin:/bin"  # no QEMU is needed
    judged = host.harness("judge", str(run), "--json")
    assert (judged.status, judged.message) == (3, "")
    assert json.loads(judged.out) == json.loads(before)
    assert (run / "verdict.json").read_text() == before
    shown = host.harness("show", str(run))
    assert (shown.status, shown.message) == (0, "")
    assert "-> fact name=x" in shown.out
    assert f"\nend: {json.loads((run / 'end.json').read_text())['kind']}: " in shown.out
    document = json.loads(host.harness("show", str(run), "--json").out)
    assert document["variant"] == VARIANT
    assert document["end"]["kind"] in shown.out
    assert "handoff" in {entry.get("kind") for entry in document["entries"]}


def test_a_record_cut_short_by_a_killed_harness(host: FakeHost) -> None:
    assert host.harness("run").status == 0
    (run,) = host.runs
    (run / "end.json").unlink()
    judged = host.harness("judge", str(run))
    assert (judged.status, judged.message) == (3, "")
    assert "bad-record" in judged.out
    assert "has no end" in host.harness("show", str(run)).out


def test_kernels_list(host: FakeHost) -> None:
    done = host.harness("kernels", "list")
    assert (done.status, done.message) == (0, "")
    assert done.out.split() == ["fake", "a", "file", "here", "a", "kernel", "that", "is", "none"]
    rows = json.loads(host.harness("kernels", "list", "--json").out)
    assert [(row["name"], row["kind"]) for row in rows] == [("fake", "file")]


def test_kernels_fetch_of_what_is_here(host: FakeHost) -> None:
    done = host.harness("kernels", "fetch", "--needed")
    assert (done.status, done.out, done.message) == (0, f"fake: {guest.RELEASE}\n", "")


def test_doctor(host: FakeHost) -> None:
    done = host.harness("doctor", "--json")
    assert (done.status, done.message) == (0, "")
    document = json.loads(done.out)
    assert document["ready"] is True
    assert VARIANT in json.dumps(document)
    text = host.harness("doctor")
    assert text.status == 0
    assert "Nothing is missing." in text.out
    assert host.machines() == {}


def test_a_reader_that_goes_away_is_no_error(host: FakeHost) -> None:
    for number in range(60):
        host.scenario(f"many/number-{number}")
    with host.start("list", "--json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""


def test_version_and_help(host: FakeHost) -> None:
    assert host.harness("--version").out.startswith("harness ")
    for command in ("run", "list", "check", "schema", "judge", "show", "kernels", "doctor"):
        done = host.harness(command, "--help")
        assert (done.status, done.message) == (0, "")
        assert done.out.startswith(f"usage: harness {command}")


def test_judge_a_record_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An artifact on a read-only disk. The failure is put in by hand: root may write anywhere."""
    record = tmp_path / "record"
    lay_out(RUNS / "esrt-kexec-file", record)
    tried: list[Path] = []

    def refuse(directory: Path, *_: object) -> None:
        tried.append(directory)
        raise PermissionError(30, "Read-only file system")

    monkeypatch.setattr(queries, "write_verdict", refuse)
    assert main(["judge", str(record)]) == 0
    assert tried == [record]
    assert capsys.readouterr().out.startswith("PASS ")
