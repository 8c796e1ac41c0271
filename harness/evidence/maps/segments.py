"""kexec segments, from what kexec-tools and the kernel print while they load."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.evidence.ranges import PAGE_BYTES, Range, align_up


class Role(StrEnum):
    KERNEL = "kernel"
    INITRD = "initrd"
    PURGATORY = "purgatory"
    BOOT_PARAMS = "boot_params"
    OTHER = "other"


@dataclass(frozen=True)
class Segment:
    """One piece of the next kernel. ``buffer_bytes`` of ``range`` are copied, the rest is zero-filled."""

    index: int
    buffer_bytes: int
    range: Range
    role: Role

    def __str__(self) -> str:
        return f"segment[{self.index}] ({self.role}) {self.range}"


@dataclass(frozen=True)
class Sizes:
    """What the caller knows of the files that were loaded."""

    initrd_bytes: int
    init_size_bytes: int
    """Of the kernel that was loaded: memory it needs to unpack itself (boot protocol: init_size)."""


# print_segments() in kexec-tools' kexec/kexec.c; ``%p`` prints a null pointer as ``(nil)``.
_TOOL_FIELD = re.compile(r"segment\[(?P<index>\d+)\]\.(?P<field>bufsz|memsz|mem)\s*=\s*(?P<value>0x[0-9a-f]+|\(nil\))")

# kernel/kexec_file.c: pr_debug "Loading segment %d: ..." (needs dynamic debug), and kexec_dprintk "segment[%d]: ..."
# since cbc2fe9d9cb2 "kexec_file: add kexec_file flag to control debug printing" (in 6.12, not in 6.1).
_KERNEL_SEGMENT = re.compile(
    r"(?:Loading segment (?P<old>\d+)|segment\[(?P<new>\d+)\]): buf=\S+"
    r" bufsz=(?P<bufsz>0x[0-9a-f]+) mem=(?P<mem>0x[0-9a-f]+) memsz=(?P<memsz>0x[0-9a-f]+)"
)

# arch/x86/kernel/kexec-bzimage64.c (5.10 to 7.x), and kexec-tools' kexec/arch/i386/x86-linux-setup.c and
# kexec/arch/x86_64/kexec-bzImage64.c. The tool prints sizes only for the initrd, and as ``size``.
_LOADED = re.compile(
    r"Loaded (?P<what>purgatory|boot_param, command line and misc|real_mode_data and command line|64bit kernel|initrd)"
    r" at (?:addr )?(?P<mem>0x[0-9a-f]+)(?: bufsz=(?P<bufsz>0x[0-9a-f]+) memsz=(?P<memsz>0x[0-9a-f]+))?"
)
_LOADED_ROLES = {
    "purgatory": Role.PURGATORY,
    "boot_param, command line and misc": Role.BOOT_PARAMS,
    "real_mode_data and command line": Role.BOOT_PARAMS,
    "64bit kernel": Role.KERNEL,
    "initrd": Role.INITRD,
}


def parse_tool(text: str, sizes: Sizes) -> tuple[Segment, ...]:
    """Segments of kexec_load(2), from the output of ``kexec -d -c -l``; empty when there are none in it.

    A segment's role is taken from the tool's ``Loaded ...`` lines, else found from the sizes.
    """
    found: dict[int, dict[str, int]] = {}
    for match in _TOOL_FIELD.finditer(text):
        value = 0 if match["value"] == "(nil)" else int(match["value"], 16)
        found.setdefault(int(match["index"]), {})[match["field"]] = value
    rows = [
        (index, row["bufsz"], Range.sized(row["mem"], row["memsz"]))
        for index, row in sorted(found.items())
        if row.keys() >= {"bufsz", "mem", "memsz"}
    ]
    return _with_roles(rows, _loaded_roles(_LOADED.finditer(text)), sizes)


def parse_kernel(text: str, sizes: Sizes) -> tuple[Segment, ...]:
    """Segments of kexec_file_load(2), from kernel messages; empty when there are none in them.

    Of several loads in one log the last counts. Roles come from the ``Loaded ...`` lines, else from the sizes. When
    there are only ``Loaded ...`` lines, those that have sizes give the segments.
    """
    loaded: list[re.Match[str]] = []
    rows: dict[int, tuple[int, int, Range]] = {}
    for line in text.splitlines():
        if match := _LOADED.search(line):
            if match["what"] == "purgatory":  # always the first of a load
                loaded.clear()
                rows.clear()
            loaded.append(match)
        elif match := _KERNEL_SEGMENT.search(line):
            index = int(match["old"] or match["new"])
            if index == 0:
                rows.clear()
            where = Range.sized(int(match["mem"], 16), int(match["memsz"], 16))
            rows[index] = (index, int(match["bufsz"], 16), where)
    if not rows:
        for index, match in enumerate(loaded):
            if match["memsz"]:
                where = Range.sized(int(match["mem"], 16), align_up(int(match["memsz"], 16), PAGE_BYTES))
                rows[index] = (index, int(match["bufsz"], 16), where)
    return _with_roles(sorted(rows.values()), _loaded_roles(loaded), sizes)


def overlapping(segments: Sequence[Segment], where: Range) -> tuple[Segment, ...]:
    """The segments that share a byte with ``where``."""
    return tuple(segment for segment in segments if segment.range.overlaps(where))


def _loaded_roles(matches: Iterable[re.Match[str]]) -> dict[int, Role]:
    """Start address and role of each ``Loaded ...`` line."""
    return {int(match["mem"], 16): _LOADED_ROLES[match["what"]] for match in matches}


def _with_roles(
    rows: Sequence[tuple[int, int, Range]], loaded: Mapping[int, Role], sizes: Sizes
) -> tuple[Segment, ...]:
    kernel_bytes = align_up(sizes.init_size_bytes, PAGE_BYTES)
    initrd_bytes = {sizes.initrd_bytes, align_up(sizes.initrd_bytes, PAGE_BYTES)} - {0}

    def by_size(buffer_bytes: int, where: Range) -> Role:
        # The initrd first: a big one also has the memory a kernel needs. The kernel's memory is exactly init_size
        # in whole pages, with both loaders.
        if buffer_bytes in initrd_bytes:
            return Role.INITRD
        return Role.KERNEL if where.size_bytes == kernel_bytes else Role.OTHER

    return tuple(
        Segment(index, buffer_bytes, where, loaded.get(where.start) or by_size(buffer_bytes, where))
        for index, buffer_bytes, where in rows
    )
