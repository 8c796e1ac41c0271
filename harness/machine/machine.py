"""The virtual machine, composed: process, TPM, QMP, console, link, memory and the feed they push to."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.errors import QemuError
from harness.machine.console import Console
from harness.machine.feed import Feed
from harness.machine.happenings import ended_how
from harness.machine.link import Link
from harness.machine.memory import Memory
from harness.machine.process import Process
from harness.machine.qmp import Qmp
from harness.machine.tpm import LOG, Tpm
from harness.model.plan import TPM_CHARDEV

SOCKET_PATH_BYTES = 107
"""sun_path of a Unix socket has 108 bytes, the last one NUL (unix(7))."""
LAST_WORDS_S = 1.0
"""How long QEMU may take to end, and to be asked why, after it closed QMP while starting."""


@dataclass(frozen=True)
class Machine:
    """A running machine; made by ``start``, gone when its block is left."""

    directory: Path
    feed: Feed
    process: Process
    qmp: Qmp
    console: Console
    link: Link
    memory: Memory
    tpm: Tpm | None = None
    notes: tuple[str, ...] = ()
    """What could not be set up but does no harm."""

    @classmethod
    @contextmanager
    def start(
        cls,
        argv: Sequence[str],
        directory: Path,
        feed: Feed | None = None,
        *,
        nonce: str,
        patterns: Mapping[str, str] | None = None,
        swtpm: Path | None = None,
        start_timeout_s: float = 20.0,
    ) -> Iterator[Machine]:
        """Start QEMU with ``argv`` and yield the running machine::

            feed = Feed(record=journal.happening)
            with Machine.start(argv, run_dir, feed, nonce=nonce, patterns={"panic": r"Kernel panic - .*"}) as machine:
                outcome = feed.wait(success, failure, Deadline.after(30), since=0)

        Ports, debug console, QMP, QEMU's log and ``-S`` are added to ``argv``. QEMU starts stopped; it is continued
        when QMP is connected and all ports are drained, so a wait from cursor 0 of a new feed misses nothing. However
        the block is left, QEMU is gone and reaped, threads are joined and logs are closed. The feed's ``record`` may be
        called up to then. With ``swtpm`` there is a TPM behind the chardev ``tpm``. Call this from a thread that lives
        as long as the block (see Process.start).

        Raises:
            QemuError: QEMU or swtpm is missing, ends at once (its argv and stderr are in the error), or QEMU does not
                speak QMP.
            HostError: a file of the run directory cannot be written.
            InputError: a pattern is no regular expression.
            Interrupted: the user asked to stop while it started.
        """
        feed = feed or Feed()
        directory = directory.resolve()
        with ExitStack() as stack:
            console = Console(feed, directory, patterns)
            stack.callback(console.stop)
            link = Link(feed, directory, nonce)
            stack.callback(link.port.close)
            qmp = Qmp(feed, directory / "qmp.jsonl")
            stack.callback(qmp.close)
            tpm = stack.enter_context(Tpm.start(swtpm, directory, feed)) if swtpm else None
            ours = {"com1": console.port.theirs, "com2": link.port.theirs, "qmp": qmp.theirs}
            ours |= {TPM_CHARDEV: tpm.theirs} if tpm else {}
            fds = {name: end.fileno() for name, end in ours.items()}
            people, notes = _people_socket(directory)
            full_argv = (*argv, "-S", "-D", str(directory / "qemu.log"), *_ports(fds, directory), *people)
            process = Process.start(full_argv, directory / "qemu.stderr", feed, tuple(fds.values()))
            stack.callback(process.stop)
            for end in ours.values():
                end.close()  # QEMU has its own copy; ours would hide its end
            console.start()
            link.port.start()
            try:
                qmp.connect(start_timeout_s)
                qmp.execute("cont", timeout_s=start_timeout_s)
            except QemuError as error:
                raise _start_failed(process, tpm, error) from error
            yield cls(directory, feed, process, qmp, console, link, Memory(qmp, directory), tpm, notes)


def _ports(fds: Mapping[str, int], directory: Path) -> tuple[str, ...]:
    """The arguments for console, link, QMP, the TPM's socket and OVMF's debug console (port 0x402)."""
    tpm = ("-chardev", f"socket,id={TPM_CHARDEV},fd={fds[TPM_CHARDEV]}") if TPM_CHARDEV in fds else ()
    return (
        *tpm,
        *("-chardev", f"socket,id=com1,fd={fds['com1']}", "-serial", "chardev:com1"),
        *("-chardev", f"socket,id=com2,fd={fds['com2']}", "-serial", "chardev:com2"),
        *("-chardev", f"socket,id=qmp,fd={fds['qmp']}", "-mon", "chardev=qmp,mode=control"),
        *("-chardev", f"file,id=fwlog,path={_escape(directory / 'debugcon.log')}"),
        *("-device", "isa-debugcon,iobase=0x402,chardev=fwlog"),
    )


def _people_socket(directory: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Arguments for a second QMP socket in the run directory, for people and debuggers, or a note why there is none."""
    path = directory / "qmp.sock"
    if len(os.fsencode(path)) > SOCKET_PATH_BYTES:
        return (), (f"no qmp.sock: its path would be longer than {SOCKET_PATH_BYTES} bytes; the run is not affected",)
    return ("-qmp", f"unix:{_escape(path)},server=on,wait=off"), ()


def _escape(path: Path) -> str:
    """A path inside a QEMU option, where a comma is written twice."""
    return str(path).replace(",", ",,")


def _start_failed(process: Process, tpm: Tpm | None, error: QemuError) -> QemuError:
    """The reason why QEMU did not start, from its own mouth if it ended, or from that of swtpm."""
    status = process.wait(LAST_WORDS_S)
    if tpm is not None and tpm.process.status:  # 0: it ended because QEMU did
        return _ended(tpm.process, f"swtpm ended {ended_how(tpm.process.status)} while QEMU started", LOG)
    if status is None:
        return QemuError(error.message, argv=process.argv, output=process.errors(), hint=error.hint)
    return _ended(process, f"QEMU ended {ended_how(status)} while it started", "qemu.stderr", status)


def _ended(process: Process, how: str, log: str, status: int | None = None) -> QemuError:
    output = process.errors()
    return QemuError(
        f"{how}: {output.splitlines()[-1] if output else 'it said nothing'}",
        argv=process.argv,
        output=output,
        hint=f"{log} in the run directory has all it said",
        status=status,
    )
