"""The JSON Schema (2020-12) of scenario files, for editors: completion, hover texts and the same limits as here.

Made from the model and from what a file has more than the model: the matrix in the place of ``kernel`` and
``firmware_name``, the short forms such as ``boot`` and ``no_crash``, and ``${axis}`` in the place of any scalar.
The kept copy is harness/schema/scenario.schema.json; a test compares.
"""

from __future__ import annotations

import copy
import json
import re
from typing import Any

from harness.load.expand import file_keys
from harness.load.matrix import DEFAULT_FIRMWARE
from harness.model.scenario import SHORT_EXPECTATIONS, SHORT_STEPS, Scenario

SCHEMA_VERSION = 1
"""Counted up when a file that was right becomes wrong."""
SCHEMA_ID = f"urn:efi-harness:scenario:{SCHEMA_VERSION}"

_AXIS_USE = {"type": "string", "pattern": r"\$\{[a-z][a-z0-9-]*\}", "description": "A value of the matrix."}
_SHORT_FORMS = {
    key: {word: f"The same as {{{word}: {json.dumps(value)}}}." for word, value in words.items()}
    for key, words in (("steps", SHORT_STEPS), ("expect", SHORT_EXPECTATIONS))
}
_NOTES = ("title", "description", "default", "examples")
_VALUE = {"anyOf": [{"type": "string", "minLength": 1}, {"type": "number"}, {"type": "boolean"}]}


def _axis(items: dict[str, Any], description: str, **more: Any) -> dict[str, Any]:
    common = {"type": "array", "minItems": 1, "uniqueItems": True}
    return common | {"items": items, "description": description} | more


_NAME = {"type": "string", "minLength": 1}
_MATRIX: dict[str, Any] = {
    "type": "object",
    "description": "Axes and their values. The scenario runs once for every combination; a further axis is put in "
    "wherever its name stands as ${axis}.",
    "required": ["kernel"],
    "properties": {
        "kernel": _axis(
            _NAME,
            "Kernels that boot first: names from kernels/, or paths of a bzImage or .deb.",
            examples=[["debian-6.1-cloud", "debian-6.12-cloud"]],
        ),
        "firmware": _axis(_NAME, "Firmware builds, by name.", default=[DEFAULT_FIRMWARE]),
    },
    "patternProperties": {"^[a-z][a-z0-9-]*$": _axis(_VALUE, "A further axis.")},
    "additionalProperties": False,
}


def file_schema() -> dict[str, Any]:
    """The schema of a scenario file."""
    model = copy.deepcopy(Scenario.model_json_schema())
    properties = {key: model["properties"].get(key, _MATRIX) for key in file_keys()}
    for key, texts in _SHORT_FORMS.items():
        short = [{"const": word, "description": text} for word, text in texts.items()]
        properties[key]["items"] = {"oneOf": [*short, *properties[key]["items"]["oneOf"]]}
    definitions = {name: _with_axes(node, model["$defs"]) for name, node in model["$defs"].items()}
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "Scenario file",
        "description": "A scenario with its matrix: what is set up, what happens, what must hold.",
        "type": "object",
        "additionalProperties": False,
        "required": [key for key in file_keys() if key in model["required"] or key == "matrix"],
        "properties": {
            key: node if key in ("id", "matrix") else _scalar_or_axis(node, model["$defs"])
            for key, node in properties.items()
        },
        "$defs": {name: node for name, node in definitions.items() if "enum" not in node} | _enums(definitions),
    }
    _tidy(schema)
    return schema


def schema_text() -> str:
    """The kept copy, byte for byte."""
    return json.dumps(file_schema(), indent=2, ensure_ascii=False) + "\n"


def _enums(definitions: dict[str, Any]) -> dict[str, Any]:
    return {name: node for name, node in definitions.items() if "enum" in node}


def _with_axes(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    if "properties" not in node:
        return node
    inner = {key: _scalar_or_axis(value, definitions) for key, value in node["properties"].items()}
    return node | {"properties": inner}


def _scalar_or_axis(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Let ``${axis}`` stand where a scalar stands that is not any text."""
    target = definitions[node["$ref"].rsplit("/", 1)[-1]] if "$ref" in node else node
    choices = node.get("anyOf", [])
    if any("$ref" in choice and "properties" in definitions[choice["$ref"].rsplit("/", 1)[-1]] for choice in choices):
        return node  # a mapping that may be left out
    if any("const" in option for option in node.get("oneOf", ())):
        return node | {"oneOf": [*node["oneOf"], _AXIS_USE]}  # a word in the place of a mapping
    scalar = "enum" in target or target.get("type") in ("integer", "boolean") or choices
    if not scalar or any(choice == {"type": "string"} for choice in choices):
        return node
    notes = {key: value for key, value in node.items() if key in _NOTES}
    rest = {key: value for key, value in node.items() if key not in (*_NOTES, "anyOf")}
    return notes | {"anyOf": [*(choices or [rest]), _AXIS_USE]}


def _tidy(node: Any) -> None:
    """Drop pydantic's titles, which only repeat the key, and write patterns as JavaScript (ECMA-262) reads them."""
    if isinstance(node, dict):
        if isinstance(node.get("pattern"), str):
            node["pattern"] = re.sub(r"\(\?P<\w+>", "(", node["pattern"])
        if isinstance(node.get("title"), str) and "$id" not in node:
            del node["title"]
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _tidy(value)
