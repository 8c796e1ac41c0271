"""What must hold in a scenario: each subject's expectations."""

from __future__ import annotations

from typing import Annotated

from harness.model.base import OneOf
from harness.model.fakemem import FakeMemExpectation
from harness.model.kdump import KdumpExpectation
from harness.model.memorymap import MemoryMapExpectation
from harness.model.pagetables import PageTablesExpectation
from harness.model.runtime import RuntimeExpectation
from harness.model.seams import SeamsExpectation
from harness.model.tables import TablesExpectation
from harness.model.vitals import VitalsExpectation
from harness.model.xen import XenExpectation

AnyExpectation = (
    TablesExpectation
    | FakeMemExpectation
    | PageTablesExpectation
    | RuntimeExpectation
    | XenExpectation
    | MemoryMapExpectation
    | KdumpExpectation
    | SeamsExpectation
    | VitalsExpectation
)
Expectation = Annotated[AnyExpectation, OneOf("expectation")]
