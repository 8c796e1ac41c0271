"""Every way a run can end, played by the fake QEMU: kind, phase and epoch are right and the record is whole."""

from __future__ import annotations

import pytest
from fakes import fake_guest as guest
from fakes.fake_guest import RELEASE, TABLE_PAGE, frame, script

from harness.evidence.tables.canary import canary_bytes
from harness.model.causes import Cause, Status
from harness.model.plan import Plan
from harness.model.record import EndKind, NoteEntry, Phase, SampleEntry
from harness.model.words.tables import TableName

from .conftest import HASTY, Stage, scenario

P = Phase


def test_two_epochs_to_the_end(stage: Stage) -> None:
    ran = stage.run(script(*guest.whole_run()))
    ran.ended(EndKind.COMPLETE, P.OFF, 2)
    assert ran.phases == [
        *((0, P.START), (0, P.FIRMWARE), (0, P.AGENT), (1, P.STUB), (1, P.EARLY), (1, P.KERNEL), (1, P.USERSPACE)),
        *((1, P.LOAD), (2, P.JUMP), (2, P.EARLY), (2, P.KEXECED), (2, P.USERSPACE), (2, P.OFF)),
    ]
    assert (ran.verdict.status, ran.verdict.cause) == (Status.PASS, None), ran.verdict
    said = [(entry.kind, entry.epoch) for entry in ran.entries if entry.type == "frame"]
    assert said == [
        *(("ready", 0), ("go", 0), ("systab", 0), ("handoff", 0), ("start", 1)),
        *(("hello", 1), ("fact", 1), ("up", 1), ("loaded", 1), ("leaving", 1)),
        *(("hello", 2), ("fact", 2), ("up", 2)),
    ]
    commands = [entry for entry in ran.entries if entry.type == "command"]
    assert [(entry.name, entry.epoch) for entry in commands] == [("load", 1), ("exec", 1)]
    assert commands[0].fields["cmdline"].endswith("harness.nonce=1a2b3c4d harness.epoch=2")
    assert ran.console.count("Linux version") == 2
    times = [entry.t_s for entry in ran.entries]
    assert times == sorted(times)


def test_memory_is_sampled_at_every_border(stage: Stage) -> None:
    tables = [{"esrt": {"memory": "boot-services-data", "below": "0x3a000000", "entries": 3}}]
    plan = stage.plan(scenario(expect=[{"table_intact": "esrt"}], firmware={"tables": tables}))
    table = plan.tables[0]
    content = bytes.fromhex(table.content_hex)
    page = bytearray(canary_bytes(table.canary_seed, TABLE_PAGE, 4096))
    page[0x100 : 0x100 + len(content)] = content
    phases = guest.whole_run()
    phases[1] = guest.agent(table_bytes=len(content))
    phases[5] = [{"wait_frame": "exec"}, {"poke": hex(TABLE_PAGE + 0x110), "bytes": "00"}, *guest.leave()[1:]]
    ran = stage.run(script(*phases, memory={hex(TABLE_PAGE): page.hex()}), plan)
    ran.ended(EndKind.COMPLETE, P.OFF, 2)
    samples = [entry for entry in ran.entries if isinstance(entry, SampleEntry)]
    assert [(entry.epoch, entry.point.value) for entry in samples] == [
        *((0, "handoff"), (1, "up"), (1, "loaded"), (2, "up"))
    ]
    assert {(entry.pages_address, entry.table_address) for entry in samples} == {(TABLE_PAGE, TABLE_PAGE + 0x100)}
    contents = [(ran.directory / entry.file).read_bytes() for entry in samples]
    assert contents[:3] == [bytes(page)] * 3
    page[0x110] = 0
    assert contents[3] == bytes(page)


def test_a_table_that_is_not_there_is_noted(stage: Stage) -> None:
    ran = stage.run(script(*guest.whole_run(1)), stage.plan(scenario(0, [{"table_intact": "esrt"}])))
    ran.ended(EndKind.COMPLETE, P.OFF, 1)
    assert [(entry.table, entry.text) for entry in ran.entries if isinstance(entry, NoteEntry)] == [
        (TableName.ESRT, "no configuration table with its GUID")
    ]
    assert ran.verdict.status is not Status.PASS


