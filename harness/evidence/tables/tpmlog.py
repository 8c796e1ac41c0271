"""The TPM event log: as Linux's EFI stub keeps it, as firmware goes on with it, and as the kernel shows it.

Firmware measures what it starts into the TPM, and says in a log what it measured (TCG PC Client Platform Firmware
Profile 1.05, chapter 10; TCG EFI Protocol Specification for TPM 2.0). Before it ends boot services the EFI stub copies
that log into memory of its own and hands it to the kernel as a configuration table, ``struct linux_efi_tpm_eventlog``
(include/linux/efi.h). Firmware puts what it measures from then on into its final events table as well
(EFI_TCG2_FINAL_EVENTS_TABLE). The kernel shows both in one file (tpm_read_log_efi(),
drivers/char/tpm/eventlog/efi.c): the log, then of the final events those that are not in it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from harness.evidence.defect import Defect
from harness.evidence.tables.shown import Shown, listed

HEADER_BYTES = 9
"""``u32 size; u32 final_events_preboot_size; u8 version;`` then the log."""
FINAL_HEADER_BYTES = 16
"""``u64 version; u64 nr_events;`` then the events."""
CRYPTO_AGILE = 2
"""EFI_TCG2_EVENT_LOG_FORMAT_TCG_2: every event with a digest of each of the TPM's algorithms."""
MAX_BYTES = 4 * 2**20
MAX_FINAL_BYTES = 2**16
"""EDK2 keeps 32 KiB for the final events (PcdTcg2FinalLogAreaLen)."""
FACT = "tpm-log"
DIGEST_BYTES: Mapping[int, int] = {0x4: 20, 0xB: 32, 0xC: 48, 0xD: 64, 0x12: 32, 0x27: 32, 0x28: 48, 0x29: 64}
"""SHA-1, SHA-2, SM3 and SHA-3 by TPM_ALG_ID (TCG Algorithm Registry)."""
_MAX_FINAL_EVENTS = 4096
_TABLE = struct.Struct("<IIB")
_FINAL = struct.Struct("<QQ")
_FIRST = struct.Struct("<II20sI")
_NO_ACTION = 3
_SPEC_ID = b"Spec ID Event03\0"
_SPEC = struct.Struct("<16sIBBBBI")
_ALGORITHM = struct.Struct("<HH")
_MAX_ALGORITHMS = 16
_EVENT = struct.Struct("<III")


@dataclass(frozen=True)
class TpmLog:
    """The stub's table."""

    log_bytes: int
    preboot_bytes: int
    """How much of the final events is in the log as well."""
    version: int

    @property
    def size_bytes(self) -> int:
        """Of the whole table."""
        return HEADER_BYTES + self.log_bytes


def parse_header(data: bytes) -> TpmLog | Defect:
    """The first HEADER_BYTES of the stub's table."""
    if len(data) < HEADER_BYTES:
        return Defect(f"{len(data)} bytes hold no TPM event log")
    log_bytes, preboot_bytes, version = _TABLE.unpack_from(data)
    if version != CRYPTO_AGILE:
        return Defect(f"the TPM event log has version {version}, not {CRYPTO_AGILE} (crypto agile)")
    if not _FIRST.size <= log_bytes <= MAX_BYTES:
        return Defect(f"the TPM event log claims {log_bytes} bytes")
    return TpmLog(log_bytes, preboot_bytes, version)


@dataclass(frozen=True)
class FinalEvents:
    """Firmware's final events table."""

    count: int
    size_bytes: int
    """Of the whole table, as far as there are events."""
    last: bytes
    """The last event; empty when there is none."""


def parse_final(data: bytes) -> FinalEvents | Defect:
    """The final events table at the beginning of ``data``."""
    if len(data) < FINAL_HEADER_BYTES:
        return Defect(f"{len(data)} bytes hold no final events table")
    version, count = _FINAL.unpack_from(data)
    if version != 1 or count > _MAX_FINAL_EVENTS:
        return Defect(f"the final events table has version {version} and claims {count} events")
    before = events_end(data, FINAL_HEADER_BYTES, DIGEST_BYTES, max(count - 1, 0))
    end = before if isinstance(before, Defect) else events_end(data, before, DIGEST_BYTES, min(count, 1))
    if isinstance(before, Defect) or isinstance(end, Defect):
        return Defect(f"the final events table claims {count} events: {before if isinstance(before, Defect) else end}")
    return FinalEvents(count, end, data[before:end])


