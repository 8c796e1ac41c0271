"""Starting firmware, with a fake QEMU: a script that is given the two sockets and plays one way a start can go."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from harness import clock
from harness.errors import HostError
from harness.host.start import Start, failure_line, start_argv, start_firmware
from harness.model.plan import Accel, FirmwareFiles

PROLOGUE = f"""#!{sys.executable}
import os, re, signal, socket, sys, time
args = " ".join(sys.argv)
debug, qmp = (socket.socket(fileno=int(re.search(f"id={{name}},fd=([0-9]+)", args)[1])) for name in ("debug", "qmp"))
def event(name):
    qmp.sendall(b'{{"event": "' + name + b'"}}\\r\\n')
def say(text):
    sys.stderr.write(text + "\\n"); sys.stderr.flush()
qmp.sendall(b'{{"QMP": {{"version": {{}}}}}}\\r\\n')
"""


def start(
    tmp_path: Path, firmware: FirmwareFiles, play: str, *, timeout_s: float = 10, rtc_only: bool = False
) -> Start:
    qemu = tmp_path / "qemu-system-x86_64"
    qemu.write_text(PROLOGUE + play)
    qemu.chmod(0o755)
    return start_firmware(qemu, Accel.KVM, "host", firmware, timeout_s=timeout_s, rtc_only=rtc_only)


def test_byte_on_the_debug_console_is_life(tmp_path: Path, firmware: FirmwareFiles) -> None:
    seen = start(tmp_path, firmware, "debug.sendall(b'S'); time.sleep(60)")
    assert seen.alive
    assert seen.detail.startswith("first byte on the debug console after")


def test_clock_is_life(tmp_path: Path, firmware: FirmwareFiles) -> None:
    seen = start(tmp_path, firmware, "event(b'RTC_CHANGE'); time.sleep(60)")
    assert seen.alive
    assert seen.elapsed_s < 10


def test_event_in_two_pieces_is_read_whole(tmp_path: Path, firmware: FirmwareFiles) -> None:
    play = "qmp.sendall(b'{\"event\": \"RTC_'); time.sleep(0.05); qmp.sendall(b'CHANGE\"}\\n'); time.sleep(60)"
    assert start(tmp_path, firmware, play).alive


def test_calibration_waits_for_the_clock_alone(tmp_path: Path, firmware: FirmwareFiles) -> None:
    play = "debug.sendall(b'SecCore'); time.sleep(0.1); event(b'RTC_CHANGE'); time.sleep(60)"
    seen = start(tmp_path, firmware, play, rtc_only=True)
    assert "set the clock" in seen.detail


def test_stop_is_death_with_qemus_own_words(tmp_path: Path, firmware: FirmwareFiles) -> None:
    play = (
        "say('qemu-system-x86_64: warning: no feature'); say('KVM internal error. Suberror: 1\\nextra data[0]: 0x1')\n"
    )
    seen = start(tmp_path, firmware, play + "event(b'STOP'); time.sleep(60)")
    assert (seen.alive, seen.certain) == (False, True)
    assert seen.detail.startswith("the virtual CPU stopped")
    assert seen.detail.endswith("KVM internal error. Suberror: 1")


def test_exit_is_death_with_status_and_message(tmp_path: Path, firmware: FirmwareFiles) -> None:
    seen = start(tmp_path, firmware, "say('qemu-system-x86_64: -accel kvm: not allowed'); sys.exit(1)")
    assert (seen.alive, seen.certain) == (False, True)
    assert seen.detail == "QEMU ended with status 1: -accel kvm: not allowed"


def test_signal_is_death(tmp_path: Path, firmware: FirmwareFiles) -> None:
    seen = start(tmp_path, firmware, "os.kill(os.getpid(), signal.SIGABRT)")
    assert seen.detail == "QEMU ended with status -6: it gave no reason"


def test_silence_ends_at_the_deadline_and_is_not_certain(tmp_path: Path, firmware: FirmwareFiles) -> None:
    begin_s = clock.now_s()
    seen = start(tmp_path, firmware, "time.sleep(60)", timeout_s=0.4)
    assert (seen.alive, seen.certain) == (False, False)
    assert 0.4 <= clock.now_s() - begin_s < 5


def test_qemu_has_ended_afterwards(tmp_path: Path, firmware: FirmwareFiles) -> None:
    pid_file = tmp_path / "pid"
    start(
        tmp_path,
        firmware,
        f"open({str(pid_file)!r}, 'w').write(str(os.getpid())); event(b'RTC_CHANGE'); time.sleep(60)",
    )
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


def test_work_is_counted_in_processor_time(tmp_path: Path, firmware: FirmwareFiles) -> None:
    busy = (
        "end = time.process_time() + 0.3\nwhile time.process_time() < end: pass\nevent(b'RTC_CHANGE'); time.sleep(60)"
    )
    idle = "time.sleep(0.3); event(b'RTC_CHANGE'); time.sleep(60)"
    assert start(tmp_path, firmware, busy).cpu_s >= 0.3
    assert start(tmp_path, firmware, idle).cpu_s < 0.25


def test_program_that_cannot_be_started(tmp_path: Path, firmware: FirmwareFiles) -> None:
    with pytest.raises(HostError, match="does not start: No such file"):
        start_firmware(tmp_path / "none", Accel.TCG, "max", firmware, timeout_s=1)


def test_commas_in_paths_are_doubled(firmware: FirmwareFiles) -> None:
    argv = start_argv(Path("q"), Accel.TCG, "max", firmware, debug_fd=5, qmp_fd=6)
    assert any(word.endswith("code,,1.fd") for word in argv)


def test_smm_where_the_firmware_needs_it(firmware: FirmwareFiles) -> None:
    plain = start_argv(Path("q"), Accel.TCG, "max", firmware, debug_fd=5, qmp_fd=6)
    assert "q35,smm=off" in plain
    assert not any("secure" in word for word in plain)
    needs = firmware.model_copy(update={"smm": True})
    argv = start_argv(Path("q"), Accel.TCG, "max", needs, debug_fd=5, qmp_fd=6)
    assert argv[argv.index("-machine") + 1] == "q35,smm=on"
    assert argv[argv.index("-global") + 1] == "driver=cfi.pflash01,property=secure,value=on"


@pytest.mark.parametrize(
    ("stderr", "line"),
    [
        ("", ""),
        ("qemu-system-x86_64: warning: x\n", ""),
        ("qemu-system-x86_64: error: failed to set MSR 0x10a to 0x69\nmore\n", "failed to set MSR 0x10a to 0x69"),
        ("/usr/bin/qemu-system-x86_64: cannot open\n", "cannot open"),
        ("\n\nKVM internal error. Suberror: 1\n", "KVM internal error. Suberror: 1"),
    ],
)
def test_line_that_says_what_went_wrong(stderr: str, line: str) -> None:
    assert failure_line(stderr) == line
