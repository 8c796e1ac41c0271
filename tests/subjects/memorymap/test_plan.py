"""What a scenario asks of the memory map becomes the agent's plan."""

from __future__ import annotations

from support.synthetic import kernel, plan, prepared, scenario

from harness.model.words.memorymap import RangeType

MEMORY = {
    "kernel_at": 0x3000000,
    "ranges": [
        {"at": 0x1000000, "size": 0x2000, "type": "runtime-services-data", "hook": True},
        {"at": 0x2000000, "size": 0x1000, "type": "hole"},
        {"at": 0x4000000, "size": 0x1000, "type": "reserved", "canary": False},
        {"at": 0x5000000, "size": 0x1000, "type": "boot-services-data"},
    ],
    "map": {"hook": True, "entries": [{"at": 0x100000, "size": 0x1000, "type": "acpi-nvs"}]},
}


def test_the_plan() -> None:
    made = plan(scenario(firmware={"memory": MEMORY}), prepared([kernel()] * 2)).memory
    assert made is not None
    assert made.kernel_at == 0x3000000
    first, hole, large, ram, entry = made.ranges
    assert (first.at, first.size_bytes, first.type, first.hook, first.fit) == (
        *(0x1000000, 0x2000, RangeType.RUNTIME_SERVICES_DATA, True, False),
    )
    assert first.canary_seed == hole.canary_seed == entry.canary_seed
    assert first.canary_seed is not None
    assert (large.canary_seed, ram.canary_seed) == (None, None), "too large, or RAM for the kernel"
    assert hole.hook, "a hole is never allocated"
    assert (large.hook, ram.hook) == (False, False)
    assert (entry.fit, entry.hook) == (True, True)


def test_a_scenario_that_asks_for_nothing_has_no_such_plan() -> None:
    assert plan(scenario(), prepared([kernel()] * 2)).memory is None


def test_kaslr_takes_nokaslr_away() -> None:
    with_it, without = (plan(scenario(kaslr=on), prepared([kernel()] * 2)) for on in (False, True))
    assert all("nokaslr" in epoch.cmdline.split() for epoch in with_it.epochs)
    assert all("nokaslr" not in epoch.cmdline.split() for epoch in without.epochs)
    assert without.epochs[0].cmdline == with_it.epochs[0].cmdline.replace("nokaslr ", "")
