"""Known bugs: which entry of known-issues.yaml is about a run, and is what failed exactly that? Pure."""

from __future__ import annotations

from collections.abc import Sequence

from harness.model.causes import Cause, Status
from harness.model.globs import glob_matches
from harness.model.scenario import Scenario
from harness.model.verdict import Check, KnownIssue, Verdict
from harness.subjects.common import failed


def match(
    issues: Sequence[KnownIssue], scenario: Scenario, kernels: Sequence[str], failed_in: int | None = None
) -> KnownIssue | None:
    """The first entry for this scenario, the kernel that fails or is expected to, and the hypervisor; or None.

    Args:
        kernels: the registry names of the kernels of the epochs, in order.
        failed_in: the epoch that failed, for entries that name none; None for no FAIL: any epoch may be meant.
    """
    on = scenario.hypervisor.name if scenario.hypervisor is not None else ""
    for issue in issues:
        if not glob_matches(issue.scenario, scenario.id):
            continue
        if issue.hypervisor is not None and not glob_matches(issue.hypervisor, on):
            continue
        epoch = issue.epoch if issue.epoch is not None else failed_in
        epochs = range(1, len(kernels) + 1) if epoch is None else [max(epoch, 1)]
        if any(_runs(issue, kernels, number) for number in epochs):
            return issue
    return None


def _runs(issue: KnownIssue, kernels: Sequence[str], epoch: int) -> bool:
    if epoch > len(kernels) or not glob_matches(issue.kernel, kernels[epoch - 1]):
        return False
    return issue.started_by is None or (epoch > 1 and glob_matches(issue.started_by, kernels[epoch - 2]))


def expected(verdict: Verdict, known: KnownIssue) -> Verdict:
    """A FAIL that is exactly the known one, and all that is wrong, is expected; a PASS where one is known is not."""
    if verdict.status is Status.FAIL:
        wrong = [check for check in verdict.checks if check.status in (Status.FAIL, Status.ERROR)]
        same = verdict.cause is known.cause and known.epoch in (None, verdict.epoch)
        if same and len(wrong) - _consequences(known.cause, wrong) == 1:
            return verdict.model_copy(update={"known": known})
        where = "" if known.epoch is None else f" in epoch {known.epoch}"
        why = "that is not all" if same else "this is not it"
        note = f"known-issues.yaml expects {known.cause}{where} here, but {why}"
        return verdict.model_copy(update={"notes": (*verdict.notes, note)})
    if verdict.status is not Status.PASS:
        return verdict
    check = failed(
        "known-issues.yaml",
        Cause.KNOWN_ISSUE_GONE,
        f"the known bug {known.cause} did not show; what known-issues.yaml says of it: {known.reason}",
        hint=f"If the kernel is fixed, remove the entry ({known.scenario}, {known.kernel}) from known-issues.yaml.",
    )
    return verdict.model_copy(
        update={
            "status": check.status,
            "cause": check.cause,
            "headline": check.summary,
            "checks": (check, *verdict.checks),
        }
    )


def _consequences(cause: Cause, wrong: Sequence[Check]) -> int:
    """How many checks only say again what a known cause does: a panic is in the console and ends the run, and what
    was not reported after the end is missing.
    """
    told = sum(check.cause in cause.family for check in wrong)
    ended = any(check.name == "run" and check.cause in cause.family for check in wrong)
    missing = sum(check.cause is Cause.MISSING_REPORT for check in wrong) if ended else 0
    return max(0, told - 1) + missing
