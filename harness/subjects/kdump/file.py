"""Is the file a whole dump of this run's kernel, and is the crash in it the one that was injected?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from harness.evidence import klog
from harness.evidence.crash import Crash
from harness.evidence.defect import Defect
from harness.evidence.vmcore import Dump, Fault, FileDefect, Kind
from harness.evidence.vmcoreinfo import VmcoreInfo
from harness.model.causes import Cause
from harness.model.record import VMCORE_DMESG, VMCORE_INCOMPLETE, VmcoreEntry
from harness.model.verdict import Check, Evidence
from harness.model.words.kdump import ANY_TASK, TASK_PREFIX
from harness.subjects.common import passed
from harness.subjects.kdump.said import failed, missing
from harness.subjects.kdump.view import KdumpView

_FILE = "kdump: file"
_ORIGIN = "kdump: origin"
_CRASH = "kdump: crash"
_COMM = re.compile(r"\bComm: (?P<comm>\S+)")
_REPORT_LINES = 60
"""So far behind the first line of a report its "Comm:" may stand: an oops prints registers and code before it, a
soft lockup lists modules."""


def check_file(view: KdumpView) -> Check | None:
    """There is a file, it is whole, and its format is the one that was asked for."""
    entry, dump = view.vmcore, view.dump
    if entry is None or dump is None:
        if not view.complete:
            return None
        what = "no vmcore was kept" if entry is None else f"the record has no file {entry.file}"
        return failed(_FILE, Cause.VMCORE_MISSING, what, epoch=view.capture.number)
    if entry.file == VMCORE_INCOMPLETE:
        return None
    if isinstance(dump, FileDefect) or dump.defects:
        return _defective(view, entry.file, (dump,) if isinstance(dump, FileDefect) else dump.defects)
    wrong = _wrong_form(view, entry, dump)
    if wrong is not None:
        return failed(_FILE, *wrong, epoch=view.capture.number)
    held = sum(run.end - run.start for run in dump.held())
    return passed(
        _FILE,
        f"{entry.file} is whole: {_format(dump)}, {entry.size_bytes} bytes, {held} pages",
        evidence=(Evidence(text=f"memory: {', '.join(map(str, dump.ranges))}", where=entry.file),),
    )


def _wrong_form(view: KdumpView, entry: VmcoreEntry, dump: Dump) -> tuple[Cause, str] | None:
    # The file is cut where its writer said that it ends: one with another size was cut, or grew, later.
    file = view.observations.record.big(entry.file)
    if file is not None and file.size_bytes < entry.size_bytes:
        return Cause.VMCORE_INCOMPLETE, f"{entry.file} has {file.size_bytes} bytes, {entry.size_bytes} were written"
    raw = view.options.filter is None
    if (dump.kind is Kind.ELF) != raw or dump.flattened == raw:
        asked = "a raw copy" if raw else "makedumpfile -F -c"
        return Cause.VMCORE_CORRUPT, f"{entry.file} is {_format(dump)}, asked for was {asked}"
    return None


def _format(dump: Dump) -> str:
    return f"{'flattened ' if dump.flattened else ''}{dump.kind}"


def _defective(view: KdumpView, file: str, defects: tuple[FileDefect, ...]) -> Check:
    cut = next((item for item in defects if item.fault in (Fault.TRUNCATED, Fault.INCOMPLETE)), None)
    first = cut or defects[0]
    return failed(
        _FILE,
        Cause.VMCORE_CORRUPT if cut is None else Cause.VMCORE_INCOMPLETE,
        f"{file}: {first}",
        epoch=view.capture.number,
        evidence=tuple(Evidence(text=str(item), where=file) for item in defects[:5]),
    )


def check_origin(view: KdumpView) -> Check | None:
    """The dump is of this run's kernel, and of this run."""
    dump = view.dump
    if not isinstance(dump, Dump):
        return None
    info = dump.vmcoreinfo
    if isinstance(info, Defect):
        return failed(_ORIGIN, Cause.VMCORE_CORRUPT, info.text, epoch=view.capture.number)
    wrong = next(_strange(view, info), None)
    if wrong is not None:
        return failed(
            _ORIGIN, Cause.VMCORE_FOREIGN, f"the dump is of another crash: {wrong}", epoch=view.capture.number
        )
    if view.live_build_id is None and info.build_id is not None:
        return missing(_ORIGIN, "the build id of the kernel that crashed was not reported")
    return passed(
        _ORIGIN,
        f"the dump is of {info.release}, build id {info.build_id or 'none'}, moved by {info.kernel_offset:#x}, and its "
        f"log of this run",
        evidence=(
            Evidence(text=f"harness.nonce={nonce} in the dump's log", where="the dump") for nonce in view.log_nonces
        ),
    )


