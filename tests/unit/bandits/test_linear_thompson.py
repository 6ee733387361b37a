"""The Thompson policy: truth recovered, probabilities checked against closed forms."""

from __future__ import annotations

from math import erf, sqrt

import numpy as np
import pytest

from nurture_envs.actions import ActionCatalog
from nurture_rl.bandits.linear_thompson import LinearThompsonConfig, fit_linear_thompson
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.training_log import TrainingLog
from nurture_rl.policies.build import build_policy
from nurture_rl.policies.policy import check_probabilities
from tests.unit.policies.planted_journeys import INBOUND, changed, context_of

CATALOG = ActionCatalog.of(INBOUND)
TWO = ActionCatalog.of(
    changed(
        messages={"welcome": INBOUND.resolved["messages"]["welcome"]},
        actions={"slots": [9], "pauses": [1]},
        drip={},
        rules=[],
        expert=[],
    )
)
SEND, ESCALATE = CATALOG.index("send:security_brief@09"), CATALOG.index("escalate")


def phi(z: float) -> float:
    return 0.5 * (1.0 + erf(z / sqrt(2.0)))


class Planted:
    """Contacts with 4 decisions each; the brief is worth 4 EUR, escalating 6 EUR per x_1 > 0."""

    def __init__(self, n: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.features = rng.normal(size=(n, 3)).astype(np.float32)
        self.mask = rng.random((n, len(CATALOG))) < 0.8
        self.mask[:, CATALOG.wait] = True
        draws = np.where(self.mask, rng.random(self.mask.shape), -1.0)
        self.action = draws.argmax(axis=1)
        self.returns = 20.0 + 5.0 * self.features[:, 0] + 4.0 * (self.action == SEND)
        self.returns = self.returns + 6.0 * self.features[:, 1] * (self.action == ESCALATE)
        self.returns = (self.returns + rng.normal(0.0, 6.0, n)).astype(np.float64)
        self.cluster = np.arange(n) // 4

    def log(self) -> TrainingLog:
        n = self.action.size
        return TrainingLog(
            catalog=CATALOG,
            columns=("x0", "x1", "x2"),
            features=self.features,
            mask=self.mask,
            action=self.action,
            reward=self.returns,
            returns=self.returns,
            propensity=np.full(n, np.nan),
            episode=np.arange(n),
            step=np.zeros(n, np.int64),
            cluster=self.cluster,
            discount=0.0,
        )

    def fit(self, config: LinearThompsonConfig, seed: int = 0) -> ScoredPolicy:
        return fit_linear_thompson(self.log(), config, seed, silent)


def silent(step: int, numbers: dict[str, float]) -> None:
    """Nobody is told."""


@pytest.fixture(scope="module")
def learned() -> ScoredPolicy:
    return Planted(12_000, seed=3).fit(LinearThompsonConfig())


def test_the_planted_coefficients_are_recovered(learned: ScoredPolicy) -> None:
    maps = learned.module.maps.mean(dim=0).numpy()  # [a, 1 + 3]
    # Features have mean 0 and deviation 1, so the maps are those of the plain features.
    others = [a for a in range(len(CATALOG)) if a not in (SEND, ESCALATE)]
    assert maps[SEND, 0] - maps[others, 0].mean() == pytest.approx(4.0, abs=1.0)
    assert maps[ESCALATE, 2] - maps[others, 2].mean() == pytest.approx(6.0, abs=1.0)
    assert maps[:, 1].mean() == pytest.approx(5.0, abs=0.3)
    assert learned.fit["noise"] == pytest.approx(36.0, rel=0.05)
    assert learned.fit["clusters"] == 3000


def test_the_planted_best_action_is_taken(learned: ScoredPolicy) -> None:
    x = np.array([[0.0, -1.0, 0.0], [0.0, 2.0, 0.0]], np.float32)
    rows = learned.action_probabilities(x, np.ones((2, len(CATALOG)), np.bool_))
    assert rows[0, SEND] > 0.9
    assert rows[1, ESCALATE] > 0.9


def test_the_best_legal_action_takes_over_from_a_masked_one(
    learned: ScoredPolicy,
) -> None:
    mask = np.ones((1, len(CATALOG)), np.bool_)
    mask[0, ESCALATE] = False
    row = learned.action_probabilities(np.array([[0.0, 2.0, 0.0]], np.float32), mask)[0]
    assert row[ESCALATE] == 0.0
    assert row.argmax() == SEND


def test_probabilities_are_distributions_with_the_floor(learned: ScoredPolicy) -> None:
    rows = Planted(700, seed=5)  # more rows than one chunk
    probabilities = learned.action_probabilities(rows.features, rows.mask)
    check_probabilities(probabilities, rows.mask)
    assert probabilities[rows.mask].min() >= 0.002
    assert (probabilities[~rows.mask] == 0.0).all()
    k = rows.mask.sum(axis=1)
    assert probabilities.max(axis=1) == pytest.approx(probabilities.max(axis=1).clip(0, 1))
    assert (probabilities.max(axis=1) <= 1.0 - (k - 1) * 0.002 + 1e-12).all()


def test_a_row_alone_gets_the_probabilities_it_has_in_a_batch(
    learned: ScoredPolicy,
) -> None:
    rows = Planted(700, seed=6)
    batch = learned.action_probabilities(rows.features, rows.mask)
    again = learned.action_probabilities(rows.features, rows.mask)
    assert np.array_equal(batch, again)
    for i in (0, 350, 699):
        alone = learned.action_probabilities(rows.features[i : i + 1], rows.mask[i : i + 1])
        assert alone[0] == pytest.approx(batch[i], abs=1e-12)


def test_a_fitted_pair_of_arms_splits_as_its_closed_form_posterior() -> None:
    # One constant feature: a two-sample comparison with known noise. With a weak prior the
    # difference of the arms' values is N(mean_1 - mean_0, noise (1/n_0 + 1/n_1)).
    rng = np.random.default_rng(13)
    n, draws = 4000, 20_000
    action = rng.integers(0, 2, n)
    returns = rng.normal(0.0, 3.0, n)
    for arm, mean in enumerate((50.1, 50.0)):
        returns[action == arm] += mean - returns[action == arm].mean()
    log = TrainingLog(
        catalog=TWO,
        columns=("constant",),
        features=np.zeros((n, 1), np.float32),
        mask=np.ones((n, 2), np.bool_),
        action=action,
        reward=returns,
        returns=returns,
        propensity=np.full(n, 0.5),
        episode=np.arange(n),
        step=np.zeros(n, np.int64),
        cluster=np.arange(n),
        discount=0.0,
    )
    config = LinearThompsonConfig(draws=draws, floor=0.0, ridge=1e-6, multipliers=4096)
    policy = fit_linear_thompson(log, config, 13, silent)
    counts = np.bincount(action)
    truth = phi(0.1 / sqrt(9.0 * (1.0 / counts[0] + 1.0 / counts[1])))
    rows = policy.action_probabilities(np.zeros((1, 1), np.float32), np.ones((1, 2), np.bool_))
    assert truth == pytest.approx(0.854, abs=0.001)
    # Monte Carlo 4 x 0.003, and 5 % either way of the estimated standard error.
    assert abs(rows[0, 0] - truth) < 0.025


def test_forced_rows_teach_nothing() -> None:
    rows = Planted(2000, seed=14)
    plain = rows.fit(LinearThompsonConfig(draws=4))
    rows.mask = np.vstack([rows.mask, np.eye(len(CATALOG), dtype=np.bool_)[[CATALOG.wait] * 500]])
    rows.features = np.vstack([rows.features, np.full((500, 3), 9.0, np.float32)])
    rows.action = np.r_[rows.action, np.full(500, CATALOG.wait)]
    rows.returns = np.r_[rows.returns, np.full(500, 1e4)]
    rows.cluster = np.r_[rows.cluster, np.full(500, 10**6)]
    assert np.array_equal(rows.fit(LinearThompsonConfig(draws=4)).module.maps, plain.module.maps)


def test_the_same_seed_gives_the_same_policy_and_another_another() -> None:
    rows = Planted(1000, seed=15)
    config = LinearThompsonConfig(draws=4)
    first, second, other = rows.fit(config, 1), rows.fit(config, 1), rows.fit(config, 2)
    assert np.array_equal(first.module.maps, second.module.maps)
    assert not np.array_equal(first.module.maps, other.module.maps)


def test_a_learned_policy_is_found_by_its_name_in_a_description(
    learned: ScoredPolicy,
) -> None:
    context = context_of(INBOUND, {"core": learned}.__getitem__)
    assert build_policy(learned.spec(), context) is learned
