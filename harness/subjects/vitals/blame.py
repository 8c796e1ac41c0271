"""Whose fault an end is, told apart by evidence: resets, panics, time-outs, steps that a guest could not do."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.evidence import klog
from harness.evidence.code.autopsy import busiest, headline, is_idle
from harness.evidence.maps.segments import Role
from harness.model.autopsy import Autopsy, Owner
from harness.model.causes import Cause
from harness.model.record import EndReason, Phase, RunEnd
from harness.record.observations import Observations
from harness.record.reasons import end_reason
from harness.record.record import UnreadableRecordError
from harness.subjects.vitals.starved import HINT, starved

_STUB_ERROR = re.compile(r"EFI stub: ERROR: ")
_RUN_INIT = "Run /init as init process"
"""init/main.c, run_init_process()"""
_TRIPLE_FAULT = b"Triple fault"
"""QEMU, target/i386/tcg/sysemu/excp_helper.c, with -d cpu_reset (since 0.12)."""
_OTHER_BYTES = "The next kernel was changed in memory between its loading and the jump; by whom is the question."
_USER_PHASES = (Phase.USERSPACE, Phase.LOAD, Phase.CAPTURE)


@dataclass(frozen=True)
class Fault:
    """Status, cause and what to do; ``what`` replaces the runner's words where more is known."""

    cause: Cause
    hint: str
    what: str = ""


def reset(observations: Observations, end: RunEnd) -> Fault:
    """A reset behind the kernel's back."""
    place = _place(observations)
    low = _below_pref_address(observations, end)
    if _last_log_line(observations) == _TRIPLE_FAULT:
        hint = (
            "The processor met an exception while it delivered a double fault: stack or IDT are gone. See autopsy.json."
        )
        return Fault(Cause.TRIPLE_FAULT, hint, f"triple fault{place}{low}: {end.detail}")
    if end.epoch == 1 and end.phase is Phase.STUB and not observations.spoke(1):
        hint = "Where did the stub unpack the kernel? Compare the map (harness memmap show) with docs/memory-maps.md."
        what = f"reset in the EFI stub without a word{place}: as when the kernel is placed below LOAD_PHYSICAL_ADDR"
        return Fault(Cause.SILENT_RESET, hint, f"{what}: {end.detail}")
    if end.epoch and not klog.banners(observations.epoch_lines(end.epoch)):
        hint = "The kernel had printed nothing yet: look at autopsy.json and at what the phase before did."
        what = f"reset without a word of the kernel{place}{low}: {end.detail}"
        return Fault(Cause.SILENT_RESET, hint, what)
    hint = (
        "The machine was reset by the chipset's or the keyboard controller's port, or by firmware (no triple fault); "
    )
    if _last_log_line(observations) is None:
        hint = "The machine was reset behind the kernel's back (triple fault, or a reset by firmware); "
    return Fault(Cause.RESET, f"{hint}look at the last console lines.", place and f"{end.detail}{place}")


def _below_pref_address(observations: Observations, end: RunEnd) -> str:
    """A kernel that is loaded below its pref_address moves itself up to there, over whatever lies there (head_64.S)."""
    if end.phase is not Phase.JUMP:
        return ""
    for load in observations.loads:
        pref = load.target.kernel.pref_address
        for segment in load.segments:
            if load.target.number == end.epoch and segment.role is Role.KERNEL and segment.range.start < pref:
                return (
                    f"; kexec had put the kernel at {segment.range.start:#x}, below its pref_address {pref:#x}, so it "
                    f"moves itself up, as far as {pref + load.target.kernel.init_size_bytes:#x}"
                )
    return ""


def panic(observations: Observations, end: RunEnd) -> Fault:
    """A panic, by its own words or by the pvpanic device only; or Xen says that it, or dom0, is at its end."""
    if end_reason(end) is EndReason.XEN_PANIC:
        said = _behind(observations, end)
        what = f"panic of Xen: {said}" if said else ""
        return Fault(Cause.XEN_PANIC, "Read the lines of console.log around the panic of Xen.", what)
    if end_reason(end) is EndReason.DOM0_DIED:
        hint = "Read what dom0 printed before it died; Xen prints its registers where it caused the end itself."
        return Fault(Cause.DOM0_CRASHED, hint)
    panics = [line.text for line in observations.epoch_lines(end.epoch) if "Kernel panic - not syncing" in line.text]
    if panics and starved(observations, panics[0]):
        return Fault(Cause.HOST, HINT)
    if panics:
        return Fault(Cause.PANIC, "Read the console from the quoted line on.")
    what = f"panic without output: {end.detail}, and the console shows no panic"
    hint = "Is the console silenced (quiet, loglevel)? autopsy.json may have the kernel's log from memory."
    return Fault(Cause.SILENT_PANIC, hint, what)


