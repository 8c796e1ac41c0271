"""The parts of harness.evidence.crash: search, messages, backtraces, generic functions, titles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evidence import crash
from harness.evidence.crash import guilty, messages, parser, scan, skip, titles, trace

NEEDLES = scan.Needles.of(parser.FORMATS)


def test_every_row_is_found_by_the_search():
    literals = [*NEEDLES.alone]
    for row in parser.FORMATS:
        for marker in row.markers:
            covered = NEEDLES.together.search(marker.encode()) or any(one in marker.encode() for one in literals)
            assert covered, f"{marker!r} of {row.title!r} is not searched for"


@pytest.mark.parametrize("shift", range(-30, 3))
def test_a_needle_across_two_pieces_is_found(shift: int):
    line = b"[    1.000000] kernel BUG at mm/x.c:1! Insufficient stack space\n"
    filling = b"x" * 63 + b"\n"
    before = filling * (scan._PIECE_BYTES // 64 - 1)
    before += b"y" * (scan._PIECE_BYTES + shift - len(before) - len(line) // 2 - 1) + b"\n"
    assert list(scan.candidates(before + line + filling, NEEDLES)) == [len(before)]


def test_a_line_with_many_needles_counts_once_and_lines_ascend():
    data = b"BUG INFO: WARNING: panic\nnothing\npanic BUG\n"
    assert list(scan.candidates(data, NEEDLES)) == [0, 33]
    assert list(scan.candidates(data, NEEDLES, 25)) == [33]


def test_messages_are_cut_at_a_timestamp_in_the_middle():
    data = b"** 12 printk messages dropped ** [   60.136772][  T12] INFO: one\r\n(XEN) [    5.1] two\n"
    found = list(messages.from_bytes(data, 0, len(data)))
    assert [(item.text, item.context, item.stamped) for item in found] == [
        ("** 12 printk messages dropped **", "", False),
        ("INFO: one", "T12", True),
        ("(XEN) [    5.1] two", "", False),
    ]
    assert [data[item.start : item.end] for item in found[1:]] == [
        b"[   60.136772][  T12] INFO: one\r\n",
        b"(XEN) [    5.1] two\n",
    ]


@pytest.mark.parametrize(
    ("text", "function"),
    [
        (" efi_init+0x1/0x2", "efi_init"),
        (" [<ffffffff81c0120a>] efi_init+0x8a/0x110", "efi_init"),
        (" <IRQ>  [<ffffffff81c0120a>] efi_init.isra.3+0x8a/0x110", "efi_init"),
        (" efi_init+0x1/0x2 drivers/efi.c:12", "efi_init"),
        (" efi_init drivers/firmware/efi.c:12 [inline]", "efi_init"),
        ("[<80165450>] (memcpy) from [<8163f8d8>] (efi_init+0x88/0x100)", "efi_init"),
        (" memcpy from efi_init+0x88/0x100", "efi_init"),
        ("RIP: 0010:efi_init+0x1/0x2", "efi_init"),
        ("RIP: e030:efi_init+0x1/0x2", "efi_init"),
        ("IP: [<ffffffff81c4d304>] efi_init+0x24/0x90", "efi_init"),
        ("pc : efi_init+0x18/0xb8", "efi_init"),
        (" _ZN4core3fmt5write17h0123456789abcdefE+0x1/0x2", "core::fmt::write"),
        (" ? efi_init+0x1/0x2", None),
        ("RIP: 0033:0x7f00", None),
        ("Booting from Hard Disk 0...", None),
        ("hardirqs last disabled at (14): [<ffffffff87800905>] interrupt_entry+0xb5/0xf0", None),
        ("RAX: ffffffffffffffda RBX: 00000000006dbc84", None),
    ],
)
def test_frames(text: str, function: str | None):
    line = messages.Message(0, 0, 1, "", True, text)
    named = [item.function for item in trace.items([line]) if item.function]
    assert named == ([] if function is None else [function])


def test_every_group_of_generic_functions_has_a_reason_and_none_is_everything():
    for name in ("kasan_report", "dump_stack_lvl", "_raw_spin_lock_irqsave", "__kmalloc_noprof", "should_failslab"):
        assert skip.is_generic(name)
        assert skip.reason(name)
    for name in ("efi_memmap_insert", "kimage_load_segment", "pvpanic_remove", "do_kexec_load", "put_page"):
        assert not skip.is_generic(name)
        assert skip.reason(name) is None


@pytest.mark.parametrize(
    ("function", "name"),
    [
        ("__x64_sys_mount", "sys_mount"),
        ("__se_sys_mount", "sys_mount"),
        ("ksys_mount", "mount"),
        ("__sys_bpf", "__sys_bpf"),
    ],
)
def test_system_calls(function: str, name: str):
    assert guilty.syscall_name(function) == name


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("mm:ffff888012345678 val:2", "mm:ADDR val:NUM"),
        ("in fasync_free+0x14/0x20 age=624 pid=3", "in fasync_free age=NUM pid=NUM"),
        ("mkdir ./dir264563108: read-only", "mkdir ./dirNUM: read-only"),
        ("of 0x10000", "of ADDR"),
        ("unknown-block(0,0)", "unknown-block(NUM,NUM)"),
        ("a" * 500, "a" * 120),
    ],
)
def test_running_text_has_no_numbers(text: str, title: str):
    assert titles.normal(text) == title


def test_a_race_is_named_the_same_from_both_sides():
    assert titles.race("data-race in b_two+0x1/0x2 / a_one.part.3") == titles.race("data-race in a_one / b_two")


def test_the_signature_is_that_of_kind_and_path():
    log = "[    1.000000] general protection fault: 0000 [#{n}] SMP\n[    1.000100] RIP: 0010:{f}+0x{n}/0x200\n"
    one = crash.first(log.format(n=1, f="efi_poll").encode())
    other = crash.first(b"noise\n" + log.format(n=2, f="efi_poll").encode())
    third = crash.first(log.format(n=1, f="efi_push").encode())
    assert one is not None and other is not None and third is not None  # noqa: PT018
    assert one.signature == other.signature != third.signature


@given(st.binary(max_size=400), st.sampled_from([row.markers[0].encode() for row in parser.FORMATS]))
def test_no_bytes_are_an_error(noise: bytes, marker: bytes):
    data = noise + b"\n[    1.000000] " + marker + noise
    report = crash.first(data)
    assert report is None or 0 <= report.start < report.end <= len(data)
