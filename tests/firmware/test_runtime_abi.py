"""The C side's names and numbers against the host's, without compiling or starting anything."""

from __future__ import annotations

import re
import uuid
from enum import StrEnum

import pytest

from harness.evidence import logbook
from harness.firmware.build import SOURCES
from harness.model.words.driver import MAGIC_GUID, WRITTEN_PATTERN, Fault, MemattrChoice, Service, Target

ABI = (SOURCES / "runtime_abi.h").read_text(encoding="ascii")


def c_names(macro: str) -> list[tuple[str, str]]:
    """The identifier and name of each entry of one of the lists."""
    body = re.search(rf"#define {macro}\(X\)[\s\\]*((?:X\([^)]*\)[\s\\]*)+)", ABI)
    assert body is not None
    return re.findall(r'X\((\w+), "([^"]+)"\)', body[1])


@pytest.mark.parametrize(("macro", "kind"), [("SERVICES", Service), ("TARGETS", Target), ("FAULTS", Fault)])
def test_names_in_the_same_order(macro: str, kind: type[StrEnum]) -> None:
    assert c_names(macro) == [(member.name, member.value) for member in kind]


def c_number(name: str) -> int:
    found = re.search(rf"#define {name} (0x[0-9a-f]+|\d+)", ABI)
    assert found is not None
    return int(found[1], 0)


def test_constants() -> None:
    assert c_number("LOGBOOK_MAGIC").to_bytes(8, "little") == logbook.MAGIC
    assert c_number("LOGBOOK_VERSION") == logbook.VERSION
    assert c_number("WRITTEN_PATTERN") == WRITTEN_PATTERN
    assert WRITTEN_PATTERN.to_bytes(8, "little") == b"HARNESS!"


def test_guid() -> None:
    numbers = re.search(r"COMMAND_GUID[\s\\]+\{ (.*) \}", ABI)
    assert numbers is not None
    first, second, third, *rest = (int(value, 16) for value in re.findall(r"0x[0-9a-f]+", numbers[1]))
    bytes_le = first.to_bytes(4, "little") + second.to_bytes(2, "little") + third.to_bytes(2, "little") + bytes(rest)
    assert uuid.UUID(bytes_le=bytes_le) == uuid.UUID(MAGIC_GUID)


def test_choices_of_memattr() -> None:
    text = (SOURCES / "plan.c").read_text(encoding="ascii")
    assert re.findall(r'span_is\(name, "(\w+)"\)\)\n\t\treturn MEMATTR', text) == list(MemattrChoice)
