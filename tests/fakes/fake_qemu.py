#!/usr/bin/env python3
"""A stand-in for QEMU that plays a script: QMP, console and link over the file descriptors it is given.

It is started with QEMU's arguments, of which it reads the ``-chardev``s ``com1``, ``com2``, ``qmp`` and ``fwlog``.
The script is a JSON file, named by ``-fake FILE`` in the arguments or by the environment variable FAKE_QEMU (of a
directory the file ``NAME.json`` whose NAME is part of the run directory's)::

    {
      "nonce": "1a2b3c4d",                       nonce of frames; default: that of the plan in ``-fw_cfg``, else this
      "memory": {"0x3bfff000": "00ff..."},       guest-physical memory, address to hex bytes; the rest reads as zero
      "stderr": "text",                          said before anything else
      "exit": 1,                                 ends before QMP, as for a bad option
      "greeting": false,                         never says a word on QMP
      "refuse": {"pmemsave": "No space left"},   QMP commands answered by an error
      "die_at": "pmemsave",                      QMP command at which it is killed
      "monitor": {"info registers -a": "..."},   what human-monitor-command answers; anything else is refused
      "nmi": "Uhhuh. NMI\n",                     said on COM1 after inject-nmi; refused without
      "short": 1,                                pmemsave writes so many bytes too few
      "before": [step ...],                      played when QMP is negotiated; ``cont`` is answered after it
      "steps": [step ...]                        played after ``cont``
    }

A step is an object with one of these keys; it waits while the machine is stopped. After the last step the fake idles,
answering QMP, until ``quit``, SIGTERM, or the end of the harness. ``%NONCE%`` anywhere in the script is the nonce.

Started by the host probe (a chardev ``debug`` instead of the ports) it plays no script: it says that firmware lives.

    {"console": "text\n", "repeat": 3}           bytes on COM1, UTF-8
    {"link": "text"}                             noise on COM2
    {"frame": "hello", "fields": {"epoch": "1"}, "body": "text", "nonce": "00000000"}    a frame on COM2
    {"cut_frame": "hello"}                       its first half only
    {"debugcon": "text"}                         bytes on port 0x402
    {"wait_ms": 20}
    {"wait_byte": "G"}                           until the host sent that byte on COM2
    {"wait_frame": "load"}                       until the host sent that frame (each is taken once)
    {"event": "RTC_CHANGE", "data": {}}          a QMP event
    {"reset": "guest-reset"}                     SHUTDOWN with that reason, as with reboot=shutdown,shutdown=pause;
                                                 without them QEMU says RESET: {"event": "RESET", "data": {...}}
    {"panic": true}                              GUEST_PANICKED, as with panic=pause: the machine stops
    {"poweroff": true}                           SHUTDOWN by the guest, as with shutdown=pause
    {"internal_error": true}                     STOP, and query-status says internal-error
    {"poke": "0x3bfff000", "bytes": "00ff"}      changes memory
    {"close": "com1"}                            or com2, qmp
    {"exit": 0}                                  ends
    {"signal": 9}                                sends itself that signal: 9 is a crash, 19 a hang

Every line of the log file ``fake.log`` beside ``fwlog`` is a command or frame that came in, as JSON.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from harness.machine.frame import Decoder, Frame, encode

Step = Mapping[str, Any]
VERSION = "QEMU emulator version 7.2.22 (fake)"


class Fake:
    """The state that the script, the QMP thread and the COM2 thread share."""

    def __init__(self, argv: list[str], script: Mapping[str, Any]) -> None:
        self.nonce = str(script.get("nonce") or planned_nonce(argv) or "1a2b3c4d")
        self.script = script = json.loads(json.dumps(script).replace("%NONCE%", self.nonce))
        self.chardevs = chardevs(argv)
        self.sockets = {
            name: socket.socket(fileno=int(options["fd"])) for name, options in self.chardevs.items() if "fd" in options
        }
        fwlog = Path(self.chardevs["fwlog"]["path"])
        self.debugcon = fwlog.open("wb", buffering=0)
        self.log = (fwlog.parent / "fake.log").open("w", buffering=1)
        self.status = "prelaunch"
        self.changed = threading.Condition()
        self.speaking = threading.Lock()
        self.reached: set[str] = set()
        self.bytes_in = bytearray()
        self.frames_in: deque[str] = deque()
        self.sequence = 0
        self.memory = {int(at, 16): bytearray.fromhex(text) for at, text in script.get("memory", {}).items()}

    # QMP

    def serve_qmp(self) -> None:
        version = {"qemu": {"major": 7, "minor": 2, "micro": 22}, "package": "fake"}
        if self.script.get("greeting", True):
            self.qmp({"QMP": {"version": version, "capabilities": []}})
        for message in self.messages():
            self.log.write(
                json.dumps({"command": message["execute"], "arguments": message.get("arguments", {})}) + "\n"
            )
            reply: dict[str, Any]
            try:
                reply = {"return": self.command(message["execute"], message.get("arguments", {}))}
            except (LookupError, OSError, ValueError) as error:
                reply = {"error": {"class": "GenericError", "desc": str(error.args[0] if error.args else error)}}
            self.qmp({**reply, "id": message["id"]} if "id" in message else reply)
            if message["execute"] == "cont" and "return" in reply:
                self.enter("running")  # no step comes before the reply
            if message["execute"] == "qmp_capabilities":  # QEMU sends no event before
                self.reach("negotiated")
            if message["execute"] == "quit":
                os._exit(0)

    def messages(self) -> Iterator[dict[str, Any]]:
        """The JSON objects on the QMP socket; clients need not put a newline between them."""
        text = ""
        while data := receive(self.sockets["qmp"]):
            text += data.decode()
            while text := text.lstrip():
                try:
                    message, end = json.JSONDecoder().raw_decode(text)
                except json.JSONDecodeError:
                    break  # the rest is still to come
                text = text[end:]
                yield message

    def command(self, name: str, arguments: Mapping[str, Any]) -> Any:
        if name == self.script.get("die_at"):
            os.kill(os.getpid(), signal.SIGKILL)
        if name in self.script.get("refuse", {}):
            raise ValueError(self.script["refuse"][name])
        commands: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "qmp_capabilities": lambda _: {},
            "query-status": lambda _: {"status": self.status, "running": self.status == "running"},
            "stop": self.stop,
            "cont": self.cont,
            "pmemsave": self.pmemsave,
            "human-monitor-command": lambda asked: self.script["monitor"][asked["command-line"]],
            "inject-nmi": self.nmi,
            "quit": lambda _: {},
        }
        if name not in commands:
            raise ValueError(f"The command {name} has not been found")
        return commands[name](arguments)

    def stop(self, _: Mapping[str, Any]) -> dict[str, Any]:
        if self.status == "running":
            self.enter("paused")
            self.event("STOP")
        return {}

    def cont(self, _: Mapping[str, Any]) -> dict[str, Any]:
        if self.status in {"shutdown", "internal-error"}:
            raise ValueError("Resetting the Virtual Machine is required")
        self.until(lambda: "before" in self.reached)
        self.event("RESUME")
        return {}

    def pmemsave(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        start, size = int(arguments["val"]), int(arguments["size"])
        data = bytearray(size)
        for at, content in self.memory.items():
            for index, byte in enumerate(content):
                if start <= at + index < start + size:
                    data[at + index - start] = byte
        Path(arguments["filename"]).write_bytes(data[: size - self.script.get("short", 0)])
        return {}

    def nmi(self, _: Mapping[str, Any]) -> dict[str, Any]:
        if "nmi" not in self.script:
            raise ValueError("the guest takes no NMI")
        self.send("com1", self.script["nmi"].encode())
        return {}

    def qmp(self, message: Mapping[str, Any]) -> None:
        with self.speaking, contextlib.suppress(OSError):
            self.sockets["qmp"].sendall(json.dumps(message).encode() + b"\r\n")

    def event(self, name: str, data: Mapping[str, Any] | None = None) -> None:
        now = time.time_ns() // 1000
        stamp = {"seconds": now // 10**6, "microseconds": now % 10**6}
        self.qmp({"event": name, "timestamp": stamp, **({"data": data} if data else {})})

    def enter(self, status: str) -> None:
        with self.changed:
            self.status = status
            self.changed.notify_all()

    def reach(self, point: str) -> None:
        with self.changed:
            self.reached.add(point)
            self.changed.notify_all()

    # COM2

    def read_link(self) -> None:
        decoder = Decoder()
        while data := receive(self.sockets["com2"]):
            frames = list(decoder.feed(data))
            for frame in frames:
                self.log.write(json.dumps({"frame": frame.kind, "fields": dict(frame.fields)}) + "\n")
            with self.changed:
                self.bytes_in += data
                self.frames_in.extend(frame.kind for frame in frames)
                self.changed.notify_all()

    def frame(self, kind: str, step: Step) -> bytes:
        self.sequence += 1
        nonce = step.get("nonce", self.nonce)
        return encode(Frame(nonce, self.sequence, kind, step.get("fields", {}), step.get("body", "").encode()))

    def take_byte(self, wanted: str) -> bool:
        found = wanted.encode() in self.bytes_in
        if found:
            self.bytes_in.clear()
        return found

    def take_frame(self, wanted: str) -> bool:
        if wanted not in self.frames_in:
            return False
        self.frames_in.remove(wanted)
        return True

    # the script

    def play(self, steps: list[Step]) -> None:
        actions: dict[str, Callable[[Any, Step], object]] = {
            "console": lambda text, step: self.send("com1", text.encode() * step.get("repeat", 1)),
            "link": lambda text, step: self.send("com2", text.encode()),
            "frame": lambda kind, step: self.send("com2", self.frame(kind, step)),
            "cut_frame": lambda kind, step: self.send("com2", (whole := self.frame(kind, step))[: len(whole) // 2]),
            "debugcon": lambda text, step: self.debugcon.write(text.encode()),
            "wait_ms": lambda ms, step: time.sleep(ms / 1000),
            "wait_byte": lambda byte, step: self.until(lambda: self.take_byte(byte)),
            "wait_frame": lambda kind, step: self.until(lambda: self.take_frame(kind)),
            "event": lambda name, step: self.event(name, step.get("data")),
            "reset": lambda reason, step: self.end("shutdown", "SHUTDOWN", {"guest": True, "reason": reason}),
            "panic": lambda _, step: self.end("guest-panicked", "GUEST_PANICKED", {"action": "pause"}),
            "poweroff": lambda _, step: self.end("shutdown", "SHUTDOWN", {"guest": True, "reason": "guest-shutdown"}),
            "internal_error": lambda _, step: self.end("internal-error"),
            "poke": lambda at, step: self.memory.update({int(at, 16): bytearray.fromhex(step["bytes"])}),
            "close": lambda name, step: self.sockets[name].shutdown(socket.SHUT_RDWR),
            "exit": lambda status, step: os._exit(status),
            "signal": lambda number, step: os.kill(os.getpid(), number),
        }
        for step in steps:
            verbs = [key for key in step if key in actions]
            if len(verbs) != 1:
                raise SystemExit(f"fake_qemu: not a step: {step}")
            actions[verbs[0]](step[verbs[0]], step)

    def play_all(self) -> None:
        self.until(lambda: "negotiated" in self.reached)
        self.play(self.script.get("before", []))
        self.reach("before")
        for step in self.script.get("steps", []):
            self.until(lambda: self.status == "running")
            self.play([step])

    def until(self, done: Callable[[], bool]) -> None:
        with self.changed:
            self.changed.wait_for(done)

    def end(self, status: str, event: str | None = None, data: Mapping[str, Any] | None = None) -> None:
        self.enter(status)
        if event is not None:
            self.event(event, data)
        self.event("STOP")

    def send(self, port: str, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self.sockets[port].sendall(data)


def receive(port: socket.socket) -> bytes:
    try:
        return port.recv(65536)
    except OSError:
        return b""


def chardevs(argv: list[str]) -> dict[str, dict[str, str]]:
    """The options of each -chardev by its id. A comma inside a value is written twice."""
    found = {}
    for name, value in itertools.pairwise(argv):
        if name == "-chardev":
            parts = value.replace(",,", "\0").split(",")
            options = dict(part.replace("\0", ",").split("=", 1) for part in parts[1:])
            found[options["id"]] = options
    return found


def chosen(named: Path, argv: list[str]) -> Path:
    run = Path(chardevs(argv)["fwlog"]["path"]).parent.name
    return next(path for path in named.glob("*.json") if path.stem in run) if named.is_dir() else named


def planned_nonce(argv: list[str]) -> str:
    """The nonce in the EFI agent's plan (docs/link-protocol.md), or nothing."""
    for name, value in itertools.pairwise(argv):
        if name == "-fw_cfg" and value.startswith("name=opt/harness/plan,file="):
            path = Path(value.partition("file=")[2].replace(",,", ","))
            return path.read_text().partition("\nnonce ")[2].partition("\n")[0]
    return ""


