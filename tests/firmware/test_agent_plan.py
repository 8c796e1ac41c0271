from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import InputError
from harness.firmware.agent_plan import FwCfgFile, agent_plan, fw_cfg_files
from harness.model import guids
from harness.model.kernel import KernelImage
from harness.model.names import MemoryType
from harness.model.plan import Accel, AcpiPlan, Budgets, EpochPlan, FirmwareFiles, Plan, TablePlan
from harness.model.scenario import Scenario
from harness.model.words.driver import Fault, FirmwareArch, MemattrChoice, RuntimePlan, Service
from harness.model.words.memorymap import MemoryPlan, RangePlan, RangeType
from harness.model.words.tables import TableName
from harness.model.words.vitals import BootOptions, BootStep, NoCrash

KERNEL = KernelImage(
    name="k",
    release="6.1.0",
    banner="6.1.0 (x@y)",
    image=Path("/k/vmlinuz"),
    sha256="0" * 64,
    size_bytes=1,
    init_size_bytes=1,
    pref_address=0x1000000,
    alignment_bytes=0x200000,
)
ESRT = TablePlan(
    name=TableName.ESRT,
    guid=guids.ESRT,
    memory=MemoryType.BOOT_SERVICES_DATA,
    below=0x3C000000,
    pages=1,
    offset=0x100,
    canary_seed=0x0123456789ABCDEF,
    content_hex="00ff10",
)


def make_plan(
    *tables: TablePlan,
    runtime: RuntimePlan | None = None,
    arch: FirmwareArch = FirmwareArch.X64,
    cmdline: str = "console=ttyS0 harness.epoch=1",
    memory: MemoryPlan | None = None,
) -> Plan:
    return Plan(
        run_id="r",
        variant="a/b[k,f]",
        nonce="1a2b3c4d",
        scenario=Scenario(
            id="a/b", why="w", kernel="k", steps=[BootStep(boot=BootOptions())], expect=[NoCrash(no_crash=True)]
        ),
        firmware=FirmwareFiles(name="f", code=Path("/c"), vars_template=Path("/v"), descriptor="d", arch=arch),
        runtime=runtime,
        memory=memory,
        accel=Accel.TCG,
        accel_reason="r",
        qemu=Path("/q"),
        qemu_version="7.2",
        tables=tables,
        epochs=(
            EpochPlan(number=1, kernel=KERNEL, cmdline=cmdline, initrd=Path("/i/initrd"), initrd_size_bytes=10),
            EpochPlan(number=2, kernel=KERNEL, cmdline="second", initrd=Path("/i/second"), initrd_size_bytes=10),
        ),
        budgets=Budgets(firmware_s=1, boot_s=1, load_s=1, kexec_s=1, reply_s=1),
    )


def test_golden_plan() -> None:
    at = ESRT.model_copy(
        update={
            "below": None,
            "at": 0x20000000,
            "name": TableName.MEMATTR,
            "memory": MemoryType.RUNTIME_SERVICES_DATA,
            "pages": 2,
            "offset": 0,
            "canary_seed": 5,
        }
    )
    assert agent_plan(make_plan(ESRT, at)) == (
        "HARNESS-PLAN 1\n"
        "nonce 1a2b3c4d\n"
        "table name=esrt guid=b122a263-3661-4f68-9929-78f8b0d62180 type=4 pages=1 offset=0x100"
        " canary=0x0123456789abcdef below=0x3c000000 content=opt/harness/table0\n"
        "table name=memattr guid=b122a263-3661-4f68-9929-78f8b0d62180 type=6 pages=2 offset=0x0"
        " canary=0x0000000000000005 at=0x20000000 content=opt/harness/table1\n"
        "boot kernel=opt/harness/kernel initrd=opt/harness/initrd cmdline=opt/harness/cmdline\n"
    )


def test_golden_plan_of_an_acpi_table() -> None:
    acpi = AcpiPlan(content_hex="b6" * 56, pointer=40)
    made = make_plan(ESRT, ESRT.model_copy(update={"name": TableName.BGRT, "guid": "", "acpi": acpi}))
    assert agent_plan(made).splitlines()[3] == (
        "table name=bgrt acpi=opt/harness/acpi1 pointer=40 type=4 pages=1 offset=0x100"
        " canary=0x0123456789abcdef below=0x3c000000 content=opt/harness/table1"
    )
    files = [file.name.rpartition("/")[2] for file in fw_cfg_files(made)]
    assert files == ["plan", "table0", "table1", "acpi1", "kernel", "initrd", "cmdline"]
    assert fw_cfg_files(made)[3].content == b"\xb6" * 56


def test_golden_plan_without_tables() -> None:
    assert agent_plan(make_plan()) == (
        "HARNESS-PLAN 1\n"
        "nonce 1a2b3c4d\n"
        "boot kernel=opt/harness/kernel initrd=opt/harness/initrd cmdline=opt/harness/cmdline\n"
    )


def test_files_are_those_of_the_first_epoch() -> None:
    plan = make_plan(ESRT)
    assert fw_cfg_files(plan) == (
        FwCfgFile("opt/harness/plan", content=agent_plan(plan).encode()),
        FwCfgFile("opt/harness/table0", content=b"\x00\xff\x10"),
        FwCfgFile("opt/harness/kernel", path=Path("/k/vmlinuz")),
        FwCfgFile("opt/harness/initrd", path=Path("/i/initrd")),
        FwCfgFile("opt/harness/cmdline", content=b"console=ttyS0 harness.epoch=1"),
    )


DRIVER = RuntimePlan(driver=Path("/cache/driver.efi"), driver_sha256="0" * 64)


