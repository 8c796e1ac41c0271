"""Is the kdump clean? (docs/kdump.md) This file: did the capture kernel come up where it should, and do its work?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.evidence import klog
from harness.evidence.maps.iomem import CRASH_KERNEL, system_ram
from harness.evidence.ranges import Range
from harness.model.causes import Cause
from harness.model.record import VMCORE_INCOMPLETE, EndKind, EndReason, Phase, RunEnd
from harness.model.verdict import Check, Evidence
from harness.record.reasons import end_reason
from harness.subjects.common import passed
from harness.subjects.kdump.said import failed
from harness.subjects.kdump.view import KdumpView

_CAPTURE = "kdump: capture"
_REGION = "kdump: region"
_MIB = 2**20
LOW_BYTES = _MIB
"""The capture kernel may use the first MiB: it has to start CPUs there, and the crashed kernel keeps nothing in it
(since 6f599d84231f, v5.5, it reserves it all when there is a crashkernel=; kexec-tools saves the first 640 KiB)."""
_OUT_OF_MEMORY = re.compile(
    r"Out of memory|out_of_memory|invoked oom-killer|System is deadlocked on memory|page allocation failure"
    r"|Initramfs unpacking failed|No space left on device|Cannot allocate memory|rootfs image is not initramfs"
    r"|Failed to allocate|Cannot find place for new RAMDISK|not enough memory|alloc_low_pages: can not alloc memory"
)
_ELFCOREHDR = re.compile(r"\belfcorehdr=\S+")
_SILENT_ENDS = (EndKind.QEMU_DIED, EndKind.HOST, EndKind.INTERRUPTED)
"""Nobody under test is at fault; the check of the run's end says so."""


def check_capture(view: KdumpView) -> Check | None:
    """From the trigger to the end of the copy, with the time of each phase."""
    end = view.observations.record.end
    if end is None or end.kind in _SILENT_ENDS:
        return None
    if view.complete:
        return passed(_CAPTURE, _phases(view))
    if end.epoch == view.crashed.number and end.phase is Phase.LOAD:
        return _not_loaded(view)
    if end.phase is Phase.CRASHED and end.kind is EndKind.GUEST_ERROR:
        return None  # the trigger had no effect: no kernel crashed
    if end.phase is Phase.CRASHED:
        summary = f"the kernel crashed, and no capture kernel printed a line: {end.detail}"
        return failed(_CAPTURE, Cause.CAPTURE_FAILED, summary, epoch=view.crashed.number)
    return _ended_in_capture(view, end) if end.epoch == view.capture.number else None


def _phases(view: KdumpView) -> str:
    times = _times(view)
    begin = times.get("crashing")
    words = [
        f"{text} after {times[name] - begin:.1f} s"
        for name, text in (
            ("capture", "the capture kernel's first line"),
            ("hello", "its user space"),
            ("captured", "the vmcore complete"),
        )
        if begin is not None and name in times
    ]
    return f"from the trigger on: {', '.join(words)}"


def _times(view: KdumpView) -> dict[str, float]:
    """When the steps of the crash were seen, in seconds."""
    record = view.observations.record
    found: dict[str, float] = {}
    for kind, epoch in (("crashing", view.crashed), ("hello", view.capture), ("captured", view.capture)):
        frame = record.frame(kind, epoch.number)
        if frame is not None:
            found[kind] = frame.t_s
    for phase in record.phases:
        if phase.epoch == view.capture.number:
            found.setdefault("capture", phase.t_s)
    return found


def _not_loaded(view: KdumpView) -> Check | None:
    """The load failed; a region that is not there explains it."""
    if view.regions or "crashkernel=" not in view.crashed.cmdline or not view.rows:
        return None
    number = view.crashed.number
    return failed(
        _CAPTURE,
        Cause.CRASH_REGION_LOST,
        f"the kernel of epoch {number} has crashkernel= on its command line, and no '{CRASH_KERNEL}' in /proc/iomem",
        epoch=number,
        evidence=tuple(_about_region(view)),
        hint="Read what the kernel said of its reservation; compare /proc/iomem of the epochs.",
    )


def _about_region(view: KdumpView) -> Iterator[Evidence]:
    pattern = re.compile(r"crashkernel|crash kernel", re.IGNORECASE)
    for line in view.observations.epoch_lines(view.crashed.number):
        if pattern.search(line.text) and "command line" not in line.text.lower():
            yield Evidence(text=line.text.strip()[:200], where=f"console.log:{line.number}")


