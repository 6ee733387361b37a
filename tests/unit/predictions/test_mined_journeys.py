"""Mining finds what is planted, and nothing where nothing is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments.answering_back.planted_journeys import first_days, planted
from nurture_envs.derived_rules import PathEvents
from nurture_envs.journey_file import load_journey
from nurture_rl.predictions.behaviour_segments import adjusted_rand, behaviour_segments
from nurture_rl.predictions.episode_acts import EpisodeActs
from nurture_rl.predictions.frequent_paths import frequent_paths
from nurture_rl.predictions.mined_journeys import (
    MinedJourneys,
    MiningConfig,
    feature_text,
    mined,
)
from nurture_rl.predictions.stall_points import stall_points
from nurture_rl.report.mined_page import mined_markdown, mined_page
from nurture_rl.simulator.gap.false_findings import few_false

CONFIG = MiningConfig(share=0.02, false=0.1, days=7.0, early=14.0, seed=0)


def by_hand(*episodes: tuple[str, list[float], float, float]) -> EpisodeActs:
    """Acts as letters, their days, the day of the north star, and the days that are known."""
    names = tuple(sorted({letter for acts, *_ in episodes for letter in acts}))
    acts = [names.index(letter) for letters, *_ in episodes for letter in letters]
    days = [day for _, some, *_ in episodes for day in some]
    starts = np.concatenate([[0], np.cumsum([len(letters) for letters, *_ in episodes])])
    reached, watched = (np.array([one[place] for one in episodes], float) for place in (2, 3))
    clusters = np.array([f"c{i}" for i in range(len(episodes))], object)
    first = first_days(starts, np.array(acts), np.array(days), len(names))
    rest = (clusters, reached, watched, first, first, 28.0)
    return EpisodeActs(names, starts, np.array(acts), np.array(days), *rest)


def test_the_ratio_is_that_of_the_log_rank_test() -> None:
    """Forty each went ab and ba on day 1; of the first 12 came to the star on day 3, of these 4."""
    one = [("ab", [0.2, 0.4], 3.5 if i < 12 else np.inf, 10.0) for i in range(40)]
    other = [("ba", [0.2, 0.4], 3.5 if i < 4 else np.inf, 10.0) for i in range(40)]
    acts = by_hand(*one, *other, *one, *other)
    half = np.arange(160) < 80
    found = {path.steps: path for path in frequent_paths(acts, half, 0.1)}
    # One day with events: 16 of 80 at risk, half of them on the path.
    expected, variance = 16 * 0.5, 16 * 0.5 * 0.5 * (80 - 16) / 79
    assert found["a", "b"].ratio == pytest.approx(np.exp((12 - expected) / variance))
    assert found["b", "a"].ratio == pytest.approx(np.exp((4 - expected) / variance))
    assert found["a", "b"].p == pytest.approx(0.0291, abs=2e-4)  # of t = 4 / sqrt(3.24), 79
    assert found["a", "b"].share == 0.5
    assert found["a", "b"].days == pytest.approx(0.2)


@pytest.mark.parametrize("seed", range(2))
def test_a_planted_path_is_found_and_none_where_none_is(seed: int) -> None:
    paths = mined(planted(seed, 2500, path=6.0), CONFIG).paths
    assert paths[0].told
    assert paths[0].steps in (("a", "b"), ("b", "a"))
    found = {path.steps: path for path in paths}
    assert found["a", "b"].lower > 1.5
    assert found["b", "a"].upper < 1.0
    paths = mined(planted(seed, 2500), CONFIG).paths
    assert not any(path.told for path in paths)


def test_a_planted_stall_is_found_and_none_where_none_is() -> None:
    found = mined(planted(1, 1200, stall=True), CONFIG).stalls
    assert [one.act for one in found if one.told] == ["d"]
    assert found[0].stays > 0.5 > found[0].others
    assert found[0].lower < found[0].stays < found[0].upper
    assert not any(one.told for one in mined(planted(1, 1200), CONFIG).stalls)


def test_who_is_no_longer_watched_counts_by_the_days_that_were() -> None:
    """Of ten, five go on after a day, and five are watched for half a day: all at risk went on."""
    acts = by_hand(
        *[("ab", [0.0, 1.0], np.inf, 20.0)] * 40,
        *[("a", [0.0], np.inf, 0.5)] * 40,
        *[("b", [0.0], np.inf, 20.0)] * 40,
    )
    found = {one.act: one for one in stall_points(acts, 7.0)}
    assert found["a"].stays == 0.0
    assert found["b"].stays == 1.0


def test_planted_kinds_are_found_and_none_where_none_are() -> None:
    found = behaviour_segments(planted(2, 800, kinds=True), 14.0, np.random.default_rng(0))[0]
    assert len(found.segments) == 2
    assert found.stability > 0.9
    assert all(0.45 < one.share < 0.55 for one in found.segments)
    one, other = found.segments
    assert (one.means["a"] > one.means["c"]) != (other.means["a"] > other.means["c"])
    none = behaviour_segments(planted(2, 800), 14.0, np.random.default_rng(0))[0]
    assert none.segments == ()
    few = behaviour_segments(planted(2, 50, kinds=True), 14.0, np.random.default_rng(0))[0]
    assert few.segments == ()


def test_kinds_are_tested_from_the_first_day_that_counts_for_their_chances() -> None:
    acts = planted(2, 800, kinds=True)
    soon = replace(acts, reached=np.where(np.arange(800) % 2, 14.5, np.inf))  # of one kind alone
    found = behaviour_segments(soon, 14.0, np.random.default_rng(0))[0]
    assert {round(one.reached) for one in found.segments} == {0, 1}
    assert found.p < 1e-6


def test_agreement_is_the_adjusted_rand_index() -> None:
    one = np.array([0, 0, 1, 1, 2, 2])
    assert adjusted_rand(one, (one + 1) % 3) == 1.0
    assert adjusted_rand(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])) == pytest.approx(-0.5)
    rng = np.random.default_rng(0)
    assert abs(adjusted_rand(rng.integers(0, 3, 4000), rng.integers(0, 4, 4000))) < 0.01


def test_few_of_what_is_told_is_false() -> None:
    assert few_false([0.01, 0.02, 0.9, 0.03], 0.05) == [True, True, False, True]
    assert few_false([0.03, 0.04], 0.05) == [True, True]
    assert few_false([0.03, 0.06], 0.05) == [False, False]
    assert few_false([], 0.05) == []


def findings(acts: EpisodeActs, names: tuple[str, ...]) -> MinedJourneys:
    return MinedJourneys(
        title="Leads",
        journey="inbound_lead",
        provenance="SYNTHETIC",
        log="ingest-0",
        as_of="2026-06-01T00:00:00Z",
        episodes=len(acts),
        reached=int(np.isfinite(acts.reached).sum()),
        acts=names,
        findings=mined(replace(acts, names=names), CONFIG),
        false=0.1,
        days=7.0,
        length=acts.length,
    )


SIGNALS = (
    "viewed_pricing",
    "viewed_security",
    "viewed_product",
    "clicked_pricing",
    "form_submitted",
)


def test_findings_become_features_of_a_journey_that_loads(tmp_path: Path) -> None:
    found = findings(planted(0, 2000, path=8.0), SIGNALS)
    path = tmp_path / "mined.yaml"
    path.write_text(feature_text(found), "utf-8")
    journey = load_journey(str(path))
    made = {rule.type: rule for rule in journey.derived if isinstance(rule, PathEvents)}
    name = "viewed_pricing_then_viewed_security"
    assert made[name].steps == ("viewed_pricing", "viewed_security")
    assert f"went_{name}" in {feature.name for feature in journey.features}
    assert "ingest-0" in path.read_text("utf-8")  # where it comes from
    nothing = findings(planted(0, 150), SIGNALS)
    path.write_text(feature_text(nothing), "utf-8")
    assert load_journey(str(path)).derived == ()


def test_pages_say_what_was_found_and_what_was_not() -> None:
    found, nothing = (
        findings(planted(0, 2500, path=6.0), SIGNALS),
        findings(planted(0, 900), SIGNALS),
    )
    assert "`viewed_pricing`, then `viewed_security`" in mined_markdown(found)
    assert "None that can be told from chance" in mined_markdown(nothing)
    assert "No stable ones" in mined_markdown(nothing)
    page = mined_page(found)
    assert "<svg" in page
    assert page == mined_page(found)
    assert not any(f">c{who}<" in page for who in range(2000))
