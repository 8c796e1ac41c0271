from __future__ import annotations

import shutil
import threading
from collections import namedtuple
from pathlib import Path

import pytest

from harness.cache import Cache
from harness.errors import HostError, InputError, Interrupted
from harness.kernel.build import build as builds
from harness.kernel.build import built
from harness.kernel.build.make import BuildError
from harness.kernel.registry import resolve
from harness.model.kernel import Capability

from . import source
from .source import Kernels


def entries(cache: Cache) -> list[str]:
    """What lies in the cache of finished builds, half-built or not."""
    directory = cache.root / builds.BUILT
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


def work(cache: Cache) -> Path:
    (found,) = (cache.root / builds.WORK).iterdir()
    return found


def log(cache: Cache) -> str:
    return (work(cache) / builds.LOG).read_text()


def test_a_kernel_is_built_and_described(kernels: Kernels, cache: Cache) -> None:
    said: list[str] = []
    made = built.make(kernels.recipe(), cache, progress=said.append)
    assert (made.image.name, made.image.release) == ("tiny", source.RELEASE)
    assert made.image.image.read_bytes().endswith(source.MAIN.encode() + b"quick\n")
    assert made.image.config is not None
    assert 'CONFIG_LOCALVERSION="-tiny"' in made.image.config.read_text()
    assert made.image.vmlinux is not None
    assert made.image.vmlinux.read_text() == "symbols\n"
    assert (made.directory / "System.map").is_file()
    assert made.image.capabilities[Capability.KEXEC_LOAD].reason == "CONFIG_KEXEC=y in the config of tiny"
    assert made.image.origin.endswith("linux-6.1.tar.xz; tinyconfig, base; gcc 1.0, ld 1.0")
    assert made.about.compiled == 2
    assert said[0] == "unpacking linux-6.1.tar.xz"
    assert any(text.startswith("tiny: compiling") for text in said)
    assert said[-1].startswith("tiny: built in ")
    assert "MiB of objects in" in said[-1]


def test_the_second_time_nothing_is_done(kernels: Kernels, cache: Cache) -> None:
    first = built.make(kernels.recipe(), cache)
    shutil.rmtree(cache.root / builds.WORK)
    said: list[str] = []
    assert built.make(kernels.recipe(), cache, progress=said.append) == first
    assert resolve("tiny", kernels.registry, cache, offline=True) == first.image
    assert said == []


def test_a_twin_builds_only_what_the_patch_touches_and_so_does_the_way_back(kernels: Kernels, cache: Cache) -> None:
    plain = built.make(kernels.recipe(), cache)
    twin = built.make(kernels.recipe("tiny+bug"), cache)
    assert twin.image.image.read_bytes() == plain.image.image.read_bytes().replace(b"line 8\n", b"")
    assert twin.about.patches == ("bug",)
    assert "with bug" in twin.image.origin
    assert twin.image.config is not None
    assert 'CONFIG_LOCALVERSION="-tiny+bug"' in twin.image.config.read_text()
    assert len(list((cache.root / builds.WORK).iterdir())) == 1
    shutil.rmtree(plain.directory)
    again = built.make(kernels.recipe(), cache)
    assert again.image.sha256 == plain.image.sha256
    (pristine,) = (cache.root / "kernel-sources").iterdir()
    assert (pristine / "main.c").read_text() == source.MAIN  # hard links: the original must never change


def test_a_patch_that_does_not_apply(kernels: Kernels, cache: Cache) -> None:
    kernels.write("patches/bug.patch", source.PATCH.replace("-line 8", "-line eight"))
    with pytest.raises(
        InputError, match=r"patch bug does not apply to .*linux-6.1.tar.xz: main.c: hunk 1 fails at line 6"
    ):
        built.make(kernels.recipe("tiny+bug"), cache)
    assert entries(cache) == []
    assert built.make(kernels.recipe(), cache).image.release == source.RELEASE  # and the copy is not spoilt


def test_a_second_patch_that_fails_leaves_no_trace_of_the_first(kernels: Kernels, cache: Cache) -> None:
    kernels.write("tiny+bug.yaml", source.TWIN.replace("[bug]", "[bug, more]"))
    kernels.write("patches/more.patch", source.PATCH)
    with pytest.raises(InputError, match="patch more does not apply"):
        built.make(kernels.recipe("tiny+bug"), cache)
    plain = built.make(kernels.recipe(), cache)
    assert b"line 8\n" in plain.image.image.read_bytes()