def _strange(view: KdumpView, info: VmcoreInfo) -> Iterator[str]:
    planned, nonce = view.crashed.kernel.release, view.observations.plan.nonce
    if info.release != planned:
        yield f"its kernel is {info.release}, {planned} crashed"
    if view.live_build_id is not None and info.build_id not in (None, view.live_build_id):
        yield f"its kernel's build id is {info.build_id}, {view.live_build_id} crashed"
    if view.log_nonces and view.log_nonces != (nonce,):
        yield f"its log speaks of the runs {', '.join(view.log_nonces)}, this is {nonce}"
    text = view.symbols.address("_stext") if view.symbols is not None else None
    here = info.symbol("_stext")
    if text is not None and here is not None and here - info.kernel_offset != text:
        yield f"its kernel's code is at {here:#x} (moved by {info.kernel_offset:#x}), linked at {text:#x}"
    if "nokaslr" in view.crashed.cmdline.split() and info.kernel_offset:
        yield f"its kernel was moved by {info.kernel_offset:#x} (KASLR), this one has nokaslr"


def check_crash(view: KdumpView) -> Check | None:
    """The crash in the dump's log is the injected one, by the task that was to crash, and the first."""
    if not isinstance(view.dump, Dump):
        return None
    number = view.crashed.number
    if view.why_no_log:
        text = f"the dump's log cannot be read: {view.why_no_log}"
        return failed(_CRASH, Cause.VMCORE_CORRUPT, text, epoch=number)
    place = next((at for at, line in enumerate(view.log) if re.search(view.trigger.report, line.text)), None)
    wrong = _another(view, "is not in the dump's log") if place is None else _wrong_report(view, place)
    if wrong is not None or place is None:
        return wrong
    differs = _tool_differs(view)
    if differs:
        return failed(_CRASH, Cause.VMCORE_CORRUPT, differs, epoch=view.capture.number)
    line = view.log[place]
    return passed(
        _CRASH,
        f"the crash in the dump is the injected one ({view.crash.by}), by the task {_crasher(view)}",
        evidence=(Evidence(text=line.text, where=f"the dump's log, line {line.number} of {len(view.log)}"),),
    )


def _wrong_report(view: KdumpView, place: int) -> Check | None:
    first_line = view.log[place].number
    before = [item for item in view.crashes if item.line_number < first_line and not _precursor(view, item)]
    if before:
        return _another(view, f"came only after {before[0].title!r}")
    found = (match["comm"] for line in view.log[place:][:_REPORT_LINES] if (match := _COMM.search(line.text)))
    comm = next(found, None)
    worker = view.trigger.worker
    right = re.fullmatch(worker, comm or "") is not None if worker else comm == view.task
    return None if right else _wrong_task(view, comm)


def _crasher(view: KdumpView) -> str:
    """Who was to crash the kernel, in words."""
    worker = view.trigger.worker
    if worker == ANY_TASK:
        return "that was interrupted"
    return f"{worker} for {view.task}" if worker else view.task


def _precursor(view: KdumpView, item: Crash) -> bool:
    """Does this trigger report itself twice, once before it panics?"""
    return bool(view.trigger.before) and re.search(view.trigger.before, item.text) is not None


def _another(view: KdumpView, how: str) -> Check:
    found = view.crashes
    seen = f"; there is {found[0].title!r}" if found else "; there is no crash in it at all"
    return failed(
        _CRASH,
        Cause.WRONG_CRASH,
        f"the injected crash ({view.crash.by}) {how}{seen}",
        epoch=view.crashed.number,
        evidence=tuple(
            Evidence(text=item.text.strip()[:200], where=f"the dump's log, line {item.line_number}")
            for item in found[:4]
        ),
        hint="The kernel crashed for a reason of its own: read console.log from there on.",
    )


def _wrong_task(view: KdumpView, comm: str | None) -> Check:
    if comm is not None and comm.startswith(TASK_PREFIX):
        text = f"the dump is of another run: the task that crashed is {comm}, here it was {view.task}"
        return failed(_CRASH, Cause.VMCORE_FOREIGN, text, epoch=view.capture.number)
    text = f"the kernel crashed in the task {comm or '(none named)'}, the one that was to crash it is {_crasher(view)}"
    return failed(_CRASH, Cause.WRONG_CRASH, text, epoch=view.crashed.number)


def _tool_differs(view: KdumpView) -> str:
    """makedumpfile, in the capture kernel, and this reader must agree on the log; empty when they do."""
    end = view.observations.record.end
    if end is None or VMCORE_DMESG not in end.files:
        return ""
    tool = _texts(klog.lines(view.observations.record.read(VMCORE_DMESG)))
    ours = _texts(view.log)
    if tool == ours:
        return ""
    at = next(
        (n for n, pair in enumerate(zip(tool, ours, strict=False)) if pair[0] != pair[1]), min(len(tool), len(ours))
    )
    return (
        f"makedumpfile read another log in the capture kernel than there is in the dump: {len(tool)} and {len(ours)} "
        f"lines, the first difference in line {at + 1}"
    )


def _texts(lines: Sequence[klog.Line]) -> list[str]:
    return [text for line in lines if (text := line.text.strip())]
