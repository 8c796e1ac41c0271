"""EFI statuses by name."""

from __future__ import annotations

import pytest

from harness.evidence.efistatus import name_of, with_name


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (0, "EFI_SUCCESS"),
        (1, ""),
        (2**63, ""),
        (2**63 + 1, "EFI_LOAD_ERROR"),
        (2**63 + 9, "EFI_OUT_OF_RESOURCES"),
        (2**63 + 14, "EFI_NOT_FOUND"),
        (2**63 + 21, "EFI_ABORTED"),
        (2**63 + 26, "EFI_SECURITY_VIOLATION"),
        (2**63 + 28, "EFI_END_OF_MEDIA"),
        (2**63 + 29, ""),
        (2**63 + 31, "EFI_END_OF_FILE"),
        (2**63 + 35, "EFI_HTTP_ERROR"),
        (2**63 + 36, ""),
        (2**31 + 9, "EFI_OUT_OF_RESOURCES"),
    ],
)
def test_names(number: int, name: str) -> None:
    """UEFI spec 2.10, appendix D; EDK2's MdePkg/Include/Uefi/UefiBaseType.h."""
    assert name_of(number) == name


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("0x800000000000000e", "EFI_NOT_FOUND, 0x800000000000000e"),
        ("0x8000000000000063", "0x8000000000000063"),
        (str(2**63 + 21), f"EFI_ABORTED, {2**63 + 21}"),
        ("?", "?"),
        ("99", "99"),
        ("-1", "-1"),
    ],
)
def test_shown_with_the_number(said: str, shown: str) -> None:
    assert with_name(said) == shown
