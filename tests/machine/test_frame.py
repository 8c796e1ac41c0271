from __future__ import annotations

import string
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.machine.frame import MAX_LINE_BYTES, Decoder, Frame, decode_line, encode

VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"))
FRAMES = st.builds(
    Frame,
    nonce=st.text("0123456789abcdef", min_size=8, max_size=8),
    seq=st.integers(0, 999_999_999),
    kind=st.text(string.ascii_lowercase + "-", min_size=1, max_size=32),
    fields=st.dictionaries(st.text(string.ascii_lowercase + string.digits + "_", min_size=1), VALUES, max_size=4),
    body=st.binary(max_size=300),
)
NOISE = st.binary(max_size=60).filter(lambda noise: b"@HL1" not in noise)


def decode_all(data: bytes, cuts: list[int]) -> list[Frame]:
    decoder = Decoder()
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [frame for start, end in pairwise(places) for frame in decoder.feed(data[start:end])]


@given(FRAMES)
def test_a_frame_comes_back_as_it_was_sent(frame: Frame) -> None:
    assert decode_all(encode(frame), []) == [frame]


@given(st.lists(st.tuples(NOISE, FRAMES), max_size=4), NOISE, st.lists(st.integers(0, 10_000), max_size=8))
def test_frames_survive_noise_between_them_and_any_split(
    pieces: list[tuple[bytes, Frame]], tail: bytes, cuts: list[int]
) -> None:
    data = b"".join(noise + encode(frame) for noise, frame in pieces) + tail
    assert decode_all(data, cuts) == [frame for _, frame in pieces]


@given(FRAMES, st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_never_gives_another_frame(frame: Frame, place: int, change: int) -> None:
    data = bytearray(encode(frame))
    place %= len(data)
    data[place] ^= change
    assert decode_all(bytes(data), []) in ([], [frame])


def test_crlf_from_a_terminal_driver_is_a_line_end() -> None:
    frame = Frame("1a2b3c4d", 1, "up")
    assert decode_all(encode(frame).replace(b"\n", b"\r\n"), []) == [frame]


def test_a_frame_that_starts_behind_noise_on_its_line_is_found() -> None:
    assert decode_line(b"\x1b[2J" + encode(Frame("1a2b3c4d", 1, "up")).strip()) == Frame("1a2b3c4d", 1, "up")


def test_a_valid_checksum_over_broken_base64_is_no_frame() -> None:
    covered = "1a2b3c4d 1 up A==="
    assert decode_line(f"@HL1 {covered} {zlib.crc32(covered.encode()):08x}".encode()) is None


def test_an_endless_line_is_dropped_and_the_next_frame_found() -> None:
    decoder = Decoder()
    assert list(decoder.feed(b"x" * (MAX_LINE_BYTES + 1))) == []
    assert list(decoder.feed(encode(Frame("1a2b3c4d", 7, "hello")))) == [Frame("1a2b3c4d", 7, "hello")]


@pytest.mark.parametrize("fields", [{"a": "two\nlines"}, {"Bad Key": "x"}, {"": "x"}, {"a=b": "x"}])
def test_a_field_that_does_not_fit_on_a_line_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        encode(Frame("1a2b3c4d", 1, "load", fields))
