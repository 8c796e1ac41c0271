"""The kept JSON Schema and reference, and that schema and loader say the same of files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from load_samples import ROOT, SCENARIO

from harness.errors import ScenarioErrors
from harness.load import find_files
from harness.load.reading import yaml12
from harness.load.reference import reference_text
from harness.load.schema import SCHEMA_ID, file_schema, schema_text

BAD = Path(__file__).parent / "bad"
Kept = Callable[[Path, str], None]


def test_the_kept_schema_is_the_one_of_the_models(kept: Kept) -> None:
    kept(ROOT / "harness" / "schema" / "scenario.schema.json", schema_text())


def test_the_kept_reference_is_the_one_of_the_models(kept: Kept) -> None:
    kept(ROOT / "docs" / "scenario-reference.md", reference_text())


def test_the_schema_names_its_dialect_and_version() -> None:
    schema = json.loads(schema_text())
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == SCHEMA_ID
    assert re.fullmatch(r"urn:efi-harness:scenario:[0-9]+", SCHEMA_ID)


def test_every_key_has_a_description() -> None:
    def keys(node: Any, name: str) -> Iterator[tuple[str, Any]]:
        for key, value in node.get("properties", {}).items():
            yield f"{name}.{key}", value

    schema = file_schema()
    found = [*keys(schema, "file"), *keys(schema["properties"]["matrix"], "matrix")]
    found += [item for name, node in schema["$defs"].items() for item in keys(node, name)]
    assert len(found) > 20
    assert [name for name, node in found if not node.get("description") and "$ref" not in node] == []


def test_patterns_are_valid_in_javascript() -> None:
    assert "(?P<" not in schema_text()


# A JSON Schema validator for the words that this schema uses: whatever else appears is a KeyError, not a pass.
def errors(schema: Mapping[str, Any], value: Any, root: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for word, rule in schema.items():
        found += [f"{word}: {value!r}"] if not _CHECKS[word](rule, value, root, schema) else []
    return found


def _type(rule: str, value: Any, *_: Any) -> bool:
    number = isinstance(value, int) and not isinstance(value, bool)
    return {
        "object": isinstance(value, dict),
        "array": isinstance(value, list),
        "string": isinstance(value, str),
        "boolean": isinstance(value, bool),
        "integer": number,
        "number": number or isinstance(value, float),
        "null": value is None,
    }[rule]


def _ok(rule: Any, value: Any, root: Mapping[str, Any]) -> bool:
    return not errors(rule, value, root)


def _additional(rule: bool, value: Any, root: Any, schema: Mapping[str, Any]) -> bool:
    assert rule is False
    patterns = schema.get("patternProperties", {})
    known = schema.get("properties", {})
    return not isinstance(value, dict) or all(k in known or any(re.search(p, k) for p in patterns) for k in value)


_CHECKS: dict[str, Callable[..., bool]] = {
    **dict.fromkeys(("$schema", "$id", "$defs", "title", "description", "default", "examples"), lambda *_: True),
    "type": _type,
    "$ref": lambda r, v, root, _: _ok(root["$defs"][r.removeprefix("#/$defs/")], v, root),
    "enum": lambda r, v, *_: v in r,
    "const": lambda r, v, *_: v == r and type(v) is type(r),
    "anyOf": lambda r, v, root, _: any(_ok(option, v, root) for option in r),
    "oneOf": lambda r, v, root, _: sum(_ok(option, v, root) for option in r) == 1,
    "required": lambda r, v, *_: not isinstance(v, dict) or all(key in v for key in r),
    "properties": lambda r, v, root, _: (
        not isinstance(v, dict) or all(_ok(node, v[key], root) for key, node in r.items() if key in v)
    ),
    "patternProperties": lambda r, v, root, _: (
        not isinstance(v, dict) or all(_ok(node, v[k], root) for p, node in r.items() for k in v if re.search(p, k))
    ),
    "additionalProperties": _additional,
    "items": lambda r, v, root, _: not isinstance(v, list) or all(_ok(r, item, root) for item in v),
    "minItems": lambda r, v, *_: not isinstance(v, list) or len(v) >= r,
    "maxItems": lambda r, v, *_: not isinstance(v, list) or len(v) <= r,
    "uniqueItems": lambda r, v, *_: not isinstance(v, list) or len({json.dumps(item) for item in v}) == len(v),
    "minLength": lambda r, v, *_: not isinstance(v, str) or len(v) >= r,
    "pattern": lambda r, v, *_: not isinstance(v, str) or re.search(r, v) is not None,
    "minimum": lambda r, v, *_: not isinstance(v, int) or isinstance(v, bool) or v >= r,
    "maximum": lambda r, v, *_: not isinstance(v, int) or isinstance(v, bool) or v <= r,
}


@pytest.mark.parametrize("path", find_files(ROOT / "scenarios"), ids=lambda path: path.stem)
def test_the_schema_takes_every_scenario(path: Path) -> None:
    schema = file_schema()
    assert errors(schema, yaml12.read(path).tree, schema) == []


# What the schema cannot say: rules between keys, axes, limits behind units, and what is wrong in the YAML itself.
BEYOND = {
    "two-tables", "no-initrd-alone", "no-initrd-not-last", "no-initrd-refused", "bgrt-and-vga", "tpm-log-without-tpm",
    "half-pages", "kernel-at-odd-place", "map-file-missing", "map-file-not-there", "map-file-wrong",
    "map-of-another-guest", "overlapping-ranges", "range-outside-memory", "too-many-canaries",
    "boot-twice", "kexec-before-boot", "esrt-in-two-places", "rules-between-keys", "same-kernel-name", "limits",
    "too-many-variants", "unknown-axis", "unused-axis", "axis-value-wrong", "half-a-character", "duplicate-key",
    "tag", "key-is-no-word", "merge-key", "axis-in-the-id",
    "refused-kexec-alone", "runtime-armed-not-hooked", "runtime-armed-set-variable", "runtime-fault-needs-memattr",
    "runtime-fault-without-set-variable", "runtime-none-is-no-fault", "runtime-not-hooked",
    "runtime-nothing-to-contain", "steps-after-reboot",
    "crash-kernel-without-crashkernel", "kernel-at-outside-memory", "pad-over-memory", "table-below-too-much",
    "table-outside-memory",
}  # fmt: skip


@pytest.mark.parametrize("path", sorted(BAD.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_schema_refuses_what_the_loader_refuses(path: Path) -> None:
    try:
        document = yaml12.read(path)
    except ScenarioErrors:
        return  # not YAML: no editor gets as far as the schema
    schema = file_schema()
    if path.stem not in BEYOND:
        assert errors(schema, document.tree, schema)


def test_the_small_validator_goes_red() -> None:
    schema = file_schema()
    tree = yaml12.parse(SCENARIO, "f").tree
    assert errors(schema, tree, schema) == []
    assert errors(schema, tree | {"bogus": 1}, schema)
    assert errors(schema, tree | {"steps": ["boots"]}, schema)
    assert errors(schema, tree | {"machine": {"memory": "1Gib"}}, schema)
    assert errors(schema, tree | {"matrix": {"kernel": [1]}}, schema)
