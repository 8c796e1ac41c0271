"""``initrd: none`` in the place of a mapping, and ``no_initrd: true``, which said the same before."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from load_samples import SCENARIO

from harness.load import Overrides, Variant, parse_set
from harness.model.scenario import Scenario
from harness.model.words.kexec import KexecOptions

Load = Callable[..., tuple[Variant, ...]]
NONE = SCENARIO.replace("initrd: {pad: 40MiB}", "initrd: none").replace("[no_crash]", "[no_crash, no_ramdisk]")


def test_the_word_and_the_mapping(load: Load) -> None:
    padded, without = (load(text)[0].scenario.kexecs[0] for text in (SCENARIO, NONE))
    assert (padded.without_initrd, padded.pad) == (False, 40 * 2**20)
    assert (without.without_initrd, without.pad, without.initrd) == (True, 0, "none")


def test_the_word_may_come_from_an_axis(load: Load) -> None:
    text = NONE.replace("initrd: none", 'initrd: "${what}"').replace("matrix: {", "matrix: {what: [none], ")
    assert load(text)[0].scenario.kexecs[0].without_initrd


def test_the_word_may_be_set(load: Load) -> None:
    wanted = ("steps[1].kexec.initrd=none", "expect=[no_crash, no_ramdisk]")
    changed = load(SCENARIO, Overrides(sets=tuple(parse_set(text) for text in wanted)))
    assert changed[0].scenario.kexecs[0].without_initrd


@pytest.mark.parametrize(
    ("old", "initrd"), [("true", '"none"'), ('true, "initrd": {"pad": 0}', '"none"'), ("false", '{"pad":0}')]
)
def test_old_plans_and_files_are_read_and_written_anew(old: str, initrd: str) -> None:
    options = KexecOptions.model_validate_json(f'{{"syscall": "file", "no_initrd": {old}}}')
    assert options.model_dump_json() == f'{{"syscall":"file","kernel":null,"initrd":{initrd},"cmdline":[]}}'
    assert KexecOptions.model_validate_json(options.model_dump_json()) == options


def test_an_old_file(load: Load) -> None:
    text = NONE.replace("initrd: none", "no_initrd: true")
    assert load(text)[0].scenario == load(NONE)[0].scenario


def test_a_scenario_is_written_with_the_word(load: Load) -> None:
    scenario = load(NONE)[0].scenario
    text = scenario.model_dump_json()
    assert '"initrd":"none"' in text
    assert "no_initrd" not in text
    assert Scenario.model_validate_json(text) == scenario
