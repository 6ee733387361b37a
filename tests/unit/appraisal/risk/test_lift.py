"""The shares of the lift sum to it, and are what unlocking a factor is worth."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from nurture_rl.appraisal.risk.factors import factors_of, hybrid
from nurture_rl.appraisal.risk.lift import ValueOf, decompose_lift, doubly_robust
from nurture_rl.errors import ShapeError
from nurture_rl.ope.clusters import clustered_stderr
from nurture_rl.ope.estimators import ValueEstimate, dr
from nurture_rl.ope.intervals import clustered_interval, paired_difference
from nurture_rl.ope.log import FloatArray
from nurture_rl.ope.value_model import ValueModelConfig, fit_value, value_design
from tests.unit.ope.log_makers import random_distribution, random_log

EIGHT = factors_of(
    {
        "routing": list("aaaabbbb"),
        "content": list("ccddccdd"),
        "timing": list("efefefef"),
    }
)


def policies(seed: int, rows: int) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    mask = np.ones((rows, 8), dtype=bool)
    return random_distribution(rng, mask), random_distribution(rng, mask)


def worth(weight: FloatArray) -> ValueOf:
    """A value that is linear in the probabilities, every row a contact."""

    def value_of(probabilities: FloatArray) -> ValueEstimate:
        per_contact = (probabilities * weight).sum(axis=1)
        value = float(per_contact.mean())
        influence = (per_contact - value) / per_contact.size
        count = per_contact.size
        return ValueEstimate(
            value, clustered_stderr(influence), count, count, float(count), influence
        )

    return value_of


def test_shares_and_ordered_shares_sum_to_the_lift() -> None:
    target, reference = policies(0, 30)
    value_of = worth(np.random.default_rng(1).normal(size=(30, 8)))
    found = decompose_lift(target, reference, EIGHT, value_of, 0.9)
    expected = paired_difference(value_of(target), value_of(reference), 0.9)
    assert found.total.value == pytest.approx(expected.value)
    assert found.total.stderr == pytest.approx(expected.stderr)
    assert sum(share.value for share in found.shares) == pytest.approx(expected.value)
    assert sum(share.ordered for share in found.shares) == pytest.approx(expected.value)
    influence = value_of(target).influence - value_of(reference).influence
    assert sum(share.influence for share in found.shares) == pytest.approx(influence)
    assert [share.name for share in found.shares] == ["routing", "content", "timing"]


def test_a_share_is_the_mean_gain_over_all_orders_of_unlocking() -> None:
    target, reference = policies(2, 20)
    value_of = worth(np.random.default_rng(3).normal(size=(20, 8)))
    found = decompose_lift(target, reference, EIGHT, value_of, 0.9)

    def estimate(open_factors: tuple[int, ...]) -> ValueEstimate:
        follows = tuple(j in open_factors for j in range(3))
        return value_of(hybrid(target, reference, EIGHT, follows))

    for j, share in enumerate(found.shares):
        gains, influences = [], []
        for order in permutations(range(3)):
            place = order.index(j)
            after, before = estimate(order[: place + 1]), estimate(order[:place])
            gains.append(after.value - before.value)
            influences.append(after.influence - before.influence)
        stderr = clustered_stderr(np.mean(influences, axis=0))
        assert share.value == pytest.approx(np.mean(gains))
        assert share.stderr == pytest.approx(stderr)
        assert share.interval == clustered_interval(share.value, share.stderr, 20, 0.9)
        after, before = estimate(tuple(range(j + 1))), estimate(tuple(range(j)))
        assert share.ordered == pytest.approx(after.value - before.value)
        ordered_stderr = clustered_stderr(after.influence - before.influence)
        assert share.ordered_stderr == pytest.approx(ordered_stderr)
        alone = estimate((j,)).value - estimate(()).value
        assert share.alone == pytest.approx(alone)


def test_where_only_one_factor_pays_it_earns_all_of_the_lift() -> None:
    target, reference = policies(4, 25)
    pays = np.tile(np.array([0.0] * 4 + [10.0] * 4), (25, 1))
    value_of = worth(pays)
    routing, content, timing = decompose_lift(target, reference, EIGHT, value_of, 0.9).shares
    total = 10.0 * (target - reference)[:, 4:].sum(axis=1).mean()
    assert routing.value == pytest.approx(total)
    assert routing.alone == pytest.approx(total)
    assert content.value == pytest.approx(0.0)
    assert timing.value == pytest.approx(0.0)
    assert content.stderr == pytest.approx(0.0, abs=1e-12)


def test_a_factor_of_one_level_earns_exactly_nothing() -> None:
    target, reference = policies(5, 25)
    with_offer = factors_of({"offer": ["only"] * 8, "all": [str(k) for k in range(8)]})
    value_of = worth(np.random.default_rng(6).normal(size=(25, 8)))
    offer, rest = decompose_lift(target, reference, with_offer, value_of, 0.9).shares
    assert (offer.value, offer.stderr) == (0.0, 0.0)
    assert rest.value == pytest.approx(rest.alone)


def test_no_hybrid_is_valued_twice_for_a_factor_that_decides_nothing() -> None:
    target, reference = policies(5, 25)
    levels = {"routing": list("aaaabbbb"), "offer": list("ccccdddd"), "slot": list("efghefgh")}
    asked = []

    def value_of(probabilities: FloatArray) -> ValueEstimate:
        asked.append(probabilities)
        return worth(np.random.default_rng(6).normal(size=(25, 8)))(probabilities)

    found = decompose_lift(target, reference, factors_of(levels), value_of, 0.9)
    assert len(asked) == 4
    assert found.shares[1].value == 0.0
    assert found.total.value == pytest.approx(value_of(target).value - value_of(reference).value)


def test_doubly_robust_values_on_a_log_sum_too() -> None:
    log = random_log(7, [2] * 20, n_actions=4)
    log = replace(log, mask=np.ones((40, 4), dtype=bool))
    rng = np.random.default_rng(8)
    target, reference = (random_distribution(rng, log.mask) for _ in range(2))
    design = value_design(log, np.random.default_rng(0), ValueModelConfig(n_folds=3))
    value_of = doubly_robust(log, design)
    taken = target[np.arange(40), log.action]
    expected = dr(log, taken, fit_value(design, target))
    assert value_of(target).influence == pytest.approx(expected.influence)
    factors = factors_of({"x": list("aabb"), "y": list("cdcd")})
    found = decompose_lift(target, reference, factors, value_of, 0.9)
    assert sum(share.value for share in found.shares) == pytest.approx(found.total.value)
    assert found.total.value == pytest.approx(expected.value - value_of(reference).value)


def test_too_many_factors_are_refused_before_any_work() -> None:
    many = factors_of({**{str(k): ["x"] * 8 for k in range(6)}, "all": list("abcdefgh")})
    target, reference = policies(9, 5)
    value_of = worth(np.ones((5, 8)))
    with pytest.raises(ShapeError, match="7 factors would need 128 policies"):
        decompose_lift(target, reference, many, value_of, 0.9)
    six = factors_of({**{str(k): ["x"] * 8 for k in range(5)}, "all": list("abcdefgh")})
    assert len(decompose_lift(target, reference, six, value_of, 0.9).shares) == 6
