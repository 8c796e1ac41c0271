from __future__ import annotations

from pathlib import Path

import pytest

from harness.cache import Cache
from harness.errors import HostError, InputError
from harness.kernel import registry as registries
from harness.kernel.debian.apt import Machine
from harness.kernel.kinds.debian import fetched
from harness.kernel.registry import Registry, listing
from harness.model.kernel import Capability, KernelImage

from . import build
from .conftest import FakeApt

NAME = "debian-6.1"
ENTRY = """\
kind: debian
name: NAME
description: for a test of fetching
series: "SERIES"
flavour: amd64
suites: [SUITES]
"""


def write_entry(
    directory: Path, name: str = NAME, series: str = "6.1", suites: str = "bookworm", pin: str = ""
) -> Registry:
    directory.mkdir(exist_ok=True)
    text = ENTRY.replace("NAME", name).replace("SERIES", series).replace("SUITES", suites)
    (directory / f"{name}.yaml").write_text(text + (f"pin: {pin}\n" if pin else ""))
    return Registry.load(directory)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return write_entry(tmp_path / "kernels")


class Resolver:
    """resolve() with this test's cache and machine; keeps what was said meanwhile."""

    def __init__(self, cache: Cache, machine: Machine) -> None:
        self.cache, self.machine, self.said = cache, machine, list[str]()

    def __call__(self, ref: str, registry: Registry, *, offline: bool = False, refresh: bool = False) -> KernelImage:
        return registries.resolve(
            ref,
            registry,
            self.cache,
            offline=offline,
            refresh=refresh,
            progress=self.said.append,
            machine=self.machine,
        )


@pytest.fixture
def resolve(cache: Cache, machine: Machine) -> Resolver:
    return Resolver(cache, machine)


def test_a_kernel_is_fetched_and_described(apt: FakeApt, registry: Registry, resolve: Resolver) -> None:
    digest = apt.archive.add_kernel("bookworm", build.RELEASE, "6.1.192-2")
    kernel = resolve(NAME, registry)
    assert (kernel.name, kernel.release) == (NAME, build.RELEASE)
    assert kernel.image.read_bytes() == build.bzimage()
    assert kernel.size_bytes == len(build.bzimage())
    assert kernel.config is not None
    assert kernel.modules is not None
    assert (kernel.modules / "modules.dep").is_file()
    assert kernel.modules.parts[-3:] == ("lib", "modules", build.RELEASE)
    (package,) = kernel.packages
    assert (package.name, package.version, package.suite) == (f"linux-image-{build.RELEASE}", "6.1.192-2", "bookworm")
    assert package.sha256 == digest
    assert "CONFIG_ACPI_BGRT is not set in the config of linux-image" in kernel.capabilities[Capability.BGRT].reason
    assert resolve.said[0] == "debian-6.1: looking in bookworm"
    assert any("downloading linux-image-6.1.0-56-amd64" in text for text in resolve.said)


def test_the_second_time_needs_no_apt(apt: FakeApt, registry: Registry, resolve: Resolver) -> None:
    apt.archive.add_kernel("bookworm", build.RELEASE, "6.1.192-2")
    first = resolve(NAME, registry)
    calls = apt.calls
    apt.archive.add_kernel("bookworm", "6.1.0-57-amd64", "6.1.200-1")
    assert resolve(NAME, registry, offline=True) == first
    assert resolve(NAME, registry) == first
    assert fetched(NAME, resolve.cache) == first
    assert apt.calls == calls


def test_refresh_looks_again(apt: FakeApt, registry: Registry, resolve: Resolver) -> None:
    apt.archive.add_kernel("bookworm", build.RELEASE, "6.1.192-2")
    resolve(NAME, registry)
    apt.archive.add_kernel("bookworm", "6.1.0-57-amd64", "6.1.200-1")
    assert resolve(NAME, registry, refresh=True).release == "6.1.0-57-amd64"
    assert resolve(NAME, registry, offline=True).release == "6.1.0-57-amd64"


def test_a_changed_entry_is_resolved_anew(apt: FakeApt, registry: Registry, resolve: Resolver) -> None:
    apt.archive.add_kernel("bookworm", build.RELEASE, "6.1.192-2")
    apt.archive.add_kernel("bookworm", "6.1.0-50-amd64", "6.1.176-1")
    assert resolve(NAME, registry).release == build.RELEASE
    pinned = write_entry(registry.directory, pin="6.1.176-1")
    with pytest.raises(HostError, match="not in the cache"):
        resolve(NAME, pinned, offline=True)
    assert resolve(NAME, pinned).release == "6.1.0-50-amd64"


