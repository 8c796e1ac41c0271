"""What happened in one run, as it is written to the run directory. Nothing here is judged.

A run directory holds::

    plan.json        the Plan
    end.json         RunEnd: how the run ended, and the hashes of the other files; written last, also after Ctrl-C
    journal.jsonl    one Entry a line, in order of time: phases, link frames, QMP events, samples
    console.log      COM1, every byte (NUL, escapes and all)
    console.times    one ``seconds offset`` pair a line, for each block of console.log that came in
    debugcon.log     OVMF's debug console (port 0x402)
    com2.log         the link's raw bytes, for when frames are lost in noise
    qmp.jsonl        everything said on QMP, for when a command failed
    samples/         guest-physical memory, one file a sample
    facts/           bodies of the guest's reports, ``EPOCH-NAME``
    qemu.stderr      what QEMU said
    swtpm.log tpm/   what swtpm said, and the state of the TPM; of a machine that has one
    vmcore, vmcore.flat      the dump of a crashed kernel's memory, raw or as makedumpfile writes it to a pipe
    vmcore.incomplete        what was there of it when the run ended too early
    vmcore-dmesg.txt the crashed kernel's log, as makedumpfile read it in the capture kernel
    symbols.gz       the symbols of the kernel that is crashed
    qemu.log         what QEMU logs of CPU resets; with a line ``Triple fault`` where there was one
    autopsy.json     Autopsy: what the machine was doing when the run ended badly (harness/model/autopsy.py)
    verdict.json verdict.txt     what ``harness judge`` makes of all this; never read by it

Times are seconds on the monotonic clock since the run started.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from harness.model.base import Value
from harness.model.words.tables import TableName

SYMBOLS_FILE = "symbols.gz"
VMCORE_INCOMPLETE = "vmcore.incomplete"
VMCORE_DMESG = "vmcore-dmesg.txt"


class Phase(StrEnum):
    """Where a run stands."""

    START = "start"
    FIRMWARE = "firmware"
    AGENT = "agent"
    STUB = "stub"
    """From StartImage to the kernel's first line: the EFI stub, then the kernel until it has its console."""
    XEN = "xen"
    """From Xen's first line to that of its dom0."""
    EARLY = "kernel early"
    """From the first line until the drivers begin (harness/record/phases.py names the lines)."""
    KERNEL = "kernel"
    USERSPACE = "userspace"
    LOAD = "kexec load"
    JUMP = "kexec jump"
    """From the farewell of one kernel to the first line of the next: shutdown, relocation, purgatory, decompressor."""
    KEXECED = "kexec'ed kernel"
    """As KERNEL, in an epoch that a kexec began."""
    CRASHED = "crashed"
    """A kernel panics, and a capture kernel should take over."""
    CAPTURE = "capture kernel"
    """From its first line to its end, with its user space."""
    OFF = "off"


class Point(StrEnum):
    """The borders of an epoch at which memory is sampled, with the virtual CPUs stopped."""

    HANDOFF = "handoff"
    """Epoch 0: the EFI agent has done everything and is about to start the first kernel."""
    XEN = "xen"
    """Xen has printed its first line: boot services have ended, and Xen has not yet given any memory away."""
    DOM0 = "dom0"
    """Xen is about to enter dom0."""
    UP = "up"
    """The guest agent of this epoch has reported, before it does anything else."""
    PANIC = "panic"
    """The console has shown the first sign of the crash that was asked for."""
    CAPTURE = "capture"
    """The capture kernel has printed its first line: it runs, the crashed kernel never will again."""
    CALLED = "called"
    """A step has called firmware."""
    LOADED = "loaded"
    """The next kernel is loaded, kexec not yet called."""
    END = "end"
    """The last epoch is done, or the run ended badly and QEMU could still be asked."""


class PhaseEntry(Value):
    type: Literal["phase"] = "phase"
    t_s: float
    phase: Phase
    epoch: int
    """0 for firmware and EFI agent, 1 for the first kernel."""
    console_offset: int
    """Bytes of console.log so far: where this phase begins in it."""
    detail: str = ""


class FrameEntry(Value):
    """A frame from the EFI agent or the guest agent (see ``harness.machine.frame``)."""

    type: Literal["frame"] = "frame"
    t_s: float
    epoch: int
    kind: str
    fields: dict[str, str]
    body_file: str | None = None
    """Where the body lies, relative to the run directory; None when there was none."""


class CommandEntry(Value):
    """A command from the host to the guest agent."""

    type: Literal["command"] = "command"
    t_s: float
    epoch: int
    name: str
    fields: dict[str, str]


class EventEntry(Value):
    """A QMP event."""

    type: Literal["event"] = "event"
    t_s: float
    name: str
    data: str
    """The event's data as JSON text."""


_OLD_SAMPLE_FIELDS = {"address": "pages_address", "size_bytes": "pages_size_bytes"}
_OLD_SUBJECTS = {"driver-logbook": "logbook"}


class SampleEntry(Value):
    """Guest-physical memory read from outside. ``pages`` are whole pages, as everywhere, ``table`` the one in them."""

    type: Literal["sample"] = "sample"
    t_s: float
    epoch: int
    point: Point
    subject: str
    """A TableName, or another name for memory that was read to find one (``rsdp``)."""
    pages_address: int
    """Where the sampled memory begins: whole pages where there are canaries round the table, else the table's own."""
    pages_size_bytes: int
    table_address: int
    """Where the table itself begins, inside the pages."""
    table_size_bytes: int
    file: str
    sha256: str

    @model_validator(mode="before")
    @classmethod
    def _old_words(cls, data: Any) -> Any:
        """Records made with protocol 1 of the EFI agent say it so."""
        if not isinstance(data, dict):
            return data
        new = {_OLD_SAMPLE_FIELDS.get(key, key): value for key, value in data.items()}
        if "subject" in new:
            new["subject"] = _OLD_SUBJECTS.get(new["subject"], new["subject"])
        return new