def probed(argv: list[str]) -> int:
    """What harness.host.start waits for: the event by which every build of OVMF shows that it runs."""
    qmp = socket.socket(fileno=int(chardevs(argv)["qmp"]["fd"]))
    version = {"qemu": {"major": 7, "minor": 2, "micro": 22}, "package": "fake"}
    for message in ({"QMP": {"version": version, "capabilities": []}}, {"event": "RTC_CHANGE", "data": {"offset": 0}}):
        qmp.sendall(json.dumps(message).encode() + b"\r\n")
    threading.Event().wait()
    return 0


def main(argv: list[str]) -> int:
    if "--version" in argv or "-version" in argv:
        sys.stdout.write(VERSION + "\n")
        return 0
    if "debug" in chardevs(argv):
        return probed(argv)
    named = argv[argv.index("-fake") + 1] if "-fake" in argv else os.environ.get("FAKE_QEMU")
    script = json.loads(chosen(Path(named), argv).read_text()) if named else {}
    sys.stderr.write(script.get("stderr", ""))
    sys.stderr.flush()
    if "exit" in script:
        return int(script["exit"])
    fake = Fake(argv, script)
    for serve in (fake.serve_qmp, fake.read_link):
        threading.Thread(target=serve, daemon=True).start()
    fake.play_all()
    threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
