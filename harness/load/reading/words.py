"""The words of messages: how values are shown and what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

MAX_SHOWN_CHARS = 60


def show(value: Any) -> str:
    """A value as a person would name it: ``'fil'``, ``3``, ``a list``, ``an empty value``."""
    if value is None:
        return "an empty value"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        text = value if len(value) <= MAX_SHOWN_CHARS else f"{value[: MAX_SHOWN_CHARS - 3]}..."
        return f"'{text}'" if text.isprintable() else repr(text)
    return str(value)


def did_you_mean(word: Any, options: Iterable[str]) -> str:
    """``; did you mean 'esrt'?``, or nothing when no option is near."""
    if not isinstance(word, str):
        return ""
    folded = {option.lower().replace("_", "-"): option for option in options}
    seen = word.lower().replace("_", "-")
    near = difflib.get_close_matches(seen, list(folded), n=1, cutoff=0.6)
    near = near or [option for option in folded if len(option) > 2 and option in seen]
    return f"; did you mean '{folded[near[0]]}'?" if len(near) == 1 else ""


def allowed(options: Iterable[str]) -> str:
    """``allowed: a, b, c``."""
    return f"allowed: {', '.join(options)}"


def size_text(size_bytes: int) -> str:
    """Bytes in the biggest unit that leaves a whole number: ``1GiB``, ``1536MiB``, ``100``."""
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size_bytes and size_bytes % factor == 0:
            return f"{size_bytes // factor}{unit}"
    return str(size_bytes)


def count(number: int, noun: str) -> str:
    """``1 item``, ``2 items``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
