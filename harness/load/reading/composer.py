"""YAML text to PyYAML's nodes, with the scalars of YAML 1.2's core schema; notes what the dialect refuses.

libyaml reads a scenario ten times faster than PyYAML's own parser, but it is not everywhere, words its errors otherwise
and takes some text that PyYAML refuses (tabs above all). So it is asked only about text without such characters, and
only its success counts: a mistake is looked for again, and worded, by PyYAML. A test holds the two to the same nodes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.composer import Composer

MAX_DEPTH = 40
"""Levels of nesting. The composer recurses, and so does the JSON parser that validates (limit about 200)."""
TAG = "tag:yaml.org,2002:"

_FLOAT = r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
_CORE_SCALARS = (
    ("null", re.compile(r"~|null|Null|NULL|"), "~nN"),
    ("bool", re.compile(r"true|True|TRUE|false|False|FALSE"), "tTfF"),
    ("int", re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"), "-+0123456789"),
    ("float", re.compile(_FLOAT), "-+.0123456789"),
)
"""Kind, pattern, and the characters that one can begin with; of nothing the first is in every text."""
_SAME_FOR_BOTH = re.compile("[\n -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd]*")
"""Text without tabs, carriage returns, other line breaks, byte order marks and control characters."""


@dataclass(frozen=True)
class Refused:
    """Something that YAML has and the dialect has not."""

    mark: yaml.Mark
    message: str


@dataclass(frozen=True)
class Composed:
    """The nodes of one document; None for a text without any."""

    node: yaml.Node | None
    refused: tuple[Refused, ...]


class OutOfRangeError(Exception):
    """PyYAML 6.0.3 passes \\UFFFFFFFF to chr() and the digits of %YAML to int() unchecked."""

    def __init__(self, line: int, column: int) -> None:
        super().__init__(line, column)
        self.line = line
        self.column = column


def compose(text: str) -> Composed:
    """The nodes of a text.

    Raises:
        yaml.YAMLError: the text is not YAML, or holds several documents.
        OutOfRangeError: a number or an escape in it is out of range.
    """
    return compose_fast(text) or compose_slow(text)


def compose_fast(text: str) -> Composed | None:
    """By libyaml; None when it is not there, or is not the one to ask."""
    if _FastLoader is None or _SAME_FOR_BOTH.fullmatch(text) is None:
        return None
    try:
        loader = _FastLoader(text)
        return Composed(loader.get_single_node(), tuple(loader.refused))
    except (yaml.YAMLError, ValueError, OverflowError):
        return None


def compose_slow(text: str) -> Composed:
    """By PyYAML; raises as :func:`compose`."""
    loader: _SlowLoader | None = None
    try:
        loader = _SlowLoader(text)
        return Composed(loader.get_single_node(), tuple(loader.refused))
    except yaml.reader.ReaderError:  # a ValueError too
        raise
    except (ValueError, OverflowError) as error:
        mark: Any = loader.get_mark() if loader else None
        raise OutOfRangeError(*((mark.line + 1, mark.column + 1) if mark else (1, 1))) from error


class _Dialect(Composer):
    """PyYAML's composer over the events of either parser, less what the dialect has no use for."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: list[Refused] = []
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:  # noqa: ARG002  as PyYAML calls it
        event = self._event()
        if isinstance(event, yaml.AliasEvent):
            self._refuse(event, "is an alias, which is not supported; write it out, or use an axis of the matrix")
            start: Any = event.start_mark
            return yaml.ScalarNode(f"{TAG}null", "", start, start)
        if event.anchor is not None:
            self._refuse(event, f"'&{event.anchor}' is an anchor, which is not supported; use an axis of the matrix")
        if event.tag is not None:
            self._refuse(event, "has a tag ('!'), which is not supported; to get text, put it in quotes")
        if self._depth >= MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"nested deeper than {MAX_DEPTH} levels", problem_mark=event.start_mark)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        self._depth += 1
        node = self._sequence(event) if isinstance(event, yaml.SequenceStartEvent) else self._mapping(event)
        self._depth -= 1
        return node

    def _event(self) -> Any:
        return self.get_event()  # type: ignore[attr-defined]  # of the parser

    def _scalar(self, event: Any) -> yaml.Node:
        tag = _tag(event.value) if event.tag is None and event.implicit[0] else f"{TAG}str"
        return yaml.ScalarNode(tag, event.value, event.start_mark, event.end_mark)

    def _sequence(self, start: Any) -> yaml.Node:
        items = []
        while not self.check_event(yaml.SequenceEndEvent):  # type: ignore[attr-defined]
            items.append(self.compose_node(None, None))
        return yaml.SequenceNode(f"{TAG}seq", items, start.start_mark, self._event().end_mark)

    def _mapping(self, start: Any) -> yaml.Node:
        items = []
        while not self.check_event(yaml.MappingEndEvent):  # type: ignore[attr-defined]
            items.append((self.compose_node(None, None), self.compose_node(None, None)))
        return yaml.MappingNode(f"{TAG}map", items, start.start_mark, self._event().end_mark)

    def _refuse(self, event: Any, message: str) -> None:
        self.refused.append(Refused(event.start_mark, message))


def _tag(value: str) -> str:
    """The type of a scalar without quotes."""
    for kind, pattern, first in _CORE_SCALARS:
        if value[:1] in first and pattern.fullmatch(value):
            return f"{TAG}{kind}"
    return f"{TAG}str"


class _SlowLoader(_Dialect, yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser):
    def __init__(self, text: str) -> None:
        yaml.reader.Reader.__init__(self, text)
        yaml.scanner.Scanner.__init__(self)
        yaml.parser.Parser.__init__(self)
        _Dialect.__init__(self)


def _fast_loader() -> Any:
    """The loader over libyaml; None where PyYAML was built without it."""
    if not yaml.__with_libyaml__:
        return None

    class FastLoader(_Dialect, yaml._yaml.CParser):  # noqa: SLF001  it has no other name
        def __init__(self, text: str) -> None:
            yaml._yaml.CParser.__init__(self, text)  # noqa: SLF001
            _Dialect.__init__(self)

        def _event(self) -> Any:
            event: Any = self.get_event()
            if isinstance(event, yaml.ScalarEvent) and event.value == "" and event.implicit[0]:
                raise yaml.YAMLError("the two parsers place an empty value differently")
            return event

    return FastLoader


_FastLoader = _fast_loader()
