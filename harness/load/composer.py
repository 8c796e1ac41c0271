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
from yaml.resolver import BaseResolver

MAX_DEPTH = 40
"""Levels of nesting. The composer recurses, and so does the JSON parser that validates (limit about 200)."""
TAG = "tag:yaml.org,2002:"

_CORE_SCALARS = (
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
)
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


class _Dialect(Composer, BaseResolver):
    """PyYAML's composer over the events of either parser."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  filled below, once

    def __init__(self) -> None:
        Composer.__init__(self)
        BaseResolver.__init__(self)
        self.refused: list[Refused] = []
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[attr-defined]
        if isinstance(event, yaml.AliasEvent):
            self.get_event()  # type: ignore[attr-defined]
            self._refuse(event, "is an alias, which is not supported; write it out, or use an axis of the matrix")
            start: Any = event.start_mark
            return yaml.ScalarNode(f"{TAG}null", "", start, start)
        if event.anchor is not None:
            self._refuse(event, f"'&{event.anchor}' is an anchor, which is not supported; use an axis of the matrix")
            event.anchor = None
        if event.tag is not None:
            self._refuse(event, "has a tag ('!'), which is not supported; to get text, put it in quotes")
            event.tag = None
            event.implicit = (False, True) if isinstance(event, yaml.ScalarEvent) else True
        if self._depth >= MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"nested deeper than {MAX_DEPTH} levels", problem_mark=event.start_mark)
        self._depth += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def descend_resolver(self, current_node: Any, current_index: Any) -> None:
        """Nothing is resolved by its path here, and keeping track of it is a tenth of the work."""

    def ascend_resolver(self) -> None:
        """As :meth:`descend_resolver`."""

    def _refuse(self, event: Any, message: str) -> None:
        self.refused.append(Refused(event.start_mark, message))


for _name, _pattern, _first in _CORE_SCALARS:
    _Dialect.add_implicit_resolver(
        TAG + _name, re.compile(rf"(?:{_pattern})\Z"), [char.replace("\0", "") for char in _first]
    )


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

    class FastLoader(_Dialect, yaml._yaml.CParser):
        def __init__(self, text: str) -> None:
            yaml._yaml.CParser.__init__(self, text)
            _Dialect.__init__(self)

        def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
            event: Any = self.peek_event()
            if isinstance(event, yaml.ScalarEvent) and event.value == "" and event.implicit[0]:
                raise yaml.YAMLError("the two parsers place an empty value differently")
            return super().compose_node(parent, index)

    return FastLoader


_FastLoader = _fast_loader()
