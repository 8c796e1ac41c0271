"""Runs on Xen, damaged: each check is seen to go red for its own reason."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from support.records import Copy, Edit, said

from harness.model.causes import Cause, Status
from harness.model.verdict import Check, Verdict

CopyOf = Callable[[str], Copy]
FAIL, ERROR = Status.FAIL, Status.ERROR
REFUSED, LOST, MOVED = "xen-rtprop-6.12", "xen-esrt-4.17", "xen-esrt-4.20"
DIED, BGRT, KEPT_BGRT, MAPBS = "xen-rtprop-6.1", "xen-bgrt", "xen-bgrt-kept", "xen-mapbs"
UNLISTED, KEXEC = "xen-no-descriptor", "xen-kexec"
UNUSABLE = "(RTPROP=0x3bfff100 unusable)"
ESRT_GUID = bytes.fromhex("63a222b1 6136 684f 9929 78f8b0d62180")


def verdict_is(verdict: Verdict, status: Status, cause: Cause, *words: str) -> None:
    seen = f"{verdict.status} {verdict.cause}\n{said(verdict)}"
    assert (verdict.status, verdict.cause) == (status, cause), seen
    for word in words:
        assert word in seen, f"{word!r} is not in:\n{seen}"


def check_of(verdict: Verdict, name: str) -> Check:
    return next(check for check in verdict.checks if check.name.startswith(name))


def rewrite(copy: Copy, sample: str, change: Callable[[bytearray], None]) -> Copy:
    """Change a sample, and what was noted of it."""
    path = copy.path / sample
    data = bytearray(path.read_bytes())
    change(data)
    assert data != path.read_bytes()
    path.write_bytes(data)
    return copy.change({"sha256": hashlib.sha256(data).hexdigest()}, type="sample", file=sample)


def pointing_to(address: int) -> Callable[[bytearray], None]:
    """The ESRT's entry of the configuration table, changed."""

    def change(data: bytearray) -> None:
        at = data.index(ESRT_GUID) + 16
        data[at : at + 8] = address.to_bytes(8, "little")

    return change


def repointed(copy: Copy, address: int) -> Copy:
    """As if Xen had left, or made, the ESRT's entry so."""
    for border in ("xen", "dom0", "up"):
        rewrite(copy, f"samples/1-{border}-config-tables.bin", pointing_to(address))
    return copy


def console(copy: Copy, old: bytes, new: bytes) -> Copy:
    """Replace text on the console without moving the phases in it."""
    data = (copy.path / "console.log").read_bytes()
    assert old in data
    assert len(old) == len(new)
    (copy.path / "console.log").write_bytes(data.replace(old, new))
    return copy


# What dom0 takes


def test_a_table_that_dom0_takes_from_memory_that_is_not_kept(copy_of: CopyOf) -> None:
    copy = console(copy_of(REFUSED), UNUSABLE.encode(), b"RTPROP=0x3bfff100 ".ljust(len(UNUSABLE)))
    verdict_is(
        copy.judge(),
        FAIL,
        Cause.XEN_TABLE_UNPROTECTED,
        "dom0 takes the RTPROP table at 0x3bfff100 from EfiBootServicesData, which Xen does not keep; other bytes lie",
    )


def test_a_dom0_that_dies_of_a_table(copy_of: CopyOf) -> None:
    verdict = copy_of(DIED).judge()
    verdict_is(verdict, FAIL, Cause.XEN_TABLE_UNPROTECTED, "efi_config_parse_tables")
    assert check_of(verdict, "run").cause is Cause.DOM0_CRASHED


def test_a_table_that_is_not_refused_because_it_is_not_named(copy_of: CopyOf) -> None:
    copy = console(copy_of(REFUSED), UNUSABLE.encode(), b" " * len(UNUSABLE))
    verdict_is(copy.judge(), ERROR, Cause.MISSING_REPORT, "dom0 does not name the RTPROP table")


def test_nothing_to_refuse(copy_of: CopyOf) -> None:
    line = b"000003bfff000-000003bffffff type=4"
    copy = console(copy_of(REFUSED), line, line.replace(b"type=4", b"type=9"))
    verdict_is(copy.judge(), ERROR, Cause.SETUP_NOT_PROVED, "there is nothing to refuse")


# What Xen moves


def test_a_copy_that_is_not_whole(copy_of: CopyOf) -> None:
    verdict_is(copy_of(LOST).judge(), FAIL, Cause.XEN_TABLE_LOST, "bytes 0x78 to 0x84 of 0x88 differ", "70 74 61 6c")


@pytest.mark.parametrize("offset", [0, 0x87])
def test_one_byte_of_the_copy(copy_of: CopyOf, offset: int) -> None:
    copy = copy_of(MOVED).flip("samples/1-up-esrt-copy.bin", offset)
    verdict_is(copy.judge(), FAIL, Cause.XEN_TABLE_LOST, f"bytes {offset:#x} to {offset:#x} of 0x88 differ")


