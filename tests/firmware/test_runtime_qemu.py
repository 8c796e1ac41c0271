"""The real runtime driver under the real OVMF, called by a stand-in for a kernel (runtime_probe.c)."""

from __future__ import annotations

import itertools
import re
import struct
import zlib

import pytest
from agent_vm import QEMU, Again
from runtime_vm import (
    RO,
    SUCCESS,
    XP,
    attributes_at,
    hooks,
    logbook,
    memattr_entries,
    memory_type,
    number,
    start,
    targets,
    with_words,
)

from harness.evidence.logbook import DriverPhase
from harness.firmware.build import AgentBinary
from harness.model import guids
from harness.model.words.driver import WRITTEN_PATTERN, Fault, Service, Target, Trap

pytestmark = [pytest.mark.qemu, pytest.mark.skipif(QEMU is None, reason="no qemu-system-x86_64 on PATH")]

RFLAGS_IF = 1 << 9
VIRTUAL_OFFSET = 0x80_0000_0000
INVALID, NOT_READY = 0x8000000000000002, 0x8000000000000006


def test_what_is_reported_is_true(again: Again, given: dict[str, bytes], binary: AgentBinary) -> None:
    vm = again(given)
    assert start(vm)["call:get-time"] == SUCCESS
    book, found = logbook(vm), targets(vm)
    base = number(vm, "image_address")
    assert book.nonce == "1a2b3c4d"
    assert (book.phase, book.looping, book.pointer_bytes) == (DriverPhase.VIRTUAL, None, 8)
    assert book.targets == found
    assert book.image.address == base
    assert book.image.size_bytes == number(vm, "image_size")
    assert base + book.image.code_offset == number(vm, "code_address")
    assert base + book.image.data_offset == number(vm, "data_address")
    assert book.logbook_address == number(vm, "logbook_address")
    kinds = {target: memory_type(vm, address) for target, address in found.items()}
    assert kinds == {
        Target.BOOT_SERVICES_DATA: 4,
        Target.CONVENTIONAL: 7,
        Target.LOADER_DATA: 2,
        Target.CODE: 5,
        Target.RUNTIME_DATA: 6,
        Target.IMAGE_DATA: 5,
    }
    assert memory_type(vm, book.logbook_address) == 6
    symbols = binary.driver.symbols
    assert found[Target.CODE] == base + symbols["fault_code_target"]
    assert found[Target.IMAGE_DATA] == base + symbols["fault_data_target"]
    assert {service: new for service, (_, new) in hooks(vm).items()} == {
        service: base + symbols[f"hook_{service.replace('-', '_')}"] for service in Service
    }
    assert all(not base <= old < base + book.image.size_bytes for old, _ in hooks(vm).values())
    # The driver's own code, as it lies in memory, is what the map's symbols are about.
    loop = base + symbols["fault_loop"]
    assert vm.memory(loop, 16) == binary.driver.path.read_bytes()[file_offset(binary, symbols["fault_loop"]) :][:16]


def file_offset(binary: AgentBinary, rva: int) -> int:
    image = binary.driver.path.read_bytes()
    pe = struct.unpack_from("<I", image, 0x3C)[0]
    count, optional = struct.unpack_from("<xxHxxxxxxxxxxxxH", image, pe + 4)
    for section in range(pe + 24 + optional, pe + 24 + optional + 40 * count, 40):
        size, address, _, raw = struct.unpack_from("<IIII", image, section + 8)
        if address <= rva < address + size:
            return int(raw + rva - address)
    raise AssertionError(f"{rva:#x} is in no section")


def test_the_runtime_services_table_has_a_good_checksum_and_the_hooks(again: Again, given: dict[str, bytes]) -> None:
    """Before the kernel is started: SetVirtualAddressMap changes both."""
    vm = again(given)
    assert vm.go().kind == "handoff"
    system_table = vm.memory(int(vm.frame("systab").fields["address"], 0), 120)
    address = struct.unpack_from("<Q", system_table, 88)[0]
    table = vm.memory(address, 24 + 14 * 8)
    size, crc = struct.unpack_from("<II", table, 12)
    assert zlib.crc32(table[:16] + bytes(4) + table[20:size]) == crc
    places = {Service.GET_TIME: 0, Service.SET_VARIABLE: 8, Service.RESET_SYSTEM: 10, Service.QUERY_VARIABLE_INFO: 13}
    for service, place in places.items():
        assert struct.unpack_from("<Q", table, 24 + 8 * place)[0] == hooks(vm)[service][1]


