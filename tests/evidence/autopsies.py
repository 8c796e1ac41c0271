"""Autopsies to make sentences of."""

from __future__ import annotations

from harness.model.autopsy import Autopsy, Call, CallSource, Cpu, CpuReport, Owner, Place

RIP = 0xFFFFFFFF81001234


def cpu(index: int = 0, *, rip: int = RIP, halted: bool = False, interrupts: bool = True, **more: int) -> Cpu:
    return Cpu(
        index=index,
        rip=rip,
        rflags=0x202 if interrupts else 0x2,
        cpl=more.get("cpl", 0),
        halted=halted,
        smm=False,
        bits=more.get("bits", 64),
        cs_base=0,
        cr0=more.get("cr0", 0x80050033),
        cr2=0,
        cr3=more.get("cr3", 0x1000),
        cr4=0x20,
        efer=0xD01,
        general={"rsp": 0xFFFFC90000000000, "rbp": 0},
    )


def place(name: str, offset: int = 0x10, owner: Owner = Owner.KERNEL, address: int = RIP) -> Place:
    return Place(address=address, owner=owner, name=name, offset=offset)


def call(name: str, callee: str = "", *, framed: bool = False, owner: Owner = Owner.KERNEL) -> Call:
    source = CallSource.FRAME_POINTER if framed else CallSource.SCAN
    return Call(stack_address=0, place=place(name, 0x20, owner), source=source, callee=callee)


def report(where: Place, *calls: Call, seen: tuple[Place, ...] = (), of: Cpu | None = None) -> CpuReport:
    return CpuReport(cpu=of or cpu(), place=where, seen=seen or (where,), calls=calls)


def autopsy(*reports: CpuReport, status: str = "running", ran: bool = True) -> Autopsy:
    return Autopsy(status=status, epoch=1, cpus=reports, ran=ran)
