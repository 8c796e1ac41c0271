"""The one who wrote, in words; and which bytes a write changed."""

from __future__ import annotations

from collections.abc import Iterable

from harness.evidence.ranges import Range
from harness.model.autopsy import Owner, Place
from harness.model.culprit import Culprit, Target, Write


def changed(before: bytes, after: bytes, start: int) -> Range:
    """From the first byte that differs to the last; empty, at ``start``, when none does.

    Raises:
        ValueError: the two are not of one length.
    """
    differing = [index for index, (one, other) in enumerate(zip(before, after, strict=True)) if one != other]
    return Range(start + differing[0], start + differing[-1] + 1) if differing else Range(start, start)


def guilty(culprit: Culprit) -> Write | None:
    """The first that changed a byte of something that was damaged in the end."""
    damaged = {target.name for target in culprit.damaged}
    writes = [write for write in culprit.writes if write.start < write.end and write.target.name in damaged]
    return writes[0] if writes else None


def sentence(culprit: Culprit) -> str:
    """``swap_pages+0x7c (the copy in the kexec control page) wrote 136 bytes of the esrt ... segment[2] (initrd)``."""
    write = guilty(culprit)
    if write is None:
        return _nobody(culprit)
    where = f"{write.start:#x}-{write.end - 1:#x}"
    text = (
        f"{who(write.place)} overwrote {write.end - write.start} of {write.target.size_bytes} watched bytes of the "
        f"{write.target.name} ({where}) in epoch {write.epoch}, phase {write.phase}, through the "
        f"{_kind(write)} address {write.through:#x}"
    )
    return f"{text}; the place belongs to {write.segment}" if write.segment else text


def who(place: Place) -> str:
    """The code that wrote, in words."""
    if place.owner is Owner.CONTROL:
        return f"the copy loop of kexec, {place}"
    if place.owner is Owner.KERNEL and place.name:
        return f"the kernel, in {place}"
    return str(place)


def _kind(write: Write) -> str:
    return "identity-mapped" if write.through == write.target.start else "direct-map"


def _nobody(culprit: Culprit) -> str:
    names = _names(culprit.targets)
    if culprit.damaged:
        damaged = _names(culprit.damaged)
        return (
            f"nobody was seen writing to the {damaged}, although its bytes have changed: "
            "the writer used another virtual address, or is a device"
        )
    if culprit.writes:
        return f"the {names} was written to, but holds what firmware handed over"
    return f"nobody wrote to the {names}, and it holds what firmware handed over"


def _names(targets: Iterable[Target]) -> str:
    return " and ".join(dict.fromkeys(str(target.name) for target in targets))
