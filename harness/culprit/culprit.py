"""Runs a failing overwrite again, with its range watched, and names who wrote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from harness.culprit.watcher import MAX_WATCHED_BYTES, Watcher, whole_tables
from harness.errors import HostError, InputError, Interrupted
from harness.evidence.code.attribution import attribute
from harness.evidence.code.culprit import changed
from harness.evidence.maps.segments import Role, Segment
from harness.evidence.ranges import Range
from harness.load.scenarios import Variant
from harness.model.autopsy import Owner
from harness.model.culprit import Culprit, Target, Write
from harness.record.observations import Load, Observations
from harness.record.store import read_record
from harness.session.prepare import Workshop
from harness.session.session import Options, Session
from harness.stage.listener import Listener
from harness.stage.stage import Stage

FILE = "culprit.json"


@dataclass(frozen=True)
class Case:
    """What is to be run again."""

    variant: Variant
    damage: tuple[Target, ...] = ()
    """What the record shows; empty for a scenario of which there is none: then every watched table is."""
    release: str = ""
    sha256: tuple[str, ...] = ()
    """Of the record's kernels, epoch by epoch."""


def case_of_record(directory: Path) -> Case:
    """The case that a record of a failed run is.

    Raises:
        InputError: it is no record, or nothing was overwritten in it.
    """
    observations = Observations(read_record(directory))
    plan = observations.plan
    if observations.record.problems:
        raise InputError(f"{directory}: the record is damaged: {observations.record.problems[0]}")
    damage = damaged(observations)
    if not damage:
        raise InputError(
            f"{directory}: no watched table was overwritten in this run",
            hint="give the record of a run that lost a table, or a scenario's id",
        )
    variant = Variant(plan.variant, plan.scenario, plan.scenario_file, 1)
    return Case(variant, damage, plan.epochs[0].kernel.release, tuple(epoch.kernel.sha256 for epoch in plan.epochs))


def check_variant(variant: Variant) -> Case:
    """A scenario as a case.

    Raises:
        InputError: it watches no table, or no kexec could overwrite one.
    """
    scenario = variant.scenario
    if not any(hasattr(item, "table_intact") or hasattr(item, "kexec_would_overlap") for item in scenario.expect):
        raise InputError(
            f"{variant.id}: this scenario watches no table, so there is nothing that could be overwritten",
            hint="one that expects table_intact does, such as esrt/kexec-load",
        )
    return Case(variant)


def damaged(observations: Observations) -> tuple[Target, ...]:
    """The tables that were not what firmware had handed over, each from the first to the last byte that differed, in
    the first sample that shows it; a page of it at most.
    """
    found = []
    for name, baseline in observations.baselines.items():
        for sample in observations.samples(name):
            if sample.pages_size_bytes != baseline.pages.size_bytes:
                continue
            where = changed(baseline.data, observations.record.sampled(sample), baseline.pages.start)
            if where.size_bytes:
                end = min(where.end, where.start + MAX_WATCHED_BYTES)
                found.append(Target(name=name, start=where.start, end=end))
                break
    return tuple(found)


def investigate(
    case: Case,
    workshop: Workshop,
    options: Options,
    listener: Listener,
    *,
    started: Callable[[Session], None] = lambda _session: None,
) -> Culprit:
    """Run the case, watched, and say who wrote.

    ``started`` is given the session before it runs, so that others can stop it.

    Raises:
        InputError: a kernel is not the one of the record any more.
        HostError: the run could not be made.
        Interrupted: the user asked to stop.
    """
    watcher = Watcher(lambda stage: _targets(case, stage), workshop.naming)
    session = Session(workshop, replace(options, jobs=1, probe=watcher), listener)
    started(session)
    _same_kernels(case, workshop)
    try:
        (verdict,) = session.run([case.variant])
    finally:
        watcher.close()
    if session.interrupted:
        raise Interrupted(f"stopped on request; the record is {verdict.run_dir}")
    if not verdict.run_dir:
        raise HostError(f"{case.variant.id} could not be run: {verdict.headline}")
    directory = Path(verdict.run_dir)
    culprit = conclude(Observations(read_record(directory)), watcher).model_copy(update={"run_dir": str(directory)})
    try:
        (directory / FILE).write_text(culprit.model_dump_json(indent=1) + "\n")
    except OSError as error:
        raise HostError(f"{directory / FILE}: cannot be written ({error.strerror})") from error
    return culprit


def conclude(observations: Observations, watcher: Watcher) -> Culprit:
    """What was seen, put together with the record of the run."""
    notes = list(watcher.notes)
    end = observations.record.end
    if not watcher.armed and not notes:
        notes.append("the run ended before the hand-off: nothing was watched")
    return Culprit(
        variant=observations.plan.variant,
        targets=watcher.targets,
        damaged=tuple(item for item in damaged(observations) if item.name in {t.name for t in watcher.targets}),
        writes=tuple(_explained(observations, write) for write in watcher.writes()),
        notes=tuple(notes),
        ended=f"{end.kind}: {end.detail}" if end is not None else "",
    )


def _targets(case: Case, stage: Stage) -> tuple[Target, ...]:
    """The record's range, moved with the table if that lies elsewhere now; else whole tables."""
    tables = {target.name: target for target in whole_tables(stage)}
    if not case.damage:
        return tuple(tables.values())
    return tuple(target for target in case.damage if target.name in tables) or tuple(tables.values())


def _same_kernels(case: Case, workshop: Workshop) -> None:
    if not case.sha256:
        return
    now = workshop.kernels(case.variant.scenario)
    for kernel, sha256 in zip(now, case.sha256, strict=True):
        if kernel.sha256 != sha256:
            raise InputError(
                f"{kernel.name} is not the kernel of the record any more: {kernel.release}, then {case.release}",
                hint=f"harness culprit {case.variant.scenario.id} --kernel FILE takes a kernel by path",
            )


def _explained(observations: Observations, write: Write) -> Write:
    """With the segment that belongs there, and the proof that the bytes are its."""
    load = next((load for load in observations.loads if load.epoch + 1 == write.epoch), None)
    where = Range(write.start, max(write.end, write.start + 1))
    segment = next((item for item in load.segments if item.range.overlaps(where)), None) if load is not None else None
    if load is None or segment is None:
        return write
    text = f"{segment} of the kernel that epoch {load.epoch} loaded"
    return write.model_copy(update={"segment": text, "origin": _origin(observations, write, segment, load)})


def _origin(observations: Observations, write: Write, segment: Segment, load: Load) -> str:
    if write.start == write.end or segment.role is not Role.INITRD or write.place.owner is not Owner.CONTROL:
        return ""

    def read(offset: int, size_bytes: int) -> bytes:
        return observations.record.read_payload(str(load.target.initrd), offset, size_bytes) or b""

    found = attribute(bytes.fromhex(write.after_hex), Range(write.start, write.end), segment, read)
    return found.text if found is not None else ""
