"""Page tables of real kernels: what was captured from outside, and what debugfs said in the same boot."""

from __future__ import annotations

import gzip
from pathlib import Path

from harness.evidence.pagetable import pagetables
from harness.evidence.pagetable.pagetables import Capture

_DIRECTORY = Path(__file__).parents[1] / "testdata" / "pagetables"
KERNELS = ("tiny-5.10-4level", "tiny-6.1-4level", "tiny-6.1-5level", "tiny-6.12-5level")
"""Linux 5.10.262, 6.1.192 and 6.12.117 on OVMF and QEMU's ``max`` processor; 4 levels: ``la57=off``. CR3: efi_mm's."""


def recorded(name: str) -> tuple[Capture, str]:
    """The captured tables and the text of /sys/kernel/debug/page_tables/efi."""
    capture = pagetables.decode(gzip.decompress((_DIRECTORY / f"{name}.bin.gz").read_bytes()))
    assert isinstance(capture, Capture)
    return capture, gzip.decompress((_DIRECTORY / f"{name}.ptdump.gz").read_bytes()).decode()
