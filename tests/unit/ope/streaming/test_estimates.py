"""Estimates from sums equal those in memory, with buckets for contacts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.errors import LogError, OverlapError
from nurture_rl.ope.estimators import ValueEstimate, dm, dr, ips, snips
from nurture_rl.ope.log import EvaluationLog, FloatArray
from nurture_rl.ope.streaming.estimates import streamed_estimates
from nurture_rl.ope.streaming.moments import no_moments
from nurture_rl.ope.value_model import ValuePredictions
from nurture_rl.ope.weighting.self_normalised import sndr
from nurture_rl.ope.weighting.tuning import tuned_clipped_ips, tuned_dros, tuned_switch_dr
from tests.unit.ope.streaming.makers import BOTH, SMALL, by_bucket, decided, moments_of, some_model

# Hashes wrap around; where loops run uncompiled, the interpreter warns of it.
pytestmark = pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered in scalar")

MODEL = some_model(7)


def require_equal(found: ValueEstimate, expected: ValueEstimate) -> None:
    assert found.value == pytest.approx(expected.value, rel=1e-9)
    assert found.stderr == pytest.approx(expected.stderr, rel=1e-9)
    assert found.influence == pytest.approx(expected.influence, rel=1e-9, abs=1e-12)
    assert found.ess == pytest.approx(expected.ess, rel=1e-9)
    assert (found.n_episodes, found.n_clusters) == (expected.n_episodes, expected.n_clusters)


def in_memory(
    log: EvaluationLog, target: FloatArray
) -> tuple[EvaluationLog, FloatArray, ValuePredictions]:
    """What estimators in memory are told: buckets for contacts, and the same model's answers."""
    own, every = by_bucket(log, SMALL.n_buckets), np.arange(log.n_rows)
    fold = MODEL.fold[own.cluster]
    x = np.column_stack([np.ones(log.n_rows), log.features])
    q = np.einsum("nd,nda->na", x, MODEL.weights[fold])
    predictions = ValuePredictions(q[every, log.action], (target * q).sum(axis=1))
    return own, target[every, log.action], predictions


@pytest.mark.parametrize("compiled", BOTH)
def test_every_estimate_is_the_one_in_memory(compiled: bool) -> None:
    log, target = decided(0, 400, contacts=90)
    found = streamed_estimates(moments_of(log, target, MODEL, compiled=compiled))
    own, taken, model = in_memory(log, target)
    expected = {
        "ips": ips(own, taken),
        "snips": snips(own, taken),
        "dm": dm(own, model),
        "dr": dr(own, taken, model),
        "sndr": sndr(own, taken, model),
        "clipped_ips": tuned_clipped_ips(own, taken, SMALL.clips).estimate,
        "switch_dr": tuned_switch_dr(own, taken, model, SMALL.taus).estimate,
        "dros": tuned_dros(own, taken, model, SMALL.lams).estimate,
    }
    assert found.all().keys() == expected.keys()
    for name, estimate in expected.items():
        require_equal(found.all()[name], estimate)


@pytest.mark.parametrize("compiled", BOTH)
def test_tuned_families_choose_as_in_memory(compiled: bool) -> None:
    log, target = decided(0, 400, contacts=90)
    found = streamed_estimates(moments_of(log, target, MODEL, compiled=compiled))
    own, taken, model = in_memory(log, target)
    for name, expected in (
        ("clipped_ips", tuned_clipped_ips(own, taken, SMALL.clips)),
        ("switch_dr", tuned_switch_dr(own, taken, model, SMALL.taus)),
        ("dros", tuned_dros(own, taken, model, SMALL.lams)),
    ):
        assert found.tuned[name].parameter == expected.parameter
        assert found.tuned[name].considered == expected.considered
        require_equal(found.tuned[name].chosen, expected.chosen)


def test_a_family_without_a_grid_is_left_out() -> None:
    log, target = decided(1, 100)
    config = replace(SMALL, taus=())
    found = streamed_estimates(moments_of(log, target, some_model(7, config), config))
    assert sorted(found.tuned) == ["clipped_ips", "dros"]


@pytest.mark.parametrize("compiled", BOTH)
def test_nothing_summed_and_nothing_matched_are_refused(compiled: bool) -> None:
    with pytest.raises(LogError, match="no decision was summed"):
        streamed_estimates(no_moments(SMALL))
    log, _ = decided(2, 7)
    away = np.eye(3)[(log.action + 1) % 3]
    with pytest.raises(OverlapError, match="all 7 importance weights are 0"):
        streamed_estimates(moments_of(log, away, MODEL, compiled=compiled))
