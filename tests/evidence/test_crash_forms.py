"""Crashes in every form in which people have logs: same title, same signature, whatever stands around the lines."""

import itertools
import json
import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from goldens import TESTDATA
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.evidence import crash
from harness.evidence.logform import prefix_of

CASES = sorted(path for path in (TESTDATA / "crash").glob("*.txt") if not path.name.startswith("none-"))
NEGATIVES = sorted((TESTDATA / "crash").glob("none-*.txt"))
# What "unexpected reboot" and lines cut by a prompt need around them is not kept by every form.
Dress = Callable[[int, str], str]

INSTEAD: dict[str, Dress] = {
    "dmesg -T": lambda n, t: f"[Mon Mar  2 08:09:{n % 60:02} 2026] {t}",
    "dmesg -H": lambda n, t: f"[Mar 2 08:09] {t}" if n == 0 else f"[  +0.{n:06}] {t}",
    "dmesg -x": lambda n, t: f"kern  :alert : [{n / 8:12.6f}] {t}",
    "dmesg -r": lambda n, t: f"<1>[{n / 8:12.6f}] {t}",
    "/dev/kmsg": lambda n, t: f"1,{400 + n},{9000000 + n},-;{t}",
    "netconsole": lambda n, t: f"6.12.0,1,{400 + n},{9000000 + n},-;{t}",
    "short": lambda n, t: f"Mar 02 08:09:10 box kernel: {t}",
    "short-precise": lambda n, t: f"Mar 02 08:09:10.{n:06} box kernel: {t}",
    "short-full": lambda n, t: f"Mon 2026-03-02 08:09:10 CET box kernel: {t}",
    "short-iso": lambda n, t: f"2026-03-02T08:09:10+0100 box kernel: {t}",
    "short-monotonic": lambda n, t: f"[{n / 8:12.6f}] box kernel: {t}",
    "short-delta": lambda n, t: f"[{n / 8:12.6f} <    0.000001>] box kernel: {t}",
    "short-unix": lambda n, t: f"1772438950.{n:06} box kernel: {t}",
    "json": lambda n, t: json.dumps({"_TRANSPORT": "kernel", "MESSAGE": t, "PRIORITY": "1"}),
    "syslog without a host": lambda n, t: f"Mar  2 08:09:10 kernel: {t}",
    "rsyslog": lambda n, t: f"2026-03-02T08:09:10.{n:06}+01:00 box kernel: [{n / 8:12.6f}] {t}",
    "wall": lambda n, t: f" kernel:{t}",
    "tabs": lambda n, t: f"[\t{n / 8:.6f}]\t{t}",
}
"""For the kernel's stamp."""
AROUND: dict[str, Dress] = {
    "mail": lambda n, t: f"> {t}",
    "mail in a mail": lambda n, t: f"> > {t}",
    "mail, tight": lambda n, t: f">>{t}",
    "markdown": lambda n, t: f"    {t}",
    "commit message": lambda n, t: f"\t{t}",
    "GitHub": lambda n, t: f"2026-03-02T08:09:10.1234567Z {t}",
    "GitLab": lambda n, t: f"2026-03-02T08:09:10.123456Z 01O {t}",
    "Jenkins": lambda n, t: f"[2026-03-02T08:09:{n % 60:02}.123Z] {t}",
    "Kubernetes": lambda n, t: f"2026-03-02T08:09:10.123456789Z stdout F {t}",
    "Docker": lambda n, t: json.dumps({"log": t + "\r\n", "stream": "stdout", "time": "2026-03-02T08:09:10Z"}),
    "compose": lambda n, t: f"vm-1  | {t}",
    "xenconsoled": lambda n, t: f"[2026-03-02 08:09:10] {t}",
    "a guest of Xen": lambda n, t: f"(d1) {t}",
    "clock": lambda n, t: f"[08:09:{n % 60:02}.123] {t}",
    "grep": lambda n, t: f"{n + 1}:{t}",
    "colours": lambda n, t: f"\x1b[32m{t}\x1b[0m",
    "carriage returns": lambda n, t: f"{t}\r",
}
"""Around whatever stands there."""


