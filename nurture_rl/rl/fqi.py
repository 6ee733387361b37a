"""Fitted Q iteration: a regression on what one more decision is worth, again and again."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nurture_rl.errors import FitError
from nurture_rl.learned.choice_rules import Greedy
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.setting_ranges import require_settings
from nurture_rl.learned.training_log import Progress, TrainingLog
from nurture_rl.policies.composition import Region
from nurture_rl.rl.dqn import QLearning, in_units, learn_values, value_network
from nurture_rl.rl.offline_training import DIVERGED, BootstrapConfig, follower
from nurture_rl.rl.scored_networks import policy_of
from nurture_rl.rl.transitions import Transitions

_CHUNK_BYTES = 8 << 20  # of scores held at once


@dataclass(frozen=True, slots=True)
class FQIConfig:
    """How often and by what the regression is done."""

    iterations: int | None = None  # rounds; null: decisions of the longest episode
    ridge: float = 1.0  # of what an action adds to all, in rows, > 0; of linear values
    hidden: tuple[int, ...] = ()  # ReLU units of each hidden layer; none: values are linear
    steps: int = 200  # gradient steps of each regression by a network
    batch: int = 256  # decisions per gradient step of a network
    learning_rate: float = 1e-3  # of Adam; falls to 0 over the second half of the rounds
    device: str = "cpu"  # or "cuda"

    def __post_init__(self) -> None:
        require_settings(self)


@dataclass(frozen=True, slots=True, eq=False)
class Regressions:
    """Ridge regressions whose normal equations stay the same while their goals change.

    q(x, a) = z w + z d_a with z = [1, x]: w from all rows, then d_a from what w leaves to the rows
    of action a, held near 0 by the ridge. So a rare action is valued as the average action.
    """

    z: Tensor  # [n, d + 1] float64
    rows: tuple[Tensor, ...]  # rows of each action, a times [n_a]
    shared: Tensor  # Cholesky factor of all rows, [d + 1, d + 1]
    own: Tensor  # of each action's rows, [a, d + 1, d + 1]

    @classmethod
    def of(cls, data: Transitions, ridge: float) -> Regressions:
        """Factor the normal equations of a log."""
        x = data.features.double()
        z = torch.cat([torch.ones_like(x[:, :1]), x], dim=1)
        even = torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
        rows = [torch.nonzero(data.action[:, 0] == a)[:, 0] for a in range(data.shape[1])]
        own = torch.stack([z[some].T @ z[some] for some in rows])
        shared = torch.linalg.cholesky(own.sum(dim=0) + 1e-6 * len(z) * even)
        return cls(z, tuple(rows), shared, torch.linalg.cholesky(own + ridge * even))

    def fit(self, goals: Tensor) -> Tensor:
        """Coefficients of every action, [a, d + 1].

        Args:
            goals: [n] float64.
        """
        common = torch.cholesky_solve((self.z.T @ goals)[:, None], self.shared)
        left = goals - (self.z @ common)[:, 0]
        sums = torch.stack([self.z[some].T @ left[some] for some in self.rows])
        return common.T + torch.cholesky_solve(sums[:, :, None], self.own)[:, :, 0]


def train_fqi(
    log: TrainingLog,
    config: FQIConfig,
    seed: int,
    progress: Progress,
    region: Region | None = None,
) -> ScoredPolicy:
    """Learn what every action is worth with one more decision to go, two more, and so on.

        q_0 = 0,    q_k = regression of r + discount^(bins between) sum_b p(b|x') q_{k-1}(x', b)
                          on (x, a),
        p = the best that the release lets be done in x' by q_{k-1}, see `best_inside`; the best
            legal action without a trust region

    As many rounds as the longest episode has decisions reach from its end to its start. Linear
    values are solved in closed form: nothing is drawn, nothing has to converge. A network goes on
    from the round before, and is given twice the rounds. Nothing holds the values of actions that
    the log never takes here.

    Args:
        log: the decisions.
        config: rounds, and linear values or a network.
        seed: of a network's first weights and batches; linear values draw nothing.
        progress: told after each round: the mean squared error, in squared deviations of returns.
        region: where the policy will be held, so that its own release is what is valued; None: it
            may do what it likes.

    Returns:
        The policy that takes the best legal action; its scores are in the journey's unit.

    Raises:
        FitError: the values diverge.

    Source: Ernst, Geurts & Wehenkel (2005), Tree-Based Batch Mode Reinforcement Learning;
        Riedmiller (2005), Neural Fitted Q Iteration.
    """
    enough = longest(log) * (2 if config.hidden else 1)
    rounds = enough if config.iterations is None else config.iterations
    if not config.hidden:
        # Linear policies cut nothing.
        data = Transitions.of(log, config.device, reach=math.inf, region=region)
        maps, error = _linear(data, rounds, config.ridge, progress)
        fit = {"iterations": float(rounds), "loss": error}
        return policy_of(log, data, ([], data.scale * maps[None]), Greedy(), fit)
    data = Transitions.of(log, config.device, region=region)
    luck = torch.Generator().manual_seed(seed)
    network = value_network(data, config.hidden, False, luck)
    objective = QLearning(data, network, follower(network), double=False)
    training = BootstrapConfig(
        hidden=config.hidden,
        steps=rounds * config.steps,
        batch=config.batch,
        learning_rate=config.learning_rate,
        refresh=config.steps,
        device=config.device,
        follow=1.0,
    )
    fit = {**learn_values(objective, training, luck, progress), "iterations": float(rounds)}
    return policy_of(log, data, in_units(network, data), Greedy(), fit)


def longest(log: TrainingLog) -> int:
    """Decisions of the longest episode."""
    return int(np.unique(log.episode, return_counts=True)[1].max())


@torch.no_grad()
def _linear(
    data: Transitions, rounds: int, ridge: float, progress: Progress
) -> tuple[Tensor, float]:
    """Coefficients of every action in units of the scale, [a, d + 1], and the last error."""
    regressions = Regressions.of(data, ridge)
    goals = data.reward.double()
    maps = goals.new_zeros((data.shape[1], data.shape[0] + 1))
    error = 0.0
    for round_ in range(rounds):
        if round_:
            goals = goals_of_linear(data, maps)
        _require_sound(float(goals.var(correction=0)), round_, rounds)
        maps = regressions.fit(goals)
        fitted = (regressions.z * maps[data.action[:, 0]]).sum(dim=1)
        error = float(((goals - fitted) ** 2).mean())
        progress(round_, {"loss": error})
    return maps, error


def _require_sound(spread: float, round_: int, rounds: int) -> None:
    if not spread < DIVERGED:  # also when it is no number
        raise FitError(
            f"the goals of round {round_ + 1} of {rounds} vary by {spread:g} squared deviations of "
            f"returns, expected less than {DIVERGED:g}: the values diverge; set fewer iterations "
            "or a larger ridge, or take cql or bcq, which hold what the log never shows"
        )


def goals_of_linear(data: Transitions, maps: Tensor) -> Tensor:
    """Reward and the worth of the best that may be done next, by linear values, [n] float64.

    Args:
        data: the log.
        maps: coefficients of every action, [a, d + 1].
    """
    size = max(1, _CHUNK_BYTES // (8 * len(maps)))
    found = []
    for rows in torch.split(torch.arange(len(data), device=maps.device), size):
        worth = data.after(rows)[0].double() @ maps[:, 1:].T + maps[:, 0]
        found.append(data.backed_up(rows, (data.best_after(rows, worth) * worth).sum(dim=1)))
    return torch.cat(found)
