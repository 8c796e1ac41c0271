"""Frames of the link (COM2): how the EFI agent and the guest agent report, and how the guest is commanded.

A frame is one line of ASCII, so it survives what firmware and the EFI stub print on the same port::

    @HL1 NONCE SEQ KIND PAYLOAD CRC

``NONCE``   eight lower case hex digits of the run (``00000000`` before the EFI agent has read its plan)
``SEQ``     decimal, counted by the sender from 1
``KIND``    ``[a-z-]+``
``PAYLOAD`` base64, ``-`` when empty; decoded it is ``key=value`` lines, a blank line, and the body's raw bytes
``CRC``     CRC-32 (IEEE 802.3, as zlib) of the text ``NONCE SEQ KIND PAYLOAD``, eight lower case hex digits

The sender puts a newline before and after. docs/link-protocol.md lists the kinds.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

UNSET_NONCE = "00000000"
_FRAME = re.compile(
    rb"@HL1 (?P<covered>(?P<nonce>[0-9a-f]{8}) (?P<seq>[0-9]{1,9}) (?P<kind>[a-z-]{1,32})"
    rb" (?P<payload>[A-Za-z0-9+/=]+|-)) (?P<crc>[0-9a-f]{8})"
)
MAX_LINE_BYTES = 8 * 2**20
"""A line longer than this is noise: it is dropped up to the next newline."""


@dataclass(frozen=True)
class Frame:
    nonce: str
    seq: int
    kind: str
    fields: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def encode(frame: Frame) -> bytes:
    """The frame as bytes on the wire, newlines included.

    Raises:
        ValueError: a field cannot be written as one ``key=value`` line.
    """
    for key, value in frame.fields.items():
        if "\n" in value or not re.fullmatch(r"[a-z0-9_]+", key):
            raise ValueError(f"field {key!r} does not fit on one line")
    payload = b"".join(f"{key}={value}\n".encode() for key, value in frame.fields.items())
    if frame.body:
        payload += b"\n" + frame.body
    text = base64.b64encode(payload).decode() if payload else "-"
    covered = f"{frame.nonce} {frame.seq} {frame.kind} {text}"
    return f"\n@HL1 {covered} {zlib.crc32(covered.encode()):08x}\n".encode()


def decode_line(line: bytes) -> Frame | None:
    """The frame in one line, or None when there is none that is whole."""
    match = _FRAME.search(line)
    if match is None or zlib.crc32(match["covered"]) != int(match["crc"], 16):
        return None
    try:
        payload = b"" if match["payload"] == b"-" else base64.b64decode(match["payload"], validate=True)
    except binascii.Error:
        return None
    head, _, body = payload.partition(b"\n\n") if not payload.startswith(b"\n") else (b"", b"", payload[1:])
    fields = dict(
        line.partition("=")[::2] for line in head.decode("utf-8", "backslashreplace").split("\n") if "=" in line
    )
    return Frame(match["nonce"].decode(), int(match["seq"]), match["kind"].decode(), fields, body)


class Decoder:
    """Frames out of a byte stream in any pieces; whatever is no frame is passed over."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Frame]:
        *lines, self._rest = (self._rest + data).replace(b"\r", b"\n").split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            self._rest = b""
        for line in lines:
            frame = decode_line(line)
            if frame is not None:
                yield frame
