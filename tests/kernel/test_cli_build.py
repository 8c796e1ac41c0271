"""``harness kernels build`` and what the other verbs say of kernels that are built."""

from __future__ import annotations

import json

import pytest

from harness.cli import main
from harness.kernel.build import built

from . import source
from .source import Kernels


def run(kernels: Kernels, *arguments: str) -> int:
    return main(["kernels", *arguments, f"--kernels={kernels.directory}"])


def test_build_then_list(kernels: Kernels, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(kernels, "list") == 0
    assert capsys.readouterr().out.count("not built") == 2
    assert run(kernels, "build", "tiny", "tiny+bug", "tiny") == 0
    seen = capsys.readouterr()
    assert [line.split()[:2] for line in seen.out.splitlines()] == [
        ["tiny:", source.RELEASE],
        ["tiny+bug:", source.RELEASE],
    ]
    assert "tiny+bug: built in" in seen.err
    assert run(kernels, "list") == 0
    rows = capsys.readouterr().out
    assert "not built" not in rows
    lacking = {word.strip() for word in rows.partition("lacks ")[2].splitlines()[0].split(",")}
    assert {"bgrt", "efi-fake-memmap"} <= lacking
    assert run(kernels, "list", "--json") == 0
    (tiny, twin) = json.loads(capsys.readouterr().out)
    assert (tiny["fetched"], tiny["kind"], twin["of"]) == (True, "source", "tiny")
    assert "with bug" in twin["origin"]
    assert twin["image_sha256"] != tiny["image_sha256"]


def test_build_as_json(kernels: Kernels, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(kernels, "build", "tiny", "--json") == 0
    (made,) = json.loads(capsys.readouterr().out)
    assert (made["name"], made["release"], made["about"]["base"]) == ("tiny", source.RELEASE, "tinyconfig")
    assert made["vmlinux"].startswith(made["directory"])


def test_fetch_takes_only_the_source(
    kernels: Kernels, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(built, "make", None)
    assert run(kernels, "fetch", "tiny") == 0
    assert "harness kernels build tiny builds it" in capsys.readouterr().out


def test_what_is_not_built_here(kernels: Kernels, capsys: pytest.CaptureFixture[str]) -> None:
    kernels.write("mine.yaml", "kind: file\nname: mine\ndescription: a file of mine\nimage: bzImage\n")
    assert run(kernels, "build", "tiny", "mine") == 2
    seen = capsys.readouterr()
    assert "mine is not built here" in seen.err
    assert "tiny: built" not in seen.err
    assert run(kernels, "build", "tine") == 2
    assert "did you mean tiny?" in capsys.readouterr().err


def test_a_failure_is_one_message_with_the_log(kernels: Kernels, capsys: pytest.CaptureFixture[str]) -> None:
    kernels.write(
        "patches/bug.patch", source.PATCH.replace("-line 8", "+#error on purpose\n line 8").replace("6,4", "6,6")
    )
    assert run(kernels, "build", "tiny+bug") == 3
    said = capsys.readouterr().err
    assert "harness: tiny+bug: compiling failed: main.c:7:2: error: #error on purpose\n  the last lines of " in said
    assert "build.log:" in said
    kernels.write("patches/bug.patch", source.PATCH.replace("line 9", "line nine"))
    assert run(kernels, "build", "tiny+bug") == 2
    assert "patch bug does not apply to" in capsys.readouterr().err
