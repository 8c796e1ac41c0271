"""Guest-physical memory, read from outside with the virtual CPUs stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import QemuError
from harness.machine.qmp import Qmp


class Memory:
    """Reads by QMP ``pmemsave`` through a file in ``directory``. For one thread.

    ``timeout_s`` is how long QEMU may take for one command.
    """

    def __init__(self, qmp: Qmp, directory: Path, *, timeout_s: float = 10.0) -> None:
        self._qmp = qmp
        self._timeout_s = timeout_s
        self._file = directory.resolve() / "pmemsave.tmp"  # QEMU opens it
        self._depth = 0

    @property
    def held(self) -> bool:
        """Inside ``stopped()``?"""
        return self._depth > 0

    def read(self, address: int, size_bytes: int) -> bytes:
        """``size_bytes`` bytes (at least 1) from guest-physical ``address``, all of one moment.

        The CPUs are stopped for it unless this is inside ``stopped()``. Addresses behind which there is nothing read
        as zeros or ones: QEMU does not refuse them.

        Raises:
            QemuError: QEMU refused, or wrote another number of bytes.
        """
        what = f"pmemsave of {size_bytes} bytes at 0x{address:x}"
        with self.stopped():
            try:
                arguments = {"val": address, "size": size_bytes, "filename": str(self._file)}
                self._qmp.execute("pmemsave", arguments, timeout_s=self._timeout_s)
                data = self._file.read_bytes()
            except OSError as error:
                raise QemuError(f"{what}: {self._file} cannot be read: {error.strerror or error}") from error
            finally:
                self._file.unlink(missing_ok=True)
        if len(data) != size_bytes:
            raise QemuError(f"{what} wrote {len(data)} bytes", hint="is the run directory's file system full?")
        return data

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The CPUs stand still inside. They go on afterwards only if they ran before. May be nested.

        The STOP event this causes is marked ``asked`` in the feed.

        Raises:
            QemuError: QEMU refused, hangs, or is gone.
        """
        self._depth += 1
        try:
            if self._depth > 1:
                yield
            else:
                with self._pause():
                    yield
        finally:
            self._depth -= 1

    @contextmanager
    def _pause(self) -> Iterator[None]:
        if self._qmp.status(timeout_s=self._timeout_s) != "running":
            yield
            return
        with self._qmp.asked():
            self._qmp.execute("stop", timeout_s=self._timeout_s)
            # A guest that panicked or switched off just before must stay as it is.
            ours = self._qmp.status(timeout_s=self._timeout_s) == "paused"
            try:
                yield
            finally:
                if ours:
                    self._qmp.execute("cont", timeout_s=self._timeout_s)
