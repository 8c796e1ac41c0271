"""Names for the addresses of one kernel, and addresses for its names.

A name is chosen as the kernel chooses it for its own backtraces: of several symbols at one address the first in the
order of scripts/kallsyms.c, compare_symbols().
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from harness.evidence.ranges import Range

KERNEL_START = 0xFFFFFFFF_80000000
"""Lowest virtual address of a kernel image (Documentation/arch/x86/x86_64/mm.rst). KASLR moves what lies above; a
symbol below is a per-CPU offset or an absolute value, and stays."""
_CODE = (("_stext", "_etext"), ("_text", "_etext"), ("_sinittext", "_einittext"))
_ENDS = ("_end", "__bss_stop", "_einittext", "_etext")


@dataclass(frozen=True)
class Located:
    """Where an address lies: ``offset`` bytes into the symbol ``name``, which is ``size_bytes`` long.

    The size reaches to the next symbol, alignment included, as in the kernel's own messages.
    """

    name: str
    offset: int
    size_bytes: int

    @property
    def text(self) -> str:
        """``virt_efi_set_variable+0x1c``."""
        return f"{self.name}+{self.offset:#x}"

    @property
    def full(self) -> str:
        """``virt_efi_set_variable+0x1c/0x90``, as in a backtrace."""
        return f"{self.name}+{self.offset:#x}/{self.size_bytes:#x}"


@dataclass(frozen=True)
class SymbolTable:
    """Symbols in order of their addresses. Made by :func:`symbol_table`, which see for the order.

    ``shift`` is how far KASLR has moved the kernel: addresses that the methods take and give are those of the running
    kernel, those in the fields are as linked.
    """

    addresses: tuple[int, ...]
    types: str
    """One character a symbol, as nm(1) prints it: ``t`` and ``T`` are functions."""
    names: tuple[str, ...]
    code: tuple[Range, ...]
    """Functions lie here: ``_stext`` (or ``_text``) to ``_etext``, and what is freed after booting, up to
    ``_einittext``."""
    end: int
    """Beyond the last symbol: ``_end``; the highest of ``__bss_stop``, ``_einittext``, ``_etext`` without it."""
    shift: int = 0

    def __len__(self) -> int:
        return len(self.names)

    def shifted(self, offset: int) -> SymbolTable:
        """The same kernel, moved by ``offset`` bytes more (KERNELOFFSET of vmcoreinfo); it may be negative."""
        return replace(self, shift=self.shift + offset)

    def find(self, address: int) -> Located | None:
        """The symbol that an address belongs to; None outside the kernel image."""
        linked = address - self.shift
        if not KERNEL_START <= linked < self.end:
            return None
        index = bisect_right(self.addresses, linked) - 1
        if index < 0 or self.addresses[index] < KERNEL_START:
            return None
        first = bisect_left(self.addresses, self.addresses[index])
        start = self.addresses[first]
        return Located(self.names[first], linked - start, self._next(index) - start)

    def caller(self, return_address: int) -> Located | None:
        """The symbol that a call came from, given the address behind the call, as found on a stack.

        The two differ when the call is a function's last instruction (panic() does not return): as the kernel does
        (sprint_backtrace()), the symbol is looked up one byte before, and the offset is that of the address itself.
        """
        located = self.find(return_address - 1)
        return located and replace(located, offset=located.offset + 1)

    def text(self, address: int) -> str:
        """``name+0x1c``, or the bare address in hexadecimal where there is no symbol."""
        located = self.find(address)
        return located.text if located is not None else f"{address:#x}"

    def is_code(self, address: int) -> bool:
        """Does the address lie in the kernel's functions, as a return address on a stack does?"""
        return any(part.contains(address - self.shift) for part in self.code)

    def address(self, name: str) -> int | None:
        """Where a symbol is; of several of that name the lowest. None when there is none. About 2 ms."""
        index = self._index(name)
        return None if index is None else self._moved(self.addresses[index])

    def range(self, name: str) -> Range | None:
        """The bytes of a symbol up to the next one, as :meth:`address`."""
        index = self._index(name)
        if index is None:
            return None
        start = self.addresses[index]
        end = self._next(bisect_right(self.addresses, start) - 1)
        return Range(self._moved(start), max(self._moved(start), self._moved(end)))

    def _index(self, name: str) -> int | None:
        return self.names.index(name) if name in self.names else None

    def _next(self, index: int) -> int:
        """The address of the first symbol behind the one at ``index``, which must be the last at its own address."""
        return self.addresses[index + 1] if index + 1 < len(self.addresses) else self.end

    def _moved(self, linked: int) -> int:
        return linked + self.shift if linked >= KERNEL_START else linked


def symbol_table(symbols: Iterable[tuple[int, str, str]]) -> SymbolTable:
    """A table of (address, type, name).

    The order of symbols at one address decides which of them is shown. Those that come from a kernel's own kallsyms are
    in the right one; put others through :func:`in_kernel_order` first.
    """
    ordered = sorted(symbols, key=lambda symbol: symbol[0])  # stable
    addresses = tuple(address for address, _, _ in ordered)
    names = tuple(name for _, _, name in ordered)
    marks = _marks(addresses, names)
    code = {last: Range(marks[first], marks[last]) for first, last in reversed(_CODE) if _pair(marks, first, last)}
    ends = [marks[name] for name in _ENDS if name in marks]
    end = marks.get("_end") or max(ends, default=addresses[-1] if addresses else 0)
    return SymbolTable(
        addresses, "".join(kind[:1] or "?" for _, kind, _ in ordered), names, tuple(sorted(code.values())), end
    )


def in_kernel_order(symbols: Iterable[tuple[int, str, str]]) -> list[tuple[int, str, str]]:
    """Sorted as the kernel sorts its own: for symbols of an ELF file, or of nm(1).

    scripts/kallsyms.c, compare_symbols(): weak ones, the linker script's, and those with more leading underscores come
    behind the others at their address.
    """
    return sorted(symbols, key=lambda symbol: (symbol[0], *_rank(symbol[1], symbol[2])))


def _rank(kind: str, name: str) -> tuple[bool, bool, int]:
    begins = name.startswith(("__start_", "__stop_", "__end_"))
    by_linker = len(name) >= 8 and name.startswith("__") and (begins or name.endswith(("_start", "_end")))
    return kind in "wW", by_linker, len(name) - len(name.lstrip("_"))


def _marks(addresses: Sequence[int], names: Sequence[str]) -> dict[str, int]:
    wanted = {name for pair in _CODE for name in pair} | set(_ENDS)
    return {name: address for address, name in zip(addresses, names, strict=True) if name in wanted}


def _pair(marks: dict[str, int], first: str, last: str) -> bool:
    return first in marks and last in marks and marks[first] < marks[last]
