from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from harness.cache import Cache, default_cache
from harness.errors import HostError


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def leftovers(cache: Cache) -> list[str]:
    return [path.name for path in cache.root.rglob(".*@*")]


def interrupted_build(cache: Cache, error: type[BaseException]) -> None:
    with cache.building("trees", "one") as directory:
        (directory / "file").write_text("half")
        raise error


def test_the_root_comes_from_the_environment_or_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_cache({"HARNESS_CACHE": str(tmp_path)}).root == tmp_path
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache({}).root == tmp_path / ".cache/harness"
    assert default_cache({"HARNESS_CACHE": "~/kept"}).root == tmp_path / "kept"
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "b"))
    assert default_cache().root == tmp_path / "b"
    assert not (tmp_path / "b").exists()


def test_a_blob_is_found_by_its_contents(cache: Cache, tmp_path: Path) -> None:
    source = tmp_path / "a"
    source.write_bytes(b"contents")
    digest = cache.add_blob(source)
    assert digest == hashlib.sha256(b"contents").hexdigest()
    path = cache.blob(digest)
    assert path == cache.root / "blobs/sha256" / digest[:2] / digest
    assert path.read_bytes() == b"contents"
    assert source.exists()
    assert cache.add_blob(source, sha256=digest) == digest
    assert cache.blob("0" * 64) is None


def test_a_blob_with_other_contents_is_not_taken_in(cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"contents")
    with pytest.raises(HostError, match="a is damaged"):
        cache.add_blob(tmp_path / "a", sha256="0" * 64)
    assert not list((cache.root / "blobs").rglob("?" * 64))
    assert not leftovers(cache)


def test_a_corrupted_blob_is_removed_and_not_given_out(cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"contents")
    digest = cache.add_blob(tmp_path / "a")
    path = cache.blob(digest)
    assert path is not None
    path.chmod(0o644)
    path.write_bytes(b"contentz")
    assert cache.blob(digest) is None
    assert not path.exists()


def test_a_missing_source_is_not_called_a_fault_of_the_cache(cache: Cache, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        cache.add_blob(tmp_path / "none")


def test_a_directory_appears_only_when_it_is_complete(cache: Cache) -> None:
    with cache.building("trees", "one") as directory:
        (directory / "file").write_text("x")
        assert cache.find("trees", "one") is None
    found = cache.find("trees", "one")
    assert found is not None
    assert (found / "file").read_text() == "x"
    assert not leftovers(cache)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_an_interrupted_build_leaves_nothing(cache: Cache, error: type[BaseException]) -> None:
    with pytest.raises(error):
        interrupted_build(cache, error)
    assert cache.find("trees", "one") is None
    assert not leftovers(cache)


def test_an_interrupted_build_keeps_the_older_directory(cache: Cache) -> None:
    with cache.building("trees", "one") as directory:
        (directory / "file").write_text("old")
    with pytest.raises(KeyboardInterrupt):
        interrupted_build(cache, KeyboardInterrupt)
    assert (cache.root / "trees/one/file").read_text() == "old"
    with cache.building("trees", "one") as directory:
        (directory / "file").write_text("new")
    assert (cache.root / "trees/one/file").read_text() == "new"


def test_what_a_killed_build_left_is_removed_by_the_next(cache: Cache) -> None:
    script = (
        "import os, sys, pathlib; from harness.cache import Cache\n"
        "with Cache(pathlib.Path(sys.argv[1])).building('trees', 'one') as d:\n"
        "    (d / 'file').write_text('x'); os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(cache.root)], check=False, cwd=Path(__file__).parents[1])
    assert done.returncode == -9
    assert cache.find("trees", "one") is None
    assert leftovers(cache)
    with cache.building("trees", "one"):
        pass
    assert not leftovers(cache)


def test_two_threads_build_once(cache: Cache) -> None:
    started, go = threading.Event(), threading.Event()
    builds: list[str] = []

    def build(directory: Path) -> None:
        builds.append(directory.name)
        started.set()
        assert go.wait(10)

    threads = [threading.Thread(target=cache.get, args=("trees", "one", build)) for _ in range(2)]
    threads[0].start()
    assert started.wait(10)
    threads[1].start()
    go.set()
    for thread in threads:
        thread.join(10)
    assert len(builds) == 1
    assert cache.find("trees", "one") is not None


def test_a_lock_is_exclusive_and_says_that_one_waits(cache: Cache) -> None:
    waiting, done = threading.Event(), threading.Event()

    def other() -> None:
        with cache.lock("x", waiting=waiting.set):
            done.set()

    thread = threading.Thread(target=other)
    with cache.lock("x"):
        thread.start()
        assert waiting.wait(10)
        assert not done.is_set()
    assert done.wait(10)
    thread.join(10)


def test_records_are_kept_whole(cache: Cache) -> None:
    assert cache.read_record("resolved", "debian-6.1") is None
    cache.write_record("resolved", "debian-6.1", '{"a": 1}')
    cache.write_record("resolved", "debian-6.1", '{"a": 2}')
    assert cache.read_record("resolved", "debian-6.1") == '{"a": 2}'
    assert not leftovers(cache)


@pytest.mark.parametrize("key", ["", "../x", "a/b", ".hidden", "x" * 300])
def test_a_key_cannot_lead_elsewhere(cache: Cache, key: str) -> None:
    with pytest.raises(ValueError, match="cannot name"):
        cache.find("trees", key)
    with pytest.raises(ValueError, match="cannot name"):
        cache.find(key, "trees")


def test_a_digest_cannot_lead_elsewhere(cache: Cache) -> None:
    with pytest.raises(ValueError, match="not a SHA-256"):
        cache.blob("../../../etc/passwd")


def test_a_root_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("x")
    with (
        pytest.raises(HostError, match="cannot be used: Not a directory") as caught,
        Cache(tmp_path / "cache").lock("x"),
    ):
        pass
    assert "HARNESS_CACHE" in caught.value.hint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_root(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir(mode=0o555)
    with pytest.raises(HostError, match="Permission denied"), Cache(tmp_path / "cache").building("a", "b"):
        pass


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_refused_directory(cache: Cache, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(HostError, match=os.strerror(number)) as caught, cache.building("a", "b"):
        pass
    assert "writable" in caught.value.hint


def test_a_full_disk_while_building(cache: Cache) -> None:
    with pytest.raises(HostError, match="is full") as caught, cache.building("a", "b"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert "free some space" in caught.value.hint
    assert cache.find("a", "b") is None


def test_other_errors_of_a_build_stay_what_they_are(cache: Cache) -> None:
    with pytest.raises(FileNotFoundError), cache.building("a", "b") as directory:
        (directory / "none").read_text()