def algorithms(log: bytes) -> Mapping[int, int] | Defect:
    """The size of a digest in bytes by TPM_ALG_ID, from the first event of a log, which is about the log itself."""
    if len(log) < _FIRST.size + _SPEC.size:
        return Defect(f"{len(log)} bytes hold no Spec ID Event")
    pcr, kind, _, size = _FIRST.unpack_from(log)
    signature, _, _, _, _, _, count = _SPEC.unpack_from(log, _FIRST.size)
    if (pcr, kind, signature) != (0, _NO_ACTION, _SPEC_ID) or not 0 < count <= _MAX_ALGORITHMS:
        return Defect(f"the log does not begin with a Spec ID Event but with {log[:16].hex(' ')}")
    end = _SPEC.size + count * _ALGORITHM.size
    if end > size or _FIRST.size + end > len(log):
        return Defect(f"the Spec ID Event of {size} bytes is too short for {count} algorithms")
    listed_at = _FIRST.size + _SPEC.size
    return dict(_ALGORITHM.iter_unpack(log[listed_at : listed_at + count * _ALGORITHM.size]))


def first_event_bytes(log: bytes) -> int:
    """How long the Spec ID Event is; call it when ``algorithms`` could read it."""
    return _FIRST.size + int(_FIRST.unpack_from(log)[3])


def events_end(data: bytes, at: int, digests: Mapping[int, int], count: int | None = None) -> int | Defect:
    """Where the events end that begin at ``at``: all up to the end of ``data``, or the first ``count``.

    A Defect when one does not fit, or has an algorithm that the TPM does not have.
    """
    done = 0
    while at < len(data) if count is None else done < count:
        end = _event_end(data, at, digests)
        if end is None or end > len(data):
            return Defect(f"event {done} at offset {at:#x} does not make sense: {data[at : at + 16].hex(' ')}")
        at, done = end, done + 1
    return at


def _event_end(data: bytes, at: int, digests: Mapping[int, int]) -> int | None:
    """One TCG_PCR_EVENT2."""
    if at + _EVENT.size > len(data):
        return None
    count = _EVENT.unpack_from(data, at)[2]
    at += _EVENT.size
    for _ in range(count if count <= len(digests) else 0):
        size = digests.get(int.from_bytes(data[at : at + 2], "little"))
        if size is None:
            return None
        at += 2 + size
    if count > len(digests) or at + 4 > len(data):
        return None
    return at + 4 + int.from_bytes(data[at : at + 4], "little")


def check(table: bytes) -> Defect | None:
    """Is the stub's table a whole log of events, to the last byte?"""
    header = parse_header(table)
    if isinstance(header, Defect):
        return header
    log = table[HEADER_BYTES : header.size_bytes]
    if len(log) != header.log_bytes:
        return Defect(f"the log claims {header.log_bytes} bytes, and there are {len(log)}")
    digests = algorithms(log)
    if isinstance(digests, Defect):
        return digests
    end = events_end(log, first_event_bytes(log), digests)
    return end if isinstance(end, Defect) else None


def differences(shown: Shown) -> tuple[str, ...]:
    """What the kernel's event log has otherwise than the stub's copy says, one line each."""
    bad = check(shown.content)
    if bad is not None:
        return (f"the EFI stub's own copy is bad: {bad}",)
    log = shown.content[HEADER_BYTES:]
    seen = shown.fact(FACT) or b""
    if not seen:
        return ("the kernel shows no /sys/kernel/security/tpm0/binary_bios_measurements, or an empty one",)
    same = next((at for at, (a, b) in enumerate(zip(log, seen, strict=False)) if a != b), min(len(log), len(seen)))
    if same < len(log):
        there = seen[same : same + 8].hex(" ") or "its end"
        return (f"byte {same:#x} of the {len(log)} bytes is {log[same : same + 8].hex(' ')}, the kernel shows {there}",)
    digests = algorithms(log)
    end = digests if isinstance(digests, Defect) else events_end(seen, len(log), digests)
    if isinstance(end, Defect):
        return (f"behind the log the kernel shows what are no final events: {end}",)
    return listed(shown)


def final_differences(shown: Shown) -> tuple[str, ...]:
    """What the kernel's event log has otherwise than firmware's final events table says."""
    final = parse_final(shown.content)
    if isinstance(final, Defect):
        return (f"firmware's own table is bad: {final}",)
    seen = shown.fact(FACT) or b""
    if not seen:
        return ("the kernel shows no /sys/kernel/security/tpm0/binary_bios_measurements, or an empty one",)
    if not seen.endswith(final.last):
        return (f"the last of the {final.count} final events is not the last one that the kernel shows",)
    return listed(shown)
