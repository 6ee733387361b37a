"""Estimators are held against an unbiased one on contacts they have not seen."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.appraisal.selection.ocv import OcvConfig, select_by_cross_validation
from nurture_rl.errors import NurtureError
from nurture_rl.ope.estimators import dr, ips
from nurture_rl.ope.log import take_episodes
from nurture_rl.ope.suite import ESTIMATORS
from nurture_rl.ope.value_model import ValueModelConfig, fit_value, value_design
from tests.unit.appraisal.selection.question_makers import Spy, asked_log, constant, refuse

MODEL = ValueModelConfig(n_folds=3)


def test_one_split_by_hand() -> None:
    log, target = asked_log(0, 60, 2)
    config = OcvConfig(splits=1, share=0.4, value_model=MODEL)
    chosen = {"ips": ESTIMATORS["ips"], "none": constant(0.0)}
    found = select_by_cross_validation(log, {"t": target}, chosen, np.random.default_rng(7), config)
    rng = np.random.default_rng(7)
    # 12 of 30 contacts are asked.
    inside = np.isin(log.cluster, np.flatnonzero(rng.permutation(30) < 12))
    parts, rows = [], []
    for chosen_episodes in (inside, ~inside):
        part = take_episodes(log, np.flatnonzero(chosen_episodes))
        own = target[chosen_episodes[log.episode]]
        parts.append((part, value_design(part, rng, MODEL)))
        rows.append(own)
    (asked, _), (held_out, design) = parts
    value = ips(asked, rows[0][np.arange(asked.n_rows), asked.action])
    other = dr(
        held_out,
        rows[1][np.arange(held_out.n_rows), held_out.action],
        fit_value(design, rows[1]),
    )
    by_name = {score.name: score for score in found.ranking}
    bias = max((value.value - other.value) ** 2 - value.stderr**2 - other.stderr**2, 0.0)
    assert by_name["ips"].bias_squared == pytest.approx(bias)
    assert by_name["ips"].variance == pytest.approx(0.4 * value.stderr**2)
    assert by_name["none"].mse == pytest.approx(max(other.value**2 - other.stderr**2, 0.0))


def test_no_contact_is_in_both_parts_and_all_are_in_one() -> None:
    log, target = asked_log(1, 60, 2)
    spy = Spy()
    config = OcvConfig(splits=3, share=0.5, value_model=MODEL)
    rng = np.random.default_rng(0)
    select_by_cross_validation(log, {"t": target}, {"spy": spy}, rng, config)
    assert len(spy.asked) == 3
    for question in spy.asked:
        assert np.unique(question.log.cluster).size == 15
        assert question.log.n_episodes == 30
        assert question.target.probabilities.shape == (60, 3)
        assert (question.target.probabilities[~question.log.mask] == 0.0).all()


def test_bias_far_beyond_the_noise_is_found() -> None:
    log, target = asked_log(2, 400)
    taken = target[np.arange(400), log.action]
    truth = ips(log, taken).value
    config = OcvConfig(splits=6, value_model=MODEL)
    chosen = {"good": constant(truth, 0.01), "off": constant(truth + 5.0, 0.01)}
    found = select_by_cross_validation(log, {"t": target}, chosen, np.random.default_rng(0), config)
    assert found.name == "good"
    assert found.ranking[1].bias_squared == pytest.approx(25.0, rel=0.2)
    assert found.method == "ocv"


def test_an_estimator_that_refuses_is_not_ranked() -> None:
    log, target = asked_log(3, 60)
    config = OcvConfig(splits=2, value_model=MODEL)
    chosen = {"shy": refuse, "dm": ESTIMATORS["dm"]}
    found = select_by_cross_validation(log, {"t": target}, chosen, np.random.default_rng(0), config)
    assert found.name == "dm"
    assert "nothing to say of" in found.refusals["shy"]


def test_settings_out_of_range_are_refused() -> None:
    log, target = asked_log(4, 60)
    with pytest.raises(NurtureError, match="20 and 1"):
        select_by_cross_validation(
            log, {"t": target}, ESTIMATORS, np.random.default_rng(0), OcvConfig(share=1.0)
        )
