"""Make test data of a run directory: only what the judge reads, and nothing of the machine it was made on.

    python tests/testdata/trim_run.py [--short] runs/RUN tests/testdata/runs/NAME

Facts that no check reads go, with their frames, so that the record stays whole; paths of this machine become
/srv/harness/...; the record is sealed again. What would still show this machine is refused.

What other runs in testdata have too is not kept twice: share.py sees to that in the end.

With --short most of what a kernel says while it boots goes too, from the console and from the reported log, and the
places that the journal names are moved accordingly; whether the verdict stays is for the caller to see.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.share import share  # noqa: E402

from harness.cache import default_cache  # noqa: E402
from harness.model.record import RunEnd  # noqa: E402
from harness.record.store import file_hashes  # noqa: E402

READ_FACTS = {
    "cmdline",
    "iomem",
    "memmap",
    "runtime-map",
    "esrt",
    "bgrt",
    "acpi-bgrt",
    "tpm-log",
    "kexec-klog",
    "klog",
    "efivarfs",
    "mok-variables",
    "meminfo",
    "modules",
    "boot-params",
    "processors",
    "acpi-tables",
    "setup-data",
}
"""Facts of the guest agent that a check reads; of other frames every body is kept."""
COPIED = ("plan.json", "journal.jsonl", "console.log", "qemu.stderr", "end.json")
OPTIONAL = ("autopsy.json", "qemu.log")
TEXTS = ("plan.json", "journal.jsonl", "qemu.stderr", "end.json", "autopsy.json")
"""The console is never edited: the journal counts its bytes."""
MAX_BYTES = 300_000
KEPT = re.compile(
    rb"efi|EFI|esrt|ESRT|bgrt|BGRT|MEMATTR|e820|Linux version|[Cc]ommand line|ttyS0|smp: Brought|devtmpfs: init"
    rb"|RAMDISK|root fs|Run /init|kexec|crash|Crash|Kdump|vmcore|reserve|Reserve|[Uu]nknown|Firmware|System halted"
    rb"|\(XEN\)|Xen|unusable"
)
"""What a check may look for in a boot."""
TELLING = re.compile(rb"panic|BUG|Oops|WARNING|Call Trace|\bfault|!!!!|cut here|sysrq")
BEHIND_LINES, LAST_LINES = 60, 5
"""Kept behind a telling line, and at the end of a log."""
MIN_HOST_NAME_CHARS = 4
"""A shorter host name, such as ``vm``, is in every text."""


def main() -> None:
    """Trim one run directory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="leave out most lines of the kernels' logs")
    parser.add_argument("run", type=Path)
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    places = {
        str(ROOT): "/srv/harness/checkout",
        str(default_cache().root): "/srv/harness/cache",
        str(Path.home()): "/srv/harness/home",
    }
    trim(options.run, options.target, places, short=options.short)
    sys.stdout.write(f"{options.target}: {sum(sizes(options.target))} bytes\n")
    share(Path(__file__).parent)


def trim(run: Path, target: Path, places: dict[str, str], *, short: bool = False) -> None:
    """Copy what is needed, make it anonymous, seal it."""
    expected = target / "expected.json"
    kept = expected.read_bytes() if expected.exists() else None
    shutil.rmtree(target, ignore_errors=True)
    for name in ("samples", "facts"):
        (target / name).mkdir(parents=True)
    for name in (*COPIED, *(name for name in OPTIONAL if (run / name).exists())):
        shutil.copyfile(run / name, target / name)
    if (target / "qemu.log").exists():  # its last line decides; the rest are registers
        last = [line for line in (target / "qemu.log").read_bytes().splitlines() if line.strip()][-1:]
        (target / "qemu.log").write_bytes(b"".join(line + b"\n" for line in last))
    entries = [json.loads(line) for line in (run / "journal.jsonl").read_text(encoding="utf-8").split("\n") if line]
    wanted = [entry for entry in entries if _wanted(entry)]
    journal = "".join(json.dumps(entry, separators=(",", ":"), ensure_ascii=False) + "\n" for entry in wanted)
    (target / "journal.jsonl").write_text(journal, encoding="utf-8")
    for entry in wanted:
        for name in filter(None, (entry.get("body_file"), entry.get("file"))):
            shutil.copyfile(run / name, target / name)
    if short:
        shorten(target, wanted)
    for name in TEXTS:
        path = target / name
        if path.exists():
            path.write_text(_anonymous(path.read_text(encoding="utf-8"), places), encoding="utf-8")
    seal(target)
    if kept is not None:
        expected.write_bytes(kept)
    _refuse_leaks(target, [*places, socket.gethostname()])


