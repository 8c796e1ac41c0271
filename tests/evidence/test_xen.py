from __future__ import annotations

from harness.evidence import klog, xen
from harness.evidence.ranges import Range

# From a console of Xen 4.17.7 and Linux 6.12; the last line of Xen comes in the middle of one of dom0's.
LOG = b"""\
(XEN) Xen version 4.17.7 (Debian 4.17.7+13-g2445b30a44-0+deb12u1) (x86_64-linux-gnu-gcc (Debian 12.2.0)) debug=n\r
(XEN) [2026-11-28 16:20:17] Command line: com1=115200,8n1 console=com1 \r
(XEN) EFI RAM map:\r
(XEN)  [0000000000000000, 000000000009ffff] (usable)\r
(XEN)  [000000003fb6c000, 000000003fb7dfff] (ACPI data)\r
(XEN)  000003bffd000-000003bffffff type=4 attr=000000000000000f\r
(XEN)  000003eea0000-000003efa1fff type=6 attr=800000000000000f\r
[    0.000000] Linux version 6.12.118+deb13-amd64 (gcc) #1 SMP\r
[    0.000000] efi: EFI v2.7 by EDK II\r
[    0.000000] efi: SMBIOS=0x3f920000 ACPI 2.0=0x3fb7d014 (MEMATTR=0x3e9f2018 unusable) ESRT=0x3fb73018 (RTPROP=0x3bffe100 unusable) \r
[    1.000000] half of a line (XEN) Xen speaks\r
"""  # noqa: E501


def test_xen_and_dom0_are_told_apart() -> None:
    lines = klog.lines(LOG)
    assert [line.text for line in lines if xen.is_xen(line)][-1] == "(XEN) Xen speaks"
    assert [line.text for line in xen.dom0(lines)][-1] == "half of a line"
    assert len({line.number for line in lines[-2:]}) == 1


def test_what_xen_says_it_is() -> None:
    lines = klog.lines(LOG)
    found = xen.version(lines)
    assert found is not None
    assert (found[0], found[1].number) == ("4.17.7", 1)
    assert xen.command_line(lines) == "com1=115200,8n1 console=com1"
    assert xen.version(lines[8:]) is None
    assert xen.command_line(lines[8:]) is None


def test_maps() -> None:
    lines = klog.lines(LOG)
    boot, runtime = xen.efi_map(lines)
    assert (boot.type_name, boot.range, boot.runtime) == ("BootServicesData", Range(0x3BFFD000, 0x3C000000), False)
    assert (runtime.type_name, runtime.runtime) == ("RuntimeServicesData", True)
    assert xen.e820(lines)[1] == (Range(0x3FB6C000, 0x3FB7E000), "ACPI data")


def test_what_dom0_says_of_tables() -> None:
    found = {item.name: (item.address, item.usable) for item in xen.listed(klog.lines(LOG))}
    assert found == {
        "SMBIOS": (0x3F920000, True),
        "ACPI 2.0": (0x3FB7D014, True),
        "MEMATTR": (0x3E9F2018, False),
        "ESRT": (0x3FB73018, True),
        "RTPROP": (0x3BFFE100, False),
    }
    assert xen.listed(klog.lines(b"(XEN) efi: ESRT=0x1\n[    0.000000] efi: EFI v2.7 by EDK II\n")) == ()


def test_a_complaint_in_the_middle_of_the_names() -> None:
    log = (
        b"[    0.000000] efi: ACPI=0x3f77d000 (MEMATTR=0x3e5f0018 unusable) \r\n"
        b"[    0.000000] Failed to lookup header 0x3bfff000 in Xen memory map: error -3\r\n"
        b"[    0.000000] MOKvar=0x3bfff100 (RTPROP=0x3bffe100 unusable) \r\n"
        b"[    0.000000] secureboot: Secure boot disabled\r\n"
        b"[    0.000000] ESRT=0x1 \r\n"
    )
    found = [(item.name, item.usable, item.line.number) for item in xen.listed(klog.lines(log))]
    assert found == [("ACPI", True, 1), ("MEMATTR", False, 1), ("MOKvar", True, 3), ("RTPROP", False, 3)]
