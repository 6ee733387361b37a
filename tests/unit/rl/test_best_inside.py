"""The best inside a region is the solution of its linear programme, and what the release does."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import linprog
from torch import Tensor

from nurture_rl.learned.choice_rules import Greedy, GreedyAmongUsual, Rule
from nurture_rl.policies.composition import Region, capped
from nurture_rl.policies.policy import BoolArray, FeatureArray, FloatArray, Spec
from nurture_rl.rl.best_inside import Limits, best_inside

Arrays = tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]


def drawn(n: int, actions: int, seed: int, never: float = 0.2) -> Arrays:
    """Scores, masks and anchors of n decisions; the anchor leaves some legal actions alone."""
    rng = np.random.default_rng(seed)
    mask = rng.random((n, actions)) < 0.8
    mask[:, 0] = True
    weights = rng.exponential(size=(n, actions)) ** 2 * (rng.random((n, actions)) > never)
    weights[:, 0] += 0.01
    anchor = weights * mask
    return rng.normal(size=(n, actions)), mask, anchor / anchor.sum(axis=1, keepdims=True)


def tensors(arrays: Arrays) -> tuple[Tensor, Tensor, Tensor]:
    scores, mask, anchor = (torch.from_numpy(one) for one in arrays)
    return scores, mask, anchor


def solved(score: FloatArray, limit: FloatArray) -> float:
    """The best mean score by a solver that knows nothing of knapsacks."""
    bounds = [(0.0, float(one)) for one in limit]
    found = linprog(-score, A_eq=np.ones((1, len(score))), b_eq=[1.0], bounds=bounds)
    return -float(found.fun)


@pytest.mark.parametrize("ratio", [1.0, 1.3, 3.0, 50.0])
def test_the_fill_is_the_optimum_of_the_linear_programme(ratio: float) -> None:
    arrays = drawn(60, 7, seed=int(10 * ratio))
    scores, mask, anchor = tensors(arrays)
    table = best_inside(scores, mask, ratio * anchor)
    reached = (table * scores).sum(dim=1).numpy()
    limit = ratio * arrays[2]
    best = [solved(*pair) for pair in zip(arrays[0], limit, strict=True)]
    assert reached == pytest.approx(best, abs=1e-9)
    assert table.sum(dim=1).numpy() == pytest.approx(np.ones(60))
    assert (table.numpy() <= limit + 1e-12).all()
    assert (table.numpy()[~arrays[1]] == 0.0).all()


def test_no_order_of_filling_is_better() -> None:
    # Every corner of the region is a filling in some order; of four actions there are 24.
    scores, mask, anchor = tensors(drawn(40, 4, seed=5))
    limit = 2.0 * anchor
    reached = (best_inside(scores, mask, limit) * scores).sum(dim=1)
    for order in permutations(range(4)):
        room = limit[:, list(order)]
        before = room.cumsum(dim=1) - room
        filled = torch.minimum(room, (1.0 - before).clamp_min(0.0))
        assert bool(((filled * scores[:, list(order)]).sum(dim=1) <= reached + 1e-12).all())


def test_the_fill_by_hand() -> None:
    scores = torch.tensor([[1.0, 3.0, 2.0, 9.0]])
    mask = torch.tensor([[True, True, True, False]])
    limit = torch.tensor([[1.5, 0.3, 0.2, 0.0]])
    assert best_inside(scores, mask, limit)[0].tolist() == pytest.approx([0.5, 0.3, 0.2, 0.0])
    limits = Limits(torch.tensor([[0.75, 0.15, 0.1, 0.0]]), max_ratio=2.0, explore=0.1)
    expected = [
        0.9 * p + 0.1 * mu for p, mu in zip([0.5, 0.3, 0.2], [0.75, 0.15, 0.1], strict=True)
    ]
    assert limits.best(scores, mask)[0].tolist() == pytest.approx([*expected, 0.0])


class Told:
    """An anchor that does what a table says of contexts that are their own row number."""

    def __init__(self, table: FloatArray) -> None:
        self._table = table

    def action_probabilities(self, features: FeatureArray, mask: BoolArray) -> FloatArray:
        return np.asarray(self._table[features[:, 0].astype(int)])

    def spec(self) -> Spec:
        return {"kind": "told"}


@pytest.mark.parametrize("actions", [3, 14, 29, 47])
@pytest.mark.parametrize("rule", [Greedy(), GreedyAmongUsual(0.3)], ids=["greedy", "usual"])
def test_what_is_learned_from_is_what_the_release_does(rule: Rule, actions: int) -> None:
    scores, mask, anchor = drawn(300, actions, seed=actions, never=0.0)
    odds = np.where(mask, np.random.default_rng(1).exponential(size=scores.shape), 0.0)
    usual = mask & (odds >= 0.3 * odds.max(axis=1, keepdims=True))
    both = torch.from_numpy(np.stack([scores, np.log(odds + 1e-9)], axis=2))
    among_usual = isinstance(rule, GreedyAmongUsual)
    wanted = rule(both if among_usual else both[:, :, :1], torch.from_numpy(mask)).numpy()
    counts = torch.from_numpy(usual if among_usual else mask)
    for ratio, explore in ((1.2, 0.0), (3.0, 0.05)):
        region = Region(Told(anchor), ratio, explore)
        rows = np.arange(300, dtype=np.float32)[:, None]
        found = Limits.of(region, rows, mask, "cpu").best(torch.from_numpy(scores), counts)
        released = (1.0 - explore) * capped(wanted, anchor, ratio) + explore * anchor
        assert found.numpy() == pytest.approx(released, abs=3e-6)


def test_the_comparison_above_reaches_far_down_the_ranks() -> None:
    scores, mask, anchor = (torch.from_numpy(one) for one in drawn(300, 47, seed=47, never=0.0))
    table = best_inside(scores, mask, 1.2 * anchor)
    assert float((table > 0.0).sum(dim=1).double().mean()) > 20


def test_a_usual_action_s_leftover_goes_to_the_others_by_their_room() -> None:
    scores = torch.tensor([[5.0, 1.0, 2.0]])
    usual = torch.tensor([[True, False, False]])
    table = best_inside(scores, usual, torch.tensor([[0.4, 0.6, 1.0]]))
    assert table[0].tolist() == pytest.approx([0.4, 0.225, 0.375])
