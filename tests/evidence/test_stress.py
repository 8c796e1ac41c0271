from __future__ import annotations

import pytest

from harness.evidence.defect import Defect
from harness.evidence.pagetable.stress import Loader, Stress, parse

LOADER = "loader={n}\nrounds=7\nbad=1\naddress=1063190528\nexpected=5\nfound=0\nerror=0\nend=0\n"
REPORT = "calls=40\nfailed=2\nfirst=1000\ncpus=4\n" + LOADER.format(n=0) + LOADER.format(n=1)


def test_a_report_is_read() -> None:
    loaders = tuple(Loader(n, 7, 1, 1063190528, 5, 0, 0, 0) for n in (0, 1))
    assert parse(REPORT) == Stress(40, 2, 1000, 4, loaders)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("calls=40\n", "", "has 19 lines"),
        (REPORT, "", "has 0 lines"),
        (REPORT, "usage: hstress CALLS LOADERS BASE BYTES VARIABLE\n", "has 7 lines"),
        (LOADER.format(n=0) + LOADER.format(n=1), "", "has 4 lines"),
        ("loader=1", "loader=2", "does not number its loaders"),
        ("failed=2", "failed=-2", "'failed=-2' where failed should be"),
        ("failed=2", "failed=", "where failed should be"),
        ("found=0", "found=" + "9" * 21, "where found should be"),
        ("rounds=7\nbad=1", "bad=1\nrounds=7", "'bad=1' where rounds should be"),
    ],
)
def test_a_report_of_another_form_is_refused(old: str, new: str, said: str) -> None:
    assert old in REPORT
    refused = parse(REPORT.replace(old, new, 1))
    assert isinstance(refused, Defect)
    assert said in refused.text
