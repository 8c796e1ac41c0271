"""Return addresses: what is one, what is left over, what is damage."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from harness.evidence.code.stack import Return, behind_call, call_target, returns

BASE = 0xFFFFC90000010000
CODE = range(0xFFFFFFFF81000000, 0xFFFFFFFF81010000)


def words(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}Q", *values)


def in_code(word: int) -> bool:
    return word in CODE


def test_a_scan_keeps_order_and_place() -> None:
    stack = words(0, CODE[5], 7, CODE[9])
    assert returns(stack, BASE, 0, in_code) == (
        Return(BASE + 8, CODE[5], False),
        Return(BASE + 24, CODE[9], False),
    )


def test_the_chain_of_frame_pointers_is_told_from_what_is_left_over() -> None:
    stack = words(CODE[1], BASE + 32, CODE[2], CODE[3], BASE + 40, CODE[4])
    #             stale    rbp ->      ret      stale     -> next       ret
    found = returns(stack, BASE, BASE + 8, in_code)
    assert [(item.address, item.framed) for item in found] == [
        (CODE[1], False),
        (CODE[2], True),
        (CODE[3], False),
        (CODE[4], True),
    ]


@pytest.mark.parametrize("pointer", [0, BASE - 8, BASE + 4, BASE + 1024, 2**64 - 8])
def test_a_frame_pointer_that_is_none(pointer: int) -> None:
    assert [item.framed for item in returns(words(CODE[1], CODE[2]), BASE, pointer, in_code)] == [False, False]


def test_a_chain_that_goes_back_ends() -> None:
    stack = words(BASE, CODE[2], BASE, CODE[3])
    assert [item.framed for item in returns(stack, BASE, BASE, in_code)] == [True, False]


def test_limits() -> None:
    assert len(returns(words(*[CODE[1]] * 100), BASE, 0, in_code, limit=5)) == 5
    assert returns(b"", BASE, BASE, in_code) == ()
    assert returns(b"\x01\x02\x03", BASE, BASE, in_code) == ()


CALLS = {
    "e8 rel32": "e8 00 01 02 03",
    "call *%rax": "ff d0",
    "call *(%rax)": "ff 10",
    "call *8(%rax)": "ff 50 08",
    "call *0x100(%rax)": "ff 90 00 01 00 00",
    "call *0x100(%rip)": "ff 15 00 01 00 00",
    "call *(%rax,%rcx,8)": "ff 14 c8",
    "call *0x1000(,%rax,8)": "ff 14 c5 00 10 00 00",
    "call *8(%rsp)": "ff 54 24 08",
}


@pytest.mark.parametrize("code", CALLS.values(), ids=CALLS)
def test_calls(code: str) -> None:
    assert behind_call(bytes.fromhex("90 90 90 90 90 90 90" + code)[-7:])


@pytest.mark.parametrize(
    "code",
    ["ff e0", "ff 30", "ff c0", "c3", "e9 00 01 02 03", "0f 05", "ff 14", "ff 50", "ff 90 00 01 00", "ff"],
)
def test_no_calls(code: str) -> None:
    assert not behind_call(bytes.fromhex("90 90 90 90 90 90 90" + code)[-7:])


def test_nothing_before() -> None:
    assert not behind_call(b"")


def test_the_target_of_a_direct_call() -> None:
    assert call_target(bytes.fromhex("9090e8fbffffff"), 0x1000) == 0xFFB
    assert call_target(bytes.fromhex("9090e800000000"), 0x1000) == 0x1000
    assert call_target(bytes.fromhex("909090ffd09090"), 0x1000) is None
    assert call_target(b"", 0x1000) is None


def _asked(seen: list[int]) -> Callable[[int], bool]:
    def is_return(word: int) -> bool:
        seen.append(word)
        return False

    return is_return


def test_every_word_is_asked_for_once_each() -> None:
    seen: list[int] = []
    returns(words(1, 2, 3), BASE, 0, _asked(seen))
    assert seen == [1, 2, 3]
