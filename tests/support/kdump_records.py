"""Copies of real runs that captured a vmcore, and ways to damage them."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.evidence import groundtruth
from harness.evidence.vmcore import Dump, open_dump
from harness.model.causes import Cause, Status
from harness.model.verdict import Verdict
from harness.record.store import file_hashes
from support.recorded import KDUMPS, lay_out
from support.records import Copy
from support.verdicts import said

NAMES = sorted(path.name for path in KDUMPS.iterdir())
PAGE = 4096


def unpack(run: Path) -> None:
    """Unpack the dump and the samples, which a record in testdata has packed."""
    for packed in (*run.glob("vmcore*.gz"), *run.glob("samples/*.gz")):
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()


class Kdump(Copy):
    """A record with its dump and its samples unpacked."""

    def __init__(self, name: str, directory: Path) -> None:
        self.path = directory / name
        lay_out(KDUMPS / name, self.path)
        unpack(self.path)

    @property
    def file(self) -> Path:
        """The dump."""
        return self.path / str(self.only(type="vmcore")["file"])

    def dump(self) -> Dump:
        data = self.file.read_bytes()
        found = open_dump(lambda offset, size: data[offset : offset + size], len(data))
        assert isinstance(found, Dump)
        return found

    def rewrite(self, data: bytes, *, sealed: bool = True) -> Kdump:
        """Other bytes for the dump; ``sealed``: it was so when it was taken out of the machine."""
        self.file.write_bytes(data)
        if sealed:
            digest = hashlib.blake2b(data).hexdigest()
            self.change({"size_bytes": len(data), "blake2b": digest}, type="vmcore")
        return self

    def flip_page(self, number: int, *, sealed: bool = True) -> int:
        """Change one byte of a page in a raw dump; its address."""
        segment = self.dump().segments[number]
        data = bytearray(self.file.read_bytes())
        data[segment.offset + 100] ^= 1
        self.rewrite(bytes(data), sealed=sealed)
        return segment.physical

    def edit_memory(self, old: bytes, new: bytes, count: int = 1) -> Kdump:
        """Text in the dump, and the same in the samples: memory was so. Of the same length."""
        assert len(old) == len(new)
        data = self.file.read_bytes()
        assert data.count(old) >= 1, old
        self.rewrite(data.replace(old, new, count))
        return self.believe()

    def believe(self) -> Kdump:
        """As if memory had held what the dump holds."""
        dump = self.dump()
        pages = [pfn for run in dump.held() for pfn in range(run.start, run.end)]
        known = {pfn: page for pfn in pages if isinstance(page := dump.page(pfn), bytes)}
        digests = b"".join(groundtruth.digest(known[pfn]) for pfn in pages)
        name = self.only(type="memory", point="capture")["digests_file"]
        (self.path / name).write_bytes(digests)
        return self

    def seal(self) -> Kdump:
        self.edit_json("end.json", files=file_hashes(self.path))
        return self

    def edit_plan(self, change: Callable[[Any], None]) -> Kdump:
        plan = self.json("plan.json")
        change(plan)
        (self.path / "plan.json").write_text(json.dumps(plan))
        return self


def without_note(data: bytes, name: bytes) -> bytes:
    """An ELF core whose first note of this name has another one."""
    at = re.search(re.escape(struct.pack("<I", len(name) + 1)) + b"........" + re.escape(name), data, re.DOTALL)
    assert at is not None
    return data[: at.start() + 12] + b"GONE"[: len(name)] + data[at.start() + 12 + min(4, len(name)) :]


def red(verdict: Verdict, cause: Cause, check: str) -> str:
    """The verdict is a FAIL of that cause, and this check says so; what it says."""
    assert (verdict.status, verdict.cause) == (Status.FAIL, cause), said(verdict)
    assert cause in [item.cause for item in verdict.checks if item.name == check], said(verdict)
    return said(verdict)
