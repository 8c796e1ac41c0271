"""Option ROMs: the image, QEMU's arguments, and the sizes that a scenario may ask for."""

from __future__ import annotations

import struct

import pytest
from pydantic import ValidationError
from support.synthetic import kernel, plan, prepared, scenario

from harness.model.scenario import Machine
from harness.plan import planner
from harness.subjects.seams import optionrom


@pytest.mark.parametrize("size", [2**16, 2**24])
def test_the_image_is_one_that_firmware_takes(size: int) -> None:
    """PCI Firmware Specification 3.3, section 5.1; the ids are those of the device, else QEMU would change them."""
    data = optionrom.image(size)
    assert len(data) == size
    assert data[:2] == b"\x55\xaa"
    (at,) = struct.unpack_from("<H", data, 0x18)
    assert data[at : at + 4] == b"PCIR"
    assert struct.unpack_from("<HH", data, at + 4) == (0x1B36, 0x0005)
    assert struct.unpack_from("<H", data, at + 0x0A) == (0x18,)
    assert struct.unpack_from("<H", data, at + 0x10)[0] * 512 == size
    assert (data[at + 0x14], data[at + 0x15]) == (0, 0x80)
    assert sum(data) % 256 == 0


def test_each_device_has_its_rom_in_the_run_directory() -> None:
    made = plan(
        scenario(machine={"memory": "1GiB", "option_roms": ["1MiB", "16MiB", "1MiB"]}), prepared([kernel()] * 2)
    )
    named = [word.partition("{run}/")[2] for word in made.argv if word.startswith("pci-testdev")]
    assert named == ["option-rom-1024K.rom", "option-rom-16384K.rom", "option-rom-1024K.rom"]
    files = planner.input_files(made)
    assert [len(files[name]) for name in named] == [2**20, 2**24, 2**20]


@pytest.mark.parametrize("size", [0, 2**15, 3 * 2**20, 2**25])
def test_a_size_that_no_rom_has_is_refused(size: int) -> None:
    with pytest.raises(ValidationError, match="an option ROM has 64KiB, 128KiB"):
        Machine(option_roms=[size])
