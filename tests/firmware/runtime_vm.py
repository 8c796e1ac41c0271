"""What tests of the runtime driver have in common: plans, the probe's answers, and what was reported."""

from __future__ import annotations

import re
import struct

from agent_vm import AgentVm

from harness.evidence.logbook import LOGBOOK_BYTES, Logbook, parse
from harness.model.words.driver import Service, Target

ALL_HOOKS = ",".join(Service)
PAGE_BYTES = 4096
SUCCESS = 0
RO, XP = 1 << 17, 1 << 14


def runtime_line(hooks: str = ALL_HOOKS, memattr: str = "correct", arm: str = "") -> str:
    line = f"runtime driver=opt/harness/driver hooks={hooks} memattr={memattr}"
    return f"{line} arm={arm}" if arm else line


def plan_text(*lines: str) -> bytes:
    boot = "boot kernel=opt/harness/kernel cmdline=opt/harness/cmdline"
    return "\n".join(["HARNESS-PLAN 1", "nonce 1a2b3c4d", *lines, boot, ""]).encode()


def with_words(files: dict[str, bytes], *words: str, **line: str) -> dict[str, bytes]:
    return {
        **files,
        "plan": plan_text(runtime_line(**line)),
        "cmdline": " ".join(words or ("set-variable:none",)).encode(),
    }


def start(vm: AgentVm, until: bytes = b"end=") -> dict[str, int]:
    """Start the probe and wait for its last word; what it printed."""
    assert vm.go().kind == "handoff", vm.frames[-1]
    vm.wait("start", sending=b"S")
    vm.wait_console(until)
    return answers(vm)


def answers(vm: AgentVm) -> dict[str, int]:
    return {
        name.decode(): int(value, 16) for name, value in re.findall(rb"\n([ -<>-~]*)=(0x[0-9a-f]+)(?=\n)", vm.console)
    }


def logbook(vm: AgentVm) -> Logbook:
    book = parse(vm.memory(int(vm.frame("runtime").fields["logbook_address"], 0), LOGBOOK_BYTES))
    assert isinstance(book, Logbook), book
    return book


def targets(vm: AgentVm) -> dict[Target, int]:
    found = re.findall(r"^target (\S+) (0x[0-9a-f]+)$", vm.frame("runtime").body.decode(), re.MULTILINE)
    return {Target(name): int(address, 16) for name, address in found}


def hooks(vm: AgentVm) -> dict[Service, tuple[int, int]]:
    lines = re.findall(r"^hook (\S+) (0x[0-9a-f]+) (0x[0-9a-f]+)$", vm.frame("runtime").body.decode(), re.MULTILINE)
    return {Service(name): (int(old, 16), int(new, 16)) for name, old, new in lines}


def number(vm: AgentVm, field: str) -> int:
    return int(vm.frame("runtime").fields[field], 0)


def memory_type(vm: AgentVm, address: int) -> int:
    frame = vm.frame("memmap")
    stride = int(frame.fields["descriptor_size"])
    for at in range(0, len(frame.body), stride):
        kind, first, pages = struct.unpack_from("<IxxxxQxxxxxxxxQ", frame.body, at)
        if first <= address < first + pages * PAGE_BYTES:
            return int(kind)
    raise AssertionError(f"{address:#x} is not in the memory map")


def memattr_entries(vm: AgentVm) -> list[tuple[int, int, int]]:
    """Start, end and attributes of each entry."""
    address = number(vm, "memattr_address")
    _, count, stride, _ = struct.unpack("<IIII", vm.memory(address, 16))
    data = vm.memory(address + 16, count * stride)
    found = []
    for at in range(0, len(data), stride):
        start_address, pages, attributes = struct.unpack_from("<xxxxxxxxQxxxxxxxxQQ", data, at)
        found.append((start_address, start_address + pages * PAGE_BYTES, attributes))
    return found


def attributes_at(vm: AgentVm, address: int) -> int:
    (found,) = [attributes for first, end, attributes in memattr_entries(vm) if first <= address < end]
    return found & (RO | XP)


def refusal(vm: AgentVm) -> str:
    """What the error frame says; nothing of the plan may have been done, and nothing may follow."""
    assert vm.go().kind == "error"
    assert [frame.kind for frame in vm.frames if frame.kind not in ("ready", "go")] == ["error"]
    return vm.frames[-1].fields["what"]
