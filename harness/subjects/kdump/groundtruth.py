"""All of a crashed kernel's memory, read from outside twice: when its crash shows, and when the capture kernel runs.

What the dump holds must be what memory held the second time, byte for byte, since then nothing but the capture kernel
runs, in its own region. What changed between the two is the crash's own doing, and is judged by what is lawful.
Measured (TCG, 2 cores): reading and digesting takes about 4 s for 1 GiB.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from harness.errors import HostError
from harness.evidence import groundtruth
from harness.evidence.maps import iomem
from harness.evidence.maps.iomem import CRASH_KERNEL
from harness.evidence.ranges import PAGE_BYTES, Range, align_down, align_up, merged
from harness.model.record import MemoryEntry, Point
from harness.stage.stage import Stage

CHUNK_BYTES = 16 * 2**20
MAX_PAIRS = 4096
"""Of changed pages so many are kept whole (32 MiB)."""


def sampled_ranges(resources: Sequence[iomem.Resource]) -> tuple[Range, ...]:
    """The whole pages of System RAM but for the regions of the capture kernel, ascending."""
    holes = sorted(item.range for item in resources if item.name == CRASH_KERNEL)
    found = []
    # Rows that touch are one piece: setup_data splits System RAM in the middle of a page.
    for ram in merged(iomem.system_ram(resources)):
        start = ram.start
        for hole in holes:
            if hole.overlaps(ram):
                found.append((start, hole.start))
                start = hole.end
        found.append((start, ram.end))
    whole = [(align_up(start, PAGE_BYTES), align_down(end, PAGE_BYTES)) for start, end in found]
    return tuple(Range(start, end) for start, end in whole if start < end)


class GroundTruth:
    """Samples of one crash. Keeps the memory of the first one in a file until the second is taken.

    Args:
        epoch: of the kernel that crashes.
        ranges: what is read; see ``sampled_ranges``.
    """

    def __init__(self, stage: Stage, epoch: int, ranges: Sequence[Range]) -> None:
        self._stage = stage
        self._epoch = epoch
        self._ranges = tuple(ranges)
        self._kept = stage.writer.directory / "memory.tmp"

    def at_panic(self) -> None:
        """Now, as the crash shows.

        Raises:
            QemuError: memory cannot be read.
            HostError: it cannot be written.
        """
        began_s = self._stage.writer.now_s()
        found = bytearray()
        with self._stage.machine.memory.stopped(), _writing(self._kept), self._kept.open("wb") as kept:
            offset = self._stage.recorder.console_offset
            at = 0
            for _, data in self._chunks():
                fresh = groundtruth.digests(data)
                found += fresh
                if fresh.count(0) != len(fresh):  # pages of zeros stay a hole
                    kept.seek(at)
                    kept.write(data)
                at += len(data)
            kept.truncate(at)
        self._append(Point.PANIC, offset, bytes(found), began_s)

    def at_capture(self) -> None:
        """Now, as the capture kernel has begun to speak. Without an earlier sample nothing is compared.

        Raises:
            QemuError, HostError: as ``at_panic``.
        """
        began_s = self._stage.writer.now_s()
        found, changed, pairs = bytearray(), 0, bytearray()
        with ExitStack() as stack:
            stack.enter_context(self._stage.machine.memory.stopped())
            stack.enter_context(_writing(self._kept))
            kept = stack.enter_context(self._kept.open("rb")) if self._kept.exists() else None
            offset = self._stage.recorder.console_offset
            for start, data in self._chunks():
                before = kept.read(len(data)) if kept is not None else data
                found += groundtruth.digests(data)
                if before == data:
                    continue
                for at in range(0, len(data), PAGE_BYTES):
                    old, new = before[at : at + PAGE_BYTES], data[at : at + PAGE_BYTES]
                    if old != new:
                        changed += 1
                        if changed <= MAX_PAIRS:
                            pairs += groundtruth.pack(groundtruth.Pair((start + at) // PAGE_BYTES, old, new))
        self.forget()
        name, _ = self._stage.writer.sample(f"{self._epoch}-changed-pages", bytes(pairs))
        self._append(Point.CAPTURE, offset, bytes(found), began_s, pages_file=name, changed=changed)

    def forget(self) -> None:
        """Remove the file."""
        self._kept.unlink(missing_ok=True)

    def _chunks(self) -> Iterator[tuple[int, bytes]]:
        for item in self._ranges:
            for start in range(item.start, item.end, CHUNK_BYTES):
                size = min(CHUNK_BYTES, item.end - start)
                yield start, self._stage.machine.memory.read(start, size)

    def _append(
        self,
        point: Point,
        offset: int,
        found: bytes,
        began_s: float,
        *,
        pages_file: str | None = None,
        changed: int = 0,
    ) -> None:
        writer = self._stage.writer
        name, _ = writer.sample(f"{self._epoch}-{point}-digests", found)
        now_s = writer.now_s()
        writer.append(
            MemoryEntry(
                t_s=now_s,
                epoch=self._epoch,
                point=point,
                console_offset=offset,
                ranges=tuple((item.start, item.end) for item in self._ranges),
                digests_file=name,
                pages_file=pages_file,
                changed=changed,
                took_s=round(now_s - began_s, 3),
            )
        )


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Inside, an OSError is one of this file's."""
    try:
        yield
    except OSError as error:
        raise HostError(f"{path}: {error.strerror or error}") from error
