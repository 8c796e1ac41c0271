"""A table that was not sampled at the hand-off: does the firmware publish none, or is the record incomplete?"""

from __future__ import annotations

from harness.evidence.tables.kinds import KINDS
from harness.model.causes import Cause
from harness.model.verdict import Check, Evidence
from harness.model.words.tables import TableName
from harness.record.observations import Observations
from harness.subjects.common import failed, missing


def check_absent(observations: Observations, name: TableName, title: str) -> Check:
    """UNSUPPORTED with the reason, or ERROR when nobody knows whether there is one."""
    tables = observations.config_tables
    word = KINDS[name].word
    reason = observations.unwatched(name)
    if tables is None or not reason:
        summary = (
            "the EFI agent did not report the configuration tables"
            if tables is None
            else f"the {word} was not sampled at the hand-off, and no note of the run says why"
        )
        return missing(title, summary, hint="See the check of the run's end." if tables is None else "Run it again.")
    return failed(
        title,
        Cause.NO_TABLE,
        f"this firmware publishes no {word} that could be damaged ({reason})",
        evidence=(
            Evidence(
                text=f"{len(tables)} configuration tables: {' '.join(tables)}",
                where=observations.cited(observations.record.frame("systab")),
            ),
        ),
        hint=KINDS[name].how_to_have,
    )
