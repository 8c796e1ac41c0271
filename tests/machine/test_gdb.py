"""The client of QEMU's gdb stub, against stubs that are right, wrong, slow, mad or dead."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest
from goldens import TESTDATA

from harness.clock import Deadline
from harness.errors import QemuError
from harness.evidence.defect import Defect
from harness.evidence.ranges import Range
from harness.machine.feed import Feed
from harness.machine.gdb import SIGINT, SIGTRAP, Gdb, Stop, parse_stop
from harness.machine.happenings import Event
from harness.machine.machine import Machine

from .conftest import NONCE, StartFake
from .fake_stub import Answer, packet, stub

OK = b"+" + packet("OK")
WHERE = Range(0x3BFFF000, 0x3BFFF088)
HIT = "T05thread:01;watch:3bfff000;"
REGISTERS = (TESTDATA / "registers/kernel.txt").read_text()


def test_watch_go_on_and_be_told() -> None:
    with stub({"Z2": OK, "z2": OK, "c": b"+" + packet(HIT)}) as (gdb, fake):
        gdb.watch(WHERE)
        gdb.go_on()
        assert gdb.wait_stop(Deadline.after(5)) == Stop(SIGTRAP, 0, 0x3BFFF000)
        gdb.unwatch(WHERE)
    assert fake.heard == ["Z2,3bfff000,88", "c", "z2,3bfff000,88"]


def test_no_stop_in_time() -> None:
    with stub({"c": b"+"}) as (gdb, fake):
        gdb.go_on()
        assert gdb.wait_stop(Deadline.after(0.05)) is None
        fake.say(packet("T02thread:01;"))
        assert gdb.wait_stop(Deadline.after(5)) == Stop(SIGINT, 0, None)


def test_a_stop_that_comes_while_something_is_asked_is_kept() -> None:
    answers: dict[str, Answer] = {"m": [packet(HIT) + b"+" + packet("00ff")], "z2": [b"+" + packet(HIT) + packet("OK")]}
    with stub(answers) as (gdb, _):
        assert gdb.read_virtual(0x1000, 2) == b"\x00\xff"
        gdb.unwatch(WHERE)
        assert gdb.wait_stop(Deadline.after(1)) == Stop(SIGTRAP, 0, 0x3BFFF000)
        assert gdb.wait_stop(Deadline.after(1)) == Stop(SIGTRAP, 0, 0x3BFFF000)
        assert gdb.wait_stop(Deadline.after(0)) is None


def test_bytes_that_come_one_by_one() -> None:
    answer = b"+" + packet("0102")
    with stub({"m": [bytes([byte]) for byte in answer]}) as (gdb, _):
        assert gdb.read_virtual(0x1000, 2) == b"\1\2"


def test_memory_in_pieces_physical_and_not_there() -> None:
    def memory(text: str) -> bytes:
        address, size = (int(word, 16) for word in text[1:].split(","))
        return b"+" + packet(bytes((address + index) % 251 for index in range(size)).hex())

    with stub({"m": memory, "Qqemu.PhyMemMode": OK, "mffff": b"+" + packet("E14"), "M": OK}) as (gdb, fake):
        assert gdb.read_physical(0x1000, 3000) == bytes((0x1000 + index) % 251 for index in range(3000))
        assert gdb.read_virtual(0xFFFF0000, 8) is None
        gdb.write_physical(0x2000, b"\xeb\xfe")
    assert fake.heard[0] == "Qqemu.PhyMemMode:1"
    assert fake.heard[4] == "Qqemu.PhyMemMode:0"  # after three pieces
    assert fake.heard[-3:] == ["Qqemu.PhyMemMode:1", "M2000,2:ebfe", "Qqemu.PhyMemMode:0"]


def test_registers_come_from_the_monitor() -> None:
    half = len(REGISTERS) // 2
    pieces = [packet("O" + part.encode().hex()) for part in (REGISTERS[:half], REGISTERS[half:])]
    with stub({"qRcmd": [b"+", *pieces, packet("OK")]}) as (gdb, fake):
        (cpu,) = gdb.registers()
    assert cpu.bits == 64
    assert fake.heard == ["qRcmd," + b"info registers -a".hex()]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"+" + packet(""), "refused"),
        (b"+" + packet("E22"), "refused"),
        (b"-", "refused a packet"),
        (b"HTTP/1.1 400 Bad Request\r\n", "refused a packet"),
        (b"+$OK#00", "checksum"),
        (b"+nonsense", "speaks no gdb protocol"),
        (b"+" + packet("O4")[:3], "in time"),
        (b"", "in time"),
        (b"DIE", "ended"),
        (b"+" + b"$" + b"x" * (2**20 + 10), "more than a packet"),
    ],
    ids=lambda value: repr(value[:16]),
)
def test_answers_that_are_none(answer: bytes, words: str) -> None:
    with stub({"Z2": answer}) as (gdb, _), pytest.raises(QemuError, match=words):
        gdb.watch(WHERE, timeout_s=0.2)


@pytest.mark.parametrize("answer", ["xyz", "0", "00", "E"])
def test_memory_that_is_none(answer: str) -> None:
    with stub({"m": b"+" + packet(answer)}) as (gdb, _), pytest.raises(QemuError):
        gdb.read_virtual(0x1000, 4)


@pytest.mark.parametrize("said", ["", "nonsense", "unknown command"])
def test_registers_that_are_none(said: str) -> None:
    answer = [b"+", packet("O" + said.encode().hex()), packet("OK")]
    with stub({"qRcmd": answer}) as (gdb, _), pytest.raises(QemuError, match="gdb stub"):
        gdb.registers()


def test_a_stop_that_is_none() -> None:
    with stub({"c": b"+" + packet("W00")}) as (gdb, _):
        gdb.go_on()
        with pytest.raises(QemuError, match="not a stop"):
            gdb.wait_stop(Deadline.after(1))


def test_close_wakes_who_waits() -> None:
    with stub({"c": b"+"}) as (gdb, _):
        gdb.go_on()
        timer = threading.Timer(0.05, gdb.close)
        timer.start()
        with pytest.raises(QemuError, match="ended"):
            gdb.wait_stop(Deadline.after(20))
        timer.join()
        gdb.close()  # again does no harm


@pytest.mark.parametrize(
    ("text", "stop"),
    [
        ("T05thread:p01.02;watch:ffff888000001000;", Stop(5, 1, 0xFFFF888000001000)),
        ("T05thread:03;awatch:10;", Stop(5, 2, 0x10)),
        ("S02", Stop(2, 0, None)),
    ],
)
def test_stops(text: str, stop: Stop) -> None:
    assert parse_stop(text) == stop


@pytest.mark.parametrize("text", ["", "OK", "T", "T0", "Tzz", "T05thread:00;", f"T05watch:1{'0' * 16};", "W00"])
def test_no_stops(text: str) -> None:
    assert isinstance(parse_stop(text), Defect)


def test_a_qemu_without_a_stub(start_fake: StartFake) -> None:
    with start_fake({}) as machine, pytest.raises(QemuError, match="human-monitor-command"), Gdb.attach(machine.qmp):
        pass


QEMU = "qemu-system-x86_64"
ARGV = (QEMU, "-accel", "tcg", "-M", "q35", "-m", "64", "-nodefaults", "-no-user-config", "-display", "none")


@pytest.mark.qemu
@pytest.mark.skipif(shutil.which(QEMU) is None, reason=f"{QEMU} is not installed")
def test_real_qemu_stops_at_a_write_and_all_its_stops_are_asked(tmp_path: Path) -> None:
    feed = Feed()
    ticks = Range(0x46C, 0x470)  # the BIOS counts timer interrupts there, 18 a second
    with Machine.start(ARGV, tmp_path, feed, nonce=NONCE) as machine:
        feed.until(lambda: False, Deadline.after(1.0))
        with Gdb.attach(machine.qmp) as gdb:
            gdb.watch(ticks)
            before = gdb.read_physical(ticks.start, 4)
            gdb.go_on()
            stop = gdb.wait_stop(Deadline.after(10))
            assert stop == Stop(SIGTRAP, 0, ticks.start)
            assert machine.qmp.status() == "debug"
            assert gdb.read_physical(ticks.start, 4) != before
            assert gdb.registers()[0].bits == 16
            gdb.write_physical(0x5000, b"harness")
            gdb.unwatch(ticks)
            gdb.go_on()
        assert machine.memory.read(0x5000, 7) == b"harness"
        assert machine.qmp.status() == "running"
    stops = [item.data for item in feed.since() if isinstance(item.data, Event) and item.data.name == "STOP"]
    assert stops
    assert all(stop.asked for stop in stops)
