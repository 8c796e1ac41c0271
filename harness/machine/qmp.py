"""QMP, synchronous: qemu.qmp's client on an event loop of its own thread.

Not ``qemu.qmp.legacy``: its waits with an integer timeout never end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import threading
from collections.abc import Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from qemu.qmp import EventListener, ExecuteError, QMPClient, QMPError
from qemu.qmp.message import Message

from harness.clock import Deadline
from harness.errors import QemuError, SilentQemuError
from harness.machine.feed import Feed
from harness.machine.happenings import Event, Source
from harness.machine.port import cannot_write

T = TypeVar("T")


class Qmp:
    """One QMP session; ``theirs`` is QEMU's end of the socket. All events go to the feed, in order.

    Everything that is said is written to ``log``, one JSON object a line.

    Raises:
        HostError: the log cannot be created.
    """

    def __init__(self, feed: Feed, log: Path) -> None:
        self._feed = feed
        self._log_path = log
        try:
            self._log = log.open("w", encoding="utf-8", buffering=1)
        except OSError as error:
            raise cannot_write(log, error) from error
        self._log_lock = threading.Lock()
        self._ours, self.theirs = socket.socketpair()
        logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL + 1)  # it logs what it also raises
        self._client = QMPClient("harness")
        self._events = EventListener()
        self._client.register_listener(self._events)  # before connecting, so that no event is missed
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run_loop, name="qmp-loop", daemon=True)
        self._thread.start()
        self._connecting: asyncio.Task[None] | None = None
        self._pump: asyncio.Task[None] | None = None
        self._asked = 0

    @contextlib.contextmanager
    def asked(self) -> Iterator[None]:
        """Inside, the harness itself stops the CPUs: STOP and RESUME events are marked ``asked``. May be nested."""
        self._asked += 1
        try:
            yield
        finally:
            self._asked -= 1

    def connect(self, timeout_s: float) -> None:
        """Greet QEMU and begin to receive events.

        Raises:
            QemuError: QEMU ended, does not speak QMP, or did not answer within ``timeout_s``.
            Interrupted: the user asked to stop.
        """
        self._call(self._connect(), "the greeting", timeout_s)

    def execute(self, command: str, arguments: Mapping[str, Any] | None = None, *, timeout_s: float = 10.0) -> Any:
        """Run a command and return the value of its ``return``.

        Raises:
            QemuError: QEMU refused it, ended, or did not answer within ``timeout_s``; the message names the command.
            Interrupted: the user asked to stop.
        """
        self._note({"execute": command, "arguments": dict(arguments or {})})
        result = self._call(self._execute(command, dict(arguments or {})), command, timeout_s)
        self._note({"return": result})
        return result

    def status(self, *, timeout_s: float = 10.0) -> str:
        """RunState as in query-status: ``running``, ``paused``, ``guest-panicked``, ``internal-error`` ...

        Raises:
            QemuError: as ``execute``.
        """
        return str(self.execute("query-status", timeout_s=timeout_s)["status"])

    def close(self) -> None:
        """End the session, the loop and its thread. QEMU may be gone already."""
        self.theirs.close()
        ended = asyncio.run_coroutine_threadsafe(self._disconnect(), self._loop)
        try:
            ended.result(5.0)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._ours.close()
            self._log.close()

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _call(self, coroutine: Coroutine[Any, Any, T], what: str, timeout_s: float) -> T:
        """Run a coroutine on the loop, wait for it, and translate what it raises."""
        future = asyncio.run_coroutine_threadsafe(asyncio.wait_for(coroutine, timeout_s), self._loop)
        future.add_done_callback(lambda _: self._feed.poke())
        try:
            if not self._feed.until(future.done, Deadline.after(timeout_s + 1.0)):
                raise TimeoutError
            return future.result()
        except ExecuteError as error:
            self._note({"error": str(error)})
            raise QemuError(f"QMP {what}: QEMU refused it: {error}") from error
        except TimeoutError as error:
            self._note({"error": "timeout"})
            raise SilentQemuError(
                f"QMP {what}: no answer within {timeout_s:g} s",
                hint="QEMU hangs or is stopped; see qmp.jsonl and qemu.stderr",
            ) from error
        except (QMPError, EOFError, OSError) as error:
            self._note({"error": repr(error)})
            raise SilentQemuError(f"QMP {what}: the connection to QEMU ended ({type(error).__name__})") from error
        finally:
            future.cancel()

    async def _connect(self) -> None:
        self._connecting = asyncio.current_task()
        try:
            await self._client.connect(self._ours)
        except AssertionError as error:
            # qemu.qmp 0.0.6 asserts at the end of connect() that the session runs, but QEMU may have ended meanwhile
            # (protocol.py: `assert self.runstate == Runstate.RUNNING`).
            raise EOFError("QEMU ended while it was greeted") from error
        self._pump = asyncio.create_task(self._pump_events())

    async def _execute(self, command: str, arguments: dict[str, Any]) -> Any:
        return await self._client.execute(command, arguments)  # it raises StateError when called, not when awaited

    async def _disconnect(self) -> None:
        if self._connecting is not None:
            # A connect that is cancelled disconnects by itself; two at once trip an assertion of qemu.qmp 0.0.6.
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        # Needed also after an error; it raises again what ended the session (EOFError, ConnectionResetError ...).
        with contextlib.suppress(QMPError, EOFError, OSError, TimeoutError):
            await asyncio.wait_for(self._client.disconnect(), 1.0)
        await asyncio.sleep(0)  # events that came in just before the end
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _pump_events(self) -> None:
        async for message in self._events:
            self._event(message)

    def _event(self, message: Message) -> None:
        name = str(message["event"])
        data = message.get("data")
        asked = self._asked > 0 and name in {"STOP", "RESUME"}
        self._note(dict(message))
        self._feed.push(Source.QMP, Event(name, data if isinstance(data, dict) else {}, asked))

    def _note(self, what: dict[str, Any]) -> None:
        try:
            with self._log_lock:
                self._log.write(json.dumps({"t_s": round(self._feed.now_s(), 6), **what}) + "\n")
        except OSError as error:
            self._feed.fail(cannot_write(self._log_path, error))