def runtime_line(runtime: RuntimePlan) -> str:
    plan = agent_plan(make_plan(ESRT, runtime=runtime)).splitlines()
    assert [line.split()[0] for line in plan] == ["HARNESS-PLAN", "nonce", "table", "runtime", "boot"]
    return plan[3]


def test_golden_runtime_line() -> None:
    assert runtime_line(DRIVER) == (
        "runtime driver=opt/harness/driver hooks=set-variable,get-time,query-variable-info,reset-system memattr=correct"
    )
    armed = DRIVER.model_copy(
        update={
            "hooks": (Service.RESET_SYSTEM, Service.GET_TIME),
            "armed": {Service.RESET_SYSTEM: Fault.LOOP, Service.GET_TIME: Fault.WRITE_CODE},
            "memattr": MemattrChoice.DROP,
        }
    )
    assert runtime_line(armed) == (
        "runtime driver=opt/harness/driver hooks=reset-system,get-time memattr=drop"
        " arm=reset-system:loop,get-time:write-code"
    )


def test_the_driver_is_handed_over() -> None:
    files = fw_cfg_files(make_plan(ESRT, runtime=DRIVER))
    assert FwCfgFile("opt/harness/driver", path=Path("/cache/driver.efi")) in files


def test_a_fault_that_32_bit_firmware_cannot_commit() -> None:
    runtime = DRIVER.model_copy(update={"armed": {Service.GET_TIME: Fault.NON_CANONICAL}})
    assert "arm=get-time:non-canonical" in agent_plan(make_plan(runtime=runtime))
    with pytest.raises(InputError, match="get-time cannot be armed with non-canonical: 32-bit firmware"):
        agent_plan(make_plan(runtime=runtime, arch=FirmwareArch.IA32))


def test_names_fit_into_the_device() -> None:
    # FW_CFG_MAX_FILE_PATH of QEMU is 56, with the closing NUL.
    assert all(len(file.name) < 56 for file in fw_cfg_files(make_plan(ESRT)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"at": 0x1000}, "say either 'at' or 'below'"),
        ({"below": None}, "say either 'at' or 'below'"),
        ({"content_hex": ""}, "0 bytes do not fit"),
        ({"content_hex": "00" * (4096 - 0x100 + 1)}, "3841 bytes do not fit at offset 0x100 of 1 pages"),
        ({"offset": 0x2000}, "3 bytes do not fit at offset 0x2000"),
    ],
)
def test_a_table_that_the_agent_would_refuse(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        agent_plan(make_plan(ESRT.model_copy(update=change)))


def test_two_at_one_place() -> None:
    at = ESRT.model_copy(update={"at": 0x30000000, "below": None})
    beside = RangePlan(at=0x2FFFF000, size_bytes=0x1000, type=RangeType.RESERVED)
    over = beside.model_copy(update={"size_bytes": 0x2000})
    assert "at=0x30000000" in agent_plan(make_plan(at, memory=MemoryPlan(ranges=(beside,))))
    with pytest.raises(InputError, match=r"range at 0x2ffff000-0x30000fff and table esrt at 0x30000000-0x30000fff"):
        agent_plan(make_plan(at, memory=MemoryPlan(ranges=(over,))))
    with pytest.raises(InputError, match=r"table esrt at .* and table rtprop at .* overlap"):
        agent_plan(make_plan(at, at.model_copy(update={"name": TableName.RTPROP, "guid": guids.RTPROP})))


def test_a_copy_of_firmware_s_own() -> None:
    copied = ESRT.model_copy(
        update={"name": TableName.MEMATTR, "guid": guids.MEMATTR, "content_hex": "", "copied": True}
    )
    made = make_plan(copied)
    assert "opt/harness/table0" not in {file.name for file in fw_cfg_files(made)}
    assert " copy=memattr\n" in agent_plan(made)
    assert " content=" not in agent_plan(made)


def test_a_table_may_fill_its_pages() -> None:
    full = ESRT.model_copy(update={"content_hex": "00" * (4096 - 0x100)})
    assert "offset=0x100" in agent_plan(make_plan(full))


@pytest.mark.parametrize(
    ("cmdline", "message"), [("a\nb", r"'\\n'"), ("größe", "ö"), ("", "0 characters"), ("x" * 4097, "4097 characters")]
)
def test_a_command_line_that_cannot_be_handed_over(cmdline: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fw_cfg_files(make_plan(cmdline=cmdline))


def test_memory_maps() -> None:
    ranges = (
        RangePlan(at=0x1000000, size_bytes=0x200000, type=RangeType.RUNTIME_SERVICES_DATA, canary_seed=5, hook=True),
        RangePlan(at=0x9000000, size_bytes=0x1000, type=RangeType.HOLE, hook=True),
        RangePlan(at=0x62A000, size_bytes=0x1000, type=RangeType.CONVENTIONAL, fit=True),
    )
    text = agent_plan(make_plan(memory=MemoryPlan(ranges=ranges, kernel_at=0x3C881000)))
    assert text.splitlines()[2:] == [
        "range at=0x1000000 pages=512 type=6 canary=0x0000000000000005 hook=yes",
        "range at=0x9000000 pages=1 type=hole hook=yes",
        "range at=0x62a000 pages=1 type=7 fit=yes",
        "boot kernel=opt/harness/kernel initrd=opt/harness/initrd cmdline=opt/harness/cmdline at=0x3c881000",
    ]


def test_a_plan_too_large_for_the_agent() -> None:
    many = tuple(RangePlan(at=n * 4096, size_bytes=4096, type=RangeType.RESERVED, fit=True) for n in range(2000))
    with pytest.raises(InputError, match=r"the EFI agent's plan has [0-9]+ bytes") as caught:
        agent_plan(make_plan(memory=MemoryPlan(ranges=many)))
    assert "65536" in caught.value.hint