def test_control_never_armed(again: Again, given: dict[str, bytes]) -> None:
    """All services work as without hooks, and each call is counted."""
    words = ["call:get-time"] * 20 + ["call:query-variable-info"] * 5 + ["call:set-variable"] * 3
    vm = again(with_words(given, *words))
    printed = start(vm)
    assert [printed[f"call:{service}"] for service in list(Service)[:3]] == [SUCCESS] * 3
    assert printed["flags call:get-time"], "interrupts are as they were"
    book = logbook(vm)
    calls = {
        service: (log.runtime_calls, log.returns - log.calls, log.faults) for service, log in book.services.items()
    }
    assert calls == {
        Service.SET_VARIABLE: (4, 0, 0),  # one a command, before addresses were virtual
        Service.GET_TIME: (20, 0, 0),
        Service.QUERY_VARIABLE_INFO: (5, 0, 0),
        Service.RESET_SYSTEM: (0, 0, 0),
    }
    assert book.services[Service.GET_TIME].calls >= 21, "one was made while boot services ran"


def test_registers_and_virtual_addresses(again: Again, given: dict[str, bytes], binary: AgentBinary) -> None:
    vm = again(given)
    start(vm)
    book = logbook(vm)
    log = book.services[Service.GET_TIME]
    assert book.image.used == book.image.address + VIRTUAL_OFFSET
    assert book.logbook_used == book.logbook_address + VIRTUAL_OFFSET
    assert log.address == book.image.used + binary.driver.symbols["hook_get_time"]
    registers = vm.command("human-monitor-command", **{"command-line": "info registers"})
    cr3 = int(re.search(r"CR3=([0-9a-f]+)", registers)[1], 16)  # type: ignore[index]
    assert (log.cr3, log.page_table) == (cr3, cr3 & ~0xFFF)
    assert (log.rflags & RFLAGS_IF, log.cs & 3) == (RFLAGS_IF, 0)
    image = vm.frame("image").fields
    assert 0 <= log.caller - int(image["address"], 0) < int(image["size"]), "it was called by the probe"
    # The tables found that way map the logbook: the second entry of the top table is the probe's.
    assert vm.memory(log.page_table + 8, 8) == vm.memory(log.page_table, 8)
    for target in (Target.CODE, Target.RUNTIME_DATA, Target.IMAGE_DATA):
        assert book.targets_used[target] == book.targets[target] + VIRTUAL_OFFSET
    for target in (Target.CONVENTIONAL, Target.LOADER_DATA, Target.BOOT_SERVICES_DATA):
        assert book.targets_used[target] == book.targets[target]


def test_no_pointer_is_left_at_its_physical_address(again: Again, given: dict[str, bytes]) -> None:
    """Where they are not mapped, one that was not converted ends in a triple fault. Linux maps them as well."""
    words = ["call:get-time", "call:query-variable-info", "call:set-variable", "get-time:none", "set-variable.1:none"]
    vm = again(with_words(given, "unmapped", *words, "set-variable:execute-image-data", "set-variable:write-code"))
    printed = start(vm)
    assert [printed[word] for word in words] == [SUCCESS] * 5
    log = logbook(vm).services[Service.SET_VARIABLE]
    assert (log.faults, log.survived) == (2, 2)
    assert not log.rflags & RFLAGS_IF


HARMLESS_HERE = [fault for fault in Fault if fault.trap is Trap.PAGE_FAULT]
"""OVMF's page tables let all of these through after boot services, so the driver can be seen doing them."""


