"""What a record must be to be investigated, and what is made of what was seen."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.recorded import NAMES, laid_out
from support.records import Copy

from harness.autopsy.atlas import Naming
from harness.culprit.culprit import case_of_record, check_variant, conclude, damaged
from harness.culprit.watcher import Watcher
from harness.errors import InputError
from harness.evidence.code.culprit import sentence
from harness.load.scenarios import Variant
from harness.model.autopsy import Owner, Place
from harness.model.culprit import Target, Write
from harness.model.record import Phase
from harness.model.words.tables import TableName
from harness.record.observations import Observations
from harness.record.store import read_record

LOST = "esrt-kexec-load-6.1"
COPY = Place(address=0x1A91DC, owner=Owner.CONTROL, name="swap_pages", offset=0x72)


def test_the_damage_of_a_record() -> None:
    case = case_of_record(laid_out(LOST))
    observations = Observations(read_record(laid_out(LOST)))
    (target,) = case.damage
    baseline = observations.baselines[TableName.ESRT]
    assert target.name is TableName.ESRT
    assert baseline.pages.start <= target.start < target.end <= baseline.pages.end
    assert target.start <= baseline.table.start  # the canary in front of the table too
    assert case.sha256[0] == observations.plan.epochs[0].kernel.sha256


@pytest.mark.parametrize("name", ["esrt-kexec-file", "esrt-no-table", "fake-mem-small"])
def test_a_record_without_damage(name: str) -> None:
    with pytest.raises(InputError, match="no watched table was overwritten"):
        case_of_record(laid_out(name))


def test_no_record(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a run directory"):
        case_of_record(tmp_path)


def test_a_record_that_was_changed(tmp_path: Path) -> None:
    copy = Copy("esrt-kexec-load-6.1", tmp_path)
    journal = copy.path / "journal.jsonl"
    journal.write_text(journal.read_text() + "\n{}\n")
    with pytest.raises(InputError, match="damaged"):
        case_of_record(copy.path)


def test_a_scenario_that_watches_nothing() -> None:
    plan = read_record(laid_out("fake-mem-small")).plan
    with pytest.raises(InputError, match="watches no table"):
        check_variant(Variant(plan.variant, plan.scenario, "", 1))
    watching = read_record(laid_out(LOST)).plan
    assert check_variant(Variant(watching.variant, watching.scenario, "", 1)).damage == ()


class _Seen(Watcher):
    """A watcher that has seen these."""

    seen: tuple[Write, ...] = ()

    def writes(self) -> tuple[Write, ...]:
        return self.seen


def _watcher(*writes: Write, targets: tuple[Target, ...] = (), armed: bool = True) -> Watcher:
    watcher = _Seen(lambda _stage: targets, Naming(), targets=targets, armed=armed)
    watcher.seen = writes
    return watcher


def _write(observations: Observations, epoch: int = 2) -> Write:
    (target,) = damaged(observations)
    table = observations.baselines[TableName.ESRT].table
    last = observations.record.sampled(observations.samples(TableName.ESRT)[-1])
    part = slice(table.start - observations.baselines[TableName.ESRT].pages.start, None)
    after = last[part][: table.size_bytes]
    return Write(
        t_s=1,
        epoch=epoch,
        phase=Phase.JUMP,
        cpu=0,
        place=COPY,
        through=target.start,
        target=target,
        count=17,
        start=table.start,
        end=table.end,
        before_hex=bytes(len(after)).hex(),
        after_hex=after.hex(),
        registers={},
        code_hex="",
    )


def test_the_segment_comes_from_the_record() -> None:
    observations = Observations(read_record(laid_out(LOST)))
    write = _write(observations)
    found = conclude(observations, _watcher(write, targets=(write.target,)))
    assert "(initrd)" in found.writes[0].segment
    assert "of the kernel that epoch 1 loaded" in found.writes[0].segment
    assert "(initrd)" in sentence(found)
    assert found.damaged == (write.target,)


def test_a_write_of_another_epoch_has_no_segment() -> None:
    observations = Observations(read_record(laid_out(LOST)))
    found = conclude(observations, _watcher(_write(observations, epoch=1), targets=damaged(observations)))
    assert found.writes[0].segment == ""


def test_a_run_that_never_got_there() -> None:
    observations = Observations(read_record(laid_out("esrt-kexec-file")))
    found = conclude(observations, _watcher(armed=False))
    assert "nothing was watched" in found.notes[0]
    assert found.damaged == ()


def test_all_records_are_looked_at_without_error() -> None:
    with_damage = {name for name in NAMES if damaged(Observations(read_record(laid_out(name))))}
    assert {"esrt-kexec-load-6.1", "esrt-kexec-load-7.2", "bgrt-kexec-load"} <= with_damage
    assert not {"esrt-kexec-file", "esrt-runtime-data", "fake-mem-small"} & with_damage
