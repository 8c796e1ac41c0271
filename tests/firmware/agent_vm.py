"""A small driver for tests of the EFI agent: QEMU with both serial ports drained, QMP, nothing else."""

from __future__ import annotations

import json
import selectors
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

from harness.clock import Deadline
from harness.firmware.build import AgentBinary
from harness.firmware.descriptors import find_firmware
from harness.firmware.varstore import make_varstore
from harness.machine.frame import Decoder, Frame
from harness.model.words.driver import FirmwareArch

QEMU = shutil.which("qemu-system-x86_64")


class AgentVm:
    """One machine that starts ``agent``. ``files`` are the fw_cfg files below opt/harness/."""

    def __init__(
        self,
        agent: Path,
        directory: Path,
        files: dict[str, bytes],
        *,
        incoming: Path | None = None,
        memory: str = "1G",
        arch: FirmwareArch = FirmwareArch.X64,
        esp: Path | None = None,
    ) -> None:
        """``esp``: a directory that the machine has as a disk with a FAT file system."""
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.console = b""
        self.frames: list[Frame] = []
        self._next = 0
        self._qmp_lines = b""
        self._replies: list[dict[str, Any]] = []
        self._decoder = Decoder()
        self._selector = selectors.DefaultSelector()
        theirs = []
        for name in ("console", "link", "qmp"):
            ours, other = socket.socketpair()
            ours.setblocking(False)
            self._selector.register(ours, selectors.EVENT_READ, name)
            theirs.append(other)
        self._sockets = {key.data: key.fileobj for key in self._selector.get_map().values()}
        firmware = find_firmware("ovmf-ia32" if arch is FirmwareArch.IA32 else "ovmf-x64")
        variables = make_varstore(firmware, directory / "vars.fd")
        smm = "on" if firmware.smm else "off"
        # fmt: off
        argv = [
            QEMU or "qemu-system-x86_64", "-machine", f"q35,smm={smm}", "-accel", "tcg", "-cpu", "max", "-m", memory,
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={firmware.code}",
            "-drive", f"if=pflash,format=raw,unit=1,file={variables}",
            "-kernel", str(agent),
            "-chardev", f"file,id=fwlog,path={directory}/debugcon.log",
            "-device", "isa-debugcon,iobase=0x402,chardev=fwlog",
            "-chardev", f"socket,id=console,fd={theirs[0].fileno()}", "-serial", "chardev:console",
            "-chardev", f"socket,id=link,fd={theirs[1].fileno()}", "-serial", "chardev:link",
            "-chardev", f"socket,id=qmp,fd={theirs[2].fileno()}", "-mon", "chardev=qmp,mode=control",
        ]
        # fmt: on
        if firmware.smm:
            argv += ["-global", "driver=cfi.pflash01,property=secure,value=on"]
        if esp is not None:
            argv += ["-blockdev", f"driver=vvfat,node-name=esp,dir={esp},read-only=on"]
            argv += ["-device", "virtio-blk-pci,drive=esp"]
        for name, content in files.items():
            (directory / name).write_bytes(content)
            argv += ["-fw_cfg", f"name=opt/harness/{name},file={directory / name}"]
        if incoming is not None:
            argv += ["-incoming", f"exec:cat {incoming}"]
        self._stderr = (directory / "qemu.stderr").open("wb")
        self._process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stderr=self._stderr, pass_fds=[other.fileno() for other in theirs]
        )
        for other in theirs:
            other.close()
        self.command("qmp_capabilities")

    def __enter__(self) -> AgentVm:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._stderr.close()
        for ours in self._sockets.values():
            ours.close()
        self._selector.close()

    def wait(self, *kinds: str, sending: bytes = b"", timeout_s: float = 60) -> Frame:
        """The first frame of one of these kinds after the one that was last waited for.

        ``sending`` is put on the link every 100 ms until it comes.
        """
        deadline = Deadline.after(timeout_s)
        while True:
            while self._next < len(self.frames):
                frame = self.frames[self._next]
                self._next += 1
                if frame.kind in kinds:
                    return frame
            if sending:
                self._sockets["link"].send(sending)
            self._turn(deadline, f"a frame {' or '.join(kinds)}")

    def wait_console(self, text: bytes, timeout_s: float = 60) -> None:
        deadline = Deadline.after(timeout_s)
        while text not in self.console:
            self._turn(deadline, f"{text!r} on the console")

    def go(self) -> Frame:
        """Answer READY, and wait for what comes of it: ``handoff`` or ``error``."""
        self.wait("go", sending=b"G", timeout_s=30)
        return self.wait("handoff", "error", timeout_s=60)

    def command(self, name: str, **arguments: Any) -> Any:
        """A QMP command's answer."""
        self._replies.clear()
        self._sockets["qmp"].send(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
        deadline = Deadline.after(60)
        while not self._replies:
            self._turn(deadline, f"an answer to {name}")
        reply = self._replies[0]
        assert "return" in reply, reply
        return reply["return"]

    def memory(self, address: int, size_bytes: int) -> bytes:
        """Guest-physical memory, read from outside."""
        path = self.directory / "memory.bin"
        self.command("pmemsave", val=address, size=size_bytes, filename=str(path))
        return path.read_bytes()

    def save(self, path: Path) -> None:
        """Migrate to a file; the machine stays stopped."""
        self.command("migrate", uri=f"exec:cat > {path}")
        deadline = Deadline.after(60)
        while (status := self.command("query-migrate").get("status")) != "completed":
            assert status in (None, "setup", "active", "device"), status
            self._turn(deadline, "the end of the migration")

    def frame(self, kind: str) -> Frame:
        """The only frame of this kind."""
        (found,) = [frame for frame in self.frames if frame.kind == kind]
        return found

    def _turn(self, deadline: Deadline, what: str) -> None:
        assert not deadline.expired, f"time ran out for {what}; frames: {[frame.kind for frame in self.frames]}"
        for key, _ in self._selector.select(min(0.1, deadline.remaining_s)):
            try:
                data = key.fileobj.recv(65536)  # type: ignore[union-attr]
            except ConnectionResetError:
                data = b""
            if not data:
                stderr = (self.directory / "qemu.stderr").read_text()
                raise AssertionError(f"QEMU ended while waiting for {what}: {stderr}")
            getattr(self, f"_take_{key.data}")(data)

    def _take_console(self, data: bytes) -> None:
        self.console += data

    def _take_link(self, data: bytes) -> None:
        self.frames += self._decoder.feed(data)

    def _take_qmp(self, data: bytes) -> None:
        *lines, self._qmp_lines = (self._qmp_lines + data).split(b"\n")
        self._replies += [reply for reply in map(json.loads, lines) if "return" in reply or "error" in reply]


class Again:
    """Starts the saved machine with other files, and ends it after the test."""

    def __init__(self, binary: AgentBinary, saved: Path, directory: Path) -> None:
        self._binary, self._saved, self._directory = binary, saved, directory
        self._machines: list[AgentVm] = []

    def __call__(self, files: dict[str, bytes]) -> AgentVm:
        place = self._directory / f"vm{len(self._machines)}"
        vm = AgentVm(self._binary.path, place, files, incoming=self._saved, arch=self._binary.arch)
        self._machines.append(vm)
        return vm

    def end(self) -> None:
        for machine in self._machines:
            machine.__exit__()
