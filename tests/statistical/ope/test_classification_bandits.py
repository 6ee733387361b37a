"""Classification sets as bandits: the whole distribution of every estimator is a finite sum.

An action is a label, and the right one pays 1. With contexts and labels given, only actions are
random, so an estimate that is a mean of scores s_i(a) has

    mean = 1/n sum_i sum_a logging_i(a) s_i(a),    n^2 variance = sum_i Var_a[s_i(a)]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from nurture_rl.ope.estimators import ValueEstimate, dm, dr, ips, snips
from nurture_rl.ope.log import EvaluationLog, FloatArray, IntArray, evaluation_log
from nurture_rl.ope.value_model import ValuePredictions
from nurture_rl.ope.weighting.mips import mips
from nurture_rl.ope.weighting.self_normalised import sndr
from nurture_rl.ope.weighting.shrinking import clipped_ips, dros, switch_dr

datasets = pytest.importorskip("sklearn.datasets")

REDRAWS = 2000


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Fixed contexts with the chances of both policies, the rewards and a model's guess."""

    logging: FloatArray  # [n, a]
    target: FloatArray  # [n, a]
    reward: FloatArray  # of every action, [n, a]
    q: FloatArray  # [n, a]

    @property
    def truth(self) -> float:
        """The target's value."""
        return float((self.target * self.reward).sum(axis=1).mean())


def problem(name: str) -> Problem:
    """At most 200 rows of a set; the target finds the right label more often than the log did."""
    features, label = getattr(datasets, f"load_{name}")(return_X_y=True)
    rng = np.random.default_rng(len(name))
    kept = rng.permutation(label.size)[:200]
    x = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-9)
    x, a = x[kept] / np.sqrt(x.shape[1]), int(label.max()) + 1
    right = np.eye(a)[label[kept]]
    logging, target = (
        softmax(x @ rng.normal(size=(x.shape[1], a)) + lift * right) for lift in (0.3, 1.2)
    )
    logging = 0.7 * logging + 0.3 / a  # no weight above 1 / (0.3 / a): variances settle in time
    q = np.clip(0.6 * right + 0.1 + 0.15 * rng.normal(size=right.shape), 0.0, 1.0)
    return Problem(logging, target, right, q)


def softmax(scores: FloatArray) -> FloatArray:
    raw = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(raw / raw.sum(axis=1, keepdims=True), dtype=np.float64)


def base_log(given: Problem) -> EvaluationLog:
    n, a = given.logging.shape
    return evaluation_log(
        features=np.zeros((n, 1)),
        mask=np.ones((n, a)),
        action=np.zeros(n),
        propensity=given.logging[:, 0],
        logged_probabilities=given.logging,
        reward=np.zeros(n),
        episode=np.arange(n),
        step=np.zeros(n),
        cluster=np.arange(n),
        terminal=np.ones(n),
        action_factors=np.eye(a),
        discount=1.0,
        unit="hits",
    )


Asked = Callable[[EvaluationLog, FloatArray, ValuePredictions], ValueEstimate]


def scores(given: Problem) -> dict[str, FloatArray]:
    """s_i(a) of the estimators that are means of scores, [n, a]."""
    w = given.target / given.logging
    v = (given.target * given.q).sum(axis=1, keepdims=True)
    residual = given.reward - given.q
    return {
        "ips": w * given.reward,
        "clipped_ips": np.minimum(w, 1.5) * given.reward,
        "dm": np.broadcast_to(v, w.shape),
        "dr": v + w * residual,
        "switch_dr": v + np.where(w <= 1.5, w, 0.0) * residual,
        "dros": v + 2.0 * w / (w**2 + 2.0) * residual,
    }


ASKED: dict[str, Asked] = {
    "ips": lambda log, taken, model: ips(log, taken),
    "clipped_ips": lambda log, taken, model: clipped_ips(log, taken, 1.5),
    "dm": lambda log, taken, model: dm(log, model),
    "dr": dr,
    "switch_dr": lambda log, taken, model: switch_dr(log, taken, model, 1.5),
    "dros": lambda log, taken, model: dros(log, taken, model, 2.0),
    "snips": lambda log, taken, model: snips(log, taken),
    "sndr": sndr,
}


