"""What a kernel lacks is said before anything is started."""

from __future__ import annotations

from typing import Any

import pytest
from support.synthetic import kernel, scenario

from harness.judge.judge import failed_before_start, refused
from harness.model.causes import Cause, Status
from harness.model.kernel import Capability
from harness.plan.gate import refusal


def table_intact(name: str) -> dict[str, Any]:
    return {"expect": [{"table_intact": name}]}


BGRT = table_intact("bgrt")
NO_TABLE: dict[str, Any] = {"expect": [{"no_crash": True}]}
TIS: dict[str, Any] = {"machine": {"tpm": "tis"}}
CRB: dict[str, Any] = {"machine": {"tpm": "crb"}}
LOAD: dict[str, Any] = {"steps": [{"boot": {}}, {"kexec": {"syscall": "load"}}]}


@pytest.mark.parametrize(
    ("values", "lacking", "asked"),
    [
        ({}, Capability.EFI, True),
        ({}, Capability.ESRT, True),
        ({}, Capability.BGRT, False),
        (BGRT, Capability.BGRT, True),
        (BGRT, Capability.ESRT, False),
        (NO_TABLE, Capability.ESRT, False),
        (table_intact("mokvar"), Capability.MOKVAR, True),
        (table_intact("unaccepted"), Capability.UNACCEPTED_MEMORY, True),
        (table_intact("rtprop"), Capability.ESRT, False),
        ({**TIS, **table_intact("tpm-log")}, Capability.TPM_TIS, True),
        ({**TIS, **table_intact("tpm-final-log")}, Capability.TPM_TIS, True),
        ({**TIS, **table_intact("tpm-log")}, Capability.TPM_CRB, False),
        ({**CRB, **table_intact("tpm-log")}, Capability.TPM_CRB, True),
        ({**TIS, **NO_TABLE}, Capability.TPM_TIS, False),
        ({}, Capability.KEXEC_FILE_LOAD, True),
        ({}, Capability.KEXEC_LOAD, False),
        (LOAD, Capability.KEXEC_LOAD, True),
        (LOAD, Capability.FIRMWARE_MEMMAP, True),
        (LOAD, Capability.KEXEC_FILE_LOAD, False),
    ],
)
def test_what_is_asked_of_a_kernel(values: dict[str, Any], lacking: Capability, asked: bool) -> None:
    found = refusal(scenario(**values), [kernel(lacks=[lacking])] * 2)
    assert (found.capability if found else None) == (lacking if asked else None)


FAKE: dict[str, Any] = {"cmdline": ["efi_fake_mem=4K@4G:0x40000"], "expect": [{"fake_mem": "exact"}]}
SOFT: dict[str, Any] = {**FAKE, "expect": [{"soft_reserved": "exact"}]}


@pytest.mark.parametrize(
    ("values", "lacking", "asked"),
    [
        (FAKE, Capability.EFI_FAKE_MEMMAP, True),
        (FAKE, Capability.EFI_SOFT_RESERVE, False),
        (SOFT, Capability.EFI_SOFT_RESERVE, True),
        ({}, Capability.EFI_FAKE_MEMMAP, False),
    ],
)
def test_fake_mem_is_asked_only_where_it_is_used(values: dict[str, Any], lacking: Capability, asked: bool) -> None:
    found = refusal(scenario(**values), [kernel(lacks=[lacking])] * 2)
    assert (found.capability if found else None) == (lacking if asked else None)


def test_only_a_kernel_with_the_parameter_on_its_command_line_needs_it() -> None:
    able, unable = kernel("tiny-6.1"), kernel("tiny-6.12", lacks=[Capability.EFI_FAKE_MEMMAP])
    first = {
        "steps": [{"boot": {"cmdline": FAKE["cmdline"]}}, {"kexec": {"syscall": "file"}}],
        "expect": FAKE["expect"],
    }
    assert refusal(scenario(**first), [able, unable]) is None
    found = refusal(scenario(**first), [unable, able])
    assert found is not None
    verdict = refused("fake-mem/x[tiny-6.12]", "run", [unable, able], found)
    assert (verdict.status, verdict.cause) == (Status.UNSUPPORTED, Cause.NO_CAPABILITY)
    assert "harness kernels build tiny-6.1" in verdict.checks[0].hint


def test_the_option_that_is_gone_is_the_first_thing_said() -> None:
    """Not that a table is missing, which another flavour would have."""
    both = {**FAKE, "expect": [{"fake_mem": "exact"}, {"table_intact": "bgrt"}]}
    found = refusal(scenario(**both), [kernel(lacks=[Capability.BGRT, Capability.EFI_FAKE_MEMMAP])] * 2)
    assert found is not None
    assert found.capability is Capability.EFI_FAKE_MEMMAP


def test_expecting_without_asking_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="need efi_fake_mem= on a command line"):
        scenario(expect=[{"fake_mem": "exact"}])


def test_the_last_kernel_needs_no_kexec() -> None:
    able, unable = kernel("tiny-6.1"), kernel("tiny-6.12", lacks=[Capability.KEXEC_FILE_LOAD])
    assert refusal(scenario(), [able, unable]) is None
    found = refusal(scenario(), [unable, able])
    assert found is not None
    assert found.kernel == "tiny-6.12"


def test_every_kernel_must_know_the_table() -> None:
    found = refusal(scenario(), [kernel("tiny-6.1"), kernel("tiny-6.12", lacks=[Capability.ESRT])])
    assert found is not None
    assert (found.kernel, found.capability) == ("tiny-6.12", Capability.ESRT)


def test_what_nobody_decided_is_not_refused() -> None:
    unknown = kernel().model_copy(update={"capabilities": {}})
    assert refusal(scenario(), [unknown] * 2) is None


def test_verdict_of_a_refusal() -> None:
    kernels = [kernel(lacks=[Capability.BGRT])] * 2
    reason = refusal(scenario(**BGRT), kernels)
    assert reason is not None
    verdict = refused("bgrt/x[tiny-6.1]", "run", kernels, reason)
    assert (verdict.status, verdict.cause) == (Status.UNSUPPORTED, Cause.NO_CAPABILITY)
    assert verdict.headline == "tiny-6.1 lacks bgrt: CONFIG_BGRT in the config of tiny-6.1"
    assert "debian-6.1" in verdict.checks[0].hint


def test_verdict_of_a_host_that_cannot() -> None:
    verdict = failed_before_start("esrt/x", "tiny-6.1", "no QEMU", "Install it.")
    assert (verdict.status, verdict.cause, verdict.headline) == (Status.ERROR, Cause.HOST, "no QEMU")
    assert not verdict.as_expected


@pytest.mark.parametrize("asked", [True, False])
def test_a_hypervisor_needs_a_kernel_that_can_be_dom0(asked: bool) -> None:
    values: dict[str, Any] = {"steps": [{"boot": {}}], "expect": [{"no_crash": True}]}
    if asked:
        values["hypervisor"] = {"name": "xen-4.17"}
    kernels = [kernel(lacks=[Capability.XEN_DOM0])]
    found = refusal(scenario(**values), kernels)
    assert (found is not None) == asked
    if found is not None:
        verdict = refused("xen/x", "id", kernels, found)
        assert (verdict.status, verdict.cause) == (Status.UNSUPPORTED, Cause.NO_CAPABILITY)
        assert "such as debian-6.12" in verdict.checks[0].hint
