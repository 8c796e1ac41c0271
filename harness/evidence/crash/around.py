"""What stands around a line that says that something broke, and makes it harmless or tells the reason."""

from __future__ import annotations

import re

from harness.evidence.crash.formats.table import Format
from harness.evidence.crash.formats.values import Kind
from harness.evidence.crash.log import Reader
from harness.evidence.crash.messages import Message
from harness.evidence.logform import Form

_LATELY_BYTES = 1 << 14
_NEAR_BYTES = 2048
_RUNNING = re.compile(rb"^(?:<\d>)?\[ *\d+\.\d{6}\]", re.M)
_MEANT = re.compile(rb"Starting new kernel|reboot: |Restarting system|sysrq: |Kernel panic|Rebooting in ")
# The kernel runs: what the stub said before was a remark. Unless firmware went on to something else to boot.
_BOOTED = re.compile(rb"\[ +0\.\d{6}\]|Linux version \d|Booting Linux on ")
_ELSEWHERE = re.compile(
    rb"BdsDxe|Boot Failed|UEFI Interactive Shell|Shell>|GNU GRUB|start_image\(\) returned|System halted"
)


def is_harmless(reader: Reader, message: Message, row: Format) -> bool:
    """Whether a line that matches a row is no crash after all, for what stands before or behind it."""
    if row.kind is Kind.REBOOT:
        return message.stamped or not _is_unexpected(reader, message.start)
    return row.kind is Kind.STUB and row.passing and _kernel_boots(reader, message.end)


def _is_unexpected(reader: Reader, at: int) -> bool:
    """Did a kernel run shortly before, that did not say that it would restart, panic or start another one?"""
    before = reader.piece(at - _LATELY_BYTES, at)
    return _RUNNING.search(before) is not None and _MEANT.search(before) is None


def _kernel_boots(reader: Reader, at: int) -> bool:
    behind = reader.piece(at, at + _LATELY_BYTES)
    booted = _BOOTED.search(behind)
    return booted is not None and _ELSEWHERE.search(behind, 0, booted.start()) is None


def before(reader: Reader, message: Message, form: Form) -> tuple[Message, ...]:
    """The few messages that end where ``message`` begins."""
    begin = reader.line_start(max(0, message.start - _NEAR_BYTES))
    return tuple(item for item in reader.messages(begin, message.start, form) if item.end <= message.start)
