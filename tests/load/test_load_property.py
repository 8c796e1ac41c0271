"""Whatever is in a file: either variants, or mistakes with a place inside the file. Never another exception."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from load_samples import ROOT, SCENARIO

from harness.errors import InputError, Mistake, ScenarioErrors
from harness.load import Overrides, find_files, load_files
from harness.load.known_issues import load_known_issues
from harness.load.reading import composer, yaml12

SEEDS = [SCENARIO, *(path.read_text(encoding="utf-8") for path in find_files(ROOT / "scenarios"))]
BAD = sorted(Path(__file__).parent.glob("bad/*.yaml"))
SEEDS += [path.read_text(encoding="utf-8", errors="replace") for path in BAD]
PIECES = st.sampled_from(
    [":", ": ", "- ", "\n", "  ", "{", "}", "[", "]", "'", '"', "&a ", "*a", "!!str ", "<<: ", "${", "${kernel}", "%",
     "|", "\t", "---\n", "...\n", "0x", "1e999", ".nan", "null", "\0", "\ud7ff", "\x85", "\u2028", "\ufeff", "\\ud800",
     "\r"]
)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | PIECES | st.just("boot")
KEYS = st.sampled_from(
    ["id", "why", "refs", "matrix", "kernel", "firmware", "machine", "memory", "cpus", "steps", "boot", "kexec",
     "syscall", "initrd", "pad", "expect", "table_intact", "no_crash", "tables", "esrt", "below", "at", "cmdline"]
) | st.text(max_size=3)  # fmt: skip
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6), max_leaves=20
)


def outcome(read: Callable[[], object]) -> InputError | None:
    try:
        read()
    except InputError as error:
        return error
    return None


def check_place(mistake: Mistake, file: str, text: str) -> None:
    # Just behind the last line is where an unclosed bracket is found.
    lines = [*re.split("\r\n|[\r\n\x85\u2028\u2029]", text), ""]  # the line breaks of YAML
    assert mistake.file == file
    assert 1 <= mistake.line <= len(lines)
    assert 1 <= mistake.column <= len(lines[mistake.line - 1]) + 2
    assert mistake.message
    assert f"{mistake.path}{mistake.message}".isprintable()


def check(data: bytes, overrides: Overrides = Overrides()) -> None:  # noqa: B008
    """Both readers either succeed or refuse with places; only an override may be refused without a place."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "f.yaml")
        path.write_bytes(data)
        for read in (lambda: load_files([path], overrides), lambda: load_known_issues(path)):
            error = outcome(read)
            if isinstance(error, ScenarioErrors):
                assert error.mistakes
                for mistake in error.mistakes:
                    check_place(mistake, str(path), data.decode("utf-8", "replace"))
            elif error is not None:
                assert overrides.sets
                assert error.message.isprintable()


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    text = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        text = text[:start] + draw(PIECES | SCALARS.map(str)) + text[end:]
    return text.encode("utf-8", "surrogatepass")


@settings(max_examples=120, deadline=None)
@given(mutated())
def test_mutated_files(data: bytes) -> None:
    check(data)


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"")
@example(b"\x00")
@example(b"\xff\xfe")
def test_random_bytes(data: bytes) -> None:
    check(data)


@settings(max_examples=120, deadline=None)
@given(TREES, st.sampled_from(SEEDS), KEYS)
def test_random_trees(tree: object, seed: str, key: str) -> None:
    """Well-formed YAML of the right words in wrong places, alone and put into a scenario that is right."""
    check(yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass"))
    try:
        whole = yaml12.parse(seed, "seed").tree
    except ScenarioErrors:
        return
    if isinstance(whole, dict):
        check(yaml.safe_dump(whole | {key: tree}, allow_unicode=True, sort_keys=False).encode("utf-8", "surrogatepass"))


PARTS = st.sampled_from(
    ["machine", "memory", "steps", "[0]", "[1]", "[2]", "[9]", "kexec", "initrd", "pad", "boot", "cmdline", "expect",
     "firmware", "kernel", "refs", "id", "tables", "esrt", "at", "x"]
)  # fmt: skip
KNOWN_PATHS = st.sampled_from(
    ["machine", "machine.memory", "machine.cpus", "steps", "steps[0]", "steps[0].boot", "steps[1].kexec.initrd.pad",
     "why", "steps[1].kexec.cmdline[0]", "expect[0].no_crash", "firmware.tables[0].esrt", "kernel", "firmware",
     "cmdline[0]"]
)  # fmt: skip
PATHS = KNOWN_PATHS | st.lists(PARTS, min_size=1, max_size=5).map(lambda parts: ".".join(parts).replace(".[", "["))


@settings(max_examples=120, deadline=None)
@given(PATHS, SCALARS.map(str) | TREES.map(lambda tree: yaml.safe_dump(tree, default_flow_style=True)))
def test_random_settings(path: str, value: str) -> None:
    check(SCENARIO.encode(), Overrides(sets=((path, value),)))


def drawn(composed: composer.Composed) -> object:
    """Nodes, places and refusals as plain values, to be compared."""

    def one(node: yaml.Node) -> object:
        mark: Any = node.start_mark
        value = node.value if isinstance(node.value, str) else [parts(item) for item in node.value]
        return (type(node), node.tag, mark.line, mark.column, value)

    def parts(item: Any) -> object:
        return tuple(map(one, item)) if isinstance(item, tuple) else one(item)

    refused: list[Any] = [(item.mark.line, item.mark.column, item.message) for item in composed.refused]
    return (one(composed.node) if composed.node is not None else None, refused)


FAST = pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML is without libyaml here")


def check_same(text: str) -> bool:
    """Where libyaml has an answer it is PyYAML's; says whether it had one."""
    fast = composer.compose_fast(text)
    if fast is not None:
        assert drawn(fast) == drawn(composer.compose_slow(text))
    return fast is not None


@FAST
@settings(max_examples=200, deadline=None)
@given(mutated() | TREES.map(lambda tree: yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass")))
@example(b"a: &x 1\nb: *x\n!!str c: !d e\n")
@example("- \U0001f600 \u00e4: x\n- [\u20ac, {y: z}]\n".encode())
@example(b"a: |2-\n    x\n\n  y\nb: >+\n  z\n\n")
def test_both_parsers_give_the_same_nodes(data: bytes) -> None:
    check_same(data.decode("utf-8", "replace"))


@FAST
def test_every_scenario_is_read_by_the_fast_parser() -> None:
    files = find_files(ROOT / "scenarios")
    assert [path.name for path in files if not check_same(path.read_text(encoding="utf-8"))] == []


@FAST
@pytest.mark.parametrize(
    "text",
    [
        "a:\t1\n",
        "a: 1\r\n",
        "\ufeffa: 1\n",
        "a: [1\n",
        "a: b: c\n",
        "--- a\n--- b\n",
        "[a, b: , c]\n",
        "a:\n",
    ],
)
def test_what_the_parsers_may_take_differently_is_not_asked_of_the_fast_one(text: str) -> None:
    assert composer.compose_fast(text) is None