def test_a_pin_that_is_gone(apt: FakeApt, registry: Registry, resolve: Resolver) -> None:
    apt.archive.add_kernel("bookworm", build.RELEASE, "6.1.192-2")
    with pytest.raises(HostError, match=r"version 6\.1\.1-1 is not in bookworm") as caught:
        resolve(NAME, write_entry(registry.directory, pin="6.1.1-1"))
    assert "6.1.192-2" in caught.value.hint


def test_a_split_kernel(apt: FakeApt, tmp_path: Path, resolve: Resolver) -> None:
    release = "7.2.13+deb14-amd64"
    apt.archive.add_split("sid", release, "7.2.13-1")
    kernel = resolve("debian-7.2", write_entry(tmp_path / "k", "debian-7.2", "7.2", "sid"))
    assert kernel.release == release
    assert [package.name.split("-7")[0] for package in kernel.packages] == [
        "linux-binary",
        "linux-base",
        "linux-modules",
    ]
    assert kernel.modules is not None
    assert (kernel.modules / "kernel/drivers/block/virtio_blk.ko.xz").is_file()
    assert "the config of linux-base-7.2.13+deb14-amd64" in kernel.capabilities[Capability.EFI].reason


def test_a_missing_suite_is_said_and_passed_over(apt: FakeApt, tmp_path: Path, resolve: Resolver) -> None:
    apt.archive.add_kernel("bookworm", build.RELEASE, "6.1.192-2")
    registry = write_entry(tmp_path / "k", suites="forky, bookworm")
    assert resolve(NAME, registry).packages[0].suite == "bookworm"
    assert "debian-6.1: the archive has no suite forky; going on without it" in resolve.said


def test_no_suite_at_all(apt: FakeApt, tmp_path: Path, resolve: Resolver) -> None:
    with pytest.raises(HostError, match="no suite forky; the archive has no suite sid"):
        resolve(NAME, write_entry(tmp_path / "k", suites="forky, sid"))


def test_no_such_series(apt: FakeApt, registry: Registry, resolve: Resolver) -> None:
    apt.archive.add_kernel("bookworm", "6.12.1-amd64", "6.12.1-1")
    with pytest.raises(HostError, match=r"no linux 6\.1 for amd64 in bookworm"):
        resolve(NAME, registry)


def test_offline_without_a_kernel(apt: FakeApt, registry: Registry, resolve: Resolver) -> None:
    apt.archive.add_kernel("bookworm", build.RELEASE, "6.1.192-2")
    with pytest.raises(HostError, match=r"debian-6\.1 is not in the cache") as caught:
        resolve(NAME, registry, offline=True)
    assert "harness kernels fetch debian-6.1" in caught.value.hint
    assert fetched(NAME, resolve.cache) is None
    assert apt.calls == []


def test_a_package_that_is_not_what_the_list_says(apt: FakeApt, registry: Registry, resolve: Resolver) -> None:
    apt.archive.add_kernel("bookworm", build.RELEASE, "6.1.192-2")
    (path,) = (apt.archive.directory / "bookworm").glob("*.deb")
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(HostError, match="is damaged: its SHA-256"):
        resolve(NAME, registry)
    assert fetched(NAME, resolve.cache) is None


@pytest.mark.parametrize("damage", ["changed", "no kernel", "removed", "config removed", "tree removed"])
def test_a_damaged_tree_is_made_again_from_the_packages(
    apt: FakeApt, registry: Registry, resolve: Resolver, damage: str
) -> None:
    apt.archive.add_kernel("bookworm", build.RELEASE, "6.1.192-2")
    first = resolve(NAME, registry)
    if damage == "changed":
        first.image.write_bytes(build.bzimage(code=b"\x90" * 64))
    elif damage == "no kernel":
        first.image.write_bytes(b"")
    elif damage == "removed":
        first.image.unlink()
    elif damage == "config removed":
        assert first.config is not None
        first.config.unlink()
    else:
        first.image.parent.rename(first.image.parent.with_name("away"))
    assert resolve(NAME, registry, offline=True) == first
    assert first.image.read_bytes() == build.bzimage()


