"""What the house must be: rooms and test files of a size that one can read, no circles, a test file for each check."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from support.imports import circles, imports

import harness

HARNESS = Path(harness.__file__).parent
TESTS = Path(__file__).parent
TEST_LINES = 400
ROOM_LINES, ROOM_MODULES = 2000, 15
PUBLIC_BY_ITS_OWN_WORD = {"os._exit"}
"""Documented, for all its underscore."""


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


# Sizes


def long_files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*.py") if lines(path) > TEST_LINES)


def test_no_test_file_is_long() -> None:
    assert long_files(TESTS) == []


def test_a_long_file_is_seen(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    (tmp_path / "room/test_long.py").write_text("\n" * 401)
    (tmp_path / "room/test_short.py").write_text("\n" * 400)
    assert long_files(tmp_path) == ["room/test_long.py"]


ROOMS = sorted({path.parent for path in HARNESS.rglob("*.py")})


def crowded(room: Path) -> list[str]:
    """What is too much in a room; what its sub-rooms hold does not count."""
    modules = [path for path in room.glob("*.py") if path.name != "__init__.py"]
    found = []
    if len(modules) > ROOM_MODULES:
        found.append(f"{len(modules)} modules")
    if (count := sum(map(lines, modules))) > ROOM_LINES:
        found.append(f"{count} lines")
    return found


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.relative_to(HARNESS.parent).as_posix())
def test_no_room_is_crowded(room: Path) -> None:
    assert crowded(room) == []


def test_a_crowded_room_is_seen(tmp_path: Path) -> None:
    for number in range(16):
        (tmp_path / f"m{number}.py").write_text("\n" * 126)
    assert crowded(tmp_path) == ["16 modules", "2016 lines"]
    (tmp_path / "m0.py").unlink()
    assert crowded(tmp_path) == []


# Circles


def test_no_import_goes_round() -> None:
    graph = imports(HARNESS)
    assert len(graph) > 200
    assert graph["harness.judge.judge"] >= {"harness.judge.rules", "harness.model.causes"}
    assert circles(graph) == []


@pytest.mark.parametrize(
    ("graph", "found"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}, [["a", "b", "c"]]),
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b"}, "b": {"a"}, "c": {"d", "a"}, "d": {"c"}}, [["a", "b"], ["c", "d"]]),
    ],
)
def test_a_circle_is_seen(graph: Mapping[str, set[str]], found: list[list[str]]) -> None:
    assert circles(graph) == found


def test_what_is_imported_is_seen(tmp_path: Path) -> None:
    """A module out of a room is not the room; what is imported for types only, or later, is nothing."""
    package = tmp_path / "house"
    (package / "room").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "room/__init__.py").touch()
    (package / "a.py").write_text("from house.room import b\nfrom typing import TYPE_CHECKING\n")
    (package / "room/b.py").write_text("if TYPE_CHECKING:\n    from house import a\nimport house.c\n")
    (package / "c.py").write_text("def late():\n    from house.a import x\n")
    assert {name: found for name, found in imports(package).items() if found} == {
        "house.a": {"house.room.b"},
        "house.room.b": {"house.c"},
    }


# Tests by subject


def checks() -> Iterator[tuple[str, str]]:
    """The module and name of each check of a subject."""
    for path in sorted((HARNESS / "subjects").rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("check_"):
                yield path.relative_to(HARNESS).with_suffix("").as_posix(), node.name


def test_there_are_checks() -> None:
    assert len(set(checks())) > 40


@pytest.mark.parametrize("module", sorted({module for module, _ in checks()}))
def test_each_module_of_checks_has_its_tests(module: str) -> None:
    path = TESTS / Path(module).parent / f"test_{Path(module).name}.py"
    assert path.is_file()
    assert any(node.name.startswith("test_") for node in ast.walk(ast.parse(path.read_text())) if _function(node))


def _function(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef)


# Nothing private


def private(source: str) -> list[str]:
    """What a test takes that begins with an underscore and is not its own: by import, attribute or name in a text."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ImportFrom(names=names):
                found += [alias.name for alias in names if _hidden(alias.name)]
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                continue
            case ast.Attribute(attr=attr) if _hidden(attr):
                found.append(ast.unparse(node))
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=arguments) if name in _BY_NAME:
                texts = [item.value for item in arguments if isinstance(item, ast.Constant)]
                found += [text for text in texts if isinstance(text, str) and _hidden(text.rpartition(".")[2])]
    return sorted(set(found) - PUBLIC_BY_ITS_OWN_WORD)


_BY_NAME = ("getattr", "setattr", "delattr", "patch", "object")


def _hidden(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def test_no_test_touches_what_is_private() -> None:
    found = {str(path.relative_to(TESTS)): private(path.read_text(encoding="utf-8")) for path in TESTS.rglob("*.py")}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from harness.judge.judge import _main", ["_main"]),
        ("from harness.judge import judge\njudge._main(())", ["judge._main"]),
        ("monkeypatch.setattr(judge, '_main', 1)", ["_main"]),
        ("mock.patch('harness.judge.judge._main')", ["harness.judge.judge._main"]),
        ("getattr(judge, '_main')", ["_main"]),
        ("os._exit(0)", []),
        ("self._own = 1\nmodule.__file__\nfrom __future__ import annotations", []),
    ],
)
def test_private_access_is_seen(source: str, found: list[str]) -> None:
    assert private(source) == found
