"""What is shown while runs go on, on a terminal and elsewhere."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from harness.model.causes import Status
from harness.model.record import Phase
from harness.model.verdict import Check, Verdict
from harness.report.progress import LiveProgress, PlainProgress

VARIANT = "esrt/kexec-file[debian-6.1-cloud,ovmf-x64]"


def verdict(variant: str = VARIANT) -> Verdict:
    check = Check(name="run", status=Status.PASS, summary="fine")
    return Verdict(
        variant=variant,
        run_id="r",
        kernel="k",
        status=Status.PASS,
        headline="fine",
        phase=Phase.OFF,
        epoch=2,
        checks=(check,),
        duration_s=61,
    )


@pytest.fixture
def screen() -> Iterator[io.StringIO]:
    with io.StringIO() as stream:
        yield stream


def shown(progress: LiveProgress, screen: io.StringIO, width: int) -> list[str]:
    """The live part as it is now."""
    screen.seek(0)
    screen.truncate()
    Console(file=screen, width=width).print(progress)
    return screen.getvalue().splitlines()


def live(screen: io.StringIO, width: int, total: int = 2) -> LiveProgress:
    return LiveProgress(Console(file=screen, width=width, force_terminal=True), total)


def test_a_wide_terminal_shows_one_line_a_run(screen: io.StringIO) -> None:
    progress = live(screen, 150)
    progress.started(VARIANT)
    progress.phase(VARIANT, Phase.KERNEL, 2, "Linux version 6.1")
    first, count = shown(progress, screen, 150)
    assert first == f"    0 s  {VARIANT}  epoch 2  kernel      Linux version 6.1"
    progress.line(VARIANT, "[    1.0] [bold]not markup[/bold] " + "x" * 200)
    first, count = shown(progress, screen, 150)
    assert "[bold]not markup[/bold] xxx" in first
    assert len(first) <= 150
    assert count.strip() == "0 of 2 done"


@pytest.mark.parametrize("width", [20, 60, 80, 100])
def test_a_narrow_terminal_shows_two_short_lines_a_run(screen: io.StringIO, width: int) -> None:
    progress = live(screen, width)
    for variant in (VARIANT, "a/b[c,d]"):
        progress.started(variant)
        progress.line(variant, "the last line of the console " + "x" * 200)
    lines = shown(progress, screen, width)
    assert len(lines) == 5
    assert all(len(line) <= width for line in lines)
    assert lines[1].strip().startswith("the last l")
    assert lines[0].startswith("    0 s  esrt/kexec")


def test_a_finished_run_leaves_the_live_part_and_its_verdict_stays(screen: io.StringIO) -> None:
    progress = live(screen, 150)
    with progress:
        progress.started(VARIANT)
        progress.finished(verdict())
        assert len(shown(progress, screen, 150)) == 1
        progress.message("downloading [linux]")
    assert "downloading [linux]" in screen.getvalue()
    assert "\x1b[?25h" in screen.getvalue(), "the cursor is shown again"


def test_the_verdict_of_a_single_run_is_printed_by_others(screen: io.StringIO) -> None:
    for progress in (live(screen, 150, total=1), PlainProgress(screen, 1)):
        progress.started(VARIANT)
        progress.finished(verdict())
    assert "PASS" not in screen.getvalue()


def test_plain_lines(screen: io.StringIO) -> None:
    with PlainProgress(screen, 2) as progress:
        progress.started(VARIANT)
        progress.phase(VARIANT, Phase.KERNEL, 1, "Linux version 6.1")
        progress.line(VARIANT, "a line of the console")
        progress.message("downloading")
        progress.finished(verdict())
    assert screen.getvalue().splitlines() == [
        f"   0.0 s  {VARIANT}  epoch 1  kernel: Linux version 6.1",
        "downloading",
        f"PASS        {VARIANT}  (61 s)",
    ]
