"""What the command line changes in a scenario: ``--kernel``, ``--firmware`` and ``--set PATH=VALUE``.

A changed document goes through the same validation as a written one. Nothing is ignored: a path that the schema does
not have is refused at once, one that does not fit a selected file is a mistake of that file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import InputError, Mistake, ScenarioErrors
from harness.load.matrix import Scalar, names_in, uses, value_mistake
from harness.load.reading.document import DocPath, Document, dotted, one_line
from harness.load.reading.messages import value_at
from harness.load.reading.shape import shape_of
from harness.load.reading.words import allowed, count, did_you_mean, show
from harness.load.reading.yaml12 import parse_value
from harness.model.scenario import Scenario

_PART = re.compile(r"(?:^|\.)([A-Za-z_][A-Za-z0-9_-]*)|\[([0-9]{1,4})\]")
_FIXED_KEYS = ("id", "matrix", "kernel", "firmware_name")
"""Keys that ``--set`` cannot change: a stable name, and what is an axis."""


@dataclass(frozen=True)
class Overrides:
    """Replacements for the matrix and for single values.

    ``kernels`` and ``firmware`` replace their axes. ``sets`` holds pairs of a path (or the name of an axis) and a
    value as YAML text.
    """

    kernels: tuple[str, ...] = ()
    firmware: tuple[str, ...] = ()
    sets: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Setting:
    """One ``--set``, read."""

    path: DocPath
    value: Any
    text: str
    """As it was given."""


def parse_set(text: str) -> tuple[str, str]:
    """``machine.memory=2GiB`` as a pair for ``Overrides.sets``.

    Raises:
        InputError: there is no ``=``, or nothing before it.
    """
    path, equals, value = text.partition("=")
    if not equals or not path.strip():
        raise InputError(f"--set {text}: is not PATH=VALUE", hint="for example --set machine.memory=2GiB")
    return path.strip(), value


def read_settings(overrides: Overrides) -> tuple[Setting, ...]:
    """The settings of ``overrides.sets`` with paths and values parsed.

    Raises:
        InputError: a path or value cannot be read.
    """
    settings = []
    for path, text in overrides.sets:
        whole = one_line(f"--set {path}={text}")
        try:
            value = parse_value(text)
        except ScenarioErrors as error:
            message = f"{whole}: the value {error.mistakes[0].message}"
            raise InputError(message, hint="put text with special characters in quotes") from error
        if any(uses(value)):
            raise InputError(f"{whole}: the value names an axis; write the value itself")
        settings.append(Setting(_parse_path(path, whole), value, whole))
    return tuple(settings)


def _parse_path(path: str, whole: str) -> DocPath:
    parts: list[str | int] = []
    end = 0
    while match := _PART.match(path, end) if end < len(path) else None:
        parts.append(match[1] if match[1] is not None else int(match[2]))
        end = match.end()
    if end != len(path) or not parts or isinstance(parts[0], int):
        hint = "paths look like machine.memory or steps[1].kexec.initrd.pad"
        raise InputError(f"{whole}: '{path}' is not a path", hint=hint)
    return tuple(parts)


def check_settings(settings: Sequence[Setting], axes: Sequence[str]) -> None:
    """Refuse paths that no scenario can have; ``axes`` are the axes of the selected files.

    Raises:
        InputError: the first such path, with a did-you-mean.
    """
    for setting in settings:
        shape = shape_of(Scenario)
        if is_axis(setting, axes):
            continue
        if setting.path[0] in _FIXED_KEYS:
            raise InputError(
                f"{setting.text}: '{setting.path[0]}' cannot be set",
                hint="--kernel and --firmware replace these axes; other axes are set by their name",
            )
        node = shape.root
        for n, part in enumerate(setting.path):
            child = shape.child(node, part)
            if child is None:
                raise _no_such_path(setting, n, [key for key in shape.keys(node) if n or key not in _FIXED_KEYS], axes)
            node = child


def _no_such_path(setting: Setting, n: int, keys: Sequence[str], axes: Sequence[str]) -> InputError:
    part, before = setting.path[n], dotted(setting.path[:n]) or "a scenario"
    if isinstance(part, int):
        return InputError(f"{setting.text}: {before} is not a list")
    options = [*keys, *(axes if n == 0 else ())]
    if not options:
        return InputError(f"{setting.text}: {before} has no keys" + ("; it is a list" if _is_list(setting, n) else ""))
    return InputError(f"{setting.text}: {before} has no key '{part}'; {allowed(options)}{did_you_mean(part, options)}")


def _is_list(setting: Setting, n: int) -> bool:
    return "items" in (shape_of(Scenario).at(setting.path[:n]) or {})


def is_axis(setting: Setting, axes: Sequence[str]) -> bool:
    """Does this setting name an axis? ``firmware`` alone is the axis; with a path behind it, the key of the file."""
    name = setting.path[0]
    known = name in axes or name in ("kernel", "firmware")
    return len(setting.path) == 1 and known and not isinstance(setting.value, dict)


def replaced_axes(
    overrides: Overrides, settings: Sequence[Setting], axes: Sequence[str]
) -> Mapping[str, tuple[Scalar, ...]]:
    """New values for axes.

    Raises:
        InputError: a value that an axis cannot have, or one twice.
    """
    named = {"kernel": overrides.kernels, "firmware": overrides.firmware}
    given: dict[str, tuple[Any, ...]] = {name: values for name, values in named.items() if values}
    for setting in settings:
        if is_axis(setting, axes):
            values = tuple(setting.value) if isinstance(setting.value, list) else (setting.value,)
            given[str(setting.path[0])] = values
    for name, values in given.items():
        wrong = next(filter(None, (value_mistake(name, value) for value in values)), "")
        if wrong or not values:
            raise InputError(f"the new values of the axis '{name}': {wrong or 'there are none'}")
        if len({str(value).rsplit("/", 1)[-1] for value in values}) != len(values):
            raise InputError(f"the new values of the axis '{name}': two have the same name in an id")
    return given


def apply_settings(document: Document, tree: Any, settings: Sequence[Setting]) -> list[Mistake]:
    """Change ``tree`` in place; returns the settings that do not fit this file."""
    mistakes: list[Mistake] = []
    for setting in settings:
        message = _apply(tree, setting)
        if message:
            mistakes.append(document.mistake(setting.path, f"{message} ({setting.text})"))
    return mistakes


def _apply(tree: Any, setting: Setting) -> str:
    old = value_at(tree, setting.path)
    if names_in(old):
        return f"the file has '{old}' here; set the axis instead: --set {names_in(old)[0]}=..."
    place = tree
    for n, (part, following) in enumerate(zip(setting.path, setting.path[1:], strict=False)):
        wrong = _wrong_place(place, part, setting.path[:n])
        if wrong:
            return wrong
        inner = value_at(place, (part,))
        if inner is None:
            inner = _put(place, part, [] if isinstance(following, int) else {})
        elif inner == following and isinstance(following, str):  # the short form of a step
            inner = _put(place, part, {following: {}})
        place = inner
    wrong = _wrong_place(place, setting.path[-1], setting.path[:-1])
    if not wrong:
        _put(place, setting.path[-1], setting.value)
    return wrong


def _put(place: Any, part: str | int, value: Any) -> Any:
    """Store a value under a key or index, the index after the last one included; returns the value."""
    if isinstance(part, int) and part == len(place):
        place.append(value)
    else:
        place[part] = value
    return value


def _wrong_place(place: Any, part: str | int, path: DocPath) -> str:
    """Why ``part`` cannot be set in ``place``; empty when it can."""
    if isinstance(part, int):
        if not isinstance(place, list):
            return f"{dotted(path)} is {show(place)}, not a list"
        fixed = path in (("steps",), ("expect",))  # a scenario with other steps is another scenario
        return "" if part < len(place) + (not fixed) else f"{dotted(path)} has only {count(len(place), 'item')}"
    if not isinstance(place, dict):
        return f"{dotted(path)} is {show(place)}, not a mapping"
    siblings = {option for step in ("steps", "expect") if path[:1] == (step,) for option in place}
    if len(path) == 2 and isinstance(path[1], int) and siblings and part not in siblings:
        return f"{dotted(path)} is a '{next(iter(siblings))}'{did_you_mean(part, siblings)}"
    return ""
