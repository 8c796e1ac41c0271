"""The common base of the values and the scalar types that scenario files use."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

PAGE_BYTES = 4096
"""Of x86 and of EFI: everywhere the same, and only here."""
_SIZE = re.compile(r"(?P<number>0x[0-9a-fA-F]{1,16}|[0-9]{1,19})\s*(?P<unit>|B|KiB|MiB|GiB|K|M|G)")
_FACTOR = {"": 1, "B": 1, "KiB": 2**10, "K": 2**10, "MiB": 2**20, "M": 2**20, "GiB": 2**30, "G": 2**30}


class Value(BaseModel):
    """A frozen, strict value; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def parse_size(value: object) -> int:
    """Bytes from ``1GiB``, ``40MiB``, ``512K``, ``0x1000`` or a plain integer.

    Raises:
        ValueError: anything else, with the allowed forms in the message.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("is not a size; write a number of bytes or a number with KiB, MiB or GiB, such as 40MiB")
    number = match["number"]
    return int(number, 16 if number.startswith("0x") else 10) * _FACTOR[match["unit"]]


def parse_address(value: object) -> int:
    """A guest-physical address from ``0x3c000000`` or a plain integer.

    Raises:
        ValueError: anything else, with the allowed forms in the message.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"0x[0-9a-fA-F]+", value):
        return int(value, 16)
    raise ValueError("is not an address; write it as 0x3c000000")


Size = Annotated[
    int,
    BeforeValidator(parse_size),
    Field(ge=0),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": f"^{_SIZE.pattern}$"}]}),
]
"""A number of bytes; in YAML also ``40MiB``."""

Address = Annotated[
    int,
    BeforeValidator(parse_address),
    Field(ge=0, lt=2**52),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^0x[0-9a-fA-F]+$"}]}),
]
"""A guest-physical address; in YAML usually ``0x3c000000``."""
