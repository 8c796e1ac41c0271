"""harness.evidence.crash; each case says where its wording comes from"""

import pytest

from harness.evidence import crash, klog
from harness.evidence.crash import Severity


def found(*texts: str, stamp: bool = True) -> tuple[crash.Crash, ...]:
    stamped = (f"[   12.345678] {text}" if stamp else text for text in texts)
    return crash.find(klog.lines("\n".join(stamped).encode()))


PANIC, OOPS, WARNING = Severity
RIP = "RIP: 0010:efi_memmap_insert+0x11d/0x191"
OLD_RIP = "RIP: 0010:[<ffffffff82d4e304>]  [<ffffffff82d4e304>] __memset+0x24/0x30"


@pytest.mark.parametrize(
    ("texts", "title", "severity"),
    [
        # kernel/panic.c
        (
            ["Kernel panic - not syncing: Fatal exception in interrupt"],
            "kernel panic: Fatal exception",
            PANIC,
        ),
        # Debian 6.1.192 after kexec_load without an initrd
        (
            ["Kernel panic - not syncing: Cannot find place for new RAMDISK of size -67272518431148520"],
            "kernel panic: Cannot find place for new RAMDISK of size NUM",
            PANIC,
        ),
        # linux-efi 964e8e1d: efi_fake_mem counts too few descriptors
        (
            ["BUG: unable to handle page fault for address: ffffffffff281000", "#PF: supervisor write access", RIP],
            "BUG: unable to handle kernel paging request in efi_memmap_insert",
            OOPS,
        ),
        # the wording before 5.1, from syzkaller's report test data
        (
            ["BUG: unable to handle kernel paging request at ffff88002bde1e40", OLD_RIP],
            "BUG: unable to handle kernel paging request in __memset",
            OOPS,
        ),
        (
            ["BUG: kernel NULL pointer dereference, address: 0000000000000000", "RIP: 0010:0x0"],
            "BUG: unable to handle kernel NULL pointer dereference",
            OOPS,
        ),
        (
            ["kernel BUG at mm/slub.c:4040!", "invalid code", "RIP: 0010:kfree.part.0+0x1/0x2"],
            "kernel BUG in kfree",
            OOPS,
        ),
        # arch/x86/kernel/dumpstack.c, older and newer
        (
            ["general protection fault: 0000 [#1] PREEMPT SMP PTI", RIP],
            "general protection fault in efi_memmap_insert",
            OOPS,
        ),
        (
            [
                "Oops: general protection fault, probably for non-canonical address 0xdffffc0000000000: 0000 [#1] SMP",
                RIP,
            ],
            "general protection fault in efi_memmap_insert",
            OOPS,
        ),
        (["divide error: 0000 [#1] SMP", RIP], "divide error in efi_memmap_insert", OOPS),
        (["invalid opcode: 0000 [#1] SMP", RIP], "invalid opcode in efi_memmap_insert", OOPS),
        (["Oops: 0002 [#1] PREEMPT SMP NOPTI", RIP], "Oops in efi_memmap_insert", OOPS),
        (["Oops: Oops: 0002 [#1] PREEMPT SMP NOPTI"], "Oops", OOPS),
        (["PANIC: double fault, error_code: 0x0", RIP], "PANIC: double fault in efi_memmap_insert", PANIC),
        # syzbot f86e49ba96853e315c26 and 144d1f35995353c5779c
        (
            ["BUG: TASK stack guard page was hit at ffffc90001717fd8 (stack is ffffc90001718000..ffffc90001720000)"],
            "BUG: stack guard page was hit",
            OOPS,
        ),
        (
            ["BUG: stack guard page was hit at 00000000b2f481cf (stack is 000000009cbf9546..0000000099742d14)"],
            "BUG: stack guard page was hit",
            OOPS,
        ),
        # kernel/watchdog.c
        (
            ["watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [swapper/0:1]", RIP],
            "BUG: soft lockup in efi_memmap_insert",
            WARNING,
        ),
        (["NMI watchdog: Watchdog detected hard LOCKUP on cpu 0"], "hard LOCKUP", WARNING),
        (["watchdog: CPU3: Watchdog detected hard LOCKUP on cpu 3"], "hard LOCKUP", WARNING),
        # kernel/rcu/tree_stall.h
        (["rcu: INFO: rcu_preempt self-detected stall on CPU"], "INFO: rcu detected stall", WARNING),
        (["INFO: rcu_sched detected stalls on CPUs/tasks:"], "INFO: rcu detected stall", WARNING),
        # kernel/hung_task.c
        (["INFO: task kworker/u2:0:7 blocked for more than 120 seconds."], "INFO: task hung", WARNING),
        # kernel/panic.c until 6.18 and since 6.19
        (
            ["WARNING: CPU: 0 PID: 1 at drivers/firmware/efi/efi.c:600 efi_mem_reserve+0x1d/0x40"],
            "WARNING in efi_mem_reserve",
            WARNING,
        ),
        (
            ["WARNING: drivers/firmware/efi/efi.c:600 at efi_mem_reserve+0x1d/0x40, CPU#0: swapper/0/1"],
            "WARNING in efi_mem_reserve",
            WARNING,
        ),
        # lib/list_debug.c
        (
            ["list_del corruption. prev->next should be ffff888, but was 0", RIP],
            "BUG: corrupted list in efi_memmap_insert",
            OOPS,
        ),
        # 3cb4a4827596: the kernel took all of ZONE_DMA
        (
            ["swapper/0: page allocation failure: order:10, mode:0xcc1(GFP_KERNEL|GFP_DMA), nodemask=(null)"],
            "page allocation failure: order:10",
            WARNING,
        ),
        # mm/kasan/report.c, mm/kfence/report.c, lib/ubsan.c
        (
            [
                "BUG: KASAN: slab-use-after-free in efi_memmap_insert+0x11d/0x191",
                "Write of size 8 at addr ffff8880 by task x/1",
            ],
            "KASAN: slab-use-after-free Write in efi_memmap_insert",
            OOPS,
        ),
        (
            ["BUG: KFENCE: out-of-bounds read in test_out_of_bounds_read+0xa6/0x234"],
            "KFENCE: out-of-bounds read in test_out_of_bounds_read",
            OOPS,
        ),
        (
            ["UBSAN: shift-out-of-bounds in drivers/firmware/efi/x.c:12:34"],
            "UBSAN: shift-out-of-bounds in drivers/firmware/efi/x.c",
            WARNING,
        ),
        (["WARNING: possible circular locking dependency detected"], "possible deadlock", WARNING),
        # arch/x86/platform/efi/quirks.c
        (
            ["[Firmware Bug]: Page fault caused by firmware at PA: 0x20000000"],
            "firmware: page fault in a runtime service",
            WARNING,
        ),
        (
            ["BUG: using smp_processor_id() in preemptible code"],
            "BUG: using smp_processor_id() in preemptible code",
            OOPS,
        ),
    ],
)
def test_kernel(texts: list[str], title: str, severity: Severity):
    first = found(*texts)[0]
    assert (first.title, first.severity, first.line_number) == (title, severity, 1)
    assert first.text == texts[0]