def test_a_patch_is_taken_without_fuzz(kernels: Kernels, cache: Cache) -> None:
    kernels.write("patches/bug.patch", source.PATCH.replace(" line 6\n", " line six\n"))
    with pytest.raises(InputError, match="hunk 1 fails"):
        built.make(kernels.recipe("tiny+bug"), cache)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("--- a/../../etc/x\n+++ b/../../etc/x\n@@ -1 +1 @@\n-a\n+b\n", "names a file outside the source"),
        ("hello\n", "is no patch"),
    ],
)
def test_what_is_no_patch(kernels: Kernels, cache: Cache, text: str, message: str) -> None:
    kernels.write("patches/bug.patch", text)
    with pytest.raises(InputError, match=message):
        built.make(kernels.recipe("tiny+bug"), cache)


@pytest.mark.parametrize(
    ("symbol", "why"),
    [
        ("PICKY", r"Kconfig:5: depends on EFI && NEEDED && KEXEC, and NEEDED=n"),
        ("NOWHERE", "there is no such symbol in this source"),
    ],
)
def test_a_symbol_that_cannot_be_set(kernels: Kernels, cache: Cache, symbol: str, why: str) -> None:
    kernels.write("fragments/base.config", f"CONFIG_KEXEC=y\nCONFIG_{symbol}=y\n")
    with pytest.raises(InputError, match=rf"CONFIG_{symbol}=y was asked for by .*base\.config and is not set: {why}"):
        built.make(kernels.recipe(), cache)
    assert entries(cache) == []
    kernels.write("fragments/base.config", "CONFIG_KEXEC=y\nCONFIG_NEEDED=y\nCONFIG_PICKY=y\n")
    built.make(kernels.recipe(), cache)


def test_make_fails(kernels: Kernels, cache: Cache) -> None:
    kernels.write(
        "patches/bug.patch", source.PATCH.replace("-line 8", "+#error on purpose\n line 8").replace("6,4", "6,6")
    )
    with pytest.raises(BuildError) as caught:
        built.make(kernels.recipe("tiny+bug"), cache)
    error = caught.value
    assert error.message == "tiny+bug: compiling failed: main.c:7:2: error: #error on purpose"
    assert error.log == work(cache) / builds.LOG
    assert f"the last lines of {error.log}:" in error.hint
    assert any(line.startswith("make: *** ") and line in error.hint for line in error.tail)
    assert all(line in log(cache) for line in error.tail)
    assert entries(cache) == []


def test_no_space_while_building(kernels: Kernels, cache: Cache) -> None:
    kernels.write("patches/bug.patch", source.PATCH.replace("-line 8", "+#full\n line 8").replace("6,4", "6,6"))
    with pytest.raises(HostError, match="the disk is full") as caught:
        built.make(kernels.recipe("tiny+bug"), cache)
    assert "HARNESS_CACHE" in caught.value.hint
    assert entries(cache) == []


def test_no_space_before_building(kernels: Kernels, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(2**40, 2**40, 2**20))
    with pytest.raises(HostError, match=r"has 0\.0 GiB left, 1\.0 GiB are needed to build a kernel"):
        built.make(kernels.recipe(), cache)
    assert not (cache.root / "kernel-sources").exists()


