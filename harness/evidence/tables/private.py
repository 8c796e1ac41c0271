"""Bytes of a configuration table that no kernel knows: of one run only, so that a stale copy is recognised."""

from __future__ import annotations

import hashlib


def build(size_bytes: int, seed: str) -> bytes:
    """``size_bytes`` bytes that differ from those of any other run."""
    return hashlib.shake_128(f"private/{seed}".encode()).digest(size_bytes)
