from __future__ import annotations

import re

import pytest

from harness.kernel.image import config
from harness.model.kernel import Capability, way_out

from .build import CONFIG

KDUMP = {
    Capability.CRASH_DUMP,
    Capability.SYSRQ,
    Capability.SYSRQ_SERIAL,
    Capability.LKDTM,
    Capability.SOFTLOCKUP_DETECTOR,
}
TPM = {Capability.TPM_TIS, Capability.TPM_CRB}
TPM_SYMBOLS = ("TCG_TPM", "TCG_TIS", "TCG_CRB", "SECURITYFS")
TABLES = {Capability.MOKVAR, Capability.UNACCEPTED_MEMORY}
TABLE_SYMBOLS = ("LOAD_UEFI_KEYS", "UNACCEPTED_MEMORY")
XEN_SYMBOLS = ("XEN_DOM0", "XEN_PV", "HVC_XEN")
KDUMP_SYMBOLS = ("CRASH_DUMP", "PROC_VMCORE", "MAGIC_SYSRQ", "MAGIC_SYSRQ_SERIAL", "LKDTM", "SOFTLOCKUP_DETECTOR")
SYMBOLS = (*KDUMP_SYMBOLS, *XEN_SYMBOLS, *TABLE_SYMBOLS, *TPM_SYMBOLS)


def test_values() -> None:
    parsed = config.parse(CONFIG, "config-6.1")
    assert parsed is not None
    assert parsed.get("EFI") == "y"
    assert parsed.get("ACPI_BGRT") == "n"
    assert parsed.get("LOCALVERSION") == "-x"
    assert parsed.get("NEVER_HEARD_OF") == "n"


def test_a_file_without_symbols_is_no_config() -> None:
    assert config.parse("hello\n# a comment\n", "x") is None
    assert config.parse("", "x") is None


def test_decisions_name_symbol_and_place() -> None:
    decisions = config.decide(config.parse(CONFIG, "config-6.1"), "6.1.0")
    assert set(decisions) == set(Capability)
    assert {capability for capability, decision in decisions.items() if not decision.possible} == {
        Capability.BGRT,
        Capability.EFI_FAKE_MEMMAP,
        Capability.EFI_SOFT_RESERVE,
        Capability.XEN_DOM0,
        *KDUMP,
        *TABLES,
        *TPM,
    }
    assert decisions[Capability.BGRT].reason == "CONFIG_ACPI_BGRT is not set in config-6.1 (6.1.0)"
    assert decisions[Capability.EFI].reason == "CONFIG_EFI=y and CONFIG_EFI_STUB=y in config-6.1"


@pytest.mark.parametrize(
    ("symbol", "lost"),
    [
        ("EFI", {Capability.EFI, Capability.ESRT, Capability.BGRT, *TABLES}),
        ("EFI_STUB", {Capability.EFI}),
        ("EFI_ESRT", {Capability.ESRT}),
        ("ACPI_BGRT", {Capability.BGRT}),
        ("LOAD_UEFI_KEYS", {Capability.MOKVAR}),
        ("UNACCEPTED_MEMORY", {Capability.UNACCEPTED_MEMORY}),
        ("TCG_TPM", TPM),
        ("TCG_TIS", {Capability.TPM_TIS}),
        ("TCG_CRB", {Capability.TPM_CRB}),
        ("SECURITYFS", TPM),
        ("KEXEC", {Capability.KEXEC_LOAD}),
        ("KEXEC_FILE", {Capability.KEXEC_FILE_LOAD}),
        ("FIRMWARE_MEMMAP", {Capability.FIRMWARE_MEMMAP}),
        ("EFI_FAKE_MEMMAP", {Capability.EFI_FAKE_MEMMAP}),
        ("EFI_SOFT_RESERVE", {Capability.EFI_SOFT_RESERVE}),
        ("PROC_VMCORE", {Capability.CRASH_DUMP}),
        ("MAGIC_SYSRQ", {Capability.SYSRQ, Capability.SYSRQ_SERIAL}),
        ("MAGIC_SYSRQ_SERIAL", {Capability.SYSRQ_SERIAL}),
        ("LKDTM", {Capability.LKDTM}),
        ("SOFTLOCKUP_DETECTOR", {Capability.SOFTLOCKUP_DETECTOR}),
        ("XEN_DOM0", {Capability.XEN_DOM0}),
        ("HVC_XEN", {Capability.XEN_DOM0}),
    ],
)
def test_each_symbol_decides(symbol: str, lost: set[Capability]) -> None:
    everything = CONFIG.replace("# CONFIG_ACPI_BGRT is not set", "CONFIG_ACPI_BGRT=y")
    everything += "CONFIG_EFI_FAKE_MEMMAP=y\nCONFIG_EFI_SOFT_RESERVE=y\n"
    everything += "".join(f"CONFIG_{name}=y\n" for name in SYMBOLS)
    whole = config.decide(config.parse(everything, "c"), "6.1")
    assert all(decision.possible for decision in whole.values())
    without = everything.replace(f"CONFIG_{symbol}=y\n", f"# CONFIG_{symbol} is not set\n")
    decisions = config.decide(config.parse(without, "c"), "6.1")
    assert {capability for capability, decision in decisions.items() if not decision.possible} == lost
    assert all(f"CONFIG_{symbol} is not set in c" in decisions[capability].reason for capability in lost)


