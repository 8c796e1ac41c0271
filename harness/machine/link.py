"""COM2: frames from the agents, commands and bytes to them (docs/link-protocol.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from harness.clock import Deadline
from harness.machine.feed import Failure, Feed, Success
from harness.machine.frame import UNSET_NONCE, Decoder, Frame, encode
from harness.machine.happenings import Happening, Source
from harness.machine.port import Port

NUDGE_S = 0.1
BEFORE_PLAN = frozenset({"ready", "go", "error"})
"""What the EFI agent may say before it has read the nonce in its plan."""


class Link:
    """Our end of COM2: every byte goes to ``com2.log``, every frame of this run to the feed.

    A frame belongs to the run when it carries its ``nonce``; those of BEFORE_PLAN may come before the agent knows it
    and then carry UNSET_NONCE. Others are dropped and counted.
    """

    def __init__(self, feed: Feed, directory: Path, nonce: str) -> None:
        self.foreign = 0
        self._nonce = nonce
        self._feed = feed
        self._decoder = Decoder()
        self._sequence = 0
        self.port = Port(Source.LINK, feed, directory / "com2.log", self._deliver)

    def send_command(self, kind: str, fields: Mapping[str, str] | None = None) -> Frame:
        """Send a frame and return it. When QEMU is gone nothing is raised: the next wait says so.

        Raises:
            QemuError: the port takes no bytes: QEMU hangs.
            ValueError: a field does not fit on one line.
        """
        frame = Frame(self._nonce, self._sequence + 1, kind, dict(fields or {}))
        data = encode(frame)
        self._sequence += 1
        self.port.send(data)
        return frame

    def nudge(
        self,
        byte: bytes,
        until_kind: str,
        failure: Callable[[Happening], Failure | None],
        deadline: Deadline,
        since: int,
    ) -> Success[Frame] | Failure:
        """Send ``byte`` now and every NUDGE_S seconds until a frame of ``until_kind`` comes; ends as Feed.wait does.

        A byte may be lost: OVMF's terminal driver polls COM2 too.
        """
        return self._feed.wait(
            lambda happening: _frame_of_kind(happening, until_kind),
            failure,
            deadline,
            since,
            tick=lambda: self._offer(byte),
            tick_s=NUDGE_S,
        )

    def _offer(self, byte: bytes) -> None:
        self.port.offer(byte)  # a full or closed port is no matter here: the next byte, or the wait, deals with it

    def _deliver(self, data: bytes) -> None:
        for frame in self._decoder.feed(data):
            if frame.nonce == self._nonce or (frame.nonce == UNSET_NONCE and frame.kind in BEFORE_PLAN):
                self._feed.push(Source.LINK, frame)
            else:
                self.foreign += 1


def _frame_of_kind(happening: Happening, kind: str) -> Frame | None:
    return happening.data if isinstance(happening.data, Frame) and happening.data.kind == kind else None
