"""Who imports whom when a module is loaded."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path


def imports(package: Path) -> dict[str, set[str]]:
    """The modules of a package and those of it that each imports as it is loaded.

    What stands in a function comes later, and what stands under TYPE_CHECKING never.
    """
    files = {_name(package, path): path for path in sorted(package.rglob("*.py"))}
    graph = {}
    for name, path in files.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        graph[name] = {found for found in _named(_loaded(tree.body), files) if found in files} - {name}
    return graph


def _name(package: Path, path: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _loaded(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
                yield from _loaded(node.orelse)
            case ast.If() | ast.Try() | ast.With() | ast.ClassDef():
                yield from _loaded(child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt))
            case _:
                yield node


def _named(body: Iterable[ast.stmt], modules: Collection[str]) -> Iterator[str]:
    """A room is imported by who takes what stands in its ``__init__``, not by who takes a module out of it."""
    for node in body:
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                taken = [f"{module}.{alias.name}" for alias in names]
                yield from taken
                if any(name not in modules for name in taken):
                    yield module


def circles(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """The groups of modules that reach each other, each in order, by what each can reach."""
    reached = {name: _reach(graph, name) for name in graph}
    groups = {frozenset(other for other in there if name in reached[other]) for name, there in reached.items()}
    return sorted(sorted(group) for group in groups if group)


def _reach(graph: Mapping[str, Iterable[str]], name: str) -> set[str]:
    found: set[str] = set()
    todo = list(graph[name])
    while todo:
        other = todo.pop()
        if other not in found:
            found.add(other)
            todo += graph[other]
    return found
