"""Rules that turn scores of actions into probabilities; every learner acts by one of them.

A rule reads scores [n, a, m] in float64: m of them for each action, for example one per posterior
draw. It gives probabilities [n, a], exactly 0 where masked, rows that sum to 1.

Rules that take the best action leave those behind it vanishing shares, in their order. They change
no decision, and where a trust region does not let the best action have it all, the next best get
the rest in turn: the best that can be done inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import inf, isfinite
from typing import Any

import torch
from torch import Tensor

from nurture_rl.errors import BundleError
from nurture_rl.policies.policy import PolicyError

_STEP = 40.0  # nats that an action loses for each better one; beside 1, e^-40 is lost in rounding
_DEEPEST = 700.0  # nats that the last of many actions loses; e^-700 is about the least float64
_SLACK = 1e-12  # relative; equal scores may differ in their last bits, as products sum in any order
_RANGES: Mapping[str, tuple[float, float]] = {  # least and largest of each rule's number
    "epsilon": (0.0, 1.0),
    "gamma": (0.0, inf),
    "temperature": (1e-300, inf),
    "threshold": (0.0, 1.0),
    "width": (0.0, inf),
}


@dataclass(frozen=True, slots=True)
class Vote:
    """Each of the m scores votes for its best legal action, ties split evenly."""

    def __call__(self, scores: Tensor, mask: Tensor) -> Tensor:
        """Share of votes, [n, a]."""
        votes = _best(scores, mask[:, :, None])
        return (votes / votes.sum(dim=1, keepdim=True)).mean(dim=2)


@dataclass(frozen=True, slots=True)
class Greedy:
    """The legal action of the highest mean score, ties split evenly."""

    def __call__(self, scores: Tensor, mask: Tensor) -> Tensor:
        """Almost 1 on the best action, [n, a]."""
        return _ranked(scores.mean(dim=2), mask)


@dataclass(frozen=True, slots=True)
class EpsilonGreedy:
    """The legal action of the highest mean score, with a share drawn evenly among the legal."""

    epsilon: float  # share drawn evenly, in [0, 1]

    def __post_init__(self) -> None:
        _require_numbers(self)

    def __call__(self, scores: Tensor, mask: Tensor) -> Tensor:
        """epsilon / k, and the rest on the best of k legal actions, [n, a]."""
        allowed = mask.to(scores.dtype)
        even = allowed / allowed.sum(dim=1, keepdim=True)
        return self.epsilon * even + (1.0 - self.epsilon) * Greedy()(scores, mask)


@dataclass(frozen=True, slots=True)
class UpperBound:
    """The legal action of the highest optimistic score, ties split evenly.

    The first score is the mean, the others are the parts whose squares sum to its variance:

        bound = mean + width sqrt(sum_j part_j^2)
    """

    width: float  # standard deviations above the mean, >= 0

    def __post_init__(self) -> None:
        _require_numbers(self)

    def __call__(self, scores: Tensor, mask: Tensor) -> Tensor:
        """Almost 1 on the action of the highest bound, [n, a]."""
        return _ranked(merit(self, scores), mask)


@dataclass(frozen=True, slots=True)
class Boltzmann:
    """Softmax of the mean scores over legal actions."""

    temperature: float  # in the unit of the scores, > 0

    def __post_init__(self) -> None:
        _require_numbers(self)

    def __call__(self, scores: Tensor, mask: Tensor) -> Tensor:
        """exp(score / temperature), as shares of the legal actions, [n, a]."""
        logits = scores.mean(dim=2) / self.temperature
        return torch.softmax(torch.where(mask, logits, torch.full_like(logits, -torch.inf)), dim=1)


@dataclass(frozen=True, slots=True)
class InverseGap:
    """The further an action falls behind the best, the rarer it is.

        p(a) = 1 / (k + gamma (best - score(a))),    the best of k legal actions has the rest

    Source: Foster & Rakhlin (2020), Beyond UCB: SquareCB.
    """

    gamma: float  # per unit of the scores, >= 0; at 0 every legal action is as likely

    def __post_init__(self) -> None:
        _require_numbers(self)

    def __call__(self, scores: Tensor, mask: Tensor) -> Tensor:
        """Inverse gap weights, [n, a]."""
        mean = torch.where(mask, scores.mean(dim=2), torch.full_like(scores[:, :, 0], -torch.inf))
        gap = torch.where(mask, mean.amax(dim=1, keepdim=True) - mean, torch.zeros_like(mean))
        allowed = mask.to(scores.dtype)
        share = allowed / (allowed.sum(dim=1, keepdim=True) + self.gamma * gap)
        best = _best(mean, mask)
        best = best / best.sum(dim=1, keepdim=True)
        return share + best * (1.0 - share.sum(dim=1, keepdim=True))


@dataclass(frozen=True, slots=True)
class GreedyAmongUsual:
    """The best legal action among those that the log takes often enough here.

    The first score is the action's value, the second the log-odds with which the log takes it. An
    action counts where its probability is at least `threshold` times the likeliest legal one's.

    Source: Fujimoto et al. (2019), Benchmarking Batch Deep Reinforcement Learning Algorithms.
    """

    threshold: float  # share of the likeliest action's probability, in [0, 1]

    def __post_init__(self) -> None:
        _require_numbers(self)

    def __call__(self, scores: Tensor, mask: Tensor) -> Tensor:
        """Almost 1 on the best action that is usual, 0 on those that are not, [n, a]."""
        logits = torch.where(mask, scores[:, :, 1], torch.full_like(scores[:, :, 1], -torch.inf))
        ratio = (logits - logits.amax(dim=1, keepdim=True)).exp()
        return _ranked(scores[:, :, 0], mask & (ratio >= self.threshold))


Rule = Vote | Greedy | EpsilonGreedy | UpperBound | Boltzmann | InverseGap | GreedyAmongUsual
_RULES: Mapping[str, type[Rule]] = {
    "boltzmann": Boltzmann,
    "epsilon_greedy": EpsilonGreedy,
    "greedy": Greedy,
    "greedy_among_usual": GreedyAmongUsual,
    "inverse_gap": InverseGap,
    "upper_bound": UpperBound,
    "vote": Vote,
}


def merit(rule: Rule, scores: Tensor) -> Tensor:
    """The one number of each action that a rule goes by, whatever is legal, [n, a].

    The upper bound of an `UpperBound`, the value alone of `GreedyAmongUsual`, the mean score of all
    others; a `Vote` follows that mean but for how sure its draws are.
    """
    if isinstance(rule, UpperBound):
        return scores[:, :, 0] + rule.width * (scores[:, :, 1:] ** 2).sum(dim=2).sqrt()
    return scores[:, :, 0] if isinstance(rule, GreedyAmongUsual) else scores.mean(dim=2)


def rule_record(rule: Rule) -> dict[str, Any]:
    """The rule as plain data, for files."""
    kind = next(name for name, made in _RULES.items() if made is type(rule))
    return {"kind": kind, **asdict(rule)}


def read_rule(record: Mapping[str, Any]) -> Rule:
    """The rule that `rule_record` wrote down.

    Raises:
        BundleError: it is none of the known rules, or lacks one of its numbers.
        PolicyError: one of its numbers is out of range.
    """
    if not isinstance(record, Mapping):
        raise BundleError(
            f"expected a rule as a record of its kind and its numbers, got {record!r}; save the "
            "policy again"
        )
    made = _RULES.get(str(record.get("kind")))
    names = {"kind"} if made is None else {"kind", *(one.name for one in fields(made))}
    if made is None or set(record) != names:
        raise BundleError(
            f"expected a rule of kind {', '.join(sorted(_RULES))} with its numbers, got "
            f"{dict(record)}; save the policy again"
        )
    return made(**{name: record[name] for name in names - {"kind"}})


def _require_numbers(rule: Rule) -> None:
    for name, value in asdict(rule).items():
        low, high = _RANGES[name]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not isfinite(value) or not low <= value <= high:
            upper = f" and at most {high:g}" if high < inf else ""
            raise PolicyError(
                f"{name} of {type(rule).__name__} must be a finite number, at least {low:g}"
                f"{upper}, got {value!r}"
            )


def floored(probabilities: Tensor, mask: Tensor, floor: float) -> Tensor:
    """Mix so that each of k legal actions has at least the floor: floor + (1 - k floor) p, [n, a].

    Args:
        probabilities: rows sum to 1, 0 where masked, [n, a].
        mask: True where legal, [n, a].
        floor: probability, in [0, 1 / a].
    """
    allowed = mask.to(probabilities.dtype)
    return allowed * floor + (1.0 - allowed.sum(1, keepdim=True) * floor) * probabilities


def _best(scores: Tensor, mask: Tensor) -> Tensor:
    """1 on the legal actions of the highest score along dimension 1, 0 elsewhere."""
    legal = torch.where(mask, scores, torch.full_like(scores, -torch.inf))
    best = legal.amax(dim=1, keepdim=True)
    # Where every legal score is -inf, a masked one is as high.
    return ((legal >= best - _SLACK * (1.0 + best.abs())) & mask).to(scores.dtype)


def _ranked(scores: Tensor, mask: Tensor) -> Tensor:
    """1 on the best legal action, e^-40 of it on the next best, and so on, [n, a].

    Of more than 18 actions those behind the next best follow in smaller steps, so that the last one
    still has a share above 0.
    """
    slack = _SLACK * (1.0 + scores.abs())
    ahead = mask[:, None, :] & (scores[:, None, :] > (scores + slack)[:, :, None])
    rank = ahead.sum(dim=2).to(scores.dtype)
    further = min(_STEP, (_DEEPEST - _STEP) / max(1, scores.shape[1] - 2))
    logits = -(_STEP * rank.clamp(max=1.0) + further * (rank - 1.0).clamp(min=0.0))
    return torch.softmax(torch.where(mask, logits, torch.full_like(logits, -torch.inf)), dim=1)