def test_every_access_is_made_where_it_should_be(again: Again, given: dict[str, bytes]) -> None:
    for fault in HARMLESS_HERE:
        vm = again(with_words(given, f"set-variable.7:{fault}"))
        assert start(vm)[f"set-variable.7:{fault}"] == SUCCESS
        book = logbook(vm)
        log = book.services[Service.SET_VARIABLE]
        assert (log.faults, log.survived, log.last_fault) == (1, 1, fault)
        target = fault.target
        assert target is not None
        assert log.fault_address == book.targets_used[target]
        content = int.from_bytes(vm.memory(book.targets[target], 8), "little")
        if fault.value.startswith("read-"):
            assert log.fault_value == content
        elif fault.value.startswith("write-") and fault is not Fault.WRITE_CODE:
            assert content == WRITTEN_PATTERN
        vm.__exit__()


TRAPS = [fault for fault in Fault if fault.trap not in (Trap.PAGE_FAULT, Trap.NONE)]


@pytest.mark.parametrize("fault", TRAPS)
def test_traps_come_from_the_driver(again: Again, given: dict[str, bytes], binary: AgentBinary, fault: Fault) -> None:
    """OVMF's exception handler prints where it was, and the machine is dead after it."""
    vm = again(with_words(given, f"set-variable:{fault}"))
    start(vm, until=b"RIP  -")
    vm.wait_console(b"CR4")
    log = logbook(vm).services[Service.SET_VARIABLE]
    assert (log.faults, log.survived, log.last_fault) == (1, 0, fault)
    assert log.calls == log.returns + 1
    kind = {Trap.GENERAL_PROTECTION: b"0D", Trap.INVALID_OPCODE: b"06", Trap.DIVIDE_ERROR: b"00"}[fault.trap]
    exception = re.search(rb"X64 Exception Type - ([0-9A-F]{2}).*?RIP  - ([0-9A-F]{16})", vm.console, re.DOTALL)
    assert exception is not None
    assert exception[1] == kind
    offset = int(exception[2], 16) - logbook(vm).image.used
    name = [name for name, at in binary.driver.symbols.items() if at <= offset][-1]
    assert name == f"fault_{fault.value.replace('-', '_')}"


def test_a_loop_says_that_it_loops_and_where(again: Again, given: dict[str, bytes], binary: AgentBinary) -> None:
    vm = again(with_words(given, "get-time:loop", "call:get-time"))
    start(vm, until=b"flags get-time:loop")
    first = logbook(vm)
    while first.looping is None:
        first = logbook(vm)
    assert first.looping is Service.GET_TIME
    later = logbook(vm)
    while later.spins == first.spins:
        later = logbook(vm)
    assert later.spins > first.spins
    assert later.services[Service.GET_TIME].returns == later.services[Service.GET_TIME].calls - 1
    vm.command("stop")
    registers = vm.command("human-monitor-command", **{"command-line": "info registers"})
    offset = int(re.search(r"RIP=([0-9a-f]+)", registers)[1], 16) - first.image.used  # type: ignore[index]
    assert [name for name, at in binary.driver.symbols.items() if at <= offset][-1] == "fault_loop"


def test_interrupts_off(again: Again, given: dict[str, bytes]) -> None:
    vm = again(with_words(given, "set-variable:none", "set-variable:interrupts-off"))
    printed = start(vm)
    assert printed["flags set-variable:none"] == 0x200
    assert printed["flags set-variable:interrupts-off"] == 0
    assert printed["set-variable:interrupts-off"] == SUCCESS


def test_armed_by_the_plan_and_by_a_variable(again: Again, given: dict[str, bytes]) -> None:
    """Armed services commit it each time; boot services' time does not count, and none disarms."""
    words = ["call:get-time", "call:get-time", "get-time:none", "call:get-time"]
    vm = again(with_words(given, *words, "query-variable-info:read-loader-data", arm="get-time:read-conventional"))
    printed = start(vm)
    assert printed["boot time"] == SUCCESS
    book = logbook(vm)
    log = book.services[Service.GET_TIME]
    assert (log.runtime_calls, log.faults, log.survived, log.armed) == (3, 2, 2, Fault.NONE)
    assert book.services[Service.QUERY_VARIABLE_INFO].armed is Fault.READ_LOADER_DATA
    assert book.services[Service.QUERY_VARIABLE_INFO].faults == 0
    assert book.commands == 3