def test_a_damaged_blob_is_fetched_again(apt: FakeApt, registry: Registry, resolve: Resolver) -> None:
    digest = apt.archive.add_kernel("bookworm", build.RELEASE, "6.1.192-2")
    first = resolve(NAME, registry)
    first.image.unlink()
    blob = resolve.cache.blob(digest)
    assert blob is not None
    blob.chmod(0o644)
    blob.write_bytes(b"x")
    with pytest.raises(HostError, match="not in the cache"):
        resolve(NAME, registry, offline=True)
    assert resolve(NAME, registry) == first


def test_a_record_of_another_version_is_void(apt: FakeApt, registry: Registry, resolve: Resolver) -> None:
    apt.archive.add_kernel("bookworm", build.RELEASE, "6.1.192-2")
    resolve.cache.write_record("resolved", NAME, '{"format": 0}')
    assert fetched(NAME, resolve.cache) is None
    assert resolve(NAME, registry).release == build.RELEASE


def test_the_list(apt: FakeApt, registry: Registry, resolve: Resolver) -> None:
    (before,) = listing(registry, resolve.cache)
    assert (before.name, before.fetched, before.version, before.capabilities) == (NAME, False, None, None)
    apt.archive.add_kernel("bookworm", build.RELEASE, "6.1.192-2")
    kernel = resolve(NAME, registry)
    (after,) = listing(registry, resolve.cache)
    assert (after.fetched, after.outdated, after.version, after.suite) == (True, False, "6.1.192-2", "bookworm")
    assert (after.image_sha256, after.image_bytes) == (kernel.sha256, kernel.size_bytes)
    assert after.capabilities == kernel.capabilities
    (changed,) = listing(write_entry(registry.directory, suites="sid"), resolve.cache)
    assert changed.outdated


# Files by path


