"""The answer where time is dealt: paired, once, and with a warning where blocks reach over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import yaml

from nurture_envs.journey_file import load_journey, parse_journey
from nurture_envs.switchback import block_arm
from nurture_rl.errors import ConfigError
from nurture_rl.lift.judged_arms import LiftReport
from nurture_rl.lift.judged_blocks import judged_blocks
from nurture_rl.lift.next_blocks import next_blocks, rounds_needed
from nurture_rl.lift.sign_flips import flipped_interval
from nurture_rl.lift.written_plan import load_plan
from nurture_rl.report.lift_first_screen import first_screen
from nurture_rl.report.lift_page import ToldLift, lift_markdown, lift_page
from nurture_rl.workflow.lift_verb import BETTER, CANNOT_TELL, NOT_BETTER, exit_code
from tests.unit.lift.block_programme import BLOCKS, block_plan, programme
from tests.unit.lift.small_programme import event

JOURNEY = load_journey("inbound_lead")
TREND = np.random.default_rng(1).integers(0, 3, 84)  # meetings on a day whatever the arm


def _report(
    gain: Callable[[int], int] = lambda day: 2, end: float = 120.0, **changed: object
) -> LiftReport:
    """Days with a random count of meetings, and so many more where the policy decides."""
    tables = programme(
        lambda day, arm: int(TREND[day]) + (gain(day) if arm == "policy" else 0), end=end
    )
    return judged_blocks(tables, block_plan(**changed), JOURNEY)


def test_a_gain_is_told_at_the_planned_end_in_the_unit_of_a_contacts_window() -> None:
    """Two meetings more a day, where seven are at risk for seven days each: two a contact."""
    report = _report()
    star = report.lifts["policy"][0]
    assert star.lower < 2.0 < star.upper
    assert (star.verdict, exit_code(report)) == ("better", BETTER)
    assert star.difference == pytest.approx(star.treated - star.usual)
    assert first_screen(report).helped.startswith("Yes. While `policy` decides there are more")
    harm = _report(lambda day: -min(2, int(TREND[day])))
    assert harm.lifts["policy"][0].verdict == "worse"
    assert exit_code(harm) == NOT_BETTER
    assert "it does harm" in first_screen(harm).helped


def test_nothing_is_told_before_the_planned_end_and_its_day_is_named() -> None:
    """Also not where it looks as clear as at the end; outcomes of four days are late."""
    for end, level in ((50.0, 0.95), (87.9, 0.95), (87.9, 0.8)):  # four rounds would tell at 80 %
        report = _report(end=end, level=level)
        assert exit_code(report) == CANNOT_TELL
        assert "3 July 2026" in first_screen(report).helped
        # No figure of an arm or of a block either, from which a difference could be read.
        assert report.lifts == {}
        assert report.blocks is not None
        means = [one.means for one in report.arms.values()]
        means += [one.means for one in report.blocks.rows]
        assert np.isnan([value for one in means for value in one.values()]).all()
        assert "| 0 | usual | 2026-04-06 | 4.12 | – |" in lift_markdown(ToldLift(report))
        assert "2026-07-03" in next_blocks(report).missing[0]
        assert next_blocks(report).block is None
    assert _report(end=88.0).lifts["policy"][0].verdict == "better"


def test_the_interval_is_that_of_the_paired_differences() -> None:
    report = _report()
    assert report.blocks is not None
    means = {row.block: row.means["meetings booked"] for row in report.blocks.rows}
    arms = {row.block: row.arm for row in report.blocks.rows}
    found = [
        sum(means[block] * (1 if arms[block] == "policy" else -1) for block in (first, first + 1))
        for first in range(0, 12, 2)
    ]
    star = report.lifts["policy"][0]
    assert (star.lower, star.upper) == pytest.approx(flipped_interval(np.array(found), 0.95))
    assert star.difference == pytest.approx(np.mean(found))


def test_the_washout_keeps_out_what_comes_of_the_block_before() -> None:
    """A meeting on every first day of a block counts without a washout alone."""
    first = [event(f"c{7 * k:03d}", "meeting_booked", 7 * k + 0.6) for k in range(12)]
    tables = programme(lambda day, arm: 0, more=first)
    report = judged_blocks(tables, block_plan(), JOURNEY)
    assert report.blocks is not None
    assert {row.means["meetings booked"] for row in report.blocks.rows} == {0.0}
    star = report.lifts["policy"][0]
    assert (star.verdict, star.lower) == ("cannot tell yet", -np.inf)  # no block differs
    assert (
        next_blocks(report)
        .missing[0]
        .startswith("a verdict on meetings booked: no block differs from another;")
    )
    plan = block_plan()
    assert plan.switchback is not None
    bare = block_plan(switchback=type(plan.switchback)(plan.switchback.first_day, "UTC", 7, 0, 12))
    counted = judged_blocks(tables, bare, JOURNEY).blocks
    assert counted is not None
    assert min(row.means["meetings booked"] for row in counted.rows) > 0.0


def test_an_effect_that_needs_days_to_come_is_warned_of() -> None:
    """Of a gain that is there from the fourth day of a block on, and of a steady one not."""
    late = _report(lambda day: 6 if day % 7 >= 4 else 0)
    steady = _report(lambda day: 6)
    for report, differs in ((late, True), (steady, False)):
        assert report.blocks is not None
        one = report.blocks.carry_over["policy"]
        assert one.differs == differs
        assert len(one.by_day) == 7
        assert ("washout is too short" in first_screen(report).helped) == differs
        assert ("longer blocks" in next_blocks(report).why) == differs
        assert ("no carry-over is seen" in lift_markdown(ToldLift(report))) != differs
    assert late.blocks is not None
    assert late.blocks.carry_over["policy"].late > late.blocks.carry_over["policy"].early


def test_too_few_rounds_as_planned_are_no_answer() -> None:
    tables = programme(lambda day, arm: 3 if arm == "policy" else 1, days=77)
    report = judged_blocks(tables, block_plan(), JOURNEY)
    assert report.lifts["policy"][0].verdict == "cannot tell yet"
    assert first_screen(report).helped.startswith("Cannot tell. 5 of 6 rounds of blocks ran")
    assert "nobody was decided for" in lift_page(ToldLift(report))
    assert "start the server before the first day" in next_blocks(report).why


def test_what_can_not_be_told_any_more_is_said_before_the_planned_end() -> None:
    """The experiment began within block 0, and six rounds of six are the least."""
    late = datetime(2026, 4, 6, 8, tzinfo=UTC)
    report = _report(end=50.0, starts=late)
    assert first_screen(report).helped.startswith("Cannot tell. 5 of 6 rounds of blocks can run")
    assert next_blocks(report).missing == ("6 rounds of blocks as planned; 5 can be",)
    assert next_blocks(report).block is not None
    wide = _report(end=50.0, starts=late, level=0.9)  # five are enough
    assert first_screen(wide).helped.startswith("Cannot tell yet. It is read once")


def test_three_arms_are_compared_within_their_rounds() -> None:
    arms = {"policy": 1 / 3, "usual": 1 / 3, "holdout": 1 / 3}
    plan = block_plan(shares=arms)
    assert plan.switchback is not None
    blocks = type(plan.switchback)(plan.switchback.first_day, "UTC", 3, 1, 27)
    plan = block_plan(shares=arms, switchback=blocks)
    gains = {"policy": 3, "usual": 1, "holdout": 0}
    tables = programme(
        lambda day, arm: gains[arm] + int(TREND[day]),
        days=81,
        arm=lambda day: block_arm("s", arms, int(day // 3)),
    )
    report = judged_blocks(tables, plan, JOURNEY)
    assert report.lifts["policy"][0].lower < 2.0 < report.lifts["policy"][0].upper
    assert report.lifts["holdout"][0].lower < -1.0 < report.lifts["holdout"][0].upper
    assert {name: total.followed for name, total in report.arms.items()} == dict.fromkeys(arms, 9)


def test_the_next_plan_is_an_entry_of_a_journey_file_with_enough_blocks() -> None:
    report = _report(lambda day: 0, worth={"meetings booked": 1.0})
    following = next_blocks(report)
    assert following.block is not None
    entry = yaml.safe_load(following.block)["experiment"]
    assert report.blocks is not None
    needed = rounds_needed(report.blocks.spread["policy"], 1.0, 0.95)
    assert needed is not None
    assert entry["blocks"] == 2 * needed
    assert (entry["unit"], entry["name"], entry["block_days"]) == ("time", "spring_2", 7)
    assert datetime.fromisoformat(entry["first_day"]).replace(tzinfo=UTC) > datetime(
        2026, 8, 4, tzinfo=UTC
    )
    assert parse_journey({**JOURNEY.resolved, "experiment": entry}).experiment is not None


def test_so_many_rounds_do_tell_the_difference_worth_having() -> None:
    """Of 400 experiments of the size that is suggested, about 80 % tell it; without it, 5 %."""
    rng = np.random.default_rng(5)
    # In six rounds all differences have to be of one sign, which takes more.
    for worth, rounds in ((1.0, 10), (1.3, 7), (1.8, 6)):
        assert rounds_needed(1.0, worth, 0.95) == rounds
        told = {
            effect: np.mean(
                [
                    flipped_interval(rng.normal(effect, 1.0, rounds), 0.95)[0] > 0.0
                    for _ in range(400)
                ]
            )
            for effect in (worth, 0.0)
        }
        assert 0.72 < told[worth] < 0.88  # four standard deviations
        assert told[0.0] < 0.06  # half of 5 %, and four standard deviations
    assert rounds_needed(1.0, 1.43, 0.95) == 7
    assert rounds_needed(1.0, 0.01, 0.95) is None


def test_a_suggested_plan_has_no_more_blocks_than_a_journey_file_takes() -> None:
    """Of three arms, 500 rounds would be 1,500 blocks."""
    arms = {"policy": 1 / 3, "usual": 1 / 3, "holdout": 1 / 3}
    blocks = type(BLOCKS)(BLOCKS.first_day, "UTC", 3, 1, 27)
    tables = programme(
        lambda day, arm: int(TREND[day]),
        days=81,
        arm=lambda day: block_arm("s", arms, int(day // 3)),
    )
    plan = block_plan(shares=arms, switchback=blocks)
    read = judged_blocks(tables, plan, JOURNEY).blocks
    assert read is not None
    assert rounds_needed(1.0, 0.15, 0.95) == 351
    plan = replace(plan, worth={"meetings booked": 0.15 * read.spread["policy"]})
    following = next_blocks(judged_blocks(tables, plan, JOURNEY)).block
    assert following is not None
    entry = yaml.safe_load(following)["experiment"]
    assert (entry["blocks"], "would take over 333 rounds" in following) == (27, True)
    assert parse_journey({**JOURNEY.resolved, "experiment": entry}).experiment is not None


PLAN = """
experiment: autumn
journey: inbound_lead
unit: time
starts: 2026-04-01
arms: {policy: 0.5, usual: 0.5}
usual: usual
window_days: 14
first_day: 2026-04-06
zone: Europe/Berlin
block_days: 7
washout_days: 1
blocks: 12
salt: s
north_star: meetings booked
"""


def test_a_plan_of_blocks_is_read_and_held_to_the_rules_of_the_journey_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN, "utf-8")
    found = load_plan(path, JOURNEY)
    assert found.switchback is not None
    assert (found.unit, found.units, found.salt) == ("time", 12, "s")
    assert found.switchback.zone == "Europe/Berlin"
    for before, after, told in (
        # A day is one of UTC, and the block began at 22:00 of the day before.
        ("starts: 2026-04-01", "starts: 2026-04-06", "starts: expected no later than block 0"),
        ("usual: 0.5", "usual: 0.4, holdout: 0.1", "arms: expected equal ones"),
        ("blocks: 12", "blocks: 10", "blocks: expected 12 or more"),
        ("north_star: meetings booked", "north_star: opt-outs", "north_star: expected one of"),
        ("unit: time", "unit: contact", "units: expected a whole number"),
    ):
        path.write_text(PLAN.replace(before, after), "utf-8")
        with pytest.raises(ConfigError, match=told):
            load_plan(path, JOURNEY)
    # A server's says when it began; its first round is left out.
    late = PLAN.replace("starts: 2026-04-01", "starts: 2026-04-06") + "dealt_by: abc\n"
    path.write_text(late, "utf-8")
    assert load_plan(path, JOURNEY).dealt_by == "abc"
