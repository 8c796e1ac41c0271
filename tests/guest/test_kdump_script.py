"""The guest's part of a kdump, run by the host's busybox."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.guest.tools import FILES
from harness.machine.frame import Frame, encode

from .shell import NONCE, Shell, running
from .test_scripts import LOAD, put

OBEY = "while :; do link_receive; obey $kind; done"
VMCORE = bytes(range(256)) * 4096
TASK = f"hX{NONCE}"


@contextmanager
def guest(tmp_path: Path, script: str = "") -> Iterator[Shell]:
    """The guest's commands on made-up files below /proc and /sys."""
    put(tmp_path / "sys/block/vda", {"serial": "kernel1\n"})
    put(tmp_path / "sys/block/vdb", {"serial": "initrd1\n"})
    put(tmp_path / "sys/block/vdc", {"serial": "vmcore\n"})
    put(tmp_path / "sys/kernel", {"kexec_crash_loaded": "1\n", "kexec_crash_size": "201326592\n", "notes": b"N\0otes"})
    put(tmp_path / "sys/devices/system/cpu", {"online": "0-1\n"})
    put(tmp_path / "disks", {"vda": b"K" * 1024, "vdb": b"I" * 1536, "vdc": b"\xff" * 4096})
    names = ("sysrq", "panic_on_oops", "panic_on_warn", "unknown_nmi_panic")
    put(tmp_path / "proc/sys/kernel", dict.fromkeys(names, "0\n"))
    put(tmp_path / "proc", {"sysrq-trigger": "", "vmcore": VMCORE, "uptime": "1.00 0.50\n"})
    for program in (tmp_path / "bin").glob("*"):
        program.chmod(0o755)
    prelude = f"""
    . {FILES}/kdump.sh
    proc={tmp_path}/proc kdump_tick=0.1
    ln -s /proc/$$ $proc/$$
    next={tmp_path}/next dev={tmp_path}/disks kmsg={tmp_path}/kmsg
    show_placement() {{ :; }}
    dmesg() {{ cat {tmp_path}/kmsg; }}
    command() {{ [ -x {tmp_path}/bin/$2 ]; }}
    """
    with running(
        prelude + script + OBEY, tmp_path, sys=tmp_path / "sys", path=f"{tmp_path}/bin:/usr/bin:/bin"
    ) as shell:
        yield shell


def ask(shell: Shell, kind: str, **fields: str) -> None:
    shell.send(encode(Frame(NONCE, 1, kind, fields)))


@pytest.mark.parametrize(("syscall", "first"), [("file", "hkexec|crash-file|"), ("load", "kexec|-d|-c|-p|")])
def test_the_capture_kernel_is_loaded_as_one(tmp_path: Path, syscall: str, first: str) -> None:
    record = "#!/bin/sh\nprintf '%s|' ${0##*/} \"$@\"\n"
    put(tmp_path / "bin", {"hkexec": record, "kexec": record})
    with guest(tmp_path) as shell:
        ask(shell, "load-crash", **{**LOAD, "syscall": syscall})
        _, loaded, kernel, notes, ready = shell.frames(5)
        assert loaded.body.decode().startswith(first)
        assert (kernel.fields["name"], notes.fields["name"], ready.kind) == (
            "crash-kernel",
            "kernel-notes",
            "crash-ready",
        )
        assert kernel.body == b"kexec_crash_loaded=1\nkexec_crash_size=201326592\ncpus_online=0-1\n"
        assert notes.body == b"N\0otes"
        ask(shell, "load", **{**LOAD, "syscall": syscall})
        _, plain = shell.frames(2)
    assert plain.body.decode().startswith("hkexec|file|" if syscall == "file" else "kexec|-d|-c|-l|")


@pytest.mark.parametrize(
    ("by", "settings"),
    [
        ("sysrq", {"sysrq": "1", "panic_on_oops": "1", "panic_on_warn": "0"}),
        ("panic-on-warn", {"panic_on_warn": "1"}),
    ],
)
def test_a_trigger_without_effect_is_an_error(tmp_path: Path, by: str, settings: dict[str, str]) -> None:
    with guest(tmp_path) as shell:
        ask(shell, "crash", by=by, task=TASK)
        (crashing,) = shell.frames(1)
        if by == "sysrq":
            assert (tmp_path / "proc/sysrq-trigger").read_text() == ""
        ask(shell, "crash-now")
        (error,) = shell.frames(1)
    assert crashing.kind == "crashing"
    assert error.fields["what"] == f"crash: {by} had no effect"
    for name, value in settings.items():
        assert (tmp_path / "proc/sys/kernel" / name).read_text() == f"{value}\n"
    if by == "sysrq":
        assert (tmp_path / "proc/sysrq-trigger").read_text() == "c\n"


