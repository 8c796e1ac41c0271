"""The guest's calls of firmware: scripts under the host's busybox, the C helper on the host itself."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from support.driver_commands import command_data

from harness.guest.tools import FILES, HELPER_FLAGS, build_helper, find_tools
from harness.machine.frame import Frame, encode
from harness.model.words.driver import Fault, Service

from .shell import NONCE, running

OBEY = f". {FILES}/pagetables.sh\n. {FILES}/runtime.sh\nwhile :; do link_receive; obey $kind; done"
COMMAND = {"call": "set-variable", "wait_s": "5"}


@pytest.fixture(scope="module")
def helper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_helper(find_tools(), tmp_path_factory.mktemp("helper"), "hruntime")


@pytest.fixture
def guest(tmp_path: Path, helper: Path) -> Guest:
    return Guest(tmp_path, helper)


class Guest:
    """A /sys, a /proc and a /dev for the script."""

    def __init__(self, tmp_path: Path, helper: Path) -> None:
        self.path = tmp_path
        self.variables = tmp_path / "sys/firmware/efi/efivars"
        self.variables.mkdir(parents=True)
        (tmp_path / "sys/firmware/efi/fw_platform_size").write_text("64\n")
        for name in ("proc", "dev", "bin"):
            (tmp_path / name).mkdir()
        self.mounted("efivarfs")
        (tmp_path / "bin/hruntime").symlink_to(helper)
        # Functions, because busybox takes its own applets before what is on PATH: the host's machine is not ours.
        self.functions = {"dmesg": 'cat "$kmsg"', "reboot": "false"}

    def mounted(self, kind: str) -> None:
        (self.path / "proc/mounts").write_text(f"none {self.variables} {kind} rw 0 0\n")

    def tool(self, name: str, text: str) -> None:
        """A program in the place of the guest's."""
        file = self.path / "bin" / name
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)

    def disk(self, name: str, serial: str, content: bytes) -> None:
        (self.path / "sys/block" / name).mkdir(parents=True)
        (self.path / "sys/block" / name / "serial").write_text(serial)
        (self.path / "dev" / name).write_bytes(content)

    def process(self, pid: int, name: str, state: str) -> None:
        (self.path / "proc" / str(pid)).mkdir()
        (self.path / "proc" / str(pid) / "stat").write_text(f"{pid} ({name}) {state} 1 1 0\n")

    def answer(self, kind: str, fields: dict[str, str]) -> Frame:
        script = "".join(f"{name}() {{ {text}; }}\n" for name, text in self.functions.items())
        script += f"proc={self.path}/proc dev={self.path}/dev kmsg={self.path}/kmsg efi_test={self.path}/dev/efi_test\n"
        path = f"{self.path}/bin:{os.environ['PATH']}"
        # commands.sh sets dev and kmsg, so they are set behind it.
        with running(script + OBEY, self.path, sys=self.path / "sys", path=path) as shell:
            shell.send(encode(Frame(NONCE, 1, kind, fields)))
            (frame,) = shell.frames(1)
        return frame

    def written(self) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in self.variables.iterdir()}


