from __future__ import annotations

from pathlib import Path

import pytest

from harness.cache import Cache
from harness.errors import HostError, InputError
from harness.kernel.debian.apt import Machine
from harness.kernel.registry import Registry, listing, resolve, resolve_hypervisor
from harness.model.kernel import HypervisorImage

from .conftest import FakeApt

NAME = "xen-4.17"
PACKAGE = "xen-hypervisor-4.17-amd64"
ENTRY = f"""\
kind: hypervisor
name: {NAME}
description: for a test of fetching
package: {PACKAGE}
suites: [bookworm-security, bookworm]
"""
XEN = b"MZ a xen.efi"


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / f"{NAME}.yaml").write_text(ENTRY)
    return Registry.load(tmp_path / "kernels")


@pytest.fixture
def archive(apt: FakeApt) -> FakeApt:
    for suite, version in (("bookworm", "4.17.5-1"), ("bookworm-security", "4.17.7-1")):
        content = XEN + version.encode()
        apt.archive.add(suite, PACKAGE, version, {"boot/xen-4.17-amd64.efi": content, "boot/xen-4.17-amd64.gz": b"no"})
    return apt


def get(registry: Registry, cache: Cache, machine: Machine, **options: bool) -> HypervisorImage:
    return resolve_hypervisor(NAME, registry, cache, machine=machine, **options)


def test_the_newest_is_fetched_once(archive: FakeApt, registry: Registry, cache: Cache, machine: Machine) -> None:
    found = get(registry, cache, machine)

    assert found.image.read_bytes() == XEN + b"4.17.7-1"
    assert (found.version, found.packages[0].version) == ("4.17", "4.17.7-1")
    asked = len(archive.calls)
    assert get(registry, cache, machine, offline=True) == found
    assert len(archive.calls) == asked


def test_damage_in_the_cache_is_seen(archive: FakeApt, registry: Registry, cache: Cache, machine: Machine) -> None:
    found = get(registry, cache, machine)
    found.image.chmod(0o644)
    found.image.write_bytes(b"rubbish")

    with pytest.raises(HostError, match=r"xen-4\.17 is not in the cache"):
        get(registry, cache, machine, offline=True)
    assert get(registry, cache, machine) == found


def test_a_package_that_is_not_there(apt: FakeApt, registry: Registry, cache: Cache, machine: Machine) -> None:
    for suite in ("bookworm", "bookworm-security"):
        apt.archive.add(suite, "other", "1", {})
    with pytest.raises(HostError, match=r"no xen-hypervisor-4\.17-amd64 in bookworm-security, bookworm"):
        get(registry, cache, machine)


def test_a_hypervisor_is_no_kernel(registry: Registry, cache: Cache) -> None:
    assert (registry.names, registry.hypervisors) == ((), (NAME,))
    with pytest.raises(InputError, match=r"xen-4\.17 is a hypervisor, not a kernel"):
        resolve(NAME, registry, cache)


def test_it_is_in_the_list(archive: FakeApt, registry: Registry, cache: Cache, machine: Machine) -> None:
    (before,) = listing(registry, cache)
    get(registry, cache, machine)
    (after,) = listing(registry, cache)

    assert (before.kind, before.fetched, after.fetched) == ("hypervisor", False, True)
    assert (after.suite, after.version) == ("bookworm-security", "4.17.7-1")


def test_an_unknown_name(registry: Registry, cache: Cache) -> None:
    with pytest.raises(InputError, match=r"there is no hypervisor 'xen-9\.9'") as caught:
        resolve_hypervisor("xen-9.9", registry, cache, offline=True)
    assert caught.value.hint == "known: xen-4.17"


def test_a_kernel_is_no_hypervisor(tmp_path: Path, cache: Cache) -> None:
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "mine.yaml").write_text(
        "kind: file\nname: mine\ndescription: a file of mine\nimage: bzImage\n"
    )
    with pytest.raises(InputError, match="mine is a kernel, not a hypervisor"):
        resolve_hypervisor("mine", Registry.load(tmp_path / "kernels"), cache, offline=True)