# name: steps that end the run, and what must come of it
_AGENT_ERROR = [*guest.ready(), {"wait_byte": "G"}, frame("error", what="AllocatePages", status="0x800000000000000e")]
_PANIC = {"console": "[    1.0] Kernel panic - not syncing: VFS: Unable to mount root fs\r\n[    1.1] Call Trace:\r\n"}
_TO_KERNEL = [*guest.ready(), *guest.agent(), *guest.start()]
_TO_STUB = [*guest.ready(), *guest.agent(), {"wait_byte": "S"}, frame("start"), guest.SECOND]
_AGAIN = {"console": f"[    0.000000] Linux version {RELEASE} (gcc) #1 SMP\r\n"}
_STUB_ERROR = {"console": "EFI stub: ERROR: Failed to load initrd!\r\n"}
_TO_SPACE = [*_TO_KERNEL, *guest.up(1)]
_TO_JUMP = [*_TO_SPACE, *guest.load(), *guest.leave()]
_ENDINGS: dict[str, tuple[guest.Steps, EndKind, Phase, int, Cause]] = {
    "agent error": (_AGENT_ERROR, EndKind.GUEST_ERROR, P.AGENT, 0, Cause.AGENT_ERROR),
    "panic line": ([*_TO_KERNEL, _PANIC], EndKind.PANIC, P.KERNEL, 1, Cause.PANIC),
    "panic event": ([*_TO_KERNEL, {"panic": True}], EndKind.PANIC, P.KERNEL, 1, Cause.SILENT_PANIC),
    "panic line, then event": ([*_TO_JUMP, _PANIC, {"panic": True}], EndKind.PANIC, P.JUMP, 2, Cause.PANIC),
    "reset in firmware": ([*guest.ready(), {"reset": "guest-reset"}], EndKind.RESET, P.AGENT, 0, Cause.RESET),
    "reset in the jump": ([*_TO_JUMP, {"reset": "guest-reset"}], EndKind.RESET, P.JUMP, 2, Cause.SILENT_RESET),
    "reset in the second kernel": (
        *([*_TO_JUMP, *guest.banner(), {"reset": "guest-reset"}], EndKind.RESET),
        *(P.KEXECED, 2, Cause.RESET),
    ),
    "poweroff": ([*_TO_SPACE, {"wait_frame": "load"}, {"poweroff": True}], EndKind.POWEROFF, P.LOAD, 1, Cause.POWEROFF),
    "READY after start": (
        *([*_TO_JUMP, *guest.ready()], EndKind.BACK_IN_FIRMWARE),
        *(P.JUMP, 2, Cause.BACK_IN_FIRMWARE),
    ),
    "stub gives up": (
        *([*_TO_STUB, _STUB_ERROR, frame("error", what="the kernel image came back", status="0x1")],),
        *(EndKind.GUEST_ERROR, P.STUB, 1, Cause.STUB_FAILED),
    ),
    "kernel cannot be started here": (
        *([*_TO_STUB, frame("error", what="the kernel has no entry point for this firmware", status="0x3")],),
        *(EndKind.GUEST_ERROR, P.STUB, 1, Cause.NO_CAPABILITY),
    ),
    "decompressor gives up": (
        [*_TO_JUMP, {"console": "\r\nout of memory while allocating heap\r\n\r\n -- System halted"}],
        *(EndKind.HALTED, P.JUMP, 2, Cause.STUB_FAILED),
    ),
    "firmware crashes in the agent": (
        [*guest.ready(), guest.SECOND, {"console": "!!!! X64 Exception Type - 0D(#GP - General Protection) !!!!\r\n"}],
        *(EndKind.HALTED, P.AGENT, 0, Cause.PANIC),
    ),
    "firmware crashes below the kernel": (
        [
            *_TO_SPACE,
            {"wait_frame": "load"},
            {"console": "!!!! X64 Exception Type - 0D(#GP - General Protection) !!!!\r\n"},
        ],
        *(EndKind.HALTED, P.LOAD, 1, Cause.PANIC),
    ),
    "purgatory finds other bytes": (
        [*_TO_JUMP, {"console": "I'm in purgatory\r\nsha256 digests do not match :(\r\n"}],
        *(EndKind.HALTED, P.JUMP, 2, Cause.PURGATORY_FAILED),
    ),
    "kexec comes back": (
        [*_TO_JUMP, frame("error", what="kexec -e came back", rc="1")],
        *(EndKind.GUEST_ERROR, P.JUMP, 2, Cause.KEXEC_RETURNED),
    ),
    "boot loop": ([*_TO_SPACE, {"wait_frame": "load"}, _AGAIN], EndKind.BOOT_LOOP, P.EARLY, 1, Cause.BOOT_LOOP),
    "link closed": ([*_TO_KERNEL, {"close": "com2"}], EndKind.PORT_LOST, P.KERNEL, 1, Cause.PORT_LOST),
    "console closed": ([*_TO_KERNEL, {"close": "com1"}], EndKind.PORT_LOST, P.KERNEL, 1, Cause.PORT_LOST),
    "stopped by itself": ([*_TO_KERNEL, {"internal_error": True}], EndKind.HOST, P.KERNEL, 1, Cause.HOST),
    "kexec refuses": (
        *([*_TO_SPACE, *guest.load(255, "kexec_file_load failed: Invalid argument\n")], EndKind.GUEST_ERROR),
        *(P.LOAD, 1, Cause.KEXEC_LOAD_FAILED),
    ),
    "guest error": (
        *([*_TO_SPACE, {"wait_frame": "load"}, frame("error", what="no disk", rc="2")], EndKind.GUEST_ERROR),
        *(P.LOAD, 1, Cause.GUEST_ERROR),
    ),
}


