"""Answers about this machine that cost a second or two, kept for a day in a small JSON record of the cache.

A record that cannot be read or written costs the time again and nothing else: it is never an error.
"""

from __future__ import annotations

import json
from typing import Any

from harness import clock
from harness.cache import Cache
from harness.errors import HostError

KIND = "host"
MAX_AGE_S = 24 * 3600
"""Hosts change under the same name: a virtual machine is moved, another hypervisor takes the processor."""


class AnswerCache:
    """Maps a key to an answer and the time it was found; ``name`` is the record's name in the cache."""

    def __init__(self, cache: Cache, name: str) -> None:
        self._cache = cache
        self._name = name

    def get(self, key: str) -> dict[str, Any] | None:
        """The answer under ``key`` when it is younger than a day, else None."""
        entry = self._read().get(key)
        if not isinstance(entry, dict) or not isinstance(entry.get("answer"), dict):
            return None
        at_s = entry.get("at_s")
        fresh = isinstance(at_s, int | float) and 0 <= clock.utc().timestamp() - at_s < MAX_AGE_S
        return entry["answer"] if fresh else None

    def put(self, key: str, answer: dict[str, Any]) -> None:
        """Keep ``answer``. Of two processes that write at once, one answer is lost and found again another time."""
        entries = self._read() | {key: {"at_s": int(clock.utc().timestamp()), "answer": answer}}
        try:
            self._cache.write_record(KIND, self._name, json.dumps(entries, indent=1) + "\n")
        except HostError:
            return

    def _read(self) -> dict[str, Any]:
        try:
            entries = json.loads(self._cache.read_record(KIND, self._name) or "{}")
        except (HostError, ValueError):  # ValueError: neither UTF-8 nor JSON
            return {}
        return entries if isinstance(entries, dict) else {}
