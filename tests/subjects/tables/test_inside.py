"""What kernels show of a table whose bytes are intact."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.damage import PASSED
from support.records import Copy
from support.verdicts import verdict_is
from support.words import Told

from harness.model.causes import Cause, Status

CopyOf = Callable[[str], Copy]
FAIL, ERROR, UNSUPPORTED = Status.FAIL, Status.ERROR, Status.UNSUPPORTED


def test_esrt_fact_gone(copy_of: CopyOf, told: Told) -> None:
    verdict = copy_of(PASSED).drop(kind="fact", name="esrt", epoch=2).judge()
    verdict_is(told(verdict), ERROR, Cause.MISSING_REPORT, 2)


def test_acpi_bgrt_fact_gone(copy_of: CopyOf) -> None:
    verdict = copy_of("bgrt-kexec-load").heal("samples/2-up-bgrt.bin").drop(name="acpi-bgrt", epoch=1).judge()
    verdict_is(verdict, ERROR, Cause.MISSING_REPORT, 1, "(acpi-bgrt)")


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_sysfs_shows_something_else(copy_of: CopyOf, told: Told, epoch: int) -> None:
    copy = copy_of(PASSED)
    file = copy.fact_file(epoch, "esrt")
    copy.edit(file, "entry1/fw_version=65537", "entry1/fw_version=65538")
    verdict_is(told(copy.judge()), FAIL, Cause.TABLE_REFUSED, epoch, "entry1/fw_version", "65538", "65537", file)


def test_sysfs_shows_nothing(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(PASSED)
    (copy.path / copy.fact_file(3, "esrt")).write_text("absent\n")
    number = copy.print(3, "esrt: ESRT header is not in the memory map.")
    verdict_is(
        told(copy.judge()),
        FAIL,
        Cause.TABLE_REFUSED,
        3,
        f"console.log:{number}",
    )


def test_sysfs_shows_nothing_on_a_kernel_of_unknown_configuration(copy_of: CopyOf, told: Told) -> None:
    """A bzImage without its .config may be built without CONFIG_EFI_ESRT: that is not the kernel's fault."""
    copy = copy_of("esrt-runtime-data")
    for epoch in (1, 2, 3):
        (copy.path / copy.fact_file(epoch, "esrt")).write_text("absent\n")
    console = copy.path / "console.log"
    console.write_bytes(console.read_bytes().replace(b"esrt: ", b"xxxx: "))
    verdict_is(copy.judge(), FAIL, Cause.TABLE_REFUSED, 1)
    plan = copy.json("plan.json")
    for planned in plan["epochs"]:
        planned["kernel"]["config"] = None
    copy.edit_json("plan.json", epochs=plan["epochs"])
    verdict_is(told(copy.judge()), UNSUPPORTED, Cause.NO_CAPABILITY, 1)


def test_bgrt_moved(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of("bgrt-kexec-load").heal("samples/2-up-bgrt.bin")
    path = copy.path / copy.fact_file(2, "acpi-bgrt")
    data = bytearray(path.read_bytes())
    data[40] ^= 0x10  # the image's address,
    data[9] = (data[9] - (data[40] - (data[40] ^ 0x10))) % 256  # and the checksum that goes with it
    path.write_bytes(data)
    verdict_is(told(copy.judge()), FAIL, Cause.TABLE_REFUSED, 2, "0x3e521008", "0x3e521018")
