"""Globs over ids and names."""

from __future__ import annotations

import re


def glob_matches(glob: str, text: str) -> bool:
    """Does a glob of ``*`` and ``?`` match the whole text? Brackets are plain characters, unlike in ``fnmatch``."""
    pieces = (".*" if char == "*" else "." if char == "?" else re.escape(char) for char in glob)
    return re.fullmatch("".join(pieces), text, re.DOTALL) is not None
