"""What an importance-weighted value rests on where rewards are rare.

Of every reward the rare large ones (meetings, sales, complaints) are told from the frequent small
ones (send costs). An estimate is then their weighted sum, whose chance is that of a count, and a
rest, whose chance is that of a mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nurture_rl.ope.clusters import cluster_totals
from nurture_rl.ope.estimators import as_panel, cumulative_weights, effective_sample_size
from nurture_rl.ope.log import BoolArray, EvaluationLog, FloatArray, discount_from_start, horizon
from nurture_rl.ope.numbering import numbered
from nurture_rl.ope.ties import one_value

RARE_SHARE = 0.2  # of all episodes, at most, have a rare outcome
RARE_FACTOR = 5.0  # a rare outcome is at least so many times the mean size of a reward
RARE_VARIATION = 0.5  # of the sum of squared rewards, at least, is in the rare outcomes


@dataclass(frozen=True, slots=True)
class MatchedShare:
    """An importance-weighted value that is a scaled share of successes."""

    successes: int  # matched outcomes
    trials: int  # episodes
    scale: float  # weight times amount of one success


@dataclass(frozen=True, slots=True, eq=False)
class RareOutcomes:
    """Weighted rare outcomes by contact, in the unit of the value per episode."""

    gained: FloatArray  # weighted positive outcomes over E, [C], each >= 0
    lost: FloatArray  # weighted negative outcomes over E, turned positive, [C]
    further_gain: float  # what one further gain would weigh, over E; see `weighted_poisson`
    further_loss: float
    episodes: FloatArray  # share of the log's episodes by contact, [C], summing to 1
    matched: int  # outcomes with a weight that is not 0
    sparse: bool  # rare enough that their number is as good as Poisson
    share: MatchedShare | None  # where the weighted value is an exact share

    @property
    def effective(self) -> float:
        """Equally weighted outcomes worth as much: (sum y)^2 / sum y^2."""
        return effective_sample_size(np.concatenate([self.gained, self.lost]))

    @property
    def net(self) -> float:
        """The part of the value that the outcomes make up."""
        return float(self.gained.sum() - self.lost.sum())

    def influence(self) -> FloatArray:
        """Error of that part, split by contact, [C]."""
        return self.gained - self.lost - self.net * self.episodes


def rare_outcomes(
    log: EvaluationLog, taken: FloatArray, against: FloatArray | None = None
) -> RareOutcomes | None:
    """Tell the rare outcomes behind an importance-weighted value, or difference, from the rest.

    Which outcomes are rare is read off all rewards of the log, whether or not the target matches
    them, so the choice does not depend on which of them turned up.

    Args:
        log: the logged decisions.
        taken: target probability of each logged action, [N].
        against: the same of another policy, for a difference; the log's propensities for the
            difference to the logging policy, None for a value.

    Returns:
        The outcomes, or None where rewards are neither ruled by rare ones nor a plain share.
    """
    rare = _rare(log)
    weights = cumulative_weights(log, taken)
    share = _share(log, weights) if against is None else None
    if rare is None and share is None:
        return None
    if against is not None:
        weights = weights - cumulative_weights(log, against)
    counted = log.reward != 0.0 if rare is None else rare
    earned = np.where(counted, discount_from_start(log) * log.reward, 0.0)
    amounts = as_panel(log, earned, 0.0)
    weighted = weights * amounts / log.n_episodes
    gain = max(_further(weights, amounts), _further(-weights, -amounts))
    loss = max(_further(weights, -amounts), _further(-weights, amounts))
    return RareOutcomes(
        gained=cluster_totals(log, np.maximum(weighted, 0.0).sum(axis=1)),
        lost=cluster_totals(log, np.maximum(-weighted, 0.0).sum(axis=1)),
        further_gain=gain / log.n_episodes,
        further_loss=loss / log.n_episodes,
        episodes=cluster_totals(log, np.full(log.n_episodes, 1.0 / log.n_episodes)),
        matched=int((weighted != 0.0).sum()),
        sparse=rare is not None,
        share=share,
    )


def _rare(log: EvaluationLog) -> BoolArray | None:
    size = np.abs(log.reward)
    rare = size > RARE_FACTOR * size.mean()
    if not rare.any() or np.unique(log.episode[rare]).size > RARE_SHARE * log.n_episodes:
        return None
    square = np.square(log.reward)
    return rare if square[rare].sum() >= RARE_VARIATION * square.sum() else None


def _share(log: EvaluationLog, weights: FloatArray) -> MatchedShare | None:
    """One decision an episode, one episode a contact, one weight on matches, 0 or one amount."""
    if horizon(log) > 1 or numbered(log.cluster)[1] < log.n_episodes:
        return None
    weight = weights[:, 0]
    levels, amounts = weight[weight > 0.0], log.reward[log.reward != 0.0]
    if levels.size == 0 or amounts.size == 0 or amounts[0] < 0.0:
        return None
    if not (one_value(levels) and one_value(amounts)):
        return None
    matched = int(((weight > 0.0) & (log.reward > 0.0)).sum())
    return MatchedShare(matched, log.n_episodes, float(levels[0] * amounts[0]))


def _further(weights: FloatArray, amounts: FloatArray) -> float:
    """What one more outcome would weigh, by weights and amounts as they make up a target's value.

    The root of the mean square of the weights under the target, sum w^3 / sum w over all episodes
    of a step, times the mean square of the amounts by their own size, sum b^3 / sum b over the
    outcomes: the payment that did not turn up is a large one more often than payments are large.
    Negative entries count as 0.
    """
    largest, most = float(weights.max()), float(amounts.max())
    if largest <= 0.0 or most <= 0.0:
        return 0.0
    scaled, paid = np.maximum(weights, 0.0) / largest, np.maximum(amounts, 0.0) / most
    total = scaled.sum(axis=0)
    square = (scaled**3).sum(axis=0) / np.where(total > 0.0, total, 1.0)
    return largest * most * float(np.sqrt(square @ (paid**3).sum(axis=0) / paid.sum()))
