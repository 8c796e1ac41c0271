"""the ESRT; the messages and sysfs formats are those of drivers/firmware/efi/esrt.c (5.10 to 7.3)"""

import dataclasses
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evidence.defect import Defect
from harness.evidence.tables import esrt
from harness.evidence.tables.esrt import Esrt

ENTRIES = esrt.make_entries(12, "1a2b3c4d")
TABLE = esrt.build(ENTRIES)


def parsed(data: bytes) -> Esrt:
    table = esrt.parse(data)
    assert isinstance(table, Esrt)
    return table


def sysfs(table: Esrt, prefix: str = "") -> str:
    rows = [f"fw_resource_count={table.count}", f"fw_resource_count_max={table.count_max}"]
    rows.append(f"fw_resource_version={table.version}")
    for number, entry in enumerate(table.entries):
        for name, value in dataclasses.asdict(entry).items():
            shown = f"0x{value:x}" if name == "capsule_flags" else value
            rows.append(f"entries/entry{number}/{name}={shown}")
    # A directory listing is sorted as text: entry10 comes before entry2.
    return "".join(f"{prefix}{row}\n" for row in sorted(rows))


def shown(text: str) -> Esrt:
    table = esrt.parse_sysfs(text)
    assert isinstance(table, Esrt)
    return table


def test_layout():
    table = esrt.build(ENTRIES[:1])
    assert len(table) == 16 + 40
    assert struct.unpack_from("<IIQ", table) == (1, 1, 1)
    # EFI_GUID: the first three fields are little-endian (UEFI spec 2.10, appendix A)
    assert table[16:24] == bytes.fromhex("4d3c2b1a 17e5 0040")
    assert struct.unpack_from("<6I", table, 32)[1] == 0x10000


def test_build_and_parse_agree():
    table = parsed(TABLE + b"canary")
    assert table.entries == ENTRIES
    assert (table.count, table.count_max, table.version, table.size_bytes) == (12, 12, 1, 16 + 12 * 40)


def test_entries_differ_in_every_run_and_among_themselves():
    assert len({entry.fw_class for entry in (*ENTRIES, *esrt.make_entries(12, "00000001"))}) == 24
    assert esrt.make_entries(12, "1a2b3c4d") == ENTRIES


@pytest.mark.parametrize(("count", "nonce"), [(129, "1a2b3c4d"), (-1, "1a2b3c4d"), (1, "xyz"), (1, "1A2B3C4D")])
def test_make_entries_refuses(count: int, nonce: str):
    with pytest.raises(ValueError, match=r"ESRT entries|nonce"):
        esrt.make_entries(count, nonce)


def test_version_as_the_kernel_prints_it():
    # Seen on Debian 6.1.192 and 7.2.13 after kexec_load: signed, as %lld.
    for printed in (6980079922269219956, -8849880031527209339):
        defect = esrt.parse(struct.pack("<IIq", 3, 3, printed) + bytes(120))
        assert isinstance(defect, Defect)
        assert defect.kernel_message == f"Unsupported ESRT version {printed}."


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "do not hold the 16-byte"),
        (struct.pack("<IIQ", 0, 0, 0), "version is 0x0"),
        (struct.pack("<IIQ", 129, 129, 1) + bytes(129 * 40), "claims 129 entries"),
        (struct.pack("<IIQ", 2, 2, 1) + bytes(79), "do not hold 2 ESRT entries"),
    ],
)
def test_refused(data: bytes, text: str):
    defect = esrt.parse(data)
    assert isinstance(defect, Defect)
    assert text in defect.text


def test_an_impossible_count_as_the_kernel_prints_it():
    defect = esrt.parse(struct.pack("<IIQ", 0x80000000, 0, 1))
    assert isinstance(defect, Defect)
    assert defect.kernel_message == "ESRT says fw_resource_count has very large value -2147483648."


@pytest.mark.parametrize("prefix", ["", "/sys/firmware/efi/esrt/", "esrt/", "./"])
def test_sysfs_in_any_order_of_lines(prefix: str):
    if prefix == "./":
        assert isinstance(esrt.parse_sysfs(sysfs(parsed(TABLE), prefix)), Defect)
        return
    assert shown(sysfs(parsed(TABLE), prefix)) == parsed(TABLE)


def test_agreement():
    assert esrt.differences(parsed(TABLE), shown(sysfs(parsed(TABLE)))) == ()


@given(st.integers(0, 11), st.sampled_from([field.name for field in dataclasses.fields(esrt.EsrtEntry)][1:]))
def test_every_field_of_every_entry_is_compared(number: int, name: str):
    entries = list(ENTRIES)
    entries[number] = dataclasses.replace(entries[number], **{name: getattr(entries[number], name) ^ 0x40})
    (line,) = esrt.differences(parsed(TABLE), shown(sysfs(parsed(esrt.build(entries)))))
    assert line.startswith(f"entry{number}/{name} is ")


def test_red_comparisons():
    table = parsed(TABLE)
    swapped = esrt.build([ENTRIES[1], ENTRIES[0], *ENTRIES[2:]])
    assert any("entry0/fw_class" in line for line in esrt.differences(table, shown(sysfs(parsed(swapped)))))
    fewer = esrt.differences(table, shown(sysfs(parsed(esrt.build(ENTRIES[:3])))))
    assert "fw_resource_count is 3 in sysfs, 12 in the table" in fewer
    assert "3 entries in sysfs, 12 in the table" in fewer
    assert esrt.differences(table, None) == ("the kernel shows no ESRT in /sys/firmware/efi/esrt",)
    assert esrt.differences(table, Defect("the report is broken")) == ("the report is broken",)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda text: text.replace("fw_resource_version=1\n", ""), "lacks fw_resource_version"),
        (lambda text: text.replace("entries/entry3/fw_type=1\n", ""), "lacks entries/entry3/fw_type"),
        (lambda text: text.replace("capsule_flags=0x10000\n", "capsule_flags=many\n"), "bad value"),
        (lambda text: "".join(row for row in text.splitlines(True) if "entry4/" not in row), "gap"),
        (lambda text: text + "cat: Permission denied\n", "without '='"),
    ],
)
def test_a_broken_fact_is_described(change, text: str):
    defect = esrt.parse_sysfs(change(sysfs(parsed(TABLE))))
    assert isinstance(defect, Defect)
    assert text in defect.text


def test_absent():
    assert esrt.parse_sysfs("absent\n") is None
