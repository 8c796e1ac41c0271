from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from evidence.vmcore.writers import PAGE, elf, page

from harness.errors import HostError, InputError
from harness.evidence.vmcore import Dump, FileDefect
from harness.subjects.kdump.vmcorefile import opened


def test_is_read_where_it_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "vmcore"
    with path.open("wb") as out:
        out.write(elf({pfn: page(pfn) for pfn in range(5)}))
        out.truncate(1 << 40)
    tracemalloc.start()
    try:
        with opened(path) as dump:
            assert isinstance(dump, Dump)
            assert dump.page(3) == page(3)
            assert dump.read_phys(PAGE, 10 * PAGE - 1).__class__.__name__ == "Defect"
            assert dump.complete
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_no_dump(tmp_path: Path) -> None:
    path = tmp_path / "vmcore"
    path.write_bytes(b"")
    with opened(path) as dump:
        assert isinstance(dump, FileDefect)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="/absent: No such file"), opened(tmp_path / "absent"):
        pass


def test_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "vmcore"
    path.write_bytes(elf({1: page(1)}))
    with opened(path) as dump:
        assert isinstance(dump, Dump)
    with pytest.raises(HostError, match="is closed"):
        dump.page(1)
