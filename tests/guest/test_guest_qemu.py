"""The guest in a real machine, on kernels from before and after KEXEC_FILE_DEBUG."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.cache import default_cache
from harness.guest.initramfs import Initrd, build_initrd
from harness.guest.tools import find_tools
from harness.kernel.kinds.debian import fetched
from harness.machine.frame import Frame, encode
from harness.model.kernel import KernelImage

from .shell import NONCE
from .vm import Vm, booted

pytestmark = pytest.mark.qemu
PAD_BYTES = 40 * 2**20
FACTS = {
    *("cmdline", "iomem", "memmap", "runtime-map", "esrt", "bgrt", "acpi-bgrt", "boot-params", "klog", "tainted"),
    *("meminfo", "devices", "modules", "processors", "acpi-tables", "setup-data"),
    *("efivarfs", "mok-variables", "tpm-log"),
}


def kernel(name: str) -> KernelImage:
    image = fetched(name, default_cache())
    assert image is not None, f"this test needs a kernel: harness kernels fetch {name}"
    return image


def disk(source: Path, directory: Path) -> Path:
    data = source.read_bytes()
    target = directory / f"{source.name}.disk"
    target.write_bytes(data + bytes(-len(data) % 512))
    return target


def cmdline(epoch: int) -> str:
    return f"console=ttyS0 panic=-1 harness.nonce={NONCE} harness.epoch={epoch}"


def load(vm: Vm, syscall: str, epoch: int, image: KernelImage, initrd: Initrd, **other: str) -> None:
    fields = {
        "syscall": syscall,
        "kernel": "kernel1",
        "kernel_size": str(image.size_bytes),
        "initrd": "initrd1",
        "initrd_size": str(initrd.size_bytes),
        "cmdline": cmdline(epoch),
    }
    vm.send("load", **(fields | other))


def initrd_segment(text: str, pattern: str, size_bytes: int) -> tuple[int, int]:
    """The one segment (mem, memsz) that is the initrd: its size, rounded up to pages."""
    segments = [(int(mem, 16), int(memsz, 16)) for mem, memsz in re.findall(pattern, text)]
    assert len(segments) >= 3, text
    found = [segment for segment in segments if segment[1] == -(-size_bytes // 4096) * 4096]
    assert len(found) == 1, segments
    return found[0]


@pytest.mark.parametrize("name", ["debian-6.1-cloud", "debian-6.12-cloud"])
def test_three_generations_by_both_system_calls(name: str, tmp_path: Path) -> None:
    image = kernel(name)
    initrd = build_initrd(image, find_tools(), PAD_BYTES, tmp_path)
    disks = [("kernel1", disk(image.image, tmp_path)), ("initrd1", disk(initrd.path, tmp_path))]
    with booted(image.image, initrd.path, cmdline(1), disks) as vm:
        boots = set()
        hello = vm.expect("hello")
        assert (hello.fields["epoch"], hello.fields["loader"]) == ("1", "0xb0")
        for epoch, syscall in ((2, "file"), (3, "load")):
            assert hello.fields["release"] == image.release
            assert hello.body.startswith(b"Linux version " + image.release.encode())
            boots.add(hello.fields["boot_id"])
            vm.expect("up")
            check_facts(vm, epoch - 1)

            load(vm, syscall, epoch, image, initrd)
            loaded = vm.expect("loaded")
            assert (loaded.fields["rc"], loaded.fields["syscall"]) == ("0", syscall), loaded.body
            if syscall == "file":
                text, pattern = vm.facts["kexec-klog"].decode(), r"segment.*mem=(0x\w+) memsz=(0x\w+)"
            else:
                text, pattern = loaded.body.decode(), r"\.mem +=? *(0x\w+)\nsegment.*\.memsz += (0x\w+)"
            mem, _ = initrd_segment(text, pattern, initrd.size_bytes)
            assert 0 < mem < 2**30

            vm.send("exec")
            vm.expect("leaving")
            hello = vm.expect("hello")
            assert (hello.fields["epoch"], hello.fields["loader"]) == (str(epoch), "0xd0")
        boots.add(hello.fields["boot_id"])
        assert len(boots) == 3
        vm.expect("up")
        assert b"@HL1" not in vm.console


def check_facts(vm: Vm, epoch: int) -> None:
    facts = {name: body.decode(errors="replace") for name, body in vm.facts.items()}
    assert set(facts) == FACTS
    assert facts["cmdline"].strip() == cmdline(epoch)
    assert re.search(r"^00100000-\w+ : System RAM$", facts["iomem"], re.MULTILINE)
    assert re.search(r"^0x100000-0x\w+ System RAM$", facts["memmap"], re.MULTILINE)
    assert vm.facts["boot-params"][0x202:0x206] == b"HdrS"
    assert facts["devices"].splitlines() == ["vda=kernel1", "vdb=initrd1"]
    assert (facts["esrt"], facts["bgrt"], facts["acpi-bgrt"]) == ("absent\n", "absent\n", "")
    assert "virtio_blk=loaded" in facts["modules"]
    assert "Linux version" in facts["klog"]
    # /pad is gone: what is left of the initramfs is a few MiB.
    shmem_kb = re.search(r"Shmem: +(\d+) kB", facts["meminfo"])
    assert shmem_kb
    assert int(shmem_kb[1]) < 16 * 1024


def test_what_cannot_be_done_is_an_error_and_the_guest_lives_on(tmp_path: Path) -> None:
    image = kernel("debian-6.1-cloud")
    initrd = build_initrd(image, find_tools(), 0, tmp_path)
    disks = [("kernel1", disk(image.image, tmp_path)), ("initrd1", disk(initrd.path, tmp_path))]
    with booted(image.image, initrd.path, cmdline(1), disks) as vm:
        vm.expect("hello")
        vm.expect("up")
        vm.send_raw(b"\x1b[2J noise \x00\xff\r\n" + encode(Frame(NONCE, 1, "exec"))[:-5] + b"\n")
        assert "broken frame" in vm.expect("error").fields["what"]
        vm.send("dance")
        assert vm.expect("error").fields["what"] == "unknown command dance"
        load(vm, "file", 2, image, initrd, kernel="kernel9")
        assert vm.expect("error").fields["what"] == "load: no disk with serial kernel9"
        # The initrd is no kernel: both tools refuse, and say so with a status.
        for syscall in ("file", "load"):
            load(vm, syscall, 2, image, initrd, kernel="initrd1", kernel_size=str(initrd.size_bytes))
            loaded = vm.expect("loaded")
            assert loaded.fields["rc"] != "0"
            assert loaded.body
        vm.send("exec")
        vm.expect("leaving")
        error = vm.expect("error")
        assert error.fields["what"] == "kexec -e came back"
        assert b"Nothing has been loaded" in error.body
