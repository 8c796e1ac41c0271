"""What happens in a scenario, step by step: each subject's steps."""

from __future__ import annotations

from typing import Annotated

from harness.model.base import OneOf
from harness.model.words.kdump import KdumpStep
from harness.model.words.kexec import KexecSubjectStep
from harness.model.words.pagetables import PageTablesSubjectStep
from harness.model.words.runtime import RuntimeSubjectStep
from harness.model.words.vitals import VitalsStep

AnyStep = VitalsStep | KexecSubjectStep | KdumpStep | PageTablesSubjectStep | RuntimeSubjectStep
Step = Annotated[AnyStep, OneOf("step")]
