from __future__ import annotations

import pytest
from support.pagetable_records import LOGBOOK_AT, Made, logbook_page, planned
from support.recorded_tables import KERNELS, recorded
from support.words import Told

from harness.judge.judge import judge
from harness.model.causes import Cause, Status
from harness.model.plan import Accel
from harness.model.record import FrameEntry, Point, SampleEntry
from harness.model.verdict import Check
from harness.subjects.pagetables.stress import TCG_CAVEAT, check_stress

HEAD = "calls=20\nfailed=0\nfirst=0\ncpus=4\n"
LOADER = "loader={n}\nrounds=30\nbad=0\naddress=0\nexpected=0\nfound=0\nerror=0\nend=0\n"
REPORT = HEAD + LOADER.format(n=0) + LOADER.format(n=1)
FIELDS = {"runtime": "present", "rc": "0", "base": str(0x3F5E_C000), "bytes": "1048576"}
STEP = {"stress": {"calls": 20, "loaders": 2}}


def stressed(
    report: str = REPORT,
    fields: dict[str, str] = FIELDS,
    *,
    hooked: tuple[int, int] = (3, 23),
    accel: Accel = Accel.TCG,
    again: str | None = None,
) -> Made:
    """A run with a stress step, or with two of them."""
    reports = [report] if again is None else [report, again]
    made = Made(planned(["boot", *[STEP] * len(reports)], [{"stress": "clean"}], accel, cpus=4))
    capture, _ = recorded(KERNELS[0])
    made.epoch(1)
    for number, text in enumerate(reports):
        before, after = (100 * number + calls for calls in hooked)
        made.sample(1, Point.CALLED, "logbook", LOGBOOK_AT, logbook_page(capture, calls=before))
        made.frame(1, "stress", fields, text.encode())
        made.sample(1, Point.CALLED, "logbook", LOGBOOK_AT, logbook_page(capture, calls=after))
    # Whatever comes later and reads the logbook too is no part of it.
    made.sample(1, Point.CALLED, "logbook", LOGBOOK_AT, logbook_page(capture, calls=1000))
    return made


def checked(made: Made) -> Check:
    return check_stress(made.observations)


def test_all_content_right_is_a_pass(told: Told) -> None:
    check = checked(stressed())
    assert check.status is Status.PASS
    told(check)
    assert "SetVariable" in check.summary
    assert "GetVariable" in check.summary
    assert any(item.name == "stress" and item.status is Status.PASS for item in judge(stressed().record).checks)


def test_it_is_said_that_tcg_cannot_show_a_stale_entry() -> None:
    assert TCG_CAVEAT in checked(stressed()).summary
    assert TCG_CAVEAT not in checked(stressed(accel=Accel.KVM)).summary


SPOILED = REPORT.replace("bad=0\naddress=0\nexpected=0\nfound=0", "bad=3\naddress=1063186432\nexpected=5\nfound=7", 1)


def failed(check: Check, *values: str) -> None:
    assert (check.status, check.cause, check.epoch) == (Status.FAIL, Cause.EFI_STRESS, 1)
    assert [value for value in values if value not in check.summary] == []


def test_a_page_with_other_content_is_a_fail_that_names_the_address(told: Told) -> None:
    failed(told(checked(stressed(SPOILED))), "0x3f5ef000", "0x7", "0x5")
    verdict = judge(stressed(SPOILED).record)
    assert (verdict.status, verdict.cause) == (Status.FAIL, Cause.EFI_STRESS)


def test_calls_that_failed_are_a_fail(told: Told) -> None:
    failed(told(checked(stressed(REPORT.replace("failed=0\nfirst=0", "failed=4\nfirst=5")))), "20")
    failed(told(checked(stressed(REPORT.replace("failed=0\nfirst=0", "failed=4\nfirst=1000")))))


def test_a_process_that_was_killed_is_a_fail(told: Told) -> None:
    failed(told(checked(stressed(REPORT.replace("end=0", "end=11", 1)))), "0xb")


def test_each_of_several_steps_counts(told: Told) -> None:
    assert checked(stressed(again=REPORT)).summary.startswith("40 pairs")
    failed(told(checked(stressed(again=SPOILED))))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("calls=20", "calls=19"),
        (LOADER.format(n=1), ""),
        ("cpus=4", "cpus=1"),
        ("error=0", "error=17"),
        ("rounds=30", "rounds=0"),
    ],
)
def test_another_stress_than_was_asked_for_proves_nothing(old: str, told: Told, new: str) -> None:
    assert old in REPORT
    check = checked(stressed(REPORT.replace(old, new, 1)))
    assert (check.status, check.cause) == (Status.ERROR, Cause.SETUP_NOT_PROVED)
    told(check)


def test_calls_that_never_came_to_firmware_prove_nothing(told: Told) -> None:
    check = checked(stressed(hooked=(3, 22)))
    assert (check.status, check.cause) == (Status.ERROR, Cause.SETUP_NOT_PROVED)
    told(check)


def test_no_region_of_code_proves_nothing(told: Told) -> None:
    check = checked(stressed(fields={**FIELDS, "bytes": "0"}))
    told(check)
    assert check.status is Status.ERROR


def test_a_report_of_another_form_is_the_guests_error() -> None:
    check = checked(stressed("usage: hstress\n"))
    assert (check.status, check.cause) == (Status.ERROR, Cause.GUEST_ERROR)


def test_a_kernel_without_runtime_services_is_unsupported() -> None:
    check = checked(stressed("", {"runtime": "absent"}))
    assert (check.status, check.cause) == (Status.UNSUPPORTED, Cause.NO_CAPABILITY)


def test_a_guest_that_did_not_answer_is_a_missing_report() -> None:
    made = stressed()
    made.drop(lambda entry: isinstance(entry, FrameEntry))
    assert checked(made).cause is Cause.MISSING_REPORT


def test_a_logbook_that_was_not_read_or_is_damaged_proves_nothing(told: Told) -> None:
    made = stressed()
    made.drop(lambda entry: isinstance(entry, SampleEntry))
    told(checked(made))
    made.sample(1, Point.CALLED, "logbook", LOGBOOK_AT, bytes(4096))
    told(checked(made))


def test_a_scenario_without_the_step_proves_nothing() -> None:
    check = checked(Made(planned(["boot"], [{"stress": "clean"}])))
    assert (check.status, check.cause) == (Status.ERROR, Cause.SETUP_NOT_PROVED)
