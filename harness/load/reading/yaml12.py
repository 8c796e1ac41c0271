"""YAML text to a plain tree, with the place of every key and value; nothing is known here about scenarios.

The dialect is a small part of YAML 1.2 (core schema, https://yaml.org/spec/1.2.2/#103-core-schema), which editors
use too. PyYAML itself reads YAML 1.1, where ``on`` is true, ``1:30`` is 90, ``010`` is 8 and ``2026-11-21`` a date.
Anchors, aliases, merge keys and tags are refused: the matrix says the same thing in the open.
A key that stands twice in a mapping is refused, because the second would win in silence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from harness.errors import Mistake, ScenarioErrors
from harness.load.reading.composer import TAG, OutOfRangeError, Refused, compose
from harness.load.reading.document import DocPath, Document, Spot, dotted, mistake_at

MAX_FILE_BYTES = 2**20
MAX_NUMBER_CHARS = 40
"""More is no number that a scenario can mean, and Python refuses to convert more than 4300 digits."""

_EMPTY = "is empty; see docs/writing-scenarios.md for a first scenario"
_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def read(path: Path, when_empty: str = _EMPTY) -> Document:
    """Read and parse a file.

    Raises:
        ScenarioErrors: it cannot be read, is not UTF-8, not YAML, empty, or holds several documents.
    """
    file = str(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ScenarioErrors([mistake_at(file, 1, 1, "", f"cannot be read: {reason}")]) from error
    except ValueError as error:  # a NUL in the name
        raise ScenarioErrors([mistake_at(file, 1, 1, "", f"is not the name of a file: {error}")]) from error
    if len(data) > MAX_FILE_BYTES:
        raise ScenarioErrors([mistake_at(file, 1, 1, "", "is bigger than 1 MiB; this is no scenario file")])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _place(data[: error.start].decode("utf-8-sig", "replace"))
        message = f"is not UTF-8 text: byte 0x{data[error.start]:02x}"
        raise ScenarioErrors([mistake_at(file, line, column, "", message)]) from error
    return parse(text, file, when_empty)


def parse(text: str, file: str, when_empty: str = _EMPTY) -> Document:
    """Parse one YAML document.

    Raises:
        ScenarioErrors: the text is not YAML, is empty, or holds several documents.
    """
    try:
        composed = compose(text)
    except yaml.reader.ReaderError as error:
        line, column = _place(text[: error.position])
        message = f"has the character U+{ord(text[error.position]):04X}, which YAML does not allow"
        raise ScenarioErrors([mistake_at(file, line, column, "", message)]) from error
    except yaml.MarkedYAMLError as error:
        raise ScenarioErrors([_syntax_mistake(error, file)]) from error
    except OutOfRangeError as error:
        message = "is not YAML: a number or escape is out of range"
        raise ScenarioErrors([mistake_at(file, error.line, error.column, "", message)]) from error
    node = composed.node
    if node is None:
        raise ScenarioErrors([mistake_at(file, 1, 1, "", when_empty)])
    walk = _Walk(file, composed.refused)
    tree = walk.value(node, (), node.start_mark)
    return Document(file, tree, MappingProxyType(walk.spots), tuple(walk.mistakes))


def parse_value(text: str) -> Any:
    """One YAML value, such as the right side of ``--set machine.memory=2GiB``.

    Raises:
        ScenarioErrors: it is not one.
    """
    if not text.strip():
        return None
    document = parse(text, "")
    if document.mistakes:
        raise ScenarioErrors(document.mistakes)
    return document.tree


def _place(before: str) -> tuple[int, int]:
    """Line and column, from 1, of the character that follows ``before``; line breaks as PyYAML counts them."""
    lines = _LINE_BREAK.split(before)
    return len(lines), len(lines[-1]) + 1


_PROBLEMS = (
    ("mapping values are not allowed", "a ': ' that is not expected here; put text with a colon in quotes"),
    ("found character '\\t'", "a tab; YAML is indented with spaces"),
    ("could not find expected ':'", "a key without ': ' after it"),
    ("found unexpected end of stream", "a quote that is never closed"),
    ("found character '@'", "text that begins with '@'; put it in quotes"),
    ("found character '`'", "text that begins with '`'; put it in quotes"),
    ("found character '%'", "text that begins with '%'; put it in quotes"),
    ("expected ',' or ']'", "a list that is not closed with ']' or lacks a ','"),
    ("expected ',' or '}'", "a mapping that is not closed with '}' or lacks a ','"),
    ("expected <block end>", "an indentation that does not fit, or something after a quoted text or a closing bracket"),
    ("but found another document", "a second document; one file holds one scenario"),
    ("but found '<stream end>'", "the end of the file inside a list or mapping that is not closed"),
    ("found unknown escape character", "an unknown escape in a quoted text; in single quotes \\ is only a \\"),
)


def _syntax_mistake(error: yaml.MarkedYAMLError, file: str) -> Mistake:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    problem = f"{error.problem or ''}".replace("\n", " ")
    for known, text in _PROBLEMS:
        if known in problem:
            return mistake_at(file, line, column, "", f"is not YAML: {text}")
    return mistake_at(file, line, column, "", f"is not YAML: {problem or 'cannot be read'}")


@dataclass
class _Walk:
    """From the node tree to plain values; collects spots and mistakes on the way."""

    file: str
    refused: Sequence[Refused]
    spots: dict[DocPath, Spot] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    def __post_init__(self) -> None:
        for item in self.refused:
            self._mistake(item.mark, (), item.message)

    def _mistake(self, mark: yaml.Mark, path: DocPath, message: str) -> None:
        self.mistakes.append(mistake_at(self.file, mark.line + 1, mark.column + 1, dotted(path), message))

    def value(self, node: yaml.Node, path: DocPath, key_mark: yaml.Mark) -> Any:
        start = node.start_mark
        text = node.value if isinstance(node, yaml.ScalarNode) else None
        self.spots[path] = Spot(start.line + 1, start.column + 1, key_mark.line + 1, key_mark.column + 1, text)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, n), item.start_mark) for n, item in enumerate(node.value)]
        return self._scalar(node.value, node.tag.removeprefix(TAG), path, start)

    def _mapping(self, node: yaml.MappingNode, path: DocPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            mark = key_node.start_mark
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != f"{TAG}str":
                shown = repr(key) if isinstance(key, str) else "a list or mapping"
                self._mistake(mark, path, f"{shown} is not a key; keys are words")
            elif key == "<<":
                self._mistake(mark, path, "'<<' (a merge key) is not supported; write the keys out")
            elif _SURROGATE.search(key):
                self._mistake(mark, path, "has half a character (a surrogate) in a key")
            elif key in result:
                first = self.spots[(*path, key)].key_line
                self._mistake(mark, (*path, key), f"{key!r} stands here twice; the first is in line {first}")
            else:
                result[key] = self.value(value_node, (*path, key), mark)
        return result

    def _scalar(self, text: str, kind: str, path: DocPath, mark: yaml.Mark) -> Any:
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind in ("int", "float"):
            if len(text) > MAX_NUMBER_CHARS:
                self._mistake(mark, path, f"is a number of {len(text)} characters; put text in quotes")
                return 0
            return _number(text) if kind == "int" else float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        if _SURROGATE.search(text):
            self._mistake(mark, path, "has half a character (a surrogate)")
            return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
        return text


def _number(text: str) -> int:
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    return int(text[2:] if base != 10 else text, base)
