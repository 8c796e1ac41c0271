"""A plan is complete, and a pure function of what was asked for and what was prepared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from goldens import TESTDATA, compare
from pydantic import ValidationError
from support.synthetic import NONCE, hypervisor, kernel, plan, prepared, scenario

from harness.errors import HostError
from harness.evidence.tables import esrt
from harness.firmware.agent_plan import agent_plan, fw_cfg_files
from harness.model.names import TpmInterface
from harness.model.plan import Accel, Plan
from harness.model.words.tables import TableName
from harness.plan import planner
from harness.subjects.xen import plan as xenplan

CHAIN = {
    "steps": [
        {"boot": {"cmdline": ["first"]}},
        {"kexec": {"syscall": "file", "initrd": {"pad": 4096}}},
        {"kexec": {"syscall": "load", "initrd": {"pad": 4096}, "cmdline": ["third"]}},
        {"kexec": {"syscall": "file", "initrd": {"pad": 4096}}},
    ]
}
CROSS = {
    "steps": [
        {"boot": {}},
        {"kexec": {"syscall": "file", "kernel": "tiny-6.12", "initrd": {"pad": 4096}}},
        {"kexec": {"syscall": "file", "initrd": {"pad": 4096}}},
    ]
}
XEN = {
    "hypervisor": {"name": "xen-4.17", "mapbs": True, "cmdline": ["bootscrub=on"]},
    "cmdline": ["more"],
    "steps": [{"boot": {}}],
    "expect": [{"xen_table": {"table": "esrt", "outcome": "moved"}}, {"xen_reused": "memattr"}, {"no_crash": True}],
}


def _made(name: str) -> Plan:
    one, two = kernel("tiny-6.1"), kernel("tiny-6.12")
    match name:
        case "chain":
            return plan(scenario(cmdline=["everywhere"], **CHAIN), prepared([one] * 4))
        case "cross-version":
            return plan(scenario(**CROSS), prepared([one, two, one]))
        case "vga":
            values = {
                "machine": {"memory": "512MiB", "cpus": 2, "vga": True},
                "firmware": {"tables": []},
                "expect": [{"table_intact": "bgrt"}, {"no_crash": True}],
            }
            return plan(scenario(**values), prepared([one] * 2))
        case "odd-path":
            odd = kernel("tiny-6.1", "/srv/my kernels, old")
            return plan(scenario(), prepared([odd] * 2, "/srv/a,b c"))
        case "xen":
            having = replace(prepared([one]), hypervisor=hypervisor())
            return plan(scenario(**XEN), having)
    return plan(scenario(), prepared([one] * 2))


@pytest.mark.parametrize("name", ["plain", "chain", "cross-version", "vga", "odd-path", "xen"])
def test_golden(name: str) -> None:
    """Without what has its default, so that a new field of the model changes no plan that does not use it."""
    made = _made(name).model_dump_json(indent=1, exclude_defaults=True)
    compare(TESTDATA / "plans" / f"{name}.json", made + "\n")


@pytest.mark.parametrize("name", ["plain", "chain", "cross-version"])
def test_same_input_same_plan(name: str) -> None:
    assert _made(name) == _made(name)
    assert Plan.model_validate_json(_made(name).model_dump_json()) == _made(name)


def test_another_nonce_is_another_run() -> None:
    one, other = plan(scenario(), prepared([kernel()] * 2)), _made("plain").model_copy(update={"nonce": "11111111"})
    again = planner.make_plan(
        run_id="x",
        nonce="11111111",
        variant="v",
        scenario=scenario(),
        scenario_file="",
        prepared=prepared([kernel()] * 2),
    )
    assert other.nonce == again.nonce
    assert one.tables[0].canary_seed != again.tables[0].canary_seed
    assert one.tables[0].content_hex != again.tables[0].content_hex
    assert [epoch.cmdline for epoch in one.epochs] != [epoch.cmdline for epoch in again.epochs]


def test_argv_has_every_path_in_qemu_s_form() -> None:
    """A comma ends a QEMU option unless it is doubled; a space ends nothing, since there is no shell."""
    made = _made("odd-path")
    options = [word for word in made.argv if "file=" in word]
    assert "name=opt/harness/kernel,file=/srv/my kernels,, old/tiny-6.1/bzImage" in options
    assert "if=pflash,unit=0,format=raw,readonly=on,file=/srv/a,,b c/OVMF_CODE.fd" in options
    assert "/srv/a,b c/agent.efi" in made.argv  # -kernel takes a file name, not an option
    for option in options:
        path = option.partition("file=")[2]
        assert ",," in path or path.startswith("{run}/")
        assert "," not in path.replace(",,", "")


def test_run_directory_stands_only_inside_options() -> None:
    """The runner doubles the commas of the run directory, which is right only there."""
    for name in ("plain", "vga", "odd-path"):
        assert all("file={run}/" in word for word in _made(name).argv if "{run}" in word)


def test_input_files_are_those_that_argv_names() -> None:
    made = _made("plain")
    named = {word.partition("{run}/")[2] for word in made.argv if "{run}/" in word}
    assert named == {*planner.input_files(made), "vars.fd"}
    assert planner.input_files(made)["fw_cfg-cmdline"].decode() == made.epochs[0].cmdline
    assert planner.input_files(made)["fw_cfg-table0"] == bytes.fromhex(made.tables[0].content_hex)


def test_chain_uses_each_disk_once() -> None:
    made = _made("chain")
    assert [epoch.syscall for epoch in made.epochs] == [None, "file", "load", "file"]
    assert len(made.payloads) == 2
    assert {epoch.kernel_serial for epoch in made.epochs[1:]} == {made.payloads[0].serial}
    assert {epoch.initrd_serial for epoch in made.epochs[1:]} == {made.payloads[1].serial}


def test_cmdlines_of_a_chain() -> None:
    first, second, third, fourth = (epoch.cmdline.split() for epoch in _made("chain").epochs)
    assert first[-4:] == ["everywhere", "first", f"harness.nonce={NONCE}", "harness.epoch=1"]
    assert second[-3:] == ["everywhere", f"harness.nonce={NONCE}", "harness.epoch=2"]
    assert third[-4:] == ["everywhere", "third", f"harness.nonce={NONCE}", "harness.epoch=3"]
    assert "third" not in fourth


def test_cross_version_has_four_payloads() -> None:
    made = _made("cross-version")
    assert len({payload.path for payload in made.payloads}) == len(made.payloads) == 4
    assert [epoch.kernel.name for epoch in made.epochs] == ["tiny-6.1", "tiny-6.12", "tiny-6.1"]
    by_serial = {payload.serial: payload for payload in made.payloads}
    for epoch in made.epochs[1:]:
        assert by_serial[epoch.kernel_serial].path == epoch.kernel.image
        assert by_serial[epoch.initrd_serial].path == epoch.initrd
        assert by_serial[epoch.initrd_serial].size_bytes == epoch.initrd_size_bytes


@pytest.mark.parametrize("name", ["plain", "chain", "cross-version", "odd-path"])
def test_serials(name: str) -> None:
    """virtio-blk cuts a serial after 20 bytes, and the guest finds its disks by them."""
    made = _made(name)
    serials = [payload.serial for payload in made.payloads]
    assert len(set(serials)) == len(serials)
    assert all(0 < len(serial.encode()) <= 20 for serial in serials)
    for serial in serials:
        assert sum(word.endswith(f",serial={serial}") for word in made.argv) == 1


def test_vga_has_no_option_rom() -> None:
    assert "VGA,romfile=" in _made("vga").argv
    assert not any("VGA" in word for word in _made("plain").argv)


@pytest.mark.parametrize("interface", TpmInterface)
def test_tpm(interface: TpmInterface) -> None:
    """Its socket is the machine's own, as those of the console and the link."""
    having = replace(prepared([kernel()] * 2), swtpm=Path("/usr/bin/swtpm"))
    made = plan(scenario(machine={"tpm": interface}), having)
    assert made.swtpm == Path("/usr/bin/swtpm")
    argv = list(made.argv)
    at = argv.index("-tpmdev")
    assert argv[at : at + 4] == ["-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device", f"tpm-{interface},tpmdev=tpm0"]
    assert "-tpmdev" not in plan(scenario(), prepared([kernel()] * 2)).argv


