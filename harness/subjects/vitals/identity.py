"""Which kernel is really running in each epoch: nonce and epoch on the command line, build, boot id, loader."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from harness.model.causes import Cause, Status
from harness.model.plan import EpochPlan
from harness.model.record import EndKind, FrameEntry
from harness.model.verdict import Check, Evidence
from harness.record.observations import Observations
from harness.subjects.common import judged, passed
from harness.subjects.xen.plan import KERNEL_FILE

_NAME = "identity"
KEXEC_LOADER = 0xD0
"""boot_params.hdr.type_of_loader after either kexec call (arch/x86/kernel/kexec-bzimage64.c; kexec-tools)."""
_VERSION_CHARS = 64
"""utsname()->version, which /proc/version ends with, is cut there (include/uapi/linux/utsname.h)."""
_ELFCOREHDR = re.compile(r"^elfcorehdr=0x[0-9a-f]+ |(?: acpi_rsdp=0x[0-9a-f]+)? elfcorehdr=[0-9]+K?$")
"""What a capture kernel has besides on its command line: the kernel puts it in front (setup_cmdline() in
arch/x86/kernel/kexec-bzimage64.c), kexec-tools at the end (kexec/arch/i386/crashdump-x86.c), behind
acpi_rsdp= where the kernel runs without EFI runtime services. The check of the crash region asks for it."""
_JUMP_BACK = re.compile(r" kexec_jump_back_entry=0x[0-9a-f]+$")
"""kexec-tools, kexec/arch/i386/x86-linux-setup.c."""
_FIELDS = ("boot_id", "release", "loader", "epoch")

_STATUS = {
    Cause.OLD_KERNEL: Status.FAIL,
    Cause.WRONG_KERNEL: Status.FAIL,
    Cause.BOOT_LOOP: Status.FAIL,
    Cause.MISSING_REPORT: Status.ERROR,
    Cause.SETUP_NOT_PROVED: Status.ERROR,
}


def check_identity(observations: Observations) -> Check | None:
    """Every epoch that reported is the kernel it should be; None when no kernel was to report yet."""
    hellos = {epoch.number: tuple(observations.record.frames("hello", epoch.number)) for epoch in _epochs(observations)}
    expected = _expected(observations, hellos)
    if not expected:
        return None
    evidence: list[Evidence] = []
    seen: dict[str, int] = {}
    for epoch in expected:
        found = hellos[epoch.number]
        if not found:
            return _failed(epoch, Cause.MISSING_REPORT, "its guest agent never reported", ())
        for hello in found:
            wrong = next(_wrong(observations, epoch, hello, seen), None)
            if wrong is not None:
                return _failed(epoch, *wrong, (*evidence, _quote(hello)))
            seen[hello.fields["boot_id"]] = epoch.number
        if _completed(observations) and observations.record.frame("up", epoch.number) is None:
            return _failed(epoch, Cause.MISSING_REPORT, "its guest agent never said that it was done", ())
        evidence.append(_proof(epoch, found[0]))
    return passed(
        _NAME,
        f"{len(expected)} of {len(_epochs(observations))} epochs reported, each a new boot of its planned "
        "kernel and command line",
        evidence=tuple(evidence),
    )


def _epochs(observations: Observations) -> tuple[EpochPlan, ...]:
    """Those that can report. What a kernel without an initrd is, is seen on its console (``no_ramdisk``)."""
    return tuple(epoch for epoch in observations.plan.epochs if not epoch.without_initrd)


def _expected(observations: Observations, hellos: dict[int, tuple[FrameEntry, ...]]) -> Sequence[EpochPlan]:
    """The epochs that must have reported: all of a completed run, else up to the last one that did."""
    if _completed(observations):
        return _epochs(observations)
    reached = max((number for number, found in hellos.items() if found), default=0)
    return _epochs(observations)[:reached]


def _completed(observations: Observations) -> bool:
    end = observations.record.end
    return end is not None and end.kind is EndKind.COMPLETE


def _wrong(
    observations: Observations, epoch: EpochPlan, hello: FrameEntry, seen: dict[str, int]
) -> Iterator[tuple[Cause, str]]:
    """What shows that this is not the kernel it should be, the most telling first."""
    fields = hello.fields
    missing = [name for name in _FIELDS if not fields.get(name)]
    if missing:
        yield Cause.MISSING_REPORT, f"its report lacks {', '.join(missing)}"
        return
    before = seen.get(fields["boot_id"])
    if before == epoch.number:
        yield Cause.MISSING_REPORT, "its guest agent reported twice in one boot"
    if before is not None:
        yield Cause.OLD_KERNEL, f"it is the kernel of epoch {before} again: the boot id is the same"
    if fields["epoch"] != str(epoch.number):
        yield Cause.OLD_KERNEL, f"its command line says epoch {fields['epoch']}: not the kernel that was loaded"
    if fields["release"] != epoch.kernel.release:
        yield Cause.WRONG_KERNEL, f"{fields['release']} is running, planned was {epoch.kernel.release}"
    if (int(fields["loader"], 16) == KEXEC_LOADER) != (epoch.number > 1):
        how = "a kexec did not start it" if epoch.number > 1 else "a kexec started it, not the EFI agent"
        yield Cause.OLD_KERNEL, f"type_of_loader is {fields['loader']}: {how}"
    if epoch.number in seen.values():
        yield Cause.BOOT_LOOP, "it booted twice: a second report came with another boot id"
    yield from _wrong_build(observations, epoch, hello)
    yield from _wrong_cmdline(observations, epoch)


def _wrong_build(observations: Observations, epoch: EpochPlan, hello: FrameEntry) -> Iterator[tuple[Cause, str]]:
    """Two builds of one release (a bisection makes many) differ only in the build's number and date."""
    version = observations.record.body(hello).decode("utf-8", "backslashreplace").strip()
    _, number_sign, build = epoch.kernel.banner.partition(" #")
    if not version:
        yield Cause.MISSING_REPORT, "it did not report /proc/version"
    elif number_sign and not version.endswith(f"#{build}"[:_VERSION_CHARS].rstrip()):
        yield Cause.WRONG_KERNEL, f"another build is running: {version!r}, planned was {epoch.kernel.banner!r}"


