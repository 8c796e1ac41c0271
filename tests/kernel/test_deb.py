from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.errors import HostError, InputError
from harness.kernel.debian import deb

from . import build


def write(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "kernel.deb"
    path.write_bytes(data)
    return path


def tree(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "how",
    [
        "xz",
        "gz",
        "",
        pytest.param("zst", marks=pytest.mark.skipif(shutil.which("zstd") is None, reason="needs zstd")),
    ],
)
def test_a_package_of_each_compression(tmp_path: Path, how: str) -> None:
    path = write(tmp_path, build.deb(build.kernel_files(), how=how, depends="kmod"))
    assert deb.read_control(path) == deb.Control(f"linux-image-{build.RELEASE}", "6.1.192-2", "kmod")
    assert deb.unpack_kernel(path, tmp_path / "out") == (build.RELEASE,)
    modules = f"lib/modules/{build.RELEASE}"
    assert tree(tmp_path / "out") == {
        "vmlinuz",
        "config",
        f"{modules}/modules.builtin",
        f"{modules}/kernel/drivers/block/virtio_blk.ko",
    }
    assert (tmp_path / "out/vmlinuz").read_bytes() == build.bzimage()


def test_zstd_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, build.ar({"debian-binary": b"2.0\n", "control.tar.zst": b"\x28\xb5\x2f\xfd"}))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match="zstd is needed to read") as caught:
        deb.read_control(path)
    assert "apt-get install zstd" in caught.value.hint


def test_the_packages_of_a_split_kernel(tmp_path: Path) -> None:
    release = "7.2.13+deb14-amd64"
    for part, files in build.split_files(release, signed=False).items():
        path = write(tmp_path, build.deb(files, package=f"linux-{part}-{release}"))
        assert deb.unpack_kernel(path, tmp_path / "out") == (release,)
    modules = f"lib/modules/{release}"
    assert tree(tmp_path / "out") == {
        "vmlinuz",
        "config",
        f"{modules}/modules.builtin",
        f"{modules}/kernel/drivers/block/virtio_blk.ko.xz",
    }


def test_links_are_passed_over(tmp_path: Path) -> None:
    links = {f"./lib/modules/{build.RELEASE}/modules.dep": "/etc/passwd", f"./boot/vmlinuz-{build.RELEASE}": "/dev/sda"}
    path = write(tmp_path, build.deb({}, links=links, hard={f"./boot/config-{build.RELEASE}": "etc/shadow"}))
    assert deb.unpack_kernel(path, tmp_path / "out") == ()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "name",
    ["../../etc/cron.d/x", "./lib/modules/6.1/../../../x.ko", "/lib/modules/6.1/kernel/x.ko", "lib/modules/../x.ko"],
)
def test_a_path_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, build.deb({name: b"x"}))
    with pytest.raises(InputError, match="unsafe path"):
        deb.unpack_kernel(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no ar archive"),
        (b"text, no package\n", "no ar archive"),
        (b"!<arch>\n", "has no data.tar"),
        (b"!<arch>\n" + b"x" * 60, "has no data.tar"),
        (build.ar({"debian-binary": b"2.0\n"}), "has no data.tar"),
        (build.ar({"data.tar.lz": b""}), "data.tar.lz is compressed in a way"),
        (build.ar({"data.tar.xz": b"not xz"}), "damaged or truncated"),
        (build.ar({"data.tar": b"x" * 600}), "damaged or truncated"),
    ],
)
def test_what_is_no_package(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        deb.unpack_kernel(write(tmp_path, data), tmp_path / "out")


@pytest.mark.parametrize("how", ["xz", "gz", ""])
def test_a_truncated_package(tmp_path: Path, how: str) -> None:
    files = {f"./boot/vmlinuz-{build.RELEASE}": build.bzimage(code=bytes(range(256)) * 400)}
    whole = build.deb(files, how=how)
    with pytest.raises(InputError, match="damaged or truncated"):
        deb.unpack_kernel(write(tmp_path, whole[: len(whole) * 9 // 10]), tmp_path / "out")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        deb.read_control(tmp_path / "none.deb")


def test_no_control_file(tmp_path: Path) -> None:
    path = write(tmp_path, build.ar({"control.tar": build.tar({"./md5sums": b""})}))
    with pytest.raises(InputError, match="has no control file"):
        deb.read_control(path)
