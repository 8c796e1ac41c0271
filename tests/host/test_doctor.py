"""The diagnosis, as value, as JSON and as text."""

from __future__ import annotations

import json
from collections.abc import Callable

from harness.host.accel import AccelChoice
from harness.host.doctor import diagnose, diagnosis_json, diagnosis_text
from harness.host.probe import Finding, Host
from harness.host.speed import HostSpeed
from harness.model.plan import Accel

NO_QEMU = Finding("qemu-system-x86_64", False, "not on PATH", "every run", "qemu-system-x86", "apt-get install q")
NO_MTOOLS = Finding("mcopy", False, "not found", "ESP images", "mtools", "apt-get install mtools", required=False)
LITTLE = Finding("memory", False, "1.0 GiB free", "a guest", "", "give this machine more memory")
TCG = AccelChoice(Accel.TCG, "KVM does not work here: there is no /dev/kvm")


def test_machine_with_everything(make_host: Callable[..., Host]) -> None:
    found = diagnose(make_host(), accel=TCG, scenario_gates=[("esrt/kexec-file[a]", None)])
    assert found.ready
    assert found.install == ""
    text = diagnosis_text(found)
    assert "tcg: KVM does not work here: there is no /dev/kvm" in text
    assert "1 of 1 variants" in text
    assert text.endswith("Nothing is missing.\n")


def test_ready_machine_without_kernels_does_not_say_that_all_is_well(make_host: Callable[..., Host]) -> None:
    found = diagnose(make_host(), accel=TCG, scenario_gates=[("a/b[k]", "k is not in the cache")])
    assert found.ready
    text = diagnosis_text(found)
    assert "no   a/b[k]: k is not in the cache" in text
    assert text.endswith("no scenario can be tested yet; the reasons are above.\n")


def test_what_every_run_needs_closes_every_gate(make_host: Callable[..., Host]) -> None:
    gates = [("a/b[k]", None), ("a/c[k]", "no CONFIG_EFI")]
    found = diagnose(make_host(findings=(NO_QEMU,)), scenario_gates=gates)
    assert not found.ready
    assert [gate.reason for gate in found.gates] == ["missing here: qemu-system-x86_64", "no CONFIG_EFI"]
    text = diagnosis_text(found)
    assert "MISSING  qemu-system-x86_64  not on PATH" in text
    assert "not tried: QEMU or its firmware is missing" in text
    assert "0 of 2 variants" in text
    assert text.endswith("Not ready. apt-get install qemu-system-x86\n")


def test_what_some_scenarios_need_leaves_gates_open(make_host: Callable[..., Host]) -> None:
    found = diagnose(make_host(findings=(NO_MTOOLS,)), scenario_gates=[("a/b[k]", None)])
    assert found.ready
    assert found.gates[0].possible
    assert diagnosis_text(found).endswith("Ready; for the rest: apt-get install mtools\n")


def test_what_no_package_brings(make_host: Callable[..., Host]) -> None:
    found = diagnose(make_host(findings=(LITTLE,)))
    assert (found.ready, found.install) == (False, "")
    text = diagnosis_text(found)
    assert "try: give this machine more memory" in text
    assert text.endswith("Not ready. See the hints above.\n")


def test_packages_are_named_once_and_sorted(make_host: Callable[..., Host]) -> None:
    lld = Finding("lld-link", False, "not found", "agent", "clang", "x")
    clang = Finding("clang", False, "not found", "agent", "clang", "x")
    assert diagnose(make_host(findings=(NO_QEMU, lld, clang))).install == "apt-get install clang qemu-system-x86"


def test_json_says_the_same(make_host: Callable[..., Host]) -> None:
    found = diagnose(
        make_host(findings=(NO_MTOOLS,)),
        accel=TCG,
        speed=HostSpeed(1.5, "machine 1.5 x the reference"),
        kernels=[("debian-6.1-cloud", "6.1.0-42-cloud-amd64"), ("debian-7.3-cloud", None)],
        scenario_gates=[("a/b[k]", "no ESRT")],
    )
    document = json.loads(json.dumps(diagnosis_json(found)))
    assert document["ready"] is True
    assert document["accelerator"] == {"name": "tcg", "reason": TCG.reason}
    assert document["speed"]["factor"] == 1.5
    assert document["kernels"][1] == {"name": "debian-7.3-cloud", "fetched": None}
    assert document["scenarios"] == [{"variant": "a/b[k]", "possible": False, "reason": "no ESRT"}]
    assert document["findings"][0]["package"] == "mtools"
    assert "budgets x 1.5" in diagnosis_text(found)
    assert "debian-7.3-cloud  not fetched" in diagnosis_text(found)


def test_json_of_a_machine_where_nothing_could_be_tried(make_host: Callable[..., Host]) -> None:
    document = diagnosis_json(diagnose(make_host(findings=(NO_QEMU,))))
    assert (document["accelerator"], document["speed"]) == (None, None)