@pytest.mark.parametrize(
    ("text", "title", "severity"),
    [
        # EDK2: CpuExceptionHandlerLib, BaseDebugLibSerialPort
        (
            "!!!! X64 Exception Type - 0D(#GP - General Protection)  CPU Apic ID - 00000000 !!!!",
            "firmware: X64 exception #GP - General Protection",
            PANIC,
        ),
        (
            "ASSERT [DxeCore] /build/edk2/MdePkg/Library/BaseLib/LinkedList.c(83): List->ForwardLink != ((void *) 0)",
            "firmware: ASSERT in DxeCore: List->ForwardLink != ((void *) NUM)",
            PANIC,
        ),
        # drivers/firmware/efi/libstub/x86-stub.c
        ("EFI stub: ERROR: efi_stub_entry() failed!", "EFI stub: efi_stub_entry() failed!", OOPS),
        # kexec-tools 2.0.25, purgatory/purgatory.c
        ("sha256 digests do not match :(", "kexec: purgatory found other bytes than were loaded", PANIC),
    ],
)
def test_firmware_and_stub_have_no_timestamp(text: str, title: str, severity: Severity):
    (only,) = found(text, stamp=False)
    assert (only.title, only.severity) == (title, severity)


@pytest.mark.parametrize(
    "text",
    [
        "kasan: KernelAddressSanitizer initialized",
        "Kernel command line: console=ttyS0 panic=-1 kasan.fault=panic oops=panic",
        "systemd[1]: Kernel panic - not syncing: only talked about",
        "~ # echo 'Kernel panic - not syncing: test'",
        "agent: BUG: unable to handle page fault for address: 0",
        "rcu: RCU_CPU_STALL_TIMEOUT set",
        "watchdog: Delayed init of the lockup detector failed: -19",
        "Kernel panic timeout is 10",
        "EFI stub: WARNING: Failed to measure data",
        "EFI stub: Loaded initrd from LINUX_EFI_INITRD_MEDIA_GUID device path",
        "ASSERT_RTNL was here",
        "Oops, something went wrong",
        "INFO: task started",
        "general protection faults are bad",
        "list_add: ok",
        "---[ end trace 0000000000000000 ]---",
        "---[ end Kernel panic - not syncing: Fatal exception ]---",
        "kexec_core: Starting new kernel",
        "I'm in purgatory",
    ],
)
@pytest.mark.parametrize("stamp", [True, False])
def test_lines_that_are_no_crash(text: str, stamp: bool):
    assert found(text, stamp=stamp) == ()


def test_a_programs_bug_line_needs_the_kernels_timestamp():
    assert found("BUG: this program is confused", stamp=False) == ()
    assert len(found("BUG: this kernel is confused")) == 1


def test_a_programs_warning_needs_the_kernels_timestamp_too():
    text = "WARNING: Running pip as the root user can result in broken permissions"
    assert found(text, stamp=False) == ()
    (only,) = found("WARNING: the clock runs backwards by 4096 ns")
    assert (only.title, only.severity) == ("WARNING: the clock runs backwards by NUM ns", WARNING)


