"""The names that a session has for code: symbols of its kernels, drivers of its firmware."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from harness.cache import Cache
from harness.evidence.code import fvolume
from harness.evidence.code.fvolume import ImageKey
from harness.evidence.code.symbols import SymbolTable
from harness.kernel.image.symbols import kernel_symbols
from harness.model.kernel import KernelImage


class Symbols:
    """``symbols(kernel)``: looked up once a kernel, when first asked for. From any thread."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._lock = threading.Lock()
        self._known: dict[str, SymbolTable | None] = {}

    def __call__(self, kernel: KernelImage) -> SymbolTable | None:
        """None when the kernel shows none."""
        with self._lock:
            if kernel.sha256 not in self._known:
                self._known[kernel.sha256] = kernel_symbols(kernel, self._cache)
            return self._known[kernel.sha256]


class Drivers:
    """``drivers(code)``: the names of a firmware file's images, read once a file, when first asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[Path, Mapping[ImageKey, str]] = {}

    def __call__(self, code: Path) -> Mapping[ImageKey, str]:
        """Empty when the file cannot be read or has none that can be named."""
        with self._lock:
            if code not in self._known:
                try:
                    self._known[code] = fvolume.names(code.read_bytes())
                except OSError:
                    self._known[code] = {}
            return self._known[code]
