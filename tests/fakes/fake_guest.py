"""Scripts for the fake QEMU that play a whole run, epoch by epoch, and where to spoil one.

Each function gives the steps of one phase; a test puts its own steps in place of a phase, or cuts the list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RELEASE = "6.1.0-56-amd64"
CMDLINE = "console=ttyS0,115200 nokaslr panic=0 loglevel=7 harness.nonce=%NONCE% harness.epoch={epoch}"
TABLE_PAGE = 0x39FFF000

Step = Mapping[str, Any]
Steps = list[Step]
SECOND: Step = {"wait_ms": 60}
"""What a guest does on its two ports is seconds apart, but they are read by two threads."""


def frame(kind: str, body: str = "", **fields: str) -> Step:
    return {"frame": kind, "fields": fields, "body": body}


def ready() -> Steps:
    return [
        {"debugcon": "SecCoreStartupWithStack\n"},
        {"frame": "ready", "nonce": "00000000", "fields": {"agent": "2"}},
    ]


def agent(*, table_bytes: int = 0) -> Steps:
    """From GO to hand-off. With ``table_bytes`` the agent says that it put an ESRT of that size at TABLE_PAGE."""
    table = frame(
        *("table", ""),
        name="esrt",
        guid="b122a263-3661-4f68-9929-78f8b0d62180",
        table_address=hex(TABLE_PAGE + 0x100),
        table_size=str(table_bytes),
        pages_address=hex(TABLE_PAGE),
        pages_size="4096",
        type="4",
    )
    return [
        {"wait_byte": "G"},
        {"frame": "go", "nonce": "00000000"},
        *([table] if table_bytes else []),
        frame("systab", "", address="0x1000", config_address="0x2000", count="0"),
        frame("handoff"),
    ]


def start() -> Steps:
    """The kernel is started and prints its first line."""
    return [{"wait_byte": "S"}, frame("start"), SECOND, *banner()]


def banner(release: str = RELEASE) -> Steps:
    first = f"[    0.000000] Linux version {release} (gcc) #1 SMP\r\n[    0.050000] smp: Brought up 1 node, 1 CPU\r\n"
    return [{"console": f"{first}[    0.100000] booting\r\n"}, SECOND]


def up(epoch: int, *, release: str = RELEASE, boot_id: str = "") -> Steps:
    """The guest agent reports."""
    loader = "0xd0" if epoch > 1 else "0x21"
    hello = {"epoch": str(epoch), "boot_id": boot_id or f"boot-{epoch}", "release": release, "loader": loader}
    return [
        frame("hello", f"Linux version {release} (builder@example.org) (gcc) #1 SMP\n", **hello),
        frame("fact", CMDLINE.format(epoch=epoch) + "\n", name="cmdline"),
        frame("up"),
    ]


def load(rc: int = 0, said: str = "segment[0].mem = 0x1000\n") -> Steps:
    return [{"wait_frame": "load"}, frame("loaded", said, rc=str(rc), syscall="file")]


def leave() -> Steps:
    last = {"console": "[    9.000000] kexec_core: Starting new kernel\r\n"}
    return [{"wait_frame": "exec"}, frame("leaving"), SECOND, last, SECOND]


def whole_run(epochs: int = 2) -> list[Steps]:
    """The phases of a run that ends well, in order: firmware, agent, kernel, userspace, and then for each kexec
    load, jump, kernel, userspace.
    """
    phases = [ready(), agent(), start(), up(1)]
    for epoch in range(2, epochs + 1):
        phases += [load(), leave(), banner(), up(epoch)]
    return phases


def script(*phases: Steps, **keys: Any) -> dict[str, Any]:
    return {"steps": [step for phase in phases for step in phase], **keys}
