"""What pydantic finds wrong, in our own sentences and at a place in the document.

pydantic stops in two cases before it has seen everything: a list that is too long hides the mistakes inside it (so the
document is validated once more with the rest cut off), and rules between keys are tried only when the keys are right.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from harness.load.reading.document import DocPath
from harness.load.reading.shape import Node, Shape, bounds, is_address, is_size, shape_of
from harness.load.reading.words import allowed, count, did_you_mean, show, size_text
from harness.model.base import MisplacedError

M = TypeVar("M", bound=BaseModel)
Written = Callable[[], Mapping[DocPath, str]]
"""Gives the scalars of a document as they stand there: ``0x1000`` where the tree has 4096."""


@dataclass(frozen=True)
class Finding:
    """One mistake in a tree."""

    path: DocPath
    """The value, or the mapping that lacks a key."""
    message: str
    at_key: bool = False
    """Is the key wrong, not the value?"""
    shown: DocPath | None = None
    """The path to print, where it is not ``path``."""


@dataclass(frozen=True)
class _Seen:
    """An error with what is needed to word it."""

    error: ErrorDetails
    path: DocPath
    value: Any
    node: Node
    shape: Shape
    parent: Node
    shown: str
    """The value as a person would name it; numbers as they were written."""

    @property
    def context(self) -> dict[str, Any]:
        return self.error.get("ctx", {})


def validate(model: type[M], tree: Any, scalars: Written) -> tuple[M | None, tuple[Finding, ...]]:
    """A value of the model, or every finding. ``tree`` holds what JSON can; strict JSON mode takes enums by value.

    ``scalars`` is asked only when there are findings.
    """
    try:
        return model.model_validate_json(json.dumps(tree)), ()
    except ValidationError as error:
        details = error.errors(include_url=False)
    shape, written = shape_of(model), scalars()
    findings = [_finding(detail, tree, shape, written) for detail in details]
    too_long = [detail for detail in details if detail["type"] == "too_long"]
    if too_long:  # not a comparison of the trees: a NaN in them is never equal to itself
        shorter = copy.deepcopy(tree)
        for detail in too_long:
            del value_at(shorter, shape.document_path(detail["loc"]))[detail["ctx"]["max_length"] :]
        findings += validate(model, shorter, scalars)[1]
    return None, tuple(dict.fromkeys(findings))


def value_at(tree: Any, path: DocPath) -> Any:
    """The value at a path, or None."""
    for part in path:
        try:
            tree = tree[part]
        except (KeyError, IndexError, TypeError):
            return None
    return tree


def _finding(error: ErrorDetails, tree: Any, shape: Shape, written: Mapping[DocPath, str]) -> Finding:
    path = shape.document_path(error["loc"])
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, MisplacedError):
        path = (*path, *cause.path)
    value = value_at(tree, path)
    node = shape.at(path) or {}
    number = isinstance(value, int | float) and not isinstance(value, bool)
    shown = written.get(path, show(value)) if number else show(value)
    seen = _Seen(error, path, value, node, shape, shape.at(path[:-1]) or {}, shown)
    if error["type"] == "missing":
        return Finding(path[:-1], f"is missing{_wanted(seen)}", shown=path)
    if error["type"] == "extra_forbidden":
        return Finding(path, _extra_key(seen), at_key=True)
    if error["type"] in ("step", "expectation", "table"):
        return _not_a_member(seen)
    word = _WORDING.get(error["type"])
    message = word(seen) if word else f"{shown} is not allowed here"
    # A rule between keys is found at their mapping; where its sentence begins with a key, that is the place.
    key = message.partition(" ")[0]
    if error["type"] == "value_error" and isinstance(value, dict) and key in value:
        return Finding((*path, key), message)
    return Finding(path, message)


def _wanted(seen: _Seen) -> str:
    if "enum" in seen.node:
        return f"; {allowed(seen.node['enum'])}"
    keys = seen.shape.keys(seen.node)
    return f"; a mapping with: {', '.join(keys)}" if keys else ""


def _extra_key(seen: _Seen) -> str:
    key = seen.path[-1]
    keys = seen.shape.keys(seen.parent)
    if key in keys:  # a second member of the union in one item
        return f"'{key}' does not belong into the same item; give it an item of its own"
    return f"'{key}' is not a key here; {allowed(keys)}{did_you_mean(key, keys)}"


def _not_a_member(seen: _Seen) -> Finding:
    keys = seen.shape.keys(seen.node)
    what = f"is not {'an' if seen.error['type'][0] in 'aeio' else 'a'} {seen.error['type']}; {allowed(keys)}"
    if isinstance(seen.value, dict) and seen.value:
        key = next(iter(seen.value))
        return Finding((*seen.path, key), f"'{key}' {what}{did_you_mean(key, keys)}", at_key=True)
    if seen.value in keys:
        return Finding(seen.path, f"'{seen.value}' needs a value; write '{seen.value}: ...'")
    empty = " (an empty mapping)" if seen.value == {} else ""
    return Finding(seen.path, f"{seen.shown}{empty} {what}{did_you_mean(seen.value, keys)}")


def _mapping_needed(seen: _Seen) -> str:
    keys = seen.shape.keys(seen.node)
    if seen.value in keys:
        return f"'{seen.value}' needs a value; write '{seen.value}: ...'"
    words = seen.node.get("words", ())
    neither = f" and not the word {' or '.join(map(repr, words))}" if words else ""
    return f"{seen.shown} is not a mapping{neither}; keys {allowed(keys)}{did_you_mean(seen.value, words)}"


def _text_needed(seen: _Seen) -> str:
    if isinstance(seen.value, int | float):
        return f"{seen.shown} is not text here; put it in quotes"
    return f"{seen.shown} is not text"


def _choice(seen: _Seen) -> str:
    options = seen.node.get("enum", [seen.node["const"]] if "const" in seen.node else [])
    shown = [option if isinstance(option, str) else json.dumps(option) for option in options]
    return f"{seen.shown} is not possible; {allowed(shown)}{did_you_mean(seen.value, shown)}"


def _range(seen: _Seen) -> str:
    low, high = bounds(seen.node)
    low, high = seen.context.get("ge", low), seen.context.get("le", high)
    write = size_text if is_size(seen.node) else hex if is_address(seen.node) else str
    limits = [] if low is None else [f"at least {write(low)}"]
    limits += [] if high is None else [f"at most {write(high)}"]
    limits += [f"below {write(seen.context['lt'])}"] if "lt" in seen.context else []
    return f"{seen.shown} is out of range; {allowed(limits)}"


def _rule(seen: _Seen) -> str:
    """A sentence of one of our own validators; those that begin with 'is not' speak of the value."""
    sentence = str(seen.context["error"])
    return f"{seen.shown} {sentence}" if sentence.startswith("is not ") else sentence


def _pattern(seen: _Seen) -> str:
    example = seen.node.get("examples", [""])[0]
    lower = "" if re.search(seen.node.get("pattern", ""), example.upper()) else ", in lower case"
    return f"{seen.shown} does not have the right form; it looks like '{example}'{lower}"


_WORDING: dict[str, Callable[[_Seen], str]] = {
    "model_type": _mapping_needed,
    "model_attributes_type": _mapping_needed,
    **dict.fromkeys(
        ("list_type", "tuple_type"),
        lambda seen: f"{seen.shown} is not a list; write '- ' before each item, or [a, b]",
    ),
    "string_type": _text_needed,
    "bool_type": lambda seen: f"{seen.shown} is not true or false",
    "int_type": lambda seen: f"{seen.shown} is not a whole number",
    "string_too_short": lambda seen: (
        f"is too short; at least {count(seen.context['min_length'], 'character')} {_is_needed(seen)}"
    ),
    "string_pattern_mismatch": _pattern,
    "too_short": lambda seen: f"is too short; at least {count(seen.context['min_length'], 'item')} {_is_needed(seen)}",
    "too_long": lambda seen: (
        f"has {count(len(seen.value), 'item')}; at most {seen.context['max_length']} {_is_needed(seen, 'allowed')}"
    ),
    "enum": _choice,
    "literal_error": _choice,
    "value_error": _rule,
    **dict.fromkeys(("greater_than_equal", "less_than_equal", "greater_than", "less_than"), _range),
}


def _is_needed(seen: _Seen, verb: str = "needed") -> str:
    number = seen.context.get("min_length", seen.context.get("max_length"))
    return f"{'is' if number == 1 else 'are'} {verb}"
