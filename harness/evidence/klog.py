"""The console as lines, and what it says about firmware tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from harness.evidence.logform import prefix_of


@dataclass(frozen=True)
class Line:
    """One console line without escapes, timestamp and line end."""

    number: int
    """Counted from 1, as editors do with ``\\n`` as the line end."""
    offset: int
    """Byte offset of the line's first byte in the log."""
    timestamp_s: float | None
    """What printk put in front, where there is one."""
    text: str
    kernel: bool = False
    """The kernel printed it: a stamp of printk's stands in front, or a journal says ``kernel:``."""
    caller: str = ""
    """``T123`` or ``C0``: who printed it, with CONFIG_PRINTK_CALLER."""


class Tone(StrEnum):
    GOOD = "good"
    BAD = "bad"
    NOTE = "note"


@dataclass(frozen=True)
class TableMessage:
    """A line in which the kernel speaks about a table."""

    subject: str
    """A TableName, or ``efi`` (the map or the tables in general)."""
    tone: Tone
    meaning: str
    line: Line


@dataclass(frozen=True)
class Banner:
    """``Linux version ...``: a kernel has begun."""

    line: Line
    release: str


# ECMA-48 control sequences (OVMF's terminal driver positions the cursor before almost every line), operating system
# commands, and two-byte escapes.
_ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])")
_CONTROLS = re.compile(r"[\x01-\x08\x0b-\x1f\x7f-\x9f]")
# A message may stand behind other words on its line: a kernel's first one behind the last of firmware, which ends
# without a newline, and any one behind a shell's or getty's prompt. Not behind a command typed there.
_BEHIND = re.compile(rb"\[    0\.000000\] |(?<=login: )\[ *\d+\.\d{6}\]|(?<=[#$] )\[ *\d+\.\d{6}\]")
_XEN = b"(XEN) "
"""A dom0 may be in the middle of a line when Xen speaks: both write to the one UART."""


def lines(data: bytes) -> tuple[Line, ...]:
    """A console log as lines. Broken UTF-8 and control characters become ``\\xNN``; NULs and escapes are left out.

    A message that stands behind a prompt, a kernel's first behind the last words of firmware, and one of Xen's behind
    words of dom0's become Lines of their own with the same number.
    """
    return tuple(_lines(data))


def _lines(data: bytes) -> Iterator[Line]:
    offset = 0
    for number, raw in enumerate(data.split(b"\n"), 1):
        if number > 1 and offset == len(data) and not raw:
            return
        words = raw.find(_XEN)
        if words > 0 and plain_text(raw[:words]):
            yield from _split(number, offset, raw[:words])
            yield _line(number, offset + words, raw[words:])
        else:
            yield from _split(number, offset, raw)
        offset += len(raw) + 1


def _split(number: int, offset: int, raw: bytes) -> Iterator[Line]:
    behind = _BEHIND.search(raw)
    if behind is not None and not plain_text(raw[: behind.start()]):
        # Escapes only, which firmware has printed: the message begins behind them.
        yield _line(number, offset + behind.start(), raw[behind.start() :])
    elif behind is not None and prefix_of(plain_text(raw)).time_s is None:
        yield _line(number, offset, raw[: behind.start()])
        yield _line(number, offset + behind.start(), raw[behind.start() :])
    else:
        yield _line(number, offset, raw)


def plain_text(raw: bytes) -> str:
    """One line without escapes, NULs and line end; what is no text becomes ``\\xNN``."""
    if b"\x1b" in raw:
        raw = _ESCAPES.sub(b"", raw)
    text = raw.replace(b"\0", b"").strip(b"\r").decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text.rstrip()
    return _CONTROLS.sub(lambda match: f"\\x{ord(match[0]):02x}", text).rstrip()


def _line(number: int, offset: int, raw: bytes) -> Line:
    text = plain_text(raw)
    prefix = prefix_of(text)
    if not prefix.kernel:
        return Line(number, offset, None, text)
    return Line(number, offset, prefix.time_s, text[prefix.end :], kernel=True, caller=prefix.caller)


