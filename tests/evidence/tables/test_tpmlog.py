"""The TPM event log: whole or not, and what a kernel shows of it."""

from __future__ import annotations

import struct

import pytest

from harness.evidence import klog
from harness.evidence.defect import Defect
from harness.evidence.ranges import Range
from harness.evidence.tables import tpmlog
from harness.evidence.tables.shown import Shown

SHA1, SHA256 = 4, 11
AT = 0x3F771018
LINE = b"efi: TPMFinalLog=0x3f7f6000 ACPI=0x3f77d000 TPMEventLog=0x3f771018 \n"


def spec_id(algorithms: dict[int, int], signature: bytes = b"Spec ID Event03\0") -> bytes:
    listed = b"".join(struct.pack("<HH", *item) for item in algorithms.items())
    event = struct.pack("<16sIBBBBI", signature, 0, 0, 2, 105, 2, len(algorithms)) + listed + b"\0"
    return struct.pack("<II20sI", 0, 3, bytes(20), len(event)) + event


def event(pcr: int, kind: int, data: bytes, algorithms: tuple[int, ...] = (SHA1, SHA256)) -> bytes:
    digests = b"".join(struct.pack("<H", name) + bytes([pcr]) * tpmlog.DIGEST_BYTES[name] for name in algorithms)
    return struct.pack("<III", pcr, kind, len(algorithms)) + digests + struct.pack("<I", len(data)) + data


FIRST = spec_id({SHA1: 20, SHA256: 32})
EVENTS = [event(0, 8, b"version"), event(7, 0x80000001, b""), event(4, 0x80000003, b"the kernel" * 9)]
EXIT = [event(5, 0x80000007, b"Exit Boot Services Invocation"), event(5, 0x80000007, b"Exit Boot Services Returned")]
LOG = FIRST + b"".join(EVENTS)


def table(log: bytes = LOG, size: int | None = None, preboot: int = 0, version: int = 2) -> bytes:
    return struct.pack("<IIB", len(log) if size is None else size, preboot, version) + log


def final(*events: bytes, count: int | None = None, version: int = 1) -> bytes:
    return struct.pack("<QQ", version, len(events) if count is None else count) + b"".join(events)


def test_a_whole_log() -> None:
    header = tpmlog.parse_header(table(preboot=7)[: tpmlog.HEADER_BYTES])
    assert header == tpmlog.TpmLog(len(LOG), 7, 2)
    assert header.size_bytes == len(table())
    assert tpmlog.algorithms(LOG) == {SHA1: 20, SHA256: 32}
    assert tpmlog.first_event_bytes(LOG) == len(FIRST)
    assert tpmlog.check(table()) is None
    assert tpmlog.check(table(FIRST)) is None


