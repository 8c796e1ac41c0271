"""A verdict out of a record: pure, so that every old run can be judged again by new rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from harness.judge.known import expected, match
from harness.judge.rules import rules
from harness.model.causes import Accuses, Cause, Mark, Status
from harness.model.kernel import KernelImage, way_out
from harness.model.plan import Plan
from harness.model.record import NoteEntry, Phase
from harness.model.verdict import Check, KnownIssue, Verdict
from harness.plan.gate import Refusal
from harness.record.observations import Observations
from harness.record.record import Record, UnreadableRecordError
from harness.subjects.common import failed, missing
from harness.subjects.registry import HEADLINES

# Whose word counts first when several checks are not PASS: a FAIL is proved by its own evidence whatever else went
# wrong; ERROR comes before UNSUPPORTED, since with an ERROR nothing is known.
_SEVERITY = (Status.FAIL, Status.ERROR, Status.UNSUPPORTED, Status.PASS)


def judge(record: Record, known: Sequence[KnownIssue] = (), without: frozenset[str] = frozenset()) -> Verdict:
    """The verdict of one run.

    Args:
        known: the entries of known-issues.yaml.
        without: names of checks that are switched off, to see what the others make of it (``harness selftest``).
    """
    checks = tuple(_checks(Observations(record), without)) or (_no_check(),)
    main = _main(checks)
    verdict = _verdict(record, checks, main)
    kernels = [epoch.kernel.name for epoch in record.plan.epochs]
    issue = match(known, record.plan.scenario, kernels, verdict.epoch if verdict.status is Status.FAIL else None)
    return verdict if issue is None else expected(verdict, issue)


def refused(plan_variant: str, run_id: str, kernels: Sequence[KernelImage], refusal: Refusal) -> Verdict:
    """The verdict of a scenario that was not run, because a kernel lacks what it needs."""
    check = failed(
        "gate",
        Cause.NO_CAPABILITY,
        f"{refusal.kernel} lacks {refusal.capability}: {refusal.reason}",
        hint=way_out(refusal.capability),
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
    check = failed("start", cause, message, hint=hint)
    return Verdict(
        variant=variant,
        run_id="",
        kernel=kernel,
        status=check.status,
        cause=cause,
        headline=message,
        phase=Phase.START,
        epoch=0,
        checks=(check,),
    )


def _no_check() -> Check:
    return missing("judge", "no check had anything to say of this run", hint="")


def _checks(observations: Observations, without: frozenset[str]) -> Iterator[Check]:
    record = observations.record
    if record.problems:
        yield _bad_record("record", "; ".join(record.problems))
        return
    for name, check in rules(observations.plan):
        if name in without:
            continue
        try:
            result = check(observations)
        except (UnreadableRecordError, ValueError, KeyError) as error:
            yield _bad_record(name, str(error))
        else:
            if result is not None:
                yield result


def _main(checks: Sequence[Check]) -> Check:
    """The check that speaks for the run."""

    def rank(check: Check) -> tuple[int, int]:
        return _SEVERITY.index(check.status), len(Cause) if check.cause is None else check.cause.rank

    return min((check for check in checks if _accuses(check, checks)), key=rank)


def _accuses(check: Check, checks: Sequence[Check]) -> bool:
    """May this check speak for the run? Damage may not when the table was not set up as planned (memory of another
    type is rightly used again), and not from an epoch on that is not the planned kernel with its command line.
    """
    if check.cause is None or check.cause.accuses is Accuses.ALWAYS:
        return True
    if check.cause.accuses is Accuses.UNLESS_ENDED:
        return not any(other.name == "run" for other in checks if other is not check)
    for other in checks:
        if other.name == "hypervisor" and other.status is Status.ERROR:
            return False
        if other.name == "setup" and other.status is not Status.PASS:
            return False
        strange = other.cause is not None and other.cause.mark is Mark.STRANGER
        if other.name == "identity" and strange and (other.epoch or 0) <= (check.epoch or 0):
            return False
    return True


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
        notes=tuple(note.line for note in record.notes if not _said_in(note, main)),
        duration_s=end.t_s if end else 0.0,
        times_s=_times(record),
    )


def _said_in(note: NoteEntry, main: Check) -> bool:
    """A verdict about a table that was not found quotes the reason."""
    return note.table is not None and note.text in main.summary


def _pass_headline(plan: Plan, checks: Sequence[Check]) -> str:
    said = [check.summary for check in checks if check.name.startswith(HEADLINES)]
    return "; ".join(said) or f"{len(plan.epochs)} epochs, every expectation held"


def _times(record: Record) -> dict[str, float]:
    """Seconds spent in each phase; the last one ends with the run."""
    times: dict[str, float] = {}
    end_s = record.end.t_s if record.end else None
    for entry, after in zip_longest(record.phases, record.phases[1:]):
        until_s = after.t_s if after is not None else end_s
        if until_s is not None and entry.phase is not Phase.OFF:
            label = f"{entry.phase}" if entry.epoch == 0 else f"{entry.phase} {entry.epoch}"
            times[label] = round(times.get(label, 0.0) + until_s - entry.t_s, 2)
    return times


def _bad_record(name: str, problem: str) -> Check:
    return failed(
        name,
        Cause.BAD_RECORD,
        f"the record is damaged: {problem}",
        hint="A file of it is missing, cut short or edited; run the scenario again.",
    )
