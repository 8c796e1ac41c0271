"""Ctrl-C, and the other polite ways to end a program: runs are ended in order, and each keeps its record."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from harness.session.session import Session

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C; what CI and systemd send; the terminal was closed."""


@contextmanager
def stops(session: Session) -> Iterator[None]:
    """Inside, a signal stops the session instead of raising KeyboardInterrupt or ending the process.

    For the main thread. A second signal changes nothing: cleaning up has begun, and takes a second or two.

    Raises:
        Interrupted: from wherever the main thread is, when nothing was started yet (see ``Session.interrupt_here``).
    """

    def stop(_number: int, _frame: FrameType | None) -> None:
        session.interrupt_here()

    # A signal that is ignored stays so: nohup(1), and background jobs of a shell without job control.
    heeded = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
