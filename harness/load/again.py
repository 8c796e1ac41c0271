"""The words of a command line that mean one variant and no other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from harness.errors import ScenarioErrors
from harness.load.matrix import Scalar, value_text
from harness.load.overrides import Overrides, is_axis, read_settings
from harness.load.reading.yaml12 import parse_value
from harness.load.scenarios import Variant


def words_for(variant: Variant, overrides: Overrides, root: Path) -> tuple[str, ...]:
    """A pattern, and an option for each axis and for each value that was set.

    Args:
        overrides: what ``variant`` was loaded with.
        root: the folder in which ids are looked up; a scenario that lies elsewhere is named by its file.
    """
    below = Path(variant.file).resolve().is_relative_to(root.resolve())
    return (variant.scenario.id if below else variant.file, *_axes(variant), *_sets(variant, overrides))


def _axes(variant: Variant) -> Iterator[str]:
    for name, value in variant.axes:
        if name in ("kernel", "firmware"):
            yield from (f"--{name}", str(value))
        else:
            yield from ("--set", f"{name}={_yaml(value)}")


def _sets(variant: Variant, overrides: Overrides) -> Iterator[str]:
    names = [name for name, _ in variant.axes]
    for setting, (path, text) in zip(read_settings(overrides), overrides.sets, strict=True):
        if not is_axis(setting, names):
            yield from ("--set", f"{path}={text}")


def _yaml(value: Scalar) -> str:
    """The value as YAML that gives it back with its type: text that looks like a number is quoted."""
    text = value_text(value)
    try:
        same = parse_value(text) == value and type(parse_value(text)) is type(value)
    except ScenarioErrors:
        same = False
    return text if same else json.dumps(value)
