"""What a record tells of the machine's memory, for naming the code that an address belongs to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harness.evidence import klog
from harness.evidence.code.fvolume import ImageKey, image_key
from harness.evidence.code.peimage import PeImage
from harness.evidence.code.symbols import SymbolTable
from harness.evidence.code.whose import Atlas, Reader, relocate_range
from harness.evidence.maps.segments import Segment
from harness.evidence.pagetable.virtual import View
from harness.evidence.ranges import Range
from harness.model.kernel import KernelImage
from harness.record.observations import Observations

SymbolsOf = Callable[[KernelImage], SymbolTable | None]
DriversOf = Callable[[Path], Mapping[ImageKey, str]]
_KERNEL_CODE = "Kernel code"
_BANNER_BYTES = 160


@dataclass(frozen=True)
class Naming:
    """Where names for code come from."""

    symbols_of: SymbolsOf = lambda _kernel: None
    """The symbols of a kernel; may take a second the first time."""
    drivers_of: DriversOf = lambda _code: {}
    """The drivers of a firmware file, by what identifies them in memory."""


@dataclass(frozen=True)
class Chart:
    """An atlas, and whose symbols it uses, in words."""

    atlas: Atlas
    symbols: str


def make_chart(observations: Observations, epoch: int, naming: Naming, *, view: View, read: Reader) -> Chart:
    """The atlas of a machine that is in ``epoch``.

    Args:
        view: the memory of the CPU that is looked at, for proving that the symbols are those of the kernel in memory.
        read: physical memory.
    """
    spoke = bool(klog.banners(observations.epoch_lines(epoch))) if epoch else False
    stub = _stub(observations)
    base = Atlas(
        segments=_segments(observations, epoch),
        efi_map=observations.efi_map,
        boot_services=epoch == 0 or (epoch == 1 and not spoke),
        stub=stub,
    )
    base = replace(base, name_image=_name_image(naming.drivers_of(observations.plan.firmware.code)))
    base = _with_relocate(base, observations, epoch, naming.symbols_of, read)
    chosen = _symbols(observations, epoch, spoke, naming.symbols_of, view)
    if chosen is None:
        return Chart(base, "")
    return Chart(replace(base, symbols=chosen[0]), chosen[1])


def _name_image(drivers: Mapping[ImageKey, str]) -> Callable[[PeImage, Reader], str]:
    def name(image: PeImage, read: Reader) -> str:
        key = image_key(read, image.range.start)
        return image.name or (drivers.get(key, "") if key is not None else "")

    return name


def _stub(observations: Observations) -> Range | None:
    frame = observations.record.frame("image")
    if frame is None:
        return None
    try:
        return Range.sized(int(frame.fields["address"], 0), int(frame.fields["size"], 0))
    except (KeyError, ValueError):
        return None


def _segments(observations: Observations, epoch: int) -> tuple[Segment, ...]:
    return next((load.segments for load in observations.loads if load.epoch + 1 == epoch), ())


def _kernels(observations: Observations, epoch: int, spoke: bool) -> Iterator[KernelImage]:
    """Those that may be running: the epoch's own, and before it has said a word the one that jumps to it."""
    epochs = {item.number: item.kernel for item in observations.plan.epochs}
    for number in (epoch,) if spoke else (epoch, epoch - 1):
        if number in epochs:
            yield epochs[number]


def _symbols(
    observations: Observations, epoch: int, spoke: bool, symbols_of: SymbolsOf, view: View
) -> tuple[SymbolTable, str] | None:
    found: list[tuple[SymbolTable, str]] = []
    for kernel in _kernels(observations, epoch, spoke):
        table = symbols_of(kernel)
        if table is None:
            continue
        if _proved(table, kernel, view):
            return table, f"of {kernel.release}, whose banner lies in memory where they say"
        found.append((table, f"of {kernel.release}; its banner is not in memory where they say"))
    return found[0] if found else None


def _proved(table: SymbolTable, kernel: KernelImage, view: View) -> bool:
    """``linux_banner`` (init/version.c) begins "Linux version RELEASE "."""
    address = table.address("linux_banner")
    banner = view.read(address, _BANNER_BYTES) if address is not None else b""
    return isinstance(banner, bytes) and banner.startswith(f"Linux version {kernel.release} ".encode())


def _with_relocate(atlas: Atlas, observations: Observations, epoch: int, symbols_of: SymbolsOf, read: Reader) -> Atlas:
    """With relocate_kernel of the kernel that jumped into this epoch, from where that kernel lies in memory."""
    jumper = next((item.kernel for item in observations.plan.epochs if item.number == epoch - 1), None)
    table = symbols_of(jumper) if jumper is not None else None
    where = relocate_range(table) if table is not None else None
    text = table.address("_text") if table is not None else None
    code = [item.range for item in observations.iomem(epoch - 1) if item.name == _KERNEL_CODE]
    if where is None or text is None or not code:
        return atlas
    return replace(
        atlas,
        relocate=read(code[0].start + where.start - text, where.size_bytes),
        relocate_address=where.start,
        relocate_symbols=table,
    )
