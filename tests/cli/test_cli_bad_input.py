"""Bad input: one clear message on stderr, nothing on stdout, the right exit code, no traceback and nothing in runs/."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import fake_guest as guest
from fakes.fake_guest import script
from fakes.fake_host import SCENARIO, Done, FakeHost
from kernel.build import bzimage, deb

from harness.cli.doctor import missing_program
from harness.host.probe import probe
from harness.load.scenarios import load_files
from harness.model.names import TpmInterface


def refused(host: FakeHost, done: Done, status: int, *texts: str) -> None:
    """One message, of a line with perhaps a hint below it, that has all the texts."""
    assert done.status == status, (done.out, done.err)
    assert done.out == ""
    lines = done.message.splitlines()
    for text in texts:
        assert text in done.message
    assert lines[0].startswith(("harness: ", "usage: harness", "/")), done.message
    assert len([line for line in lines if line.startswith("harness")]) <= 1, done.message
    assert all(line.startswith(("harness", "  ", "usage:", "/")) for line in lines), done.message
    assert host.runs == []
    assert host.machines() == {}


WORDS: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "unknown id": (["run", "fake/onne"], ("'fake/onne' matches no scenario", "did you mean 'fake/one'")),
    "unknown variant": (["run", "fake/one[fakke,ovmf-x64]"], ("is no variant", "fake/one[fake,ovmf-x64]")),
    "a folder of ids": (["run", "fake"], ("'fake' is no scenario", "fake/*")),
    "no such file": (["run", "./nothing.yaml"], ("nothing.yaml", "no such file")),
    "no such folder": (["check", "nowhere/"], ("nowhere", "no such file")),
    "unknown kernel": (["run", "--kernel", "fakee"], ("there is no kernel 'fakee'; did you mean fake?", "known: fake")),
    "missing kernel file": (["run", "--kernel", "./vmlinuz-9"], ("vmlinuz-9: no such file",)),
    "unknown firmware": (["run", "--firmware", "seabios"], ("no firmware called 'seabios'", "ovmf-x64")),
    "missing firmware files": (["run", "--firmware", "A.fd:B.fd"], ("cannot read the firmware file", "A.fd")),
    "unknown accelerator": (["run", "--accel=hvf"], ("--accel hvf", "auto, tcg, kvm")),
    "no jobs": (["run", "-j", "0"], ("'0' is not a number from 1 to 64",)),
    "jobs in words": (["run", "-j", "many"], ("'many' is not a number from 1 to 64",)),
    "factor in words": (["run", "--time-factor", "slow"], ("--time-factor: invalid float value: 'slow'",)),
    "factor too large": (["run", "--time-factor", "1e9"], ("--time-factor 1e+09: out of range", "from 0.1 to 100")),
    "factor not a number": (["run", "--time-factor", "nan"], ("--time-factor nan: out of range",)),
    "factor negative": (["run", "--time-factor", "-1"], ("--time-factor -1: out of range",)),
    "set without a value": (["run", "--set", "machine.memory"], ("machine.memory", "PATH=VALUE")),
    "set of nothing": (["run", "--set", "machine.colour=blue"], ("machine.colour",)),
    "set to nonsense": (["run", "--set", "machine.memory=lots"], ("machine.memory", "is not a size")),
    "json into nowhere": (["run", "--json", "nowhere/out.json"], ("there is no directory nowhere",)),
    "json to a directory": (["run", "--json", "."], ("--json .: this is a directory",)),
    "json into /proc": (["run", "--json", "/proc/out.json"], ("--json /proc/out.json: cannot be written",)),
    "no command": ([], ("the following arguments are required: COMMAND",)),
    "unknown command": (["rum"], ("invalid choice: 'rum'",)),
    "unknown option": (["run", "--quick"], ("unrecognized arguments: --quick",)),
    "judge of nothing": (["judge", "nowhere"], ("nowhere: not a run directory (no plan.json)", "below runs/")),
    "show of nothing": (["show", "nowhere"], ("nowhere: not a run directory (no plan.json)",)),
    "nothing to fetch": (["kernels", "fetch"], ("nothing to fetch was named", "--needed")),
    "fetch of an unknown kernel": (["kernels", "fetch", "fakee"], ("there is no kernel 'fakee'; did you mean fake?",)),
    "no verb": (["kernels"], ("required: list|fetch",)),
}


@pytest.mark.parametrize("name", WORDS)
def test_bad_words(host: FakeHost, name: str) -> None:
    arguments, texts = WORDS[name]
    refused(host, host.harness(*arguments), 2, *texts)


def test_wrong_yaml_is_told_by_place_every_mistake_at_once(host: FakeHost) -> None:
    path = host.scenario("fake/bad", text="id: {id}\nwhy: 7\nsteps: [boot, jump]\nexpect: [no_crash]\nexpect: []\n")
    for arguments in (["run"], ["list"], ["check", str(path)], ["run", str(path)]):
        done = host.harness(*arguments)
        assert done.status == 2
        assert done.out == ""
        places = [line.removeprefix(str(path)).split(": ")[0] for line in done.message.splitlines()]
        assert len(places) >= 3, done.message
        assert all(place.count(":") == 2 for place in places), done.message
    assert host.runs == []


def test_check_tells_mistakes_as_json_too(host: FakeHost) -> None:
    path = host.scenario("fake/bad", text="id: {id}\nwhy: 7\n")
    done = host.harness("check", "--json", str(path))
    assert (done.status, done.message) == (2, "")
    mistakes = json.loads(done.out)["mistakes"]
    assert {(item["file"], item["path"]) for item in mistakes} >= {(str(path), "why")}
    assert all(item["line"] >= 1 and item["column"] >= 1 and item["message"] for item in mistakes)


def _text(path: Path) -> None:
    path.write_text("#!/bin/sh\necho not a kernel\n" * 40)


def _elf(path: Path) -> None:
    shutil.copy("/bin/true", path)


def _cut(path: Path) -> None:
    path.write_bytes(bzimage()[:300])


def _cut_later(path: Path) -> None:
    path.write_bytes(bzimage(code=b"\xcc" * 4096)[:2100])


def _empty(path: Path) -> None:
    path.touch()


def _gone(path: Path) -> None:
    path.symlink_to("/nowhere/at/all")


_FILES: dict[str, Callable[[Path], None]] = {
    "a text file": _text,
    "an ELF program": _elf,
    "cut in its header": _cut,
    "cut behind its header": _cut_later,
    "an empty file": _empty,
    "a dangling link": _gone,
    "a directory": Path.mkdir,
}


@pytest.mark.parametrize("name", _FILES)
def test_a_kernel_that_is_no_kernel(host: FakeHost, name: str) -> None:
    path = host.root / "no-kernel"
    _FILES[name](path)
    refused(host, host.harness("run", "--kernel", str(path)), 2, str(path))


def test_a_package_that_is_no_kernel(host: FakeHost) -> None:
    path = host.root / "hello_1.0_amd64.deb"
    path.write_bytes(deb({"./usr/bin/hello": b"hi"}, package="hello", version="1.0"))
    refused(host, host.harness("run", "--kernel", str(path)), 2, "hello", "no kernel image in")
    path.write_bytes(b"!<arch>\nnot much of an archive")
    refused(host, host.harness("run", "--kernel", str(path)), 2, str(path))


@pytest.mark.parametrize("where", ["below a file", "/proc/runs"])
def test_a_runs_folder_that_cannot_be_written(host: FakeHost, where: str) -> None:
    runs = where if where.startswith("/") else str(host.root / "vmlinuz/runs")
    done = host.harness("run", "--runs", runs)
    refused(host, done, 2, f"{runs}: the runs directory cannot be written", "--runs DIR")


def test_no_qemu(host: FakeHost) -> None:
    (host.root / "bin/qemu-system-x86_64").unlink()
    programs = host.root / "programs"  # everything else, also where a QEMU is installed
    programs.mkdir()
    for name in ("setpriv", "sh", "dpkg-query", "zstd", "xz", "kmod"):
        found = shutil.which(name)
        if found:
            (programs / name).symlink_to(found)
    host.environment["PATH"] = f"{host.root}/bin:{programs}"
    refused(host, host.harness("run"), 3, "qemu-system-x86_64", "apt-get install qemu-system-x86")
    done = host.harness("doctor", "--json")
    assert done.status == 3
    assert json.loads(done.out)["ready"] is False


def test_a_qemu_that_is_none(host: FakeHost) -> None:
    host.program("qemu-system-x86_64", b"#!/bin/sh\necho rubbish\n")
    refused(host, host.harness("run"), 3, "qemu-system-x86_64")


def test_no_firmware(host: FakeHost) -> None:
    host.without_firmware()
    refused(host, host.harness("run"), 3, "no firmware does for ovmf-x64", "apt-get install ovmf")
    done = host.harness("doctor")
    assert done.status == 3
    assert "apt-get install ovmf" in done.out


def test_firmware_without_a_variable_store(host: FakeHost) -> None:
    (host.root / "VARS.fd").write_bytes(b"rubbish")
    done = host.harness("run")
    assert (done.status, done.message) == (3, "")
    assert "VARS.fd is not a variable store" in done.out


@pytest.mark.parametrize("program", ["clang", "lld-link", "busybox", "kexec"])
def test_a_program_that_does_not_work(host: FakeHost, program: str) -> None:
    host.program(program, b"#!/bin/sh\necho 'out of order' >&2\nexit 1\n")
    refused(host, host.harness("run"), 3, program if program != "busybox" else "busybox")


def test_kvm_where_it_does_not_work(host: FakeHost) -> None:
    """QEMU is the fake one: with a /dev/kvm here it ends as it does on a host whose KVM is broken."""
    host.program("qemu-system-x86_64", b'#!/bin/sh\n[ "$1" = --version ] && exec echo "QEMU emulator version 7.2.22"\n')
    refused(host, host.harness("run", "--accel=kvm"), 3, "KVM does not work here", "--accel tcg")


def test_a_cache_that_cannot_be_written(host: FakeHost) -> None:
    host.environment["HARNESS_CACHE"] = "/proc/cache"
    refused(host, host.harness("run"), 3, "/proc/cache")


def test_a_command_line_that_cannot_be_handed_over(host: FakeHost) -> None:
    """Seen only when the plan is made: a verdict for that variant, and not the end of all others."""
    host.scenario("fake/two")
    done = host.harness("run", "fake/*", "--set", 'cmdline=["x=é"]')
    assert done.status in (2, 3), done
    assert "printable ASCII" in done.message + done.out
    assert host.runs == []


def test_a_damaged_record(host: FakeHost) -> None:
    host.play(script(*guest.whole_run()))
    assert host.harness("run").status == 0
    (run,) = host.runs
    journal = (run / "journal.jsonl").read_text()
    (run / "journal.jsonl").write_text("rubbish\n" + journal)
    done = host.harness("judge", str(run))
    assert (done.status, done.message) == (3, "")
    assert "bad-record" in done.out
    assert "Traceback" not in host.harness("show", str(run)).message
    (run / "plan.json").write_text("{}")
    for command in ("judge", "show"):
        done = host.harness(command, str(run))
        assert (done.status, done.out) == (2, "")
        assert done.message.startswith(f"harness: {run}/plan.json: "), done.message


def test_a_swtpm_that_does_not_work(host: FakeHost) -> None:
    """It costs the scenarios with a TPM only."""
    host.program("swtpm", b"#!/bin/sh\necho it is broken >&2\nexit 7\n")
    host.scenario("fake/tpm", text=SCENARIO.replace("steps:", "machine: {{tpm: tis}}\nsteps:"))
    done = host.harness("run", "fake/tpm", "--json", "-")
    (verdict,) = json.loads(done.out)["verdicts"]
    assert (done.status, verdict["status"], verdict["cause"]) == (3, "ERROR", "host")
    assert "swtpm" in verdict["headline"]


def test_without_swtpm_the_doctor_closes_the_gate_of_scenarios_with_a_tpm(tmp_path: Path) -> None:
    here = probe(tmp_path, environ={"PATH": str(tmp_path)}, firmware_dirs=[])
    plain = load_files([Path("scenarios/esrt/kexec-file.yaml")])[0].scenario
    tpm = plain.model_copy(update={"machine": plain.machine.model_copy(update={"tpm": TpmInterface.TIS})})
    assert missing_program(plain, here) is None
    assert missing_program(tpm, here) == "swtpm is not installed (apt-get install swtpm)"
    with_it = replace(here, tools={**here.tools, "swtpm": Path("/usr/bin/swtpm")})
    assert missing_program(tpm, with_it) is None
