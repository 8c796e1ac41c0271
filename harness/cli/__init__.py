"""The command line: the place where errors become text and exit codes.

Nothing is imported here before Ctrl-C is taken care of: half of a command's first second goes into imports.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from os import write
from types import FrameType

__all__ = ["main"]

_INTERRUPTED = 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_AGAIN_S = 0.02


def main(arguments: Sequence[str] | None = None) -> int:
    """The ``harness`` command. Returns its exit code.

    With ``arguments`` left out it is this process's own command: signals stay ignored, for the process ends now.
    """
    with _stopped_once(for_good=arguments is None):
        try:
            from harness.cli.main import main as command

            return command(arguments)
        except KeyboardInterrupt:  # while importing, or while the last words are said
            with suppress(OSError):
                write(2, b"harness: stopped on request\n")
            return _INTERRUPTED


@contextmanager
def _stopped_once(*, for_good: bool) -> Iterator[None]:
    """Inside, Ctrl-C and SIGTERM raise KeyboardInterrupt, the first time: from then on there is cleaning up to do."""
    # A signal that is ignored stays so: nohup(1), and background jobs of a shell without job control.
    heeded = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]

    def stop(_number: int, _frame: FrameType | None) -> None:
        for number in heeded:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    def unraisable(what: sys.UnraisableHookArgs) -> None:
        if issubclass(what.exc_type, KeyboardInterrupt):
            # It came into a destructor or a callback (importlib has one for each module), which loses it.
            signal.signal(signal.SIGALRM, stop)
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)
        else:
            hook(what)

    hook, sys.unraisablehook = sys.unraisablehook, unraisable
    alarm = signal.getsignal(signal.SIGALRM)
    before = {number: signal.signal(number, stop) for number in heeded}
    try:
        yield
    finally:
        sys.unraisablehook = hook
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, alarm)
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if for_good else handler)