class MemoryEntry(Value):
    """All of the crashed kernel's memory but its crash region, read from outside (``harness.evidence.groundtruth``)."""

    type: Literal["memory"] = "memory"
    t_s: float
    epoch: int
    """The epoch of the kernel that crashed."""
    point: Point
    """PANIC or CAPTURE."""
    console_offset: int
    """Bytes of console.log when the CPUs stood still."""
    ranges: tuple[tuple[int, int], ...]
    """Physical, half-open, whole pages; in the order of the digests."""
    digests_file: str
    """A digest of each page."""
    pages_file: str | None = None
    """CAPTURE only: the pages that are not as they were at PANIC, as they were then and as they are now."""
    changed: int = 0
    """How many pages are not as they were at PANIC; ``pages_file`` has no more than the first thousands of them."""
    took_s: float


class ControlEntry(Value):
    """Control registers of the virtual CPUs, read from outside while they stood still."""

    type: Literal["control"] = "control"
    t_s: float
    epoch: int
    point: Point
    cr4: tuple[int, ...]
    """One a CPU, in order."""


class VmcoreEntry(Value):
    """The disk that the vmcore was written to, when it was taken away from the machine."""

    type: Literal["vmcore"] = "vmcore"
    t_s: float
    epoch: int
    file: str
    """``vmcore``, ``vmcore.flat``, or ``vmcore.incomplete`` for what no capture kernel called complete."""
    size_bytes: int
    blake2b: str
    """Of the whole file, in hexadecimal, taken once. The judge asks for it only when the dump is not as it should be:
    what equals the memory sampled from outside needs no other seal."""


class NoteEntry(Value):
    """Something that could not be done, or that a reader should know. Never hides a verdict."""

    type: Literal["note"] = "note"
    t_s: float
    epoch: int
    text: str
    table: TableName | None = None
    """The table that is not watched, for the reason in ``text``; None for a note about anything else."""

    @model_validator(mode="before")
    @classmethod
    def _old_prefix(cls, data: Any) -> Any:
        """Records from before there was ``table`` have it in front: ``esrt: REASON``."""
        if not isinstance(data, dict) or "table" in data:
            return data
        name, colon, reason = str(data.get("text", "")).partition(": ")
        return {**data, "table": TableName(name), "text": reason} if colon and name in set(TableName) else data

    @property
    def line(self) -> str:
        """All of it, for people."""
        return self.text if self.table is None else f"{self.table}: {self.text}"


Entry = Annotated[
    PhaseEntry
    | FrameEntry
    | CommandEntry
    | EventEntry
    | SampleEntry
    | MemoryEntry
    | ControlEntry
    | VmcoreEntry
    | NoteEntry,
    Field(discriminator="type"),
]


class EndKind(StrEnum):
    """How the machine's part of a run ended."""

    COMPLETE = "complete"
    """Every step was done and every report came in."""
    GUEST_ERROR = "guest-error"
    """The guest agent or EFI agent reported that it could not do a step."""
    PANIC = "panic"
    """A panic on the console, or the pvpanic device."""
    RESET = "reset"
    """The machine reset behind the kernel's back, or a triple fault."""
    POWEROFF = "poweroff"
    """The guest switched the machine off before its time."""
    BACK_IN_FIRMWARE = "back-in-firmware"
    """The EFI agent reported again after a kernel had started."""
    BOOT_LOOP = "boot-loop"
    """A kernel began where one had begun already, without a kexec that was asked for."""
    HALTED = "halted"
    """Firmware or the decompressor said that it stops for good."""
    PORT_LOST = "port-lost"
    """The link or the console was closed while QEMU lived."""
    TIMEOUT = "timeout"
    """A budget ran out; ``detail`` says what was waited for."""
    QEMU_DIED = "qemu-died"
    CLOCK_SKEW = "clock-skew"
    """A budget ran out, by a clock that disagrees with the other one."""
    HOST = "host"
    """QEMU stopped with an internal error, or the host failed."""
    INTERRUPTED = "interrupted"


class EndReason(StrEnum):
    """Of an end, what its kind does not say and the judge must know (harness/record/reasons.py reads it)."""

    XEN_PANIC = "xen-panic"
    DOM0_DIED = "dom0-died"
    KEXEC_RETURNED = "kexec-returned"
    NO_ENTRY_POINT = "no-entry-point"
    """The image has none for firmware of this word size."""
    NO_DISK = "no-disk"
    """The guest found no disk with the next kernel."""
    NO_VMCORE = "no-vmcore"
    """The capture kernel has no /proc/vmcore."""
    OTHER_DIGESTS = "other-digests"
    """Purgatory of kexec-tools found other bytes than were loaded."""


class RunEnd(Value):
    kind: EndKind
    reason: EndReason | None = None
    """Not in records from before 2026-12."""
    t_s: float
    epoch: int
    phase: Phase
    detail: str
    console_offset: int
    last_line: str = ""
    """The last line of the console that is not empty."""
    qemu_exit: int | None = None
    """QEMU's exit status (negative: the signal) when it ended by itself."""
    files: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of each file that the judge may read, by its name in the run directory; empty in records from before
    there was such a list."""
