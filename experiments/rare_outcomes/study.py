"""How often intervals cover when one decision in a hundred pays: exact sums, no simulation.

A uniform logger over K actions, a target that always takes one, a reward of 1 with chance p.
Matched outcomes are binomial with chance p/K, so the coverage of any interval that depends on their
number alone is a finite sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from experiments.rare_outcomes.bernstein import empirical_bernstein, hoeffding
from nurture_rl.ope.bounds.choose import chosen_for, clustered_interval
from nurture_rl.ope.bounds.few import binomial_interval
from nurture_rl.ope.bounds.rare_outcomes import MatchedShare, RareOutcomes
from nurture_rl.ope.bounds.weighted_rewards import Range
from nurture_rl.ope.clusters import clustered_stderr

FloatArray = NDArray[np.float64]

UNSEEN = 1e-7  # chance of matched counts left out of the sums


@dataclass(frozen=True, slots=True)
class Rare:
    """A log in which few decisions pay."""

    decisions: int  # n
    actions: int = 10  # K
    rate: float = 0.01  # p, of a reward of 1
    level: float = 0.95

    @property
    def matched_rate(self) -> float:
        """Chance that a decision is matched and pays."""
        return self.rate / self.actions


@dataclass(frozen=True, slots=True)
class Covered:
    """What an interval does over all logs of a kind."""

    coverage: float
    below: float  # share of logs whose whole interval lies below the value
    width: float  # mean, over the size of the value
    stderr: float = 0.0  # of the coverage, where it was simulated


Ends = tuple[float, float]
Maker = Callable[[Rare, int], Ends]


def exact_coverage(rare: Rare, make: Maker) -> Covered:
    """Coverage and mean width of an interval made from the number of matched outcomes."""
    n, chance = rare.decisions, rare.matched_rate
    counts = np.arange(
        stats.binom.ppf(UNSEEN, n, chance), stats.binom.ppf(1.0 - UNSEEN, n, chance) + 1
    ).astype(int)
    ends = np.array([make(rare, int(count)) for count in counts])
    weight = stats.binom.pmf(counts, n, chance)
    below, above = ends[:, 1] < rare.rate, ends[:, 0] > rare.rate
    return Covered(
        coverage=float(weight @ ~(below | above)),
        below=float(weight @ below),
        width=float(weight @ (ends[:, 1] - ends[:, 0])) / rare.rate,
    )


def totals_by_contact(rare: Rare, matched: int) -> FloatArray:
    """Weighted reward of each decision, every decision its own contact: K where matched, [n]."""
    totals = np.zeros(rare.decisions)
    totals[:matched] = rare.actions
    return totals


def outcomes_of(totals: FloatArray, rare: Rare, decisions_each: int = 1) -> RareOutcomes:
    """What `rare_outcomes` finds in such a log, from each contact's weighted rewards, [C].

    The weights are K or 0, so a further outcome weighs K.
    """
    n = rare.decisions
    share = MatchedShare(round(float(totals.sum()) / rare.actions), n, float(rare.actions))
    return RareOutcomes(
        gained=totals / n,
        lost=np.zeros_like(totals),
        further_gain=rare.actions / n,
        further_loss=0.0,
        episodes=np.full(totals.size, decisions_each / n),
        matched=share.successes,
        sparse=True,
        share=share if decisions_each == 1 else None,
    )


def _normal(rare: Rare, matched: int) -> Ends:
    share = matched / rare.decisions
    half = stats.norm.ppf(0.5 + rare.level / 2.0) * np.sqrt(share * (1 - share) / rare.decisions)
    return rare.actions * float(share - half), rare.actions * float(share + half)


def _wilson(rare: Rare, matched: int) -> Ends:
    n, share, z = rare.decisions, matched / rare.decisions, stats.norm.ppf(0.5 + rare.level / 2.0)
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return rare.actions * float(middle - half), rare.actions * float(middle + half)


def _clopper_pearson(rare: Rare, matched: int) -> Ends:
    found = binomial_interval(matched, rare.decisions, rare.level, rare.actions)
    return found.lower, found.upper


def _bernstein(rare: Rare, matched: int) -> Ends:
    """Not cut to the range, as tables of widths have it."""
    totals = totals_by_contact(rare, matched)
    found = empirical_bernstein(totals, Range(0.0, rare.actions), rare.level)
    return 2.0 * float(totals.mean()) - found.upper, found.upper


def _hoeffding(rare: Rare, matched: int) -> Ends:
    totals = totals_by_contact(rare, matched)
    found = hoeffding(totals, Range(0.0, rare.actions), rare.level)
    return 2.0 * float(totals.mean()) - found.upper, found.upper


def _chosen(rare: Rare, matched: int) -> Ends:
    return _ours(rare, outcomes_of(totals_by_contact(rare, matched), rare))


def _chosen_unaware(rare: Rare, matched: int) -> Ends:
    """As if nobody knew that all weights are equal: what unequal weights get."""
    found = outcomes_of(totals_by_contact(rare, matched), rare)
    return _ours(rare, replace(found, share=None))


def _ours(rare: Rare, outcomes: RareOutcomes) -> Ends:
    found = chosen_for(outcomes.net, outcomes.influence(), rare.level, outcomes)
    return found.lower, found.upper


MAKERS: Mapping[str, Maker] = {
    "normal": _normal,
    "Wilson × K": _wilson,
    "Clopper-Pearson × K": _clopper_pearson,
    "empirical Bernstein": _bernstein,
    "Hoeffding": _hoeffding,
    "chosen": _chosen,
    "chosen, weights not known to be equal": _chosen_unaware,
}


def clustered_coverage(
    rare: Rare, decisions_each: int, correlation: float, logs: int, rng: np.random.Generator
) -> dict[str, Covered]:
    """Coverage where contacts decide several times and differ in how easily they pay; simulated.

    Args:
        rare: the log; `decisions` in all.
        decisions_each: of a contact.
        correlation: of two rewards of one contact, in (0, 1): its rate is beta distributed.
        logs: how many are drawn.
        rng: draws them.

    Returns:
        The chosen interval and the plain clustered t, by name.
    """
    contacts = rare.decisions // decisions_each
    precision = (1.0 - correlation) / correlation
    ends: dict[str, list[Ends]] = {"clustered t": [], "chosen": []}
    for _ in range(logs):
        rate = rng.beta(rare.rate * precision, (1.0 - rare.rate) * precision, size=contacts)
        matched = rng.binomial(decisions_each, rate / rare.actions)
        totals = np.asarray(matched * float(rare.actions), dtype=np.float64)
        outcomes = outcomes_of(totals, rare, decisions_each)
        error = clustered_stderr(outcomes.influence())
        plain = clustered_interval(outcomes.net, error, contacts, rare.level)
        ends["clustered t"].append((plain.lower, plain.upper))
        ends["chosen"].append(_ours(rare, outcomes))
    return {name: simulated(np.array(own), rare.rate) for name, own in ends.items()}


def simulated(ends: FloatArray, value: float) -> Covered:
    """Coverage of drawn intervals, [logs, 2], with its binomial standard error."""
    below, above = ends[:, 1] < value, ends[:, 0] > value
    coverage = 1.0 - float((below | above).mean())
    return Covered(
        coverage=coverage,
        below=float(below.mean()),
        width=float((ends[:, 1] - ends[:, 0]).mean()) / abs(value),
        stderr=float(np.sqrt(coverage * (1.0 - coverage) / len(ends))),
    )
