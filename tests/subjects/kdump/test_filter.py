"""What makedumpfile left out."""

from __future__ import annotations

import pytest
from support.kdump_records import Kdump, red

from harness.model.causes import Cause


def test_a_filter_of_another_level(filtered: Kdump) -> None:
    filtered.edit_plan(lambda plan: plan["scenario"]["steps"][-1]["capture"].update(filter=1))
    red(filtered.judge(), Cause.VMCORE_FILTER, "kdump: filter")


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("Excluded pages", "Existing pages", "left out nothing"),
        ("Free pages", "Free pictures", "free pages"),
    ],
)
def test_a_report_that_does_not_fit(filtered: Kdump, old: str, new: str, word: str) -> None:
    name = filtered.only(kind="captured")["body_file"]
    filtered.edit(name, old, new)
    assert word in red(filtered.judge(), Cause.VMCORE_FILTER, "kdump: filter")
