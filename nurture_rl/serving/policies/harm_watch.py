"""A canary that does more harm than the journey's limits allow is rolled back by itself.

The limits are those that a release is held against: `at_most` per contact, decision or send, and
`above_reference` per contact beyond the champion, over contacts whose episode began since the
canary did. Bounds hold at all times at once, so that looking every minute stops no good canary more
often than the level says.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping

from nurture_envs.journey import HarmLimit, Journey
from nurture_rl.serving import roles as changes
from nurture_rl.serving.layers import ARM, canary_arm
from nurture_rl.serving.policies.active_policies import SERVER, ActivePolicies
from nurture_rl.serving.records import ArmCounts
from nurture_rl.serving.storage.reading import StoreReader

LEVEL = 0.95  # chance that a canary that keeps to all limits is never rolled back

_log = logging.getLogger(__name__)


class HarmWatch:
    """Looks at the canary's harms."""

    def __init__(self, journey: Journey, store: StoreReader, policies: ActivePolicies) -> None:
        self._journey, self._store, self._policies = journey, store, policies

    def look(self) -> str | None:
        """Roll the canary back where it breaks a limit.

        Returns:
            Why it was rolled back; None: it was not, or there is none.

        Raises:
            RoleError: the roles changed meanwhile.
            StoreUnavailable: the store cannot be read or written.
        """
        name = self._policies.lineup.roles.canary
        if name is None:
            return None
        for limit in self._journey.limits:
            broken = self._broken(limit, name)
            if broken is not None:
                change = changes.stopped(name)
                self._policies.change("rollback", name, change, SERVER, broken)
                _log.warning("canary %s was rolled back: %s", name, broken)
                return broken
        return None

    def _broken(self, limit: HarmLimit, name: str) -> str | None:
        signals = [one.filters() for one in self._journey.signals if one.name in limit.of]
        after = self._store.last_before(self._journey.name, self._policies.since(name))
        counts = self._store.arm_counts(self._journey.name, after, signals)
        error = (1.0 - LEVEL) / len(self._journey.limits)
        return broken_limit(limit, counts.get(canary_arm(name)), counts.get(ARM), error)


def broken_limit(
    limit: HarmLimit, canary: ArmCounts | None, champion: ArmCounts | None, error: float
) -> str | None:
    """What a canary is shown to do beyond a limit, in words; None: nothing is shown.

    Args:
        limit: the harm and what is acceptable.
        canary: what became of its contacts; None: it had none.
        champion: the same of contacts whose episode began at the same time.
        error: chance of being wrong, ever, where the limit is kept.
    """
    if canary is None:
        return None
    if limit.at_most is not None:
        units: Mapping[str, int] = {
            "contact": canary.contacts,
            "decision": canary.decisions,
            "send": canary.sends,
        }
        least = least_rate(canary.harmed, units[limit.per], error / 2.0)
        if least > limit.at_most:
            return (
                f"{limit.name}: at least {least:.3g} per {limit.per} ({canary.harmed} harmed of "
                f"{canary.contacts} contacts), {limit.at_most:g} is the limit"
            )
    if limit.above_reference is not None and champion is not None:
        least = least_rate(canary.harmed, canary.contacts, error / 4.0)
        most = 1.0 - least_rate(champion.contacts - champion.harmed, champion.contacts, error / 4.0)
        if least - most > limit.above_reference:
            return (
                f"{limit.name}: at least {least - most:.3g} per contact beyond the champion "
                f"({canary.harmed} harmed of {canary.contacts} contacts, {champion.harmed} of "
                f"{champion.contacts}), {limit.above_reference:g} is the limit"
            )
    return None


def least_rate(events: int, trials: int, error: float) -> float:
    """A lower bound of a rate that holds after every trial at once, with chance 1 - error.

        the smallest p with  B(h + 1/2, n - h + 1/2) / B(1/2, 1/2)  <  p^h (1 - p)^(n - h) / error

    Args:
        events: trials that had one, h.
        trials: n; more events than trials count as one each.
        error: chance that the rate is ever below the bound, in (0, 1).

    Source: Robbins (1970), Statistical Methods Related to the Law of the Iterated Logarithm: the
        mixture of likelihood ratios is a martingale under the true rate, and Ville's inequality.
    """
    trials = max(trials, events)
    if events == 0:
        return 0.0
    others = trials - events
    mixed = _log_beta(events + 0.5, others + 0.5) - _log_beta(0.5, 0.5)
    low, high = 0.0, events / trials
    for _ in range(60):
        p = (low + high) / 2.0
        rest = others * math.log1p(-p) if others else 0.0
        against = mixed - events * math.log(p) - rest
        low, high = (p, high) if against >= -math.log(error) else (low, p)
    return low


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
