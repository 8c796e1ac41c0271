"""Matrix expansion, variant ids, ids and their files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from load_samples import SCENARIO

from harness.errors import InputError, ScenarioErrors
from harness.load import Variant, expand, find_files, load_files
from harness.load.reading import messages
from harness.model.scenario import Scenario
from harness.model.words.kexec import Syscall

Load = Callable[..., tuple[Variant, ...]]
AXES = """\
id: group/name
why: Pad ${size} by ${call} on ${kernel}.
matrix:
  size: [40, 1]
  call: [file, load]
  kernel: [./a/bzImage, debian-6.1]
  entries: [3]
steps:
  - boot
  - kexec: {syscall: "${call}", initrd: {pad: "${size}MiB"}}
firmware: {tables: [{esrt: {at: 0x1000, entries: "${entries}"}}]}
expect: [no_crash]
"""


def test_ids_name_kernel_firmware_and_the_other_axes_in_file_order(load: Load) -> None:
    assert [variant.id for variant in load(AXES)] == [
        f"group/name[{kernel},ovmf-x64,{size},{call},3]"
        for kernel in ("bzImage", "debian-6.1")
        for size in (40, 1)
        for call in ("file", "load")
    ]


def test_values_are_put_in_with_their_type(load: Load) -> None:
    variant = load(AXES)[1]
    scenario = variant.scenario
    assert scenario.kernel == "./a/bzImage"
    assert scenario.firmware_name == "ovmf-x64"
    assert scenario.why == "Pad 40 by load on ./a/bzImage."
    assert scenario.kexecs[0].syscall is Syscall.LOAD
    assert scenario.kexecs[0].initrd.pad == 40 * 2**20
    assert scenario.firmware.tables[0].esrt.entries == 3
    assert variant.line == 1


def test_a_firmware_axis_replaces_the_default(load: Load) -> None:
    text = SCENARIO.replace("6.12]", "6.12], firmware: [ovmf-ia32]")
    assert {variant.scenario.firmware_name for variant in load(text)} == {"ovmf-ia32"}


def test_a_wrong_value_is_one_mistake_not_one_for_each_variant(load: Load) -> None:
    with pytest.raises(ScenarioErrors) as caught:
        load(AXES.replace("at: 0x1000", "at: x"))
    assert len(caught.value.mistakes) == 1


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder ``scenarios`` below another one of that name."""
    root = tmp_path / "scenarios" / "checkout" / "scenarios"
    (root / "group").mkdir(parents=True)
    (root / "group" / "name.yaml").write_text(SCENARIO)
    return root


def test_an_id_below_scenarios_is_its_path(tree: Path) -> None:
    assert len(load_files([tree / "group/name.yaml"])) == 2


def test_a_relative_path_is_held_to_the_same_id(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree / "group")
    Path("other.yaml").write_text(SCENARIO)
    with pytest.raises(ScenarioErrors, match=r"^other.yaml:1:5: id: 'group/name' does not match the file; its id is"):
        load_files([Path("other.yaml")])


def test_an_id_elsewhere_is_free(load: Load) -> None:
    assert load(SCENARIO)[0].id == "group/name[debian-6.1,ovmf-x64]"


def test_the_same_id_in_two_files_names_both(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("# comment\n" + SCENARIO)
    second.write_text(SCENARIO)
    with pytest.raises(ScenarioErrors) as caught:
        load_files([first, second])
    assert str(caught.value) == f"{second}:1:5: id: 'group/name' is also the id of {first}:2"


def test_the_same_file_twice_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SCENARIO)
    assert len(load_files([tmp_path / "a.yaml", tmp_path / "a.yaml"])) == 2


def test_files_are_found_in_order_and_nothing_is_passed_over(tree: Path) -> None:
    (tree / "a").mkdir()
    (tree / "a" / "z.yaml").write_text("")
    (tree / "a" / "notes.txt").write_text("")
    assert [path.name for path in find_files(tree)] == ["z.yaml", "name.yaml"]
    (tree / "a" / "lost.yml").write_text("")
    with pytest.raises(InputError, match=r"lost.yml: scenario files end in .yaml"):
        find_files(tree)


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: cannot be read: no such file or directory"):
        find_files(tmp_path / "nowhere")


def test_sizes_are_decimal_also_with_a_leading_zero(load: Load) -> None:
    assert load(SCENARIO.replace("40MiB", "010MiB"))[0].scenario.kexecs[0].initrd.pad == 10 * 2**20
    assert load(SCENARIO.replace("40MiB", "0x10MiB"))[0].scenario.kexecs[0].initrd.pad == 16 * 2**20


def test_kernels_share_a_validation_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Validated once for each value of another axis; every variant has its own kernel and firmware all the same."""
    text = SCENARIO.replace("[debian-6.1, debian-6.12]}", "[a, b, c], firmware: [f, g], pad: [20MiB, 40MiB]}")
    calls: list[str] = []

    def counted(model: type[Scenario], tree: dict[str, Any], scalars: messages.Written) -> Any:
        calls.append(tree["kernel"])
        return messages.validate(model, tree, scalars)

    monkeypatch.setattr(expand, "validate", counted)
    path = tmp_path / "f.yaml"
    path.write_text(text.replace("{pad: 40MiB}", '{pad: "${pad}"}'))
    found = load_files([path])
    assert calls == ["a", "a"]
    named = [(item.scenario.kernel, item.scenario.firmware_name, item.scenario.kexecs[0].initrd.pad) for item in found]
    assert named == [(k, f, pad * 2**20) for k in "abc" for f in "fg" for pad in (20, 40)]
    for item in found:
        assert Scenario.model_validate_json(item.scenario.model_dump_json()) == item.scenario


def test_a_kernel_that_stands_elsewhere_is_validated_each_time(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(SCENARIO.replace("syscall: file", 'syscall: file, kernel: "${kernel}"'))
    found = load_files([path])
    assert [(item.scenario.kernel, item.scenario.kexecs[0].kernel) for item in found] == [
        ("debian-6.1", "debian-6.1"),
        ("debian-6.12", "debian-6.12"),
    ]


def test_equal_values_of_two_types_are_two_values(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    text = SCENARIO.replace("[debian-6.1, debian-6.12]}", "[a], cpus: [1, true]}")
    path.write_text(text.replace("{memory: 1GiB}", '{cpus: "${cpus}"}'))
    with pytest.raises(ScenarioErrors) as caught:
        load_files([path])
    (mistake,) = caught.value.mistakes
    assert (mistake.line, mistake.path) == (3, "matrix.cpus[1]")
