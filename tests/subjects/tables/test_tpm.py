"""The TPM event log, lost by a kernel with the bug put back; and what the judge makes of what else goes wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.records import Copy
from support.verdicts import check_of, said, verdict_is
from support.words import Told

from harness.model import guids
from harness.model.causes import Cause, Status

CopyOf = Callable[[str], Copy]
RUN = "tables-tpm-log-twin"
LOG, FINAL = "table_intact: tpm-log", "table_intact: tpm-final-log"


def fact(copy: Copy, epoch: int) -> str:
    return copy.fact_file(epoch, "tpm-log")


def healed(copy_of: CopyOf) -> Copy:
    """As if the kernel of epoch 2 had found the log as it was, and shown it."""
    copy = copy_of(RUN)
    good = (copy.path / "samples/1-up-tpm-log.bin").read_bytes()
    sha256 = str(copy.only(type="sample", file="samples/1-up-tpm-log.bin")["sha256"])
    (copy.path / "samples/2-up-tpm-log.bin").write_bytes(good)
    copy.change({"sha256": sha256}, type="sample", file="samples/2-up-tpm-log.bin")
    copy.change({"body_file": "facts/tpm"}, kind="fact", name="tpm-log", epoch=2)
    (copy.path / "facts/tpm").write_bytes((copy.path / fact(copy, 1)).read_bytes())
    return copy


def test_the_loss(copy_of: CopyOf, told: Told) -> None:
    verdict = copy_of(RUN).judge()
    verdict_is(
        told(verdict),
        Status.FAIL,
        Cause.TPM_LOG_CORRUPT,
        2,
        "0x3e5a8018",
        "segment[3]",
        "0x3da00000-0x3ea72fff",
        "kexec_load",
        "/proc/iomem",
    )
    assert check_of(verdict, FINAL).cause is Cause.TABLE_REFUSED, "which the loss of the log explains"


def test_without_the_loss_it_passes(copy_of: CopyOf, told: Told) -> None:
    verdict = healed(copy_of).judge()
    assert verdict.status is Status.PASS, said(verdict)
    told(check_of(verdict, LOG))
    assert "5068" in check_of(verdict, LOG).summary
    assert "0x3e5a8018" in check_of(verdict, LOG).summary
    told(check_of(verdict, FINAL))
    assert "0x3f7f6000" in check_of(verdict, FINAL).summary
    told(check_of(verdict, "tpm"))
    assert "0x3f7f6000" in check_of(verdict, "tpm").summary


@pytest.mark.parametrize("sample", ["1-loaded", "2-up"])
@pytest.mark.parametrize(
    ("name", "offset"), [("tpm-log", 0), ("tpm-log", 5067), ("tpm-final-log", 8), ("tpm-final-log", 460)]
)
def test_a_byte_from_outside(copy_of: CopyOf, sample: str, name: str, offset: int) -> None:
    copy = healed(copy_of).flip(f"samples/{sample}-{name}.bin", offset)
    verdict_is(
        copy.judge(),
        Status.FAIL,
        Cause(f"{name}-corrupt"),
        int(sample[0]),
        f"1 of {5068 if name == 'tpm-log' else 461} bytes",
    )


@pytest.mark.parametrize("epoch", [1, 2])
@pytest.mark.parametrize(
    "at",
    [
        0,
        5058,
        5503,
    ],
)
def test_a_byte_that_the_kernel_shows(copy_of: CopyOf, told: Told, epoch: int, at: int) -> None:
    copy = healed(copy_of)
    path = copy.path / fact(copy, epoch)
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)
    verdict_is(told(copy.judge()), Status.FAIL, Cause.TABLE_REFUSED, epoch, fact(copy, epoch))


def test_the_kernel_shows_no_log(copy_of: CopyOf, told: Told) -> None:
    copy = healed(copy_of)
    (copy.path / "facts/tpm").write_bytes(b"")
    verdict_is(told(copy.judge()), Status.FAIL, Cause.TABLE_REFUSED, 2, "/sys/kernel/security/tpm0")


def test_the_guest_did_not_report_it(copy_of: CopyOf) -> None:
    copy = healed(copy_of).drop(kind="fact", name="tpm-log", epoch=2)
    verdict_is(copy.judge(), Status.ERROR, Cause.MISSING_REPORT, 2, "(tpm-log)")


def test_it_was_never_found(copy_of: CopyOf, told: Told) -> None:
    copy = healed(copy_of).drop(type="sample", subject="tpm-log")
    verdict_is(told(copy.judge()), Status.ERROR, Cause.MISSING_REPORT, 2)
    note = {"type": "note", "t_s": 0.0, "epoch": 1, "text": "tpm-log: the first kernel's efi: line does not list it"}
    copy.entries = [note, *copy.entries]
    verdict_is(told(copy.judge()), Status.UNSUPPORTED, Cause.NO_TABLE, 2)
    told(check_of(copy.judge(), LOG))


def test_firmware_did_not_find_the_tpm(copy_of: CopyOf, told: Told) -> None:
    copy = healed(copy_of)
    name = str(copy.only(kind="systab")["body_file"])
    lines = copy.read(name).splitlines(keepends=True)
    (copy.path / name).write_text("".join(line for line in lines if guids.TPM_FINAL_LOG not in line.lower()))
    verdict = copy.judge()
    verdict_is(told(verdict), Status.UNSUPPORTED, Cause.NO_CAPABILITY, 2)
    copy.drop(kind="systab")
    assert check_of(copy.judge(), "tpm").cause is Cause.MISSING_REPORT
