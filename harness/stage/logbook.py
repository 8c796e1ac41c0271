"""The runtime driver's logbook, read from outside while a run goes on."""

from __future__ import annotations

from harness.evidence import logbook
from harness.evidence.defect import Defect
from harness.evidence.logbook import LOGBOOK_BYTES, Logbook
from harness.evidence.ranges import Range
from harness.machine.frame import Frame
from harness.stage.samples import keep
from harness.stage.stage import Stage


def read_logbook(stage: Stage) -> Logbook | Defect | None:
    """What the driver's hooks have seen so far; the page is kept as a sample. None where there is no driver."""
    frames = (item.data for item in stage.machine.feed.since() if isinstance(item.data, Frame))
    frame = next((frame for frame in frames if frame.kind == "runtime"), None)
    if frame is None:
        return None
    where = Range.sized(int(frame.fields["logbook_address"], 0), LOGBOOK_BYTES)
    data = stage.machine.memory.read(where.start, where.size_bytes)
    keep(stage.writer, stage.recorder.epoch, logbook.SAMPLE, where, data)
    return logbook.parse(data)
