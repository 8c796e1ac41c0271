"""Make test data of a run directory: only what the judge reads, and nothing of the machine it was made on.

    python tests/testdata/trim_run.py runs/RUN tests/testdata/runs/NAME

Facts that no check reads go, with their frames, so that the record stays whole; paths of this machine become
/srv/harness/...; the record is sealed again. What would still show this machine is refused.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from harness.cache import default_cache  # noqa: E402
from harness.model.record import RunEnd  # noqa: E402
from harness.run.store import file_hashes  # noqa: E402

READ_FACTS = {
    "cmdline",
    "iomem",
    "memmap",
    "runtime-map",
    "esrt",
    "bgrt",
    "acpi-bgrt",
    "kexec-klog",
    "klog",
    "boot-params",
}
"""Facts of the guest agent that a check reads; of other frames every body is kept."""
COPIED = ("plan.json", "journal.jsonl", "console.log", "qemu.stderr", "end.json")
TEXTS = ("plan.json", "journal.jsonl", "qemu.stderr", "end.json")
"""The console is never edited: the journal counts its bytes."""
MAX_BYTES = 300_000
MIN_HOST_NAME_CHARS = 4
"""A shorter host name, such as ``vm``, is in every text."""


def main() -> None:
    """Trim one run directory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    places = {
        str(ROOT): "/srv/harness/checkout",
        str(default_cache().root): "/srv/harness/cache",
        str(Path.home()): "/srv/harness/home",
    }
    trim(options.run, options.target, places)
    sys.stdout.write(f"{options.target}: {sum(size for size in sizes(options.target))} bytes\n")


def trim(run: Path, target: Path, places: dict[str, str]) -> None:
    """Copy what is needed, make it anonymous, seal it."""
    expected = target / "expected.json"
    kept = expected.read_bytes() if expected.exists() else None
    shutil.rmtree(target, ignore_errors=True)
    for name in ("samples", "facts"):
        (target / name).mkdir(parents=True)
    for name in COPIED:
        shutil.copyfile(run / name, target / name)
    entries = [json.loads(line) for line in (run / "journal.jsonl").read_text(encoding="utf-8").split("\n") if line]
    wanted = [entry for entry in entries if _wanted(entry)]
    journal = "".join(json.dumps(entry, separators=(",", ":"), ensure_ascii=False) + "\n" for entry in wanted)
    (target / "journal.jsonl").write_text(journal, encoding="utf-8")
    for entry in wanted:
        for name in filter(None, (entry.get("body_file"), entry.get("file"))):
            shutil.copyfile(run / name, target / name)
    for name in TEXTS:
        path = target / name
        path.write_text(_anonymous(path.read_text(encoding="utf-8"), places), encoding="utf-8")
    seal(target)
    if kept is not None:
        expected.write_bytes(kept)
    _refuse_leaks(target, [*places, socket.gethostname()])


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