def _behind(observations: Observations, end: RunEnd) -> str:
    """What Xen says in the line behind `Panic on CPU`."""
    lines = observations.epoch_lines(end.epoch)
    place = next((number for number, line in enumerate(lines) if "(XEN) Panic on CPU" in line.text), len(lines))
    return next((line.text.removeprefix("(XEN) ") for line in lines[place + 1 : place + 2]), "")


def guest_error(observations: Observations, end: RunEnd) -> Fault:
    """An agent reported that it could not do a step."""
    if end.epoch == 0:
        hint = (
            "The EFI agent could not do what the plan says. EFI_NOT_FOUND: those pages are not free, or not there; "
            "EFI_OUT_OF_RESOURCES: there is no such room. Choose another place, or give the machine more memory."
        )
        return Fault(Cause.AGENT_ERROR, hint)
    if end.phase is Phase.STUB:
        return _stub(observations, end)
    if end_reason(end) is EndReason.KEXEC_RETURNED:
        hint = "The old kernel still runs: it refused or gave up the jump. Its log is on the console."
        return Fault(Cause.KEXEC_RETURNED, hint)
    loaded = observations.record.frame("loaded", end.epoch)
    if loaded is not None and loaded.fields.get("rc") != "0":
        hint = "The kernel or kexec-tools refused to load the next kernel."
        return Fault(Cause.KEXEC_LOAD_FAILED, hint)
    lacking = _lacks_driver(observations, end)
    return lacking or Fault(Cause.GUEST_ERROR, "The guest agent could not do a step; read its output.")


def _stub(observations: Observations, end: RunEnd) -> Fault:
    """StartImage came back."""
    if end_reason(end) is EndReason.NO_ENTRY_POINT:
        on_xen = observations.plan.hypervisor is not None
        hint = "xen.efi is for 64-bit firmware: use ovmf-x64." if on_xen else "Use a kernel with CONFIG_EFI_MIXED."
        return Fault(Cause.NO_CAPABILITY, hint)
    hint = "The kernel's EFI stub gave up; its own words are on the console."
    return Fault(Cause.STUB_FAILED, hint)


def _lacks_driver(observations: Observations, end: RunEnd) -> Fault | None:
    """The guest found no disk, as its kernel has no driver; None when it has both, or it is about something else."""
    if end_reason(end) is not EndReason.NO_DISK:
        return None
    modules = (observations.record.text(end.epoch, "modules") or "").splitlines()
    driver = next((name for name in ("virtio_pci", "virtio_blk") if f"{name}=absent" in modules), None)
    if driver is None:
        return None
    hint = (
        f"This kernel has no {driver}, neither built in nor as a module beside the image, so it cannot read the "
        "next kernel. Give the .deb, or the image with its config and modules as an entry (docs/kernels.md)."
    )
    what = f"this kernel has no {driver}, so its guest cannot read the next kernel: {end.detail}"
    return Fault(Cause.NO_CAPABILITY, hint, what)


def halted(_observations: Observations, end: RunEnd) -> Fault:
    """Firmware or the decompressor said that it stops for good."""
    if end.epoch == 0:
        return Fault(Cause.NO_BOOT, "Firmware stopped before a kernel was started; see console.log.")
    if end_reason(end) is EndReason.OTHER_DIGESTS:
        return Fault(Cause.PURGATORY_FAILED, _OTHER_BYTES)
    if end.phase in (Phase.STUB, Phase.JUMP):
        hint = "EFI stub or decompressor stopped: nothing of the kernel itself ran."
        return Fault(Cause.STUB_FAILED, hint)
    return Fault(Cause.HANG, "Read the console from the quoted line on.")