def test_the_script_is_valid_shell() -> None:
    done = subprocess.run(["busybox", "sh", "-n", FILES / "runtime.sh"], capture_output=True, check=False, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("fault", [None, Fault.READ_CONVENTIONAL])
def test_set_variable_commits_its_fault_by_itself(guest: Guest, fault: Fault | None) -> None:
    frame = guest.answer("runtime", {**COMMAND, **({"fault": fault.value} if fault else {})})
    assert frame.kind == "called"
    said = [frame.fields[key] for key in ("runtime", "platform_size", "returned", "at", "errno")]
    assert said == ["present", "64", "yes", "write", "0"]
    ((name, data),) = guest.written().items()
    assert name.startswith("set-variable.c")
    assert data == command_data(fault or Fault.NONE)


def test_other_services_are_armed_first(guest: Guest) -> None:
    frame = guest.answer("runtime", {"call": "query-variable-info", "wait_s": "5", "fault": "read-conventional"})
    assert (frame.fields["arm_returned"], frame.fields["arm_errno"], frame.fields["errno"]) == ("yes", "0", "0")
    written = guest.written()
    (armed,) = (name for name in written if name.startswith(Service.QUERY_VARIABLE_INFO.value))
    (plain,) = (name for name in written if name.startswith("HarnessQuery"))
    assert written[armed] == command_data(Fault.READ_CONVENTIONAL)
    assert written[plain][:4] == b"\7\0\0\0"  # non-volatile, or the kernel would not ask for the room


def test_a_fault_that_cannot_be_armed_is_not_called(guest: Guest) -> None:
    guest.variables.rmdir()
    frame = guest.answer("runtime", {"call": "query-variable-info", "wait_s": "5", "fault": "read-conventional"})
    assert (frame.fields["arm_errno"], frame.fields.get("returned")) == ("2", None)


def test_a_write_that_fails_gives_its_errno(guest: Guest) -> None:
    guest.variables.rmdir()
    frame = guest.answer("runtime", COMMAND)
    assert (frame.fields["at"], frame.fields["errno"]) == ("open", "2")


def test_the_kernels_new_messages_come_with_it(guest: Guest) -> None:
    (guest.path / "kmsg").write_text("before\n")
    guest.functions["dmesg"] = 'cat "$kmsg"; echo "[    1.000000] efi: new"'
    frame = guest.answer("runtime", COMMAND)
    assert frame.body == b"[    1.000000] efi: new\n"


@pytest.mark.parametrize(
    ("command", "fields", "kind"),
    [("runtime", COMMAND, "called"), ("efivars", {"round_trips": "3", "wait_s": "5"}, "efivars")],
)
def test_a_kernel_without_efi_variables_says_so(guest: Guest, command: str, fields: dict[str, str], kind: str) -> None:
    guest.mounted("tmpfs")
    frame = guest.answer(command, fields)
    assert (frame.kind, frame.fields, guest.written()) == (kind, {"runtime": "absent"}, {})


def test_get_time_needs_efi_test(guest: Guest) -> None:
    frame = guest.answer("runtime", {"call": "get-time", "wait_s": "5"})
    assert (frame.fields["efi_test"], frame.fields.get("returned")) == ("absent", None)


def test_round_trips_are_counted(guest: Guest) -> None:
    frame = guest.answer("efivars", {"round_trips": "7", "wait_s": "5"})
    assert (frame.kind, frame.fields["done"], frame.fields["errno"]) == ("efivars", "7", "0")
    assert frame.fields["platform_size"] == "64"


def test_an_unknown_call_is_an_error(guest: Guest) -> None:
    frame = guest.answer("runtime", {"call": "get-variable", "wait_s": "5"})
    assert (frame.kind, frame.fields["what"]) == ("error", "runtime: unknown call get-variable")


def test_alive_reads_the_disk_past_the_cache(guest: Guest) -> None:
    guest.disk("vda", "kernel0", bytes(range(256)) * 32)
    guest.process(1, "init", "S")
    guest.process(7, "kworker/0:1 (x)", "I")
    frame = guest.answer("alive", {})
    assert (frame.kind, frame.fields["serial"], frame.fields["stuck"]) == ("alive", "kernel0", "")
    assert [frame.fields[part] for part in ("returned", "fork", "memory", "disk")] == ["yes", "0", "0", "0"]
    assert frame.body == bytes(range(256)) * 16


def test_tasks_that_are_stuck_are_named(guest: Guest) -> None:
    guest.disk("vda", "kernel0", bytes(8192))
    guest.process(31, "bad (task)", "D")
    assert guest.answer("alive", {}).fields["stuck"].split() == ["31", "(bad", "(task)),"]


def test_without_a_disk_alive_says_so(guest: Guest) -> None:
    assert guest.answer("alive", {}).fields["disk"] == "absent"


def test_a_disk_that_cannot_be_read_is_an_errno(guest: Guest) -> None:
    guest.disk("vda", "kernel0", b"")
    (guest.path / "dev/vda").unlink()
    frame = guest.answer("alive", {})
    assert (frame.fields["disk"], frame.body) == ("2", b"")


def test_reboot_says_so_first(guest: Guest) -> None:
    guest.tool("hkexec", "true")
    frame = guest.answer("reboot", {})
    assert (frame.kind, frame.fields) == ("rebooting", {"runtime": "present", "platform_size": "64"})


def test_reboot_arms_its_fault(guest: Guest) -> None:
    guest.tool("hkexec", "true")
    frame = guest.answer("reboot", {"fault": "loop"})
    assert frame.fields["arm_errno"] == "0"
    ((name, data),) = guest.written().items()
    assert (name.partition(".")[0], data) == ("reset-system", command_data(Fault.LOOP))


def test_reboot_without_efi_variables_arms_nothing_and_stays(guest: Guest) -> None:
    guest.functions["reboot"] = 'touch "$work/../rebooted"'
    guest.mounted("tmpfs")
    assert guest.answer("reboot", {"fault": "loop"}).fields == {"runtime": "absent"}
    assert not (guest.path / "rebooted").exists()


@pytest.mark.parametrize(("rc", "said"), [(8, "kexec_file_load flags=0x8: errno 8"), (0, "kexec_file_load: ok")])
def test_a_load_is_tried(guest: Guest, rc: int, said: str) -> None:
    guest.disk("vda", "kernel0", b"k" * 512)
    guest.disk("vdb", "initrd1", b"i" * 512)
    guest.tool("hkexec", f"echo '{said}'; exit {rc}")
    guest.tool("kexec", "exit 0")
    fields = {"syscall": "file", "kernel": "kernel0", "kernel_size": "512", "initrd": "initrd1", "initrd_size": "512"}
    frame = guest.answer("try-load", fields)
    assert (frame.kind, frame.fields) == ("tried", {"rc": str(rc), "syscall": "file", "said": said})


# The helper


def test_the_helper_compiles_without_a_warning(tmp_path: Path) -> None:
    flags = [*HELPER_FLAGS, "-Werror"]
    subprocess.run([find_tools().compiler, *flags, "-o", tmp_path / "out", FILES / "hruntime.c"], check=True)
    assert (tmp_path / "out").stat().st_size < 16384


def asked(helper: Path, *arguments: object) -> tuple[int, dict[str, str]]:
    done = subprocess.run([helper, *map(str, arguments)], capture_output=True, check=False, text=True, timeout=60)
    return done.returncode, dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def test_a_call_that_hangs_is_left_alone_and_described(helper: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "hangs")  # opened for writing, it waits for a reader
    status, said = asked(helper, 1, "write", tmp_path / "hangs", 6, "none")
    os.kill(int(said["pid"]), signal.SIGKILL)
    assert (status, said["returned"], said["at"], said["state"]) == (1, "no", "open", "S")
    assert 0 <= int(said["cpu"]) < (os.cpu_count() or 1)


def test_a_value_that_reads_back_otherwise_is_counted(helper: Path) -> None:
    status, said = asked(helper, 5, "round-trips", 3, "/dev/null")
    assert (status, said["returned"], said["done"], said["errno"]) == (0, "yes", "0", "1000")


def test_get_time_of_no_such_device_fails(helper: Path) -> None:
    assert asked(helper, 5, "get-time", "/dev/null")[1]["errno"] == "25"  # ENOTTY


@pytest.mark.parametrize(
    "arguments", [(), (5, "write", "x"), ("x", "get-time", "y"), (5, "loop", "x"), (5, "round-trips", "x", "y")]
)
def test_the_helper_explains_its_use(helper: Path, arguments: tuple[object, ...]) -> None:
    done = subprocess.run([helper, *map(str, arguments)], capture_output=True, check=False, text=True)
    assert (done.returncode, done.stdout.partition(" ")[0]) == (255, "usage:")
