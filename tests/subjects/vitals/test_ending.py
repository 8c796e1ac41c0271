"""How a run ends, and whose fault that is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.damage import OOPS, PANIC, PASSED
from support.records import Copy, Edit
from support.verdicts import check_of, said, verdict_is
from support.words import Told

from harness.model.causes import Cause, Status
from harness.model.record import EndKind

CopyOf = Callable[[str], Copy]
FAIL, ERROR, UNSUPPORTED = Status.FAIL, Status.ERROR, Status.UNSUPPORTED

ENDS: dict[str, tuple[Edit, Status, Cause, int]] = {
    "panic": (lambda c: c.end_at(2, "userspace", "panic"), FAIL, Cause.SILENT_PANIC, 2),
    "boot-loop": (lambda c: c.end_at(2, "kernel", "boot-loop"), FAIL, Cause.BOOT_LOOP, 2),
    "halted": (lambda c: c.end_at(2, "kexec jump", "halted"), FAIL, Cause.STUB_FAILED, 2),
    "port-lost": (lambda c: c.end_at(2, "userspace", "port-lost"), ERROR, Cause.PORT_LOST, 2),
    "clock-skew": (lambda c: c.end_at(1, "userspace", "clock-skew"), ERROR, Cause.CLOCK_SKEW, 1),
    "reset": (lambda c: c.end_at(2, "kernel", "reset"), FAIL, Cause.RESET, 2),
    "poweroff": (lambda c: c.end_at(2, "kernel", "poweroff"), FAIL, Cause.POWEROFF, 2),
    "back": (lambda c: c.end_at(2, "kexec jump", "back-in-firmware"), FAIL, Cause.BACK_IN_FIRMWARE, 2),
    "timeout-start": (lambda c: c.end_at(0, "start", "timeout"), ERROR, Cause.NO_BOOT, 0),
    "timeout-firmware": (lambda c: c.end_at(0, "firmware", "timeout"), ERROR, Cause.NO_BOOT, 0),
    "timeout-agent": (lambda c: c.end_at(0, "agent", "timeout"), ERROR, Cause.NO_BOOT, 0),
    "timeout-userspace": (lambda c: c.end_at(1, "userspace", "timeout"), FAIL, Cause.HANG, 1),
    "timeout-load": (lambda c: c.end_at(1, "kexec load", "timeout"), FAIL, Cause.HANG, 1),
    "timeout-jump": (lambda c: c.end_at(2, "kexec jump", "timeout"), FAIL, Cause.HANG, 2),
    "timeout-kernel": (lambda c: c.end_at(2, "kernel", "timeout"), FAIL, Cause.HANG, 2),
    "qemu-died": (
        lambda c: c.end_at(2, "kernel", "qemu-died", qemu_exit=-9),
        ERROR,
        Cause.QEMU_DIED,
        2,
    ),
    "host": (lambda c: c.end_at(1, "kernel", "host"), ERROR, Cause.HOST, 1),
    "interrupted": (lambda c: c.end_at(1, "kernel", "interrupted"), ERROR, Cause.INTERRUPTED, 1),
    "agent-error": (lambda c: c.end_at(0, "agent", "guest-error"), ERROR, Cause.AGENT_ERROR, 0),
    "guest-error": (lambda c: c.end_at(1, "kexec load", "guest-error"), ERROR, Cause.GUEST_ERROR, 1),
}


@pytest.mark.parametrize("case", ENDS)
def test_end(copy_of: CopyOf, told: Told, case: str) -> None:
    edit, status, cause, epoch = ENDS[case]
    copy = copy_of(PASSED)
    edit(copy)
    verdict_is(told(copy.judge()), status, cause, epoch)


def test_every_end_kind_is_tried() -> None:
    tried = {case.split("-")[0] if case.startswith("timeout") else case for case in ENDS}
    assert {"back-in-firmware" if case == "back" else case for case in tried} == (
        {kind.value for kind in EndKind} - {"complete"} | {"agent-error"}
    )


def test_first_kernel_never_spoke(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(PASSED).end_at(1, "kernel", "timeout")
    console = copy.path / "console.log"
    console.write_bytes(console.read_bytes()[:58])
    verdict_is(told(copy.judge()), ERROR, Cause.NO_BOOT, 1)


def test_panic_is_named_by_its_report(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(PASSED)
    number = copy.print(2, f"{OOPS}\nRIP: 0010:efi_esrt_init+0x12/0x340\n{PANIC}")
    copy.end_at(2, "userspace", "panic", PANIC)
    verdict_is(told(copy.judge()), FAIL, Cause.PANIC, 2, "efi_esrt_init", f"console.log:{number}")


TIMER = "Kernel panic - not syncing: IO-APIC + timer doesn't work!  Boot with apic=debug"


def test_a_timer_that_comes_too_late_is_the_hosts(copy_of: CopyOf, told: Told) -> None:
    """But beside another crash it is the kernel's."""
    copy = copy_of(PASSED)
    number = copy.print(2, TIMER)
    copy.end_at(2, "kernel", "panic", TIMER)
    verdict_is(told(copy.judge()), ERROR, Cause.HOST, 2, f"console.log:{number}")
    copy.print(2, OOPS)
    assert copy.judge().status is FAIL


def test_a_timer_that_comes_too_late_under_kvm_is_the_kernels(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(PASSED)
    copy.print(2, TIMER)
    copy.end_at(2, "kernel", "panic", TIMER).edit_json("plan.json", accel="kvm")
    verdict_is(told(copy.judge()), FAIL, Cause.PANIC, 2)


def test_kexec_refused(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(PASSED)
    loaded = copy.only(kind="loaded", epoch=1)
    copy.end_at(1, "kexec load", "guest-error", "kexec could not load the next kernel (rc 255)")
    copy.entries = [*copy.entries, {**loaded, "fields": {**loaded["fields"], "rc": "255"}}]
    (copy.path / loaded["body_file"]).write_text("kexec_file_load failed: Cannot assign requested address\n")
    verdict_is(told(copy.judge()), FAIL, Cause.KEXEC_LOAD_FAILED, 1, f"@{loaded['body_file']}")


def test_our_own_signal_is_no_evidence(copy_of: CopyOf, told: Told) -> None:
    ended = copy_of(PASSED).end_at(2, "kernel", "timeout")
    assert "terminating on signal" in ended.read("qemu.stderr")
    assert "terminating on signal" not in said(ended.judge())
    verdict = ended.edit_json("end.json", kind="qemu-died").judge()
    told(verdict)


@pytest.mark.parametrize(
    ("modules", "status", "cause"),
    [
        ("virtio_pci=built-in\nvirtio_blk=absent\n", UNSUPPORTED, Cause.NO_CAPABILITY),
        ("virtio_pci=loaded\nvirtio_blk=loaded\n", ERROR, Cause.GUEST_ERROR),
    ],
    ids=["no driver", "with its driver"],
)
def test_a_kernel_that_cannot_read_the_disks(
    copy_of: CopyOf, told: Told, modules: str, status: Status, cause: Cause
) -> None:
    copy = copy_of(PASSED).end_at(
        1, "kexec load", "guest-error", "the guest agent reports: load: no disk with serial k0"
    )
    fact = copy.only(kind="fact", epoch=1, fields={"name": "cmdline"})
    (copy.path / "facts/modules").write_text(modules)
    copy.entries = [*copy.entries, {**fact, "fields": {"name": "modules"}, "body_file": "facts/modules"}]
    verdict = copy.judge()
    verdict_is(told(verdict), status, cause, 1)
    assert ("virtio_blk" in check_of(verdict, "run").hint) == (status is UNSUPPORTED)
