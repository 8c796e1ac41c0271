"""From files on disk to a KernelImage: header, configuration, modules, capabilities."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from harness.cache import sha256_of
from harness.errors import HostError, InputError
from harness.kernel.debian import deb
from harness.kernel.image import bzimage, config
from harness.kernel.image.bzimage import BzImage
from harness.model.kernel import Capability, Decision, KernelImage, PackageRef

_SUMS = "sha256sums"
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


def read_header(path: Path) -> BzImage:
    """The boot header of a file.

    Raises:
        InputError: it cannot be read or is not an x86-64 bzImage.
    """
    if path.exists() and not path.is_file() and not path.is_dir():  # opening a pipe would wait for ever
        raise InputError(f"{path} is a device, pipe or socket, not a kernel")
    try:
        with path.open("rb") as file:
            return bzimage.parse(file.read(bzimage.HEADER_BYTES), path.stat().st_size, str(path))
    except IsADirectoryError as error:
        raise InputError(
            f"{path} is a directory, not a kernel", hint="of a built kernel tree give arch/x86/boot/bzImage"
        ) from error
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def describe(
    name: str,
    image: Path,
    *,
    config_path: Path | None = None,
    modules: Path | None = None,
    packages: tuple[PackageRef, ...] = (),
    config_source: str = "",
) -> KernelImage:
    """Everything about a kernel on disk.

    Args:
        config_source: What to call the configuration in reasons, when its path says nothing.

    Raises:
        InputError: the image is no kernel, or the configuration cannot be read.
    """
    header = read_header(image)
    settings = None
    if config_path is not None:
        settings = config.parse(_text(config_path), config_source or str(config_path))
        if settings is None:
            raise InputError(f"{config_path} is not a kernel configuration: no CONFIG_ line in it")
    capabilities = config.decide(settings, header.release)
    if not header.efi_stub:
        reason = f"{image.name} has no PE header: it was built without CONFIG_EFI_STUB"
        capabilities[Capability.EFI] = Decision(possible=False, reason=reason)
    return KernelImage(
        name=name,
        release=header.release,
        banner=header.banner,
        image=image,
        sha256=sha256_of(image),
        size_bytes=image.stat().st_size,
        config=config_path,
        modules=modules,
        packages=packages,
        init_size_bytes=header.init_size_bytes,
        pref_address=header.pref_address,
        alignment_bytes=header.alignment_bytes,
        capabilities=capabilities,
    )


def from_file(name: str, image: Path, *, config_path: Path | None = None, modules: Path | None = None) -> KernelImage:
    """A bzImage somewhere on disk; configuration and modules are looked for where they usually lie.

    Raises:
        InputError: it is no kernel.
    """
    image = image.absolute()
    release = read_header(image).release
    config_path = config_path or _first(_config_places(image, release), Path.is_file)
    modules = modules or _first(_module_places(image, release), Path.is_dir)
    return describe(name, image, config_path=config_path, modules=modules)


def _config_places(image: Path, release: str) -> Iterable[Path]:
    yield image.with_name(f"config-{release}")
    if image.name.startswith("vmlinuz-"):
        yield image.with_name(f"config-{image.name.removeprefix('vmlinuz-')}")
    if image.name in {"vmlinuz", "vmlinuz.unsigned"}:  # lib/modules/RELEASE/, as Debian has it since Linux 7.0
        yield image.with_name("config")
    if image.parts[-4:-2] in (("arch", "x86"), ("arch", "x86_64")):
        yield image.parents[3] / ".config"


def _module_places(image: Path, release: str) -> Iterable[Path]:
    if image.parent.name == release and image.parent.parent.name == "modules":
        yield image.parent
    for base in (image.parent, image.parent.parent):  # `make tar-pkg`: boot/vmlinuz-RELEASE, lib/modules/RELEASE
        yield base / "lib/modules" / release
    yield Path("/lib/modules", release)


def _first(places: Iterable[Path], test: Callable[[Path], bool]) -> Path | None:
    for place in places:
        if test(place) and os.access(place, os.R_OK):
            return place
    return None


def unpack(debs: Sequence[Path], directory: Path) -> None:
    """Unpack the packages of one kernel, which must bring an image, and index its modules.

    Raises:
        InputError: no image in them, or the packages belong to different kernels.
        HostError: depmod is missing or failed.
    """
    releases: dict[str, None] = {}
    for path in debs:
        releases |= dict.fromkeys(deb.unpack_kernel(path, directory))
    names = ", ".join(path.name for path in debs)
    if len(releases) > 1:
        raise InputError(f"{names} belong to different kernels: {', '.join(releases)}", hint="give those of one")
    if not (directory / "vmlinuz").is_file():
        raise InputError(f"there is no kernel image in {names}", hint="give the package with vmlinuz in it")
    for release in releases:
        if (directory / "lib/modules" / release).is_dir():
            _depmod(directory, release)
    seal(directory)


def seal(directory: Path) -> None:
    """Write the list of hashes that :func:`intact` compares with."""
    names = ("vmlinuz", "config", "vmlinux", "System.map")
    checked = [*(directory / name for name in names), *directory.glob("lib/modules/*/modules.dep")]
    lines = [f"{sha256_of(path)}  {path.relative_to(directory)}\n" for path in checked if path.is_file()]
    (directory / _SUMS).write_text("".join(lines), encoding="utf-8")


def intact(directory: Path) -> bool:
    """Is everything that was sealed still as it was, as far as its list of hashes goes (20 ms)?"""
    sums = directory / _SUMS
    if not sums.is_file():
        return False
    entries = [line.split("  ", 1) for line in sums.read_text(encoding="utf-8").splitlines()]
    return all((directory / name).is_file() and sha256_of(directory / name) == digest for digest, name in entries)


def _depmod(directory: Path, release: str) -> None:
    """Packages bring no modules.dep: depmod makes it when they are installed, so it is made here."""
    depmod = shutil.which("depmod", path=f"{os.environ.get('PATH', os.defpath)}:{_SBIN}")
    if depmod is None:
        raise HostError("depmod is not installed, so no kernel package can be unpacked", hint="apt-get install kmod")
    # kmod 32 and newer can be built to look below usr/lib/modules
    (directory / "usr").mkdir()
    (directory / "usr/lib").symlink_to("../lib")
    done = subprocess.run(
        [depmod, "-b", str(directory), release], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0 or not (directory / "lib/modules" / release / "modules.dep").is_file():
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise HostError(f"depmod failed for {release}: {lines[-1]}")


def from_tree(name: str, directory: Path, packages: tuple[PackageRef, ...], source: str) -> KernelImage:
    """The kernel in a directory that :func:`unpack` filled; ``source`` names the package of the configuration."""
    release = read_header(directory / "vmlinuz").release
    modules = directory / "lib/modules" / release
    config_path = directory / "config"
    return describe(
        name,
        directory / "vmlinuz",
        config_path=config_path if config_path.is_file() else None,
        modules=modules if modules.is_dir() else None,
        packages=packages,
        config_source=f"the config of {source}" if source else "",
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
