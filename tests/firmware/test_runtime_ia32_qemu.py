"""The agent and the runtime driver under 32-bit OVMF."""

from __future__ import annotations

import pytest
from agent_vm import QEMU, Again
from runtime_vm import (
    RO,
    SUCCESS,
    XP,
    attributes_at,
    logbook,
    number,
    plan_text,
    refusal,
    runtime_line,
    start,
    with_words,
)

from harness.evidence.logbook import DriverPhase
from harness.firmware.build import AgentBinary
from harness.model.words.driver import WRITTEN_PATTERN, Fault, Service, Target

pytestmark = [pytest.mark.qemu, pytest.mark.skipif(QEMU is None, reason="no qemu-system-x86_64 on PATH")]


def test_ia32_hooks_and_faults(again32: Again, given32: dict[str, bytes], binary32: AgentBinary) -> None:
    words = [
        "call:get-time",
        "call:query-variable-info",
        "set-variable:write-conventional",
        "set-variable:execute-data",
    ]
    vm = again32(with_words(given32, *words, "set-variable:interrupts-off", "set-variable:non-canonical"))
    printed = start(vm)
    assert [printed[word] for word in words] == [SUCCESS] * 4
    assert printed["flags set-variable:interrupts-off"] == 0
    assert printed["set-variable:non-canonical"] == 0x80000002, "there is no such address"
    book = logbook(vm)
    log = book.services[Service.SET_VARIABLE]
    assert (book.pointer_bytes, book.phase, book.refused) == (4, DriverPhase.VIRTUAL, 1)
    assert (log.faults, log.survived, log.last_fault) == (3, 3, Fault.INTERRUPTS_OFF)
    assert int.from_bytes(vm.memory(book.targets[Target.CONVENTIONAL], 8), "little") == WRITTEN_PATTERN
    assert log.address == book.image.used + binary32.driver.symbols["hook_set_variable"]
    assert attributes_at(vm, number(vm, "code_address")) == RO
    assert attributes_at(vm, number(vm, "data_address")) == XP


def test_ia32_refuses_a_fault_it_cannot_commit(again32: Again, given32: dict[str, bytes]) -> None:
    vm = again32({**given32, "plan": plan_text(runtime_line(arm="get-time:non-canonical"))})
    assert refusal(vm) == "plan line 3: not a fault that this firmware can commit: non-canonical"


def test_ia32_refuses_a_64_bit_image_without_another_entry_point(
    again32: Again, given32: dict[str, bytes], given: dict[str, bytes]
) -> None:
    vm = again32({**given32, "kernel": given["kernel"]})
    assert vm.go().kind == "handoff"
    vm.wait("start", sending=b"S")
    error = vm.wait("error").fields
    assert error == {
        "what": "the kernel has no entry point for this firmware (CONFIG_EFI_MIXED)",
        "status": "0x80000003",
    }