def put(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def test_a_lone_bzimage(tmp_path: Path, registry: Registry, resolve: Resolver) -> None:
    path = put(tmp_path / "images/bzImage", build.bzimage("6.6.6-test-none"))
    kernel = resolve(str(path), registry)
    assert (kernel.name, kernel.release, kernel.config, kernel.modules) == ("bzImage", "6.6.6-test-none", None, None)
    assert all("config unknown" in decision.reason for decision in kernel.capabilities.values())


def test_a_bzimage_without_efi_stub_needs_no_config_to_say_so(
    tmp_path: Path, registry: Registry, resolve: Resolver
) -> None:
    path = put(tmp_path / "images/bzImage", build.bzimage(pe_machine=None))
    decision = resolve(str(path), registry).capabilities[Capability.EFI]
    assert not decision.possible
    assert "built without CONFIG_EFI_STUB" in decision.reason


@pytest.mark.parametrize(
    "places",
    [
        ("boot/vmlinuz-6.6.6", "boot/config-6.6.6", "lib/modules/6.6.6"),
        ("boot/vmlinuz-old", "boot/config-old", "boot/lib/modules/6.6.6"),
        ("src/arch/x86/boot/bzImage", "src/.config", None),
        ("lib/modules/6.6.6/vmlinuz", "lib/modules/6.6.6/config", "lib/modules/6.6.6"),
    ],
)
def test_config_and_modules_are_found(
    tmp_path: Path, registry: Registry, resolve: Resolver, places: tuple[str, str, str | None]
) -> None:
    image, config, modules = places
    path = put(tmp_path / image, build.bzimage("6.6.6"))
    put(tmp_path / config, build.CONFIG)
    if modules:
        put(tmp_path / modules / "modules.dep", "")
    kernel = resolve(str(path), registry)
    assert kernel.config == tmp_path / config
    assert kernel.modules == (tmp_path / modules if modules else None)
    assert str(tmp_path / config) in kernel.capabilities[Capability.BGRT].reason


def test_a_file_entry(tmp_path: Path, resolve: Resolver) -> None:
    directory = tmp_path / "kernels"
    put(directory / "mine.yaml", "kind: file\nname: mine\ndescription: my own kernel\nimage: b/image\nconfig: b/c\n")
    put(directory / "b/image", build.bzimage("6.6.6"))
    put(directory / "b/c", build.CONFIG)
    registry = Registry.load(directory)
    kernel = resolve("mine", registry)
    assert (kernel.name, kernel.release, kernel.config) == ("mine", "6.6.6", directory / "b/c")
    assert listing(registry, resolve.cache)[0].kind == "file"
    put(directory / "b/c", "no config\n")
    with pytest.raises(InputError, match="is not a kernel configuration"):
        resolve("mine", registry)


def test_a_package_by_path(apt: FakeApt, tmp_path: Path, registry: Registry, resolve: Resolver) -> None:
    path = put(tmp_path / "linux-image.deb", build.deb(build.kernel_files()))
    kernel = resolve(str(path), registry)
    assert (kernel.name, kernel.release) == ("linux-image.deb", build.RELEASE)
    assert resolve(str(path), registry) == kernel
    assert apt.calls == []


def put_split(directory: Path, release: str = "7.2.13+deb14-amd64", version: str = "7.2.13-1") -> dict[str, Path]:
    paths = {}
    for part, files in build.split_files(release).items():
        name = f"linux-{part}-{release}"
        paths[part] = put(directory / f"{name}_{version}_amd64.deb", build.deb(files, package=name, version=version))
    depends = f"linux-base-{release} (= {version}), linux-binary-{release}, linux-modules-{release} (= {version})"
    name = f"linux-image-{release}"
    data = build.deb({}, package=name, version=version, depends=depends)
    return paths | {"image": put(directory / f"{name}_{version}_amd64.deb", data)}


@pytest.mark.parametrize("given", ["binary", "image"])
def test_a_split_kernel_by_path_takes_its_neighbours(
    apt: FakeApt, tmp_path: Path, registry: Registry, resolve: Resolver, given: str
) -> None:
    kernel = resolve(str(put_split(tmp_path / "debs")[given]), registry)
    assert kernel.release == "7.2.13+deb14-amd64"
    assert kernel.config is not None
    assert kernel.modules is not None


def test_a_split_kernel_by_path_with_a_part_missing(tmp_path: Path, registry: Registry, resolve: Resolver) -> None:
    paths = put_split(tmp_path / "debs")
    paths["modules"].unlink()
    with pytest.raises(InputError, match="only a part of its kernel: linux-modules-") as caught:
        resolve(str(paths["binary"]), registry)
    assert "into one directory" in caught.value.hint
    with pytest.raises(InputError, match="there is no kernel image in it") as caught:
        resolve(str(paths["base"]), registry)
    assert "linux-binary-VERSION" in caught.value.hint


def test_a_package_without_a_kernel(apt: FakeApt, tmp_path: Path, registry: Registry, resolve: Resolver) -> None:
    path = put(tmp_path / "hello.deb", build.deb({"./usr/bin/hello": b"x"}, package="hello"))
    with pytest.raises(InputError, match=r"no kernel image in hello\.deb"):
        resolve(str(path), registry)


def test_a_package_of_two_kernels(apt: FakeApt, tmp_path: Path, registry: Registry, resolve: Resolver) -> None:
    path = put(tmp_path / "two.deb", build.deb(build.kernel_files() | {"./lib/modules/9.9/modules.order": b""}))
    with pytest.raises(InputError, match="belong to different kernels"):
        resolve(str(path), registry)


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("./none/bzImage", "no such file"),
        ("none.deb", "no such file"),
        (".", "is a directory, not a kernel"),
        ("/dev/null", "is a device, pipe or socket"),
        ("debian-6.2", "there is no kernel 'debian-6.2'; did you mean debian-6.1?"),
        ("x" * 300, "there is no kernel"),
        ("", "there is no kernel ''"),
    ],
)
def test_what_is_neither_name_nor_kernel(registry: Registry, resolve: Resolver, ref: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        resolve(ref, registry)
    assert message in caught.value.message


def test_depmod_that_is_missing_or_fails(
    apt: FakeApt, tmp_path: Path, registry: Registry, resolve: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path / "k.deb", build.deb(build.kernel_files()))
    (tmp_path / "bin/depmod").write_text("#!/bin/sh\necho depmod: broken >&2; exit 1\n")
    with pytest.raises(HostError, match=r"depmod failed for 6\.1\.0-56-amd64: depmod: broken"):
        resolve(str(path), registry)
    monkeypatch.setattr("shutil.which", lambda *_args, **_kwargs: None)
    with pytest.raises(HostError, match="depmod is not installed"):
        resolve(str(path), registry)
    assert not list((resolve.cache.root / "kernels").iterdir())
