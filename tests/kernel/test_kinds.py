"""The table of kinds: one row a kind, each shown in the reference and found by its name."""

from __future__ import annotations

from pathlib import Path

from harness.kernel.kinds.table import BY_NAME, HYPERVISORS, KERNELS

ROOT = Path(__file__).parents[2]


def test_each_kind_has_a_name_of_its_own() -> None:
    assert len(BY_NAME) == len(KERNELS) + len(HYPERVISORS)
    assert set(BY_NAME) == {"debian", "file", "source", "twin", "hypervisor"}


def test_each_kind_is_in_the_reference() -> None:
    shown = (ROOT / "docs/kernels.md").read_text(encoding="utf-8").splitlines()
    assert [name for name in BY_NAME if f"kind: {name}" not in shown] == []


def test_each_entry_says_which_keys_it_has() -> None:
    for kind in BY_NAME.values():
        assert list(kind.entry.model_fields)[:3] == ["kind", "name", "description"]
