"""The common base of the values and the scalar types that scenario files use."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

if TYPE_CHECKING:
    from harness.model.scenario import Scenario

PAGE_BYTES = 4096
"""Of x86 and of EFI: everywhere the same, and only here."""
_SIZE = re.compile(r"(?P<number>0x[0-9a-fA-F]{1,16}|[0-9]{1,19})\s*(?P<unit>|B|KiB|MiB|GiB|K|M|G)")
_FACTOR = {"": 1, "B": 1, "KiB": 2**10, "K": 2**10, "MiB": 2**20, "M": 2**20, "GiB": 2**30, "G": 2**30}


class Value(BaseModel):
    """A frozen, strict value; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class MisplacedError(ValueError):
    """A value is right by itself and not beside others. ``path`` leads to it from the value that was validated."""

    def __init__(self, path: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.path = path


class StepValue(Value):
    """A step: a mapping with one key."""

    starts_next: ClassVar[bool] = False
    """Does it start the kernel of the next epoch?"""


class ExpectationValue(Value):
    """An expectation: a mapping with one key."""

    def vacuous(self, scenario: Scenario) -> str:  # noqa: ARG002  for those that ask
        """Why this scenario can neither meet nor break it; empty when it can."""
        return ""


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


def key_of(member: type[BaseModel]) -> str:
    """The one key of a member of a ``OneOf`` union, by which it is known in a file."""
    (key,) = member.model_fields
    return key


def short_forms(union: Any) -> dict[str, object]:
    """Keys that may stand alone in a file, as one word, and the value that they then have."""
    found: dict[str, object] = {}
    for member in members(union):
        key = key_of(member)
        field = member.model_fields[key]
        options = field.annotation
        if not field.is_required():
            found[key] = field.default
        elif isinstance(options, type) and issubclass(options, Value) and not _required(options):
            found[key] = {}
    return found


def _required(options: type[Value]) -> bool:
    return any(field.is_required() for field in options.model_fields.values())


def members(union: Any) -> tuple[type[BaseModel], ...]:
    """The classes of a union, or of an alias of one class."""
    return get_args(union) or (union,)


@dataclass(frozen=True)
class OrWord:
    """``Annotated[A | Literal["none"], OrWord("none")]``: a mapping, or this word in its place. What is neither is
    refused as what is no A: a union would say everything twice.
    """

    word: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Pydantic's hook: the schema of A, which the word passes by, in and out."""
        mapping = handler.generate_schema(members(source)[0])

        def pass_by(value: Any, inner: Callable[[Any], Any]) -> Any:
            return value if value == self.word else inner(value)

        return core_schema.no_info_wrap_validator_function(
            pass_by, mapping, serialization=core_schema.wrap_serializer_function_ser_schema(pass_by, schema=mapping)
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Pydantic's hook: the word, or the mapping."""
        return {"oneOf": [{"const": self.word}, handler(schema)]}


@dataclass(frozen=True)
class OneOf:
    """``Annotated[A | B, OneOf("step")]``: a mapping with the one key of A or of B; another is refused by name."""

    what: str
    """What the members are, in messages and as the error's type."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Pydantic's hook: a tagged union, the tag of a member is its key."""
        choices = {key_of(member): handler.generate_schema(member) for member in members(source)}

        def tag(item: Any) -> str | None:
            keys = item if isinstance(item, dict) else ()
            return next((key for key in choices if item == key or hasattr(item, key) or key in keys), None)

        article = "an" if self.what[0] in "aeiou" else "a"
        return core_schema.tagged_union_schema(
            choices,
            tag,
            custom_error_type=self.what,
            custom_error_message=f"is not {article} {self.what}; allowed: {', '.join(choices)}",
        )
