"""Memory that was read from outside, as it goes into the record."""

from __future__ import annotations

from harness.evidence.ranges import Range
from harness.model.record import Point, SampleEntry
from harness.record.store import RunWriter


def write_down(
    writer: RunWriter, epoch: int, point: Point, subject: str, *, pages: Range, table: Range, kept: tuple[str, str]
) -> None:
    """The entry of a sample whose bytes are ``kept``: the file and its SHA-256."""
    file, sha256 = kept
    entry = SampleEntry(
        t_s=writer.now_s(),
        epoch=epoch,
        point=point,
        subject=subject,
        pages_address=pages.start,
        pages_size_bytes=pages.size_bytes,
        table_address=table.start,
        table_size_bytes=table.size_bytes,
        file=file,
        sha256=sha256,
    )
    writer.append(entry)


def keep(writer: RunWriter, epoch: int, subject: str, pages: Range, data: bytes, *, table: Range | None = None) -> None:
    """What a step that calls firmware has read. An epoch may have several of a subject: the file's name has the time.

    Args:
        pages: as many bytes as ``data`` has.
        table: what of them it is about; all, when it is not said.
    """
    kept = writer.sample(f"{epoch}-{Point.CALLED}-{subject}-{writer.now_s():.4f}", data)
    write_down(writer, epoch, Point.CALLED, subject, pages=pages, table=table or pages, kept=kept)
