"""A kernel that can be tested, after it was found or fetched."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from pydantic import Field

from harness.model.base import Value


class Capability(StrEnum):
    """What a scenario can need of a kernel."""

    EFI = "efi"
    ESRT = "esrt"
    BGRT = "bgrt"
    TPM_TIS = "tpm-tis"
    TPM_CRB = "tpm-crb"
    MOKVAR = "mokvar"
    UNACCEPTED_MEMORY = "unaccepted-memory"
    KEXEC_LOAD = "kexec-load"
    KEXEC_FILE_LOAD = "kexec-file-load"
    FIRMWARE_MEMMAP = "firmware-memmap"
    EFI_FAKE_MEMMAP = "efi-fake-memmap"
    EFI_SOFT_RESERVE = "efi-soft-reserve"
    CRASH_DUMP = "crash-dump"
    SYSRQ = "sysrq"
    SYSRQ_SERIAL = "sysrq-serial"
    LKDTM = "lkdtm"
    SOFTLOCKUP_DETECTOR = "softlockup-detector"
    XEN_DOM0 = "xen-dom0"


_BUILT = "no distribution sets it; use tiny-6.1, which 'harness kernels build tiny-6.1' makes once, or tiny-5.10"
_TPM = "use one of Debian's kernels, or tiny-6.1+tpm, which the harness builds"
_GENERAL = "use Debian's general flavour, such as debian-6.12, not the cloud one"
_WAY_OUT: Mapping[Capability, str] = {
    Capability.EFI_FAKE_MEMMAP: _BUILT,
    Capability.EFI_SOFT_RESERVE: "use tiny-6.1, which 'harness kernels build tiny-6.1' makes once",
    Capability.XEN_DOM0: _GENERAL,
    Capability.BGRT: _GENERAL,
    Capability.TPM_TIS: _TPM,
    Capability.TPM_CRB: _TPM,
    Capability.LKDTM: "use a tiny kernel, which the harness builds, or another trigger of the crash",
}
"""What to use instead of a kernel that lacks it, where the harness has something."""


def way_out(capability: Capability) -> str:
    """What to do about a kernel that lacks it, as a sentence."""
    text = _WAY_OUT.get(capability, "use a kernel that has it")
    return f"{text[0].upper()}{text[1:]}."


class Decision(Value):
    """Has the kernel a capability? ``reason`` is always given, in words, with the symbol it was read from."""

    possible: bool
    reason: str


class PackageRef(Value):
    """A Debian package as it was fetched."""

    name: str
    version: str
    suite: str
    sha256: str


class KernelImage(Value):
    """A kernel on disk, ready to boot."""

    name: str
    """The registry's name, or the file's name for a kernel given by path."""
    release: str
    """``uname -r``, read from the bzImage header."""
    banner: str
    """The version string of the bzImage header (boot protocol: kernel_version), release and build."""
    image: Path
    sha256: str
    size_bytes: int
    config: Path | None = None
    modules: Path | None = None
    """The directory ``lib/modules/RELEASE`` with the modules, or None when the package has none."""
    packages: tuple[PackageRef, ...] = ()
    vmlinux: Path | None = None
    """The ELF file of the same build, for symbols; only for kernels that the harness built."""
    origin: str = ""
    """For a kernel that the harness built: its source, configuration, patches and compiler, in words."""
    init_size_bytes: int
    """Memory the kernel needs to unpack itself (boot protocol: init_size)."""
    pref_address: int
    alignment_bytes: int
    capabilities: dict[Capability, Decision] = Field(default_factory=dict)


class HypervisorImage(Value):
    """A Xen on disk, ready to boot as an EFI application."""

    name: str
    """The registry's name."""
    version: str
    """``4.17``: what the features of a Xen depend on."""
    image: Path
    """xen.efi."""
    sha256: str
    size_bytes: int
    packages: tuple[PackageRef, ...] = ()
