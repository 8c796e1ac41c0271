"""Epoch and phase follow what is seen of the machine, step by step, and what ends a run is known at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from support import synthetic

from harness.machine.feed import Failure
from harness.machine.frame import Frame
from harness.machine.happenings import Closed, Data, Event, Exited, Happening, Line, Match, Source
from harness.model.record import EndKind, Phase
from harness.record.phases import PANIC, Entered, State, captures, step
from harness.stage import failures

P = Phase
PANIC_LINE = "Kernel panic - not syncing: VFS: Unable to mount root fs"


def frame(kind: str, **fields: str) -> Frame:
    return Frame("1a2b3c4d", 1, kind, fields)


def line(text: str) -> Line:
    return Line(text, 0)


def banner(release: str = "6.1.0-56-amd64") -> Line:
    return line(f"[    0.000000] Linux version {release} (gcc) #1 SMP")


DRIVERS = line("[    0.651] smp: Brought up 1 node, 1 CPU")
BOOT = (Event("RESUME"), frame("ready"), frame("go"), frame("handoff"), frame("start"))
KERNEL = (*BOOT, banner(), DRIVERS, line("[    0.7] devtmpfs: initialized"))
UP = (*KERNEL, frame("hello", release="6.1.0-56-amd64"), frame("up"))
JUMP = (*UP, frame("loaded"), frame("leaving"), line("kexec_core: Starting new kernel"))
SECOND = (*JUMP, banner(), DRIVERS)
XEN = (*BOOT, line("(XEN) Xen version 4.17.7 (Debian 4.17.7+13) (gcc) debug=n"))
DOM0 = (*XEN, line("(XEN) Freed 2048kB init memory"), banner(), DRIVERS)


def play(data: Sequence[Data], state: State | None = None) -> tuple[State, list[Entered]]:
    state = state or State()
    seen: list[Entered] = []
    for item in data:
        state, entered = step(state, item)
        seen += entered
    return state, seen


def happening(data: Data, source: Source = Source.CONSOLE) -> Happening:
    return Happening(1.0, source, type(data).__name__, data)


def ends(
    before: Sequence[Data], last: Data, state: State | None = None, source: Source = Source.CONSOLE
) -> Failure | None:
    """What the last of these means for a wait."""
    old, _ = play(before, state)
    new, _ = step(old, last)
    return failures.failure(old, new, happening(last, source))


def test_two_kernels_phase_by_phase() -> None:
    _, seen = play((*SECOND, frame("hello", release="7.2"), frame("up")))
    assert [(item.phase, item.epoch) for item in seen] == [
        *((P.FIRMWARE, 0), (P.AGENT, 0), (P.STUB, 1), (P.EARLY, 1), (P.KERNEL, 1), (P.USERSPACE, 1)),
        *((P.JUMP, 2), (P.EARLY, 2), (P.KEXECED, 2), (P.USERSPACE, 2)),
    ]
    assert seen[3].detail == "Linux version 6.1.0-56-amd64"


def test_a_capture_kernel_takes_over() -> None:
    capture = State(captures=frozenset({2}))
    steps = (*UP, frame("crashing"), Match(PANIC, PANIC_LINE, "", 0), banner(), DRIVERS, frame("hello", release="x"))
    state, seen = play(steps, capture)
    assert [(item.phase, item.epoch) for item in seen[-3:]] == [(P.CRASHED, 1), (P.CAPTURE, 2), (P.CAPTURE, 2)]
    assert not state.panic
    assert not state.again


def test_a_capture_kernel_that_only_reports() -> None:
    """Its console is silent: the report alone begins its epoch."""
    state, _ = play((*UP, frame("crashing"), frame("hello")), State(captures=frozenset({2})))
    assert (state.phase, state.epoch) == (P.CAPTURE, 2)


def test_a_panic_that_the_scenario_wants_is_no_end_and_any_other_is() -> None:
    panic = Match(PANIC, PANIC_LINE, "", 0)
    wanted = State(captures=frozenset({2}))
    assert ends(UP, panic, wanted) is None
    assert play((*UP, panic), wanted)[0].phase is P.CRASHED
    failed = ends(UP, panic)
    assert failed is not None
    assert (failed.kind, failed.detail) == (EndKind.PANIC, PANIC_LINE)
    assert failed.grace_s > 0, "its call trace is still to come"
    in_capture = ends((*UP, panic, banner()), panic, wanted)
    assert in_capture is not None, "a panic of the capture kernel itself"


def test_the_end_of_a_panic_ends_the_wait_at_once() -> None:
    panic = Match(PANIC, PANIC_LINE, "", 0)
    last = line(f"[    3.2] ---[ end {PANIC_LINE} ]---")
    failed = ends((*UP, panic), last)
    assert failed is not None
    assert (failed.kind, failed.detail, failed.grace_s) == (EndKind.PANIC, PANIC_LINE, 0)
    assert ends(UP, last) is None, "no panic was seen: somebody quotes one"


def test_the_log_that_a_panic_shows_again_is_no_boot_loop() -> None:
    """panic_print=32 replays all messages."""
    state, seen = play((*UP, Match(PANIC, PANIC_LINE, "", 0), banner()))
    assert not state.again
    assert seen[-1].phase is P.USERSPACE


@pytest.mark.parametrize("before", [KERNEL, UP, SECOND], ids=["kernel", "userspace", "second kernel"])
def test_a_second_first_line_is_a_boot_loop(before: tuple[Data, ...]) -> None:
    failed = ends(before, banner())
    assert failed is not None
    assert (failed.kind, failed.grace_s) == (EndKind.BOOT_LOOP, 0)


def test_first_lines_that_are_none() -> None:
    for text in ("init: Linux version 6.1 is fine", "Linux version unknown"):
        assert ends(UP, line(text)) is None


@pytest.mark.parametrize(
    ("before", "last", "kind"),
    [
        (JUMP, frame("ready"), EndKind.BACK_IN_FIRMWARE),
        (BOOT, frame("error", what="the kernel image came back", status="0x1"), EndKind.GUEST_ERROR),
        (JUMP, Match(failures.HALT, "-- System halted", "", 0), EndKind.HALTED),
        (BOOT, line("!!!! X64 Exception Type - 0E(#PF - Page-Fault)  CPU Apic ID - 00000000 !!!!"), EndKind.HALTED),
        (UP, Event("SHUTDOWN", {"reason": "guest-reset"}), EndKind.RESET),
        (UP, Event("SHUTDOWN", {"reason": "guest-shutdown"}), EndKind.POWEROFF),
        (UP, Event("GUEST_PANICKED"), EndKind.PANIC),
        (UP, Event("STOP"), EndKind.HOST),
    ],
)
def test_decisive(before: tuple[Data, ...], last: Data, kind: EndKind) -> None:
    failed = ends(before, last)
    assert failed is not None
    assert failed.kind is kind


@pytest.mark.parametrize(
    "last", [Event("STOP", asked=True), Event("RTC_CHANGE"), line("[  1.0] a line"), frame("fact"), Exited(0)]
)
def test_not_decisive(last: Data) -> None:
    assert ends(UP, last) is None


@pytest.mark.parametrize("source", list(Source))
def test_a_closed_port_ends_a_run_unless_it_is_none_of_the_guests(source: Source) -> None:
    failed = ends(UP, Closed(), source=source)
    assert (failed is not None) == (source in (Source.LINK, Source.CONSOLE))


def test_a_reset_that_qemu_lets_pass_leads_to_firmware() -> None:
    state, _ = play((*UP, Event("RESET", {"reason": "guest-reset"})))
    assert (state.phase, state.epoch) == (P.FIRMWARE, 1)
    assert play((*UP, Event("RESET"), frame("ready")))[0].phase is P.AGENT


def test_nothing_else_moves_a_state() -> None:
    state, _ = play(UP)
    assert step(state, Event("RTC_CHANGE")) == (state, ())
    assert step(replace(state, phase=P.LOAD), DRIVERS)[1] == ()


def test_capture_epochs_of_a_plan() -> None:
    made = synthetic.plan(synthetic.scenario(), synthetic.prepared([synthetic.kernel(), synthetic.kernel()]))
    assert captures(made) == frozenset()


def test_xen_comes_between_the_stub_and_dom0() -> None:
    state, seen = play((*DOM0, line("[    1.6] Xen version: 4.17.7 (preserve-AD)"), frame("hello")))
    assert [item.phase for item in seen[2:]] == [P.STUB, P.XEN, P.EARLY, P.KERNEL, P.USERSPACE]
    assert seen[3] == Entered(P.XEN, 1, "Xen version 4.17.7")
    assert state.epoch == 1


@pytest.mark.parametrize("phase", [UP, DOM0], ids=["no Xen was started", "it has begun already"])
def test_words_of_xen_elsewhere_begin_nothing(phase: Sequence[Data]) -> None:
    state, seen = play((line("(XEN) Xen version 4.17.7 (Debian)"),), play(phase)[0])
    assert seen == []
    assert state.phase in (P.USERSPACE, P.KERNEL)


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("(XEN) Panic on CPU 0:", "Xen: Panic on CPU 0:"),
        ("(XEN) [2026-11-28 16:20:17] Panic on CPU 3:", "Xen: Panic on CPU 3:"),
        ("(XEN) Hardware Dom0 halted: halting machine", "Xen: Hardware Dom0 halted: halting machine"),
        (
            "(XEN) Hardware Dom0 crashed: 'noreboot' set - not rebooting.",
            "Xen: Hardware Dom0 crashed: 'noreboot' set - not rebooting.",
        ),
    ],
)
def test_the_end_of_xen_or_of_its_dom0(text: str, detail: str) -> None:
    failure = ends(DOM0, line(text))
    assert failure is not None
    assert (failure.kind, failure.detail) == (EndKind.PANIC, detail)


@pytest.mark.parametrize("text", ["(XEN) Hardware features:", "[    1.0] (XEN) Panic on CPU 0:", "Panic on CPU 0:"])
def test_no_end_of_xen(text: str) -> None:
    assert ends(DOM0, line(text)) is None
