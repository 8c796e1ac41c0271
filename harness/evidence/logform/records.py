"""Logs whose lines are records: JSON of journald and of container runtimes, journald's export and verbose forms.

systemd, src/shared/logs-show.c: ``-o json`` is one object a line, ``json-sse`` puts ``data: `` in front, ``json-seq`` a
record separator; ``json-pretty`` is a field a line, as are ``export`` (``MESSAGE=...``) and ``verbose`` (indented).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

_OBJECT = re.compile(r"(?:data: |\\x1e)?\s*\{.*\}\s*,?$")
_KEYS = ("MESSAGE", "log", "message", "msg", "textPayload", "@message")
_PRETTY = re.compile(r'\s*,?\s*"(?P<key>[\w@]+)"\s*:\s*(?P<value>"(?:[^"\\]|\\.)*"|null|\d+|\[.*)\s*,?$')
_FIELD = re.compile(r"\s*(?P<key>_{0,2}[A-Z][A-Z0-9_]{2,63})=(?P<value>.*)")
_LONGEST = 1 << 16


@dataclass(frozen=True)
class Record:
    """What one line of a log of records holds."""

    text: str | None
    """The message; None: a field that is no message."""
    kernel: bool = False
    """The record says that the kernel wrote it."""


def record_of(text: str) -> Record | None:
    """The record in a line, or None when it is a line of text."""
    if len(text) > _LONGEST:
        return None
    if _OBJECT.match(text):
        return _object(text)
    if match := _PRETTY.match(text):
        return Record(_string(match["value"]) if match["key"] in _KEYS else None)
    if match := _FIELD.match(text):
        return Record(match["value"] if match["key"] == "MESSAGE" else None)
    return None


def _object(text: str) -> Record | None:
    try:
        found = json.loads(text[text.index("{") : text.rindex("}") + 1])
    except (ValueError, RecursionError):
        return None
    message = next((found[key] for key in _KEYS if key in found), None)
    if isinstance(message, list) and all(isinstance(byte, int) and 0 <= byte < 256 for byte in message):
        message = bytes(message).decode("utf-8", "backslashreplace")  # journald: not all of it was UTF-8
    if not isinstance(message, str):
        return None
    kernel = found.get("_TRANSPORT") == "kernel" or found.get("SYSLOG_IDENTIFIER") == "kernel"
    return Record(message.split("\n", 1)[0].rstrip(), kernel)


def _string(value: str) -> str | None:
    try:
        found = json.loads(value)
    except ValueError:
        return None
    return found if isinstance(found, str) else None
