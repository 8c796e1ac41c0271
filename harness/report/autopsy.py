"""An autopsy as text for a person."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from harness.evidence.code.autopsy import headline, linked
from harness.model.autopsy import Autopsy, CpuReport


def render(autopsy: Autopsy) -> str:
    """The sentence, then every CPU with its calls, and what else was found."""
    lines = [headline(autopsy) or "no CPU could be looked at", f"  QEMU says: {autopsy.status or 'nothing'}"]
    if autopsy.symbols:
        lines.append(f"  symbols {autopsy.symbols}")
    for report in autopsy.cpus:
        lines += _cpu(report)
    lines += _block("the kernel's log goes on behind the console", autopsy.printk)
    lines += _block("what an NMI brought", autopsy.nmi)
    if autopsy.screen:
        lines.append(f"  the screen: {autopsy.screen}")
    lines += [f"  {act.name}: {act.failure}" for act in autopsy.acts if act.failure]
    return "\n".join(lines) + "\n"


def _cpu(report: CpuReport) -> Iterator[str]:
    cpu = report.cpu
    states = ["halted" if cpu.halted else "running", f"interrupts {'on' if cpu.interrupts_on else 'off'}"]
    states += [f"ring {cpu.cpl}", f"{cpu.bits}-bit"] + ["in SMM"] * cpu.smm
    yield f"  CPU {cpu.index}: {report.place} ({', '.join(states)})"
    if report.place.detail:
        yield f"    {report.place.detail}"
    yield f"    rip {cpu.ip:#x} rsp {cpu.rsp:#x} cr0 {cpu.cr0:#x} cr2 {cpu.cr2:#x} cr3 {cpu.cr3:#x} cr4 {cpu.cr4:#x}"
    if len(report.seen) > 1:
        runs = [(name, len(list(group))) for name, group in groupby(str(place) for place in report.seen)]
        seen = ", ".join(name if count == 1 else f"{name} ({count} times)" for name, count in runs)
        yield f"    seen at: {seen}"
    sure = linked(report)
    for call in report.calls:
        yield f"    {'' if call in sure else '? '}{call.place}"


def _block(title: str, lines: tuple[str, ...]) -> Iterator[str]:
    if lines:
        yield f"  {title}:"
        yield from (f"    {line}" for line in lines)
