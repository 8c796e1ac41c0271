"""harness.evidence.logform: what stands before a message"""

import json
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evidence import logform

STAMPED = [
    # kernel/printk/printk.c, print_prefix(): level, time, caller
    ("[   12.345678] ", 12.345678, ""),
    ("<4>[   12.345678] ", 12.345678, ""),
    ("[   12.345678][      T0] ", 12.345678, "T0"),
    ("<6>[   12.345678][    C3] ", 12.345678, "C3"),
    ("[   T77] ", None, "T77"),
    ("[\t12.345678]\t", 12.345678, ""),
    ("[\xa0  12.345678]\xa0", 12.345678, ""),
    # info_print_ext_header(); netconsole puts the release in front
    ("6,339,5140900,-;", 5.1409, ""),
    ("6,339,5140900,c,caller=T1;", 5.1409, ""),
    ("6.4.0-rc1,6,444,501151268,-;", 501.151268, ""),
    # util-linux, dmesg
    ("[Mon Mar  2 08:09:10 2026] ", None, ""),
    ("[Mo Mär  2 08:09:10 2026] ", None, ""),
    ("[Mar 2 08:09] ", None, ""),
    ("[  +0.000012] ", None, ""),
    ("[   12.345678 <    0.000012>] ", 12.345678, ""),
    ("[<    0.000012>] ", None, ""),
    ("kern  :alert : [   12.345678] ", 12.345678, ""),
    ("kern  :alert : [Mon Mar  2 08:09:10 2026] ", None, ""),
    # journalctl -o short, short-precise, short-full, short-iso, short-iso-precise, short-monotonic, -delta, -unix
    ("Mar 02 08:09:10 box kernel: ", None, ""),
    ("Mar 02 08:09:10.500000 box kernel: ", None, ""),
    ("Mon 2026-03-02 08:09:10 CET box kernel: ", None, ""),
    ("2026-03-02T08:09:10+0100 box kernel: ", None, ""),
    ("2026-03-02T08:09:10.500000+01:00 box kernel: ", None, ""),
    ("[   12.500000] box kernel: ", 12.5, ""),
    ("[   12.500000 <    0.000002>] box kernel: ", 12.5, ""),
    ("1772438950.500000 box kernel: ", None, ""),
    # syslog
    ("Mar  2 08:09:10 box kernel: [   12.345678] ", 12.345678, ""),
    ("Mar  2 08:09:10 kernel: ", None, ""),
    ("<14>Mar  2 08:09:10 box kernel: ", None, ""),
    ("2026-03-02T08:09:10.500000+01:00 box kernel: [   12.345678] ", 12.345678, ""),
    ("Mar  2 08:09:10 10.0.0.5 [   12.345678] ", 12.345678, ""),
    (" kernel:", None, ""),
    # around the kernel's own
    ("2026-03-02T08:09:10.1234567Z [   12.345678] ", 12.345678, ""),
    ("(d1) [   12.345678] ", 12.345678, ""),
    ("> > [   12.345678] ", 12.345678, ""),
    ("    [   12.345678] ", 12.345678, ""),
    ("17:[   12.345678] ", 12.345678, ""),
]
BARE = [
    "2026-03-02T08:09:10,500000+01:00 ",
    "2026-03-02T08:09:10.1234567Z ",
    "2026-03-02T08:09:10.1234567Z ##[error]",
    "2026-03-02T08:09:10.123456Z 01O ",
    "2026-03-02T08:09:10.123456789Z stdout F ",
    "[2026-03-02T08:09:10.123Z] ",
    "[2026-03-02 08:09:10] ",
    "2026/03/02 08:09:10 ",
    "[08:09:10.123] ",
    "08:09:10  ",
    "02/Mar/2026:08:09:10 +0100 ",
    "1772438950123 ",
    "03-02 08:09:10.500     0     0 E         : ",
    "(d1) ",
    "> ",
    "> > ",
    ">> ",
    "| ",
    "&gt; ",
    "`",
]


@pytest.mark.parametrize(("prefix", "time_s", "caller"), STAMPED)
def test_what_the_kernel_stamped(prefix: str, time_s: float | None, caller: str):
    found = logform.prefix_of(prefix + "BUG: unable to handle")
    assert (found.end, found.time_s, found.caller, found.kernel) == (len(prefix), time_s, caller, True)


@pytest.mark.parametrize("prefix", BARE)
def test_what_others_put_in_front(prefix: str):
    found = logform.prefix_of(prefix + "BUG: unable to handle")
    assert (found.end, found.time_s, found.caller, found.kernel) == (len(prefix), None, "", False)


@pytest.mark.parametrize("outer", BARE[2:14] + BARE[-7:])
@pytest.mark.parametrize("inner", ["[   12.345678] ", "<4>[   12.345678][ T12] ", "6,339,5140900,-;"])
def test_any_of_them_around_the_kernels_own(outer: str, inner: str):
    found = logform.prefix_of(outer + inner + "BUG: x")
    assert (found.end, found.kernel) == (len(outer + inner), True)


