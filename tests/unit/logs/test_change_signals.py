"""Changes of intent and fatigue: told soon where they are, and rarely where they are not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import log
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest

from nurture_envs.derived_rules import ChangePoints
from nurture_envs.errors import JourneyError
from nurture_envs.journey import Journey
from nurture_envs.journey_file import parse_journey
from nurture_rl.logs.change_signals import change_events
from tests.unit.features.small_journey import shop_journey
from tests.unit.logs.piece_by_piece import read_piece_by_piece
from tests.unit.logs.test_derived_events import us
from tests.unit.logs.test_machine_marks import NOON, SECOND, event, table

DAY = 24 * 3600
RISE = {"of": ["viewed"], "usual": 0.5, "becomes": 4.0, "run_length": 104}
FALL = {"of": ["clicked"], "per": ["sent"], "usual": 0.3, "becomes": 0.2, "run_length": 100}


def journey(**rule: Any) -> Journey:
    plain = shop_journey().resolved
    signals = {**plain["signals"], "turned": {"type": "changed"}}
    return parse_journey({**plain, "signals": signals, "changes": {"changed": rule}})


def view(day: float, who: str = "ada", **cells: Any) -> dict[str, Any]:
    return event("page_view", day * DAY, who, page_category="pricing", **cells)


def send(day: float, **cells: Any) -> dict[str, Any]:
    return event("sent", day * DAY, **cells)


def click(day: float) -> dict[str, Any]:
    return event("click", day * DAY, topic="security")


def made(rows: Sequence[dict[str, Any]], **rule: Any) -> list[tuple[str, float, float, str]]:
    """Contact, days after noon, value and reason of each change that is told."""
    of = journey(**rule)
    (found,) = of.derived
    assert isinstance(found, ChangePoints)
    told = change_events(table(*rows), found, of).to_pylist()
    return [
        (
            row["contact_id"],
            round((us(row["occurred_at"]) - NOON) / SECOND / DAY, 6),
            row["value"],
            json.loads(row["properties"])["reason"],
        )
        for row in told
    ]


def test_a_burst_of_interest_is_told_with_its_reason() -> None:
    calm = [view(day) for day in range(0, 84, 14)]
    assert made(calm, **RISE) == []
    burst = [view(84 + day) for day in (0.0, 0.5, 1.0, 1.5, 2.0)]
    ((who, day, times, reason),) = made([*calm, *burst], **RISE)
    assert (who, day) == ("ada", 86.0)  # at the fifth
    assert reason == "5 times viewed within 2.0 days; usual is 0.5 a week"
    assert times == pytest.approx(5 / 2.0 * 7 / 0.5)


def test_the_sum_is_that_of_the_log_likelihood_ratio() -> None:
    """By hand: the usual stays what everybody does, as nothing ever came back to 0."""
    days = [0.0, 1.0, 2.0, 3.0]
    risen = [log(4.0) * n - 0.5 * 3.0 * day / 7.0 for n, day in enumerate(days)]
    assert risen[3] > log(0.5 * 60.0) > risen[2]
    ((_, day, *_),) = made([view(day) for day in days], **{**RISE, "run_length": 60})
    assert day == 3.0
    assert risen[3] < log(0.5 * 80.0)
    assert made([view(day) for day in days], **{**RISE, "run_length": 80}) == []


def test_what_somebody_always_does_is_no_change() -> None:
    """Two visits a week are four times what is usual; told once or twice, they are usual too."""
    told = made([view(day) for day in np.arange(0.0, 400.0, 3.5)], **RISE)
    assert [day for _, day, *_ in told] == [24.5, 325.5]
    fixed = made([view(day) for day in np.arange(0.0, 400.0, 3.5)], **RISE, counts_for=1e6)
    assert len(fixed) > 10


def mails(answered: str) -> list[dict[str, Any]]:
    """One mail a week; `1` where it is clicked a day later."""
    rows = []
    for week, sign in enumerate(answered):
        rows += [send(7.0 * week)] + ([click(7.0 * week + 1)] if sign == "1" else [])
    return rows


def test_silence_of_who_used_to_answer_is_told_at_the_next_mail() -> None:
    assert made(mails("101101011011"), **FALL) == []
    ((_, day, times, reason),) = made(mails("1011010110110000000000"), **FALL)
    assert times == 0.0
    assert reason == "clicked after 0 of 8 times sent; usual is 50%"
    assert day == 7.0 * 20  # with the mail after the eighth


def test_who_never_answered_much_is_told_later() -> None:
    often = made(mails("11011011" + "0" * 30), **FALL)[0][1]
    seldom = made(mails("00010000" + "0" * 30), **FALL)[0][1]
    assert often < seldom


def test_progress_begins_anew() -> None:
    days = [0.0, 1.0, 2.0, 3.0]
    rule = {**RISE, "run_length": 60}
    bought = event("purchase", 2.5 * DAY)
    assert made([*map(view, days), bought], **rule, until=["bought"]) == []
    rows = [*map(view, days), *(view(day + 4.0) for day in days), bought]
    assert [day for _, day, *_ in made(rows, **rule)] == [3.0, 7.0]
    assert [day for _, day, *_ in made(rows, **rule, until=["bought"])] == [6.0]


def test_contacts_count_for_themselves() -> None:
    rows = [view(0), view(1, "bob"), view(1), view(2, "bob"), view(2), view(3)]
    assert [who for who, *_ in made(rows, **{**RISE, "run_length": 60})] == ["ada"]


def run_lengths(rule: dict[str, Any], rate: float, weeks: int, people: int) -> float:
    """Mean weeks between false alarms of people whose rate never changes."""
    rng, rows = np.random.default_rng(7), []
    for one in range(people):
        days = np.sort(rng.uniform(0.0, 7.0 * weeks, rng.poisson(rate * weeks)))
        rows += [view(float(day), f"c{one}") for day in days]
    return people * weeks / max(len(made(rows, **rule)), 1)


@pytest.mark.parametrize("run_length", [20, 52])
def test_false_alarms_are_no_closer_than_promised(run_length: int) -> None:
    known = {**RISE, "run_length": run_length, "counts_for": 1e6}
    measured = run_lengths(known, 0.5, 200, 60)
    assert measured > run_length  # the bound
    assert measured < 12 * run_length  # and it is no excuse for saying nothing
    assert run_lengths({**known, "becomes": 2.0}, 0.5, 200, 60) > run_length
    assert run_lengths(known, 2.0, 100, 30) < run_length  # who always comes more often than usual


def test_false_alarms_of_silence_are_no_closer_than_promised() -> None:
    rng = np.random.default_rng(3)
    rows = []
    for one in range(20):
        for row in mails("".join("01"[int(rng.random() < 0.3)] for _ in range(300))):
            rows.append({**row, "contact_id": f"c{one}"})
    told = made(rows, **FALL, counts_for=1e6)
    assert 100 < 20 * 300 / len(told) < 1200


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rule", [RISE | {"run_length": 4.0}, FALL | {"run_length": 1.5}])
def test_a_log_read_piece_by_piece_gives_the_changes_of_the_whole(
    seed: int, rule: dict[str, Any]
) -> None:
    rng, of = np.random.default_rng(seed), journey(**rule)
    rows = []
    for number in range(60):
        day = float(rng.uniform(0, 30))
        row = [view, send, click][int(rng.integers(3))](day)
        late = NOON + int((day + rng.exponential(2)) * DAY) * SECOND
        rows.append(row | {"event_id": f"e{number}", "recorded_at": late})
    (found,) = of.derived
    assert isinstance(found, ChangePoints)

    pieces = read_piece_by_piece(rows, lambda some: change_events(some, found, of))
    assert pieces
    shuffled = [rows[i] for i in rng.permutation(len(rows))]
    told = change_events(table(*shuffled), found, of).to_pylist()
    assert {row["event_id"]: row for row in told} == pieces


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"of": ["viewd"]}, "no signal is called 'viewd'"),
        ({"becomes": 1}, "becomes: expected above 1"),
        ({"becomes": 0.5}, "without `per` expected a rise"),
        ({"becomes": 1e-319, "per": ["sent"]}, "becomes: expected a number"),
        ({"becomes": 1e300}, "becomes: expected a number"),
        ({"usual": 1e300}, "usual: expected a number"),
        ({"counts_for": 1e300}, "counts_for: expected a number"),
        ({"run_length": 1e300}, "run_length: expected a number"),
        ({"per": ["sent"], "usual": 0.5}, "expected a share that is below 1"),
        ({"per": ["viewed"]}, "one of `of`, `per` and `until`"),
        ({"usual": None}, "usual: expected a number"),
        ({"of": ["turned"]}, "cannot be counted itself"),
        ({"times": 3}, "times: no such key"),
        ({"run_length": 0}, r"run_length: expected a number in"),
    ],
)
def test_wrong_rules_are_told(rule: dict[str, Any], said: str) -> None:
    with pytest.raises(JourneyError, match=said):
        journey(**{**RISE, **rule})


def test_one_type_is_made_by_one_rule() -> None:
    plain = shop_journey().resolved
    signals = {**plain["signals"], "turned": {"type": "changed"}}
    both = {"repeated": {"changed": {"of": ["viewed"], "times": 3}}, "changes": {"changed": RISE}}
    with pytest.raises(JourneyError, match="one type is made by one rule"):
        parse_journey({**plain, "signals": signals, **both})


def test_ids_stay_what_they_are(tmp_path: Any) -> None:
    of = journey(**{**RISE, "run_length": 30})
    (rule,) = of.derived
    assert isinstance(rule, ChangePoints)
    rows = table(*[view(day, event_id=f"v{day}") for day in (0.0, 1.0, 2.0, 3.0)])
    first, second = (change_events(rows, rule, of) for _ in range(2))
    assert first.equals(second)
    assert pc.all(pc.starts_with(first["event_id"], "changed:")).as_py()
