"""Records of runs that looked at page tables: made up, but for the tables and the dump, which are a real kernel's."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.evidence.logbook import LOGBOOK_BYTES, MAGIC, VERSION
from harness.evidence.pagetable import pagetables
from harness.evidence.pagetable.pagetables import Capture
from harness.evidence.pagetable.walk import Leaf
from harness.model import guids
from harness.model.plan import Accel, Plan
from harness.model.record import (
    CommandEntry,
    EndKind,
    Entry,
    FrameEntry,
    Phase,
    PhaseEntry,
    Point,
    RunEnd,
    SampleEntry,
)
from harness.model.words.driver import Service
from harness.record.observations import Observations
from harness.record.record import Record
from harness.subjects.runtime.plan import RuntimeDriver
from support.recorded_tables import recorded
from support.synthetic import NONCE, kernel, plan, prepared, scenario

LOGBOOK_AT = 0x3F0A_B000
MEMATTR_AT = 0x3E1F_8000
MEMATTR = struct.pack("<IIII", 1, 2, 48, 0) + bytes(96)
_HEADER, _SERVICE = struct.Struct("<8s18Q"), struct.Struct("<19Q")
_RUNTIME = 1 << 63


def code_page(capture: Capture) -> Leaf:
    """A page of firmware's code in the EFI window: where the hook is made to have run."""
    leaves = capture.leaves()
    assert isinstance(leaves, tuple)
    return next(leaf for leaf in leaves if not leaf.nx and leaf.start > 2**63)


def logbook_page(
    capture: Capture,
    *,
    calls: int = 3,
    hooked: bool = True,
    nonce: str = NONCE,
    offset: int = 0,
    page: Leaf | None = None,
) -> bytes:
    """What the driver would have written when its hook ran in ``page``; ``offset``: it ran that far beside it."""
    page = page or code_page(capture)
    image = (page.physical, page.start, 0x4000, 0x1000, 0x1000, 0x2000, 0x1000)
    data = bytearray(LOGBOOK_BYTES)
    book = (8, int(nonce, 16), 2, 0, 0, 1, 0, 8, LOGBOOK_AT, LOGBOOK_AT)
    _HEADER.pack_into(data, 0, MAGIC, VERSION, *book, *image)
    for service in Service:
        here = service is Service.SET_VARIABLE
        seen = (0x8005_0033, capture.cr3, capture.cr4, 0x246, 0x10, 0xFFFF_C900_0001_3E00)
        numbers = (hooked, 0, calls + 5, calls, calls, 0, 0, 0, 0, 0, 0, *seen, page.start + 0x123 + offset, 0x1234)
        _SERVICE.pack_into(data, 0x200 + 0x100 * service.number, *(numbers if here else [0] * 19))
    return bytes(data)


@dataclass
class Made:
    """A record under construction."""

    plan: Plan
    entries: list[Entry] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=lambda: {"console.log": b""})

    def frame(self, epoch: int, kind: str, fields: dict[str, str], body: bytes = b"") -> None:
        name = f"facts/{len(self.entries):03d}-{epoch}-{kind}" if body else None
        if name:
            self.files[name] = body
        self.entries.append(FrameEntry(t_s=1, epoch=epoch, kind=kind, fields=fields, body_file=name))

    def command(self, epoch: int, name: str) -> None:
        self.entries.append(CommandEntry(t_s=1, epoch=epoch, name=name, fields={}))

    def sample(self, epoch: int, point: Point, subject: str, address: int, data: bytes) -> None:
        file = f"samples/{len(self.files)}.bin"
        self.files[file] = data
        self.entries.append(
            SampleEntry(
                t_s=1,
                epoch=epoch,
                point=point,
                subject=subject,
                pages_address=address,
                pages_size_bytes=len(data),
                table_address=address,
                table_size_bytes=len(data),
                file=file,
                sha256=hashlib.sha256(data).hexdigest(),
            )
        )

    def epoch(self, number: int, console: str = "") -> None:
        """Begin an epoch, whose kernel prints this."""
        offset = len(self.files["console.log"])
        self.entries.append(PhaseEntry(t_s=1, phase=Phase.KERNEL, epoch=number, console_offset=offset))
        self.files["console.log"] += f"[    0.000000] Linux version\r\n{console}\r\n".encode()

    def drop(self, matches: Callable[[Entry], bool]) -> None:
        kept = [entry for entry in self.entries if not matches(entry)]
        assert len(kept) < len(self.entries)
        self.entries = kept

    @property
    def record(self) -> Record:
        end = RunEnd(
            kind=EndKind.COMPLETE, t_s=9, epoch=1, phase=Phase.OFF, detail="every step was done", console_offset=0
        )
        return Record(
            plan=self.plan,
            end=end,
            entries=tuple(self.entries),
            read=self.files.__getitem__,
            read_payload=lambda _file, _offset, _size: None,
        )

    @property
    def observations(self) -> Observations:
        return Observations(self.record)


