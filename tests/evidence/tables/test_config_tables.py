"""RTPROP, MOKvar and unaccepted memory: their bytes, and what kernels show of them."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping

import pytest

from harness.evidence import klog
from harness.evidence.defect import Defect
from harness.evidence.ranges import Range
from harness.evidence.tables import mokvar, private, rtprop, unaccepted
from harness.evidence.tables.shown import Shown, listed

AT = 0x39FFF100
EFI_LINE = "[    0.000000] efi: ACPI=0x3f77d000 ACPI 2.0=0x3f77d014 {name}=0x39fff100 MEMATTR=0x3e5f4018 \n"


def shown(
    content: bytes, facts: Mapping[str, str], name: str = "RTPROP", log: str | None = None, *, listing: str = ""
) -> Shown:
    """The kernel's ``efi:`` line lists ``listing``, or else the table called ``name``."""
    console = EFI_LINE.format(name=listing or name) if log is None else log
    return Shown(
        epoch=2,
        release="6.1.0-57-amd64",
        content=content,
        table=Range.sized(AT, len(content)),
        fact=lambda key: facts[key].encode() if key in facts else None,
        lines=klog.lines(console.encode()),
        kernel_name=name,
    )


# The efi: line


def test_the_kernel_lists_the_table() -> None:
    assert listed(shown(b"x", {})) == ()


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (EFI_LINE.format(name="ESRT"), "lists no RTPROP"),
        (EFI_LINE.format(name="RTPROP").replace("0x39fff100", "0xffffffffffffffff"), "RTPROP=0xffffffffffffffff"),
    ],
)
def test_the_kernel_does_not_list_it(log: str, reason: str) -> None:
    (difference,) = listed(shown(b"x", {}, log=log))
    assert reason in difference


def test_a_kernel_that_says_nothing_accuses_nobody() -> None:
    assert listed(shown(b"x", {}, log="")) == ()


# RTPROP


def test_rtprop() -> None:
    data = rtprop.build(0x3FFF)
    assert data == bytes.fromhex("01000800ff3f0000")
    assert rtprop.parse(data + b"more") == rtprop.RtProp(1, 8, 0x3FFF)


@pytest.mark.parametrize(
    "data", [b"\1\0\x08\0\xff\x3f\0", b"\2\0\x08\0\xff\x3f\0\0", b"\1\0\x0c\0\xff\x3f\0\0", bytes(8)]
)
def test_rtprop_that_makes_no_sense(data: bytes) -> None:
    assert isinstance(rtprop.parse(data), Defect)


MOUNTED = {"efivarfs": "mounted=yes\noptions=rw,relatime\n"}
READ_ONLY = {"efivarfs": "mounted=yes\noptions=ro,relatime\n"}
NOT_MOUNTED = {"efivarfs": "mounted=no\nmessage=mount: mounting efivarfs failed: No such device\n"}


@pytest.mark.parametrize(
    ("mask", "facts"), [(0x3FFF, MOUNTED), (0x30, READ_ONLY), (0x3FEF, NOT_MOUNTED), (0, NOT_MOUNTED)]
)
def test_rtprop_and_efivarfs_agree(mask: int, facts: Mapping[str, str]) -> None:
    assert rtprop.differences(shown(rtprop.build(mask), facts, "RTPROP")) == ()


@pytest.mark.parametrize(
    ("data", "facts", "reason"),
    [
        (rtprop.build(0x3FFF), NOT_MOUNTED, "but efivarfs cannot be mounted: mount: mounting efivarfs failed"),
        (
            rtprop.build(0x3FDF),
            MOUNTED,
            "lacks GetVariable or GetNextVariableName (mask 0x3fdf), but efivarfs is mounted",
        ),
        (rtprop.build(0x3FFF), READ_ONLY, "has SetVariable (mask 0x3fff), but efivarfs is read-only"),
        (rtprop.build(0x3FBF), MOUNTED, "lacks SetVariable (mask 0x3fbf), but efivarfs can be written to"),
        (bytes(8), MOUNTED, "firmware's own table is bad"),
    ],
)
def test_rtprop_and_efivarfs_disagree(data: bytes, facts: Mapping[str, str], reason: str) -> None:
    (difference,) = rtprop.differences(shown(data, facts, "RTPROP"))
    assert reason in difference


def test_rtprop_must_be_listed() -> None:
    assert rtprop.differences(shown(rtprop.build(0x3FFF), MOUNTED, listing="ESRT")) == (
        "the kernel's efi: line lists no RTPROP",
    )


# MOKvar

VARIABLES = mokvar.make_variables(3, 20, "0badcafe")


def test_mokvar() -> None:
    data = mokvar.build(VARIABLES)
    assert len(data) == 4 * 264 + 60 == mokvar.size_bytes(data)
    assert data[:9] == b"Harness0\0"
    assert struct.unpack_from("<Q", data, 256) == (20,)
    assert mokvar.parse(data + b"canary") == VARIABLES


def test_mokvar_of_another_run() -> None:
    assert mokvar.make_variables(3, 20, "1badcafe")[0].data != VARIABLES[0].data


