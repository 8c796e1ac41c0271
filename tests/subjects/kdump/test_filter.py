"""What makedumpfile left out."""

from __future__ import annotations

import pytest
from support.kdump_records import Kdump, red
from support.words import Told

from harness.model.causes import Cause


def test_a_filter_of_another_level(filtered: Kdump) -> None:
    filtered.edit_plan(lambda plan: plan["scenario"]["steps"][-1]["capture"].update(filter=1))
    red(filtered.judge(), Cause.VMCORE_FILTER, "kdump: filter")


@pytest.mark.parametrize(("old", "new"), [("Excluded pages", "Existing pages"), ("Free pages", "Free pictures")])
def test_a_report_that_does_not_fit(filtered: Kdump, told: Told, old: str, new: str) -> None:
    name = filtered.only(kind="captured")["body_file"]
    filtered.edit(name, old, new)
    red(told(filtered.judge()), Cause.VMCORE_FILTER, "kdump: filter")