def test_machine() -> None:
    argv = _made("vga").argv
    assert argv[argv.index("-m") + 1] == "512M"
    assert argv[argv.index("-smp") + 1] == "2"
    assert argv[argv.index("-cpu") + 1] == "max"


def test_kvm_takes_the_host_s_cpu() -> None:
    argv = plan(scenario(), replace(prepared([kernel()] * 2), accel=Accel.KVM)).argv
    assert argv[argv.index("-accel") + 1] == "kvm"
    assert argv[argv.index("-cpu") + 1] == "host"


def test_budgets_are_scaled() -> None:
    one = plan(scenario(), replace(prepared([kernel()] * 2), factor=1.0)).budgets
    three = plan(scenario(), replace(prepared([kernel()] * 2), factor=3.0)).budgets
    assert three.model_dump() == {name: pytest.approx(seconds * 3) for name, seconds in one.model_dump().items()}


@pytest.mark.parametrize(("entries", "pages"), [(1, 1), (95, 1), (96, 2)])
def test_the_table_fits_its_pages(entries: int, pages: int) -> None:
    tables = [{"esrt": {"below": 0x3A000000, "entries": entries}}]
    table = plan(scenario(firmware={"tables": tables}), prepared([kernel()] * 2)).tables[0]
    content = bytes.fromhex(table.content_hex)
    assert table.pages == pages
    assert table.offset + len(content) <= pages * planner.PAGE_BYTES
    parsed = esrt.parse(content)
    assert isinstance(parsed, esrt.Esrt)
    assert parsed.count == entries


def test_only_what_is_expected_is_watched() -> None:
    expect = [{"table_intact": "memattr"}, {"kexec_would_overlap": "esrt"}, {"no_crash": True}]
    assert plan(scenario(expect=expect), prepared([kernel()] * 2)).watch == ("esrt", "memattr")
    assert plan(scenario(firmware={}, expect=[{"no_crash": True}]), prepared([kernel()] * 2)).watch == ()


