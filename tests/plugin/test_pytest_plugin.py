"""``pytest scenarios`` on a fake host: one session with every verdict, and the ways to use it wrongly."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from fakes import fake_guest as guest
from fakes.fake_guest import RELEASE, script
from fakes.fake_host import CHECKOUT, Done, FakeHost, finish, until
from kernel.build import bzimage

_BUG = {"console": "[    0.200000] BUG: kernel NULL pointer dereference, address: 0000000000000000\r\n"}
_HANGING = script(guest.ready(), guest.agent(), guest.start())


def _argv(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "harness.pytest_plugin", *arguments]


def _pytest(host: FakeHost, *arguments: str) -> Done:
    done = subprocess.run(
        _argv(*arguments),
        cwd=host.root,
        env=host.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def _build(root: Path) -> FakeHost:
    host = FakeHost.build(root)
    (root / "pytest.ini").write_text("[pytest]\naddopts = -ra --accel=tcg\n")
    (root / "scenarios/fake/one.yaml").unlink()
    host.environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # saves half of each start
    return host


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    host = _build(tmp_path)
    host.scenario("fake/one")
    return host


@pytest.fixture(scope="module")
def every_verdict(tmp_path_factory: pytest.TempPathFactory) -> tuple[FakeHost, Done, Path]:
    """A session in which each item comes out another way; its JUnit file."""
    host = _build(tmp_path_factory.mktemp("verdicts") / "host")
    phases = guest.whole_run()
    bug = [*phases[:2], [*phases[2], _BUG], *phases[3:]]
    scripts = {
        "passes": script(*phases),
        "panics": script(*phases[:3], [{"console": "Kernel panic - not syncing: fake\r\n"}]),
        "dies": {"steps": [{"exit": 7}]},
        "known-bug": script(*bug),
        "known-gone": script(*phases),
        "survey": script(*phases),
    }
    folder = host.root / "scripts"
    folder.mkdir()
    for name, content in scripts.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
        host.scenario(f"fake/{name}" if name != "survey" else "survey/facts")
    host.environment |= {"FAKE_QEMU": str(folder), "COLUMNS": "200"}
    bare = host.root / "kernels/bare"
    bare.mkdir()
    (bare / "vmlinuz").write_bytes(bzimage(RELEASE))
    (bare / f"config-{RELEASE}").write_text("CONFIG_EFI=y\n# CONFIG_EFI_STUB is not set\n")
    entry = {"kind": "file", "name": "bare", "description": "no EFI stub", "image": "bare/vmlinuz"}
    (host.root / "kernels/bare.yaml").write_text(json.dumps(entry))
    host.scenario("fake/no-stub", ["bare"])
    reason, reference = "The fake kernel always has this BUG.", "tests"
    issue = {"kernel": "fake", "cause": "oops", "reason": reason, "reference": reference}
    issues = [{"scenario": f"fake/{name}", **issue} for name in ("known-bug", "known-gone")]
    (host.root / "kernels/known-issues.yaml").write_text(json.dumps(issues))
    junit = host.root / "junit.xml"
    return host, _pytest(host, "scenarios", f"--junitxml={junit}"), junit


def test_each_verdict_has_its_outcome(every_verdict: tuple[FakeHost, Done, Path]) -> None:
    _, done, _ = every_verdict
    assert done.status == 1
    assert "1 failed" not in done.out
    for outcome in ("2 failed", "1 passed", "1 skipped", "1 deselected", "1 xfailed", "1 error"):
        assert outcome in done.out.splitlines()[-1]
    assert "1 of 6 could not be tested here" in done.out
    summary = done.out[done.out.index("short test summary") :]
    assert re.search(r"SKIPPED .*bare lacks efi: .*CONFIG_EFI_STUB is not set", summary)
    assert re.search(r"XFAIL scenarios/fake/known-bug.yaml::\S+ - .*oops: The fake kernel always has this BUG", summary)
    assert re.search(r"FAILED scenarios/fake/known-gone.yaml::\S+ - known-issue-gone: the known bug", summary)
    assert re.search(r"FAILED scenarios/fake/panics.yaml::fake/panics\[fake,\S+ - panic: kernel panic: fake", summary)
    assert re.search(r"ERROR scenarios/fake/dies.yaml::fake/dies\[fake,ovmf-x64\] - qemu-died: QEMU ended", summary)


def test_a_failure_shows_the_verdict_and_no_traceback(every_verdict: tuple[FakeHost, Done, Path]) -> None:
    host, done, _ = every_verdict
    assert done.message == ""
    assert ".py:" not in done.out, "a Python file is of no use to who tests kernels"
    assert "Kernel panic - not syncing: fake" in done.out
    assert "QEMU ended with status 7" in done.out
    runs = {path.name.partition("-")[2]: path for path in (host.root / "runs").iterdir()}
    panics = next(path for name, path in runs.items() if name.startswith("fake-panics"))
    assert (panics / "verdict.txt").read_text().rstrip() in done.out
    assert f"harness judge {panics}" in done.out


def test_junit_has_the_properties(every_verdict: tuple[FakeHost, Done, Path]) -> None:
    _, _, junit = every_verdict
    found = {}
    for case in ET.parse(junit).getroot().iter("testcase"):  # noqa: S314  our own file
        found[case.attrib["name"]] = {item.attrib["name"]: item.attrib["value"] for item in case.iter("property")}
    assert found["fake/panics[fake,ovmf-x64]"]["harness.status"] == "FAIL"
    assert found["fake/panics[fake,ovmf-x64]"]["harness.cause"] == "panic"
    assert found["fake/dies[fake,ovmf-x64]"]["harness.cause"] == "qemu-died"
    assert found["fake/no-stub[bare,ovmf-x64]"]["harness.status"] == "UNSUPPORTED"
    passed = found["fake/passes[fake,ovmf-x64]"]
    assert (passed["harness.status"], passed["harness.cause"]) == ("PASS", "")
    assert (passed["harness.kernel"], passed["harness.release"]) == ("fake", RELEASE)
    assert Path(passed["harness.run_dir"], "verdict.json").exists()


def test_ids_and_options(host: FakeHost) -> None:
    host.scenario("fake/two")
    done = _pytest(host, "scenarios", "--collect-only", "-q")
    assert done.out.splitlines()[:2] == [
        "scenarios/fake/one.yaml::fake/one[fake,ovmf-x64]",
        "scenarios/fake/two.yaml::fake/two[fake,ovmf-x64]",
    ]
    done = _pytest(host, "scenarios/fake/one.yaml::fake/one[fake,ovmf-x64]", "--runs", "elsewhere", "-q")
    assert done.status == 0, done.out
    assert len(list((host.root / "elsewhere").iterdir())) == 1
    done = _pytest(host, "scenarios", "--collect-only", "-q", "--kernel", "a", "--kernel", "b", "-k", "one")
    assert [line.partition("::")[2] for line in done.out.splitlines()[:2]] == [
        "fake/one[a,ovmf-x64]",
        "fake/one[b,ovmf-x64]",
    ]
    done = _pytest(host, "scenarios", "--collect-only", "-q", "--firmware", "C.fd:V.fd", "-k", "two")
    assert "fake/two[fake,C.fd:V.fd]" in done.out


def test_surveys_run_only_when_named(host: FakeHost) -> None:
    host.scenario("survey/facts")
    assert "survey" not in _pytest(host, "scenarios", "--collect-only", "-q").out
    for name in ("scenarios/survey", "scenarios/survey/facts.yaml"):
        assert "survey/facts[fake,ovmf-x64]" in _pytest(host, name, "--collect-only", "-q").out


def test_other_yaml_files_are_not_collected(host: FakeHost) -> None:
    (host.root / "kernels/rubbish.yaml").write_text("- rubbish\n")
    (host.root / "test_own.py").write_text("def test_own(): pass\n")
    done = _pytest(host, "--collect-only", "-q")
    assert "rubbish" not in done.out
    assert "test_own.py::test_own" in done.out


def test_broken_yaml_is_told_by_place(host: FakeHost) -> None:
    path = host.scenario("fake/bad", text="id: {id}\nwhy: 7\nsteps: [boot, jump]\nexpect: [no_crash]\n")
    done = _pytest(host, "scenarios")
    assert done.status == 2
    assert re.search(rf"^{re.escape(str(path))}:2:\d+: why: ", done.out, re.MULTILINE)
    assert re.search(rf"^{re.escape(str(path))}:3:\d+: steps", done.out, re.MULTILINE)
    assert "Traceback" not in done.out
    assert ".py:" not in done.out


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["--accel=hvf"], 4, "--accel hvf: there is no such accelerator"),
        (["--time-factor=0"], 4, "--time-factor 0: out of range"),
        (["--kernel=./nothing"], 1, "nothing: no such file"),
        (["--kernel=nothing"], 1, "there is no kernel 'nothing'"),
        (["--firmware=nothing"], 1, "there is no firmware called 'nothing'"),
        (["--runs=/proc/runs"], 1, "/proc/runs: the runs directory cannot be written"),
    ],
)
def test_bad_options(host: FakeHost, arguments: list[str], status: int, text: str) -> None:
    done = _pytest(host, "scenarios", *arguments)
    assert done.status == status, done.out
    assert text in done.out + done.err
    assert "Traceback" not in done.out + done.err
    assert ".py:" not in done.out


def test_no_qemu_is_an_error_of_each_item(host: FakeHost) -> None:
    host.program("qemu-system-x86_64", b"#!/bin/sh\nexit 1\n")
    done = _pytest(host, "scenarios")
    assert done.status == 1
    assert "1 error" in done.out
    assert "qemu-system-x86_64" in done.out
    assert ".py:" not in done.out


@pytest.mark.parametrize(
    ("words", "status", "counted"),
    [
        ((), pytest.ExitCode.NO_TESTS_COLLECTED, "1 skipped"),
        (("--require-tested",), pytest.ExitCode.TESTS_FAILED, "1 error"),
    ],
)
def test_nothing_testable_is_no_success(host: FakeHost, words: tuple[str, ...], status: int, counted: str) -> None:
    """As with ``harness run``, and with the same exit code 5."""
    (host.root / f"config-{RELEASE}").write_text("CONFIG_EFI=y\n# CONFIG_EFI_STUB is not set\n")
    done = _pytest(host, "scenarios", *words)
    assert done.status == status, done
    assert counted in done.out.splitlines()[-1]
    assert "1 of 1 could not be tested here" in done.out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_the_record(host: FakeHost, number: signal.Signals) -> None:
    host.scenario("fake/two")
    host.play(_HANGING)
    process = subprocess.Popen(
        _argv("scenarios"),
        cwd=host.root,
        env=host.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    runs = host.root / "runs"
    until(lambda: any('"epoch":1' in path.read_text() for path in runs.glob("*/journal.jsonl")), "epoch 1")
    done = finish(process, number)
    assert done.status == pytest.ExitCode.INTERRUPTED
    (run,) = runs.iterdir()
    assert json.loads((run / "verdict.json").read_text())["cause"] == "interrupted"
    assert f"record: {run}" in done.out
    assert "Traceback" not in done.out + done.err
    until(lambda: not host.machines(), "QEMU ends with pytest", 2)


def test_it_stands_on_its_own(host: FakeHost) -> None:
    """Without this checkout's conftest.py, in a directory that knows nothing of it."""
    assert not (host.root / "conftest.py").exists()
    assert not host.root.is_relative_to(CHECKOUT)
    done = _pytest(host, "scenarios")
    assert (done.status, done.message) == (0, "")
    assert os.fspath(CHECKOUT) not in done.out.replace(sys.executable, "")