def timeout(observations: Observations, end: RunEnd) -> Fault:
    """A budget ran out, and QEMU answered."""
    if end.epoch == 0:
        return Fault(Cause.NO_BOOT, "Firmware or EFI agent did not get ready; look at debugcon.log.")
    found = observations.record.autopsy
    doing = headline(found) if found is not None else ""
    what = f"{doing}: {end.detail}" if doing else ""
    if end.phase in (Phase.FIRMWARE, Phase.AGENT):
        return Fault(Cause.BACK_IN_FIRMWARE, "The machine went back to firmware, which hangs.", what)
    silent = _silent(observations, end, found, what)
    if silent is not None:
        return silent
    if end.phase is Phase.JUMP and found is not None and _in_purgatory(found):
        return Fault(Cause.PURGATORY_FAILED, _OTHER_BYTES, f"purgatory's check of the segments failed: {what}")
    if found is not None and _alive(found) and _in_user_space(observations, end):
        hint = (
            "The kernel lives, and its guest agent waits for something that does not come, or has lost the link. "
            "A slow host can be given more time with --time-factor."
        )
        return Fault(Cause.AGENT_LOST, hint, f"the guest agent says nothing more: {what}")
    hint = "Look at the last console lines; a slow host can be given more time with --time-factor."
    return Fault(Cause.HANG, hint, what)


def _silent(observations: Observations, end: RunEnd, found: Autopsy | None, what: str) -> Fault | None:
    """The first kernel has not printed its first line."""
    lines = observations.epoch_lines(1)
    if end.epoch > 1 or klog.banners(lines):
        return None
    if any(_STUB_ERROR.search(line.text) for line in lines):
        hint = "The kernel's EFI stub reported an error and did not come back."
        return Fault(Cause.STUB_FAILED, hint, what)
    owner = busiest(found).place.owner if found is not None and found.cpus else Owner.UNKNOWN
    if observations.record.frame("hello", 1) is not None or (found is not None and _alive(found)):
        hint = "Has this kernel a driver for a 16550 (SERIAL_8250, SERIAL_8250_CONSOLE)?"
        return Fault(Cause.NO_CONSOLE, hint, f"the kernel runs, and its console says nothing: {what}")
    if owner in (Owner.KERNEL, Owner.STUB, Owner.MODULE):
        hint = "It hangs before it has a console: see autopsy.json for its log in memory, or try earlycon."
        return Fault(Cause.HANG, hint, what)
    hint = (
        "Nothing shows that this kernel ever ran. Is it an x86-64 bzImage with EFI_STUB and a serial console "
        "(SERIAL_8250_CONSOLE)?"
    )
    return Fault(Cause.NO_BOOT, hint, what)


def _in_purgatory(found: Autopsy) -> bool:
    """The kernel's purgatory and that of kexec-tools loop when the digests differ; a good one leaves in milliseconds
    (kexec-tools: seconds, in code of many addresses).
    """
    if not found.cpus:
        return False
    report = busiest(found)
    places = {place.address for place in report.seen} | {report.place.address}
    inside = report.place.owner is Owner.SEGMENT and report.place.name == Role.PURGATORY
    return inside and max(places) - min(places) < _LOOP_BYTES


_LOOP_BYTES = 16


def _alive(found: Autopsy) -> bool:
    """Does the kernel idle with interrupts on, or run a program?"""
    return bool(found.cpus) and all(
        is_idle(report) or report.place.owner in (Owner.USER, Owner.UNMAPPED) for report in found.cpus
    )


def _in_user_space(observations: Observations, end: RunEnd) -> bool:
    """Has the kernel done all that it does before its guest agent begins?"""
    begun = any(_RUN_INIT in line.text for line in observations.epoch_lines(end.epoch))
    return end.phase in _USER_PHASES or (begun and end.phase is not Phase.JUMP)


def _place(observations: Observations) -> str:
    found = observations.record.autopsy
    return f" at {busiest(found).place}" if found is not None and found.cpus else ""


def _last_log_line(observations: Observations) -> bytes | None:
    """The last line of QEMU's log; None when there is no such log, so that it proves nothing."""
    try:
        lines = observations.record.read("qemu.log").split(b"\n")
    except UnreadableRecordError:
        return None
    return next((line.strip() for line in reversed(lines) if line.strip()), b"")
