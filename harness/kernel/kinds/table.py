"""The table of kinds: a new kind is a module of its own and a row here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.kernel.kinds import debian, file, hypervisor, source
from harness.kernel.kinds.kind import Kind
from harness.model.base import Value
from harness.model.kernel import HypervisorImage, KernelImage

KERNELS: tuple[Kind[Any, KernelImage], ...] = (debian.KIND, file.KIND, source.KIND, source.TWIN)
"""What can be booted by itself."""
HYPERVISORS: tuple[Kind[Any, HypervisorImage], ...] = (hypervisor.KIND,)
"""What can stand under a kernel."""
BY_NAME: Mapping[str, Kind[Any, Value]] = {kind.name: kind for kind in (*KERNELS, *HYPERVISORS)}