def test_a_table_that_was_not_moved(copy_of: CopyOf) -> None:
    copy = repointed(copy_of(MOVED), 0x3BFFF100)
    verdict_is(copy.judge(), FAIL, Cause.XEN_TABLE_UNPROTECTED, "0x3bfff100 from EfiBootServicesData")


def test_a_table_that_was_moved_to_memory_that_is_not_kept(copy_of: CopyOf) -> None:
    copy = repointed(copy_of(MOVED), 0x02000000)
    address = b"ESRT=0x3f773018 "
    console(copy, address, b"(SRT=0x3f77301) ")  # dom0 does not name it
    verdict_is(copy.judge(), FAIL, Cause.XEN_TABLE_LOST, "moved it to 0x2000000, in EfiConventionalMemory")


def test_a_copy_that_dom0_shows_otherwise(copy_of: CopyOf) -> None:
    copy = copy_of(MOVED)
    copy.edit(copy.fact_file(1, "esrt"), "fw_resource_count=3", "fw_resource_count=2")
    verdict_is(copy.judge(), FAIL, Cause.TABLE_REFUSED, "fw_resource_count")


def test_a_copy_that_dom0_calls_unusable(copy_of: CopyOf) -> None:
    copy = console(copy_of(MOVED), b" ESRT=0x3f773018 ", b"(ESRT=3 unusable)")
    console(copy, b"(ESRT=3 unusable)", b"(E=0x1  unusable)")
    verdict_is(copy.judge(), FAIL, Cause.TABLE_REFUSED, "dom0 does not name it")


# The BGRT


def test_an_image_that_xen_did_not_take_out(copy_of: CopyOf) -> None:
    def pointer(data: bytearray) -> None:
        data[40:48] = (0x3E51E018).to_bytes(8, "little")

    copy = rewrite(copy_of(BGRT), "samples/1-up-bgrt-table.bin", pointer)
    verdict_is(copy.judge(), FAIL, Cause.XEN_TABLE_LOST, "left the BGRT pointing to 0x3e51e018")
    copy.edit(copy.fact_file(1, "bgrt"), "absent", "version=1")
    verdict_is(copy.judge(), FAIL, Cause.XEN_TABLE_UNPROTECTED, "dom0 shows a BGRT image from 0x3e51e018")


def test_an_image_that_dom0_shows_although_there_is_none(copy_of: CopyOf) -> None:
    copy = copy_of(BGRT)
    copy.edit(copy.fact_file(1, "bgrt"), "absent", "version=1")
    verdict_is(copy.judge(), FAIL, Cause.TABLE_REFUSED, "the BGRT has no image any more")


def test_a_dom0_that_reserves_what_is_not_its_own(copy_of: CopyOf) -> None:
    verdict = copy_of(KEPT_BGRT).judge()
    verdict_is(verdict, FAIL, Cause.XEN_RESERVE, "WARNING in efi_mem_reserve")
    assert check_of(verdict, "xen_table").status is Status.PASS


def test_a_kept_image_that_changes(copy_of: CopyOf) -> None:
    verdict = copy_of(KEPT_BGRT).flip("samples/1-up-bgrt.bin", 0x100).judge()
    assert check_of(verdict, "xen_table").cause is Cause.XEN_TABLE_LOST


# -mapbs


def test_pages_that_stay_while_dom0_dies(copy_of: CopyOf) -> None:
    verdict = copy_of(MAPBS).judge()
    verdict_is(verdict, FAIL, Cause.DOM0_CRASHED, "Hardware Dom0 halted")
    assert check_of(verdict, "xen_table").status is Status.PASS
    assert "stayed at 0x3bfff100" in check_of(verdict, "xen_table").summary


@pytest.mark.parametrize("sample", ["1-xen", "1-dom0", "1-end"])
@pytest.mark.parametrize("offset", [0, 0x100], ids=["canary", "table"])
def test_one_byte_of_pages_that_should_stay(copy_of: CopyOf, sample: str, offset: int) -> None:
    verdict = copy_of(MAPBS).flip(f"samples/{sample}-private.bin", offset).judge()
    verdict_is(verdict, FAIL, Cause.XEN_TABLE_LOST, "the pages of the private table at 0x3bfff100 were written to")


def test_pages_that_were_not_looked_at(copy_of: CopyOf) -> None:
    verdict = copy_of(MAPBS).drop(type="sample", point="dom0").judge()
    assert check_of(verdict, "xen_table").cause is Cause.MISSING_REPORT


# Was it Xen, and the right one?

