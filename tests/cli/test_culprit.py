"""``harness culprit``: bad input, and a QEMU without a gdb stub."""

from __future__ import annotations

import json

import pytest
from fakes import fake_guest as guest
from fakes.fake_guest import script
from fakes.fake_host import SCENARIO, Done, FakeHost
from support.recorded import laid_out

TABLE = (
    SCENARIO.replace("expect: [no_crash]", "expect: [table_intact: esrt]")
    + "firmware: {{tables: [{{esrt: {{below: 0x3c000000}}}}]}}\n"
)


def culprit(host: FakeHost, *arguments: str) -> Done:
    places = ("--scenarios", str(host.root / "scenarios"), "--kernels", str(host.root / "kernels"), "--accel=tcg")
    return host.harness("culprit", *places, *arguments)


def one_message(done: Done, status: int) -> str:
    assert done.status == status, (done.out, done.err)
    assert done.out == ""
    assert done.message.startswith("harness: ")
    assert len(done.message.splitlines()) <= 2
    return done.message


def test_nothing_and_too_much(host: FakeHost) -> None:
    assert "one run directory or one scenario id" in one_message(culprit(host), 2)
    assert "one run directory or one scenario id" in one_message(culprit(host, "fake/one", "fake/two"), 2)


def test_a_directory_that_is_no_record(host: FakeHost) -> None:
    assert "not a run directory" in one_message(culprit(host, str(host.root)), 2)


@pytest.mark.parametrize("name", ["esrt-kexec-file", "fake-mem-small"])
def test_a_record_of_a_run_that_lost_nothing(host: FakeHost, name: str) -> None:
    assert "no watched table was overwritten" in one_message(culprit(host, str(laid_out(name))), 2)


def test_a_record_is_run_as_it_was(host: FakeHost) -> None:
    message = one_message(culprit(host, str(laid_out("esrt-kexec-load-6.1")), "--kernel", "fake"), 2)
    assert "--kernel" in message


def test_a_record_whose_kernel_is_not_known_here(host: FakeHost) -> None:
    done = culprit(host, str(laid_out("esrt-kexec-load-6.1")))
    assert done.status == 2
    assert "there is no kernel" in done.message


def test_a_scenario_that_watches_nothing(host: FakeHost) -> None:
    assert "watches no table" in one_message(culprit(host, "fake/one"), 2)


def test_an_id_of_several(host: FakeHost) -> None:
    (host.root / "kernels/other.yaml").write_text(
        json.dumps({"kind": "file", "name": "other", "description": "another", "image": "../vmlinuz"})
    )
    host.scenario("fake/two", ("fake", "other"))
    assert "means 2 variants: fake/two[fake,ovmf-x64]" in one_message(culprit(host, "fake/two"), 2)


def test_an_unknown_id(host: FakeHost) -> None:
    assert "matches no scenario" in one_message(culprit(host, "fake/none"), 2)


def test_a_qemu_without_a_gdb_stub(host: FakeHost) -> None:
    host.scenario("fake/table", text=TABLE)
    host.play(script(guest.ready(), guest.agent(table_bytes=136), *guest.whole_run()[2:]))
    done = culprit(host, "fake/table")
    assert done.status == 3, (done.out, done.err)
    assert "nothing could be watched: QMP human-monitor-command" in " ".join(done.out.split())
    assert " ".join(done.out.split()).count("nothing could be watched") == 1  # also when it was tried twice
    assert sum((run / "culprit.json").is_file() for run in host.runs) == 1


def test_as_json(host: FakeHost) -> None:
    host.scenario("fake/table", text=TABLE)
    host.play(script(guest.ready(), guest.agent(), *guest.whole_run()[2:]))
    done = culprit(host, "fake/table", "--json")
    assert done.status == 3
    document = json.loads(done.out)
    assert document["writes"] == []
    assert "nothing to watch" in document["notes"][0]
