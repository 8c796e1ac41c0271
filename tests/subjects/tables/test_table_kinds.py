"""Tables other than ESRT and BGRT: real records, and what they become when something is changed in them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.records import Copy
from support.verdicts import verdict_is
from support.words import Told

from harness.model.causes import Cause, Status

CopyOf = Callable[[str], Copy]
RTPROP, INITRD = "tables-rtprop-6.1", "tables-initrd-7.2"


def print_instead(copy: Copy, old: str, new: str) -> Copy:
    """Other words of the same length on the console, since the journal names places in it."""
    path = copy.path / "console.log"
    console = path.read_bytes()
    assert old.encode() in console
    assert len(new) <= len(old)
    path.write_bytes(console.replace(old.encode(), new.ljust(len(old)).encode()))
    return copy


MEMATTR = "tables-memattr-5.10"


def test_a_lost_memattr_is_told_in_the_kernel_s_words_too(copy_of: CopyOf, told: Told) -> None:
    verdict = copy_of(MEMATTR).judge()
    verdict_is(told(verdict), Status.FAIL, Cause.MEMATTR_CORRUPT, None, "1072")


@pytest.mark.parametrize(
    ("offset", "cause"), [(0x100, Cause.MEMATTR_CORRUPT), (0x52F, Cause.MEMATTR_CORRUPT), (0x530, Cause.CANARY_DAMAGED)]
)
def test_a_flipped_byte_of_memattr(copy_of: CopyOf, offset: int, cause: Cause) -> None:
    copy = copy_of(MEMATTR).heal("samples/2-up-memattr.bin")
    verdict_is(copy.judge(), Status.PASS, None, None)
    verdict_is(copy.flip("samples/1-loaded-memattr.bin", offset).judge(), Status.FAIL, cause, None)


@pytest.mark.parametrize(
    "offset",
    [0x100, 0x104],
)
def test_a_copy_that_is_no_memattr_was_not_set_up(copy_of: CopyOf, told: Told, offset: int) -> None:
    verdict = copy_of(MEMATTR).flip("samples/0-handoff-memattr.bin", offset).judge()
    verdict_is(told(verdict), Status.ERROR, Cause.SETUP_NOT_PROVED, None)


PRIVATE = "tables-private-6.12"


def test_a_private_table_that_is_kept(copy_of: CopyOf) -> None:
    verdict_is(copy_of(PRIVATE).judge(), Status.PASS, None, None)


@pytest.mark.parametrize(
    ("offset", "cause"),
    [
        (0, Cause.CANARY_DAMAGED),
        (0x100, Cause.PRIVATE_CORRUPT),
        (0x1FF, Cause.PRIVATE_CORRUPT),
        (0x200, Cause.CANARY_DAMAGED),
    ],
)
@pytest.mark.parametrize("sample", ["1-up", "1-loaded", "2-up"])
def test_a_flipped_byte_of_a_private_table(copy_of: CopyOf, sample: str, offset: int, cause: Cause) -> None:
    verdict = copy_of(PRIVATE).flip(f"samples/{sample}-private.bin", offset).judge()
    verdict_is(verdict, Status.FAIL, cause, None)


def test_a_private_table_under_another_guid(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(PRIVATE)
    tables = copy.json("plan.json")["tables"]
    copy.edit_json("plan.json", tables=[{**tables[0], "guid": "11111111-2222-3333-4444-555555555555"}])
    verdict_is(told(copy.judge()), Status.ERROR, Cause.SETUP_NOT_PROVED, None, "11111111", "2222")


UNACCEPTED = "tables-unaccepted-7.2"


def test_a_decompressor_that_halts_on_a_lost_table(copy_of: CopyOf, told: Told) -> None:
    verdict = copy_of(UNACCEPTED).judge()
    verdict_is(told(verdict), Status.FAIL, Cause.UNACCEPTED_CORRUPT, None)


def test_it_is_the_table_that_makes_the_difference(copy_of: CopyOf, told: Told) -> None:
    """Had its bytes been intact, the halt would be the cause."""
    copy = copy_of(UNACCEPTED).heal("samples/2-end-unaccepted.bin")
    verdict_is(told(copy.judge()), Status.FAIL, Cause.STUB_FAILED, None)


@pytest.mark.parametrize("sample", ["1-up", "1-loaded"])
def test_a_flipped_byte_of_unaccepted(copy_of: CopyOf, told: Told, sample: str) -> None:
    verdict = copy_of(UNACCEPTED).flip(f"samples/{sample}-unaccepted.bin", 0x157).judge()
    verdict_is(told(verdict), Status.FAIL, Cause.UNACCEPTED_CORRUPT, None, "88")


MOKVAR = "tables-mokvar-7.2"


def test_a_mokvar_that_is_kept(copy_of: CopyOf) -> None:
    verdict_is(copy_of(MOKVAR).judge(), Status.PASS, None, None)


@pytest.mark.parametrize("offset", [0x100, 0x5DF], ids=["first", "last"])
@pytest.mark.parametrize("sample", ["1-up", "1-loaded", "2-up"])
def test_a_flipped_byte_of_mokvar(copy_of: CopyOf, told: Told, sample: str, offset: int) -> None:
    verdict = copy_of(MOKVAR).flip(f"samples/{sample}-mokvar.bin", offset).judge()
    verdict_is(told(verdict), Status.FAIL, Cause.MOKVAR_CORRUPT, None, "1248")


@pytest.mark.parametrize("offset", [0, 0xFF, 0x5E0, 0xFFF])
def test_a_flipped_canary_round_mokvar(copy_of: CopyOf, told: Told, offset: int) -> None:
    verdict = copy_of(MOKVAR).flip("samples/2-up-mokvar.bin", offset).judge()
    verdict_is(told(verdict), Status.FAIL, Cause.CANARY_DAMAGED, None)


@pytest.mark.parametrize("epoch", [1, 2])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Harness1=64 ", "Harness9=64 "),
        ("Harness1=64 ", "Harness1=65 "),
    ],
)
def test_a_kernel_that_shows_other_mok_variables(copy_of: CopyOf, told: Told, epoch: int, old: str, new: str) -> None:
    copy = copy_of(MOKVAR)
    copy.edit(copy.fact_file(epoch, "mok-variables"), old, new)
    verdict_is(told(copy.judge()), Status.FAIL, Cause.TABLE_REFUSED, None)


def test_a_mokvar_that_was_not_installed_as_planned(copy_of: CopyOf) -> None:
    verdict = copy_of(MOKVAR).flip("samples/0-handoff-mokvar.bin", 0x100).judge()
    verdict_is(verdict, Status.ERROR, Cause.SETUP_NOT_PROVED, None, "hand-off")


def test_what_a_lost_rtprop_does_is_told(copy_of: CopyOf, told: Told) -> None:
    verdict = copy_of(RTPROP).judge()
    verdict_is(
        told(verdict),
        Status.FAIL,
        Cause.RTPROP_CORRUPT,
        None,
        "GetVariable",
        "GetNextVariableName",
        "0x3fff",
    )


def healed(copy_of: CopyOf) -> Copy:
    """The same run, had the table been kept and firmware's variables as well."""
    copy = copy_of(RTPROP)
    for sample in ("1-loaded", "2-up"):
        copy.heal(f"samples/{sample}-rtprop.bin")
    said_by_first = copy.read(copy.fact_file(1, "efivarfs"))
    (copy.path / copy.fact_file(2, "efivarfs")).write_text(said_by_first)
    return copy


