"""What is done with an exception that nobody foresaw: a bug of the harness, never a verdict on a kernel.

The traceback goes into a file, for the report; people at a terminal get one line. ``HARNESS_DEBUG=1`` prints it, too.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import traceback
from pathlib import Path

from harness.errors import InternalError

DEBUG = "HARNESS_DEBUG"
"""Environment variable: 1 prints the traceback of an internal error on stderr, too."""


def internal_error(error: BaseException) -> InternalError:
    """The error to tell a person; writes the traceback of ``error`` to a new file of the temporary directory.

    Returns:
        One whose hint names the file; where none can be written, how to get the traceback.
    """
    told = "".join(traceback.format_exception(error))
    if os.environ.get(DEBUG) == "1":
        print(told, end="", file=sys.stderr)  # noqa: T201  # asked for, and nothing else has the traceback
    path = _kept(told)
    where = f"with {path}" if path is not None else f"with what it prints under {DEBUG}=1"
    what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return InternalError(
        f"internal error: {what} ({_place(error)})", hint=f"this is a bug of the harness: please report it {where}"
    )


def by_interrupt(error: BaseException | None) -> bool:
    """Was it a KeyboardInterrupt? Python makes an error of its own of some, such as one in ``__set_name__``."""
    return error is not None and (
        isinstance(error, KeyboardInterrupt) or by_interrupt(error.__cause__ or error.__context__)
    )


def _place(error: BaseException) -> str:
    """``file:line`` of the innermost frame that is ours."""
    home = Path(__file__).parent
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(home)]
    if not frames:
        return "outside of the harness"
    return f"harness/{Path(frames[-1].filename).relative_to(home)}:{frames[-1].lineno}"


def _kept(told: str) -> Path | None:
    head = f"arguments: {sys.argv[1:]}\nPython {platform.python_version()}, {platform.platform()}\n\n"
    try:
        descriptor, name = tempfile.mkstemp(prefix="harness-internal-error-", suffix=".txt")
        with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(head + told)
    except OSError:  # the disk is full, perhaps that is why
        return None
    return Path(name)
