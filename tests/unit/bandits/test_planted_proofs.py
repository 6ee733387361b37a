"""Factored learners find that one industry values a proof, and that a topic goes with a proof.

A log of 8,000 sends to four industries, answered by one in ten. Planted are ten points for case
studies in one industry and ten for numbers with one topic. Each is asked for beside all others of
its kind, twelve effects, so that in a log with none of a kind one of them passes at 5 %.
"""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from nurture_rl.bandits.linear_thompson import LinearThompsonConfig, fit_linear_thompson
from nurture_rl.bandits.returns_fit import fit_returns
from tests.unit.bandits.planted_hours import PROOFS, TOPICS
from tests.unit.bandits.planted_log import silent
from tests.unit.bandits.planted_proofs import (
    INDUSTRIES,
    PAIR,
    PROVEN,
    SEGMENT,
    VALUED,
    ProofLog,
    marks,
)

FloatArray = NDArray[np.float64]
Found = tuple[float, float]  # posterior mean of an effect and its z-score

BOUND = float(norm.isf(0.05 / (2 * 12)))  # of one |z| of twelve, 2.87
SEEDS = range(20)
PLANTED = 0.1


@cache
def effects(seed: int, segment: float, pair: float) -> tuple[dict[str, Found], dict[str, Found]]:
    """What each proof adds in each industry, and each topic with each proof.

    An effect is a difference of differences: of a proof over the other proofs, here over elsewhere.
    """
    log = ProofLog(seed, segment, pair).log()
    fit = fit_returns(log, None, 64, np.random.default_rng(0), "factors")
    draws = fit.posterior.coefficients(1000, np.random.default_rng(1))
    maps = fit.posterior.maps(draws)
    slopes = maps[:, 1 : 1 + len(INDUSTRIES)] / fit.moments.scale[: len(INDUSTRIES), None]
    sends = PROVEN.routed("send")

    def over(table: FloatArray, level: NDArray[np.bool_]) -> FloatArray:
        return np.asarray(table[level & sends].mean(axis=0) - table[~level & sends].mean(axis=0))

    here = np.eye(len(INDUSTRIES)) * 4.0 / 3.0 - 1.0 / 3.0  # an industry less the mean of others
    of_segment = {
        f"{proof} {industry}": here[place] @ over(slopes, marks("proof", proof))
        for proof, (place, industry) in product(PROOFS, enumerate(INDUSTRIES))
    }
    of_pair = {}
    for topic, proof in product(TOPICS, PROOFS):
        about, proven = marks("topic", topic), marks("proof", proof)
        inside = maps[about & proven, 0].mean(axis=0) - maps[about & ~proven, 0].mean(axis=0)
        others = sends & ~about
        outside = maps[others & proven, 0].mean(axis=0) - maps[others & ~proven, 0].mean(axis=0)
        of_pair[f"{topic} {proof}"] = inside - outside
    return _found(of_segment), _found(of_pair)


def _found(draws: dict[str, FloatArray]) -> dict[str, Found]:
    return {name: (float(one.mean()), float(one.mean() / one.std())) for name, one in draws.items()}


def passing(found: dict[str, Found]) -> list[str]:
    """Effects whose z-score is beyond the bound, the largest first."""
    order = sorted(found, key=lambda name: -abs(found[name][1]))
    return [name for name in order if abs(found[name][1]) > BOUND]


IN_SEGMENT, TOGETHER = f"{VALUED} {SEGMENT}", " ".join(PAIR)


@pytest.mark.slow
def test_a_proof_that_one_industry_values_and_a_pair_are_both_found() -> None:
    logs = [effects(seed, PLANTED, PLANTED) for seed in SEEDS]
    # The planted one is the clearest of its kind wherever any passes.
    first = [(passing(segment)[:1], passing(pair)[:1]) for segment, pair in logs]
    assert sum(segment == [IN_SEGMENT] for segment, _ in first) >= 15  # 17 as it is
    assert sum(pair == [TOGETHER] for _, pair in first) >= 17  # 19 as it is
    left = np.mean([(segment[IN_SEGMENT][0], pair[TOGETHER][0]) for segment, pair in logs], axis=0)
    assert left / PLANTED == pytest.approx([0.6, 0.85], abs=0.15)  # what shrinking leaves


@pytest.mark.slow
def test_neither_is_found_where_it_is_not_planted() -> None:  # negative control
    alone, other, none = (
        [effects(seed, *planted) for seed in SEEDS]
        for planted in ((PLANTED, 0.0), (0.0, PLANTED), (0.0, 0.0))
    )
    # 1 of 20 expected at 5 %; 4 or more have a chance of 1.6 %. None as it is.
    for logs, kind in ((alone, 1), (other, 0), (none, 0), (none, 1)):
        assert sum(bool(passing(found[kind])) for found in logs) <= 3


def share_of_valued(seed: int, segment: float) -> FloatArray:
    """What the policy gives to the proof that one industry values, in each industry, [4]."""
    config = LinearThompsonConfig(design="factors")
    policy = fit_linear_thompson(ProofLog(seed, segment).log(), config, 0, silent)
    features = np.column_stack([np.eye(len(INDUSTRIES)), np.zeros(len(INDUSTRIES))])
    mask = np.tile(PROVEN.routed("send"), (len(features), 1))
    table = policy.action_probabilities(features.astype(np.float32), mask)
    return np.asarray(table[:, marks("proof", VALUED)].sum(axis=1))


@pytest.mark.slow
def test_the_policy_gives_the_proof_to_the_industry_that_values_it() -> None:
    place = INDUSTRIES.index(SEGMENT)

    def more(segment: float) -> FloatArray:
        shares = np.array([share_of_valued(seed, segment) for seed in SEEDS])
        return np.asarray(shares[:, place] - np.delete(shares, place, axis=1).mean(axis=1))

    planted, none = more(PLANTED), more(0.0)
    assert (planted > 0.25).sum() >= 18  # 20 as it is, 0.6 in the mean
    assert (np.abs(none) > 0.25).sum() <= 3  # negative control; 1 as it is
