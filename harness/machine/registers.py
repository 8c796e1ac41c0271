"""The virtual CPUs' registers, from the text of QEMU's monitor (HMP ``info registers -a``).

QMP has no command for them; the text has been the same from QEMU 2.12 to 9 (target/i386/cpu-dump.c).
"""

from __future__ import annotations

import re

from pydantic import ValidationError

from harness.evidence.defect import Defect
from harness.machine.qmp import Qmp
from harness.model.autopsy import Cpu

COMMAND = "info registers -a"

_HEAD = re.compile(r"^CPU#(?P<index>\d{1,4})[ \t]*\r?$", re.MULTILINE)
_WORD = re.compile(r"\b(?P<name>[A-Z][A-Z0-9]{1,3}) ?=(?P<value>[0-9a-f]+)\b")
# Outside protected mode the type of the segment (CS16, CS32, CS64) is left out.
_CODE = re.compile(
    r"^CS =[0-9a-f]{4} (?P<base>[0-9a-f]{8,16}) [0-9a-f]{8} [0-9a-f]{8}(?: DPL=[0-3] CS(?P<bits>16|32|64)\b|[ \r]*$)",
    re.MULTILINE,
)
_GENERAL = ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp")
_EXTRA = tuple(f"r{number}" for number in range(8, 16))
_CONTROL = ("CR0", "CR2", "CR3", "CR4", "EFER")


def read_registers(qmp: Qmp, *, timeout_s: float = 2.0) -> tuple[Cpu, ...] | Defect:
    """The registers of all virtual CPUs, exact when they are stopped.

    While they run, TCG keeps RIP up to date only where it leaves translated code.

    Raises:
        QemuError: QEMU refused, hangs, or is gone.
    """
    text = qmp.execute("human-monitor-command", {"command-line": COMMAND}, timeout_s=timeout_s)
    return parse_registers(str(text))


def parse_registers(text: str) -> tuple[Cpu, ...] | Defect:
    """The CPUs in the text, which must be 0, 1, 2 ... and whole; else a Defect that says what is wrong."""
    heads = list(_HEAD.finditer(text))
    if not heads:
        return Defect("no CPU in the monitor's answer" + (f": {text.strip()[:80]!r}" if text.strip() else ""))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    cpus: list[Cpu] = []
    for number, (head, end) in enumerate(zip(heads, ends, strict=True)):
        cpu = _cpu(int(head["index"]), text[head.end() : end])
        if isinstance(cpu, Defect):
            return cpu
        if cpu.index != number:
            return Defect(f"CPU#{cpu.index} where CPU#{number} should be")
        cpus.append(cpu)
    return tuple(cpus)


def _cpu(index: int, text: str) -> Cpu | Defect:
    words: dict[str, int] = {}
    for match in _WORD.finditer(text):
        words.setdefault(match["name"], int(match["value"], 16))
    code = _CODE.search(text)
    # 64-bit names are used when the CPU is in long mode (EFER.LMA), whatever its code segment says.
    prefix, ip, flags = ("R", "RIP", "RFL") if "RIP" in words else ("E", "EIP", "EFL")
    wanted = [ip, flags, "CPL", "SMM", "HLT", *_CONTROL, *(f"{prefix}{name.upper()}" for name in _GENERAL)]
    missing = [name for name in wanted if name not in words]
    if missing or code is None:
        return Defect(f"CPU#{index}: no {', '.join(missing) or 'code segment'} in the monitor's answer")
    general = {f"r{name}": words[f"{prefix}{name.upper()}"] for name in _GENERAL}
    general.update((name, words.get(name.upper(), 0)) for name in _EXTRA)
    values = [*general.values(), *(words[name] for name in (ip, flags, *_CONTROL))]
    if max(values) >= 2**64 or words["CPL"] > 3 or words["HLT"] > 1 or words["SMM"] > 1:
        return Defect(f"CPU#{index}: a value in the monitor's answer is out of range")
    try:
        return Cpu(
            index=index,
            rip=words[ip],
            rflags=words[flags],
            cpl=words["CPL"],
            halted=bool(words["HLT"]),
            smm=bool(words["SMM"]),
            bits=int(code["bits"] or 16),
            cs_base=int(code["base"], 16),
            **{name.lower(): words[name] for name in _CONTROL},
            general=general,
        )
    except ValidationError as error:
        return Defect(f"CPU#{index}: {error.errors()[0]['msg']}")