def shorten(target: Path, entries: list[dict[str, object]]) -> None:
    """Leave out what no check looks at, from console and kernel logs, and move the places in the console."""
    data = (target / "console.log").read_bytes()
    offsets = sorted({int(str(entry["console_offset"])) for entry in entries if entry["type"] == "phase"})
    kept, moved = _kept(data, {*offsets, len(data)})
    (target / "console.log").write_bytes(kept)
    for entry in entries:
        if entry["type"] == "phase":
            entry["console_offset"] = moved(int(str(entry["console_offset"])))
        fields = entry.get("fields")
        if isinstance(fields, dict) and fields.get("name") == "klog" and entry.get("body_file"):
            path = target / str(entry["body_file"])
            path.write_bytes(_kept(path.read_bytes(), set())[0])
    journal = "".join(json.dumps(entry, separators=(",", ":"), ensure_ascii=False) + "\n" for entry in entries)
    (target / "journal.jsonl").write_text(journal, encoding="utf-8")
    for name, key in (("end.json", "console_offset"), ("autopsy.json", "undisturbed_bytes")):
        path = target / name
        if path.exists():
            document = json.loads(path.read_text(encoding="utf-8"))
            if document.get(key) is not None:
                document[key] = moved(document[key])
            path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _kept(data: bytes, borders: set[int]) -> tuple[bytes, Callable[[int], int]]:
    """The lines worth keeping, and where each place of ``data`` is in them. Lines at a border are kept."""
    ranges: list[tuple[int, int]] = []
    start, behind = 0, 0
    lines = data.splitlines(keepends=True)
    for number, line in enumerate(lines):
        end = start + len(line)
        behind = BEHIND_LINES if TELLING.search(line) else behind - 1
        at_border = any(start - 200 <= border <= end + 200 for border in borders)
        if KEPT.search(line) or behind > 0 or at_border or number >= len(lines) - LAST_LINES:
            ranges.append((start, end))
        start = end

    def moved(place: int) -> int:
        return sum(max(0, min(place, end) - begin) for begin, end in ranges)

    return b"".join(data[begin:end] for begin, end in ranges), moved


def seal(target: Path) -> None:
    """Write the files' hashes into end.json, as at the end of a run."""
    path = target / "end.json"
    end = RunEnd.model_validate_json(path.read_bytes())
    path.write_text(end.model_copy(update={"files": file_hashes(target)}).model_dump_json(indent=1) + "\n")


def sizes(target: Path) -> list[int]:
    """Bytes of each file."""
    return [path.stat().st_size for path in target.rglob("*") if path.is_file()]


def _wanted(entry: dict[str, object]) -> bool:
    fields = entry.get("fields")
    if entry.get("kind") != "fact" or not isinstance(fields, dict):
        return True
    return fields.get("name") in READ_FACTS


def _anonymous(text: str, places: dict[str, str]) -> str:
    for place in sorted(places, key=len, reverse=True):
        text = text.replace(place, places[place])
    return text


def _refuse_leaks(target: Path, words: list[str]) -> None:
    """Raises SystemExit when a file still shows this machine, or the record is too big for a repository."""
    for path in sorted(path for path in target.rglob("*") if path.is_file()):
        data = path.read_bytes()
        for word in words:
            if len(word) >= MIN_HOST_NAME_CHARS and word.encode() in data:
                raise SystemExit(f"{path}: still contains {word!r}")
    if sum(sizes(target)) > MAX_BYTES:
        raise SystemExit(f"{target}: {sum(sizes(target))} bytes, more than {MAX_BYTES}")


if __name__ == "__main__":
    main()
