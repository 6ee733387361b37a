"""Whether what was drawn fits the chances that were logged: actions, arms, and rare actions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nurture_rl.serving.records import ArmCounts, Decision
from nurture_rl.serving.roles import PolicyChange

_ERROR = 1e-6  # chance that a sound log is called unsound, per check


@dataclass(slots=True)
class ActionChances:
    """How often each action was taken, and how often its propensities promise it."""

    promised: NDArray[np.float64]  # [a], sum of the probabilities
    variance: NDArray[np.float64]  # [a], of the number of times
    taken: NDArray[np.float64]  # [a]
    decisions: int = 0

    @classmethod
    def of(cls, actions: int) -> ActionChances:
        """Nothing yet."""
        return cls(np.zeros(actions), np.zeros(actions), np.zeros(actions))


@dataclass(frozen=True, slots=True)
class Drift:
    """The action that was taken most beyond or below what was promised."""

    action: str
    promised: float  # share of decisions
    taken: float  # share of decisions
    most: float  # largest difference of the shares that chance makes


@dataclass(slots=True)
class LoggedChances:
    """The chances of decisions: what they promise, and how small those of the actions taken get."""

    floor: float  # a propensity below it is counted
    catalogs: Mapping[str, Sequence[str]]  # action ids by the hash of their catalogue
    below: int = 0  # decisions whose action had a propensity below the floor
    wrong: int = 0  # decisions whose propensity is not the probability of their action
    decisions: int = 0
    smallest: float = 1.0
    actions: dict[str, ActionChances] = field(default_factory=dict)  # by catalogue

    def add(self, decision: Decision) -> None:
        """Count a decision; one of a catalogue that nobody knows has a propensity alone."""
        self.decisions += 1
        self.smallest = min(self.smallest, decision.propensity)
        self.below += decision.propensity < self.floor
        ids = self.catalogs.get(decision.catalog, ())
        if decision.action not in ids or len(ids) != len(decision.probabilities):
            return
        chances, taken = np.array(decision.probabilities), ids.index(decision.action)
        self.wrong += decision.probabilities[taken] != decision.propensity
        found = self.actions.setdefault(decision.catalog, ActionChances.of(len(ids)))
        found.promised += chances
        found.variance += chances * (1.0 - chances)
        found.taken[taken] += 1.0
        found.decisions += 1

    def drifts(self) -> list[Drift]:
        """The worst action of each catalogue."""
        return [self._drift(name, found) for name, found in self.actions.items()]

    def _drift(self, name: str, found: ActionChances) -> Drift:
        most = beyond_chance(found.variance, len(found.taken))
        worst = int(np.argmax(np.abs(found.taken - found.promised) / most))
        n = found.decisions
        shares = (float(of[worst]) / n for of in (found.promised, found.taken, most))
        return Drift(self.catalogs[name][worst], *shares)


def beyond_chance(variance: NDArray[np.float64], tried: int) -> NDArray[np.float64]:
    """How far sums of independent draws are from their mean at most, but for one case in a million.

    Args:
        variance: of the sums, [n]; each draw is 0 or 1.
        tried: sums that are looked at together, >= 1.

    Source: Bernstein's inequality; see Boucheron, Lugosi & Massart (2013), Concentration
        Inequalities, section 2.8.
    """
    log = math.log(2.0 * tried / _ERROR)
    return np.asarray(log / 3.0 + np.sqrt(log * log / 9.0 + 2.0 * log * variance), np.float64)


@dataclass(frozen=True, slots=True)
class CanaryShare:
    """How many contacts a canary has of those whose episode began since it has its share."""

    arm: str
    asked: float  # the share that it was given
    found: float
    contacts: int
    most: float  # largest difference that chance makes


def canary_since(changes: Sequence[PolicyChange]) -> int | None:
    """Since when the canary of today has its share, microseconds since 1970 UTC.

    Args:
        changes: of roles, the oldest first.

    Returns:
        None where there is no canary.
    """
    since: int | None = None
    last = changes[-1].after if changes else None
    for change in reversed(changes):
        after = change.after
        if last is None or last.canary is None:
            return None
        if (after.canary, after.share) != (last.canary, last.share):
            break
        since = change.at_us
    return since


def canary_share(arm: str, asked: float, counts: Mapping[str, ArmCounts]) -> CanaryShare | None:
    """Hold a canary's contacts against its share; None: nobody's episode has begun since.

    Args:
        arm: of its decisions.
        asked: the share that it was given, in (0, 1).
        counts: contacts whose episode began since, by arm.
    """
    contacts = sum(one.contacts for one in counts.values())
    if not contacts:
        return None
    mine = counts[arm].contacts if arm in counts else 0
    most = float(beyond_chance(np.array([contacts * asked * (1.0 - asked)]), 1)[0])
    return CanaryShare(arm, asked, mine / contacts, contacts, most / contacts)
