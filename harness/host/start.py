"""Start firmware in a bare QEMU and wait for its first sign of life: for the accelerator probe and the calibration.

Which sign? A DEBUG build of OVMF writes to the debug console (port 0x402) from its SEC phase on. Debian's is a
RELEASE build: it writes nothing there (2022.11-6+deb12u2, watched for 8 s under TCG). What every build does is to set
the real time clock when its driver starts (edk2 PcAtChipsetPkg/PcatRealTimeClockRuntimeDxe, PcRtcInit), which QEMU
reports as the event RTC_CHANGE: in the DXE phase, after the firmware has unpacked itself.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness import clock
from harness.errors import HostError
from harness.model.plan import Accel, FirmwareFiles

_MEMORY = "512M"
_READ_BYTES = 65536


@dataclass(frozen=True)
class Start:
    """How one start of firmware ended."""

    alive: bool
    detail: str
    """What was seen, or why not, in one line."""
    elapsed_s: float
    cpu_s: float
    """Processor time QEMU had used by then: what the start costs, however busy the machine is."""
    certain: bool = True
    """False for silence, which a busy machine gives as well as a broken one."""


def start_argv(qemu: Path, accel: Accel, cpu: str, firmware: FirmwareFiles, *, debug_fd: int, qmp_fd: int) -> list[str]:
    """QEMU's command line for one start. The variable store is a throw-away copy (``snapshot=on``)."""
    smm = "on" if firmware.smm else "off"
    # As in a run: 32-bit OVMF never comes up without SMM.
    secure_flash = ("-global", "driver=cfi.pflash01,property=secure,value=on") if firmware.smm else ()
    # fmt: off
    return [
        str(qemu), "-name", "harness-probe", "-no-user-config", "-nodefaults", "-display", "none", "-no-reboot",
        "-machine", f"q35,smm={smm}", *secure_flash, "-accel", accel.value, "-cpu", cpu, "-m", _MEMORY,
        "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={_comma(firmware.code)}",
        "-drive", f"if=pflash,unit=1,format=raw,snapshot=on,file={_comma(firmware.vars_template)}",
        "-chardev", f"socket,id=debug,fd={debug_fd}", "-device", "isa-debugcon,iobase=0x402,chardev=debug",
        "-chardev", f"socket,id=qmp,fd={qmp_fd}", "-mon", "chardev=qmp,mode=control",
    ]
    # fmt: on


def failure_line(stderr: str) -> str:
    """The line of QEMU's messages that says what went wrong: not a warning, without the program's name."""
    for line in stderr.splitlines():
        text = (line.partition("qemu-system-x86_64: ")[2] or line).removeprefix("error: ")
        if text.strip() and not text.startswith("warning:"):
            return text.strip()
    return ""


def start_firmware(
    qemu: Path,
    accel: Accel,
    cpu: str,
    firmware: FirmwareFiles,
    *,
    timeout_s: float,
    rtc_only: bool = False,
    setpriv: Path | None = None,
) -> Start:
    """Start ``firmware`` and wait at most ``timeout_s`` seconds for a sign of life; QEMU has ended when this returns.

    ``rtc_only`` waits for RTC_CHANGE alone, so that two starts measure the same stretch of work.

    Raises:
        HostError: the program could not be started at all.
    """
    debug, debug_far = socket.socketpair()
    qmp, qmp_far = socket.socketpair()
    with debug, debug_far, qmp, qmp_far:
        argv = start_argv(qemu, accel, cpu, firmware, debug_fd=debug_far.fileno(), qmp_fd=qmp_far.fileno())
        if setpriv is not None:
            argv = [str(setpriv), "--pdeathsig", "KILL", *argv]
        begin_s = clock.now_s()
        with _running(argv, (debug_far.fileno(), qmp_far.fileno())) as process:
            debug_far.close()
            qmp_far.close()
            watch = _Watch(process, debug, qmp, rtc_only=rtc_only)
            sign = watch.wait(clock.Deadline(begin_s + timeout_s))
            elapsed_s, cpu_s = clock.now_s() - begin_s, _cpu_s(process.pid)
            return watch.result(sign, elapsed_s, cpu_s)


