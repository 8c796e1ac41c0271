"""Crash formats around the kernel: firmware, the EFI stub, kexec, purgatory, Xen."""

from __future__ import annotations

from harness.evidence.crash.table import Format, Reason, row
from harness.evidence.crash.values import Kind, Severity

_XEN = r"\(XEN\) (?:\[[^\]]*\] )?"
_TAGS = r"(?:[\w./-]+\[\d+\]: |\S+ [\w./-]+\[\d+\]: )?"
"""A journal's: the program with its pid, and perhaps the host before it."""
_P, _O, _W = Severity.PANIC, Severity.OOPS, Severity.WARNING

PLATFORM: tuple[Format, ...] = (
    # EDK2: UefiCpuPkg/Library/CpuExceptionHandlerLib, MdePkg/Library/BaseDebugLibSerialPort and its like. The memory
    # debugger may print to a line that OVMF's terminal driver has begun, so the marker may stand behind other words.
    row(
        Kind.FIRMWARE,
        "!!!! ",
        r".*?!!!! (?P<arch>[A-Za-z]\w+) Exception Type - (?P<number>[0-9A-Fa-f]{2,16})\((?P<what>[^)]*)\)",
        "firmware: {arch} exception {what}",
        _P,
    ),
    row(
        Kind.FIRMWARE,
        "!!!! ",
        r".*?!!!! (?P<arch>[A-Za-z]\w+) Exception Type - (?P<number>[0-9A-Fa-f]{2,16})\b",
        "firmware: {arch} exception {number}",
        _P,
    ),
    row(
        Kind.FIRMWARE,
        "Exception at 0x",
        r"(?:Synchronous|IRQ|FIQ|SError) Exception at 0x",
        "firmware: AARCH64 exception",
        _P,
    ),
    row(
        Kind.FIRMWARE,
        "ASSERT",
        r"ASSERT \[(?P<module>[^\]]*)\] \S+?\(\d+\): (?P<what>.*)",
        "firmware: ASSERT in {module}: {what}",
        _P,
    ),
    # MdeModulePkg/Universal/StatusCodeHandler: the same by status codes, with a module in brackets or without
    row(
        Kind.FIRMWARE,
        "ASSERT",
        r"(?:DXE|PEI|SMM|MM)_ASSERT!?: \[(?P<module>[^\]]*)\] .*?\(\d+\): (?P<what>.*)",
        "firmware: ASSERT in {module}: {what}",
        _P,
    ),
    row(
        Kind.FIRMWARE,
        "ASSERT",
        r"(?:DXE|PEI|SMM|MM)_ASSERT!?: .*?\(\d+\): (?P<what>.*)",
        "firmware: ASSERT: {what}",
        _P,
    ),
    row(Kind.FIRMWARE, "ASSERT", r"ASSERT .*?\(\d+\): (?P<what>.*)", "firmware: ASSERT: {what}", _P),
    row(Kind.FIRMWARE, "ASSERT", r"ASSERT_(?:RETURN_)?EFI_ERROR \((?P<what>.*)\)", "firmware: ASSERT: {what}", _P),
    # arch/x86/platform/efi/quirks.c, efi_crash_gracefully_on_page_fault()
    row(
        Kind.FIRMWARE,
        "Firmware Bug]",
        r"(?:efi: )?\[Firmware Bug\]: Page fault caused by firmware at PA: ",
        "firmware: page fault in a runtime service",
        _W,
    ),
    # arch/arm64/kernel/efi.c, efi_runtime_fixup_exception(): "paging request", "read from unreadable memory" ...
    row(
        Kind.FIRMWARE,
        "Firmware Bug]",
        r"(?:efi: )?\[Firmware Bug\]: Unable to handle (?P<what>.*?) in EFI runtime service",
        "firmware: page fault ({what}) in a runtime service",
        _W,
    ),
    # drivers/firmware/efi/runtime-wrappers.c, efi_call_virt_check_flags()
    row(
        Kind.FIRMWARE,
        "Firmware Bug]",
        r"(?:efi: )?\[Firmware Bug\]: IRQ flags corrupted \(.*\) by EFI (?:call from )?(?P<what>\w+)",
        "firmware: IRQ flags corrupted by {what}",
        _W,
    ),
    row(
        Kind.FIRMWARE,
        "wedged in",
        r"efi: EFI runtime service \d+ wedged in firmware",
        "firmware: a runtime service does not return",
        _W,
    ),
    # drivers/firmware/efi/libstub, efi_err(); arch/x86/boot/compressed/misc.c, error()
    row(Kind.STUB, "EFI stub: E", r"EFI stub: ERROR: (?P<what>.*)", "EFI stub: {what}", _O, passing=True),
    # arch/x86/boot/compressed/eboot.c, drivers/firmware/efi/efi-stub-helper.c until 3.19: no word in front
    row(
        Kind.STUB,
        "ailed",
        r"(?P<what>(?:efi_main|exit_boot|efi_relocate_kernel|make_boot_params|setup_gop|efi_call_phys\w*)\(\) failed!?)",
        "EFI stub: {what}",
        _O,
        passing=True,
    ),
    row(
        Kind.STUB,
        "ailed",
        r"(?P<what>Failed to (?:alloc(?:ate)? (?:lowmem|highmem|mem|memory|usable memory|space|pool) for [\w ]+"
        r"|get (?:handle|info|file info|initrd info|file size)\b[^:]*|handle fs_proto|open (?:volume|initrd file|file)"
        r"|read (?:initrd|file)\w*|relocate (?:kernel|to)[\w ]*|exit boot services|get memory map"
        r"|(?:determine|update)[\w ]+FDT[\w ]*))\W*$",
        "EFI stub: {what}",
        _O,
        passing=True,
    ),
    row(Kind.STUB, "-- System halted", r"(?P<what>\S.*?)\s*-- System halted", "boot: {what}", _P),
    # The reason is the line before, where error() printed one
    row(
        Kind.STUB,
        "-- System halted",
        r"\s*-- System halted",
        "boot{reason}",
        _P,
        reason=Reason.BEFORE,
        unnamed="boot: system halted",
    ),
    # The same, behind a kernel that did not end: only so it is a crash (report.py, _is_unexpected())
    row(
        Kind.REBOOT,
        "Booting the kernel",
        r"(?:.*\bdone\.)?\s*Booting the kernel\b",
        "unexpected kernel reboot",
        _P,
    ),
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
        "kexec",
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
        "kexec",
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
        "vmcore",
        rf"{_TAGS}kdump(?:\.sh)?(?:\[\d+\])?: (?:kdump: )?(?P<what>(?:saving|sync) (?:vmcore(?:-dmesg\.txt)?) failed)",
        "kdump: {what}",
        _W,
    ),
    row(
        Kind.KEXEC,
        "ailed to dump",
        rf"{_TAGS}kdump(?:\.sh)?(?:\[\d+\])?: (?:kdump: )?(?P<what>failed to dump to .*)",
        "kdump: {what}",
        _W,
    ),
    # makedumpfile.c, main(), and what it says before it
    row(Kind.KEXEC, "makedumpfile", rf"{_TAGS}(?P<what>makedumpfile Failed)\b", "kdump: {what}", _W),
    # Debian's kdump-tools (kdump-config), SUSE's kdump-save and kdumptool
    row(
        Kind.KEXEC,
        "kdump",
        rf"{_TAGS}(?:\* )?kdump-(?:tools|config|save)(?:\[\d+\])?: (?:\* )?(?:kdump-\w+: )?(?:ERROR: |Error: )?"
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
        "kexec",
        rf"{_TAGS}(?:kexec(?:\[\d+\])?: )?(?P<what>kexec(?:_file)?_load failed: .*|kexec_load failed\b.*)",
        "kexec: {what}",
        _W,
    ),
    row(
        Kind.KEXEC,
        "ailed",
        rf"{_TAGS}(?P<what>kexec(?:\[\d+\])?: (?:failed to load kdump kernel|load failed).*"
        r"|kdumpctl(?:\[\d+\])?: kexec: failed to load kdump kernel|Cannot (?:load|open) `[^']*'.*"
        r"|Could not find a free area of memory of .*|locate_hole failed|Unable to find a free region.*)",
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
    # Xen: xen/common/domain.c, xen/arch/x86/traps.c, xen/drivers/char/console.c, panic()
    row(
        Kind.XEN,
        "(XEN)",
        rf"{_XEN}Panic on CPU \d+:",
        "Xen: panic{reason}",
        _P,
        reason=Reason.BEHIND,
        unnamed="Xen: panic",
    ),
    row(Kind.XEN, "(XEN)", rf"{_XEN}\*\*\* DOUBLE FAULT \*\*\*", "Xen: double fault", _P),
    # xen/arch/x86/hvm/hvm.c, hvm_triple_fault(), vmx.c, svm.c
    row(
        Kind.XEN,
        "riple fault",
        rf"{_XEN}(?:\S*:\d+:)?(?:d\d+v\d+ |Dom\d+ )?[Tt]riple fault\b.*",
        "Xen: triple fault in a domain",
        _P,
    ),
    row(
        Kind.XEN,
        "(XEN)",
        rf"{_XEN}(?:\S*:\d+:)?d\d+v\d+ (?P<what>Failed vm entry|vmentry failure|Unexpected PIO status|Bad vmexit)\b.*",
        "Xen: {what} in a domain",
        _P,
    ),
    row(
        Kind.XEN,
        "(XEN)",
        # "halted" and "shutdown: rebooting" are what dom0 asks for when it is powered off and restarted
        rf"{_XEN}(?:Hardware )?Dom(?:ain )?0 (?P<what>crashed|shutdown: watchdog)",
        "Xen: dom0 {what}",
        _P,
    ),
    # xen/arch/x86/traps.c: the first word on an exception that a PV kernel has no handler for yet
    row(
        Kind.XEN,
        "(XEN)",
        rf"{_XEN}d\d+v\d+ Unhandled: vec \d+, (?P<what>#\w+)\[",
        "Xen: unhandled {what} in a domain",
        _P,
    ),
    # arch/x86/xen/setup.c, xen_memory_setup(), through xen_raw_console_write(); BUG() follows, without a console
    row(
        Kind.XEN,
        "Xen hypervisor allocated",
        r"Xen hypervisor allocated (?P<what>\w+) memory conflicts with E820 map",
        "Xen dom0: {what} memory conflicts with E820 map",
        _P,
    ),
    row(
        Kind.XEN,
        "(XEN)",
        rf"{_XEN}Domain \d+ \(vcpu#\d+\) crashed on cpu#\d+",
        "Xen: a domain crashed",
        _P,
    ),
    row(
        Kind.XEN,
        "(XEN)",
        rf"{_XEN}domain_crash(?:_sync)? called from (?P<what>[^\s:]+)",
        "Xen: domain_crash called from {what}",
        _P,
    ),
    row(Kind.XEN, "(XEN)", rf"{_XEN}FATAL TRAP: (?P<what>.*)", "Xen: fatal trap: {what}", _P),
    row(Kind.XEN, "(XEN)", rf"{_XEN}Xen BUG at (?P<what>\S+?):\d+", "Xen: BUG at {what}", _P),
    row(
        Kind.XEN,
        "(XEN)",
        rf"{_XEN}Assertion '(?P<what>.*)' failed at ",
        "Xen: assertion failed: {what}",
        _P,
    ),
    # A program of the test gave up: the words of syzkaller's executor.
    row(Kind.TOOL, "SYZFA", r"(?:\d{4}/\d\d/\d\d [\d:]{8} )?SYZFATAL: (?P<what>.*)", "SYZFATAL: {what}", _W),
    # Trusty, the secure world of Android
    row(Kind.TOOL, "panic", r"trusty: panic .*ASSERT FAILED.*?\): (?P<what>.*)", "trusty: ASSERT FAILED: {what}", _P),
    row(Kind.TOOL, "panic", r"trusty: panic \(.*?\): (?P<what>.*)", "trusty: panic: {what}", _P),
    # A Go program died: src/runtime/panic.go
    row(Kind.TOOL, "panic", r"panic: runtime error: ", "go runtime error", _W),
    row(
        Kind.TOOL,
        "fatal error: ",
        r"fatal error: (?:runtime|all goroutines|concurrent map|unexpected signal|out of memory)",
        "go runtime error",
        _W,
    ),
    row(Kind.TOOL, "SYZFA", r"(?:\d{4}/\d\d/\d\d [\d:]{8} )?SYZFAIL: (?P<what>.*)", "SYZFAIL: {what}", _W),
)
