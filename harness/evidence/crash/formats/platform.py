"""Crash formats around the kernel: firmware, the EFI stub, kexec, purgatory, Xen."""

from __future__ import annotations

from harness.evidence.crash.formats.table import Format, Reason, row
from harness.evidence.crash.formats.values import Kind, Severity

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
        "() failed",
        r"(?P<what>(?:efi_main|exit_boot|efi_relocate_kernel|make_boot_params|setup_gop)\(\) failed!?)",
        "EFI stub: {what}",
        _O,
        passing=True,
    ),
    row(
        Kind.STUB,
        (
            "Failed to alloc",
            "Failed to get ",
            "Failed to handle fs_proto",
            "Failed to open ",
            "Failed to read ",
            "Failed to reloc",
        ),
        r"(?P<what>Failed to (?:alloc(?:ate)? (?:lowmem|highmem|mem|memory|usable memory|space|pool) for [\w ]+"
        r"|get (?:handle|info|file info|initrd info|file size)\b[^:]*|handle fs_proto|open (?:volume|initrd file|file)"
        r"|read (?:initrd|file)\w*|relocate (?:kernel|to)[\w ]*|exit boot services|get memory map"
        r"))\W*$",
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
    # A program of the test gave up: the words of syzkaller's executor.
    row(Kind.TOOL, "SYZFA", r"(?:\d{4}/\d\d/\d\d [\d:]{8} )?SYZFATAL: (?P<what>.*)", "SYZFATAL: {what}", _W),
    # Trusty, the secure world of Android
    row(
        Kind.TOOL,
        "trusty: panic",
        r"trusty: panic .*ASSERT FAILED.*?\): (?P<what>.*)",
        "trusty: ASSERT FAILED: {what}",
        _P,
    ),
    row(Kind.TOOL, "trusty: panic", r"trusty: panic \(.*?\): (?P<what>.*)", "trusty: panic: {what}", _P),
    # A Go program died: src/runtime/panic.go
    row(Kind.TOOL, "panic: runtime", r"panic: runtime error: ", "go runtime error", _W),
    row(
        Kind.TOOL,
        "fatal error: ",
        r"fatal error: (?:runtime|all goroutines|concurrent map|unexpected signal|out of memory)",
        "go runtime error",
        _W,
    ),
    row(Kind.TOOL, "SYZFA", r"(?:\d{4}/\d\d/\d\d [\d:]{8} )?SYZFAIL: (?P<what>.*)", "SYZFAIL: {what}", _W),
)
