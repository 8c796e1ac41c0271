"""Return addresses on a stack: the chain of frame pointers where it holds, else a scan of the words.

Without unwind tables (ORC) neither is proof. A scan shows calls that are over, too; what it finds is held against the
code: a return address stands just behind a call instruction.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_WORD = struct.Struct("<Q")
WORD_BYTES = 8
CALL_BYTES = 7
"""The longest call that compilers make in 64-bit mode: ``ff /2`` with SIB and a 32-bit displacement."""
MAX_RETURNS = 24


@dataclass(frozen=True)
class Return:
    """A return address."""

    stack_address: int
    address: int
    framed: bool
    """It stands above a saved frame pointer of the chain that begins with RBP."""


def returns(
    stack: bytes, stack_address: int, frame_pointer: int, is_return: Callable[[int], bool], limit: int = MAX_RETURNS
) -> tuple[Return, ...]:
    """The return addresses in ``stack``, innermost first.

    Args:
        stack: memory from ``stack_address`` (RSP) upwards; as much as could be read.
        frame_pointer: RBP; anything at all when the code does not use it as one.
        is_return: is this an address of code that a call may return to? Asked for every word that may be one.
    """
    framed = set(_framed(stack, stack_address, frame_pointer, is_return))
    found: list[Return] = []
    for offset in range(0, len(stack) - WORD_BYTES + 1, WORD_BYTES):
        (word,) = _WORD.unpack_from(stack, offset)
        place = stack_address + offset
        if place in framed or is_return(word):
            found.append(Return(place, word, place in framed))
            if len(found) == limit:
                break
    return tuple(found)


def _framed(stack: bytes, base: int, frame_pointer: int, is_return: Callable[[int], bool]) -> Iterator[int]:
    """Where the return addresses of the chain of frame pointers stand; the chain must go up and name code."""
    at, end = frame_pointer, base + len(stack)
    while base <= at <= end - 2 * WORD_BYTES and at % WORD_BYTES == 0:
        following, address = struct.unpack_from("<QQ", stack, at - base)
        if not is_return(address):
            return
        yield at + WORD_BYTES
        if following <= at:
            return
        at = following


def behind_call(code: bytes) -> bool:
    """Do the last bytes of ``code`` end in a call instruction? ``code`` is what lies before a return address.

    ``e8 rel32``; ``ff /2`` (register, memory with 8- and 32-bit displacements, with or without SIB and REX);
    Intel SDM vol. 2, CALL. Retpolines and ``__x86_call`` thunks are ``e8`` too.
    """
    if len(code) >= 5 and code[-5] == 0xE8:
        return True
    for size in (2, 3, 4, 6, 7):
        if len(code) >= size and code[-size] == 0xFF and _indirect_call_bytes(code[-size:]) == size:
            return True
    return False


def call_target(code: bytes, address: int) -> int | None:
    """Where the direct call (``e8``) in front of the return address ``address`` goes; None for any other call."""
    if len(code) < 5 or code[-5] != 0xE8:
        return None
    return (address + int.from_bytes(code[-4:], "little", signed=True)) % 2**64


def _indirect_call_bytes(code: bytes) -> int:
    """The length of an ``ff /2`` instruction from its opcode on; 0 when it is another one."""
    modrm = code[1]
    mode, operation, register = modrm >> 6, modrm >> 3 & 7, modrm & 7
    if operation != 2:
        return 0
    if mode == 3:
        return 2
    sib = register == 4
    size = 3 if sib else 2
    if mode == 1:
        return size + 1
    if mode == 2:
        return size + 4
    no_base = len(code) > 2 and code[2] & 7 == 5
    return size + 4 if (register == 5 or (sib and no_base)) else size