def _wrong_cmdline(observations: Observations, epoch: EpochPlan) -> Iterator[tuple[Cause, str]]:
    said = observations.record.text(epoch.number, "cmdline")
    if said is None:
        yield Cause.MISSING_REPORT, "it did not report /proc/cmdline"
    elif _plain(observations, said) != epoch.cmdline:
        yield Cause.SETUP_NOT_PROVED, f"its command line is {said.strip()!r}, planned was {epoch.cmdline!r}"


def _plain(observations: Observations, said: str) -> str:
    """Without what a boot loader put there: elfcorehdr=, the file name that Xen since 4.20 gives to dom0, and what
    kexec-tools adds for a kernel that Xen starts.
    """
    text = _ELFCOREHDR.sub("", said.strip())
    if observations.plan.hypervisor is None:
        return text
    return _JUMP_BACK.sub("", text.removeprefix(f"{KERNEL_FILE} "))


def _failed(epoch: EpochPlan, cause: Cause, text: str, evidence: tuple[Evidence, ...]) -> Check:
    return judged(
        _NAME,
        cause,
        f"epoch {epoch.number}: {text}",
        epoch=epoch.number,
        evidence=evidence,
        hint=f"Look at console.log and at the frames in journal.jsonl where epoch {epoch.number} begins.",
    )


def _proof(epoch: EpochPlan, hello: FrameEntry) -> Evidence:
    fields = hello.fields
    return Evidence(
        text=f"epoch {epoch.number}: {fields['release']}, boot id {fields['boot_id']}, loader {fields['loader']}",
        where=hello.body_file or "journal.jsonl",
    )


def _quote(hello: FrameEntry) -> Evidence:
    text = ", ".join(f"{key}={value}" for key, value in sorted(hello.fields.items()))
    return Evidence(text=f"reported: {text}", where=hello.body_file or "journal.jsonl")
