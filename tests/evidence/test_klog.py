"""harness.evidence.klog; the messages are those of the kernel sources named in its table"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evidence import klog
from harness.evidence.klog import Tone

# OVMF's way of speaking before a kernel, and a kernel's first words on the same line.
CLEAR = b"\x1b[2J\x1b[01;01H\x1b[=3h"
FIRMWARE = CLEAR + CLEAR + b'BdsDxe: starting Boot0001 "UEFI Misc Device"\r\n\x1b[0m\x1b[37m\x1b[40m'


def texts(data: bytes) -> list[str]:
    return [line.text for line in klog.lines(data)]


def test_numbers_offsets_and_timestamps():
    data = (
        b"BdsDxe: loading\r\n\r\n[    0.000000] Linux version 6.1.0-56-cloud-amd64 (x)\r\n"
        b"[   12.345678][  T1] no newline"
    )
    found = klog.lines(data)
    assert [line.number for line in found] == [1, 2, 3, 4]
    assert [line.timestamp_s for line in found] == [None, None, 0.0, 12.345678]
    assert [data[line.offset :][:5] for line in found] == [b"BdsDx", b"\r\n[  ", b"[    ", b"[   1"]
    assert found[3].text == "no newline"
    assert found[2].text == "Linux version 6.1.0-56-cloud-amd64 (x)"


def test_empty_log():
    assert klog.lines(b"") == (klog.Line(1, 0, None, ""),)
    assert len(klog.lines(b"a\n")) == 1


def test_escapes_of_ovmf():
    found = klog.lines(FIRMWARE + b"[    0.000000] Linux version 6.12.107 (x)\r\n")
    assert [line.text for line in found] == [
        'BdsDxe: starting Boot0001 "UEFI Misc Device"',
        "Linux version 6.12.107 (x)",
    ]
    assert [line.number for line in found] == [1, 2]


def test_a_kernel_that_begins_behind_firmwares_last_words():
    data = CLEAR + b"EFI stub: Loaded initrd[    0.000000] Linux version 6.12.107 (x)\r\n"
    first, second = klog.lines(data)
    assert (first.text, second.text) == ("EFI stub: Loaded initrd", "Linux version 6.12.107 (x)")
    assert (first.number, second.number, second.timestamp_s) == (1, 1, 0.0)
    assert data[second.offset :].startswith(b"[    0.000000]")


def test_noise_survives():
    assert texts(b"\x00\x00[    1.500000] a\x00b\n") == ["ab"]
    assert texts(b"bad \xff\xfe utf-8 \xc3\xa4\n") == ["bad \\xff\\xfe utf-8 ä"]
    assert texts(b"bell\x07 \x1b]0;title\x07end\n") == ["bell\\x07 end"]


def test_a_message_behind_a_prompt():
    # from syzkaller's report test data, and a shell's prompt
    found = klog.lines(b"isob2 login: [  709.689951] INFO: rcu_sched detected stalls\n~ # [    1.000000] BUG: x\n")
    assert [line.text for line in found] == ["isob2 login:", "INFO: rcu_sched detected stalls", "~ #", "BUG: x"]
    assert found[1].timestamp_s == 709.689951


def test_not_behind_a_typed_command():
    (line,) = klog.lines(b"~ # echo '[    1.000000] Kernel panic - not syncing: x'\n")
    assert line.timestamp_s is None


@given(st.binary(max_size=200))
def test_any_bytes_keep_their_places(data: bytes):
    found = klog.lines(data)
    assert all(line.number == data[: line.offset].count(b"\n") + 1 for line in found)
    assert all("\x1b" not in line.text and "\x00" not in line.text for line in found)


@pytest.mark.parametrize(
    ("text", "subject", "tone"),
    [
        ("esrt: Reserving ESRT space from 0x000000003bfff100 to 0x000000003bfff188.", "esrt", Tone.GOOD),
        # Debian 6.1.192 and 7.2.13 after kexec_load
        ("esrt: Unsupported ESRT version 6980079922269219956.", "esrt", Tone.BAD),
        ("esrt: Unsupported ESRT version -8849880031527209339.", "esrt", Tone.BAD),
        ("esrt: ESRT says fw_resource_count has very large value 1145130824.", "esrt", Tone.BAD),
        ("esrt: ESRT header is not in the memory map.", "esrt", Tone.BAD),
        ("esrt: ESRT header doesn't fit on single memory map entry. (size: 16 max: 8)", "esrt", Tone.BAD),
        ("esrt: ESRT memory map entry can only hold the header. (max: 0 size: 40)", "esrt", Tone.BAD),
        ("esrt: ESRT does not fit on single memory map entry (size: 16 max: 56)", "esrt", Tone.BAD),
        ("esrt: early_memremap(0000000012345678, 16) failed.", "esrt", Tone.BAD),
        ("esrt: ESRT entry creation failed with error -12.", "esrt", Tone.BAD),
        # Ubuntu 5.3.0-19 -s, Debian 6.1.192 -c
        ("efi_bgrt: Ignoring BGRT: Incorrect BMP magic number 0xd775 (expected 0x4d42)", "bgrt", Tone.BAD),
        ("efi_bgrt: Ignoring BGRT: invalid image address", "bgrt", Tone.BAD),
        ("efi: memattr: Unexpected EFI Memory Attributes table version -595957390", "memattr", Tone.BAD),
        ("efi: memattr: Unexpected EFI Memory Attributes descriptor size 48 (expected: 40)", "memattr", Tone.NOTE),
        ("efi: memattr: Unexpected EFI Memory Attributes descriptor size 9 (expected: 48)", "memattr", Tone.BAD),
        (
            "efi: memattr: [Firmware Bug]: Corrupted EFI Memory Attributes Table detected! "
            "(version == 1, desc_size == 2072184435, num_entries == 3248688968)",
            "memattr",
            Tone.BAD,
        ),
        ("efi: memattr: Entry type should be RuntimeServiceCode/Data", "memattr", Tone.BAD),
        ("efi: memattr: ! 0x000000000000-0x000000000fff [Reserved|...]", "memattr", Tone.BAD),
        ("efi: Failed to lookup EFI memory descriptor for 0x000000003bfff100", "efi", Tone.BAD),
        ("efi: Region spans EFI memory descriptors, 0x000000003bfff100", "efi", Tone.BAD),
        ("efi: Freeing EFI boot services memory: 54388K", "efi", Tone.NOTE),
    ],
)
def test_table_messages(text: str, subject: str, tone: Tone):
    (message,) = klog.table_messages(klog.lines(f"[    0.001234] {text}\n".encode()))
    assert (message.subject, message.tone, message.line.text) == (subject, tone, text)
    assert message.meaning


@pytest.mark.parametrize(
    "text",
    [
        "Command line: console=ttyS0 harness.note=esrt:Unsupported",
        "systemd[1]: esrt: Unsupported ESRT version 2.",
        "esrt: something new",
        "efi: memattr: Processing EFI Memory Attributes table:",
        "ACPI: BGRT 0x000000003F773000 000038 (v01 INTEL  EDK2     00000002      01000013)",
    ],
)
def test_other_messages_are_not_about_tables(text: str):
    assert klog.table_messages(klog.lines(f"[    0.001234] {text}\n".encode())) == ()


def test_banners():
    log = klog.lines(
        b"[    0.000000] Linux version 6.1.0-56-cloud-amd64 (debian-kernel@lists.debian.org) (gcc) #1\n"
        b"Linux version 6.1.0-56-cloud-amd64 (shown by cat /proc/version) #1\n"
        b"[    3.000000] agent: Linux version 9 (x)\n"
        b"[    0.000000] Linux version 6.12.117+deb13-cloud-amd64 (x) #1\n"
    )
    assert [(banner.release, banner.line.number) for banner in klog.banners(log)] == [
        ("6.1.0-56-cloud-amd64", 1),
        ("6.12.117+deb13-cloud-amd64", 4),
    ]


def test_config_tables():
    log = klog.lines(
        b"[    0.000000] efi: EFI v2.70 by Debian distribution of EDK II\n"
        b"[    0.000000] efi: SMBIOS=0x3f520000 ACPI=0x3f77d000 ACPI 2.0=0x3f77d014 MEMATTR=0x3db09518 "
        b"ESRT=0x3bfff100 \n"
        b"[    0.000000] efi: SMBIOS=0x3f520000 MEMATTR=0xffffffffffffffff (ESRT=0x3bfff100 unusable) \n"
        b"[    0.000000] efi: mem00: [Boot Data] range=[0x0000000000000000-0x0000000000000fff]\n"
    )
    first, second = klog.config_tables(log)
    assert first == {
        "SMBIOS": 0x3F520000,
        "ACPI": 0x3F77D000,
        "ACPI 2.0": 0x3F77D014,
        "MEMATTR": 0x3DB09518,
        "ESRT": 0x3BFFF100,
    }
    assert second == {"SMBIOS": 0x3F520000, "MEMATTR": 2**64 - 1, "ESRT": 0x3BFFF100}


@pytest.mark.parametrize(
    "stamp",
    ["[   12.345678][      T0] ", "[   12.345678] [      T0] ", "<6>[   12.345678][    C1] ", "[   12.345678] "],
)
def test_callers_are_no_part_of_a_message(stamp: str):
    """makedumpfile 1.7.6 prints them in vmcore-dmesg.txt, which is held against the dump's log."""
    (line,) = klog.lines(f"{stamp}pci 0000:00:1f.2: BAR 4\n".encode())
    assert (line.timestamp_s, line.text, line.kernel) == (12.345678, "pci 0000:00:1f.2: BAR 4", True)


def test_a_journals_banner_is_one():
    data = b"Mar 02 08:09:10 box kernel: Linux version 6.12.0 (me@box) (gcc 13)\nLinux version 6.1 (shown)\n"
    assert [banner.release for banner in klog.banners(klog.lines(data))] == ["6.12.0"]
