"""A crash: the capture kernel is loaded, the running one crashed, its memory written to a disk."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable

from harness.clock import Deadline
from harness.errors import HostError
from harness.evidence.code.symbols import SymbolTable
from harness.evidence.defect import Defect
from harness.evidence.maps import iomem
from harness.machine.frame import Frame
from harness.machine.happenings import Happening, Line
from harness.model.plan import EpochPlan
from harness.model.record import SYMBOLS_FILE, VMCORE_DMESG, EndKind, Point
from harness.model.words.kdump import CaptureStep, CrashKernelStep, CrashStep, CrashTrigger, task_name
from harness.stage.stage import EndedError, Stage
from harness.subjects.kdump import disk as vmcoredisk
from harness.subjects.kdump.groundtruth import GroundTruth, sampled_ranges
from harness.subjects.kdump.plan import SERIAL
from harness.subjects.kexec import act as kexec

# The line by which a crash shows, of those that come when interrupts are off already (panic() and oops_begin() turn
# them off first), so that little more changes. An oops that is the end of a kernel with a capture kernel is not
# followed by "Kernel panic": oops_end() calls crash_kexec().
_SIGN = re.compile(
    r"Kernel panic - not syncing|BUG: (?:kernel NULL|unable to handle)|Oops: |invalid opcode: |general protection fault"
    r"|double fault|stack guard page was hit"
)
_BANNER = re.compile(r"Linux version \d")
_GZIP_LEVEL = 1


def load(stage: Stage, _step: CrashKernelStep, epoch: int) -> None:
    """Load the capture kernel.

    Raises:
        EndedError: it could not be loaded, or the run ended.
    """
    kexec.load(stage, "load-crash", stage.plan.epochs[epoch])
    stage.wait("crash-ready", stage.plan.budgets.reply_s)
    stage.sample(Point.LOADED)
    _keep_symbols(stage, stage.plan.epochs[epoch - 1])


def crash(stage: Stage, step: CrashStep, epoch: int) -> None:
    """Crash the running kernel; returns when the capture kernel has printed its first line.

    All of the crashed kernel's memory is sampled twice on the way.

    Raises:
        EndedError: there was no crash, no capture kernel came, or the run ended.
    """
    options = step.crash
    truth = GroundTruth(stage, epoch, sampled_ranges(_iomem(stage)))
    budgets = stage.plan.budgets
    stage.command("crash", {"by": options.by.value, "task": task_name(stage.plan.nonce)})
    stage.wait("crashing", budgets.reply_s, tolerate=(EndKind.PANIC,))
    try:
        if options.by is CrashTrigger.NMI:
            # In an NMI nothing is printed before the jump; but it can be injected while the CPUs stand still.
            with stage.machine.memory.stopped():
                truth.at_panic()
                stage.machine.qmp.execute("inject-nmi")
            line = ""
        else:
            _crash_now(stage, options.by)
            line = stage.until("crash", _line(_SIGN, _BANNER), budgets.kexec_s, tolerate=(EndKind.PANIC,))
        if _BANNER.search(line):
            stage.recorder.note(
                "the capture kernel came before the crash was seen: memory was not sampled at the panic"
            )
        else:
            if line:
                truth.at_panic()
            stage.until("capture kernel's first line", _line(_BANNER), budgets.kexec_s, tolerate=(EndKind.PANIC,))
        truth.at_capture()
    finally:
        truth.forget()


def capture(stage: Stage, step: CaptureStep, _epoch: int) -> None:
    """Write the vmcore, and take it out of the machine.

    Raises:
        EndedError: it could not be written, or the run ended.
        HostError: it cannot be kept.
    """
    options = step.capture
    wanted = "raw" if options.filter is None else str(options.filter)
    stage.command("capture", {"filter": wanted, "disk": SERIAL})
    frame = _copied(stage)
    _keep_dmesg(stage)
    written, status = frame.fields.get("bytes", ""), frame.fields.get("rc")
    words = frame.body.decode("utf-8", "backslashreplace").strip().splitlines()
    if status != "0" or not written.isdigit():
        said = words[-1] if words else ""
        raise EndedError(EndKind.GUEST_ERROR, f"the vmcore could not be written (rc {status}): {said}")
    name = vmcoredisk.RAW if options.filter is None else vmcoredisk.FLATTENED
    vmcoredisk.take(stage.writer, stage.recorder.epoch, name, int(written))


def _copied(stage: Stage) -> Frame:
    """Wait while the copying goes on: as long as bytes come, there is more time."""

    def told(happening: Happening) -> Frame | None:
        frame = happening.data
        return frame if isinstance(frame, Frame) and frame.kind in ("progress", "captured") else None

    deadline, written = Deadline.after(stage.plan.budgets.load_s), ""
    while True:
        frame = stage.until("captured", told, deadline.remaining_s)
        if frame.kind == "captured":
            return frame
        if frame.fields.get("bytes") != written:
            written = frame.fields.get("bytes", "")
            deadline = Deadline.after(stage.plan.budgets.load_s)


def _crash_now(stage: Stage, by: CrashTrigger) -> None:
    """The guest waits for it: from outside, or for the word to do it itself."""
    if by is not CrashTrigger.SYSRQ_IN_IRQ:
        stage.command("crash-now")
    else:
        stage.machine.qmp.execute("chardev-send-break", {"id": "com1"})
        stage.machine.console.send("c")


def _line(*patterns: re.Pattern[str]) -> Callable[[Happening], str | None]:
    """A line of the console that has one of the patterns."""

    def found(happening: Happening) -> str | None:
        data = happening.data
        return data.text if isinstance(data, Line) and any(item.search(data.text) for item in patterns) else None

    return found


def _iomem(stage: Stage) -> tuple[iomem.Resource, ...]:
    """What the running kernel reported last."""
    for happening in reversed(stage.machine.feed.since()):
        frame = happening.data
        if isinstance(frame, Frame) and frame.kind == "fact" and frame.fields.get("name") == "iomem":
            rows = iomem.parse_iomem(frame.body.decode("utf-8", "replace"))
            return () if isinstance(rows, Defect) else rows
    return ()


def _keep_dmesg(stage: Stage) -> None:
    for happening in stage.machine.feed.since():
        frame = happening.data
        if isinstance(frame, Frame) and frame.kind == "fact" and frame.fields.get("name") == "vmcore-dmesg":
            _write(stage, VMCORE_DMESG, frame.body)


def _keep_symbols(stage: Stage, epoch: EpochPlan) -> None:
    """The crashed kernel's symbols belong to the record: without them nobody can say what may lawfully change."""
    table = stage.naming.symbols_of(epoch.kernel)
    if table is None:
        stage.recorder.note(f"no symbols of {epoch.kernel.name}: what a crash may change is known less exactly")
        return
    _write(stage, SYMBOLS_FILE, gzip.compress(_as_text(table).encode("latin-1"), _GZIP_LEVEL, mtime=0))


def _as_text(table: SymbolTable) -> str:
    """As in /proc/kallsyms."""
    rows = zip(table.addresses, table.types, table.names, strict=True)
    return "".join(f"{address:016x} {kind} {name}\n" for address, kind, name in rows)


def _write(stage: Stage, name: str, data: bytes) -> None:
    path = stage.writer.directory / name
    try:
        path.write_bytes(data)
    except OSError as error:
        raise HostError(f"{path}: {error.strerror}") from error


ACTS = {CrashKernelStep: load, CrashStep: crash, CaptureStep: capture}
