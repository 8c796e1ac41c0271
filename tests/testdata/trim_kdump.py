"""Make test data of a run that captured a vmcore: trim_run.py, and a dump of only the pages that the checks look at.

    python tests/testdata/trim_kdump.py runs/RUN tests/testdata/kdump/NAME

The dump keeps its notes and every page that any check but the comparison of all pages reads, and some more; the samples
are cut to the same pages, the symbols to those that the checks know by name. What was captured in that run is a smaller
machine's memory then, whole in itself. The dump and the samples are gzipped, after the record is sealed.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import re
import struct
import sys
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)]

from support.share import share  # noqa: E402
from trim_run import READ_FACTS, seal, sizes, trim  # noqa: E402

from harness.cache import default_cache  # noqa: E402
from harness.evidence import groundtruth  # noqa: E402
from harness.evidence.ranges import PAGE_BYTES, Range  # noqa: E402
from harness.evidence.vmcore import Dump, Kind  # noqa: E402
from harness.evidence.vmcore.flat import read_flattened  # noqa: E402
from harness.evidence.vmcore.lawful import REASON_OF  # noqa: E402
from harness.model.record import Point  # noqa: E402
from harness.record.observations import Observations  # noqa: E402
from harness.record.store import read_record  # noqa: E402
from harness.subjects.kdump.stack import check_stack  # noqa: E402
from harness.subjects.kdump.subject import CHECKS  # noqa: E402
from harness.subjects.kdump.view import KdumpView  # noqa: E402

FACTS = {"kernel-notes", "kdump", "crash-kernel"}
COPIED = ("vmcore-dmesg.txt",)
MORE_PAGES = 24
_ANCHORS = re.compile(
    r"^(_stext|_text|_etext|_sinittext|_einittext|_end|__bss_stop|__per_cpu_(start|end|offset)|crash_notes|current_task"
    r"|pcpu_hot|init_task|vmcoreinfo_(note|data))$"
)


def main() -> None:
    """Trim one run directory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    trim_kdump(options.run, options.target)
    sys.stdout.write(f"{options.target}: {sum(sizes(options.target))} bytes\n")
    share(Path(__file__).parent)


def trim_kdump(run: Path, target: Path) -> None:
    """Copy what is needed, make it anonymous, seal it."""
    view = KdumpView(Observations(read_record(run)))
    assert isinstance(view.dump, Dump)
    assert view.vmcore is not None
    pages = sorted(_pages_read(run) | set(_more(view.dump)))
    READ_FACTS.update(FACTS)
    places = {
        str(ROOT): "/srv/harness/checkout",
        str(default_cache().root): "/srv/harness/cache",
        str(Path.home()): "/srv/harness/home",
    }
    symbols = _symbols(view)
    with _without_vmcore(run) as file:
        trim(run, target, places)
    for name in COPIED:
        if (run / name).exists():
            (target / name).write_bytes((run / name).read_bytes())
    (target / "symbols.gz").write_bytes(gzip.compress(symbols.encode(), mtime=0))
    data = _elf(view.dump, pages) if view.dump.kind is Kind.ELF else _flattened(view, pages)
    (target / file).write_bytes(data)
    _cut_samples(view, target, pages, data)
    seal(target)
    for path in (target / file, *target.glob("samples/*.bin")):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        path.unlink()


class _without_vmcore:  # noqa: N801  used as a function
    """trim_run copies every file of the journal, the vmcore among them; inside, it is an empty one."""

    def __init__(self, run: Path) -> None:
        entries = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
        self._name = next(entry["file"] for entry in entries if entry["type"] == "vmcore")
        self._kept = run / "vmcore.kept"
        self._path = run / self._name

    def __enter__(self) -> str:
        self._path.rename(self._kept)
        self._path.touch()
        return str(self._name)

    def __exit__(self, *_: object) -> None:
        self._kept.rename(self._path)


