from __future__ import annotations

import gzip
import lzma
import subprocess
from pathlib import Path

import pytest

from harness.errors import HostError, InputError
from harness.guest.modules import DOM0_WANTED, WANTED, collect

from . import fake_elf


def place(tree: Path, name: str, depends: str = "", packing: str = "", folder: str = "kernel/drivers") -> Path:
    path = tree / folder / f"{name}.ko{packing}"
    path.parent.mkdir(parents=True, exist_ok=True)
    data = fake_elf.module(depends=depends, name=name)
    if packing == ".xz":
        data = lzma.compress(data)
    elif packing == ".gz":
        data = gzip.compress(data)
    elif packing == ".zst":
        data = subprocess.run(["zstd", "-q", "-c"], input=data, capture_output=True, check=True).stdout
    path.write_bytes(data)
    return path


def test_a_module_comes_after_everything_it_depends_on(tmp_path: Path) -> None:
    place(tmp_path, "virtio_blk", "virtio,virtio-ring")
    place(tmp_path, "virtio-ring")
    place(tmp_path, "virtio", "virtio-ring")
    place(tmp_path, "unrelated")
    found = collect(tmp_path, ["virtio_blk", "virtio"])
    assert [module.name for module in found.load] == ["virtio_ring", "virtio", "virtio_blk"]


@pytest.mark.parametrize("packing", ["", ".xz", ".gz", ".zst"])
def test_compressed_modules_are_unpacked(tmp_path: Path, packing: str) -> None:
    place(tmp_path, "efivarfs", packing=packing)
    (module,) = collect(tmp_path, ["efivarfs"]).load
    assert module.content == fake_elf.module(depends="", name="efivarfs")


def test_built_in_and_absent_modules_are_told_apart(tmp_path: Path) -> None:
    place(tmp_path, "virtio_blk", "virtio")
    (tmp_path / "modules.builtin").write_text("kernel/drivers/virtio/virtio.ko\nkernel/fs/efivarfs/efivarfs.ko\n")
    found = collect(tmp_path, ["virtio_blk", "efivarfs", "pvpanic"])
    assert [module.name for module in found.load] == ["virtio_blk"]
    assert (found.builtin, found.absent) == (("efivarfs",), ("pvpanic",))


def test_a_kernel_without_modules_has_none() -> None:
    found = collect(None)
    assert (found.load, found.builtin, found.absent) == ((), (), WANTED)


def test_a_dash_in_the_name_makes_no_difference(tmp_path: Path) -> None:
    place(tmp_path, "pvpanic-mmio")
    assert [module.name for module in collect(tmp_path, ["pvpanic_mmio"]).load] == ["pvpanic_mmio"]


def test_the_kernels_own_module_is_preferred(tmp_path: Path) -> None:
    place(tmp_path, "virtio", "missing", folder="extra")
    place(tmp_path, "virtio")
    assert [module.name for module in collect(tmp_path, ["virtio"]).load] == ["virtio"]


def test_a_missing_dependency_is_named(tmp_path: Path) -> None:
    place(tmp_path, "virtio_blk", "virtio")
    with pytest.raises(InputError, match="virtio_blk depends on virtio,"):
        collect(tmp_path, ["virtio_blk"])


def test_a_circle_is_refused(tmp_path: Path) -> None:
    place(tmp_path, "a", "b")
    place(tmp_path, "b", "a")
    with pytest.raises(InputError, match="circle"):
        collect(tmp_path, ["a"])


@pytest.mark.parametrize("packing", [".xz", ".gz"])
def test_a_damaged_module_is_the_inputs_fault(tmp_path: Path, packing: str) -> None:
    path = place(tmp_path, "a", packing=packing)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="damaged"):
        collect(tmp_path, ["a"])


def test_a_file_that_is_no_module_is_named(tmp_path: Path) -> None:
    place(tmp_path, "a").write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"a\.ko: not a 64-bit"):
        collect(tmp_path, ["a"])


def test_without_zstd_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place(tmp_path, "a", packing=".zst")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError) as caught:
        collect(tmp_path, ["a"])
    assert "package zstd" in caught.value.hint


def test_a_dom0_can_talk_to_xen(tmp_path: Path) -> None:
    place(tmp_path, "xen-privcmd")
    found = collect(tmp_path, DOM0_WANTED)
    assert [module.name for module in found.load] == ["xen_privcmd"]
    assert not set(DOM0_WANTED) & set(WANTED)
