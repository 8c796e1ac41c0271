"""The page."""

from __future__ import annotations

PAGE_BYTES = 4096
"""Of x86 and of EFI: everywhere the same, and only here."""
