"""The machine has a TPM: did firmware find it? Whether a kernel did is seen in the event log that it shows."""

from __future__ import annotations

from harness.model import guids
from harness.model.causes import Cause
from harness.model.verdict import Check, Evidence
from harness.record.observations import Observations
from harness.subjects.common import failed, missing, passed

_NAME = "tpm"


def check_tpm(observations: Observations) -> Check | None:
    """By its table of final events, which only firmware has that measures into a TPM 2.0 (TCG EFI Protocol
    Specification, 7.1); None for a machine without one, and for a run that did not come so far."""
    if observations.plan.scenario.machine.tpm is None or observations.record.frame("handoff") is None:
        return None
    tables = observations.config_tables
    where = observations.cited(observations.record.frame("systab"))
    if tables is None:
        return missing(
            _NAME,
            "the EFI agent did not report the system table, so nothing shows that firmware has found the TPM",
            hint="Look at the agents' frames in journal.jsonl and at debugcon.log.",
        )
    address = tables.get(guids.TPM_FINAL_LOG)
    if address is None:
        return failed(
            _NAME,
            Cause.NO_CAPABILITY,
            "firmware keeps no table of final events: it does not look for a TPM 2.0, or did not find this one",
            evidence=(Evidence(text=f"{len(tables)} configuration tables: {' '.join(tables)}", where=where),),
            hint="Use a firmware that looks for one, such as ovmf-x64; what swtpm said is in swtpm.log.",
        )
    return passed(
        _NAME,
        f"firmware has found the TPM: it keeps a table of final events at {address:#x}",
        evidence=(Evidence(text=f"{guids.TPM_FINAL_LOG} is at {address:#x}", where=where),),
    )