@pytest.mark.parametrize("name", _ENDINGS)
def test_bad_endings(stage: Stage, name: str) -> None:
    steps, kind, phase, epoch, cause = _ENDINGS[name]
    ran = stage.run(script(steps))
    ran.ended(kind, phase, epoch)
    assert ran.verdict.cause is cause, ran.verdict
    assert ran.verdict.status is not Status.PASS
    assert ran.end.qemu_exit is None


def test_what_a_panic_prints_after_its_first_line_is_in_the_record(stage: Stage) -> None:
    later = [_PANIC, {"wait_ms": 300}, {"console": "[    1.2] ---[ end Kernel panic - not syncing ]---\r\n"}]
    ran = stage.run(script(_TO_KERNEL, later))
    assert "end Kernel panic" in ran.console
    assert "VFS: Unable to mount root fs" in ran.end.detail


def test_a_kexec_that_is_refused_says_why(stage: Stage) -> None:
    ran = stage.run(script(_ENDINGS["kexec refuses"][0]))
    assert ran.end.detail == "kexec could not load the next kernel (rc 255): kexec_file_load failed: Invalid argument"


_SILENCES: dict[str, tuple[guest.Steps, str, Phase, int, Cause]] = {
    "nothing at all": ([], "ready", P.FIRMWARE, 0, Cause.NO_BOOT),
    "agent silent after go": (
        *([*guest.ready(), {"wait_byte": "G"}, {"frame": "go", "nonce": "00000000"}], "handoff"),
        *(P.AGENT, 0, Cause.NO_BOOT),
    ),
    "go never comes": (guest.ready(), "go", P.AGENT, 0, Cause.NO_BOOT),
    "start never comes": ([*guest.ready(), *guest.agent()], "start", P.AGENT, 0, Cause.NO_BOOT),
    "kernel prints nothing": (
        *([*guest.ready(), *guest.agent(), {"wait_byte": "S"}, frame("start")], "hello"),
        *(P.STUB, 1, Cause.NO_BOOT),
    ),
    "kernel hangs": (_TO_KERNEL, "hello", P.KERNEL, 1, Cause.HANG),
    "facts stop": ([*_TO_KERNEL, guest.up(1)[0]], "up", P.USERSPACE, 1, Cause.HANG),
    "load never ends": ([*_TO_SPACE, {"wait_frame": "load"}], "loaded", P.LOAD, 1, Cause.HANG),
    "exec is not obeyed": ([*_TO_SPACE, *guest.load(), {"wait_frame": "exec"}], "leaving", P.LOAD, 1, Cause.HANG),
    "jump hangs": (_TO_JUMP, "hello", P.JUMP, 2, Cause.HANG),
    "next kernel hangs": ([*_TO_JUMP, *guest.banner()], "hello", P.KEXECED, 2, Cause.HANG),
}


@pytest.mark.parametrize("name", _SILENCES)
def test_silence_is_a_timeout_that_says_what_was_waited_for(stage: Stage, name: str) -> None:
    steps, report, phase, epoch, cause = _SILENCES[name]
    ran = stage.run(script(steps), stage.plan(budgets=HASTY))
    ran.ended(EndKind.TIMEOUT, phase, epoch)
    assert ran.end.detail.startswith(f"no '{report}' report: nothing decisive in 0."), ran.end.detail
    assert ran.verdict.cause is cause
    said = [step["console"] for step in steps if "console" in step]
    if said:
        assert ran.end.last_line == said[-1].splitlines()[-1]


_DEATHS = {
    "start": ("before", [], P.START, 0),
    "firmware": ("steps", [], P.FIRMWARE, 0),
    "agent": ("steps", guest.ready(), P.AGENT, 0),
    "kernel": ("steps", _TO_KERNEL, P.KERNEL, 1),
    "userspace": ("steps", [*_TO_KERNEL, guest.up(1)[0]], P.USERSPACE, 1),
    "load": ("steps", [*_TO_SPACE, {"wait_frame": "load"}], P.LOAD, 1),
    "jump": ("steps", _TO_JUMP, P.JUMP, 2),
    "second kernel": ("steps", [*_TO_JUMP, *guest.banner()], P.KEXECED, 2),
}


