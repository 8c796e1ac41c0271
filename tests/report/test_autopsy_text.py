"""An autopsy as text."""

from __future__ import annotations

from evidence.autopsies import autopsy, call, cpu, place, report

from harness.model.autopsy import Act
from harness.report.autopsy import render


def test_everything_that_was_found_and_what_was_not() -> None:
    where = place("spin", 1)
    seen = (where, where, place("spin", 3))
    found = autopsy(report(where, call("caller", "spin"), call("stale", "gone"), seen=seen, of=cpu(interrupts=False)))
    found = found.model_copy(
        update={
            "symbols": "of 6.1",
            "printk": ("[    1.000000] last words",),
            "nmi": ("Uhhuh.",),
            "screen": "screen.png",
            "acts": (Act(name="screen", t_s=1, took_s=0, failure="QEMU wrote no file"),),
        }
    )
    text = render(found)
    assert text.splitlines()[0] == "hung in spin+0x1, called from caller+0x20"
    for part in (
        "running, interrupts off, ring 0, 64-bit",
        "seen at: spin+0x1 (2 times), spin+0x3",
        "\n    caller+0x20\n",
        "\n    ? stale+0x20\n",
        "last words",
        "Uhhuh.",
        "screen.png",
        "screen: QEMU wrote no file",
        "symbols of 6.1",
    ):
        assert part in text


def test_nothing_was_found() -> None:
    assert render(autopsy(status="")).splitlines() == ["no CPU could be looked at", "  QEMU says: nothing"]
