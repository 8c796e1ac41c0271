"""QEMU's register dump, real (QEMU 7.2) and damaged."""

from __future__ import annotations

import re

import pytest
from goldens import TESTDATA

from harness.evidence.defect import Defect
from harness.machine.registers import parse_registers
from harness.model.autopsy import Cpu

KERNEL = (TESTDATA / "registers/kernel.txt").read_text()
BIOS = (TESTDATA / "registers/bios.txt").read_text()


def parsed(text: str) -> tuple[Cpu, ...]:
    found = parse_registers(text)
    assert not isinstance(found, Defect), found.text
    return found


def test_a_kernel_in_64_bit_mode() -> None:
    (cpu,) = parsed(KERNEL)
    rip, rsp = (int(re.search(rf"{name}=([0-9a-f]+)", KERNEL)[1], 16) for name in ("RIP", "RSP"))  # type: ignore[index]
    assert (cpu.ip, cpu.rsp, cpu.bits, cpu.cpl, cpu.halted) == (rip, rsp, 64, 0, False)
    assert cpu.paging
    assert cpu.la57  # -cpu max has five levels
    assert cpu.nxe
    assert len(cpu.general) == 16


def test_two_cpus_in_real_and_in_protected_mode() -> None:
    first, second = parsed(BIOS)
    assert (first.index, first.bits, first.cs_base, first.ip) == (0, 16, 0xF0000, 0xF0000 + first.rip)
    assert (second.index, second.bits, second.halted, second.paging) == (1, 32, True, False)
    assert first.general["r8"] == 0


def test_without_interrupts() -> None:
    (cpu,) = parsed(re.sub(r"RFL=[0-9a-f]+", "RFL=00000046", KERNEL))
    assert not cpu.interrupts_on
    (cpu,) = parsed(re.sub(r"RFL=[0-9a-f]+", "RFL=00000246", KERNEL))
    assert cpu.interrupts_on


@pytest.mark.parametrize("name", ["RIP", "RSP", "RBP", "RFL", "CPL", "HLT", "SMM", "CR0", "CR2", "CR3", "CR4", "EFER"])
def test_a_register_that_is_not_there(name: str) -> None:
    found = parse_registers(re.sub(rf"\b{name}=", "XXX=", KERNEL))
    assert isinstance(found, Defect)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no CPU"),
        ("unknown command: 'info registers'\n", "no CPU"),
        (KERNEL.replace("CPU#0", "CPU#1"), "CPU#1 where CPU#0"),
        (KERNEL + KERNEL, "CPU#0 where CPU#1"),
        (KERNEL.replace("CS64", "CS99"), "code segment"),
        (KERNEL.replace("CPL=0", "CPL=7"), "out of range"),
        (KERNEL.replace("HLT=0", "HLT=2"), "out of range"),
        (re.sub(r"RIP=", "RIP=1", KERNEL), "out of range"),
        (KERNEL[: len(KERNEL) // 12], "no "),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_damaged(text: str, words: str) -> None:
    found = parse_registers(text)
    assert isinstance(found, Defect)
    assert words in found.text


def test_every_cut_is_refused_or_whole() -> None:
    """However much of the answer comes: never an exception, never other values."""
    whole = parse_registers(KERNEL)
    for end in range(0, len(KERNEL), 7):
        found = parse_registers(KERNEL[:end])
        assert isinstance(found, Defect) or found == whole or KERNEL[end : end + 1] in "0123456789abcdef"