def test_a_reset_through_the_hook_resets(again: Again, given: dict[str, bytes]) -> None:
    vm = again(with_words(given, "call:reset-system"))
    assert vm.go().kind == "handoff"
    vm.wait("start", sending=b"S")
    with pytest.raises(AssertionError, match="QEMU ended"):  # -no-reboot
        vm.wait_console(b"end=")


BAD_COMMANDS = ["set-variable:nonsense", "set-variable:", "nothing:loop", "set-variable:loopy", "set-variablex:loop"]


def test_bad_commands_are_refused(again: Again, given: dict[str, bytes]) -> None:
    vm = again(with_words(given, *BAD_COMMANDS, "reset-system:loop", hooks="set-variable,get-time"))
    printed = start(vm)
    assert [printed[word] for word in [*BAD_COMMANDS, "reset-system:loop"]] == [INVALID] * 6
    book = logbook(vm)
    assert (book.refused, book.commands) == (6, 1)
    assert [log.armed for log in book.services.values()] == [Fault.NONE] * 4
    assert sum(log.faults for log in book.services.values()) == 0
    assert printed["boot "] == NOT_READY, "no command is taken while boot services run"


def test_only_what_is_named_is_hooked(again: Again, given: dict[str, bytes]) -> None:
    vm = again(with_words(given, "call:get-time", "call:query-variable-info", hooks="get-time"))
    printed = start(vm)
    assert printed["call:query-variable-info"] == SUCCESS
    assert list(hooks(vm)) == [Service.GET_TIME]
    book = logbook(vm)
    assert [service for service, log in book.services.items() if log.hooked] == [Service.GET_TIME]
    assert book.services[Service.QUERY_VARIABLE_INFO].calls == 0
    assert printed["set-variable:none"] != SUCCESS, "firmware itself does not know the magic GUID's volatile variables"


def test_memattr_correct(again: Again, given: dict[str, bytes]) -> None:
    vm = again(given)
    assert vm.go().kind == "handoff"
    code, base = number(vm, "code_address"), number(vm, "image_address")
    assert attributes_at(vm, code) == RO
    assert attributes_at(vm, code + number(vm, "code_size") - 1) == RO
    for other in (base, base + number(vm, "image_size") - 1, number(vm, "data_address"), number(vm, "logbook_address")):
        assert attributes_at(vm, other) == XP
    entries = memattr_entries(vm)
    assert entries == sorted(entries)
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(entries))


def test_memattr_keep(again: Again, given: dict[str, bytes]) -> None:
    """The pitfall that `correct` is there for: to firmware the driver is data."""
    vm = again(with_words(given, memattr="keep"))
    assert vm.go().kind == "handoff"
    for address in (number(vm, "code_address"), number(vm, "data_address"), number(vm, "image_address")):
        assert attributes_at(vm, address) == XP


def test_memattr_drop(again: Again, given: dict[str, bytes]) -> None:
    vm = again(with_words(given, memattr="drop"))
    assert vm.go().kind == "handoff"
    assert number(vm, "memattr_address") == 0
    assert guids.MEMATTR not in vm.frame("systab").body.decode()


def test_the_names_are_those_of_the_host(again: Again, given: dict[str, bytes]) -> None:
    """The C side takes every name of harness/model/words/runtime.py, and knows no order of its own."""
    every = [f"set-variable:{fault}" for fault in Fault if fault.trap is Trap.PAGE_FAULT]
    vm = again(
        with_words(given, *every, arm="get-time:loop,query-variable-info:interrupts-off,reset-system:non-canonical")
    )
    printed = start(vm)
    assert [printed[word] for word in every] == [SUCCESS] * len(every)
    armed = {service: log.armed for service, log in logbook(vm).services.items()}
    assert armed == {
        Service.SET_VARIABLE: Fault.NONE,
        Service.GET_TIME: Fault.LOOP,
        Service.QUERY_VARIABLE_INFO: Fault.INTERRUPTS_OFF,
        Service.RESET_SYSTEM: Fault.NON_CANONICAL,
    }
