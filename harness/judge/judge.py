"""A verdict out of a record: pure, so that every old run can be judged again by new rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from harness.evidence.tables import kinds as tables
from harness.judge.rules import rules
from harness.model.kernel import KernelImage, way_out
from harness.model.names import TableName
from harness.model.plan import Plan
from harness.model.record import NoteEntry, Phase
from harness.model.verdict import Cause, Check, KnownIssue, Status, Verdict
from harness.plan.gate import Refusal
from harness.record.observations import Observations
from harness.record.record import Record, UnreadableRecordError
from harness.subjects.runtime import subject as runtimerules
from harness.subjects.seams import subject as seamrules
from harness.subjects.xen import subject as xenrules

# Whose word counts first when several checks are not PASS: a FAIL is proved by its own evidence whatever else went
# wrong; ERROR comes before UNSUPPORTED, since with an ERROR nothing is known.
_SEVERITY = (Status.FAIL, Status.ERROR, Status.UNSUPPORTED, Status.PASS)

# Damage to a table accuses the kernel only where the table was as planned, and the kernel too: see _accuses().
_DAMAGE = (*map(tables.corrupt, TableName), Cause.CANARY_DAMAGED, Cause.TABLE_REFUSED)
_CRASH = {Cause.PANIC, Cause.OOPS}
_STRANGER = (Cause.SETUP_NOT_PROVED, Cause.OLD_KERNEL, Cause.WRONG_KERNEL, Cause.RESET, Cause.BOOT_LOOP)

# Of several FAILs the one that says most names the cause: damage explains a crash, a crash explains a silence.
_TELLING = (
    *_DAMAGE[:-1],
    Cause.STALE_INITRD,
    Cause.XEN_TABLE_UNPROTECTED,
    Cause.XEN_TABLE_LOST,
    Cause.XEN_RESERVE,
    Cause.OCCUPIED_OVERWRITTEN,
    Cause.KERNEL_MISPLACED,
    Cause.FAKE_MEM_MISMATCH,
    Cause.SOFT_RESERVED_MISMATCH,
    Cause.SOFT_RESERVED_LOST,
    Cause.EFI_PAGE_GLOBAL,
    Cause.EFI_PAGE_WX,
    Cause.EFI_STRESS,
    *runtimerules.TELLING,
    *seamrules.TELLING,
    # Of a kdump: whose dump, of what crash, how much of it, what is in it; then how it was made.
    Cause.VMCORE_FOREIGN,
    Cause.WRONG_CRASH,
    Cause.CAPTURE_OUT_OF_MEMORY,
    Cause.CRASH_REGION_LOST,
    Cause.VMCORE_MISSING,
    Cause.VMCORE_INCOMPLETE,
    Cause.VMCORE_CORRUPT,
    Cause.VMCORE_RANGES,
    Cause.VMCORE_FILTER,
    Cause.CAPTURE_MISPLACED,
    Cause.CPU_NOTES,
    Cause.BACKTRACE,
    Cause.MEMORY_CHANGED,
    Cause.CAPTURE_FAILED,
    Cause.OLD_KERNEL,
    Cause.WRONG_KERNEL,
    Cause.TABLE_REFUSED,
    Cause.STUB_FAILED,
    Cause.PURGATORY_FAILED,
    Cause.XEN_PANIC,
    Cause.DOM0_CRASHED,
    Cause.PANIC,
    Cause.OOPS,
    Cause.PAGE_ALLOCATION_FAILED,
)


_CONSEQUENCES = {**runtimerules.CONSEQUENCES, **xenrules.CONSEQUENCES, **tables.CONSEQUENCES}


def judge(record: Record, known: KnownIssue | None = None, without: frozenset[str] = frozenset()) -> Verdict:
    """The verdict of one run.

    Args:
        known: the entry of known-issues.yaml for this scenario and kernel, if there is one.
        without: names of checks that are switched off, to see what the others make of it (``harness selftest``).
    """
    checks = tuple(_checks(Observations(record), without)) or (_no_check(),)
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


def _no_check() -> Check:
    return Check(
        name="judge",
        status=Status.ERROR,
        cause=Cause.MISSING_REPORT,
        summary="no check had anything to say of this run",
    )


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
        telling = _TELLING.index(check.cause) if check.cause in _TELLING else len(_TELLING)
        return _SEVERITY.index(check.status), telling

    return min((check for check in checks if _accuses(check, checks)), key=rank)


def _accuses(check: Check, checks: Sequence[Check]) -> bool:
    """May this check speak for the run? Damage may not when the table was not set up as planned (memory of another
    type is rightly used again), and not from an epoch on that is not the planned kernel with its command line.
    """
    if check.cause is Cause.MISSING_REPORT:
        # What a run that ended early did not report is explained by its end.
        return not any(other.name == "run" for other in checks if other is not check)
    if check.cause not in (*_DAMAGE, *xenrules.DAMAGE):
        return True
    for other in checks:
        if other.name == "hypervisor" and other.status is Status.ERROR:
            return False
        if other.name == "setup" and other.status is not Status.PASS:
            return False
        if other.name == "identity" and other.cause in _STRANGER and (other.epoch or 0) <= (check.epoch or 0):
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
    said = [check.summary for check in checks if check.name.startswith(_TELLING_PASSES)]
    return "; ".join(said) or f"{len(plan.epochs)} epochs, every expectation held"


_TELLING_PASSES = (
    "table_intact",
    "fake_mem",
    "soft_reserved",
    "efi_page_tables",
    "stress",
    "no_ramdisk",
    "memory map",
    "occupied",
    "kernel_placed",
    "runtime_",
    "xen_table",
    *seamrules.NAMES,
    "kdump: memory",
    "kdump: crash",
)
"""Names of checks whose summary is worth the headline of a PASS."""


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
    return Check(
        name=name,
        status=Status.ERROR,
        cause=Cause.BAD_RECORD,
        summary=f"the record is damaged: {problem}",
        hint="A file of it is missing, cut short or edited; run the scenario again.",
    )


def _consequences(cause: Cause, wrong: Sequence[Check]) -> int:
    """How many checks only say again what a known cause does: a panic is in the console and ends the run, and what
    was not reported after the end is missing.
    """
    family = _CRASH if cause in _CRASH else _CONSEQUENCES.get(cause, {cause})
    told = sum(check.cause in family for check in wrong)
    ended = any(check.name == "run" and check.cause in family for check in wrong)
    missing = sum(check.cause is Cause.MISSING_REPORT for check in wrong) if ended else 0
    return max(0, told - 1) + missing


def _with_known(verdict: Verdict, known: KnownIssue) -> Verdict:
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
    check = Check(
        name="known-issues.yaml",
        status=Status.FAIL,
        cause=Cause.KNOWN_ISSUE_GONE,
        summary=f"the known bug {known.cause} did not show; what known-issues.yaml says of it: {known.reason}",
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