BAD = {
    "nothing": (b"", "0 bytes hold no TPM event log"),
    "zeros": (bytes(100), "has version 0, not 2"),
    "poison": (b"\xcc" * 100, "has version 204"),
    "old format": (table(version=1), "has version 1"),
    "no room": (table(size=31), "claims 31 bytes"),
    "huge": (table(size=2**31), "claims 2147483648 bytes"),
    "cut off": (table()[:-1], f"claims {len(LOG)} bytes, and there are {len(LOG) - 1}"),
    "first event only begun": (table(LOG[:40]), "40 bytes hold no Spec ID Event"),
    "another first event": (table(spec_id({SHA1: 20}, b"Spec ID Event02\0")), "does not begin with a Spec ID Event"),
    "no algorithm": (table(spec_id({})), "does not begin with a Spec ID Event"),
    "17 algorithms": (table(spec_id(dict.fromkeys(range(17), 20))), "does not begin with a Spec ID Event"),
    "an event begun": (table(LOG + EVENTS[0][:11]), "event 3 at offset"),
    "an event without its end": (table(LOG[:-1]), "event 2 at offset"),
    "an unknown algorithm": (table(FIRST + event(1, 8, b"", (SHA1, 0xC))), "event 0 at offset"),
    "too many digests": (table(FIRST + event(1, 8, b"", (SHA1, SHA256, SHA1))), "event 0 at offset"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_log(name: str) -> None:
    data, words = BAD[name]
    found = tpmlog.check(data)
    assert isinstance(found, Defect)
    assert words in str(found)


def test_final_events() -> None:
    data = final(*EXIT)
    assert tpmlog.parse_final(data + bytes(50)) == tpmlog.FinalEvents(2, len(data), EXIT[1])
    assert tpmlog.parse_final(final() + bytes(50)) == tpmlog.FinalEvents(0, 16, b"")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\1", "1 bytes hold no"),
        (final(*EXIT, version=0), "has version 0"),
        (final(*EXIT, count=4097), "claims 4097 events"),
        (final(*EXIT, count=3), "claims 3 events: event 0"),
        (final(*EXIT)[:-1], "claims 2 events: event 0"),
        (final(EXIT[0][:-1], EXIT[1]), "claims 2 events"),
    ],
)
def test_what_are_no_final_events(data: bytes, words: str) -> None:
    found = tpmlog.parse_final(data)
    assert isinstance(found, Defect)
    assert words in str(found)


def shown(content: bytes, fact: bytes | None, console: bytes = LINE, name: str = "TPMEventLog") -> Shown:
    def read(name: str) -> bytes | None:
        assert name == "tpm-log"
        return fact

    return Shown(1, "6.1", content, Range.sized(AT, len(content)), read, klog.lines(console), name)


def test_the_kernel_shows_the_log_and_the_final_events() -> None:
    for behind in ([], EXIT):
        assert tpmlog.differences(shown(table(), LOG + b"".join(behind))) == ()


DIFFERENT = {
    "nothing": (b"", "the kernel shows no /sys/kernel/security/tpm0/binary_bios_measurements"),
    "not reported": (None, "the kernel shows no "),
    "a byte": (LOG[:70] + bytes([LOG[70] ^ 1]) + LOG[71:], f"byte 0x46 of the {len(LOG)} bytes is"),
    "cut off": (LOG[:-90], f"byte {len(LOG) - 90:#x} of the"),
    "the end is missing": (LOG[:-1], "the kernel shows its end"),
    "noise behind it": (LOG + b"\xcc" * 20, "behind the log the kernel shows what are no final events"),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_the_kernel_shows_something_else(name: str) -> None:
    fact, words = DIFFERENT[name]
    (found,) = tpmlog.differences(shown(table(), fact))
    assert words in found


def test_the_kernel_lists_another_log() -> None:
    (found,) = tpmlog.differences(shown(table(), LOG, LINE.replace(b"71018", b"72018")))
    assert "TPMEventLog=0x3f772018" in found
    (found,) = tpmlog.differences(shown(table(), LOG, b"efi: ACPI=0x3f77d000 \n"))
    assert "lists no TPMEventLog" in found


def test_a_bad_copy_is_not_called_shown() -> None:
    (found,) = tpmlog.differences(shown(table(LOG[:-1]), LOG))
    assert "the EFI stub's own copy is bad: event 2" in found


def final_shown(fact: bytes | None) -> tuple[str, ...]:
    content = final(*EXIT)
    line = LINE.replace(b"0x3f7f6000", b"0x3f771018")
    return tpmlog.final_differences(shown(content, fact, line, "TPMFinalLog"))


def test_final_events_shown() -> None:
    assert final_shown(LOG + b"".join(EXIT)) == ()
    assert "is not the last one" in final_shown(LOG + EXIT[0])[0]
    assert "is not the last one" in final_shown(LOG)[0]
    assert "the kernel shows no" in final_shown(b"")[0]
    assert "firmware's own table is bad" in tpmlog.final_differences(shown(bytes(16), LOG))[0]
