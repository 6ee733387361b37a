"""What is held and moves no decision is unbound; what moves some is told how many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from nurture_envs.features import FeatureSpec
from nurture_rl.appraisal.action_sensitivity import action_sensitivities
from nurture_rl.appraisal.column_sources import column_sources
from nurture_rl.policies.held_columns import HeldColumns, usual_values, with_held
from nurture_rl.policies.policy import BoolArray, FeatureArray, FloatArray, Spec
from tests.unit.features.small_journey import shop_journey


@dataclass(frozen=True)
class Leaning:
    """Takes the second action with a chance that the first column says."""

    def action_probabilities(self, features: FeatureArray, mask: BoolArray) -> FloatArray:
        second = np.where(mask[:, 1], features[:, 0].astype(float), 0.0)
        return np.stack([1.0 - second, second], axis=1)

    def spec(self) -> Spec:
        return {"kind": "leaning"}


FEATURES = np.array([[0.2, 5, 7], [0.2, 6, 7], [0.9, 1, 7], [0.9, 2, 7], [0.6, 3, 7]], np.float32)
MASK = np.array([[True, True]] * 4 + [[True, False]])
USUAL = {0: 0.2, 1: 3.0, 2: 7.0}


def test_decisions_that_would_be_others_are_counted_where_there_is_a_choice() -> None:
    groups = {"read": [0], "unread": [1], "constant": [2], "all": [0, 1, 2]}
    found = action_sensitivities(Leaning(), FEATURES, MASK, groups, USUAL)
    assert found["read"].changed == 2 / 4
    assert found["read"].moved == pytest.approx(2 * 0.7 / 4)
    assert found["all"] == found["read"]
    assert [name for name, one in found.items() if not one.bound] == ["unread", "constant"]
    assert (found["constant"].changed, found["constant"].moved) == (0.0, 0.0)


def test_without_a_choice_nothing_changes() -> None:
    only = np.array([[True, False]] * 5)
    found = action_sensitivities(Leaning(), FEATURES, only, {"read": [0]}, USUAL)
    assert not found["read"].bound


def test_usual_values_are_values_of_the_column_and_hold_a_constant() -> None:
    assert usual_values(FEATURES[:4]) == {0: pytest.approx(0.2), 1: 2.0, 2: 7.0}
    rng = np.random.default_rng(3)
    some = rng.poisson(0.4, (1000, 4)).astype(np.float32)
    some[:, 2] = 0.3
    assert usual_values(some)[2] == np.float32(0.3)
    assert np.array_equal(with_held(some, {2: usual_values(some)[2]}), some)


def test_a_policy_that_is_shown_held_columns_reads_the_others() -> None:
    blind = HeldColumns(Leaning(), {0: 0.2})
    assert (blind.action_probabilities(FEATURES, MASK)[:4, 1] == np.float32(0.2)).all()
    assert FEATURES[2, 0] == np.float32(0.9)  # what was given stays as it was
    aside = HeldColumns(Leaning(), {1: 0.0})
    as_it_is = Leaning().action_probabilities(FEATURES, MASK)
    assert np.array_equal(aside.action_probabilities(FEATURES, MASK), as_it_is)
    assert blind.spec() == {"kind": "leaning"}


def test_columns_belong_to_every_source_that_they_read() -> None:
    journey = shop_journey(
        {
            "bin": {"kind": "calendar", "part": "bin"},
            "stage": {"kind": "stage"},
            "plan": {"kind": "attribute", "levels": ["free", "team"]},
            "views": {"kind": "count", "of": ["viewed"], "window": 3},
            "rate": {"kind": "ratio", "of": ["clicked", "viewed"], "over": ["sent"], "window": 6},
            "sends": {"kind": "memory", "of": ["sent"], "window": 2},
            "unanswered": {"kind": "streak", "of": ["sent"], "until": ["objected"], "window": 3},
            "spent": {"kind": "count", "of": ["bought.value"], "window": 4},
        }
    )
    found = column_sources(journey)
    assert found == {
        "mail": ("rate", "unanswered"),
        "web": ("views", "rate"),
        "CRM": ("stage=warm", "stage=hot"),
        "attributes": ("plan=free", "plan=team"),
    }  # what was bought is no source's, and no feature reads the product
    assert set().union(*found.values()) <= set(FeatureSpec.of(journey).columns)