@pytest.mark.parametrize(
    "text",
    [
        "BUG: unable to handle page fault for address: ffffa00000bad000",
        "NMI watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [swapper/0:1]",
        "[ INFO: possible circular locking dependency detected ]",
        "[<ffffffff81000000>] foo+0x1/0x2",
        "[<80165450>] (memcpy) from [<8163f8d8>] (dtb_copy+0x88/0x100)",
        "(XEN) [2026-03-02 08:09:10] Panic on CPU 0:",
        "(XEN) [  12.345678] Panic on CPU 0:",
        "rtc_cmos 00:03: setting system clock to 2026-11-21T08:38:05 UTC (1)",
        "kernel BUG at mm/slub.c:1!",
        "RIP: 0010:foo+0x1/0x2",
        "EFI stub: ERROR: x",
        "PM: 00:01:02 left",
        "efi: mem00: [Conventional|   |  ] range=[0x0-0x1]",
        "  indented text stays as it is",
        "",
    ],
)
def test_messages_are_left_alone(text: str):
    assert logform.prefix_of(text) == logform.NONE


def test_behind_the_kernels_stamp_the_message_begins():
    text = "[   12.345678] 00:00:05.123 is a time of the message's own"
    assert logform.prefix_of(text).end == len("[   12.345678] ")
    assert logform.prefix_of("[   12.345678]  indented+0x1/0x2").end == len("[   12.345678] ")


def test_a_programs_tag_stays():
    text = "Mar 02 08:09:10 box systemd[1]: Kernel panic - not syncing: only talked about"
    assert text[logform.prefix_of(text).end :].startswith("box systemd[1]: ")


@given(st.text(max_size=80))
def test_no_text_is_an_error(text: str):
    found = logform.prefix_of(text)
    assert 0 <= found.end <= len(text)
    logform.strip(text.split("\n"))


BODY = [
    "BUG: unable to handle page fault",
    "RIP: 0010:demo_show+0x1c/0x40",
    "Call Trace:",
    " vfs_read+0x1ba/0x2b0",
    "end",
]


@pytest.mark.parametrize("lead", ["vm-1   | ", "[console] ", "<guest> ", "lab/7 ttyUSB0 -> "])
def test_what_most_lines_begin_with_is_learned(lead: str):
    assert [item.text for item in logform.strip([lead + text for text in BODY])] == BODY


def test_a_lead_before_stamps_is_learned_whatever_it_is():
    lines = [f"minicom: <{number}> [   12.34567{number}] {text}" for number, text in enumerate(BODY)]
    assert [item.text for item in logform.strip(lines)] == BODY
    assert all(item.prefix.kernel for item in logform.strip(lines))


@pytest.mark.parametrize("word", ["WARNING:", "efi:", "(XEN)", "agent:", "?"])
def test_what_messages_begin_with_is_not_taken_for_a_decoration(word: str):
    lines = [f"{word} {text}" for text in BODY]
    assert [item.text for item in logform.strip(lines)] == lines


LONG = [
    "[    3.000001] [Firmware Bug]: Page fault caused by firmware at PA: 0x7a7a7000 and more words to cut",
    "[    3.000002] WARNING: CPU: 1 PID: 9 at arch/x86/platform/efi/quirks.c:735 efi_crash_gracefully_on_page_fault",
    "[    3.000003] Workqueue: efi_rts_wq efi_call_rts",
    "[    3.000004] Call Trace:",
    "[    3.000005]  page_fault_oops+0x6b/0x280",
]


@pytest.mark.parametrize("quote", ["", "> ", "> > ", "    "])
@pytest.mark.parametrize("width", [64, 72, 76, 80])
def test_wrapped_lines_are_joined(quote: str, width: int):
    cut = [quote + piece for text in LONG for piece in textwrap.wrap(text, width, break_long_words=False)]
    assert len(cut) > len(LONG)
    assert [item.text for item in logform.strip(cut)] == [text[15:] for text in LONG]


def test_a_terminal_cuts_words():
    cut = [text[at : at + 80] for text in LONG for at in range(0, len(text), 80)]
    assert [item.text for item in logform.strip(cut)] == [text[15:] for text in LONG]


def test_programs_that_speak_in_between_are_not_joined():
    lines = [
        *(f"[    1.00000{number}] usb 1-{number}: new device" for number in range(5)),
        "Welcome to the machine!",
        *(f"[    2.00000{number}] usb 1-{number}: a message of some length about a device" for number in range(5)),
        "login: nobody",
        "[    3.000000] end",
    ]
    assert len(logform.strip(lines)) == len(lines)


RECORDS = {
    "json": [json.dumps({"_TRANSPORT": "kernel", "MESSAGE": text}) for text in BODY],
    "json-sse": ["data: " + json.dumps({"_TRANSPORT": "kernel", "MESSAGE": text}) for text in BODY],
    "bytes": [json.dumps({"_TRANSPORT": "kernel", "MESSAGE": list(text.encode())}) for text in BODY],
    "docker": [json.dumps({"log": text + "\n", "stream": "stdout", "time": "2026-03-02T08:09:10Z"}) for text in BODY],
    "export": [line for text in BODY for line in ("_BOOT_ID=0", f"MESSAGE={text}", "PRIORITY=1")],
    "verbose": [line for text in BODY for line in ("    _BOOT_ID=0", f"    MESSAGE={text}", "    PRIORITY=1")],
    "json-pretty": [line for text in BODY for line in ('\t"_PID" : "1",', f'\t"MESSAGE" : {json.dumps(text)},')],
}


@pytest.mark.parametrize("lines", RECORDS.values(), ids=RECORDS.keys())
def test_records(lines: list[str]):
    assert [item.text for item in logform.strip(lines) if item.text] == BODY
