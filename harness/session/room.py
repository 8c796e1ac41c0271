"""Memory of this host for guests: none is started that could not be held beside those that run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from harness.errors import HostError

OVERHEAD_BYTES = 256 * 2**20
"""For QEMU itself, beside the guest's memory."""
_MIB = 2**20


class MemoryRoom:
    """Counts the memory of the guests that run. From any thread.

    A guest that touches little of its memory needs little of the host's, but nothing keeps it from touching all, and
    a host that then runs out of memory kills whatever it likes.
    """

    def __init__(self, available_bytes: int | None) -> None:
        """``available_bytes``: what the host has free now; None for no limit."""
        self._available_bytes = available_bytes
        self._held_bytes = 0
        self._changed = threading.Condition()
        self._open = True

    @contextmanager
    def hold(self, guest_bytes: int) -> Iterator[None]:
        """Inside, a guest of this size runs. Waits for others to end where both do not fit; not after ``close``.

        Raises:
            HostError: it does not fit even alone.
        """
        need_bytes = guest_bytes + OVERHEAD_BYTES
        if self._available_bytes is not None and need_bytes > self._available_bytes:
            raise HostError(
                f"a guest of {guest_bytes // _MIB} MiB needs {need_bytes // _MIB} MiB with QEMU itself; this host has "
                f"{self._available_bytes // _MIB} MiB free",
                hint="Free some, use another host, or a smaller guest (--set machine.memory=...).",
            )
        with self._changed:
            self._changed.wait_for(lambda: not self._open or self._fits(need_bytes))
            self._held_bytes += need_bytes
        try:
            yield
        finally:
            with self._changed:
                self._held_bytes -= need_bytes
                self._changed.notify_all()

    def close(self) -> None:
        """Let everybody who waits go on: the session is over, and nothing more is started."""
        with self._changed:
            self._open = False
            self._changed.notify_all()

    def _fits(self, need_bytes: int) -> bool:
        return self._available_bytes is None or self._held_bytes + need_bytes <= self._available_bytes
