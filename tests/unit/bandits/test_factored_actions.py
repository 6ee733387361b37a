"""Effects that actions share: 288 sends from few rows, new messages from their tags."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_envs.actions import ActionCatalog
from nurture_rl.bandits.action_design import ContextMoments
from nurture_rl.bandits.factored_actions import factored_design
from nurture_rl.bandits.linear_posterior import chosen_ridges
from nurture_rl.bandits.linear_statistics import Equations, LinearStatistics
from nurture_rl.bandits.linear_thompson import LinearThompsonConfig, fit_linear_thompson
from nurture_rl.bandits.linucb import LinUCBConfig
from nurture_rl.bandits.pair_selection import with_found_pairs
from nurture_rl.bandits.prior_precision import best_ridges, grouped_ridges
from nurture_rl.bandits.returns_fit import fit_returns
from nurture_rl.errors import FitError
from nurture_rl.learned.training_log import TrainingLog
from nurture_rl.workflow.learners import LEARNERS
from tests.unit.bandits.planted_hours import (
    PAIR,
    TWELVE,
    WIDE,
    FloatArray,
    catalog_of,
    message,
    planted_cells,
    sends_log,
)
from tests.unit.bandits.planted_log import silent

SENDS = np.flatnonzero(WIDE.routed("send"))


def wide_log(seed: int, noise: float, together: float | None = None, n: int = 4000) -> TrainingLog:
    means = planted_cells() if together is None else planted_cells(together)
    rng, features = np.random.default_rng([seed, 1]), np.zeros((n, 1), np.float32)
    return sends_log(WIDE, lambda x: np.tile(means, (len(x), 1)), features, noise, rng, SENDS)


def best_send(log: TrainingLog, design: str) -> int:
    fit = fit_returns(log, None, 16, np.random.default_rng(0), design)
    return int(SENDS[fit.mean_map()[0, SENDS, 0].argmax()])


@pytest.mark.slow
def test_the_best_of_288_sends_is_found_from_4000_and_cell_by_cell_it_is_not() -> None:
    best = int(planted_cells().argmax())
    logs = [wide_log(seed, 1.5) for seed in range(10)]
    assert sum(best_send(log, "factors") == best for log in logs) >= 7
    assert sum(best_send(log, "cells") == best for log in logs) <= 5  # negative control


def equations_of(log: TrainingLog) -> Equations:
    design = factored_design(log.catalog, log.features.shape[1])
    sums = LinearStatistics.none(ContextMoments.of(log.features), len(log.catalog))
    sums.add(log.features, log.action, log.returns)
    return Equations.of(sums, design)


def found_in(log: TrainingLog) -> list[FloatArray]:
    """The marks of the pairs that stand out."""
    design = with_found_pairs(equations_of(log)).design
    if "found_pairs" not in design.names:
        return []
    marked = np.flatnonzero(
        design.groups(log.features.shape[1]) == design.names.index("found_pairs")
    )
    return [design.columns[:, place] for place in marked]


def test_the_planted_pair_stands_out_and_none_does_where_none_is_planted() -> None:
    topic, hour = PAIR
    marks = [
        float(a.message is not None and a.message.topic == topic and a.slot == hour)
        for a in WIDE.actions
    ]
    found = found_in(wide_log(0, 1.0))
    assert any(np.array_equal(one, marks) for one in found)
    none = sum(len(found_in(wide_log(seed, 1.0, together=0.0))) for seed in range(10))
    assert none <= 3  # 0.5 expected at 5 % each; 4 or more have a chance of 0.2 %


def test_main_effects_have_the_signs_and_the_order_of_what_was_planted() -> None:
    fit = fit_returns(wide_log(3, 1.0), None, 16, np.random.default_rng(0), "factors")
    score = fit.mean_map()[0, :, 0]
    by_proof = [
        np.mean([score[i] for i in SENDS if WIDE.actions[i].message.proof == proof])  # type: ignore[union-attr]
        for proof in ("none", "number", "case_study")
    ]
    assert by_proof[0] < by_proof[1] < by_proof[2]
    assert by_proof[2] - by_proof[0] == pytest.approx(0.5, abs=0.15)


def test_a_proof_that_works_in_one_segment_is_given_there_and_not_elsewhere() -> None:
    # Case studies gain 1 in the segment and lose 1 outside; numbers are worth 0.3 everywhere.
    catalog = catalog_of(TWELVE, (9, 15))
    proofs = [a.message.proof if a.message else "" for a in catalog.actions]

    def means(x: FloatArray) -> FloatArray:
        sign = np.where(x[:, :1] > 0.5, 1.0, -1.0)
        study, number = np.array(proofs) == "case_study", np.array(proofs) == "number"
        worth: FloatArray = sign * study + 0.3 * number
        return worth

    rng = np.random.default_rng(5)
    features = np.column_stack([rng.random(4000) < 0.5, rng.normal(size=4000)]).astype(np.float32)
    log = sends_log(catalog, means, features, 2.0, rng)
    policy = fit_linear_thompson(log, LinearThompsonConfig(design="factors"), 0, silent)
    x = np.array([[1.0, 0.0], [0.0, 0.0]], np.float32)
    rows = policy.action_probabilities(x, np.ones((2, len(catalog)), np.bool_))
    share = [{p: rows[i][np.array(proofs) == p].sum() for p in set(proofs)} for i in (0, 1)]
    assert share[0]["case_study"] > 0.9
    assert share[1]["number"] > 0.7
    assert share[1]["case_study"] < 0.1


def test_factors_of_a_message_alone_cannot_be_told_from_the_message() -> None:
    # Two messages that differ in all tags at once: one column says it, whatever it is called.
    catalog = catalog_of({"a": message("pricing", "number"), "b": message("product", "none")}, (9,))
    design = factored_design(catalog, 1)
    assert len({tuple(column) for column in design.columns.T}) == design.columns.shape[1]
    assert design.columns.shape[1] == 4  # sends, the pause, and each message


class NewMessage:
    """Eleven messages with history and one without, whose tags are those of good or bad ones."""

    catalog: ActionCatalog = catalog_of(TWELVE, (9,))
    new = "product_case_study"

    def __init__(self, seed: int, sign: float = 1.0, n: int = 6000) -> None:
        # Of the tags topic and proof, product and case_study are worth 0.5 each.
        rng = np.random.default_rng([seed, 3])
        about = [a.message for a in self.catalog.actions]
        self.means = np.array(
            [
                sign * 0.5 * ((m.topic == "product") + (m.proof == "case_study")) if m else 0.0
                for m in about
            ]
        )
        self.place = self.catalog.index(f"send:{self.new}@09")
        known = np.flatnonzero(np.arange(len(self.catalog)) != self.place)
        features = np.zeros((n, 1), np.float32)
        self.log = sends_log(
            self.catalog, lambda x: np.tile(self.means, (len(x), 1)), features, 1.0, rng, known
        )

    def share(self, design: str) -> float:
        config = LinearThompsonConfig(design=design, draws=512)
        policy = fit_linear_thompson(self.log, config, 0, silent)
        one = np.ones((1, len(self.catalog)), np.bool_)
        return float(policy.action_probabilities(np.zeros((1, 1), np.float32), one)[0, self.place])


def test_a_message_without_history_gets_the_share_that_its_tags_earn() -> None:
    good, bad = NewMessage(0), NewMessage(0, sign=-1.0)
    # 13 actions: an even share is 0.08. Tags of the best messages make it the best guess.
    assert good.share("factors") > 0.5
    assert bad.share("factors") < 0.08
    # Negative control: cell by cell nothing is known of it, whatever its tags.
    assert abs(good.share("cells") - bad.share("cells")) < 0.5 * (
        good.share("factors") - bad.share("factors")
    )


def test_a_message_without_history_is_doubted_more_than_one_with() -> None:
    planted = NewMessage(1)
    fit = fit_returns(planted.log, None, 16, np.random.default_rng(0), "factors")
    draws = fit.posterior.maps(fit.posterior.coefficients(4000, np.random.default_rng(1)))[:, 0]
    spread = [float(of_action.std()) for of_action in draws]
    assert spread.pop(planted.place) > 1.5 * max(spread)
    # The guess is that of the tags: 1.0, less what is shrunk.
    lead = draws[planted.place] - draws[planted.catalog.wait]
    assert float(lead.mean()) == pytest.approx(1.0, abs=0.35)


def test_thompson_sampling_finds_out_about_a_new_message_and_keeps_to_what_it_is_worth() -> None:
    # Tags promise the best; the message itself disappoints: it is worth -1.
    planted = NewMessage(2)
    means = planted.means.copy()
    means[planted.place] = -1.0
    log, shares = planted.log, []
    rng = np.random.default_rng(9)
    for _ in range(6):
        config = LinearThompsonConfig(design="factors")
        policy = fit_linear_thompson(log, config, 0, silent)
        one = np.ones((1, len(planted.catalog)), np.bool_)
        chances = policy.action_probabilities(np.zeros((1, 1), np.float32), one)[0]
        shares.append(float(chances[planted.place]))
        action = rng.choice(len(chances), 200, p=chances / chances.sum())
        log = grown(log, action, means[action] + rng.normal(0.0, 1.0, 200))
    assert shares[0] > 0.5
    assert shares[-1] < 0.05


def grown(log: TrainingLog, action: np.ndarray, returns: FloatArray) -> TrainingLog:
    """The log with another day's decisions."""
    n, more = log.action.size, action.size
    return replace(
        log,
        features=np.vstack([log.features, np.zeros((more, 1), np.float32)]),
        mask=np.vstack([log.mask, np.ones((more, log.mask.shape[1]), np.bool_)]),
        action=np.r_[log.action, action],
        reward=np.r_[log.reward, returns],
        returns=np.r_[log.returns, returns],
        propensity=np.full(n + more, np.nan),
        episode=np.arange(n + more),
        step=np.zeros(n + more, np.int64),
        cluster=np.arange(n + more) // 2,
    )


