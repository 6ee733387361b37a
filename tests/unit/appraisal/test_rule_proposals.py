"""A planted change of the rules is found with its gain, and nothing where nothing is planted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey_file import load_journey
from nurture_rl.appraisal.estimation import EvaluationConfig
from nurture_rl.appraisal.rule_proposals import (
    ProposalReport,
    outcome_conditions,
    propose_rules,
    to_the_end,
)
from nurture_rl.errors import FitError
from nurture_rl.ope.value_model import ValueModelConfig
from nurture_rl.policies.program import Rules
from tests.unit.appraisal.planted_reasons import losing_journey, planted_log
from tests.unit.workflow.eight_decisions import eight_decisions

JOURNEY = losing_journey()
PRESENT = Rules.written((), "pause:1", JOURNEY, ActionCatalog.of(JOURNEY), FeatureSpec.of(JOURNEY))
CONFIG = EvaluationConfig(
    estimators=("dr",), value_model=ValueModelConfig(n_folds=3, penalties=(10.0,))
)


def asked(seed: int, effect: float, tested: int = 6) -> ProposalReport:
    rng = np.random.default_rng(seed)
    log = planted_log(JOURNEY, seed, effect)
    return propose_rules(log, JOURNEY, PRESENT, tested, CONFIG, rng)


def test_conditions_are_features_of_crm_outcomes_and_stages_alone() -> None:
    asks = outcome_conditions(JOURNEY)
    found = {f"{one.column} {one.operator} {one.threshold:g}" for one in asks}
    assert {"ever_lost_to_price >= 1", "ever_lost_to_no_fit >= 1", "stage=mql >= 1"} <= found
    assert not any(one.startswith(("clicks_14d", "day", "company_size")) for one in found)


@pytest.mark.parametrize("seed", range(3))
def test_the_planted_change_is_found_with_its_gain(seed: int) -> None:
    found = asked(seed, effect=1.0)
    by_price = [one for one in found.proposed if one.column == "ever_lost_to_price"]
    assert by_price
    assert {one.column for one in found.proposed} == {"ever_lost_to_price"}
    best = by_price[0]
    assert "pricing_guide" in best.action
    assert best.asked == ">= 1"
    assert best.instead == "pause:1"
    assert best.lower is not None
    assert best.upper is not None
    assert best.lower <= 1.0 <= best.upper
    assert best.contacts <= best.decisions


def test_nothing_is_proposed_where_nothing_is_planted() -> None:
    found = [asked(seed, effect=0.0) for seed in range(10)]
    assert sum(bool(one.tested) for one in found) >= 5  # something looked promising by luck
    # Each of the ten errs in 2.5 % at most: two or more have a chance of 2 %.
    assert sum(bool(one.proposed) for one in found) <= 1


def test_without_the_correction_luck_would_be_proposed() -> None:
    """The negative control: what is promising on the contacts it was picked by is not tested."""
    lucky = 0
    for seed in range(6):
        log = planted_log(JOURNEY, seed, 0.0)
        seen = replace(log, held_out=np.ones_like(log.held_out))
        both = np.concatenate
        twice = replace(
            seen,
            **{
                name: both([getattr(log, name), getattr(log, name)])
                for name in (
                    *("features", "mask", "action", "propensity", "probabilities", "reward"),
                    *("amounts", "step", "contact", "cluster", "terminal", "matured"),
                    *("complete", "available", "age", "when"),
                )
            },
            episode=both([log.episode, log.episode + log.episode.max() + 1]),
            held_out=both([np.zeros_like(log.held_out), np.ones_like(log.held_out)]),
        )
        found = propose_rules(twice, JOURNEY, PRESENT, 6, CONFIG, np.random.default_rng(seed))
        single = [one for one in found.tested if one.gain is not None and one.gain > 0.0]
        lucky += len(single) == len(found.tested)
    assert lucky == 6  # every change that was picked looks like a gain


def test_more_changes_widen_every_interval() -> None:
    few, many = asked(0, 1.0, tested=1), asked(0, 1.0, tested=12)
    (one,) = few.tested
    same = next(it for it in many.tested if (it.column, it.action) == (one.column, one.action))
    assert one.lower is not None
    assert same.lower is not None
    assert same.lower < one.lower


def test_what_comes_to_the_end_is_discounted_to_the_decision() -> None:
    log = eight_decisions()
    # contact 0: 1 + 2 / 4 (two bins on), then 2; contact 1: 4 + 8 / 2, then 8
    assert to_the_end(log, 0.5)[:4] == pytest.approx([1.5, 2.0, 8.0, 8.0])


def test_estimated_propensities_propose_nothing_unless_they_are_accepted() -> None:
    log = planted_log(JOURNEY, 0, 1.0)
    log = replace(log, estimated=np.ones(log.action.size, bool))
    found = propose_rules(log, JOURNEY, PRESENT, 2, CONFIG, np.random.default_rng(0))
    assert found.proposed == ()
    assert "a model's" in found.tested[0].why


def test_a_journey_without_outcomes_of_a_crm_is_refused() -> None:
    journey = load_journey("hillstrom")
    catalog, features = ActionCatalog.of(journey), FeatureSpec.of(journey)
    rules = Rules.written((), catalog.ids[0], journey, catalog, features)
    with pytest.raises(FitError, match="no feature of CRM outcomes alone"):
        propose_rules(eight_decisions(), journey, rules, 2, CONFIG, np.random.default_rng(0))
