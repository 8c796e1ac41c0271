"""``run it again``: the printed command, read by the command line's own parser, means exactly the variant that ran."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

import pytest
from support.recorded import laid_out

from harness.cli import run, setting
from harness.cli.commands import COMMANDS, own_parser
from harness.judge.judge import failed_before_start
from harness.load import Variant
from harness.record.store import read_record
from harness.report import text
from harness.session.assembly import Choices

RUN = next(command for command in COMMANDS if command.name == "run")
VERDICT = failed_before_start("a/b[k]", "k", "x", "y")
AXES = """
id: a/b
why: x
matrix: {kernel: [debian-6.1, tiny-6.1], size: ["40", 41], word: ["true", a b], flag: [true, "01", "~"]}
steps: [boot: {cmdline: ["x=${size}", "y=${word}", "z=${flag}"]}]
expect: [no_crash]
""".replace("a b", "it's")


def parsed(*words: str) -> argparse.Namespace:
    return own_parser(RUN).parse_args(list(words))


def printed(options: argparse.Namespace, variant: Variant) -> list[str]:
    """The words of the command, out of a verdict's text."""
    choices = Choices(options.accel, options.offline, options.time_factor)
    command = run.given(options, choices).command(variant)
    record = read_record(laid_out("esrt-kexec-file"))
    lines = text.render(VERDICT, record.plan.model_copy(update={"command": command})).splitlines()
    (line,) = (line.partition(": ")[2] for line in lines if line.startswith("  run it again: "))
    return shlex.split(line)


SELECTIONS = {
    "as in the file": ["esrt/kexec-file"],
    "further axes": ["xen/rtprop", "placement/kaslr-seeds"],
    "set": ["esrt/kexec-load", "--set", "machine.memory=2GiB", "--set", "cmdline=['a b', c]"],
    "an axis is set": ["fake-mem/single", "--set", "kernel=[tiny-6.1, x]"],
    "a kernel by path": ["esrt/kexec-file", "--kernel", "./my kernels/bzImage", "--kernel", "/b/it's.deb"],
    "another firmware": ["esrt/kexec-file", "--firmware", "other", "--kernel", "k"],
    "a variant": ["esrt/kexec-file[debian-6.1-cloud,ovmf-x64]"],
}


@pytest.mark.parametrize("name", SELECTIONS)
def test_it_means_the_variant(name: str) -> None:
    options = parsed(*SELECTIONS[name])
    found = setting.variants(options)
    for variant in {found[0].id: found[0], found[-1].id: found[-1]}.values():
        program, command, *words = printed(options, variant)
        assert (program, command) == ("harness", "run")
        assert setting.variants(parsed(*words)) == (variant,)


def test_axes_keep_their_types_and_files_that_are_elsewhere_are_named(tmp_path: Path) -> None:
    path = tmp_path / "my file.yaml"
    path.write_text(AXES)
    options = parsed(str(path))
    found = setting.variants(options)
    assert len(found) == 2 * 2 * 2 * 3
    for variant in found:
        assert setting.variants(parsed(*printed(options, variant)[2:])) == (variant,)


def test_a_folder_of_scenarios(tmp_path: Path) -> None:
    (tmp_path / "file.yaml").write_text(AXES)
    options = parsed("a/b", "--scenarios", str(tmp_path))
    (*_, variant) = setting.variants(options)
    words = printed(options, variant)
    assert words[2] == "a/b"
    assert setting.variants(parsed(*words[2:])) == (variant,)


OPTIONS = [
    *("--accel", "tcg", "--time-factor", "2.5", "--runs", "my runs", "--kernels", "k", "--offline"),
    "--no-known-issues",
]


def test_options_that_matter_are_given_again() -> None:
    options = parsed("esrt/kexec-file", *OPTIONS, "--json", "out", "--jobs", "3")
    again = parsed(*printed(options, setting.variants(options)[0])[2:])
    names = ("accel", "time_factor", "runs", "kernels", "scenarios", "offline", "no_known_issues")
    assert [getattr(again, name) for name in names] == [getattr(options, name) for name in names]
    assert (again.json, again.jobs) == (None, None)


def test_what_is_usual_is_not_said() -> None:
    options = parsed("esrt/kexec-file", "--kernel", "k")
    variant = setting.variants(options)[0]
    assert printed(options, variant) == [
        *("harness", "run", "esrt/kexec-file", "--kernel", "k"),
        "--firmware",
        "ovmf-x64",
    ]


@pytest.mark.parametrize("name", ["esrt-kexec-file", "esrt-kexec-load-7.2", "tables-unaccepted-7.2"])
def test_an_older_plan_has_its_variant_in_its_name(name: str) -> None:
    plan = read_record(laid_out(name)).plan
    assert plan.command == ()
    line = text.render(VERDICT, plan).splitlines()[-1]
    (variant,) = setting.variants(parsed(*shlex.split(line.partition(": ")[2])[2:]))
    assert (variant.id, variant.scenario.kernel) == (plan.variant, plan.scenario.kernel)


def test_what_lies_in_no_file_has_no_command() -> None:
    plan = read_record(laid_out("esrt-kexec-file")).plan.model_copy(update={"scenario_file": "harness fuzz"})
    assert "run it again" not in text.render(VERDICT, plan)
