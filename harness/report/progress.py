"""Live progress of runs: a small table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from harness import clock
from harness.model.causes import Status
from harness.model.record import Phase
from harness.model.verdict import Verdict
from harness.report import text


class PlainProgress:
    """One line for each thing that happens, for logs and CI."""

    def __init__(self, stream: TextIO, total: int) -> None:
        self._stream = stream
        self._total = total
        self._lock = threading.Lock()
        self._begun_s: dict[str, float] = {}

    def __enter__(self) -> PlainProgress:
        return self

    def __exit__(self, *_exc: object) -> None:
        pass

    def started(self, variant: str) -> None:
        self._begun_s[variant] = clock.now_s()

    def phase(self, variant: str, phase: Phase, epoch: int, detail: str) -> None:
        seconds = clock.now_s() - self._begun_s.get(variant, clock.now_s())
        self.message(f"{seconds:6.1f} s  {variant}  epoch {epoch}  {phase}{': ' + detail if detail else ''}")

    def line(self, variant: str, line: str) -> None:
        pass

    def message(self, message: str) -> None:
        with self._lock:
            print(message, file=self._stream, flush=True)

    def finished(self, verdict: Verdict) -> None:
        if self._total > 1:  # a single verdict is printed whole
            self.message(text.headline(verdict))


_FIXED_CHARS = len("12345 s  ") + len("  epoch 2  kexec jump  ")
_CONSOLE_CHARS = 60
"""The least of a console line that is worth showing beside the rest."""


class _Row:
    def __init__(self) -> None:
        self.begun_s = clock.now_s()
        self.phase = ""
        self.line = ""


class LiveProgress:
    """A table of what is running (phase, seconds, last console line) under the verdicts so far."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._done = 0
        self._rows: dict[str, _Row] = {}
        self._lock = threading.Lock()
        self._live = Live(get_renderable=self.__rich__, console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> LiveProgress:
        self._live.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._live.stop()

    def started(self, variant: str) -> None:
        with self._lock:
            self._rows[variant] = _Row()

    def phase(self, variant: str, phase: Phase, epoch: int, detail: str) -> None:
        with self._lock:
            row = self._rows.setdefault(variant, _Row())
            row.phase, row.line = f"epoch {epoch}  {phase}", detail or row.line

    def line(self, variant: str, line: str) -> None:
        with self._lock:
            self._rows.setdefault(variant, _Row()).line = line

    def message(self, message: str) -> None:
        self._console.print(message, style="dim", highlight=False, markup=False)

    def finished(self, verdict: Verdict) -> None:
        with self._lock:
            self._rows.pop(verdict.variant, None)
            self._done += 1
        if self._total > 1:  # a single verdict is printed whole
            self._console.print(Text(text.headline(verdict), style=style(verdict)))

    def __rich__(self) -> Group:
        """A line for each run, or two where one is too narrow for the variant and the console's last line."""
        with self._lock:
            rows = list(self._rows.items())
            done = self._done
        room = self._console.width - _FIXED_CHARS - max((len(variant) for variant, _ in rows), default=0)
        texts = []
        for variant, row in rows:
            text = _cut(f"{clock.now_s() - row.begun_s:5.0f} s  ").append(variant)
            text.append(f"  {row.phase}", style="cyan")
            if room >= _CONSOLE_CHARS:
                text.pad_right(self._console.width - room - len(text))
                text.append(row.line, style="dim")
                texts.append(text)
            else:
                texts += [text, _cut(f"{'':9}").append(row.line, style="dim")]
        return Group(*texts, _cut(f"{'':9}{done} of {self._total} done"))


def _cut(text: str) -> Text:
    """One line, shortened to the terminal's width."""
    return Text(text, no_wrap=True, overflow="ellipsis")


def style(verdict: Verdict) -> str:
    """The colour of a verdict."""
    if verdict.known is not None and verdict.status is Status.FAIL:
        return "yellow"
    colours = {Status.PASS: "green", Status.FAIL: "bold red", Status.ERROR: "bold magenta"}
    return colours.get(verdict.status, "yellow")
