"""The command line: the place where errors become text and exit codes.

Ctrl-C is taken care of before anything is imported, for half of a command's first second goes into imports: hence
``_signal``, which is built into Python, where ``signal`` would import enum and more.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # typeshed has only signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

__all__ = ["main"]

_INTERRUPTED = 130
_SIGNALS = (_signal.SIGINT, _signal.SIGTERM)
_AGAIN_S = 0.02


def main(arguments: Sequence[str] | None = None) -> int:
    """The ``harness`` command. Returns its exit code.

    Ctrl-C and SIGTERM raise KeyboardInterrupt inside, the first time: from then on there is cleaning up to do. With
    ``arguments`` left out it is this process's own command: signals stay ignored, for the process ends now.
    """
    # A signal that is ignored stays so: nohup(1), and background jobs of a shell without job control.
    heeded = [number for number in _SIGNALS if _signal.getsignal(number) != _signal.SIG_IGN]

    raised: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        raised.append(number)
        for other in heeded:
            _signal.signal(other, _signal.SIG_IGN)
        raise KeyboardInterrupt

    def unraisable(what: sys.UnraisableHookArgs) -> None:
        if issubclass(what.exc_type, KeyboardInterrupt):
            # It came into a destructor or a callback (importlib has one for each module), which loses it.
            _signal.signal(_signal.SIGALRM, stop)
            _signal.setitimer(_signal.ITIMER_REAL, _AGAIN_S)
        else:
            hook(what)

    before = {number: _signal.signal(number, stop) for number in heeded}
    hook, sys.unraisablehook = sys.unraisablehook, unraisable
    alarm = _signal.getsignal(_signal.SIGALRM)
    try:
        from harness.cli.dispatch import main as command

        return command(arguments, lambda: bool(raised))
    except KeyboardInterrupt:  # while importing, or while the last words are said
        return _interrupted()
    except RuntimeError as error:
        if isinstance(error.__cause__, KeyboardInterrupt):  # raised while a class was made (__set_name__)
            return _interrupted()
        raise
    finally:
        sys.unraisablehook = hook
        _signal.setitimer(_signal.ITIMER_REAL, 0)
        _signal.signal(_signal.SIGALRM, alarm)
        for number, handler in before.items():
            _signal.signal(number, _signal.SIG_IGN if arguments is None else handler)


def _interrupted() -> int:
    from contextlib import suppress
    from os import write

    with suppress(OSError):
        write(2, b"harness: stopped on request\n")
    return _INTERRUPTED