def _pages_read(run: Path) -> set[int]:
    """The pages that the checks read, the comparison of all of them left out."""
    found: set[int] = set()
    view = KdumpView(Observations(read_record(run)))
    dump = view.dump
    assert isinstance(dump, Dump)
    page, read = dump.pages.page, dump.pages.read

    def noted_page(pfn: int) -> Any:
        found.add(pfn)
        return page(pfn)

    def noted_read(address: int, size: int) -> Any:
        found.update(range(address // PAGE_BYTES, (address + size - 1) // PAGE_BYTES + 1))
        return read(address, size)

    dump.pages.page, dump.pages.read = noted_page, noted_read  # type: ignore[method-assign]
    for name, check in CHECKS:
        if name != "kdump: memory":
            check(view)
    return {pfn for pfn in found if dump.has(pfn)}


def _more(dump: Dump) -> Iterable[int]:
    every = [pfn for run in dump.held() for pfn in range(run.start, run.end)]
    return every[:: max(1, len(every) // MORE_PAGES)]


def _symbols(view: KdumpView) -> str:
    """What the checks know by name, each with the one behind it, which says where it ends; and what is on the stack."""
    table = view.symbols
    assert table is not None
    assert isinstance(view.dump, Dump)
    stack = check_stack(view)
    named = (
        set(re.findall(r"([A-Za-z_][\w.]*)\+0x", " ".join(item.text for item in stack.evidence))) if stack else set()
    )
    wanted = {
        number
        for number, name in enumerate(table.names)
        if name in named or _ANCHORS.match(name) or re.sub(r"\.\d+$", "", name) in REASON_OF
    }
    wanted |= {number + 1 for number in wanted if number + 1 < len(table.names)}
    rows = (f"{table.addresses[n]:016x} {table.types[n]} {table.names[n]}\n" for n in sorted(wanted))
    return "".join(rows)


def _runs(pages: list[int]) -> list[Range]:
    runs: list[Range] = []
    for pfn in pages:
        if runs and runs[-1].end == pfn:
            runs[-1] = Range(runs[-1].start, pfn + 1)
        else:
            runs.append(Range(pfn, pfn + 1))
    return runs


def _page(dump: Dump, pfn: int) -> bytes:
    page = dump.page(pfn)
    assert isinstance(page, bytes)
    return page


def _elf(dump: Dump, pages: list[int]) -> bytes:
    """An ELF core of these pages with the dump's own notes."""
    notes = dump.pages.notes
    runs = _runs(pages)
    virtual = {segment.physical: segment.virtual - segment.physical for segment in dump.segments}
    at = 64 + 56 * (len(runs) + 1)
    headers = struct.pack("<IIQQQQQQ", 4, 0, at, 0, 0, len(notes), len(notes), 0)
    at = -(-(at + len(notes)) // PAGE_BYTES) * PAGE_BYTES
    start, body = at, b""
    for run in runs:
        size, physical = (run.end - run.start) * PAGE_BYTES, run.start * PAGE_BYTES
        below = virtual[max((place for place in virtual if place <= physical), default=min(virtual))]
        headers += struct.pack("<IIQQQQQQ", 1, 7, at, (physical + below) % 2**64, physical, size, size, 0)
        body += b"".join(_page(dump, pfn) for pfn in range(run.start, run.end))
        at += size
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = ident + struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, len(runs) + 1, 0, 0, 0)
    return (header + headers + notes).ljust(start, b"\0") + body


def _flattened(view: KdumpView, pages: list[int]) -> bytes:
    """A flattened kdump-compressed dump of these pages, with the dump's own headers and its bitmap of memory."""
    file = view.observations.record.big(view.vmcore.file if view.vmcore else "")
    assert file is not None
    flat = read_flattened(file.source, file.size_bytes)
    dump = view.dump
    assert isinstance(dump, Dump)
    header = dump.pages.header  # type: ignore[attr-defined]
    ranges = _runs(pages)
    size = header.bitmap_bytes
    bitmap = bytearray(size)
    for pfn in pages:
        bitmap[pfn >> 3] |= 1 << (pfn & 7)
    descriptors, data, at = b"", b"", header.bitmaps_at + 2 * size + 24 * len(pages)
    for pfn in pages:
        page = _page(dump, pfn)
        packed = min(zlib.compress(page), page, key=len)
        descriptors += struct.pack("<qIIQ", at, len(packed), int(packed is not page), 0)
        data += packed
        at += len(packed)
    head = flat.source(0, header.bitmaps_at)  # type: ignore[union-attr]
    inner = head + bytes(bitmap) + bytes(bitmap) + descriptors + data
    assert ranges
    pieces = [inner[n : n + 65536] for n in range(0, len(inner), 65536)]
    records = b"".join(struct.pack(">qq", 65536 * n, len(piece)) + piece for n, piece in enumerate(pieces) if piece)
    outer = struct.pack(">16sqq", b"makedumpfile\0\0\0\0", 1, 1).ljust(4096, b"\0")
    return outer + records + struct.pack(">qq", -1, -1)


def _cut_samples(view: KdumpView, target: Path, pages: list[int], dump: bytes) -> None:
    """The samples of memory of these pages only; the journal says so."""
    runs = [Range(run.start * PAGE_BYTES, run.end * PAGE_BYTES) for run in _runs(pages)]
    entries = [json.loads(line) for line in (target / "journal.jsonl").read_text().splitlines()]
    held = set(pages)
    for entry in entries:
        if entry["type"] == "memory":
            point = Point(entry["point"])
            sample = view.memory(point)
            assert sample is not None
            digests = view.digests(sample)
            kept = b"".join(digests.at(pfn) or bytes(groundtruth.DIGEST_BYTES) for pfn in pages)
            (target / entry["digests_file"]).write_bytes(kept)
            entry["ranges"] = [[run.start, run.end] for run in runs]
            pairs = [pair for pair in view.changed(sample) if pair.pfn in held]
            if entry["pages_file"]:
                (target / entry["pages_file"]).write_bytes(b"".join(map(groundtruth.pack, pairs)))
                entry["changed"] = len(pairs)
        elif entry["type"] == "vmcore":
            entry["size_bytes"], entry["blake2b"] = len(dump), hashlib.blake2b(dump).hexdigest()
        elif entry.get("kind") == "captured" and entry.get("body_file"):
            path = target / entry["body_file"]
            capture = view.memory(Point.CAPTURE)
            assert capture is not None
            zeros = sum(view.digests(capture).is_zero(pfn) for pfn in pages)
            counted = rb"((?:Excluded pages|Pages filled with zero) *: 0x)[0-9a-f]+"
            path.write_bytes(re.sub(counted, rb"\g<1>%016x" % zeros, path.read_bytes()))
    text = "".join(json.dumps(entry, separators=(",", ":"), ensure_ascii=False) + "\n" for entry in entries)
    (target / "journal.jsonl").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
