"""The guest's shell scripts, run by the host's busybox: the same program that runs them in the guest."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.guest.tools import FILES
from harness.machine.frame import Frame, encode

from .shell import NONCE, running

OBEY = "while :; do link_receive; obey_log $kind; done"
ECHO = """
obey_log() { cp "$work/in" "$work/received"; link_send "$1" "$work/received"; }
"""


@pytest.mark.parametrize("name", ["init", "link.sh", "facts.sh", "commands.sh"])
def test_the_scripts_are_valid_shell(name: str) -> None:
    done = subprocess.run(["busybox", "sh", "-n", FILES / name], capture_output=True, check=False, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("body", [b"", b"\n", b"text\n", bytes(range(256)) * 20, b"no newline", b"\n\n\n"])
def test_a_frame_arrives_as_it_was_sent(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "body").write_bytes(body)
    with running(f"fact_file thing {tmp_path}/body; link_send up; read forever", tmp_path) as shell:
        fact, up = shell.frames(2)
    assert fact == Frame(NONCE, 1, "fact", {"name": "thing"}, body)
    assert up == Frame(NONCE, 2, "up")


def test_a_file_that_is_not_there_is_an_empty_fact(tmp_path: Path) -> None:
    with running(f"fact_file thing {tmp_path}/absent; read forever", tmp_path) as shell:
        assert shell.frames(1) == [Frame(NONCE, 1, "fact", {"name": "thing"})]


COMMANDS: list[Mapping[str, str]] = [
    {},
    {"syscall": "file", "cmdline": "console=ttyS0 a=b=c 'quoted' \"double\" $HOME `id` * \\n %s  two  spaces"},
    {"cmdline": "x" * 4000},
]


@pytest.mark.parametrize("fields", COMMANDS)
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_a_command_is_understood(tmp_path: Path, fields: Mapping[str, str], ending: bytes) -> None:
    with running(ECHO + OBEY, tmp_path) as shell:
        shell.send(encode(Frame(NONCE, 1, "load", fields)).replace(b"\n", ending))
        assert shell.frames(1) == [Frame(NONCE, 1, "load", fields)]


def test_a_field_is_found_by_its_whole_name(tmp_path: Path) -> None:
    script = """
    obey_log() {
        for name in kernel kernel_size none; do
            link_field $name; printf 'x=%s %s %s\\n' $name $? "$value" >"$work/answer"
            link_send answer "$work/answer"
        done
    }
    """
    with running(script + OBEY, tmp_path) as shell:
        shell.send(encode(Frame(NONCE, 1, "load", {"kernel_size": "5", "kernel": "a b"}, b"none=body")))
        assert [frame.fields["x"] for frame in shell.frames(3)] == ["kernel 0 a b", "kernel_size 0 5", "none 1 "]


def test_noise_is_passed_over(tmp_path: Path) -> None:
    noise = b"\x1b[2J\x00\xff\n* ? [a-z] \\ %s $(reboot)\n@HL\nHL1 x\n\n" + b"EFI stub: "
    with running(ECHO + OBEY, tmp_path) as shell:
        shell.send(noise + encode(Frame(NONCE, 1, "exec")).lstrip(b"\n"))
        assert shell.frames(1) == [Frame(NONCE, 1, "exec")]


GOOD = encode(Frame(NONCE, 1, "exec", {"a": "b"}))


@pytest.mark.parametrize(
    "bad",
    [
        GOOD.replace(b"exec", b"exes"),
        GOOD[:-4] + b"\n",
        GOOD.replace(b" ", b"  ", 1),
        b"\n@HL1 \n",
        b"\n@HL1 * * * *\n",
        encode(Frame("00000000", 1, "exec", {"a": "b"})),
    ],
    ids=["changed", "cut", "space", "empty", "stars", "other-nonce"],
)
def test_a_broken_frame_is_answered_and_not_obeyed(tmp_path: Path, bad: bytes) -> None:
    with running(ECHO + OBEY, tmp_path) as shell:
        shell.send(bad + encode(Frame(NONCE, 2, "load")))
        error, answer = shell.frames(2)
    assert (error.kind, error.fields) == ("error", {"what": "broken frame on the link", "rc": "1"})
    assert answer.kind == "load"


def put(root: Path, files: Mapping[str, str | bytes]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def fact(tmp_path: Path, name: str) -> str:
    with running(f"fact x fact_{name}; read forever", tmp_path, sys=tmp_path / "sys") as shell:
        (frame,) = shell.frames(1)
    return frame.body.decode()


def test_the_firmware_map_is_in_order_of_number(tmp_path: Path) -> None:
    for number in range(12):
        put(
            tmp_path / f"sys/firmware/memmap/{number}",
            {"start": f"0x{number}000\n", "end": f"0x{number}fff\n", "type": "System RAM\n"},
        )
    lines = fact(tmp_path, "memmap").splitlines()
    assert lines == [f"0x{number}000-0x{number}fff System RAM" for number in range(12)]


def test_the_runtime_map(tmp_path: Path) -> None:
    values = {"type": "0x5", "phys_addr": "0x1000", "virt_addr": "0xffff", "num_pages": "0x2", "attribute": "0x8"}
    put(tmp_path / "sys/firmware/efi/runtime-map/0", {name: value + "\n" for name, value in values.items()})
    assert fact(tmp_path, "runtime_map") == (
        "0 type=0x5 phys_addr=0x1000 virt_addr=0xffff num_pages=0x2 attribute=0x8\n"
    )


def test_efivarfs(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("sysfs /sys sysfs rw 0 0\nefivarfs /sys/firmware/efi/efivars efivarfs rw,relatime 0 0\n")
    script = f"mounts={mounts}; fact x fact_efivarfs; read forever"
    with running(script, tmp_path) as shell:
        assert shell.frames(1)[0].body == b"mounted=yes\noptions=rw,relatime\n"


def test_no_efivarfs(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("sysfs /sys sysfs rw 0 0\n")
    script = f"mounts={mounts}; efivarfs_message='mount: No such device'; fact x fact_efivarfs; read forever"
    with running(script, tmp_path) as shell:
        assert shell.frames(1)[0].body == b"mounted=no\nmessage=mount: No such device\n"


def test_the_mok_variables(tmp_path: Path) -> None:
    assert fact(tmp_path, "mok_variables") == "absent\n"
    put(tmp_path / "sys/firmware/efi/mok-variables", {"MokListRT": b"\0\1", "Harness0": b""})
    lines = [f"{name}={len(data)} {hashlib.sha256(data).hexdigest()}" for name, data in
             (("Harness0", b""), ("MokListRT", b"\0\1"))]  # fmt: skip
    assert fact(tmp_path, "mok_variables").splitlines() == lines


def test_the_esrt(tmp_path: Path) -> None:
    assert fact(tmp_path, "esrt") == "absent\n"
    put(tmp_path / "sys/firmware/efi/esrt", {"fw_resource_count": "2\n", "fw_resource_version": "1\n"})
    put(tmp_path / "sys/firmware/efi/esrt/entries/entry0", {"fw_class": "guid-0\n", "fw_version": "7\n"})
    put(tmp_path / "sys/firmware/efi/esrt/entries/entry1", {"fw_class": "guid-1\n", "last_attempt_status": "0\n"})
    assert fact(tmp_path, "esrt").splitlines() == [
        "fw_resource_count=2",
        "fw_resource_version=1",
        "entries/entry0/fw_class=guid-0",
        "entries/entry0/fw_version=7",
        "entries/entry1/fw_class=guid-1",
        "entries/entry1/last_attempt_status=0",
    ]


def test_the_bgrt(tmp_path: Path) -> None:
    assert fact(tmp_path, "bgrt") == "absent\n"
    image = b"BM" + bytes(1000)
    put(tmp_path / "sys/firmware/acpi/bgrt", {"version": "1\n", "status": "1\n", "image": image})
    assert fact(tmp_path, "bgrt").splitlines() == [
        "version=1",
        "status=1",
        f"image_sha256={hashlib.sha256(image).hexdigest()}",
        "image_size=1002",
    ]


def test_the_disks(tmp_path: Path) -> None:
    assert fact(tmp_path, "devices") == ""
    put(tmp_path / "sys/block/vda", {"serial": "kernel1\n"})
    put(tmp_path / "sys/block/vdb", {"serial": "initrd1"})
    assert fact(tmp_path, "devices").splitlines() == ["vda=kernel1", "vdb=initrd1"]


def test_the_processors(tmp_path: Path) -> None:
    put(tmp_path / "sys/devices/system/cpu", {"online": "0-1\n"})
    put(tmp_path / "proc", {"cpuinfo": "processor\t: 0\nflags\t\t: fpu la57\n\nprocessor\t: 1\nflags\t\t: fpu la57\n"})
    with running(
        f"proc={tmp_path}/proc; fact x fact_processors; read forever", tmp_path, sys=tmp_path / "sys"
    ) as shell:
        (frame,) = shell.frames(1)
    assert frame.body.decode().splitlines() == ["online=0-1", "flags\t\t: fpu la57"]


def test_the_acpi_tables(tmp_path: Path) -> None:
    assert fact(tmp_path, "acpi_tables") == "absent\n"
    put(tmp_path / "sys/firmware/acpi/tables", {"APIC": b"x", "FACP": b"y", "data/BERT": b"z"})
    assert fact(tmp_path, "acpi_tables").splitlines() == ["APIC", "FACP"]


def test_setup_data(tmp_path: Path) -> None:
    assert fact(tmp_path, "setup_data") == ""
    put(tmp_path / "sys/kernel/boot_params/setup_data/0", {"type": "0x3\n", "data": b"R" * 1000})
    put(tmp_path / "sys/kernel/boot_params/setup_data/1", {"type": "0x4\n", "data": b""})
    assert fact(tmp_path, "setup_data").splitlines() == ["0 0x3 1000", "1 0x4 0"]


LOAD = {
    "syscall": "file",
    "kernel": "kernel1",
    "kernel_size": "700",
    "initrd": "initrd1",
    "initrd_size": "1500",
    "cmdline": "a 'b' $c",
}


def load(tmp_path: Path, fields: Mapping[str, str], count: int, tool: str = "exit 0") -> list[Frame]:
    """What the guest answers to a ``load``. Programs that would touch the kernel are replaced."""
    put(tmp_path / "sys/block/vda", {"serial": "kernel1\n"})
    put(tmp_path / "sys/block/vdb", {"serial": "initrd1\n"})
    put(tmp_path / "disks", {"vda": b"K" * 1024, "vdb": b"I" * 1536})
    record = f"#!/bin/sh\nprintf '%s|' ${{0##*/}} \"$@\"; echo; wc -c {tmp_path}/next/*; {tool}\n"
    put(tmp_path / "bin", {"hkexec": record, "kexec": record})
    for program in (tmp_path / "bin").iterdir():
        program.chmod(0o755)
    script = f"""
    next={tmp_path}/next; dev={tmp_path}/disks; kmsg={tmp_path}/kmsg
    show_placement() {{ :; }}
    dmesg() {{ echo old; sed 's/^<7>//' {tmp_path}/kmsg; echo segment; }}
    while :; do link_receive; obey $kind; done
    """
    with running(script, tmp_path, sys=tmp_path / "sys", path=f"{tmp_path}/bin:/usr/bin:/bin") as shell:
        shell.send(encode(Frame(NONCE, 1, "load", fields)))
        frames = shell.frames(count)
        shell.send(encode(Frame(NONCE, 2, "what")))
        assert [frame.fields["what"] for frame in shell.frames(1)] == ["unknown command what"]
    return frames


@pytest.mark.parametrize(
    ("syscall", "command"),
    [
        ("file", "hkexec|file|{next}/kernel|{next}/initrd|a 'b' $c|"),
        ("load", "kexec|-d|-c|-l|{next}/kernel|--initrd={next}/initrd|--command-line=a 'b' $c|"),
    ],
)
def test_load_runs_the_tool_on_exact_copies(tmp_path: Path, syscall: str, command: str) -> None:
    log, loaded = load(tmp_path, LOAD | {"syscall": syscall}, 2, tool="exit 3")
    assert (log.kind, log.fields, log.body) == ("fact", {"name": "kexec-klog"}, b"segment\n")
    assert (loaded.kind, loaded.fields) == ("loaded", {"rc": "3", "syscall": syscall})
    first, *sizes = loaded.body.decode().splitlines()
    assert first == command.format(next=tmp_path / "next")
    assert [line.split()[0] for line in sizes] == ["1500", "700", "2200"]
    assert not (tmp_path / "next").exists()


@pytest.mark.parametrize(
    ("syscall", "command"),
    [
        ("file", "hkexec|file|{next}/kernel|none|a 'b' $c|"),
        ("load", "kexec|-d|-c|-l|{next}/kernel|--command-line=a 'b' $c|"),
    ],
)
def test_load_without_an_initrd(tmp_path: Path, syscall: str, command: str) -> None:
    fields = LOAD | {"syscall": syscall, "initrd": "none", "initrd_size": "0"}
    _log, loaded = load(tmp_path, fields, 2)
    first, *sizes = loaded.body.decode().splitlines()
    assert first == command.format(next=tmp_path / "next")
    assert [line.split()[0] for line in sizes] == ["700"]


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"kernel": "kernel9"}, "load: no disk with serial kernel9"),
        ({"initrd": ""}, "load: no disk with serial "),
        ({"initrd_size": "1537"}, "has only 1536 of 1537 bytes"),
        ({"kernel_size": "many"}, "load: cannot copy"),
        ({"syscall": "auto"}, "load: unknown syscall auto"),
    ],
)
def test_load_refuses(tmp_path: Path, fields: Mapping[str, str], what: str) -> None:
    (error,) = load(tmp_path, LOAD | fields, 1)
    assert error.kind == "error"
    assert what in error.fields["what"]
    assert not (tmp_path / "next").exists()


@pytest.mark.parametrize("missing", sorted(LOAD))
def test_load_names_a_missing_field(tmp_path: Path, missing: str) -> None:
    (error,) = load(tmp_path, {name: value for name, value in LOAD.items() if name != missing}, 1)
    assert (error.kind, error.fields["what"]) == ("error", f"load: no field {missing}")


def test_an_exec_that_comes_back_is_an_error(tmp_path: Path) -> None:
    put(tmp_path / "bin", {"hkexec": "#!/bin/sh\n", "kexec": "#!/bin/sh\necho Nothing has been loaded!\nexit 1\n"})
    for program in (tmp_path / "bin").iterdir():
        program.chmod(0o755)
    with running("command_exec; read forever", tmp_path, path=f"{tmp_path}/bin:/usr/bin:/bin") as shell:
        leaving, error = shell.frames(2)
    assert leaving == Frame(NONCE, 1, "leaving")
    assert (error.kind, error.fields) == ("error", {"what": "kexec -e came back", "rc": "1"})
    assert error.body == b"Nothing has been loaded!\n"


def test_the_whole_load_log_is_sent_when_its_beginning_has_left_the_buffer(tmp_path: Path) -> None:
    script = "dmesg() { echo only this; }; load_mark=gone; fact kexec-klog fact_load_log; read forever"
    with running(script, tmp_path) as shell:
        (log,) = shell.frames(1)
    assert log.body == b"only this\n"