@contextmanager
def _running(argv: Sequence[str], fds: tuple[int, ...]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        process = subprocess.Popen(
            argv,
            pass_fds=fds,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise HostError(f"{argv[0]} does not start: {error.strerror}", hint="harness doctor") from error
    with process:
        try:
            yield process
        finally:
            process.kill()


class _Watch:
    """Reads debug console, QMP and messages of one QEMU until one of them decides."""

    def __init__(
        self, process: subprocess.Popen[bytes], debug: socket.socket, qmp: socket.socket, *, rtc_only: bool
    ) -> None:
        self._process = process
        self._debug = debug
        self._qmp = qmp
        self._rtc_only = rtc_only
        self._lines = b""
        self._messages = b""
        self._stopped = False

    def wait(self, deadline: clock.Deadline) -> str:
        """What showed that the firmware lives, or an empty string when it stopped, QEMU ended or time is up."""
        assert self._process.stderr is not None  # noqa: S101 - PIPE was asked for
        stderr = self._process.stderr.fileno()
        live = {self._debug.fileno(), self._qmp.fileno(), stderr}
        _send(self._qmp, "qmp_capabilities")
        # QEMU's end closes both sockets, so there is no need to ask whether it still runs.
        while {self._debug.fileno(), self._qmp.fileno()} & live and not deadline.expired:
            for fd in select.select(live, (), (), deadline.remaining_s)[0]:
                data = _read(fd)
                if not data:
                    live.discard(fd)
                elif fd == stderr:
                    self._messages += data
                elif sign := self._sign(fd, data):
                    return sign
            if self._stopped:
                return ""
        return ""

    def _sign(self, fd: int, data: bytes) -> str:
        if fd == self._debug.fileno():
            return "" if self._rtc_only else "first byte on the debug console"
        *lines, self._lines = (self._lines + data).split(b"\n")
        events = [json.loads(line).get("event") for line in lines if line.strip()]
        self._stopped |= "STOP" in events
        return "the firmware set the clock" if "RTC_CHANGE" in events else ""

    def result(self, sign: str, elapsed_s: float, cpu_s: float) -> Start:
        """The end of the start; kills QEMU to have its last messages."""
        ended = self._process.poll()
        if ended is None and not self._stopped and not sign and _hung_up(self._qmp):
            ended = self._process.wait()
        self._process.kill()
        assert self._process.stderr is not None  # noqa: S101 - PIPE was asked for
        self._messages += self._process.stderr.read()
        why = failure_line(self._messages.decode("utf-8", "replace"))
        if sign:
            return Start(True, f"{sign} after {elapsed_s:.2f} s", elapsed_s, cpu_s)
        if self._stopped:
            detail = f"the virtual CPU stopped after {elapsed_s:.2f} s: {why or 'QEMU gave no reason'}"
            return Start(False, detail, elapsed_s, cpu_s)
        if ended is not None:
            detail = f"QEMU ended with status {ended}: {why or 'it gave no reason'}"
            return Start(False, detail, elapsed_s, cpu_s)
        detail = f"no sign of life within {elapsed_s:.1f} s" + (f": {why}" if why else "")
        return Start(False, detail, elapsed_s, cpu_s, certain=False)


def _send(qmp: socket.socket, command: str) -> None:
    try:
        qmp.sendall(json.dumps({"execute": command}).encode() + b"\n")
    except (BrokenPipeError, ConnectionResetError):
        return  # QEMU is gone already; its messages say why


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, _READ_BYTES)
    except ConnectionResetError:
        return b""  # QEMU died with something unread: an end like any other


def _hung_up(qmp: socket.socket) -> bool:
    poll = select.poll()
    poll.register(qmp, select.POLLHUP)
    return bool(poll.poll(0))


def _cpu_s(pid: int) -> float:
    """User and system time of all threads of a process that was not waited for yet (proc(5), stat fields 14 and 15)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _comma(path: Path) -> str:
    """A path inside a QEMU option: commas are doubled."""
    return str(path).replace(",", ",,")
