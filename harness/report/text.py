"""A verdict as text for a terminal, and the summary of many."""

from __future__ import annotations

import shlex
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence

from harness.model.causes import Cause, Status
from harness.model.plan import Plan
from harness.model.verdict import Check, Verdict
from harness.record.store import stored_text
from harness.report.results import Results

_WIDTH = 110


def title(verdict: Verdict) -> str:
    """The word a person reads first."""
    if verdict.known is not None:
        return "KNOWN BUG" if verdict.status is Status.FAIL else verdict.status.value
    return verdict.status.value


def headline(verdict: Verdict) -> str:
    """One line: word, variant, cause, seconds."""
    cause = f"  {verdict.cause}" if verdict.cause else ""
    return f"{title(verdict):<11} {verdict.variant}{cause}  ({verdict.duration_s:.0f} s)"


def render(verdict: Verdict, plan: Plan | None = None) -> str:
    """The whole verdict: headline, checks with their evidence, and how to look further."""
    lines = [headline(verdict), *_wrap(verdict.headline, "  ")]
    if verdict.release:
        lines.append(f"  kernel {verdict.kernel}: {verdict.release}")
    if plan is not None:
        lines += _wrap(f"accelerator {plan.accel}: {plan.accel_reason}", "  ", hang=2)
    if verdict.known is not None:
        lines += _wrap(f"known: {verdict.known.reason} [{verdict.known.reference}]", "  ")
    lines.append("")
    for check in verdict.checks:
        lines += _check(check)
    for note in verdict.notes:
        lines += _wrap(f"note: {note}", "  ")
    if verdict.times_s:
        times = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in verdict.times_s.items())
        lines += _wrap(f"times: {times}", "  ", hang=2)
    if verdict.run_dir:
        lines += ["", f"  record: {verdict.run_dir}", f"  judge it again: harness judge {shlex.quote(verdict.run_dir)}"]
    if plan is not None and (again := _again(plan)):
        lines.append(f"  run it again: {shlex.join(again)}")
    return "\n".join(lines) + "\n"


def _again(plan: Plan) -> Sequence[str]:
    """The command that runs the plan's variant again. Of an older plan that was kept in its variant's name; what is in
    no file has none.
    """
    if plan.command or not plan.scenario_file.endswith((".yaml", ".yml")):
        return plan.command
    scenario = plan.scenario
    return ("harness", "run", plan.variant, "--kernel", scenario.kernel, "--firmware", scenario.firmware_name)


def summary(verdicts: Sequence[Verdict], *, not_run: int = 0) -> str:
    """One line a verdict, then the counts, of those that were not run too."""
    order = {Status.FAIL: 0, Status.ERROR: 1, Status.UNSUPPORTED: 2, Status.PASS: 3}
    ranked = sorted(verdicts, key=lambda verdict: (verdict.known is not None, order[verdict.status], verdict.variant))
    lines = []
    for verdict in ranked:
        lines.append(headline(verdict))
        if verdict.status is not Status.PASS:
            lines += _wrap(verdict.headline, " " * 12)
    counts = Counter(title(verdict) for verdict in verdicts)
    words = [f"{count} {name}" for name, count in sorted(counts.items())] or ["nothing was run"]
    if not_run:
        words.append(f"{not_run} not run")
    lines += ["", ", ".join(words)]
    return "\n".join(lines) + "\n"


def not_testable(verdicts: Sequence[Verdict]) -> str:
    """How many of how many were not tested, in words; empty when all were."""
    count = sum(verdict.status is Status.UNSUPPORTED for verdict in verdicts)
    return f"{count} of {len(verdicts)} could not be tested here" if count else ""


def everything(results: Results) -> str:
    """A whole run for a person: of several the verdicts that need one, then the summary, then who is flaky."""
    # What was interrupted is told by the summary.
    needy = [item for item in results.verdicts if not item.as_expected and item.cause is not Cause.INTERRUPTED]
    parts = [stored_text(item) or render(item) for item in (results.verdicts if results.planned == 1 else needy)]
    if results.planned > 1:
        parts.append(summary(results.verdicts, not_run=len(results.not_run)))
        parts += filter(None, [not_testable(results.verdicts)])
    return "".join([f"{part}\n" for part in parts] + [f"FLAKY       {item}\n" for item in results.flaky])


def _check(check: Check) -> Iterator[str]:
    cause = f" [{check.cause}]" if check.cause else ""
    yield from _wrap(f"{check.status.value:<11} {check.name}{cause}: {check.summary}", "  ", hang=14)
    for item in check.evidence:
        where = f"  ({item.where})" if item.where else ""
        yield from _wrap(f"- {item.text}{where}", "              ", hang=2)
    if check.hint and check.status is not Status.PASS:
        yield from _wrap(f"what to do: {check.hint}", "              ", hang=2)


def _wrap(text: str, indent: str, hang: int = 0) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + " " * hang,
        break_long_words=False,
        break_on_hyphens=False,
    )
