"""A softmax policy over groups of actions, weighted by the probability of the group."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from nurture_envs.actions import Action, ActionCatalog
from nurture_rl.bandits.ipw_policy import IPWPolicyConfig, weighted_policy
from nurture_rl.bandits.logged_choices import LoggedChoices, logged_choices
from nurture_rl.bandits.softmax_search import SoftmaxFamily, shared_basis
from nurture_rl.errors import FitError
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.setting_ranges import require_settings
from nurture_rl.learned.training_log import Progress, TrainingLog

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_INSIDE_SHRINK = 10.0  # rows for which the log counts as even inside a group
FACTORS = ("message", "topic", "job", "slot", "routing")


@dataclass(frozen=True, slots=True)
class MIPSPolicyConfig:
    """How to group and to search."""

    by: str = "message"  # what makes the difference: message, topic, job, slot or routing
    clip: float = 20.0  # largest importance weight that counts, >= 1
    caution: float = 1.0  # standard errors of the value that are taken off it, >= 0
    # Rows that the wish for small parameters counts, >= 0; None: by value on contacts set aside.
    shrink: float | None = None
    iterations: int = 100  # of L-BFGS, at most
    floor: float = 0.002  # least probability of a legal action

    def __post_init__(self) -> None:
        require_settings(self, clip=(1.0, inf), caution=(0.0, inf), shrink=(0.0, inf))
        if self.by not in FACTORS:
            raise FitError(f"by of MIPSPolicy must be one of {', '.join(FACTORS)}, got {self.by!r}")


def fit_mips_policy(
    log: TrainingLog, config: MIPSPolicyConfig, seed: int, progress: Progress
) -> ScoredPolicy:
    """Climb the value that the log gives a policy over groups of actions.

        V = sum_i v_i (R_i - m(x_i)) / sum_i v_i,    v_i = min(pi(g_i|x_i) / p(g_i|x_i), clip),
        p(g_i|x_i) = p_i / q(a_i|x_i, g_i)

    m is a linear fit of returns to the context alone, and the objective is that of `ipw_policy`.
    g is the group of the logged action, such as all slots of one message. p_i is the logged
    propensity and q the log's choice inside a group, fitted as a softmax. Groups are fewer than
    actions, so weights are smaller and the same log tells more. The policy is even among the
    legal actions of a group.

    Right where an action matters by its group alone; what differs inside a group is not learned,
    and V is then the value of choosing the group by pi and inside of it as the log does. With one
    action to a group it is `ipw_policy`, but for parameters that actions share there.

    Optimises the return of ONE decision: what the logging policy made of the rest of the episode
    after it. Rows with one legal action show no choice and are left out.

    Args:
        log: the decisions, with propensities.
        config: how to group and to search.
        seed: of the contacts set aside to choose `shrink`.
        progress: is told the objective, in standard deviations of a return, after each iteration.

    Returns:
        The policy; its `fit` tells what that of `ipw_policy` does.

    Raises:
        FitError: the log lacks propensities, or there is too little to fit.

    Source: Saito & Joachims (2022), Off-Policy Evaluation for Large Action Spaces via Embeddings.
    """
    choices = logged_choices(log, "mips_policy")
    rows = choices.log
    group = groups_of(log.catalog, config.by)
    member = np.eye(int(group.max()) + 1)[group]  # [a, groups]
    inside = _choice_inside(choices, group)
    scale = inside / rows.propensity

    def gains(part: slice) -> FloatArray:
        same = group[rows.action[part], None] == group
        return np.where(same, scale[part, None], 0.0)

    family = SoftmaxFamily(choices.context, rows.mask, member)
    search = IPWPolicyConfig(
        config.clip, config.caution, config.shrink, config.iterations, config.floor
    )
    return weighted_policy(choices, family, gains, search, np.random.default_rng(seed), progress)


def groups_of(catalog: ActionCatalog, by: str) -> IntArray:
    """Group of every action, numbered in the order of the catalogue, [a].

    Pauses of different length are never one group.
    """
    keys = [(action.routing, action.bins, _level(action, by)) for action in catalog.actions]
    order = list(dict.fromkeys(keys))
    return np.array([order.index(key) for key in keys], np.int64)


def _level(action: Action, by: str) -> str:
    if by == "slot":
        return str(action.slot)
    if action.message is None or by == "routing":
        return ""
    return str(action.message.id if by == "message" else getattr(action.message, by))


def _choice_inside(choices: LoggedChoices, group: IntArray) -> FloatArray:
    """Probability of each logged action among the legal ones of its group, as fitted, [n]."""
    rows = choices.log
    mask = rows.mask & (group[rows.action, None] == group)
    family = SoftmaxFamily(choices.context, mask, shared_basis(rows.catalog.factors))
    taken = np.eye(len(group))

    def gains(part: slice) -> FloatArray:
        return taken[rows.action[part]]

    def likelihood(chance: FloatArray) -> tuple[float, FloatArray]:
        return float(np.log(chance).mean()), 1.0 / (chance * chance.size)

    theta = family.best(gains, likelihood, _INSIDE_SHRINK, 100, lambda step, numbers: None)
    return family.numbers(theta, gains)
