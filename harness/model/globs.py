"""Globs over ids and names."""

from __future__ import annotations

import re
from functools import lru_cache


def glob_matches(glob: str, text: str) -> bool:
    """Does a glob of ``*`` and ``?`` match the whole text? Brackets are plain characters, unlike in ``fnmatch``."""
    return any_glob(glob).fullmatch(text) is not None


@lru_cache(maxsize=256)
def any_glob(*globs: str) -> re.Pattern[str]:
    """Text that any of the globs matches as a whole."""
    wild = {"*": ".*", "?": "."}
    return re.compile(
        "|".join("".join(wild.get(char) or re.escape(char) for char in glob) for glob in globs), re.DOTALL
    )