def test_an_rtprop_that_is_kept(copy_of: CopyOf) -> None:
    verdict_is(healed(copy_of).judge(), Status.PASS, None, None)


@pytest.mark.parametrize("offset", [0x100, 0x107], ids=["first", "last"])
@pytest.mark.parametrize("sample", ["1-up", "1-loaded", "2-up"])
def test_a_flipped_byte_of_rtprop(copy_of: CopyOf, told: Told, sample: str, offset: int) -> None:
    verdict = healed(copy_of).flip(f"samples/{sample}-rtprop.bin", offset).judge()
    verdict_is(told(verdict), Status.FAIL, Cause.RTPROP_CORRUPT, None)


@pytest.mark.parametrize("offset", [0, 0xFF, 0x108, 0xFFF])
def test_a_flipped_canary_round_rtprop(copy_of: CopyOf, told: Told, offset: int) -> None:
    verdict = healed(copy_of).flip("samples/2-up-rtprop.bin", offset).judge()
    verdict_is(told(verdict), Status.FAIL, Cause.CANARY_DAMAGED, None, "RTPROP")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("mounted=yes", "mounted=no"),
        ("options=rw", "options=ro"),
    ],
)
@pytest.mark.parametrize("epoch", [1, 2])
def test_a_kernel_that_does_not_do_what_rtprop_says(
    copy_of: CopyOf, told: Told, epoch: int, old: str, new: str
) -> None:
    copy = healed(copy_of)
    copy.edit(copy.fact_file(epoch, "efivarfs"), old, new)
    verdict_is(told(copy.judge()), Status.FAIL, Cause.TABLE_REFUSED, None)


def test_a_kernel_that_does_not_list_rtprop(copy_of: CopyOf, told: Told) -> None:
    copy = print_instead(healed(copy_of), " RTPROP=0x39fff100 ", " ")
    verdict_is(told(copy.judge()), Status.FAIL, Cause.TABLE_REFUSED, None, "RTPROP")


def test_a_guest_that_does_not_report_efivarfs(copy_of: CopyOf) -> None:
    copy = healed(copy_of).drop(type="frame", kind="fact", name="efivarfs", epoch=2)
    verdict_is(copy.judge(), Status.ERROR, Cause.MISSING_REPORT, None, "(efivarfs)")
