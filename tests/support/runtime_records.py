"""Runs that call runtime services, and what the driver's logbook and the guest say of the calls."""

from __future__ import annotations

import hashlib
import struct

from harness.model.causes import Cause, Status
from harness.model.verdict import Verdict
from harness.model.words.driver import Service
from support.records import Copy
from support.verdicts import check_of

CONTAINED, RESET, SILENT = "runtime-contained", "runtime-reset-6.1", "runtime-silent-twin"
UNCOVERED, MIXED = "runtime-uncovered-6.1", "mixed-mode-kexec"
INTERRUPTS, WEDGED, THROUGH_BIOS = "runtime-interrupts-off", "runtime-wedged-7.3", "runtime-reset-5.10"
FIELDS = ("hooked", "armed", "calls", "runtime_calls", "returns", "faults", "survived", "last_fault", "fault_address")
SERVICES_AT, _SERVICE_BYTES = 0x200, 0x100


def logbooks(copy: Copy) -> list[str]:
    """The files of the samples of the driver's logbook, in order."""
    return [entry["file"] for entry in copy.entries if entry.get("subject") == "driver-logbook"]


def write(copy: Copy, file: str, offset: int, value: int) -> Copy:
    """Put a number into a logbook, as if it had been there when it was sampled."""
    path = copy.path / file
    data = bytearray(path.read_bytes())
    before = bytes(data)
    struct.pack_into("<Q", data, offset, value)
    assert bytes(data) != before
    path.write_bytes(data)
    return copy.change({"sha256": hashlib.sha256(data).hexdigest()}, type="sample", file=file)


def counted(copy: Copy, place: int, name: str, value: int, service: Service = Service.SET_VARIABLE) -> Copy:
    offset = SERVICES_AT + service.number * _SERVICE_BYTES + 8 * FIELDS.index(name)
    return write(copy, logbooks(copy)[place], offset, value)


def called(copy: Copy, number: int, **fields: str) -> Copy:
    """Change the guest's answer to a runtime step, counted from 0."""
    entries = copy.entries
    answers = [entry for entry in entries if entry.get("kind") == "called"]
    answers[number]["fields"].update(fields)
    copy.entries = entries
    return copy


def said_by_kernel(copy: Copy, number: int) -> str:
    """The file of the kernel's messages of a runtime step."""
    return str([entry for entry in copy.entries if entry.get("kind") == "called"][number]["body_file"])


def red(verdict: Verdict, name: str, cause: Cause, *values: str, status: Status = Status.FAIL) -> None:
    """This check speaks for the run, by this cause; the values are in what it says."""
    found = check_of(verdict, name)
    assert (found.status, found.cause) == (status, cause), found
    assert [value for value in values if value not in found.summary] == []
    assert (verdict.status, verdict.cause) == (status, cause)


FAULT, FAULT_BEFORE, FAULT_AFTER = 1, 2, 3
"""The fault of CONTAINED: the second runtime step; the logbooks before and after it."""
