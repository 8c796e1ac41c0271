"""Nothing in the project is there for nobody, or for tests alone: every function and class is named by other code."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

HARNESS = Path(__file__).parents[1] / "harness"
CALLED_BY_OTHERS = {
    "emit": "logging.Handler",
    "parse_known_args": "argparse.ArgumentParser",
    "read_nonblocking": "pexpect.spawnbase.SpawnBase",
    "readable": "io.RawIOBase",
    "repr_failure": "pytest.Item",
    "reportinfo": "pytest.Item",
    "runtest": "pytest.Item",
    "toterminal": "pytest: how it prints a failure",
    "reference_text": "writes docs/scenario-reference.md (HARNESS_UPDATE=1 pytest tests/load)",
}
"""By name: who calls it, or why it stays."""
HOOKS = ("pytest_", "__")
"""How the names begin that pytest, or Python, looks up."""
VALIDATORS = {"model_validator", "field_validator", "model_serializer", "field_serializer"}
"""Decorators of methods that pydantic calls."""

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def unused(sources: Mapping[str, str]) -> Iterator[str]:
    """``file: name`` of each function and class that no code outside itself names."""
    trees = {name: ast.parse(text) for name, text in sources.items()}
    named: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for file, tree in trees.items():
        for node in ast.walk(tree):
            for word in _words(node):
                named[word].add((file, node.lineno))  # type: ignore[attr-defined]
    for file, tree in trees.items():
        for node in ast.walk(tree):
            if not isinstance(node, Definition) or _looked_up(node):
                continue
            own = {(file, line) for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
            if not named[node.name] - own:
                yield f"{file}: {node.name}"


def _words(node: ast.AST) -> Iterable[str]:
    """The names that an expression uses; an import uses nothing. A whole string may be a name for getattr()."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return (name,)
        case ast.Constant(value=str(text)) if text.isidentifier():
            return (text,)
    return ()


def _looked_up(node: Definition) -> bool:
    decorators = {word for item in node.decorator_list for part in ast.walk(item) for word in _words(part)}
    return node.name.startswith(HOOKS) or bool(decorators & VALIDATORS)


def test_nothing_is_dead() -> None:
    sources = {path.relative_to(HARNESS).as_posix(): path.read_text() for path in sorted(HARNESS.rglob("*.py"))}
    found = {entry.partition(": ")[2]: entry for entry in unused(sources)}
    assert not {name: entry for name, entry in found.items() if name not in CALLED_BY_OTHERS}
    assert set(CALLED_BY_OTHERS) <= set(found), "what is used needs no exception"


MADE_UP = """
from other import imported_only
class Used:
    @model_validator(mode="after")
    def _checked(self): return self
    def dead_method(self): return self.dead_method()
    @property
    def live(self): return 1
def dead(): return dead()
def by_name(): return 0
print(Used().live, getattr(Used, "by_name"))
"""


def test_what_only_names_itself_is_dead() -> None:
    sources = {"a.py": MADE_UP, "other.py": "def imported_only(): return 0"}
    assert list(unused(sources)) == ["a.py: dead", "a.py: dead_method", "other.py: imported_only"]
