"""What a machine was doing when a run ended badly, looked at from outside before QEMU was ended: ``autopsy.json``.

Facts only. ``harness.evidence.code.autopsy`` makes the sentence of them, ``harness.report.autopsy`` the text.
Addresses are guest-virtual unless said otherwise. Times are seconds on the run's clock (see ``model.record``).
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from harness.model.base import Value

FORMAT = 1
FILE = "autopsy.json"
IF = 1 << 9
"""RFLAGS.IF: the CPU takes interrupts (Intel SDM vol. 1, section 3.4.3)."""


class Cpu(Value):
    """One virtual CPU, as QEMU's monitor shows it (``info registers``)."""

    index: int
    rip: int
    """Relative to ``cs_base``."""
    rflags: int
    cpl: int
    halted: bool
    smm: bool
    bits: int
    """What the code segment says: 16, 32 or 64."""
    cs_base: int
    """The code segment's base; 0 in 64-bit mode and in practice in 32-bit mode."""
    cr0: int
    cr2: int
    cr3: int
    cr4: int
    efer: int
    general: dict[str, int]
    """``rax`` ... ``r15``, with ``rsp`` and ``rbp``; the upper half is 0 outside 64-bit mode."""

    @property
    def ip(self) -> int:
        """Where the next instruction is, in the linear address space."""
        return (self.cs_base + self.rip) % 2**64

    @property
    def rsp(self) -> int:
        return self.general["rsp"]

    @property
    def rbp(self) -> int:
        return self.general["rbp"]

    @property
    def interrupts_on(self) -> bool:
        return bool(self.rflags & IF)

    @property
    def paging(self) -> bool:
        """CR0.PG."""
        return bool(self.cr0 >> 31 & 1)

    @property
    def la57(self) -> bool:
        """CR4.LA57: five levels of page tables."""
        return bool(self.cr4 >> 12 & 1)

    @property
    def nxe(self) -> bool:
        """EFER.NXE."""
        return bool(self.efer >> 11 & 1)


class Owner(StrEnum):
    """Whose code an address is."""

    KERNEL = "kernel"
    """A function of the kernel of this epoch."""
    MODULE = "module"
    """The kernel's module area, of which no symbols are at hand."""
    STUB = "kernel's EFI stub"
    """The kernel's image as firmware has loaded it: EFI stub and decompressor."""
    FIRMWARE = "firmware"
    """A PE image, or memory of an EFI type that holds firmware code."""
    SEGMENT = "kexec segment"
    """A piece of the next kernel, where kexec put it: purgatory, kernel (its decompressor), initrd."""
    CONTROL = "kexec control page"
    """The copy of relocate_kernel that moves the segments to their places."""
    USER = "user space"
    UNKNOWN = "unknown"
    """Mapped, but nothing says whose it is."""
    UNMAPPED = "not mapped"


class Place(Value):
    """An address in code, and what is there."""

    address: int
    owner: Owner
    name: str = ""
    """A function, the name of a firmware image, or a segment's role; empty when nothing more is known."""
    offset: int | None = None
    """From the start of what ``name`` names."""
    physical: int | None = None
    detail: str = ""
    """More for a person: an EFI memory type, an image's base, a segment."""

    def __str__(self) -> str:
        """``do_idle+0x5a``, ``firmware image DxeCore+0x1a0``, ``0x7f001000 (user space)``."""
        if self.offset is None:
            where = f"{self.address:#x}" + (f" ({self.detail})" if self.detail else "")
            return f"firmware at {where}" if self.owner is Owner.FIRMWARE else f"{self.address:#x} ({self.owner})"
        form = _FORMS.get(self.owner, "{name}")
        return form.format(name=f"{self.name or _DEFAULT_NAMES.get(self.owner, '')}+{self.offset:#x}")


_FORMS = {
    Owner.STUB: "the kernel's EFI stub{name}",
    Owner.FIRMWARE: "firmware image {name}",
    Owner.SEGMENT: "the kexec segment {name}",
    Owner.CONTROL: "{name} (the copy in the kexec control page)",
}
_DEFAULT_NAMES = {Owner.CONTROL: "relocate_kernel"}


class CallSource(StrEnum):
    FRAME_POINTER = "frame pointer"
    """On the chain of saved RBPs, each of which lay higher on the stack than the one before."""
    SCAN = "scan"
    """A word on the stack that points into known code just behind a call instruction: it may be left over."""


class Call(Value):
    """A return address on the stack."""

    stack_address: int
    place: Place
    source: CallSource
    callee: str = ""
    """The function that the call instruction names; empty for an indirect call."""


class CpuReport(Value):
    """One CPU: its registers when looked at last, where it was seen, and how it got there."""

    cpu: Cpu
    place: Place
    seen: tuple[Place, ...] = ()
    """Where it was each time it was looked at, in order of time."""
    calls: tuple[Call, ...] = ()
    """Innermost first."""


class Act(Value):
    """One thing the autopsy did or tried."""

    name: str
    t_s: float
    took_s: float
    failure: str = ""
    """Why there is nothing of it; empty when it worked."""


class Autopsy(Value):
    """Everything that was found; an act that failed leaves its part empty and says why in ``acts``."""

    format: int = FORMAT
    status: str = ""
    """QMP query-status: ``running``, ``guest-panicked``, ``shutdown``, ``paused``, ``internal-error`` ..."""
    epoch: int
    symbols: str = ""
    """Whose symbols were used, and whether the kernel in memory is that one; empty without symbols."""
    cpus: tuple[CpuReport, ...] = ()
    watched_s: float = 0.0
    """For how long the instruction pointers were sampled, the CPUs running."""
    ran: bool = False
    """The CPUs could be let run between two looks; if not, ``seen`` has one place only."""
    console_bytes: int = 0
    """How many bytes the console gave meanwhile."""
    printk: tuple[str, ...] = ()
    """The end of the kernel's log as it lies in guest memory, when it says more than the console."""
    nmi: tuple[str, ...] = ()
    """What the console said after an NMI was injected."""
    undisturbed_bytes: int | None = None
    """Bytes of console.log before the NMI: what lies behind is the autopsy's own doing. None without an NMI."""
    screen: str = ""
    """The screen, a PNG or PPM file in the run directory."""
    acts: tuple[Act, ...] = Field(default=())