def test_a_file_too_big_for_the_disk(kernels: Kernels, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a full disk does when the results are copied: the entry must not stay."""

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copy", full)
    with pytest.raises(HostError, match=r"the disk of the cache .* is full"):
        built.make(kernels.recipe(), cache)
    assert entries(cache) == []


@pytest.mark.usefixtures("nothing_left")
def test_interrupted_and_going_on(kernels: Kernels, cache: Cache) -> None:
    slow = "--- a/slow.c\n+++ b/slow.c\n@@ -1 +1 @@\n-quick\n+sleep\n"
    kernels.write("patches/bug.patch", slow)

    def stop(text: str) -> None:
        if "waiting" in text:
            raise Interrupted("stopped on request")

    recipe = kernels.recipe("tiny+bug")
    with pytest.raises(Interrupted):
        built.make(recipe, cache, progress=stop, interval_s=0)
    assert not source.running(work(cache) / "out/pid")
    assert entries(cache) == []
    assert "CC      main.o" in log(cache)
    (work(cache) / "src/slow.c").unlink()
    (work(cache) / "src/slow.c").write_text("quick\n")
    assert built.make(recipe, cache).about.compiled == 1  # main.o was there already
    assert "CC      main.o" not in log(cache)
    assert len(entries(cache)) == 1


@pytest.mark.parametrize("missing", ["gcc: gcc libc6-dev", "flex: flex", "patch: patch"])
def test_a_program_is_missing(
    kernels: Kernels, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    name, package = missing.split(": ")
    monkeypatch.setenv("PATH", source.path_without(name, tmp_path / "less"))
    with pytest.raises(HostError, match=f"no kernel can be built here: {name}") as caught:
        built.make(kernels.recipe(), cache)
    assert f"apt-get install {package}" in caught.value.hint
    assert entries(cache) == []


def test_headers_are_missing(kernels: Kernels, cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "programs/gcc").write_text('#!/bin/sh\ncase "$1" in -E) exit 1 ;; esac\necho gcc 1.0\n')
    with pytest.raises(HostError, match=r"libelf\.h, openssl/opensslv\.h missing") as caught:
        built.make(kernels.recipe(), cache)
    assert "apt-get install libelf-dev libssl-dev" in caught.value.hint


def test_without_a_compiler_what_was_built_is_used(
    kernels: Kernels, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = built.make(kernels.recipe(), cache)
    monkeypatch.setenv("PATH", source.path_without("gcc", tmp_path / "less"))
    assert built.make(kernels.recipe(), cache) == made
    kernels.write("fragments/base.config", "CONFIG_KEXEC=y\nCONFIG_NEEDED=y\n")
    assert built.look(kernels.recipe(), cache) is None


def test_another_compiler_is_another_kernel(kernels: Kernels, cache: Cache, tmp_path: Path) -> None:
    first = built.make(kernels.recipe(), cache)
    (tmp_path / "programs/gcc").write_text("#!/bin/sh\necho gcc 2.0\n")
    assert built.look(kernels.recipe(), cache) is None
    second = built.make(kernels.recipe(), cache)
    assert second.directory != first.directory
    assert "gcc 2.0" in second.image.origin


def test_two_at_once_build_once(kernels: Kernels, cache: Cache) -> None:
    recipe, made, said = kernels.recipe(), list[built.Built](), list[str]()
    begin = threading.Barrier(2)

    def one() -> None:
        begin.wait()
        made.append(built.make(recipe, cache, progress=said.append))

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made[0] == made[1]
    assert len([text for text in said if "built in" in text]) == 1
    assert len(entries(cache)) == 1


def test_a_damaged_entry_is_built_again(kernels: Kernels, cache: Cache) -> None:
    made = built.make(kernels.recipe(), cache)
    made.image.image.write_bytes(b"damaged")
    assert built.look(kernels.recipe(), cache) is None
    assert built.make(kernels.recipe(), cache).image == made.image


def test_offline_nothing_is_built(kernels: Kernels, cache: Cache) -> None:
    with pytest.raises(HostError, match="tiny is not built") as caught:
        resolve("tiny", kernels.registry, cache, offline=True)
    assert caught.value.hint == "harness kernels build tiny"
    assert not cache.root.exists()


def test_modules_are_installed(kernels: Kernels, cache: Cache) -> None:
    kernels.write("fragments/base.config", "CONFIG_KEXEC=y\nCONFIG_MODULES=y\n")
    made = built.make(kernels.recipe(), cache)
    assert made.image.modules is not None
    assert sorted(path.name for path in made.image.modules.iterdir()) == ["kernel", "modules.dep"]


def test_a_whole_config_as_base(kernels: Kernels, cache: Cache) -> None:
    kernels.write("mine.config", "CONFIG_EFI=y\nCONFIG_MINE=y\n")
    text = source.ENTRY.replace("{SOURCE}", kernels.registry.entry("tiny").model_dump_json(include={"source"})[10:-1])
    kernels.write("tiny.yaml", text.replace("base: tinyconfig", "base: mine.config").replace("null", "~"))
    made = built.make(kernels.recipe(), cache)
    assert made.image.config is not None
    assert "CONFIG_MINE=y" in made.image.config.read_text()


def test_a_cache_whose_path_kbuild_refuses(kernels: Kernels, tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no path with a blank or a colon"):
        built.make(kernels.recipe(), Cache(tmp_path / "my cache"))
