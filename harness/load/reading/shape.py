"""Where one may go inside a document: the model's JSON Schema, walked by document paths.

The schema says which keys a place has; pydantic's error locations carry the tags of unions besides, which are no keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel

from harness.load.reading.document import DocPath

Node = Mapping[str, Any]
"""A JSON Schema object."""


class Shape:
    """The tree of places of one model."""

    def __init__(self, schema: Node) -> None:
        self._definitions: Node = schema.get("$defs", {})
        self.root = self.plain(schema)

    def plain(self, node: Node) -> Node:
        """The node with its ``$ref`` followed and the ``null`` of an optional value left out. A mapping in whose place
        words may stand has them as its ``words``.
        """
        while "$ref" in node:
            node = self._definitions[node["$ref"].rsplit("/", 1)[-1]] | {k: v for k, v in node.items() if k != "$ref"}
        choices = [choice for choice in node.get("anyOf", ()) if choice.get("type") != "null"]
        if len(choices) == 1:
            return self.plain(choices[0] | {k: v for k, v in node.items() if k != "anyOf"})
        mappings = [option for option in node.get("oneOf", ()) if "$ref" in option or "properties" in option]
        words = [option["const"] for option in node.get("oneOf", ()) if "const" in option]
        if words and len(mappings) == 1:
            notes = {key: value for key, value in node.items() if key != "oneOf"}
            return self.plain(mappings[0] | notes | {"words": words})
        return node

    def options(self, node: Node) -> tuple[Node, ...]:
        """The members of a tagged union (a step, an expectation); empty for everything else."""
        return tuple(self.plain(option) for option in node.get("oneOf", ()))

    def keys(self, node: Node) -> tuple[str, ...]:
        """The keys a mapping at this place may have."""
        own = tuple(node.get("properties", ()))
        return own + tuple(key for option in self.options(node) for key in self.keys(option))

    def child(self, node: Node, part: str | int) -> Node | None:
        """The place under a key or index, or None when the model has none there."""
        if isinstance(part, int):
            return self.plain(node["items"]) if "items" in node else None
        for mapping in (node, *self.options(node)):
            if part in mapping.get("properties", ()):
                return self.plain(mapping["properties"][part])
        return None

    def at(self, path: DocPath) -> Node | None:
        node: Node | None = self.root
        for part in path:
            node = None if node is None else self.child(node, part)
        return node

    def document_path(self, location: Iterable[str | int]) -> DocPath:
        """pydantic's ``loc`` without the tags of unions."""
        path: DocPath = ()
        node: Node | None = self.root
        for part in location:
            option = self._tagged(node, part)
            if option is not None:
                node = option
                continue
            path = (*path, part)
            node = None if node is None else self.child(node, part)
        return path

    def _tagged(self, node: Node | None, part: str | int) -> Node | None:
        # A member of a union has one key, and its tag is the name of that key.
        for option in self.options(node) if node is not None else ():
            if part in option.get("properties", ()):
                return option
        return None


@cache
def shape_of(model: type[BaseModel]) -> Shape:
    """The shape of a pydantic model."""
    return Shape(model.model_json_schema())


def bounds(node: Node) -> tuple[int | None, int | None]:
    """The smallest and largest number allowed here, both inclusive; None where there is no limit."""
    numbers = next((choice for choice in node.get("anyOf", ()) if choice.get("type") == "integer"), node)
    return numbers.get("minimum"), numbers.get("maximum")


def is_size(node: Node) -> bool:
    """Is this a number of bytes that may be written with a unit?"""
    return any("MiB" in choice.get("pattern", "") for choice in node.get("anyOf", ()))


def is_address(node: Node) -> bool:
    """Is this a guest-physical address?"""
    return "anyOf" in node and not is_size(node)
