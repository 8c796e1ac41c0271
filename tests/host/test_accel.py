"""The choice of the accelerator: a start decides, the answer is kept, and its reason is always said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.cache import Cache
from harness.errors import HostError, InputError
from harness.host.accel import AccelChoice, choose_accel
from harness.host.probe import Host
from harness.host.start import Start
from harness.model.plan import Accel, FirmwareFiles

GOOD = Start(True, "the firmware set the clock after 0.61 s", 0.61, 0.4)
BROKEN = Start(False, "the virtual CPU stopped after 0.17 s: KVM internal error. Suberror: 1", 0.17, 0.1)
SILENT = Start(False, "no sign of life within 4.0 s", 4.0, 0.2, certain=False)


@dataclass
class Starts:
    """Stands for starting QEMU, and counts."""

    answers: Iterator[Start]
    count: int = field(default=0)

    def __call__(self) -> Start:
        self.count += 1
        return next(self.answers)


@dataclass
class Chooser:
    host: Host
    firmware: FirmwareFiles
    cache: Cache
    device: Path

    def __call__(self, requested: str, *starts: Start, cpu: str = "host") -> tuple[AccelChoice, int]:
        start = Starts(iter(starts))
        choice = choose_accel(
            requested,
            host=self.host,
            firmware=self.firmware,
            cache=self.cache,
            cpu=cpu,
            device=self.device,
            start=start,
        )
        return choice, start.count


@pytest.fixture
def choose(make_host: Callable[..., Host], firmware: FirmwareFiles, tmp_path: Path) -> Chooser:
    device = tmp_path / "kvm"
    device.touch()
    return Chooser(make_host(), firmware, Cache(tmp_path / "cache"), device)


def test_auto_takes_kvm_that_starts_firmware(choose: Chooser) -> None:
    choice, _ = choose("auto", GOOD)
    assert choice.accel is Accel.KVM
    assert "set the clock" in choice.reason


def test_auto_takes_tcg_where_kvm_is_there_and_broken(choose: Chooser) -> None:
    choice, _ = choose("auto", BROKEN)
    assert choice.accel is Accel.TCG
    assert "KVM internal error. Suberror: 1" in choice.reason
    assert "QEMU 7.2.22, -cpu host" in choice.reason


def test_auto_takes_tcg_without_a_device_and_starts_nothing(choose: Chooser) -> None:
    choose.device.unlink()
    choice, count = choose("auto")
    assert (choice.accel, count) == (Accel.TCG, 0)
    assert f"there is no {choose.device}" in choice.reason


def test_auto_names_the_group_where_permission_lacks(choose: Chooser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.host.accel.os.access", lambda *_: False)
    choice, count = choose("auto")
    assert (choice.accel, count) == (Accel.TCG, 0)
    assert "kvm, then log in again" in choice.reason


def test_kvm_on_request_is_refused_with_the_reason_where_it_does_not_work(choose: Chooser) -> None:
    with pytest.raises(HostError, match="KVM does not work here: the virtual CPU stopped") as caught:
        choose("kvm", BROKEN)
    assert "--accel tcg" in caught.value.hint


def test_kvm_on_request_where_it_works(choose: Chooser) -> None:
    assert choose("kvm", GOOD)[0].accel is Accel.KVM


def test_tcg_on_request_tries_nothing(choose: Chooser) -> None:
    choice, count = choose("tcg")
    assert (choice.accel, count) == (Accel.TCG, 0)


@pytest.mark.parametrize("word", ["", "KVM", "hvf", "tcg "])
def test_other_words_are_bad_input(choose: Chooser, word: str) -> None:
    with pytest.raises(InputError, match="unknown accelerator") as caught:
        choose(word)
    assert caught.value.hint == "choose one of auto, tcg, kvm"


@pytest.mark.parametrize("start", [GOOD, BROKEN])
def test_answer_is_kept(choose: Chooser, start: Start) -> None:
    first, _ = choose("auto", start)
    second, count = choose("auto")
    assert (second, count) == (first, 0)


def test_silence_is_not_kept(choose: Chooser) -> None:
    assert choose("auto", SILENT)[0].accel is Accel.TCG
    choice, count = choose("auto", GOOD)
    assert (choice.accel, count) == (Accel.KVM, 1)


def test_answer_holds_for_one_cpu_model_kernel_and_qemu(choose: Chooser, make_host: Callable[..., Host]) -> None:
    choose("auto", BROKEN)
    assert choose("auto", GOOD, cpu="qemu64")[0].accel is Accel.KVM
    for change in ({"qemu_version": "9.0"}, {"kernel_release": "6.12"}, {"cpu_model": "other"}):
        choose.host = make_host(**change)
        assert choose("auto", GOOD)[1] == 1, change


def test_device_that_vanishes_counts_more_than_a_kept_answer(choose: Chooser) -> None:
    choose("auto", GOOD)
    choose.device.unlink()
    assert choose("auto")[0].accel is Accel.TCG


def test_spoilt_answer_is_asked_again(choose: Chooser) -> None:
    choose("auto", BROKEN)
    file = choose.cache.root / "host/accel.json"
    file.write_text(file.read_text().replace('"works": false', '"works": "perhaps"'))
    assert choose("auto", GOOD)[0].accel is Accel.KVM


def test_no_qemu_is_a_host_error(make_host: Callable[..., Host], firmware: FirmwareFiles, tmp_path: Path) -> None:
    with pytest.raises(HostError, match="not on PATH"):
        choose_accel("auto", host=make_host(qemu=None), firmware=firmware, cache=Cache(tmp_path), device=tmp_path)
