"""Facts that have one home: whoever else needs them imports them."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

import harness
from harness.evidence.maps.iomem import CRASH_KERNEL
from harness.evidence.pagetable.pagetables import EFI_WINDOW
from harness.evidence.tables.kinds import KINDS
from harness.model.record import SYMBOLS_FILE, VMCORE_DMESG, VMCORE_INCOMPLETE
from harness.model.words.tables import TableName

ROOT = Path(harness.__file__).parent
_ONLY_THE_KERNELS = (
    *(TableName.RTPROP, TableName.MOKVAR, TableName.INITRD),
    *(TableName.TPM_LOG, TableName.TPM_FINAL_LOG),
)
"""Tables whose name in the kernel is no word for people or for something else as well."""
_OPERATORS: Mapping[type[ast.operator], Callable[[int, int], int]] = {
    ast.Pow: operator.pow,
    ast.Mult: operator.mul,
    ast.Sub: operator.sub,
    ast.LShift: operator.lshift,
}


@pytest.fixture(scope="module")
def trees() -> Mapping[str, ast.Module]:
    """The harness's modules, parsed."""
    return {str(file.relative_to(ROOT)): ast.parse(file.read_bytes()) for file in sorted(ROOT.rglob("*.py"))}


def literals(trees: Mapping[str, ast.Module], value: str | int) -> list[str]:
    """The files in which this literal stands, as often as it does."""
    return [
        name
        for name, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and type(node.value) is type(value) and node.value == value
    ]


def made(trees: Mapping[str, ast.Module], value: int) -> list[str]:
    """The files in which a name is given this number, as a literal or by arithmetic of literals, as often as it is."""
    return [name for name, tree in trees.items() for found in _numbers(tree) if found == value]


def _numbers(tree: ast.Module) -> Iterator[int]:
    """Of arithmetic only the whole, not its parts."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        value = _value(node) if isinstance(node, ast.expr) else None
        if value is not None:
            yield value
        else:
            waiting += ast.iter_child_nodes(node)


def _value(node: ast.expr) -> int | None:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if not isinstance(node, ast.BinOp):
        return None
    left, right, what = _value(node.left), _value(node.right), _OPERATORS.get(type(node.op))
    if left is None or right is None or what is None or not 0 <= right < 2**72:
        return None
    return None if what in (operator.pow, operator.lshift) and right > 128 else int(what(left, right))


def page_sizes(trees: Mapping[str, ast.Module]) -> list[str]:
    """The files that give a name with PAGE in it the number 4096."""
    return [
        name
        for name, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, (ast.Assign, ast.AnnAssign))
        and node.value is not None
        and _value(node.value) == 4096
        and any("PAGE" in ast.unparse(target) for target in getattr(node, "targets", None) or [node.target])
    ]


@pytest.mark.parametrize(
    ("word", "home"),
    [
        (CRASH_KERNEL, "evidence/maps/iomem.py"),
        (SYMBOLS_FILE, "model/record.py"),
        (VMCORE_DMESG, "model/record.py"),
        (VMCORE_INCOMPLETE, "model/record.py"),
        *((KINDS[name].kernel_name, "evidence/tables/kinds.py") for name in _ONLY_THE_KERNELS),
    ],
)
def test_a_word(trees: Mapping[str, ast.Module], word: str, home: str) -> None:
    assert literals(trees, word) == [home]


def test_the_size_of_a_page(trees: Mapping[str, ast.Module]) -> None:
    assert page_sizes(trees) == ["model/page.py"]


def test_the_window_that_linux_maps_firmware_into(trees: Mapping[str, ast.Module]) -> None:
    assert (EFI_WINDOW.start, EFI_WINDOW.end) == (0xFFFFFFEF_00000000, 0xFFFFFFFF_00000000)
    assert made(trees, EFI_WINDOW.start) == made(trees, EFI_WINDOW.end) == ["evidence/pagetable/pagetables.py"]


def test_a_second_home_is_seen() -> None:
    text = "_PAGE = 1 << 12\nNAME = 'Crash kernel'\nWINDOW = (0xFFFFFFEF_00000000, 2**64 - 2**32)\n"
    both = {"one.py": ast.parse(text), "other.py": ast.parse(text.replace("1 << 12", "4096"))}
    assert page_sizes(both) == literals(both, CRASH_KERNEL) == ["one.py", "other.py"]
    assert made(both, EFI_WINDOW.start) == made(both, EFI_WINDOW.end) == ["one.py", "other.py"]
    assert page_sizes({"one.py": ast.parse("PAGES = 4095\nSIZE = 4096\n")}) == []
