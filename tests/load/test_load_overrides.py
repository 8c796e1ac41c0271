"""--kernel, --firmware and --set."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from load_samples import SCENARIO

from harness.errors import InputError, ScenarioErrors
from harness.load import Overrides, Variant, parse_set

Load = Callable[..., tuple[Variant, ...]]
CALLS = SCENARIO.replace("6.12]", "6.12], call: [file, load]").replace("syscall: file", 'syscall: "${call}"')


def sets(*texts: str) -> Overrides:
    return Overrides(sets=tuple(parse_set(text) for text in texts))


def test_kernels_replace_the_axis(load: Load) -> None:
    variants = load(SCENARIO, Overrides(kernels=("/tmp/my/bzImage", "debian-7.3"), firmware=("other",)))  # noqa: S108
    assert [variant.id for variant in variants] == ["group/name[bzImage,other]", "group/name[debian-7.3,other]"]
    assert variants[0].scenario.kernel == "/tmp/my/bzImage"  # noqa: S108


def test_values_are_set(load: Load) -> None:
    scenario = load(
        SCENARIO,
        sets(
            "machine.memory=2GiB",
            "machine.cpus=2",
            "steps[0].boot.cmdline=[quiet, debug]",
            "steps[1].kexec.initrd.pad=60MiB",
            "cmdline[0]=add_efi_memmap",
            "firmware.tables[0].esrt.at=0x1000",
        ),
    )[0].scenario
    assert scenario.machine.memory == 2 * 2**30
    assert scenario.machine.cpus == 2
    assert scenario.boot.cmdline == ["quiet", "debug"]
    assert scenario.kexecs[0].initrd.pad == 60 * 2**20
    assert scenario.cmdline == ["add_efi_memmap"]
    assert scenario.firmware.tables[0].esrt.at == 0x1000


def test_an_axis_is_set_by_its_name(load: Load) -> None:
    assert [v.id for v in load(CALLS, sets("call=load", "kernel=debian-7.3"))] == [
        "group/name[debian-7.3,ovmf-x64,load]"
    ]
    assert len(load(CALLS, sets("kernel=[a, b, c]"))) == 6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "machine.memroy=1GiB",
            "machine has no key 'memroy'; allowed: memory, cpus, vga, tpm, option_roms; did you mean 'memory'",
        ),
        ("machin.memory=1GiB", "a scenario has no key 'machin'.*did you mean 'machine'"),
        ("steps[1].kexec.initrd.pda=1", r"steps\[1\].kexec.initrd has no key 'pda'; allowed: pad; did you mean 'pad'"),
        ("steps[1].kexc.syscall=file", r"steps\[1\] has no key 'kexc'; allowed: boot, kexec, .*; did you mean 'kexec'"),
        ("steps.kexec=1", "steps has no keys; it is a list"),
        ("machine[0]=1", "machine is not a list"),
        ("machine.memory.unit=1", "machine.memory has no keys"),
        ("cal=load", "has no key 'cal'.*did you mean 'call'"),
        ("id=a/b", "'id' cannot be set"),
        ("matrix.kernel[0]=x", "'matrix' cannot be set"),
        ("machine..cpus=1", "'machine..cpus' is not a path"),
        ("[0]=1", r"'\[0\]' is not a path"),
        ("machine.cpus={", "the value is not YAML"),
        ("machine.cpus=*x", "the value is an alias"),
        ("cmdline=['${call}']", "the value names an axis"),
        ("call=[]", "the new values of the axis 'call': there are none"),
        ("call=", "the new values of the axis 'call': an empty value is not a value for an axis"),
        ("kernel=[a/x, b/x]", "the new values of the axis 'kernel': two have the same name in an id"),
        ("kernel=6", "the new values of the axis 'kernel': 6 is not a name"),
    ],
)
def test_what_no_scenario_has_is_refused_at_once(load: Load, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load(CALLS, sets(text))
    assert not isinstance(caught.value, ScenarioErrors)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "machine.memory=2Gib",
            "4:19: machine.memory: '2Gib' is not a size; write a number of bytes or a number with KiB, MiB or GiB, "
            "such as 40MiB (--set machine.memory=2Gib)",
        ),
        (
            "machine.memory=5",
            "4:19: machine.memory: memory must be from 256MiB to 64GiB, in whole MiB (--set machine.memory=5)",
        ),
        (
            "machine.cpus=0x63",
            "4:10: machine.cpus: 99 is out of range; allowed: at least 1, at most 8 (--set machine.cpus=0x63)",
        ),
        (
            "steps[5].kexec.syscall=file",
            "6:3: steps[5].kexec.syscall: steps has only 2 items (--set steps[5].kexec.syscall=file)",
        ),
        (
            "expect[1].table_intact=esrt",
            "8:9: expect[1].table_intact: expect has only 1 item (--set expect[1].table_intact=esrt)",
        ),
        (
            "steps[0].kexec.syscall=file",
            "6:5: steps[0].kexec.syscall: steps[0] is 'boot', not a mapping (--set steps[0].kexec.syscall=file)",
        ),
        (
            "steps[1].boot.cmdline=[x]",
            "7:5: steps[1].boot.cmdline: steps[1] is a 'kexec' (--set steps[1].boot.cmdline=[x])",
        ),
        (
            "steps[1].kexec.syscall=load",
            "7:22: steps[1].kexec.syscall: the file has '${call}' here; set the axis instead: --set call=... "
            "(--set steps[1].kexec.syscall=load)",
        ),
        (
            "call=fil",
            "7:22: steps[1].kexec.syscall: 'fil' is not possible; allowed: file, load; did you mean 'file'? "
            "(with call = fil)",
        ),
    ],
)
def test_what_does_not_fit_this_file_is_a_mistake_of_it(load: Load, text: str, message: str) -> None:
    with pytest.raises(ScenarioErrors) as caught:
        load(CALLS, sets(text))
    assert str(caught.value).partition("file.yaml:")[2] == message


def test_an_axis_that_one_selected_file_lacks_is_not_ignored(load: Load) -> None:
    with pytest.raises(InputError, match="has no key 'call'"):
        load(SCENARIO, sets("call=load"))


@pytest.mark.parametrize("text", ["machine.memory", "=3", " = "])
def test_a_setting_without_path_or_value_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not PATH=VALUE"):
        parse_set(text)
