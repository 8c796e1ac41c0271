"""docs/scenario-reference.md, made from the schema of scenario files; a test compares the kept copy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from harness.load.reading.shape import Node, Shape, bounds, is_address, is_size
from harness.load.reading.words import size_text
from harness.load.schema import SCHEMA_VERSION, file_schema

_HEAD = f"""\
# Scenario reference

Made from the models in harness/model/; do not edit (`HARNESS_UPDATE=1 pytest tests/load` writes it again).
Schema version {SCHEMA_VERSION}. How to write a scenario: [writing-scenarios.md](writing-scenarios.md).

Sizes are bytes, or a number with KiB, MiB or GiB. Addresses are guest-physical. `${{axis}}` may stand for any scalar
but the id. Unknown keys, keys that stand twice, anchors, aliases, merge keys and tags are refused.
"""
_TABLE = "| key | type | default | allowed | description | example |\n|---|---|---|---|---|---|\n"


_SHORT = ("steps[]", "expect[]")
"""Lists with items that may be written as one word."""
_MEMBERS = "A list; each item is a mapping with one of these keys."
_ALONE = " Without options `boot` and `no_crash` may stand alone."


def reference_text() -> str:
    """The whole page as Markdown."""
    schema = file_schema()
    shape = Shape(schema)
    sections = [_HEAD]
    for title, node in _mappings(shape, shape.plain(schema), ""):
        rows = [_row(shape, key, value, _need(key, node)) for key, value in node.get("properties", {}).items()]
        text = f"{node['description']}\n\n" if node.get("description") else ""
        sections.append(f"## {title or 'The file'}\n\n{text}{_TABLE}" + "".join(rows))
    return "\n".join(sections)


def _mappings(shape: Shape, node: Node, path: str) -> Iterator[tuple[str, Node]]:
    """Every mapping of the document in depth-first order with the path of its place."""
    if "properties" in node:
        yield path, node
    for key, raw in node.get("properties", {}).items():
        yield from _mappings(shape, shape.plain(raw), f"{path}.{key}" if path else key)
    if "items" in node:
        yield from _mappings(shape, shape.plain(node["items"]), f"{path}[]")
    members = [option for option in shape.options(node) if "properties" in option]
    if members:
        properties = {key: value for option in members for key, value in option["properties"].items()}
        yield (
            path,
            {"description": _MEMBERS + (_ALONE if path in _SHORT else ""), "properties": properties},
        )
        for key, raw in properties.items():
            yield from _mappings(shape, shape.plain(raw), f"{path}.{key}")


def _need(key: str, node: Node) -> str:
    """What stands under ``default`` for a key without one."""
    if "required" not in node and "type" not in node:
        return "one of these"
    return "required" if key in node.get("required", ()) else ""


def _row(shape: Shape, key: str, raw: Node, need: str) -> str:
    outer = shape.plain(raw)
    node = _without_axis(shape, outer)
    kind = _type(shape, node)
    cells = [
        f"`{key}`",
        kind,
        need or _default(outer, node, kind),
        _allowed(shape, node),
        str(outer.get("description", "")),
        ", ".join(f"`{_written(example)}`" for example in outer.get("examples", ())),
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _without_axis(shape: Shape, node: Node) -> Node:
    choices = [choice for choice in node.get("anyOf", ()) if "${" not in choice.get("pattern", "").replace("\\", "")]
    return shape.plain({**node, "anyOf": choices}) if choices else node


def _type(shape: Shape, node: Node) -> str:
    if is_size(node):
        return "size"
    if is_address(node):
        return "address"
    if "items" in node:
        return f"list of {_plural(_type(shape, shape.plain(node['items'])))}"
    for key, kind in (("enum", "word"), ("oneOf", "mapping"), ("words", "mapping or word")):
        if key in node:
            return kind
    return {"object": "mapping", "string": "text", "boolean": "true or false", "integer": "number"}[node["type"]]


def _plural(kind: str) -> str:
    return kind if kind == "text" else f"{kind}s"


def _default(outer: Node, node: Node, kind: str) -> str:
    value = outer.get("default")
    if value is None:
        return {"mapping": "`{}`", "mapping or word": "`{}`"}.get(kind, "`[]`" if kind.startswith("list") else "none")
    if kind == "size":
        return f"`{size_text(value)}`"
    return f"`{hex(value) if is_address(node) else _written(value)}`"


def _allowed(shape: Shape, node: Node) -> str:
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    if "const" in node:
        return f"`{_written(node['const'])}`"
    if node.get("type") == "integer":
        low, high = bounds(node)
        return f"{low} to {high}"
    if "items" in node:
        low, high = node.get("minItems"), node.get("maxItems")
        return " ".join(text for text in (f"at least {low}" if low else "", f"at most {high}" if high else "") if text)
    if "pattern" in node:
        return f"`{node['pattern']}`"
    return ", ".join(f"`{key}`" for key in (*shape.keys(node), *node.get("words", ())))


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
