"""Appendices of an appraisal: each part is its room's answer, by policy or by label."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.appraisal.estimation import EvaluationConfig, questions
from nurture_rl.appraisal.risk.harm import harm_bound
from nurture_rl.appraisal.risk.lift import LiftDecomposition
from nurture_rl.appraisal.risk.return_distribution import TailConfig, tail_risk
from nurture_rl.appraisal.risk_profile import (
    LogAnnotations,
    by_segment,
    harm_bounds,
    lift_by_factor,
    tails,
)
from nurture_rl.ope.estimators import ips
from nurture_rl.ope.intervals import paired_difference
from nurture_rl.ope.targets import TabulatedPolicy
from nurture_rl.ope.value_model import ValueModelConfig, value_design
from tests.unit.ope.log_makers import random_distribution, random_log

LOG = random_log(0, [2] * 200, discount=1.0)
DESIGN = value_design(LOG, np.random.default_rng(2), ValueModelConfig())
TARGET = random_distribution(np.random.default_rng(1), LOG.mask)
ASKED = questions(LOG, {"new": TabulatedPolicy(TARGET)}, DESIGN, EvaluationConfig())["new"]
TAKEN = {"logged": LOG.propensity, "new": ASKED.target.taken}
LEVELS = {"routing": ("wait", "send", "send"), "content": ("", "a", "b")}


def test_weeks_are_counted_from_the_first_and_begin_on_mondays() -> None:
    # Sunday, Monday, the Sunday after, and the Monday after that
    day = np.array(["2026-03-01", "2026-03-02", "2026-03-08", "2026-03-09"], "datetime64[D]")
    week = LogAnnotations(day=day).context.week
    assert week is not None
    assert week.tolist() == [1, 2, 2, 3]
    assert LogAnnotations().context.week is None
    holed = np.append(day, np.datetime64("NaT"))
    assert LogAnnotations(day=holed).context.week is None
    named = LogAnnotations(features=("size",), actions=("a", "b")).context
    assert (named.feature(0), named.action(1)) == ("size", "b")


def test_tails_are_those_of_the_returns_by_policy() -> None:
    found, refused = tails(LOG, TAKEN, 0.9)
    told = tail_risk(LOG, TAKEN["new"], TailConfig(level=0.9))
    assert found["new"].quantiles == told.quantiles
    assert found["new"].cvar == told.cvar.value
    assert found["new"].cvar_interval == told.cvar_interval
    assert (found["new"].share, found["new"].tail_ess) == (0.05, told.tail_ess)
    assert (set(found), refused) == ({"logged", "new"}, {})


def test_a_policy_without_weight_has_no_tail_and_says_why() -> None:
    found, refused = tails(LOG, {"never": np.zeros(LOG.n_rows)}, 0.9)
    assert found == {}
    assert "have weight 0" in refused["risk of never"]


def test_harms_are_bounded_for_every_policy_with_any_weight() -> None:
    events = (np.arange(LOG.n_rows) % 40 == 0).astype(np.float64)
    taken = {**TAKEN, "never": np.zeros(LOG.n_rows)}
    found = harm_bounds(LOG, taken, {"complaints": events}, 0.95)
    assert set(found["complaints"]) == {"logged", "new"}
    assert found["complaints"]["new"] == harm_bound(LOG, TAKEN["new"], events, 0.95)


def test_segments_of_one_name_add_up_and_names_share_the_level() -> None:
    pair = (ips(LOG, TAKEN["new"]), ips(LOG, LOG.propensity))
    labels = np.array(["a", "b"], dtype=object)[np.arange(200) % 2]
    one = by_segment(LOG, pair, TAKEN["new"], {"half": labels}, 0.95)["half"]
    assert [part.name for part in one] == ["a", "b"]
    total = sum(part.share * part.difference for part in one)
    assert total == pytest.approx(pair[0].value - pair[1].value)
    two = by_segment(LOG, pair, TAKEN["new"], {"half": labels, "same": labels}, 0.95)["half"]
    assert one[0].interval is not None
    assert two[0].interval is not None
    assert two[0].interval.upper > one[0].interval.upper


def test_lift_is_that_of_the_doubly_robust_difference() -> None:
    assert LOG.logged_probabilities is not None
    found = lift_by_factor(ASKED, LOG.logged_probabilities, LEVELS, DESIGN, 0.95)
    assert isinstance(found, LiftDecomposition)
    assert [share.name for share in found.shares] == ["routing", "content"]
    assert sum(share.value for share in found.shares) == pytest.approx(found.total.value)
    again = paired_difference(ips(LOG, TAKEN["new"]), ips(LOG, LOG.propensity), 0.95)
    assert abs(found.total.value - again.value) < 4 * again.stderr


def test_a_lift_that_cannot_be_split_says_why() -> None:
    logged = LOG.logged_probabilities
    one = {"routing": LEVELS["routing"]}
    alike = {"routing": LEVELS["routing"], "content": ("", "a", "a")}
    for reference, levels, words in (
        (logged, one, "not described by two or more factors"),
        (None, LEVELS, "does not hold the logging policy's whole distribution"),
        (logged, alike, "two actions are alike"),
    ):
        found = lift_by_factor(ASKED, reference, levels, DESIGN, 0.95)
        assert isinstance(found, str)
        assert words in found
