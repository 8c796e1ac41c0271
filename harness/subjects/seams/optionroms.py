"""Did every option ROM of the machine come to the first kernel?"""

from __future__ import annotations

from harness.evidence.defect import Defect
from harness.evidence.maps import setupdata
from harness.model.causes import Cause
from harness.model.verdict import Check, Evidence
from harness.record.observations import Observations
from harness.subjects.common import failed, passed

_NAME = "option ROMs"


def check_option_roms(observations: Observations) -> Check | None:
    """One piece of setup_data for each, of its size; None where the machine has none or no kernel came up."""
    roms = observations.plan.scenario.machine.option_roms
    if not roms or observations.record.frame("up", 1) is None:
        return None
    pieces = setupdata.pieces(observations.record.text(1, "setup-data") or "")
    handed = [] if isinstance(pieces, Defect) else [piece for piece in pieces if piece.type == setupdata.PCI]
    if sorted(piece.rom_bytes for piece in handed) != sorted(roms):
        return failed(
            _NAME,
            Cause.SETUP_NOT_PROVED,
            f"the machine has {len(roms)} option ROMs, and not these are in the setup_data of the first kernel",
            epoch=1,
            evidence=tuple(
                Evidence(text=f"setup_data of type {item.type}, {item.size_bytes} bytes") for item in handed
            ),
            hint="Does this firmware read option ROMs? See debugcon.log.",
        )
    return passed(
        _NAME,
        f"the first kernel was given all {len(roms)} option ROMs in setup_data",
        evidence=(
            Evidence(
                text=f"bytes: {', '.join(str(item.rom_bytes) for item in handed)}",
                where=observations.where(1, "setup-data"),
            ),
        ),
    )