def redrawn(given: Problem, seed: int) -> dict[str, FloatArray]:
    """Every estimator's value in each redraw of the actions, [REDRAWS]."""
    rng, log = np.random.default_rng(seed), base_log(given)
    n, a = given.logging.shape
    below, every = given.logging.cumsum(axis=1), np.arange(n)
    value = (given.target * given.q).sum(axis=1)
    found: dict[str, list[float]] = {name: [] for name in ASKED}
    for _ in range(REDRAWS):
        action: IntArray = (rng.random((n, 1)) > below).sum(axis=1).clip(max=a - 1)
        drawn = replace(
            log,
            action=action,
            propensity=given.logging[every, action],
            reward=given.reward[every, action],
        )
        model = ValuePredictions(given.q[every, action], value)
        taken = given.target[every, action]
        for name, asked in ASKED.items():
            found[name].append(asked(drawn, taken, model).value)
    return {name: np.array(values) for name, values in found.items()}


@pytest.mark.parametrize("name", ["digits", "wine", "breast_cancer", "iris"])
def test_every_estimator_has_its_exact_mean_and_variance(name: str) -> None:
    given = problem(name)
    found, n = redrawn(given, seed=0), len(given.logging)
    for which, s in scores(given).items():
        mean = (given.logging * s).sum(axis=1)
        variance = float(((given.logging * s**2).sum(axis=1) - mean**2).sum()) / n**2
        values = found[which]
        if which in ("ips", "dr"):
            assert mean.mean() == pytest.approx(given.truth)
        error = values.mean() - mean.mean()
        assert abs(error) < 4 * np.sqrt(max(variance, 1e-24) / REDRAWS), which
        if which != "dm":
            assert 0.9 < values.var() / variance < 1.1, which
    _require_delta_variance(given, found)


def _require_delta_variance(given: Problem, found: dict[str, FloatArray]) -> None:
    """Self-normalised estimators: mean and variance of the linearised ratio."""
    w, n = given.target / given.logging, len(given.logging)
    for which, gain in (("snips", given.reward), ("sndr", given.reward - given.q)):
        ratio = float((given.logging * w * gain).sum() / n)
        s = w * (gain - ratio)
        mean = (given.logging * s).sum(axis=1)
        variance = float(((given.logging * s**2).sum(axis=1) - mean**2).sum()) / n**2
        error = found[which].mean() - given.truth
        # The bias of a ratio is of the order of its variance.
        assert abs(error) < 4 * np.sqrt(variance / REDRAWS) + 2 * variance / given.truth, which
        assert 0.85 < found[which].var() / variance < 1.15, which


def test_a_model_that_is_right_leaves_dr_no_variance_where_rewards_have_none() -> None:
    """n Var(DR) = Var_x[V(x)] + E[w^2 Var(r|x,a)]: both are 0 here, contexts being fixed."""
    given = problem("iris")
    right = replace(given, q=given.reward)
    assert redrawn(right, seed=1)["dr"].std() == pytest.approx(0.0, abs=1e-12)


def test_shrinkage_has_less_variance_and_the_bias_it_admits() -> None:
    given = problem("digits")
    found = redrawn(given, seed=2)
    assert found["clipped_ips"].var() < found["ips"].var()
    assert found["switch_dr"].var() < found["dr"].var()
    assert found["dros"].var() < found["dr"].var()
    # Clipping rewards >= 0 errs downwards.
    assert found["clipped_ips"].mean() < given.truth - 4 * found["clipped_ips"].std() / np.sqrt(
        REDRAWS
    )


def test_mips_has_its_exact_mean_and_variance_where_groups_pay_alike() -> None:
    given = problem("digits")
    groups = np.arange(10) // 5
    member = np.eye(2)[groups]
    # A group pays 1 where it holds the right label.
    paid = (given.reward @ member) @ member.T
    given = replace(given, reward=paid)
    log, rng = base_log(given), np.random.default_rng(3)
    n, every = len(paid), np.arange(len(paid))
    w = ((given.target @ member) / (given.logging @ member)) @ member.T
    s = w * paid
    mean = (given.logging * s).sum(axis=1)
    variance = float(((given.logging * s**2).sum(axis=1) - mean**2).sum()) / n**2
    values = []
    for _ in range(REDRAWS):
        action = (rng.random((n, 1)) > given.logging.cumsum(axis=1)).sum(axis=1).clip(max=9)
        drawn = replace(
            log,
            action=action,
            propensity=given.logging[every, action],
            reward=paid[every, action],
        )
        values.append(mips(drawn, given.target, groups).value)
    assert mean.mean() == pytest.approx(given.truth)
    assert abs(np.mean(values) - given.truth) < 4 * np.sqrt(variance / REDRAWS)
    assert 0.9 < np.var(values) / variance < 1.1
