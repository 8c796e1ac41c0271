"""A verdict out of a record: pure, so that every old run can be judged again by new rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from harness.model.kernel import Capability, KernelImage
from harness.model.plan import Plan
from harness.model.record import Phase
from harness.model.scenario import KexecWouldOverlap, NoCrash, TableIntact
from harness.model.verdict import Cause, Check, KnownIssue, Status, Verdict
from harness.run.checks.crash import check_crash
from harness.run.checks.ending import check_ending
from harness.run.checks.identity import check_identity
from harness.run.checks.overlap import check_overlap
from harness.run.checks.setup import check_setup
from harness.run.checks.table import check_table
from harness.run.gate import Refusal
from harness.run.observations import Observations
from harness.run.record import Record, UnreadableRecordError

# Whose word counts first when several checks are not PASS: a FAIL is proved by its own evidence whatever else went
# wrong; ERROR comes before UNSUPPORTED, since with an ERROR nothing is known.
_SEVERITY = (Status.FAIL, Status.ERROR, Status.UNSUPPORTED, Status.PASS)

# Of several FAILs the one that says most names the cause: damage explains a crash, a crash explains a silence.
_TELLING = (
    Cause.ESRT_CORRUPT,
    Cause.BGRT_CORRUPT,
    Cause.MEMATTR_CORRUPT,
    Cause.CANARY_DAMAGED,
    Cause.OLD_KERNEL,
    Cause.WRONG_KERNEL,
    Cause.TABLE_REFUSED,
    Cause.PANIC,
    Cause.OOPS,
    Cause.NO_TABLE,
)


def judge(record: Record, known: KnownIssue | None = None) -> Verdict:
    """The verdict of one run.

    Args:
        known: the entry of known-issues.yaml for this scenario and kernel, if there is one.
    """
    observations = Observations(record)
    try:
        checks = tuple(_checks(observations))
    except (UnreadableRecordError, ValueError, KeyError) as error:
        checks = (_unreadable(error),)
    main = _main(checks)
    verdict = _verdict(record, checks, main)
    return verdict if known is None else _with_known(verdict, known)


def refused(plan_variant: str, run_id: str, kernels: Sequence[KernelImage], refusal: Refusal) -> Verdict:
    """The verdict of a scenario that was not run, because a kernel lacks what it needs."""
    check = Check(
        name="gate",
        status=Status.UNSUPPORTED,
        cause=Cause.NO_CAPABILITY,
        summary=f"{refusal.kernel} lacks {refusal.capability}: {refusal.reason}",
        hint=_ALTERNATIVE.get(refusal.capability, "Use a kernel that has it."),
    )
    return Verdict(
        variant=plan_variant,
        run_id=run_id,
        kernel=kernels[0].name,
        release=kernels[0].release,
        status=check.status,
        cause=check.cause,
        headline=check.summary,
        phase=Phase.START,
        epoch=0,
        checks=(check,),
    )


def failed_before_start(variant: str, kernel: str, message: str, hint: str, cause: Cause = Cause.HOST) -> Verdict:
    """The verdict of a run that the host could not even start."""
    check = Check(name="start", status=Status.ERROR, cause=cause, summary=message, hint=hint)
    return Verdict(
        variant=variant,
        run_id="",
        kernel=kernel,
        status=Status.ERROR,
        cause=cause,
        headline=message,
        phase=Phase.START,
        epoch=0,
        checks=(check,),
    )


_ALTERNATIVE = {
    Capability.BGRT: "Debian's cloud flavour is built without ACPI_BGRT; use the amd64 flavour, such as debian-6.1.",
}


def _checks(observations: Observations) -> Iterator[Check]:
    singles: tuple[Callable[[Observations], Check | None], ...] = (check_ending, check_setup, check_identity)
    for single in singles:
        check = single(observations)
        if check is not None:
            yield check
    for expectation in observations.plan.scenario.expect:
        match expectation:
            case TableIntact(table_intact=name):
                yield check_table(observations, name)
            case KexecWouldOverlap(kexec_would_overlap=name):
                yield check_overlap(observations, name)
            case NoCrash():
                yield check_crash(observations)


def _main(checks: Sequence[Check]) -> Check:
    """The check that speaks for the run."""

    def rank(check: Check) -> tuple[int, int]:
        telling = _TELLING.index(check.cause) if check.cause in _TELLING else len(_TELLING)
        return _SEVERITY.index(check.status), telling

    return min(checks, key=rank)


def _verdict(record: Record, checks: tuple[Check, ...], main: Check) -> Verdict:
    plan, end = record.plan, record.end
    passed = main.status is Status.PASS
    return Verdict(
        variant=plan.variant,
        run_id=plan.run_id,
        kernel=plan.epochs[0].kernel.name,
        release=plan.epochs[0].kernel.release,
        status=main.status,
        cause=main.cause,
        headline=_pass_headline(plan, checks) if passed else main.summary,
        phase=end.phase if end else Phase.START,
        epoch=main.epoch if main.epoch is not None else (end.epoch if end else 0),
        checks=checks,
        notes=tuple(note.text for note in record.notes),
        duration_s=end.t_s if end else 0.0,
        times_s=_times(record),
    )


def _pass_headline(plan: Plan, checks: Sequence[Check]) -> str:
    said = [check.summary for check in checks if check.name.startswith("table_intact")]
    return "; ".join(said) or f"{len(plan.epochs)} epochs, every expectation held"


def _times(record: Record) -> dict[str, float]:
    """Seconds spent in each phase; the last one ends with the run."""
    times: dict[str, float] = {}
    end_s = record.end.t_s if record.end else None
    for entry, after in zip(record.phases, [*record.phases[1:], None], strict=True):
        until_s = after.t_s if after is not None else end_s
        if until_s is not None and entry.phase is not Phase.OFF:
            label = f"{entry.phase}" if entry.epoch == 0 else f"{entry.phase} {entry.epoch}"
            times[label] = round(times.get(label, 0.0) + until_s - entry.t_s, 2)
    return times


def _unreadable(error: Exception) -> Check:
    return Check(
        name="record",
        status=Status.ERROR,
        cause=Cause.BAD_RECORD,
        summary=f"the record cannot be read: {error}",
        hint="A file of it is missing or was edited; run the scenario again.",
    )


def _with_known(verdict: Verdict, known: KnownIssue) -> Verdict:
    """A FAIL that is exactly the known one is expected; a PASS where one is known is not."""
    if verdict.status is Status.FAIL and verdict.cause is known.cause and known.epoch in (None, verdict.epoch):
        return verdict.model_copy(update={"known": known})
    if verdict.status is not Status.PASS:
        return verdict
    check = Check(
        name="known-issues.yaml",
        status=Status.FAIL,
        cause=Cause.KNOWN_ISSUE_GONE,
        summary=f"{known.cause} was expected here and did not show: {known.reason}",
        hint=f"If the kernel is fixed, remove the entry ({known.scenario}, {known.kernel}) from known-issues.yaml.",
    )
    return verdict.model_copy(
        update={
            "status": Status.FAIL,
            "cause": check.cause,
            "headline": check.summary,
            "checks": (check, *verdict.checks),
        }
    )
