"""What happens in a scenario, step by step: each subject's steps."""

from __future__ import annotations

from typing import Annotated

from harness.model.base import OneOf
from harness.model.kdump import KdumpStep
from harness.model.kexec import KexecSubjectStep
from harness.model.pagetables import PageTablesSubjectStep
from harness.model.runtime import RuntimeSubjectStep
from harness.model.vitals import VitalsStep

AnyStep = VitalsStep | KexecSubjectStep | KdumpStep | PageTablesSubjectStep | RuntimeSubjectStep
Step = Annotated[AnyStep, OneOf("step")]
