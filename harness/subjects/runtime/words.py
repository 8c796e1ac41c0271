"""What kernels say of a fault inside firmware, and the evidence that a verdict about one cites."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.model.verdict import Evidence
from harness.model.words.driver import Trap
from harness.subjects.runtime.calls import Call

# arch/x86/platform/efi/quirks.c, efi_crash_gracefully_on_page_fault(); the "PA" is the faulting address, CR2.
CAUSED = re.compile(r"\[Firmware Bug\]: Page fault caused by firmware at PA: (?P<address>0x[0-9a-f]+)")
FROZE = re.compile(r"efi: Froze efi_rts_wq and disabled EFI Runtime Services")
THROUGH_BIOS = re.compile(r"efi: efi_reset_system\(\) buggy! Reboot through BIOS")
# drivers/firmware/efi/runtime-wrappers.c
FLAGS = re.compile(r"\[Firmware Bug\]: IRQ flags corrupted \(0x[0-9a-f]+=>0x[0-9a-f]+\) by EFI")
WEDGED = re.compile(r"efi: EFI runtime service \d+ wedged in firmware")
# arch/x86/kernel/traps.c; divide errors: "divide error: 0000 [#1]".
EXCEPTIONS = {
    Trap.GENERAL_PROTECTION: re.compile(r"general protection fault"),
    Trap.INVALID_OPCODE: re.compile(r"invalid opcode"),
    Trap.DIVIDE_ERROR: re.compile(r"divide error"),
}
RIP = re.compile(r"RIP: [0-9a-f]{4}:(?:\w[\w.+/]* )?0x(?P<address>[0-9a-f]+)")


def proof(call: Call) -> Iterator[Evidence]:
    """What the driver saw, what the caller got, what the kernel said."""
    if call.log is not None and call.sample is not None:
        log = call.log
        text = f"the driver's {call.service}: {log.faults} faults begun, the last {log.last_fault}"
        text += f" at {log.fault_address:#x}" if log.fault_address else ""
        yield Evidence(text=f"{text}; {log.survived} let through", where=call.sample.file)
    if call.field("returned"):
        text = f"the caller: returned={call.field('returned')}, errno {call.field('errno')}"
        state = (
            f", state {call.field('state')} on CPU {call.field('cpu')}"
            if call.field("state")
            else f", after {call.field('us')} us"
        )
        yield Evidence(text=text + state, where="journal.jsonl")
    for item in call.crashes[:3]:
        yield Evidence(text=item.text.strip()[:200], where=call.where(item.line_number))
    for pattern in (CAUSED, FROZE, FLAGS, WEDGED, THROUGH_BIOS, *((RIP,) if call.crashes else ())):
        line = next((line for line in call.said if pattern.search(line.text)), None)
        if line is not None:
            yield Evidence(text=line.text.strip()[:200], where=call.where(line.number))
