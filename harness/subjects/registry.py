"""Every subject, and who claims what. A step, an expectation or a cause that nobody claims, or two do, cannot load."""

from __future__ import annotations

from harness.model.base import members
from harness.model.causes import Cause
from harness.model.words.expectations import AnyExpectation
from harness.model.words.steps import AnyStep
from harness.subjects.claims import Always, once
from harness.subjects.fakemem.subject import SUBJECT as FAKEMEM
from harness.subjects.kdump.subject import SUBJECT as KDUMP
from harness.subjects.kexec.subject import SUBJECT as KEXEC
from harness.subjects.memorymap.subject import SUBJECT as MEMORYMAP
from harness.subjects.pagetables.subject import SUBJECT as PAGETABLES
from harness.subjects.runtime.subject import SUBJECT as RUNTIME
from harness.subjects.seams.subject import SUBJECT as SEAMS
from harness.subjects.tables.subject import SUBJECT as TABLES
from harness.subjects.vitals.subject import SUBJECT as VITALS
from harness.subjects.xen.subject import SUBJECT as XEN

SUBJECTS = (VITALS, XEN, FAKEMEM, TABLES, KDUMP, KEXEC, SEAMS, MEMORYMAP, RUNTIME, PAGETABLES)
"""In the order in which a kernel is asked for what they need."""

EXPECTATIONS = once("expectation", members(AnyExpectation), (subject.expectations for subject in SUBJECTS))
"""The checks of each class of expectation."""
CAUSES = once("cause", tuple(Cause), (dict.fromkeys(subject.causes, subject) for subject in SUBJECTS))
"""Whose cause it is."""
STEPS = once("step", members(AnyStep), (dict.fromkeys(subject.steps, subject) for subject in SUBJECTS))
"""Whose step it is; harness/subjects/acts.py has what it does."""
ALWAYS: tuple[Always, ...] = tuple(
    sorted((item for subject in SUBJECTS for item in subject.always), key=lambda item: item.place)
)
"""The checks that every run is held to, in the order in which they are said."""
HEADLINES = tuple(name for subject in SUBJECTS for name in subject.headline)
"""How the names of checks begin whose summary is worth the headline of a PASS."""