def planned(steps: Sequence[object], expect: Sequence[object], accel: Accel = Accel.TCG, cpus: int = 1) -> Plan:
    asked = scenario(
        id="pagetable/made-up", firmware={}, machine={"cpus": cpus}, steps=list(steps), expect=list(expect)
    )
    having = prepared([kernel()] * (1 + len(asked.following)))
    having = replace(having, driver=RuntimeDriver(Path("/srv/cache/driver.efi"), "0" * 64, {}))
    return plan(asked, having).model_copy(update={"accel": accel})


def looked(
    name: str, expect: str, *, epochs: int = 1, captures: dict[int, Capture] | None = None, dump: bool = True
) -> Made:
    """A run that looked at the tables of the recorded kernel ``name`` in each epoch, and found all as it should be."""
    steps: list[object] = ["boot", "page_tables", *[{"kexec": {"syscall": "file"}}, "page_tables"] * (epochs - 1)]
    made = Made(planned(steps, [{"efi_page_tables": expect}]))
    original, text = recorded(name)
    made.frame(0, "systab", {}, f"{guids.MEMATTR} {MEMATTR_AT:#x}\n".encode())
    made.frame(0, "runtime", {"logbook_address": f"{LOGBOOK_AT:#x}"})
    page = code_page(original)
    region = struct.pack("<I4xQQQQQ", 5, page.physical, 0, 1, _RUNTIME | 0xF, 0)
    made.frame(0, "memmap", {"descriptor_size": "48"}, region)
    made.sample(0, Point.HANDOFF, "memattr", MEMATTR_AT, MEMATTR)
    for epoch in range(1, epochs + 1):
        capture = (captures or {}).get(epoch, original)
        made.epoch(epoch, f"[    0.000000] efi: ACPI=0x3f77d000 MEMATTR={MEMATTR_AT:#x} ")
        made.sample(epoch, Point.UP, "memattr", MEMATTR_AT, MEMATTR)
        made.command(epoch, "page-tables")
        body = text.encode() if dump else b""
        made.frame(epoch, "page-tables", {"runtime": "present", "rc": "0"}, body)
        made.sample(epoch, Point.CALLED, "logbook", LOGBOOK_AT, logbook_page(capture, page=page))
        made.sample(epoch, Point.CALLED, "page-tables", capture.cr3, pagetables.encode(capture))
    return made


def changed(capture: Capture, where: int, bits: int) -> Capture:
    """The tables with these bits of the entry at a physical address flipped."""
    page = bytearray(capture.pages[where & ~4095])
    (entry,) = struct.unpack_from("<Q", page, where & 4095)
    struct.pack_into("<Q", page, where & 4095, entry ^ bits)
    return Capture(capture.cr3, capture.cr4, {**capture.pages, where & ~4095: bytes(page)})