@pytest.mark.parametrize("by", ["nmi", "sysrq-in-irq"])
def test_a_trigger_from_outside_is_waited_for_by_the_task_itself(tmp_path: Path, by: str) -> None:
    with guest(tmp_path) as shell:
        ask(shell, "crash", by=by, task=TASK)
        (crashing,) = shell.frames(1)
        (shown,) = tmp_path.glob("proc/[0-9]*")
        assert (shown / "comm").read_text().strip() == TASK
    assert crashing.kind == "crashing"
    assert (tmp_path / "proc/sys/kernel/unknown_nmi_panic").read_text() == ("1\n" if by == "nmi" else "0\n")


def test_an_unknown_trigger(tmp_path: Path) -> None:
    with guest(tmp_path) as shell:
        ask(shell, "crash", by="prayer", task=TASK)
        ask(shell, "crash-now")
        _, error = shell.frames(2)
    assert error.fields["what"] == "crash: unknown trigger prayer"


def test_nothing_is_crashed_without_the_word(tmp_path: Path) -> None:
    with guest(tmp_path) as shell:
        ask(shell, "crash", by="sysrq", task=TASK)
        ask(shell, "exec")
        _, error = shell.frames(2)
    assert error.fields["what"] == "crash: exec instead of crash-now"
    assert (tmp_path / "proc/sysrq-trigger").read_text() == ""


def collect(shell: Shell, last: str) -> dict[str, Frame]:
    """Frames up to one of this kind, by kind or name."""
    found: dict[str, Frame] = {}
    while last not in found:
        (frame,) = shell.frames(1)
        found[frame.fields.get("name", frame.kind)] = frame
    return found


def test_a_raw_capture(tmp_path: Path) -> None:
    with guest(tmp_path) as shell:
        ask(shell, "capture", filter="raw", disk="vmcore")
        found = collect(shell, "captured")
    assert found["kdump"].body.startswith(f"vmcore_size={len(VMCORE)}\n".encode())
    assert found["captured"].fields == {"rc": "0", "filter": "raw", "bytes": str(len(VMCORE))}
    assert (tmp_path / "disks/vdc").read_bytes() == VMCORE


def test_a_filtered_capture_with_progress(tmp_path: Path) -> None:
    tool = """#!/bin/sh
    case $1 in
    --dump-dmesg) echo "[    1.0] last words" >"$3" ;;
    *) echo "$*" >&2; printf half; sleep 0.5; printf whole; exit 0 ;;
    esac
    """
    put(tmp_path / "bin", {"makedumpfile": tool})
    with guest(tmp_path) as shell:
        ask(shell, "capture", filter="31", disk="vmcore")
        found = collect(shell, "captured")
    assert found["vmcore-dmesg"].body == b"[    1.0] last words\n"
    assert found["progress"].fields == {"bytes": "4"}
    assert found["captured"].fields == {"rc": "0", "filter": "31", "bytes": "9"}
    assert "-F -c -d 31" in found["captured"].body.decode()
    assert (tmp_path / "disks/vdc").read_bytes() == b"halfwhole"


def test_a_copy_that_fails_says_so(tmp_path: Path) -> None:
    put(tmp_path / "bin", {"makedumpfile": "#!/bin/sh\necho cannot >&2\nexit 7\n"})
    with guest(tmp_path) as shell:
        ask(shell, "capture", filter="1", disk="vmcore")
        found = collect(shell, "captured")
    assert found["captured"].fields["rc"] == "7"
    assert found["captured"].body == b"cannot\n"
    assert found["vmcore-dmesg-failed"].body == b"cannot\n"


def test_no_vmcore_is_an_error(tmp_path: Path) -> None:
    with guest(tmp_path, "rm $proc/vmcore\n") as shell:
        ask(shell, "capture", filter="raw", disk="vmcore")
        found = collect(shell, "error")
    assert found["kdump"].body.startswith(b"vmcore_size=absent\n")
    assert found["error"].fields["what"] == "capture: there is no /proc/vmcore"


def test_no_disk_is_an_error(tmp_path: Path) -> None:
    with guest(tmp_path) as shell:
        ask(shell, "capture", filter="raw", disk="other")
        (error,) = shell.frames(1)
    assert error.fields["what"] == "load: no disk with serial other"
