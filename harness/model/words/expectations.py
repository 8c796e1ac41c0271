"""What must hold in a scenario: each subject's expectations."""

from __future__ import annotations

from typing import Annotated

from harness.model.base import OneOf
from harness.model.words.fakemem import FakeMemExpectation
from harness.model.words.kdump import KdumpExpectation
from harness.model.words.memorymap import MemoryMapExpectation
from harness.model.words.pagetables import PageTablesExpectation
from harness.model.words.runtime import RuntimeExpectation
from harness.model.words.seams import SeamsExpectation
from harness.model.words.tables import TablesExpectation
from harness.model.words.vitals import VitalsExpectation
from harness.model.words.xen import XenExpectation

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
