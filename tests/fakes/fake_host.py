"""A host with everything a run needs, none of it real: programs on PATH, firmware, a kernel, a scenario, a cache.

``harness`` itself is real.
"""

from __future__ import annotations

import io
import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from fakes import fake_guest
from firmware.test_varstore import volume
from kernel.build import bzimage

from harness.cli import main

CHECKOUT = Path(__file__).resolve().parents[2]
FAKE_QEMU = CHECKOUT / "tests/fakes/fake_qemu.py"
HARNESS = "import sys; from harness.cli import main; sys.exit(main())"

# Each prints its version, and makes an empty file of what it was told to make.
_COMPILER = """\
#!/bin/sh
[ "$1" = --version ] && { echo "clang version 0.0 (fake)"; exit 0; }
while [ $# -gt 0 ]; do
    [ "$1" = -o ] && out=$2
    case "$1" in /out:*) out=${1#/out:};; /map:*) echo fake > "${1#/map:}";; esac
    shift
done
echo fake > "$out"
"""

SCENARIO = """\
id: {id}
why: The fake QEMU plays it.
matrix: {{kernel: [{kernels}], firmware: [ovmf-x64]}}
steps:
  - boot
  - kexec: {{syscall: file}}
expect: [no_crash]
"""


def static_program() -> bytes:
    """An ELF program for x86-64 that ends at once with status 0, without an interpreter."""
    code = b"\xb8\x3c\x00\x00\x00\x31\xff\x0f\x05"  # mov eax, 60 (exit); xor edi, edi; syscall
    size = 64 + 56 + len(code)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    head = struct.pack("<16sHHIQQQIHHHHHH", ident, 2, 62, 1, 0x400078, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return head + struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0x400000, size, size, 0x1000) + code


@dataclass
class Done:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def message(self) -> str:
        """stderr, which must be one message and no traceback."""
        assert "Traceback" not in self.err, self.err
        assert "Traceback" not in self.out, self.out
        return self.err.strip()


