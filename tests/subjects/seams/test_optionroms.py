"""Option ROMs come to the kernel."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.records import Copy
from support.verdicts import verdict_is

from harness.model.causes import Cause, Status

CopyOf = Callable[[str], Copy]
FAIL, ERROR, UNSUPPORTED = Status.FAIL, Status.ERROR, Status.UNSUPPORTED
REGION = "seams-crash-region"
"""Three kernels; the second and the third with crashkernel= over setup_data of the first."""


@pytest.fixture
def region(copy_of: CopyOf) -> Copy:
    return copy_of(REGION)


@pytest.mark.parametrize("text", ["", "0 0x3 65584\n", "0 0x4 96\n", "nonsense\n"])
def test_option_roms_that_never_came_to_the_kernel(region: Copy, text: str) -> None:
    (region.path / region.fact_file(1, "setup-data")).write_text(text)
    verdict_is(region.judge(), ERROR, Cause.SETUP_NOT_PROVED, 1, "the machine has 6 option ROMs")
