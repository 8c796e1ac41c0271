"""Copies of real records that tests damage, and the judge's word on them."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.judge.judge import judge
from harness.model.verdict import KnownIssue, Verdict
from harness.record.store import file_hashes, read_record
from support.recorded import RUNS, lay_out

Entry = dict[str, Any]


class Copy:
    """A record in a directory of its own. Edits are sealed when it is judged, unless ``sealed`` is False."""

    def __init__(self, name: str, directory: Path) -> None:
        self.path = directory / name
        lay_out(RUNS / name, self.path)

    # What is in it

    @property
    def entries(self) -> list[Entry]:
        text = (self.path / "journal.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.split("\n") if line]

    @entries.setter
    def entries(self, entries: list[Entry]) -> None:
        text = "".join(json.dumps(entry) + "\n" for entry in entries)
        (self.path / "journal.jsonl").write_text(text, encoding="utf-8")

    def only(self, **wanted: Any) -> Entry:
        """The one entry with these values; ``name`` and other frame fields are looked up in ``fields`` too."""
        found = [entry for entry in self.entries if _matches(entry, wanted)]
        assert len(found) == 1, f"{len(found)} entries match {wanted}"
        return found[0]

    def read(self, name: str) -> str:
        return (self.path / name).read_text(encoding="utf-8")

    def json(self, name: str) -> Any:
        return json.loads(self.read(name))

    def fact_file(self, epoch: int, name: str) -> str:
        return str(self.only(type="frame", kind="fact", epoch=epoch, name=name)["body_file"])

    # Edits: each one asserts that it changed something

    def drop(self, **wanted: Any) -> Copy:
        entries = self.entries
        kept = [entry for entry in entries if not _matches(entry, wanted)]
        assert len(kept) < len(entries), f"nothing matches {wanted}"
        self.entries = kept
        return self

    def change(self, values: Entry, **wanted: Any) -> Copy:
        """Set values of all entries that match; those under ``fields`` are merged."""
        changed = 0
        entries = self.entries
        for entry in entries:
            if _matches(entry, wanted):
                fields = {**entry.get("fields", {}), **values.get("fields", {})}
                entry.update(values)
                if fields:
                    entry["fields"] = fields
                changed += 1
        assert changed, f"nothing matches {wanted}"
        self.entries = entries
        return self

    def edit(self, name: str, old: str, new: str) -> Copy:
        """Replace text in a file."""
        text = self.read(name)
        assert old in text, f"{name} has no {old!r}"
        (self.path / name).write_text(text.replace(old, new), encoding="utf-8")
        return self

    def edit_json(self, name: str, **values: Any) -> Copy:
        (self.path / name).write_text(json.dumps({**self.json(name), **values}), encoding="utf-8")
        return self

    def flip(self, sample: str, offset: int, *, noted: bool = True) -> Copy:
        """Flip the bits of one byte of a sample; ``noted``: it was so when it was sampled."""
        path = self.path / sample
        data = bytearray(path.read_bytes())
        data[offset] ^= 0xFF
        path.write_bytes(data)
        if noted:
            self.change({"sha256": hashlib.sha256(data).hexdigest()}, type="sample", file=sample)
        return self

    def heal(self, sample: str) -> Copy:
        """Put the bytes of the hand-off in a sample's place."""
        first = self.only(type="sample", point="handoff")["file"]
        data = (self.path / first).read_bytes()
        (self.path / sample).write_bytes(data)
        return self.change({"sha256": hashlib.sha256(data).hexdigest()}, type="sample", file=sample)

    def print(self, epoch: int, text: str) -> int:
        """Put lines on the console just after an epoch's banner; the number of the first one."""
        console = (self.path / "console.log").read_bytes()
        begin = min(entry["console_offset"] for entry in self.entries if entry.get("epoch") == epoch and _phase(entry))
        banner = re.compile(rb"Linux version [^\n]*\n").search(console, begin)
        assert banner is not None
        at = banner.end()
        added = "".join(f"[    1.000000] {line}\r\n" for line in text.splitlines()).encode()
        (self.path / "console.log").write_bytes(console[:at] + added + console[at:])
        entries = self.entries
        for entry in entries:
            if _phase(entry) and entry["console_offset"] >= at:
                entry["console_offset"] += len(added)
        self.entries = entries
        return console[:at].count(b"\n") + 1

    def end_at(self, epoch: int, phase: str, kind: str, detail: str = "what the runner saw", **values: Any) -> Copy:
        """As if the run had ended when it had just entered a phase (the last time it did in that epoch)."""
        entries = self.entries
        place = [n for n, entry in enumerate(entries) if _phase(entry) == phase and entry["epoch"] == epoch][-1]
        offset = entries[place]["console_offset"]
        console = (self.path / "console.log").read_bytes()
        (self.path / "console.log").write_bytes(console[:offset])
        self.entries = entries[: place + 1]
        return self.edit_json(
            "end.json",
            kind=kind,
            detail=detail,
            epoch=epoch,
            phase=phase,
            t_s=entries[place]["t_s"],
            console_offset=offset,
            **values,
        )

    def sample_again(self, epoch: int, point: str, *, damaged: bool) -> Copy:
        """Add a sample to the end of the journal."""
        first = self.only(type="sample", point="handoff")
        file = f"samples/{epoch}-{point}-{first['subject']}.bin"
        shutil.copyfile(self.path / first["file"], self.path / file)
        self.entries = [*self.entries, {**first, "epoch": epoch, "point": point, "file": file}]
        return self.flip(file, 0x100) if damaged else self

    # The judge's word

    def seal(self) -> Copy:
        return self.edit_json("end.json", files=file_hashes(self.path))

    def judge(self, known: KnownIssue | None = None, *, seal: bool = True) -> Verdict:
        if seal:
            self.seal()
        return judge(read_record(self.path), () if known is None else (known,))


def _phase(entry: Entry) -> str | None:
    return entry["phase"] if entry["type"] == "phase" else None


def _matches(entry: Entry, wanted: Entry) -> bool:
    return all(value == entry.get(key, (entry.get("fields") or {}).get(key)) for key, value in wanted.items())


Edit = Callable[[Copy], object]