def test_what_is_installed_is_read_back() -> None:
    assert plan(scenario(expect=[{"no_crash": True}]), prepared([kernel()] * 2)).watch == ("esrt",)


def test_a_kernel_without_an_initrd() -> None:
    steps = [{"boot": {}}, {"kexec": {"syscall": "file"}}, {"kexec": {"syscall": "load", "no_initrd": True}}]
    made = plan(scenario(firmware={}, steps=steps, expect=[{"no_ramdisk": True}]), prepared([kernel()] * 3))
    assert [epoch.without_initrd for epoch in made.epochs] == [False, False, True]
    assert (made.epochs[2].initrd_serial, made.epochs[2].initrd_size_bytes) == ("", 0)
    assert {payload.serial for payload in made.payloads} == {"kernel0", made.epochs[1].initrd_serial}
    assert made.watch == ("initrd",)


def test_dom0_is_started_by_xen_from_a_file_system() -> None:
    made = _made("xen")
    assert made.hypervisor is not None
    assert made.hypervisor.config.splitlines() == [
        "[global]",
        "default=dom0",
        "[dom0]",
        "options=com1=115200,8n1 console=com1 loglvl=all guest_loglvl=all noreboot bootscrub=on",
        f"kernel=vmlinuz {made.epochs[0].cmdline}",
        "ramdisk=initrd",
    ]
    assert made.epochs[0].cmdline.startswith(
        "console=hvc0 earlyprintk=xen nokaslr panic=0 loglevel=7 more harness.nonce="
    )
    assert made.hypervisor.load_options == "xen.efi -cfg=xen.cfg -mapbs"
    files = {file.name: file for file in fw_cfg_files(made)}
    assert files["opt/harness/cmdline"].content == b"xen.efi -cfg=xen.cfg -mapbs"
    assert "boot file=\\xen.efi cmdline=opt/harness/cmdline" in agent_plan(made)
    assert not {"opt/harness/kernel", "opt/harness/initrd"} & files.keys()
    assert set(xenplan.links(made)) == {"xen.efi", "vmlinuz", "initrd"}


def test_the_processor_that_a_dom0_can_run_on() -> None:
    def cpu(made: Plan) -> str:
        return made.argv[made.argv.index("-cpu") + 1]

    plain, xen = _made("plain"), _made("xen")
    assert (cpu(plain), cpu(xen)) == ("max", "max,smap=off")
    assert xenplan.cpu(xen.model_copy(update={"accel": Accel.KVM})) == "host"


def test_the_tables_that_xen_is_asked_about_are_watched() -> None:
    assert _made("xen").watch == (TableName.ESRT, TableName.MEMATTR)


def test_a_hypervisor_that_was_not_prepared() -> None:
    with pytest.raises(HostError, match=r"xen-4\.17 was not prepared"):
        plan(scenario(**XEN), prepared([kernel()]))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hypervisor": None}, "need a hypervisor"),
        ({"steps": [{"boot": {}}, {"alive": {}}]}, "there are no steps but boot"),
        ({"firmware": {"runtime": {}}, "steps": [{"boot": {}}]}, "cannot be combined"),
    ],
)
def test_what_a_hypervisor_cannot_be_combined_with(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        scenario(**{**XEN, **values})


def test_dom0_tries_to_load_its_own_kernel() -> None:
    steps = [{"boot": {}}, {"kexec_refused": {"syscall": "file"}}]
    having = replace(prepared([kernel()]), hypervisor=hypervisor())
    made = plan(scenario(**{**XEN, "steps": steps, "expect": [{"no_crash": True}]}), having)
    assert [payload.serial for payload in made.payloads] == ["kernel0", "initrd0"]
    assert (made.epochs[0].kernel_serial, made.epochs[0].initrd_serial) == ("kernel0", "initrd0")


def test_what_xen_kexecs_is_on_the_bare_machine() -> None:
    steps = [{"boot": {}}, {"kexec": {"syscall": "load"}}]
    having = replace(prepared([kernel()] * 2), hypervisor=hypervisor())
    made = plan(scenario(**{**XEN, "steps": steps, "expect": [{"no_crash": True}]}), having)
    assert [epoch.cmdline.split()[0] for epoch in made.epochs] == ["console=hvc0", "console=ttyS0,115200"]
    with pytest.raises(ValidationError, match="must be of syscall load"):
        scenario(**{**XEN, "steps": [{"boot": {}}, {"kexec": {"syscall": "file"}}], "expect": [{"no_crash": True}]})


def test_a_table_whose_pages_are_not_listed() -> None:
    table = {"mokvar": {"memory": "boot-services-data", "below": 0x3C000000, "listed": False}}
    values = {"firmware": {"tables": [table]}, "expect": [{"no_crash": True}]}
    made = plan(scenario(**values), prepared([kernel()] * 2))
    assert "below=0x3c000000 listed=no content=" in agent_plan(made)
