"""Which contacts and which events count in which block, and which blocks are compared."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from nurture_envs.journey_file import load_journey
from nurture_rl.errors import LogError
from nurture_rl.lift.judged_blocks import judged_blocks
from nurture_rl.lift.time_blocks import NOT_OVER, block_counts
from tests.unit.lift.block_programme import BLOCKS, arm_on, block_plan, programme
from tests.unit.lift.small_programme import contact, decision, event, log

JOURNEY = load_journey("inbound_lead")


def test_contact_days_are_those_of_the_window_within_each_day() -> None:
    """A contact a day from nine on, each at risk for seven days."""
    counts = block_counts(programme(lambda day, arm: 0), block_plan(), JOURNEY)
    assert counts.at_risk.shape == (84,)
    assert counts.at_risk[0] == pytest.approx(15 / 24)
    assert counts.at_risk[3] == pytest.approx(3 + 15 / 24)
    assert counts.at_risk[7:] == pytest.approx(7.0)
    assert counts.contacts == 84


def test_an_event_counts_on_the_day_it_happened_whatever_was_decided_before() -> None:
    """Decided on the last day of block 0, booked in block 1; and after the window, nowhere."""
    more = [event("c006", "meeting_booked", 8.5), event("c007", "meeting_booked", 14.5)]
    counts = block_counts(programme(lambda day, arm: 0, more=more), block_plan(), JOURNEY)
    assert np.flatnonzero(counts.amounts[:, 0]).tolist() == [8]
    before = [event("c009", "meeting_booked", 8.5)]  # a day before its first decision
    counts = block_counts(programme(lambda day, arm: 0, more=before), block_plan(), JOURNEY)
    assert not counts.amounts.any()


def test_who_comes_again_is_at_risk_again_and_never_twice_at_once() -> None:
    first, again, later = (
        decision("a", "usual", day, step) for day, step in ((0, 0), (3, 1), (30, 2))
    )
    rows = [first, {**again, "episode_id": "a.1"}, {**later, "episode_id": "a.2"}]
    events = [event("a", "meeting_booked", day) for day in (2.0, 9.5, 11.0, 31.0)]
    counts = block_counts(log([contact("a")], rows, events), block_plan(), JOURNEY)
    assert counts.at_risk.sum() == pytest.approx(3 + 7 + 7)
    # Day 2 from nine on in the first pass, 9.5 within the second; 11.0 lies in none.
    assert np.flatnonzero(counts.amounts[:, 0]).tolist() == [2, 9, 31]


def test_once_counts_the_first_event_of_an_account_and_no_other() -> None:
    people = [contact("a", "A"), contact("b", "A"), contact("c")]
    rows = [decision(name, "usual", 0.0) for name in "abc"]
    events = [
        event("b", "meeting_booked", 3.0),
        event("a", "meeting_booked", 2.0),
        event("c", "meeting_booked", 4.0),
        event("c", "meeting_booked", 5.0),
    ]
    once = block_plan(once=("meetings booked",))
    counts = block_counts(log(people, rows, events), once, JOURNEY)
    assert np.flatnonzero(counts.amounts[:, 0]).tolist() == [2, 4]
    assert counts.amounts[:, 0].max() == 1.0


def _faults(**changed: object) -> list[tuple[int, str]]:
    given = {"more": (), **changed}
    said = given.pop("plan", block_plan())
    counts = block_counts(programme(lambda day, arm: 0, **given), said, JOURNEY)  # type: ignore[arg-type]
    return [(block, fault) for block, fault in enumerate(counts.faults) if fault]


def test_blocks_that_were_not_as_planned_are_told() -> None:
    assert _faults() == []
    assert [block for block, fault in _faults(end=39.0) if fault == NOT_OVER] == [*range(5, 12)]
    for salt in ("s", None):
        nobody = [(10, "nobody was decided for"), (11, "nobody was decided for")]
        assert _faults(days=70, plan=block_plan(salt=salt)) == nobody
    late = block_plan(starts=datetime(2026, 4, 6, 8, tzinfo=UTC))
    assert _faults(plan=late) == [(0, "began before the experiment did")]

    at_once = [fault for _, fault in _faults(plan=late, end=5.0)]  # no later record mends it
    assert at_once == ["began before the experiment did", *[NOT_OVER] * 11]

    assert arm_on(9) == "policy"
    assert _faults(arm=lambda day: "usual" if day == 9 else arm_on(day)) == [
        (1, "has decisions of policy, usual, and its arm is policy")
    ]
    other = _faults(arm=lambda day: arm_on(day, "another salt"))
    assert other
    assert all("and its arm is" in fault for _, fault in other)


def test_a_decision_that_the_servers_experiment_did_not_deal_spoils_its_block() -> None:
    tables = programme(lambda day, arm: 0)
    named = ["e" * 16] * 83 + [None]
    tables = replace(
        tables,
        decisions=tables.decisions.append_column("experiment", pa.array(named)),
    )
    counts = block_counts(tables, block_plan(dealt_by="e" * 16), JOURNEY)
    assert [fault for fault in counts.faults if fault] == [
        "has decisions that the experiment did not deal"
    ]
    assert counts.faults[11]


def test_a_round_counts_whole_or_not_at_all() -> None:
    report = judged_blocks(programme(lambda day, arm: 1, days=77), block_plan(), JOURNEY)
    assert report.blocks is not None
    assert (report.blocks.rounds, report.blocks.compared) == (6, 5)
    assert [row.compared for row in report.blocks.rows] == [True] * 10 + [False] * 2


def test_a_log_of_another_time_is_refused() -> None:
    tables = programme(lambda day, arm: 0)
    other = block_plan(switchback=replace(BLOCKS, first_day=BLOCKS.first_day.replace(year=2030)))
    with pytest.raises(LogError, match="expected decisions of the journey in the 12 blocks since"):
        block_counts(tables, other, JOURNEY)