# (pattern, subject, tone, meaning). Sources: drivers/firmware/efi/{esrt,efi-bgrt,memattr,efi}.c, drivers/acpi/bgrt.c
# and arch/x86/platform/efi/{quirks,efi}.c of Linux 5.10, 6.1, 6.12, 7.2 and 7.3.
_MESSAGES: tuple[tuple[re.Pattern[str], str, Tone, str], ...] = tuple(
    (re.compile(pattern), subject, tone, meaning)
    for pattern, subject, tone, meaning in (
        (r"esrt: Reserving ESRT space from ", "esrt", Tone.GOOD, "the ESRT was accepted and its pages reserved"),
        (r"esrt: Unsupported ESRT version ", "esrt", Tone.BAD, "the ESRT's version is not 1: other bytes lie there"),
        (r"esrt: ESRT says fw_resource_count has very large", "esrt", Tone.BAD, "the ESRT's count is over 128"),
        (r"esrt: ESRT header is not in the memory map", "esrt", Tone.BAD, "no EFI memory descriptor covers the ESRT"),
        (r"esrt: ESRT header doesn't fit on single", "esrt", Tone.BAD, "the ESRT crosses EFI memory descriptors"),
        (r"esrt: ESRT memory map entry can only hold", "esrt", Tone.BAD, "the ESRT crosses EFI memory descriptors"),
        (r"esrt: ESRT does not fit on single memory", "esrt", Tone.BAD, "the ESRT crosses EFI memory descriptors"),
        (r"esrt: (?:early_)?memremap\(.*\) failed", "esrt", Tone.BAD, "the ESRT could not be mapped"),
        (r"esrt: .*failed with error ", "esrt", Tone.BAD, "the ESRT could not be shown in sysfs"),
        (r"esrt: EFI memory descriptor is invalid", "esrt", Tone.BAD, "the descriptor of the ESRT's memory is invalid"),
        (r"efi_bgrt: Ignoring BGRT: Incorrect BMP magic", "bgrt", Tone.BAD, "the BGRT's image was overwritten"),
        (r"efi_bgrt: Ignoring BGRT: ", "bgrt", Tone.BAD, "the BGRT was refused"),
        (r"(?:bgrt: )?Ignoring BGRT: failed to map image", "bgrt", Tone.BAD, "the BGRT's image could not be mapped"),
        (
            r"efi: memattr: Unexpected EFI Memory Attributes table version ",
            "memattr",
            Tone.BAD,
            "MEMATTR's version is unknown: other bytes lie there, or the kernel is older than the table",
        ),
        (
            r"efi: memattr: Unexpected EFI Memory Attributes descriptor size 48 \(expected: 40\)",
            "memattr",
            Tone.NOTE,
            "normal after kexec_load: kexec-tools makes EFI descriptors of 40 bytes",
        ),
        (
            r"efi: memattr: Unexpected EFI Memory Attributes descriptor size ",
            "memattr",
            Tone.BAD,
            "MEMATTR's descriptor size makes no sense: other bytes lie there",
        ),
        (r"efi: memattr: .*Corrupted EFI Memory Attributes", "memattr", Tone.BAD, "MEMATTR makes no sense"),
        (
            r"efi: memattr: (?:Entry|No matching entry|! 0x)",
            "memattr",
            Tone.BAD,
            "a MEMATTR entry does not fit the EFI memory map",
        ),
        (r"mokvar: EFI MOKvar config table is not valid", "mokvar", Tone.BAD, "other bytes lie in the MOKvar table"),
        # arch/x86/boot/compressed/mem.c, init_unaccepted_memory(): then it halts.
        (
            r"Unknown version of unaccepted memory table",
            "unaccepted",
            Tone.BAD,
            "the decompressor found other bytes in the unaccepted memory table",
        ),
        (r"efi: memattr: Failed to map", "memattr", Tone.BAD, "MEMATTR could not be mapped"),
        (r"efi: Failed to lookup EFI memory descriptor for ", "efi", Tone.BAD, "a table lies in no EFI descriptor"),
        (r"efi: Region spans EFI memory descriptors, ", "efi", Tone.BAD, "a table crosses EFI memory descriptors"),
        (r"efi: (?:Could not allocate|Failed to map new) boot services memmap", "efi", Tone.BAD, "no reservation made"),
        (r"\[Firmware Bug\]: Invalid EFI memory map entries", "efi", Tone.BAD, "the EFI memory map has bad entries"),
        (r"efi: Unable to switch EFI into virtual mode", "efi", Tone.BAD, "EFI runtime services are lost"),
        (r"efi: Freeing EFI boot services memory: ", "efi", Tone.NOTE, "boot services memory was freed"),
        (r"efi: EFI v\d", "efi", Tone.NOTE, "the kernel found EFI"),
    )
)


def table_messages(log: Iterable[Line]) -> tuple[TableMessage, ...]:
    """The messages about tables, in order of the log. A line gives at most one: the first row that matches."""
    found: list[TableMessage] = []
    for line in log:
        for pattern, subject, tone, meaning in _MESSAGES:
            if pattern.match(line.text):
                found.append(TableMessage(subject, tone, meaning, line))
                break
    return tuple(found)


_BANNER = re.compile(r"Linux version (?P<release>\S+) \(")


def banners(log: Iterable[Line]) -> tuple[Banner, ...]:
    """The kernels that began, in order of the log.

    Only lines that the kernel printed count, so that a /proc/version shown on the console does not.
    """
    return tuple(Banner(line, match["release"]) for line in log if line.kernel and (match := _BANNER.match(line.text)))


CONFIG_LINE = re.compile(r"efi: (?=\(?[A-Za-z][A-Za-z0-9 .]*=0x[0-9a-f])")
_CONFIG_ENTRY = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9]*(?: \d\.\d)?)=(?P<address>0x[0-9a-f]+)")


def config_tables(log: Iterable[Line]) -> tuple[Mapping[str, int], ...]:
    """For each ``efi: ACPI=0x... ESRT=0x...`` line (one a kernel), the names with their addresses.

    Names are the kernel's: ``ACPI 2.0``, ``ESRT``, ``MEMATTR``. An address of 2^64-1 means that the kernel dropped
    the table. Tables refused under Xen, ``(ESRT=0x... unusable)``, are in it too.
    """
    return tuple(
        {match["name"]: int(match["address"], 16) for match in _CONFIG_ENTRY.finditer(line.text)}
        for line in log
        if CONFIG_LINE.match(line.text)
    )