def test_sums_by_action_give_the_normal_equations_of_the_written_out_columns() -> None:
    catalog = catalog_of(
        {"a": message("pricing", "number"), "b": message("product", "none")}, (9, 15)
    )
    design, rng = factored_design(catalog, 2), np.random.default_rng(6)
    x = rng.normal(2.0, 3.0, (60, 2)).astype(np.float32)
    action, returns = rng.integers(0, len(catalog), 60), rng.normal(size=60)
    moments = ContextMoments.of(x)
    sums = LinearStatistics.none(moments, len(catalog))
    sums.add(x, action, returns)
    context = moments.extended(x)
    crossed = np.einsum("nk,nd->nkd", design.factors[action], context[:, 1:]).reshape(60, -1)
    columns = np.hstack([design.columns[action], crossed])
    assert design.gram(sums.gram) == pytest.approx(columns.T @ columns)
    assert design.lift(sums.target[:, :, None])[:, 0] == pytest.approx(columns.T @ returns)
    theta = rng.normal(size=(columns.shape[1], 1))
    maps = design.maps(theta)[:, :, 0]
    assert (context * maps[action]).sum(axis=1) == pytest.approx((columns @ theta)[:, 0])
    assert design.groups(2).size == columns.shape[1]


def test_grouped_ridges_are_those_of_the_grid_where_there_are_two_groups() -> None:
    rng = np.random.default_rng(4)
    columns = rng.normal(size=(400, 12))
    truth = np.r_[rng.normal(0.0, 0.8, 5), rng.normal(0.0, 0.1, 7)]
    returns = columns @ truth + rng.normal(size=400)
    gram, right = columns.T @ columns, columns.T @ returns
    squares = float(returns @ returns)
    grid = best_ridges(gram, right, squares, 400, 5)
    found = grouped_ridges(gram, right, squares, 400, np.repeat([0, 1], [5, 7]))
    assert found.main == pytest.approx(grid.main, rel=0.2)  # a step of the grid is a factor 1.2
    assert found.crossed == pytest.approx(grid.crossed, rel=0.2)


def test_a_given_ridge_holds_for_every_group() -> None:
    equations = with_found_pairs(equations_of(wide_log(0, 1.0)))
    assert chosen_ridges(equations, 7.0).values.tolist() == [7.0] * 4


@pytest.mark.parametrize(
    "name",
    [name for name, one in LEARNERS.items() if hasattr(one.settings, "design")],
)
def test_every_learner_with_a_design_takes_factors_and_tells_their_ridges(name: str) -> None:
    log, one = NewMessage(4, n=600).log, LEARNERS[name]
    policy = one.learn(log, one.settings(design="factors"), 0, silent)
    assert {"ridge_main", "ridge_crossed", "ridge_pairs"} <= set(policy.fit)
    chances = policy.action_probabilities(log.features[:1], log.mask[:1])
    assert chances.sum() == pytest.approx(1.0)


def test_a_design_that_is_unknown_or_has_nothing_to_share_is_refused() -> None:
    with pytest.raises(FitError, match="design of LinearThompson must be cells or factors"):
        LinearThompsonConfig(design="factor")
    with pytest.raises(FitError, match="disjoint of LinUCB leaves nothing to share"):
        LinUCBConfig(disjoint=True, design="factors")