def test_a_drivers_warning_has_its_device_in_front():
    (only,) = found("usb 5-1: WARNING: firmware is older than 3", stamp=False)
    assert only.title == "WARNING: firmware is older than NUM"
    assert found("make 4.3: WARNING - nothing to do", stamp=False) == ()


@pytest.mark.parametrize(
    "text",
    [
        "WARNING: the mand mount option is being deprecated and",
        "WARNING: fbcon: Driver 'drmfb' missed to adjust virtual screen size (0x0 vs. 64x16)",
        "WARNING: `dhclient' uses wireless extensions which will stop working for Wi-Fi 7 hardware",
        "WARNING: 'bootconfig' found on the kernel command line but CONFIG_BOOT_CONFIG is not set.",
        "WARNING: polling idle and HT enabled, performance may degrade",
    ],
)
def test_remarks_that_nothing_went_wrong_behind(text: str):
    assert found(text) == ()


@pytest.mark.parametrize(
    ("text", "title", "severity"),
    [
        # arch/x86/kernel/kexec-bzimage64.c, kernel/kexec_file.c, arch/x86/kernel/crash.c
        ("kexec-bzImage64: Loading purgatory failed", "kexec: Loading purgatory failed", WARNING),
        (
            "kexec-bzImage64: bzImage cannot handle 5-level paging mode.",
            "kexec: bzImage cannot handle 5-level paging mode.",
            WARNING,
        ),
        ("kexec: Undefined symbol: purgatory_start", "kexec: Undefined symbol: purgatory_start", WARNING),
        ("kexec: mapping elfcorehdr segment failed", "kexec: mapping elfcorehdr segment failed", WARNING),
        # kernel/crash_reserve.c
        (
            "cannot allocate crashkernel low memory (size:0x10000000).",
            "kdump: no memory was reserved for the crash kernel",
            WARNING,
        ),
        # fs/proc/vmcore.c
        ("Kdump: vmcore not initialized", "kdump: vmcore not initialized", OOPS),
        ("Warning: Core image elf header not found", "kdump: Core image elf header not found", OOPS),
    ],
)
def test_kexec_and_kdump(text: str, title: str, severity: Severity):
    (only,) = found(text)
    assert (only.title, only.severity) == (title, severity)


@pytest.mark.parametrize(
    "text", ["kexec-bzImage64: Loaded purgatory at 0x9d000", "kexec-bzImage64: Final command line is: x"]
)
def test_what_kexec_says_of_its_segments(text: str):
    assert found(text) == ()


@pytest.mark.parametrize(
    ("texts", "title"),
    [
        # arch/x86/kernel/traps.c, with its pr_fmt, in 5.10, 6.1 and 6.12
        (["traps: PANIC: double fault, error_code: 0x0", RIP], "PANIC: double fault in efi_memmap_insert"),
        # kernel/panic.c, check_panic_on_warn()
        (["Kernel panic - not syncing: kernel: panic_on_warn set ..."], "kernel panic: panic_on_warn set"),
        # arch/arm64/mm/fault.c, die_kernel_fault()
        (
            [
                "Unable to handle kernel write to read-only memory at virtual address ffff800080000000",
                "pc : one+0x1/0x2",
            ],
            "BUG: unable to handle kernel paging request in one",
        ),
        # kernel/workqueue.c in 6.12, not in 6.1
        (
            ["BUG: workqueue leaked atomic, lock or RCU: kworker/u4:2[45]", "     last function: efi_call_rts"],
            "BUG: workqueue leaked atomic, lock or RCU in efi_call_rts",
        ),
    ],
)
def test_wordings_of_later_kernels(texts: list[str], title: str):
    assert found(*texts)[0].title == title


def test_an_early_exception_has_no_timestamp():
    lines = [
        "PANIC: early exception 0x0e IP 10:ffffffff82d4e304 error 2 cr2 0xffffffffff281000",
        f"[    0.000000] {RIP}",
    ]
    crashes = crash.find(klog.lines("\n".join(lines).encode()))
    assert [(item.title, item.severity) for item in crashes] == [
        ("PANIC: early exception 0x0e in efi_memmap_insert", PANIC)
    ]


def test_one_report_gives_its_lines_in_order():
    crashes = found(
        "BUG: unable to handle page fault for address: ffffffffff281000",
        "#PF: error_code(0x0002) - not-present page",
        "Oops: 0002 [#1] PREEMPT SMP",
        RIP,
        "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000009",
    )
    assert [(item.severity, item.line_number) for item in crashes] == [(OOPS, 1), (OOPS, 3), (PANIC, 5)]
    assert crashes[2].title == "kernel panic: Attempted to kill init!"


def test_titles_have_no_addresses_and_pids():
    one = found("BUG: Bad rss-counter state mm:ffff888012345678 type:MM_ANONPAGES val:2")[0].title
    other = found("BUG: Bad rss-counter state mm:ffff88801fffffff type:MM_ANONPAGES val:7")[0].title
    assert one == other
    one = found("BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 30s!")[0].title
    assert one == "BUG: workqueue lockup"
