"""Runs on Xen, and ways to damage them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from support.records import Copy

REFUSED, LOST, MOVED = "xen-rtprop-6.12", "xen-esrt-4.17", "xen-esrt-4.20"
DIED, BGRT, KEPT_BGRT, MAPBS = "xen-rtprop-6.1", "xen-bgrt", "xen-bgrt-kept", "xen-mapbs"
UNLISTED, KEXEC = "xen-no-descriptor", "xen-kexec"
UNUSABLE = "(RTPROP=0x3bfff100 unusable)"


def rewrite(copy: Copy, sample: str, change: Callable[[bytearray], None]) -> Copy:
    """Change a sample, and what was noted of it."""
    path = copy.path / sample
    data = bytearray(path.read_bytes())
    change(data)
    assert data != path.read_bytes()
    path.write_bytes(data)
    return copy.change({"sha256": hashlib.sha256(data).hexdigest()}, type="sample", file=sample)


def console(copy: Copy, old: bytes, new: bytes) -> Copy:
    """Replace text on the console without moving the phases in it."""
    data = (copy.path / "console.log").read_bytes()
    assert old in data
    assert len(old) == len(new)
    (copy.path / "console.log").write_bytes(data.replace(old, new))
    return copy
