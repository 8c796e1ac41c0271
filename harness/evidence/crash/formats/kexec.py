"""Crash formats of kexec and kdump: the kernel, the purgatory, kexec-tools, and what distributions save dumps with."""

from __future__ import annotations

from harness.evidence.crash.formats.table import Format, row
from harness.evidence.crash.formats.values import Kind, Severity

_TAGS = r"(?:[\w./-]+\[\d+\]: |\S+ [\w./-]+\[\d+\]: )?"
"""A journal's: the program with its pid, and perhaps the host before it."""
_P, _O, _W = Severity.PANIC, Severity.OOPS, Severity.WARNING

KEXEC: tuple[Format, ...] = (
    # kexec-tools, purgatory/purgatory.c
    row(
        Kind.PURGATORY,
        "sha256 digests",
        r"sha256 digests do not match :\(",
        "kexec: purgatory found other bytes than were loaded",
        _P,
    ),
    # kernel/kexec_file.c, kernel/kexec_core.c, arch/x86/kernel/machine_kexec_64.c and crash.c
    row(
        Kind.KEXEC,
        ("kexec: ", "kexec_core: ", "kexec_file: "),
        r"(?:kexec_(?:core|file): |kexec: )(?P<what>(?:Could not|Failed to|Cannot|failed to|Overwriting|Invalid|Unable"
        r"|Undefined symbol|Unknown rela|Overflow in relocation|unable to|mapping elfcorehdr|number of Phdrs)"
        r"\b.*|\w+ segment .* failed.*)",
        "kexec: {what}",
        _W,
        stamped=True,
    ),
    # arch/x86/kernel/kexec-bzimage64.c; what it says of segments begins with "Loaded", and is no error
    row(
        Kind.KEXEC,
        "kexec-bzImage64: ",
        r"kexec-bzImage64: (?P<what>(?:File is too short|No x86 boot|Must be at least|Not a bzImage|zImage not"
        r"|XLF_CAN_BE_LOADED|bzImage (?:cannot|truncated)|Kernel command line too|Loading purgatory failed|Could not"
        r"|Appending elfcorehdr).*)",
        "kexec: {what}",
        _W,
        stamped=True,
    ),
    row(
        Kind.KEXEC,
        "crashkernel",
        r"(?:crashkernel reservation failed - (?P<what>.*?)\.?$|cannot allocate crashkernel)",
        "kdump: no memory was reserved for the crash kernel",
        _W,
        stamped=True,
    ),
    # kdump-utils (RHEL, Fedora), kdump.sh: the function's words, or the unit's tag with a pid, on top of each other
    row(
        Kind.KEXEC,
        "kdump",
        rf"{_TAGS}kdump(?:\.sh)?(?:\[\d+\])?: (?:kdump: )?(?P<what>(?:saving|sync) (?:vmcore(?:-dmesg\.txt)?) failed)",
        "kdump: {what}",
        _W,
    ),
    row(
        Kind.KEXEC,
        "kdump",
        rf"{_TAGS}kdump(?:\.sh)?(?:\[\d+\])?: (?:kdump: )?(?P<what>failed to dump to .*)",
        "kdump: {what}",
        _W,
    ),
    # makedumpfile.c, main(), and what it says before it
    row(Kind.KEXEC, "makedumpfile F", rf"{_TAGS}(?P<what>makedumpfile Failed)\b", "kdump: {what}", _W),
    # Debian's kdump-tools (kdump-config), SUSE's kdump-save and kdumptool
    row(
        Kind.KEXEC,
        "kdump",
        rf"{_TAGS}\s*(?:\* )?kdump-(?:tools|config|save)(?:\[\d+\])?: (?:\* )?(?:kdump-\w+: )?(?:ERROR: |Error: )?"
        r"(?P<what>(?:makedumpfile|makedumpfile --dump-dmesg|cp|saving|scp|sftp|mount) .*?failed|failed to .*"
        r"|[Uu]nable to save (?:vmcore|dump).*|Dump(?:ing)? failed.*|Cannot .*|could not .*)",
        "kdump: {what}",
        _W,
    ),
    row(
        Kind.KEXEC,
        "kdump",
        rf"{_TAGS}kdumptool(?:\[\d+\])?: (?:ERROR|Error|FATAL): (?P<what>.*)",
        "kdump: {what}",
        _W,
    ),
    # kexec-tools: kexec/kexec.c, kexec/kexec-syscall.h users
    row(
        Kind.KEXEC,
        "_load failed",
        rf"{_TAGS}(?:kexec(?:\[\d+\])?: )?(?P<what>kexec(?:_file)?_load failed: .*|kexec_load failed\b.*)",
        "kexec: {what}",
        _W,
    ),
    row(
        Kind.KEXEC,
        ("kexec: ", "kexec["),
        rf"{_TAGS}(?:kdumpctl(?:\[\d+\])?: )?kexec(?:\[\d+\])?: "
        r"(?P<what>(?:failed to load kdump kernel|load failed).*)",
        "kexec: {what}",
        _W,
    ),
    row(
        Kind.KEXEC,
        "free area of memory",
        rf"{_TAGS}(?P<what>Could not find a free area of memory of .*)",
        "kexec: {what}",
        _W,
    ),
    # fs/proc/vmcore.c: a capture kernel that cannot read the crashed kernel's memory
    row(
        Kind.KEXEC,
        ("Kdump: vmcore", "Core image elf header"),
        r"(?:Kdump|Warning): (?P<what>vmcore not initialized|Core image elf header .*)",
        "kdump: {what}",
        _O,
        stamped=True,
    ),
)