@pytest.mark.parametrize("name", _DEATHS)
def test_qemu_dies(stage: Stage, name: str) -> None:
    when, steps, phase, epoch = _DEATHS[name]
    how = [{"signal": 9}, {"exit": 1}][list(_DEATHS).index(name) % 2]
    dying = [{"console": "the last line\r\n"}, {"link": "x"}, how]
    ran = stage.run(script(steps + dying) if when == "steps" else {"before": dying})
    ran.ended(EndKind.QEMU_DIED, phase, epoch)
    assert ran.end.qemu_exit == (-9 if "signal" in how else 1)
    if phase is not P.START:  # the guest does not run yet: nothing of it is looked at
        assert ran.end.last_line == "the last line"
    assert ran.console.endswith("the last line\r\n")
    assert (ran.verdict.status, ran.verdict.cause) == (Status.ERROR, Cause.QEMU_DIED)


def test_qemu_dies_while_memory_is_read(stage: Stage) -> None:
    plan, phases = _watched(stage)
    ran = stage.run(script(*phases, die_at="pmemsave"), plan)
    ran.ended(EndKind.QEMU_DIED, P.AGENT, 0)
    assert ran.end.qemu_exit == -9
    assert ran.verdict.cause is Cause.QEMU_DIED


def test_qemu_refuses_to_give_memory(stage: Stage) -> None:
    plan, phases = _watched(stage)
    ran = stage.run(script(*phases, refuse={"pmemsave": "No space left on device"}), plan)
    ran.ended(EndKind.HOST, P.AGENT, 0)
    assert "No space left on device" in ran.end.detail
    assert ran.verdict.cause is Cause.HOST


def _watched(stage: Stage) -> tuple[Plan, list[guest.Steps]]:
    """A run in which memory is read at the hand-off."""
    plan = stage.plan(scenario(expect=[{"table_intact": "esrt"}], firmware={"tables": [{"esrt": {"below": 2**29}}]}))
    phases = guest.whole_run()
    phases[1] = guest.agent(table_bytes=len(plan.tables[0].content_hex) // 2)
    return plan, phases


def test_qemu_that_does_not_start_says_why(stage: Stage) -> None:
    ran = stage.run({"stderr": "qemu-system-x86_64: -device rubbish: no such device\n", "exit": 1})
    ran.ended(EndKind.QEMU_DIED, P.START, 0)
    assert "no such device" in ran.end.detail
    assert ran.end.qemu_exit == 1


def test_qemu_that_hangs_at_the_start(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = stage.run({"steps": [], "refuse": {"cont": "no"}})
    ran.ended(EndKind.HOST, P.START, 0)
    assert ran.end.detail == "QMP cont: QEMU refused it: no"


def test_garbage_and_foreign_frames_do_not_count(stage: Stage) -> None:
    noise = [
        {"link": "\x1b[2J\x00\xffgarbage\n@HL1 1a2b3c4d 1 hello - 00000000\n@HL1"},
        {"cut_frame": "hello"},
        {"frame": "hello", "nonce": "deadbeef", "fields": {"epoch": "1", "release": "another run's"}},
        {"frame": "up", "nonce": "deadbeef"},
        {"frame": "error", "nonce": "deadbeef", "fields": {"what": "another run's"}},
    ]
    phases = guest.whole_run()
    phases[2] = [*phases[2], *noise]
    ran = stage.run(script(*phases))
    ran.ended(EndKind.COMPLETE, P.OFF, 2)
    assert ran.verdict.status is Status.PASS
    assert [entry.fields["release"] for entry in ran.entries if entry.type == "frame" and entry.kind == "hello"] == [
        RELEASE,
        RELEASE,
    ]


def test_only_frames_of_another_run_is_silence(stage: Stage) -> None:
    ran = stage.run(script(*guest.whole_run(), nonce="deadbeef"), stage.plan(budgets=HASTY))
    ran.ended(EndKind.TIMEOUT, P.AGENT, 0)


def test_the_old_kernel_again(stage: Stage) -> None:
    phases = guest.whole_run()
    phases[7] = guest.up(2, boot_id="boot-1")
    ran = stage.run(script(*phases))
    ran.ended(EndKind.COMPLETE, P.OFF, 2)
    assert (ran.verdict.cause, ran.verdict.epoch) == (Cause.OLD_KERNEL, 2)
