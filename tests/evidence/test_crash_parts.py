"""The parts of harness.evidence.crash: search, messages, backtraces, generic functions, titles."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evidence import crash, klog
from harness.evidence.code.symbols import symbol_table
from harness.evidence.crash import guilty, messages, parser, scan, skip, titles, trace
from harness.evidence.crash.log import Memory

NEEDLES = scan.Needles.of(parser.FORMATS)


def test_every_row_is_found_by_the_search():
    for row in parser.FORMATS:
        for marker in row.markers:
            line = f"words before {marker} and behind\n".encode()
            assert NEEDLES.places(line), f"{marker!r} of {row.title!r} is not searched for"
    assert NEEDLES.places(b"words before and behind\n") == set()


@pytest.mark.parametrize("shift", range(-30, 3))
def test_a_needle_across_two_pieces_is_found(shift: int):
    line = b"[    1.000000] kernel BUG at mm/x.c:1! Insufficient stack space\n"
    filling = b"x" * 63 + b"\n"
    before = filling * (scan.PIECE_BYTES // 64 - 1)
    before += b"y" * (scan.PIECE_BYTES + shift - len(before) - len(line) // 2 - 1) + b"\n"
    found = list(scan.candidates(Memory(before + line + filling), NEEDLES))
    assert len(found) == 2
    assert [len(before) <= place < len(before) + len(line) for place in found] == [True, True]


def test_places_ascend_and_lie_behind_the_start():
    data = b"BUG INFO: WARNING: Kernel panic\nnothing\nKernel panic BUG\n"
    found = list(scan.candidates(Memory(data), NEEDLES))
    assert found == sorted(set(found))
    assert {data.count(b"\n", 0, place) for place in found} == {0, 2}
    assert [place for place in found if place >= 40] == list(scan.candidates(Memory(data), NEEDLES, 40))


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


TRACE = """\
[    0.000000] Linux version 6.1.0 (x) #1
[    1.000000] WARNING: CPU: 0 PID: 1 at drivers/a.c:1 one+0x10/0x20 [mod]
[    1.000100] RIP: 0010:one+0x10/0x20 [mod]
[    1.000200] Call Trace:
[    1.000300]  <TASK>
[    1.000400]  ? doubtful+0x1/0x2
[    1.000500]  two.isra.0+0x11/0x22
[    1.000600]  entry_SYSCALL_64_after_hwframe+0x4b/0xb5
[    1.000700] RIP: 0033:0x47b7a0
[    1.000800]  behind+0x1/0x2
[    1.000900] ---[ end trace 0000000000000000 ]---
"""


def test_a_backtrace_as_data():
    report = crash.first(TRACE.encode())
    assert report is not None
    assert report.backtrace == (
        crash.Frame("one", 0x10, 0x20, "mod"),
        crash.Frame("two.isra.0", 0x11, 0x22),
        crash.Frame("entry_SYSCALL_64_after_hwframe", 0x4B, 0xB5),
    )
    assert [frame.text for frame in report.backtrace][:2] == ["one+0x10/0x20 [mod]", "two.isra.0+0x11/0x22"]
    assert (report.line, report.epoch) == (2, 1)


@pytest.mark.parametrize(
    ("before", "epoch"),
    [
        ("", 0),
        ("Booting from ROM..\x1bc\x1b[2J[    0.000000] Linux version 6.1.0\n", 1),
        ("Linux version 6.1.0\r\n<5>[    0.000000][    T0] Linux version 6.1.0\r\n", 2),
        ("the image has Linux version 6.1.0\nEFI stub: Linux version 6.1.0\n", 0),
    ],
)
def test_kernels_before_a_report_are_counted(before: str, epoch: int):
    log = before.encode() + TRACE.partition("\n")[2].encode()
    report = crash.first(log)
    assert report is not None
    assert report.epoch == epoch
    assert report.line == before.count("\n") + 1


def test_every_crash_of_a_log_once():
    log = (TRACE * 3).encode()
    reports = list(crash.every(log))
    assert [(report.line, report.epoch) for report in reports] == [(2, 1), (13, 2), (24, 3)]
    assert all(one.end <= other.start for one, other in itertools.pairwise(reports))
    assert list(crash.every(b"[    1.000000] fine\n")) == []
    assert len(list(crash.every(TRACE.encode() * 150))) == 100


def test_two_crashes_in_one_line_are_both_found():
    log = b"[    1.000000] BUG: Bad rss-counter state mm:1 [    1.000001] BUG: Bad page cache in process x\n"
    assert next(crash.every(log)).title == "BUG: Bad rss-counter state"
    assert crash.first(log, log.index(b"[    1.000001]")) is not None


def test_symbols_of_a_moved_kernel_and_of_the_running_one():
    base = 0xFFFFFFFF81000000
    table = symbol_table([(base, "T", "_text"), (base + 0x40, "t", "poll"), (base + 0x80, "T", "_etext")])
    lines = ["BUG: kernel NULL pointer dereference, address: 0", "RIP: 0010:0xffffffff81600044", "Call Trace:"]
    lines += [" ? 0xffffffff81600042", " 0xffffffff81600080", " 0xffffffffc0000000"]
    lines += [
        "Kernel Offset: 0x600000 from 0xffffffff81000000 (relocation range: 0xffffffff80000000-0xffffffffbfffffff)"
    ]
    log = "".join(f"[    1.000000] {line}\n" for line in lines).encode()
    for symbols in (table, table.shifted(0x600000)):
        report = crash.first(log, table=symbols)
        assert report is not None
        assert report.frame == "poll"
        assert [frame.text for frame in report.backtrace] == ["poll+0x4/0x40", "poll+0x40/0x40", "0xffffffffc0000000"]


REBOOT = b"""\
[  100.000000] audit: type=1400
SeaBIOS (version 1.16)
early console in extract_kernel
Decompressing Linux... Parsing ELF... done.
Booting the kernel.
[    0.000000] Linux version 6.1.0
"""


def test_a_kernel_that_begins_where_another_had_not_ended():
    report = crash.first(REBOOT)
    assert report is not None
    assert (report.title, report.line) == ("unexpected kernel reboot", 5)
    assert crash.find(klog.lines(REBOOT)) == ()


@pytest.mark.parametrize(
    "last",
    [
        b"",
        b"[  100.100000] kexec_core: Starting new kernel\n",
        b"[  100.100000] reboot: Restarting system\n",
        b"[  100.100000] sysrq: Resetting\n",
    ],
)
def test_a_kernel_that_begins_as_it_should(last: bytes):
    head, _, tail = REBOOT.partition(b"\n")
    assert crash.first((head + b"\n" + last if last else b"") + tail) is None


def test_what_stands_behind_firmware_is_doubtful():
    lines = [
        "BUG: unable to handle page fault for address: 0000000017210000",
        "RIP: 0010:0xfffffffeff255bb0",
        "Call Trace:",
    ]
    lines += [
        " <TASK>",
        " ? __efi_call+0x25/0x30",
        " ? efi_call_rts+0x4a5/0x680",
        " </TASK>",
        "RIP: 0010:0xfffffffeff255bb0",
    ]
    lines += [
        "---[ end trace 0000000000000000 ]---",
        "BUG: kernel NULL pointer dereference, address: 8",
        "RIP: 0010:other+0x1/0x2",
    ]
    one, other = crash.every("".join(f"[    1.000000] {line}\n" for line in lines).encode())
    assert one.title == "BUG: unable to handle kernel paging request in firmware"
    assert [frame.text for frame in one.backtrace] == [
        "firmware 0xfffffffeff255bb0",
        "? __efi_call+0x25/0x30",
        "? efi_call_rts+0x4a5/0x680",
    ]
    assert [frame.certain for frame in one.backtrace] == [True, False, False]
    assert other.title == "BUG: unable to handle kernel NULL pointer dereference in other"


@pytest.mark.parametrize(
    "address", ["0xffffffffa0001234", "0xfffffffe00000000", "0xffffffef00000000", "0x0", "0x000000003f5ec0b0"]
)
def test_addresses_of_firmware_and_others(address: str):
    found = trace.item(f"RIP: 0010:{address}")
    assert (found is not None and found.function == "firmware") == address.startswith(("0xfffffffe", "0xffffffef"))