@dataclass
class FakeHost:
    """``root`` holds bin/, scenarios/, kernels/, cache/, runs/ and the working directory."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @classmethod
    def build(cls, root: Path) -> FakeHost:
        host = cls(root)
        for name in ("bin", "scenarios/fake", "kernels", "config/qemu/firmware", "cache", "cwd"):
            (root / name).mkdir(parents=True)
        for name in ("clang", "lld-link", "ld.lld"):
            host.program(name, _COMPILER.encode())
        for name in ("busybox", "kexec"):
            host.program(name, static_program())
        (root / "bin/qemu-system-x86_64").symlink_to(FAKE_QEMU)
        (root / "CODE.fd").write_bytes(b"fake")
        (root / "VARS.fd").write_bytes(volume())
        host.descriptor("00-fake.json")
        (root / "vmlinuz").write_bytes(bzimage(fake_guest.RELEASE))
        entry = {"kind": "file", "name": "fake", "description": "a kernel that is none", "image": "../vmlinuz"}
        (root / "kernels/fake.yaml").write_text(json.dumps(entry))
        host.scenario("fake/one")
        host.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("HARNESS_", "PYTEST_"))},
            "PATH": f"{root}/bin:{os.environ['PATH']}",
            "PYTHONPATH": str(CHECKOUT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "XDG_CONFIG_HOME": str(root / "config"),
            "HARNESS_CACHE": str(root / "cache"),
        }
        host.play(fake_guest.script(*fake_guest.whole_run()))
        return host

    def program(self, name: str, content: bytes) -> None:
        path = self.root / "bin" / name
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        path.chmod(0o755)

    def descriptor(self, name: str) -> None:
        """A firmware descriptor, for the files of this host."""
        flash = {
            "device": "flash",
            "executable": {"filename": str(self.root / "CODE.fd"), "format": "raw"},
            "nvram-template": {"filename": str(self.root / "VARS.fd"), "format": "raw"},
        }
        targets = [{"architecture": "x86_64", "machines": ["pc-q35-*"]}]
        document = {"interface-types": ["uefi"], "targets": targets, "features": [], "mapping": flash}
        (self.root / "config/qemu/firmware" / name).write_text(json.dumps(document))

    def without_firmware(self) -> None:
        """An empty file in the user's directory hides a package's descriptor of the same name."""
        names = {"00-fake.json"}
        for directory in ("/etc/qemu/firmware", "/usr/share/qemu/firmware"):
            names |= {path.name for path in Path(directory).glob("*.json")}
        for name in names:
            (self.root / "config/qemu/firmware" / name).write_text("")

    def scenario(self, id: str, kernels: Sequence[str] = ("fake",), text: str = SCENARIO) -> Path:  # noqa: A002
        path = self.root / "scenarios" / f"{id}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(id=id, kernels=", ".join(kernels)))
        return path

    def play(self, script: Mapping[str, Any]) -> None:
        """Every QEMU from now on plays this."""
        path = self.root / "script.json"
        path.write_text(json.dumps(script))
        self.environment["FAKE_QEMU"] = str(path)

    def arguments(self, *arguments: str) -> list[str]:
        """With the places of this host, and TCG, where a command takes them."""
        places = ["--scenarios", str(self.root / "scenarios"), "--kernels", str(self.root / "kernels")]
        if arguments and arguments[0] in ("run", "list", "check", "judge", "doctor"):
            arguments = (arguments[0], *places, *arguments[1:])
        elif arguments[:1] == ("kernels",) and len(arguments) > 1:
            arguments = (*arguments[:2], *places, *arguments[2:])
        if arguments and arguments[0] == "run" and not any(word.startswith("--accel") for word in arguments):
            arguments = (*arguments, "--accel=tcg")
        return list(arguments)

    def harness(self, *arguments: str) -> Done:
        """A command, to its end, in this process: ten times as fast as in one of its own."""
        out, err = io.StringIO(), io.StringIO()
        with (
            patch.dict(os.environ, self.environment, clear=True),
            chdir(self.root / "cwd"),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            try:
                status = main(self.arguments(*arguments))
            except SystemExit as end:  # argparse
                status = end.code if isinstance(end.code, int) else 1
        return Done(status, out.getvalue(), err.getvalue())

    def command(self, *arguments: str, code: str = HARNESS) -> list[str]:
        """The argv of a command as a process of its own."""
        return [sys.executable, "-c", code, *self.arguments(*arguments)]

    def start(self, *arguments: str, code: str = HARNESS, **more: Any) -> subprocess.Popen[str]:
        """A command that a test will stop."""
        process = subprocess.Popen(
            self.command(*arguments, code=code),
            cwd=self.root / "cwd",
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **more,
        )
        self.started.append(process)
        return process

    def end(self) -> None:
        """End what a failed test left."""
        for process in self.started:
            with process:
                process.kill()

    @property
    def runs(self) -> list[Path]:
        """The run directories."""
        return sorted(path for path in (self.root / "cwd/runs").glob("*") if path.is_dir())

    def machines(self) -> dict[int, str]:
        """Every QEMU of this host that lives, and every other program it started: pid to command line."""
        found = {}
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                text = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if str(self.root) in text and "from harness.cli import main" not in text:
                found[int(path.parent.name)] = text
        return found


def until(done: Callable[[], object], what: str, timeout_s: float = 20) -> None:
    """Look until it is so; for what another process does, which tells nobody."""
    end = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > end:
            raise AssertionError(f"never happened: {what}")
        time.sleep(0.02)


def finish(process: subprocess.Popen[str], *signals: signal.Signals, timeout_s: float = 20) -> Done:
    """Send signals, 0.1 s apart, and wait for the end."""
    for number in signals:
        process.send_signal(number)
        time.sleep(0.1)
    try:
        out, err = process.communicate(timeout=timeout_s)
    finally:
        process.kill()
    return Done(process.returncode, out, err)