def _ended_in_capture(view: KdumpView, end: RunEnd) -> Check:
    number = view.capture.number
    starved = [line for line in view.observations.epoch_lines(number) if _OUT_OF_MEMORY.search(line.text)]
    if starved:
        regions = " and ".join(f"{item} ({item.size_bytes // _MIB} MiB)" for item in view.regions)
        return failed(
            _CAPTURE,
            Cause.CAPTURE_OUT_OF_MEMORY,
            f"the capture kernel ran out of memory in its region {regions}: {starved[0].text.strip()[:160]}",
            epoch=number,
            evidence=tuple(_quoted(starved[:4])),
            hint="Give it more: crashkernel= on the command line of the kernel that crashes.",
        )
    begun = any(item.name == "capture" for item in view.observations.record.commands)
    if end_reason(end) is EndReason.NO_VMCORE:
        return failed(_CAPTURE, Cause.VMCORE_MISSING, "the capture kernel has no /proc/vmcore", epoch=number)
    if begun:
        return _cut_off(view, end)
    summary = f"the capture kernel started, and did not come to its work: {end.detail}"
    return failed(_CAPTURE, Cause.CAPTURE_FAILED, summary, epoch=number)


def _cut_off(view: KdumpView, end: RunEnd) -> Check:
    number = view.capture.number
    told = [frame.fields.get("bytes", "0") for frame in view.observations.record.frames("progress", number)]
    size = (view.observations.record.text(number, "kdump") or "").partition("vmcore_size=")[2].partition("\n")[0]
    kept = view.vmcore is not None and view.vmcore.file == VMCORE_INCOMPLETE
    return failed(
        _CAPTURE,
        Cause.VMCORE_INCOMPLETE,
        f"the vmcore was not written to its end: {told[-1] if told else 0} bytes were written of a /proc/vmcore of "
        f"{size or '?'} bytes; {end.detail}",
        epoch=number,
        evidence=(Evidence(text=f"what is there of it: {VMCORE_INCOMPLETE}", where=VMCORE_INCOMPLETE),) if kept else (),
    )


def _quoted(lines: list[klog.Line]) -> Iterator[Evidence]:
    for line in lines:
        yield Evidence(text=line.text.strip()[:200], where=f"console.log:{line.number}")


def check_region(view: KdumpView) -> Check | None:
    """The capture kernel is one, and lives in what was reserved for it."""
    number = view.capture.number
    record = view.observations.record
    if record.frame("up", number) is None:
        return None
    if not view.rows or not view.observations.iomem(number):
        return failed(
            _REGION,
            Cause.MISSING_REPORT,
            "/proc/iomem of the crashed or of the capture kernel was not reported",
        )
    if not view.regions:
        return failed(_REGION, Cause.CRASH_REGION_LOST, f"no '{CRASH_KERNEL}' in /proc/iomem", epoch=number - 1)
    used = system_ram(view.observations.iomem(number))
    stray = [
        item for item in used if item.end > LOW_BYTES and not any(region.contains(item) for region in view.regions)
    ]
    where = view.observations.where(number, "iomem")
    if stray:
        return failed(
            _REGION,
            Cause.CAPTURE_MISPLACED,
            f"the capture kernel has {_text(stray)} as System RAM; its region is {_text(view.regions)}",
            epoch=number,
            evidence=(Evidence(text=f"System RAM: {_text(used)}", where=where),),
        )
    cmdline = record.text(number, "cmdline") or ""
    if _ELFCOREHDR.search(cmdline) is None:
        text = "the second kernel has no elfcorehdr= on its command line: it was not started as a capture kernel"
        return failed(_REGION, Cause.CAPTURE_FAILED, text, epoch=number)
    return passed(
        _REGION,
        f"the capture kernel's memory is inside {_text(view.regions)}"
        + (" and the first MiB" if any(item.start < LOW_BYTES for item in used) else ""),
        evidence=(
            Evidence(text=f"System RAM: {_text(used)}", where=where),
            Evidence(text=_ELFCOREHDR.findall(cmdline)[0], where=view.observations.where(number, "cmdline")),
        ),
    )


def _text(ranges: tuple[Range, ...] | list[Range]) -> str:
    return ", ".join(map(str, ranges))