NOT_PROVED: dict[str, tuple[bytes, bytes, str]] = {
    "another version": (b"(XEN) Xen version 4.17.7", b"(XEN) Xen version 4.18.7", "Xen 4.18.7 ran, planned was 4.17"),
    "other options": (b"loglvl=all guest", b"loglvl=err guest", "Xen's options are"),
    "bare hardware": (b"kernel on Xen", b"kernel on you", "the kernel does not say that it runs on Xen"),
}


@pytest.mark.parametrize("name", NOT_PROVED)
def test_a_hypervisor_that_is_not_proved(copy_of: CopyOf, name: str) -> None:
    old, new, words = NOT_PROVED[name]
    verdict_is(console(copy_of(REFUSED), old, new).judge(), ERROR, Cause.SETUP_NOT_PROVED, words)


def _as_if_mapbs(copy: Copy) -> None:
    plan = copy.json("plan.json")
    copy.edit_json("plan.json", hypervisor={**plan["hypervisor"], "mapbs": True})


def _no_map(copy: Copy) -> None:
    console(copy, b" type=", b" kind=")


def _no_tables(copy: Copy) -> None:
    copy.drop(subject="config-tables", point="up").drop(subject="config-tables", point="dom0")
    copy.drop(subject="config-tables", point="xen")


def _other_firmware(copy: Copy) -> None:
    copy.flip("samples/0-handoff-config-tables.bin", 16)


def _changed_later(copy: Copy) -> None:
    copy.flip("samples/1-dom0-config-tables.bin", 16)


LACKING: dict[str, tuple[Edit, Cause, str]] = {
    "-mapbs that shows nowhere": (_as_if_mapbs, Cause.SETUP_NOT_PROVED, "boot services memory is usable"),
    "no map": (_no_map, Cause.MISSING_REPORT, "Xen's EFI memory map is not on the console"),
    "another table at the hand-off": (
        _other_firmware,
        Cause.SETUP_NOT_PROVED,
        "not the one that the EFI agent reported",
    ),
    "a table that changes": (_changed_later, Cause.SETUP_NOT_PROVED, "changed while Xen ran: samples/1-dom0-config"),
    "no configuration table": (_no_tables, Cause.MISSING_REPORT, "the configuration table was not sampled"),
}


@pytest.mark.parametrize("name", LACKING)
def test_what_a_verdict_needs(copy_of: CopyOf, name: str) -> None:
    edit, cause, words = LACKING[name]
    copy = copy_of(REFUSED)
    edit(copy)
    verdict_is(copy.judge(), ERROR, cause, words)


def test_xen_panics(copy_of: CopyOf) -> None:
    old = b"(XEN) Hardware Dom0 halted: halting"
    copy = console(copy_of(MAPBS), old, b"(XEN) Panic on CPU 0:\n(XEN) It is.".ljust(len(old)))
    copy.edit_json("end.json", detail="Xen: Panic on CPU 0:")
    verdict_is(copy.judge(), FAIL, Cause.XEN_PANIC, "panic of Xen: ")


# A table in no descriptor; a kexec by Xen


def test_a_table_that_is_in_no_descriptor(copy_of: CopyOf) -> None:
    verdict = copy_of(UNLISTED).judge()
    verdict_is(verdict, FAIL, Cause.XEN_TABLE_UNPROTECTED, "0x3bfff100 from memory that is in no EFI descriptor")
    assert check_of(verdict, "setup").status is Status.PASS


def test_a_table_that_should_be_in_no_descriptor_and_is(copy_of: CopyOf) -> None:
    copy = copy_of(UNLISTED)
    plan = copy.json("plan.json")
    plan["tables"][0]["listed"] = True
    verdict = copy.edit_json("plan.json", tables=plan["tables"]).judge()
    verdict_is(verdict, ERROR, Cause.SETUP_NOT_PROVED, "as nothing, planned was BootServicesData")


def test_a_kexec_that_xen_does(copy_of: CopyOf) -> None:
    verdict = copy_of(KEXEC).judge()
    assert verdict.status is Status.PASS, said(verdict)


def test_a_kexec_of_which_xen_says_nothing(copy_of: CopyOf) -> None:
    copy = console(copy_of(KEXEC), b"(XEN) Executing kexec image", b"(XEN) Executing some ima.. ")
    verdict_is(copy.judge(), ERROR, Cause.STALLED_CONSOLE, "'Executing kexec image on cpu' is missing")


def test_xen_on_32_bit_firmware(copy_of: CopyOf) -> None:
    words = "the EFI agent reports: the kernel has no entry point for this firmware (CONFIG_EFI_MIXED)"
    verdict = copy_of(REFUSED).end_at(1, "stub", "guest-error", words).judge()
    run = check_of(verdict, "run")
    assert (run.status, run.cause) == (Status.UNSUPPORTED, Cause.NO_CAPABILITY)
    assert run.hint == "xen.efi is for 64-bit firmware: use ovmf-x64."
