"""The agent's C files lie in layers: none includes or calls, on whatever way, a file that does so with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.firmware.build import SOURCES

_NOISE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
_INCLUDE = re.compile(r'^#include "(?P<name>[\w/]+)\.h"', re.MULTILINE)
_DEFINITION = re.compile(
    r"^(?P<kind>[A-Za-z_][^\n;={}#]*?)(?P<name>\b[a-z_]\w*)\((?P<parameters>[^;{}]*)\)\n\{", re.MULTILINE
)
_CALL = re.compile(r"\b(?P<name>[a-z_]\w*)\(")


def graph(files: Mapping[str, str]) -> dict[str, set[str]]:
    """Each module (``tables``, for tables.c and tables.h) and those it includes the header of or calls a function of.

    Args:
        files: the text of each file by its name.
    """
    bare = {name: _NOISE.sub(" ", text) for name, text in files.items()}
    homes = {
        match["name"]: Path(name).stem
        for name, text in bare.items()
        for match in _DEFINITION.finditer(text)
        if not match["kind"].startswith("static")
    }
    found: dict[str, set[str]] = {Path(name).stem: set() for name in files}
    for name, text in files.items():
        used = {match["name"] for match in _INCLUDE.finditer(text)}
        own = {match["name"] for match in _DEFINITION.finditer(bare[name])}
        used |= {homes[match["name"]] for match in _CALL.finditer(bare[name]) if match["name"] in homes.keys() - own}
        found[Path(name).stem] |= used - {Path(name).stem}
    return found


def circle(uses: Mapping[str, set[str]]) -> tuple[str, ...]:
    """The modules of a circle, each of which uses the next and the last the first; empty when there is none."""
    done: set[str] = set()

    def walk(module: str, way: tuple[str, ...]) -> tuple[str, ...]:
        if module in way:
            return way[way.index(module) :]
        for used in sorted(uses.get(module, set()) - done):
            found = walk(used, (*way, module))
            if found:
                return found
        done.add(module)
        return ()

    return next((found for module in sorted(uses) if (found := walk(module, ()))), ())


@pytest.mark.parametrize("directory", [SOURCES, SOURCES / "driver"])
def test_the_agent_has_no_circle(directory: Path) -> None:
    files = {file.name: file.read_text(encoding="ascii") for file in sorted(directory.glob("*.[ch]"))}
    assert circle(graph(files)) == ()


def test_the_graph_sees_who_calls_whom_in_the_agent() -> None:
    uses = graph({file.name: file.read_text(encoding="ascii") for file in SOURCES.glob("*.[ch]")})
    assert {"acpi", "frame", "hook", "memattr", "memory", "plan"} <= uses["tables"]
    assert "systab" in uses["memattr"]
    assert not {"tables", "acpi"} & (uses["acpi"] | uses["memattr"] | uses["systab"] | uses["plan"])


UPPER = """#include "upper.h"

void upper(void)
{
	lower(1);
}
"""
LOWER = """void lower(int number)
{
	(void)number;
}
"""


def test_layers_are_no_circle() -> None:
    uses = graph({"upper.c": UPPER, "upper.h": "void upper(void);\n", "lower.c": LOWER})
    assert uses == {"upper": {"lower"}, "lower": set()}
    assert circle(uses) == ()


@pytest.mark.parametrize(
    ("files", "found"),
    [
        # A call back, as from the list of tables to what is installed through it and back.
        ({"upper.c": UPPER, "lower.c": LOWER.replace("(void)number;", "upper();")}, ("lower", "upper")),
        # By a prototype of its own, without the header.
        (
            {"upper.c": UPPER, "lower.c": LOWER, "third.c": "int third(void)\n{\n\tupper();\n\treturn 0;\n}\n"}
            | {"lower.c": LOWER.replace("(void)number;", "third();")},
            ("lower", "third", "upper"),
        ),
        # Headers only.
        ({"a.h": '#include "b.h"\n', "b.h": '#include "a.h"\n'}, ("a", "b")),
        # One by its header, the other by a call.
        ({"upper.c": UPPER, "lower.c": LOWER, "lower.h": '#include "upper.h"\n'}, ("lower", "upper")),
        (
            {
                "upper.c": UPPER.replace("void upper(void)", "__attribute__((noreturn)) void upper(int a,\n\tint b)"),
                "lower.c": LOWER.replace("(void)number;", "upper(1, 2);"),
            },
            ("lower", "upper"),
        ),
    ],
)
def test_a_circle_is_seen(files: dict[str, str], found: tuple[str, ...]) -> None:
    assert circle(graph(files)) == found


@pytest.mark.parametrize("inside", ['puts("upper()");', "/* upper() */", "// upper()", "not_upper();", "a->upper_(1);"])
def test_words_that_are_no_call(inside: str) -> None:
    """Comments and strings name functions as well; a name may end like another."""
    uses = graph({"upper.c": UPPER, "lower.c": LOWER.replace("(void)number;", inside)})
    assert circle(uses) == ()


def test_a_static_function_is_nobody_elses() -> None:
    own = "static int upper(void)\n{\n\treturn 0;\n}\n\n"
    uses = graph({"upper.c": UPPER, "lower.c": own + LOWER.replace("(void)number;", "upper();")})
    assert circle(uses) == ()
