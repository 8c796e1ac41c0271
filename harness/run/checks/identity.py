"""Which kernel is really running in each epoch: nonce and epoch on the command line, release, boot id, loader."""

from __future__ import annotations

from collections.abc import Iterator

from harness.model.plan import EpochPlan
from harness.model.record import FrameEntry
from harness.model.verdict import Cause, Check, Evidence, Status
from harness.run.observations import Observations

_NAME = "identity"
KEXEC_LOADER = 0xD0
"""boot_params.hdr.type_of_loader after either kexec call (arch/x86/kernel/kexec-bzimage64.c; kexec-tools)."""


def check_identity(observations: Observations) -> Check | None:
    """Every epoch that reported is the kernel it should be; None when no kernel reported at all."""
    evidence: list[Evidence] = []
    seen: dict[str, int] = {}
    hellos = {epoch.number: observations.record.frame("hello", epoch.number) for epoch in observations.plan.epochs}
    if not any(hellos.values()):
        return None
    reached = max(number for number, hello in hellos.items() if hello is not None)
    for epoch in observations.plan.epochs[:reached]:
        hello = hellos[epoch.number]
        if hello is None:
            return _failed(epoch, Cause.MISSING_REPORT, "its guest agent never reported, but a later one did", ())
        wrong = next(_wrong(observations, epoch, hello, seen), None)
        if wrong is not None:
            return _failed(epoch, *wrong, (_quote(hello),))
        seen[hello.fields.get("boot_id", "")] = epoch.number
        evidence.append(
            Evidence(
                text=f"epoch {epoch.number}: {hello.fields['release']}, boot id {hello.fields['boot_id']}, "
                f"loader {hello.fields['loader']}, its own command line",
                where=hello.body_file or "journal.jsonl",
            )
        )
    return Check(
        name=_NAME,
        status=Status.PASS,
        summary=f"{reached} of {len(observations.plan.epochs)} epochs reported, each a new boot of the kernel it "
        "should be",
        evidence=tuple(evidence),
    )


def _wrong(
    observations: Observations, epoch: EpochPlan, hello: FrameEntry, seen: dict[str, int]
) -> Iterator[tuple[Cause, str]]:
    """What shows that this is not the kernel it should be, the most telling first."""
    fields = hello.fields
    missing = [name for name in ("boot_id", "release", "loader", "epoch") if not fields.get(name)]
    if missing:
        yield Cause.MISSING_REPORT, f"its report lacks {', '.join(missing)}"
        return
    if fields["boot_id"] in seen:
        yield Cause.OLD_KERNEL, f"it is the kernel of epoch {seen[fields['boot_id']]} again: the boot id is the same"
    if fields["epoch"] != str(epoch.number):
        yield Cause.OLD_KERNEL, f"its command line says epoch {fields['epoch']}: not the kernel that was loaded"
    if fields["release"] != epoch.kernel.release:
        yield Cause.WRONG_KERNEL, f"{fields['release']} is running, {epoch.kernel.release} was to"
    if (int(fields["loader"], 16) == KEXEC_LOADER) != (epoch.number > 1):
        started = "was not" if epoch.number > 1 else "was"
        yield Cause.OLD_KERNEL, f"type_of_loader is {fields['loader']}: it {started} started by a kexec"
    said = observations.record.text(epoch.number, "cmdline")
    if said is None:
        yield Cause.MISSING_REPORT, "it did not report /proc/cmdline"
    elif said.strip() != epoch.cmdline:
        yield Cause.SETUP_NOT_PROVED, f"its command line is {said.strip()!r}, planned was {epoch.cmdline!r}"


def _failed(epoch: EpochPlan, cause: Cause, text: str, evidence: tuple[Evidence, ...]) -> Check:
    ours = cause in (Cause.MISSING_REPORT, Cause.SETUP_NOT_PROVED)
    return Check(
        name=_NAME,
        status=Status.ERROR if ours else Status.FAIL,
        cause=cause,
        summary=f"epoch {epoch.number}: {text}",
        epoch=epoch.number,
        evidence=evidence,
        hint="Look at console.log and link frames in journal.jsonl round this border.",
    )


def _quote(hello: FrameEntry) -> Evidence:
    text = ", ".join(f"{key}={value}" for key, value in sorted(hello.fields.items()))
    return Evidence(text=f"reported: {text}", where=hello.body_file or "journal.jsonl")
