"""A table or report that cannot be accepted, with the reason in words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Defect:
    """Why some bytes or some text were refused.

    ``text`` is one line for a person. ``kernel_message`` is what Linux prints for the same defect, without its
    ``subsystem:`` prefix, or empty where Linux says nothing (a zeroed table, for one, is refused in silence).
    """

    text: str
    kernel_message: str = ""

    def __str__(self) -> str:
        return self.text
