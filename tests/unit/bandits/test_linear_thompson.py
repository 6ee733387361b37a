"""The Thompson policy: truth recovered, probabilities checked against closed forms, files."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from math import erf, sqrt
from pathlib import Path

import numpy as np
import pytest
from nurture_rl.bandits.linear_thompson_files import load_linear_thompson, save_linear_thompson

from nurture_envs.actions import ActionCatalog
from nurture_rl.bandits.linear_thompson import (
    LinearThompsonConfig,
    LinearThompsonFit,
    LinearThompsonPolicy,
    fit_linear_thompson,
    vote_shares,
)
from nurture_rl.errors import ActionError, BundleError, FitError, ShapeError
from nurture_rl.policies.build import build_policy
from nurture_rl.policies.policy import FloatArray, PolicyError, check_probabilities
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
FIT = LinearThompsonFit(100, 50, 1.0, 1.0, 1.0, 1.0, 1.0)
SEND, ESCALATE = CATALOG.index("send:security_brief@09"), CATALOG.index("escalate")


def policy_of(scores: FloatArray, floor: float = 0.0) -> LinearThompsonPolicy:
    """A policy on unstandardised features with the given draws, [M, a, d + 1]."""
    d = scores.shape[2] - 1
    return LinearThompsonPolicy("t", "hash", scores, np.zeros(d), np.ones(d), floor, FIT)


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

    def fit(self, config: LinearThompsonConfig, seed: int = 0) -> LinearThompsonPolicy:
        return fit_linear_thompson(
            self.features,
            self.mask,
            self.action,
            self.returns,
            self.cluster,
            CATALOG,
            np.random.default_rng(seed),
            config,
        )


@pytest.fixture(scope="module")
def learned() -> LinearThompsonPolicy:
    return Planted(12_000, seed=3).fit(LinearThompsonConfig())


def test_the_planted_coefficients_are_recovered(learned: LinearThompsonPolicy) -> None:
    maps = learned.scores.mean(axis=0)  # [a, 1 + 3]; features have mean 0 and deviation 1
    others = [a for a in range(len(CATALOG)) if a not in (SEND, ESCALATE)]
    assert maps[SEND, 0] - maps[others, 0].mean() == pytest.approx(4.0, abs=1.0)
    assert maps[ESCALATE, 2] - maps[others, 2].mean() == pytest.approx(6.0, abs=1.0)
    assert maps[:, 1].mean() == pytest.approx(5.0, abs=0.3)
    assert learned.fit.noise == pytest.approx(36.0, rel=0.05)
    assert learned.fit.clusters == 3000


def test_the_planted_best_action_is_taken(learned: LinearThompsonPolicy) -> None:
    x = np.array([[0.0, -1.0, 0.0], [0.0, 2.0, 0.0]], np.float32)
    rows = learned.action_probabilities(x, np.ones((2, len(CATALOG)), np.bool_))
    assert rows[0, SEND] > 0.9
    assert rows[1, ESCALATE] > 0.9


def test_the_best_legal_action_takes_over_from_a_masked_one(
    learned: LinearThompsonPolicy,
) -> None:
    mask = np.ones((1, len(CATALOG)), np.bool_)
    mask[0, ESCALATE] = False
    row = learned.action_probabilities(np.array([[0.0, 2.0, 0.0]], np.float32), mask)[0]
    assert row[ESCALATE] == 0.0
    assert row.argmax() == SEND


def test_probabilities_are_distributions_with_the_floor(learned: LinearThompsonPolicy) -> None:
    rows = Planted(700, seed=5)  # more rows than one chunk
    probabilities = learned.action_probabilities(rows.features, rows.mask)
    check_probabilities(probabilities, rows.mask)
    assert probabilities[rows.mask].min() >= 0.002
    assert (probabilities[~rows.mask] == 0.0).all()
    k = rows.mask.sum(axis=1)
    assert probabilities.max(axis=1) == pytest.approx(probabilities.max(axis=1).clip(0, 1))
    assert (probabilities.max(axis=1) <= 1.0 - (k - 1) * 0.002 + 1e-12).all()


def test_a_row_alone_gets_the_probabilities_it_has_in_a_batch(
    learned: LinearThompsonPolicy,
) -> None:
    rows = Planted(700, seed=6)
    batch = learned.action_probabilities(rows.features, rows.mask)
    again = learned.action_probabilities(rows.features, rows.mask)
    assert np.array_equal(batch, again)
    for i in (0, 350, 699):
        alone = learned.action_probabilities(rows.features[i : i + 1], rows.mask[i : i + 1])
        assert alone[0] == pytest.approx(batch[i], abs=1e-12)


def test_two_actions_split_as_the_normal_distribution_says() -> None:
    # Score of action 0 is N(1, 2^2) + x N(0.5, 1), of action 1 exactly 0: at x = 2 the
    # difference is N(2, 8), so action 0 is best with probability Phi(2 / sqrt(8)).
    rng = np.random.default_rng(12)
    draws = 20_000
    scores = np.zeros((draws, 2, 2))
    scores[:, 0, 0] = rng.normal(1.0, 2.0, draws)
    scores[:, 0, 1] = rng.normal(0.5, 1.0, draws)
    rows = policy_of(scores).action_probabilities(
        np.array([[2.0]], np.float32), np.ones((1, 2), np.bool_)
    )
    truth = phi(2.0 / sqrt(8.0))
    assert abs(rows[0, 0] - truth) < 4.0 * sqrt(truth * (1 - truth) / draws)


def test_a_fitted_pair_of_arms_splits_as_its_closed_form_posterior() -> None:
    # One constant feature: a two-sample comparison with known noise. With a weak prior the
    # difference of the arms' values is N(mean_1 - mean_0, noise (1/n_0 + 1/n_1)).
    rng = np.random.default_rng(13)
    n, draws = 4000, 20_000
    action = rng.integers(0, 2, n)
    returns = rng.normal(0.0, 3.0, n)
    for arm, mean in enumerate((50.1, 50.0)):
        returns[action == arm] += mean - returns[action == arm].mean()
    policy = fit_linear_thompson(
        np.zeros((n, 1), np.float32),
        np.ones((n, 2), np.bool_),
        action,
        returns,
        np.arange(n),
        TWO,
        rng,
        LinearThompsonConfig(draws=draws, floor=0.0, ridge=1e-6, multipliers=4096),
    )
    counts = np.bincount(action)
    truth = phi(0.1 / sqrt(9.0 * (1.0 / counts[0] + 1.0 / counts[1])))
    rows = policy.action_probabilities(np.zeros((1, 1), np.float32), np.ones((1, 2), np.bool_))
    assert truth == pytest.approx(0.854, abs=0.001)
    # Monte Carlo 4 x 0.003, and 5 % either way of the estimated standard error.
    assert abs(rows[0, 0] - truth) < 0.025


def test_a_row_larger_than_the_room_for_scores_is_scored_alone() -> None:
    policy = policy_of(np.zeros((1 << 20, 2, 2)))  # 16 MiB of scores a row

    def most_bytes(n: int) -> int:
        tracemalloc.start()
        policy.action_probabilities(np.zeros((n, 1), np.float32), np.ones((n, 2), np.bool_))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert most_bytes(4) < 1.3 * most_bytes(1)


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_scores_that_differ_in_their_last_bits_are_ties_in_any_unit(size: float) -> None:
    scores = np.full((1, 3, 1), size)
    scores[0, 1] = np.nextafter(size, 0.0)
    scores[0, 2] = size * (1.0 - 1e-5)
    assert vote_shares(scores, np.ones((1, 3), np.bool_)).tolist() == [[0.5, 0.5, 0.0]]


def test_ties_are_split_evenly_among_the_legal() -> None:
    scores = np.zeros((1, 3, 4))
    scores[0, 2] = 5.0
    shares = vote_shares(scores, np.array([[True, True, False]]))
    assert shares.tolist() == [[0.5, 0.5, 0.0]]


def test_votes_are_counted_by_hand() -> None:
    scores = np.array([[[1.0, 4.0, 0.0, 2.0], [3.0, 1.0, -1.0, 9.0]]])  # [1, 2 actions, 4 draws]
    assert vote_shares(scores, np.ones((1, 2), np.bool_)).tolist() == [[0.5, 0.5]]
    assert vote_shares(scores[:, :, 1:3], np.ones((1, 2), np.bool_)).tolist() == [[1.0, 0.0]]


def test_forced_rows_teach_nothing() -> None:
    rows = Planted(2000, seed=14)
    plain = rows.fit(LinearThompsonConfig(draws=4))
    rows.mask = np.vstack([rows.mask, np.eye(len(CATALOG), dtype=np.bool_)[[CATALOG.wait] * 500]])
    rows.features = np.vstack([rows.features, np.full((500, 3), 9.0, np.float32)])
    rows.action = np.r_[rows.action, np.full(500, CATALOG.wait)]
    rows.returns = np.r_[rows.returns, np.full(500, 1e4)]
    rows.cluster = np.r_[rows.cluster, np.full(500, 10**6)]
    assert np.array_equal(rows.fit(LinearThompsonConfig(draws=4)).scores, plain.scores)


def test_the_same_seed_gives_the_same_policy_and_another_another() -> None:
    rows = Planted(1000, seed=15)
    config = LinearThompsonConfig(draws=4)
    first, second, other = rows.fit(config, 1), rows.fit(config, 1), rows.fit(config, 2)
    assert np.array_equal(first.scores, second.scores)
    assert not np.array_equal(first.scores, other.scores)


def test_a_saved_policy_decides_as_before(learned: LinearThompsonPolicy, tmp_path: Path) -> None:
    save_linear_thompson(learned, tmp_path / "model")
    again = load_linear_thompson(tmp_path / "model", CATALOG.hash)
    rows = Planted(50, seed=16)
    assert np.array_equal(
        again.action_probabilities(rows.features, rows.mask),
        learned.action_probabilities(rows.features, rows.mask),
    )
    assert again.fit == learned.fit
    names = sorted(path.name for path in (tmp_path / "model").iterdir())
    assert names == ["linear_thompson.json", "linear_thompson.safetensors"]


def test_damaged_and_foreign_policies_are_refused(
    learned: LinearThompsonPolicy, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match="FileNotFoundError"):
        load_linear_thompson(tmp_path, CATALOG.hash)
    save_linear_thompson(learned, tmp_path)
    with pytest.raises(BundleError, match="was fitted on catalogue"):
        load_linear_thompson(tmp_path, TWO.hash)
    arrays = tmp_path / "linear_thompson.safetensors"
    arrays.write_bytes(arrays.read_bytes()[:-100])
    with pytest.raises(BundleError, match="SafetensorError"):
        load_linear_thompson(tmp_path, CATALOG.hash)


def test_a_learned_policy_is_found_by_its_name_in_a_description(
    learned: LinearThompsonPolicy,
) -> None:
    context = context_of(INBOUND, {"linear_thompson": learned}.__getitem__)
    assert build_policy(learned.spec(), context) is learned


def test_rows_that_cannot_be_learned_from_are_refused() -> None:
    config = LinearThompsonConfig(draws=4)
    rows = Planted(100, seed=17)
    rows.mask[7, rows.action[7]] = False
    with pytest.raises(ActionError, match="row 7 took action"):
        rows.fit(config)
    rows = Planted(100, seed=17)
    rows.action[3] = 14
    with pytest.raises(ActionError, match="row 3 took action 14, expected 0 to 13"):
        rows.fit(config)
    rows = Planted(100, seed=17)
    rows.returns[5] = np.nan
    with pytest.raises(FitError, match=r"row 5 .* not finite"):
        rows.fit(config)
    rows = Planted(100, seed=17)
    rows.cluster = rows.cluster[:-1]
    with pytest.raises(ShapeError, match="cluster"):
        rows.fit(config)
    rows = Planted(100, seed=17)
    rows.mask = np.eye(len(CATALOG), dtype=np.bool_)[rows.action]
    with pytest.raises(FitError, match="one legal action only"):
        rows.fit(config)


def test_a_policy_of_other_features_or_too_high_a_floor_is_refused() -> None:
    policy = policy_of(np.zeros((1, 2, 3)))
    with pytest.raises(ShapeError, match="expected 2 features, got 1"):
        policy.action_probabilities(np.zeros((1, 1), np.float32), np.ones((1, 2), np.bool_))
    with pytest.raises(PolicyError, match=r"at most 0\.5"):
        replace(policy, floor=0.6)
    with pytest.raises(ShapeError, match="mean and scale"):
        replace(policy, mean=np.zeros(3))