GOOD = mokvar.build(VARIABLES)


@pytest.mark.parametrize(
    "data",
    [
        GOOD[:-1],
        b"",
        bytes(264),
        GOOD[:256] + b"\xff" * 8 + GOOD[264:],
        b"x" * 256 + GOOD[256:],
        GOOD[:-1] + b"\1",
        bytes(1) + GOOD[1:],
    ],
    ids=["cut", "empty", "no entries", "huge", "name without end", "end with data", "data without name"],
)
def test_mokvar_that_makes_no_sense(data: bytes) -> None:
    assert isinstance(mokvar.parse(data), Defect)
    assert isinstance(mokvar.size_bytes(data), Defect)


def mok_fact(**changes: str) -> dict[str, str]:
    values = {item.name: f"{len(item.data)} {hashlib.sha256(item.data).hexdigest()}" for item in VARIABLES} | changes
    return {"mok-variables": "".join(f"{name}={value}\n" for name, value in values.items() if value)}


def test_mokvar_in_sysfs() -> None:
    assert mokvar.differences(shown(GOOD, mok_fact(), "MOKvar")) == ()


@pytest.mark.parametrize(
    ("data", "facts", "reason"),
    [
        (GOOD, {"mok-variables": "absent\n"}, "the kernel shows no MOK variables"),
        (GOOD, mok_fact(Harness1=""), "the kernel shows no variable Harness1"),
        (GOOD, mok_fact(Other="1 ab"), "the kernel shows a variable Other, which is not in the table"),
        (GOOD, mok_fact(Harness2="20 00"), "Harness2 is 20 00 in sysfs, 20 "),
        (GOOD, mok_fact(Harness2="21 00"), "Harness2 is 21 00 in sysfs, 20 "),
        (GOOD[:-1], mok_fact(), "firmware's own table is bad"),
    ],
)
def test_mokvar_in_sysfs_is_another(data: bytes, facts: Mapping[str, str], reason: str) -> None:
    assert reason in mokvar.differences(shown(data, facts, "MOKvar"))[0]


@pytest.mark.parametrize(
    ("line", "subject"),
    [
        ("[    0.000000] mokvar: EFI MOKvar config table is not valid", "mokvar"),
        ("Unknown version of unaccepted memory table", "unaccepted"),
    ],
)
def test_what_kernels_say_of_other_bytes(line: str, subject: str) -> None:
    (message,) = klog.table_messages(klog.lines(f"{line}\n".encode()))
    assert (message.subject, message.tone) == (subject, klog.Tone.BAD)


# Unaccepted memory


def test_unaccepted() -> None:
    data = unaccepted.build(base=0x100000, size_bytes=2**30, unit_bytes=2**21)
    assert data == struct.pack("<IIQQ", 1, 2**21, 0x100000, 64) + bytes(64)
    parsed = unaccepted.parse(data)
    assert not isinstance(parsed, Defect)
    assert parsed.size_bytes == len(data)


@pytest.mark.parametrize(("size_bytes", "expected"), [(1, 1), (2**21 * 8, 1), (2**21 * 8 + 1, 2)])
def test_a_bit_for_each_unit_begun(size_bytes: int, expected: int) -> None:
    assert len(unaccepted.build(base=0, size_bytes=size_bytes, unit_bytes=2**21)) == 24 + expected


@pytest.mark.parametrize("data", [bytes(23), bytes(24), struct.pack("<IIQQ", 2, 1, 0, 0)])
def test_unaccepted_that_makes_no_sense(data: bytes) -> None:
    assert isinstance(unaccepted.parse(data), Defect)


TABLE = unaccepted.build(base=0x100000, size_bytes=2**30, unit_bytes=2**21)
MEMINFO = "MemTotal:  1000 kB\nUnaccepted:            0 kB\nHugePages_Total: 0\n"


def test_unaccepted_inside() -> None:
    assert unaccepted.differences(shown(TABLE, {"meminfo": MEMINFO}, "Unaccepted")) == ()


@pytest.mark.parametrize(
    ("data", "meminfo", "reason"),
    [
        (TABLE, "MemTotal: 1 kB\n", "no line Unaccepted:"),
        (
            TABLE,
            MEMINFO.replace("   0 kB", "4096 kB"),
            "all bits of the table are 0, but /proc/meminfo says Unaccepted: 4096",
        ),
        (bytes(88), MEMINFO, "firmware's own table is bad"),
    ],
)
def test_unaccepted_inside_is_another(data: bytes, meminfo: str, reason: str) -> None:
    assert reason in unaccepted.differences(shown(data, {"meminfo": meminfo}, "Unaccepted"))[0]


def test_unaccepted_must_be_listed() -> None:
    assert (
        "lists no Unaccepted"
        in unaccepted.differences(shown(TABLE, {"meminfo": MEMINFO}, "Unaccepted", listing="ESRT"))[0]
    )


def test_private() -> None:
    assert len(private.build(77, "a")) == 77
    assert private.build(77, "a") == private.build(77, "a") != private.build(77, "b")
