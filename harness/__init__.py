"""harness: QEMU/OVMF integration tests for the seams between UEFI firmware, kexec and kdump.

SPDX-License-Identifier: GPL-2.0-or-later
"""