def body_of(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    body = text.partition("\n\n")[2] if path in CASES else text[1:]
    return body.removesuffix("\n").split("\n")


def found(lines: list[str], end: str = "\n") -> tuple[str, str, str] | None:
    report = crash.first((end.join(lines) + end).encode("utf-8", "surrogatepass"))
    return None if report is None else (report.title, report.severity, report.signature)


def stampless(text: str) -> str | None:
    """The message, where the line has a kernel's stamp and nobody's name."""
    prefix = prefix_of(text)
    return text[prefix.end :] if prefix.time_s is not None and not prefix.caller else None


KERNELS = [path for path in CASES if any(stampless(text) is not None for text in body_of(path))]


def redressed(lines: list[str], form: str) -> list[str]:
    """Another stamp for the kernel's, where there is one."""
    dressed = []
    for number, text in enumerate(lines):
        said = stampless(text)
        if said is None and form == "json":  # a journal has nothing but records
            said = text
        dressed.append(text if said is None else INSTEAD[form](number, said))
    return dressed


@pytest.mark.parametrize("form", INSTEAD)
@pytest.mark.parametrize("path", KERNELS, ids=lambda path: path.stem)
def test_another_stamp(path: Path, form: str):
    lines = body_of(path)
    assert found(redressed(lines, form)) == found(lines)


@pytest.mark.parametrize("form", AROUND)
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_something_around(path: Path, form: str):
    lines = body_of(path)
    assert found([AROUND[form](number, text) for number, text in enumerate(lines)]) == found(lines)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_line_ends(path: Path):
    lines = body_of(path)
    assert found(lines, "\r\n") == found(lines, "\r\r\n") == found(lines)


@given(
    st.sampled_from(KERNELS),
    st.sampled_from(sorted(INSTEAD)),
    st.lists(st.sampled_from(sorted(AROUND)), max_size=2, unique=True),
)
@settings(max_examples=300, deadline=None)
def test_any_forms_on_top_of_each_other(path: Path, inner: str, outer: list[str]):
    lines = body_of(path)
    if "Docker" in outer:
        outer = ["Docker"]  # what is quoted in a record is a text, and what is around a record is no record's
    if inner == "json":
        outer = []
    dressed = redressed(lines, inner)
    for name in outer:
        dressed = [AROUND[name](number, text) for number, text in enumerate(dressed)]
    assert found(dressed) == found(lines)


STAMPED_ONLY = [path for path in KERNELS if all(stampless(text) is not None for text in body_of(path))]


@pytest.mark.parametrize("quote", ["", "> ", "    "])
@pytest.mark.parametrize("width", [72, 76, 80])
@pytest.mark.parametrize("path", STAMPED_ONLY, ids=lambda path: path.stem)
def test_wrapped_by_a_mailer(path: Path, width: int, quote: str):
    lines = body_of(path)
    cut = [
        quote + piece
        for text in lines
        for piece in textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False, drop_whitespace=True)
    ]
    assert found(cut) == found(lines)


@pytest.mark.parametrize("form", AROUND)
@pytest.mark.parametrize("path", NEGATIVES, ids=lambda path: path.stem)
def test_no_form_makes_a_crash(path: Path, form: str):
    lines = body_of(path)
    assert found([AROUND[form](number, text) for number, text in enumerate(lines)]) is None


WORDS = ["BUG: ", "WARNING: CPU: 0 PID: 1 at ", "Kernel panic - not syncing: ", "(XEN) Panic on CPU 0:", "\n", "\r\n",
         "[    1.000000] ", "> ", "f+0x1/0x2", "Call Trace:", "RIP: 0010:", '{"MESSAGE":"', "-- System halted", "\x1b[",
         "INFO: task a:1 blocked for more than 1 seconds.", "Linux version 6", "2026-03-02T08:09:10Z ",
         "\0", "\xff"]  # fmt: skip


@given(st.lists(st.sampled_from(WORDS) | st.binary(max_size=8).map(lambda some: some.decode("latin-1")), max_size=60))
@settings(max_examples=300, deadline=None)
def test_no_input_is_an_error(words: list[str]):
    data = "".join(words).encode("latin-1")
    reports = list(crash.every(data))
    assert all(0 <= report.start < report.end <= len(data) for report in reports)
    assert all(one.end <= other.start for one, other in itertools.pairwise(reports))
    assert re.search(rb"panic|BUG|WARNING|halted|Panic|blocked", data) or not reports
