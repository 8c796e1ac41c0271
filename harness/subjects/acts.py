"""What is done for each kind of step: the registry of effects. A step that nobody does, or two do, cannot load."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.model.base import members
from harness.model.words.steps import AnyStep
from harness.stage.stage import Stage
from harness.subjects import claims
from harness.subjects.kdump import act as kdump
from harness.subjects.kexec import act as kexec
from harness.subjects.pagetables import act as pagetables
from harness.subjects.runtime import act as runtime
from harness.subjects.vitals import act as vitals

Act = Callable[[Stage, Any, int], None]
"""Does a step in an epoch; raises EndedError when the run is over before it is done."""

ACTS: Mapping[type, Act] = claims.once(
    "step", members(AnyStep), (room.ACTS for room in (vitals, kexec, kdump, pagetables, runtime))
)