def test_a_module_is_not_enough() -> None:
    decisions = config.decide(config.Config({"KEXEC": "m"}, "c"), "6.1")
    assert decisions[Capability.KEXEC_LOAD].reason == "CONFIG_KEXEC is m, y is needed in c (6.1)"


def test_drivers_of_a_tpm_may_be_modules_for_the_guest_brings_them() -> None:
    symbols = {"TCG_TPM": "m", "TCG_TIS": "m", "TCG_CRB": "n", "SECURITYFS": "y"}
    decisions = config.decide(config.Config(symbols, "c"), "5.10")
    assert decisions[Capability.TPM_TIS].possible
    assert decisions[Capability.TPM_TIS].reason == "CONFIG_TCG_TPM=m and CONFIG_TCG_TIS=m and CONFIG_SECURITYFS=y in c"
    assert decisions[Capability.TPM_CRB].reason == "CONFIG_TCG_CRB is not set in c (5.10)"
    decisions = config.decide(config.Config({**symbols, "SECURITYFS": "m"}, "c"), "5.10")
    assert not decisions[Capability.TPM_TIS].possible


def test_an_unknown_config_forbids_nothing_and_says_so() -> None:
    decisions = config.decide(None, "6.1")
    assert set(decisions) == set(Capability)
    assert all(
        decision.possible and "config unknown: not checked" in decision.reason for decision in decisions.values()
    )


@pytest.mark.parametrize(("release", "possible"), [("6.10.9", True), ("6.11.0-rc1", False), ("7.2.13+deb14", False)])
def test_fake_memmap_is_gone_since_6_11_whatever_the_config_says(release: str, possible: bool) -> None:
    for known in (config.Config({"EFI_FAKE_MEMMAP": "y"}, "c"), None):
        decision = config.decide(known, release)[Capability.EFI_FAKE_MEMMAP]
        assert decision.possible == possible
        assert possible or "removed in Linux 6.11 (37aee82c213d" in decision.reason


def test_a_kernel_without_fake_memmap_says_so_and_another_that_has_it_is_known() -> None:
    reason = config.decide(config.parse(CONFIG, "c"), "6.1.0")[Capability.EFI_FAKE_MEMMAP].reason
    assert reason == "CONFIG_EFI_FAKE_MEMMAP is not set in c (6.1.0)"
    assert "harness kernels build tiny-6.1" in way_out(Capability.EFI_FAKE_MEMMAP)


@pytest.mark.parametrize("capability", Capability)
def test_a_way_out_is_a_sentence(capability: Capability) -> None:
    assert re.fullmatch(r"[A-Z].*[^.]\.", way_out(capability))
