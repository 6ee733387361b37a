"""Twelve messages at 24 hours, and journeys whose hours count or do not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_rl.learned.training_log import TrainingLog
from tests.unit.bandits.planted_log import log_of
from tests.unit.policies.planted_journeys import INBOUND, changed

FloatArray = NDArray[np.float64]

TOPICS = ("security", "integration", "pricing", "product")
PROOFS = ("none", "number", "case_study")


def message(topic: str, proof: str) -> dict[str, Any]:
    """A message's entry in a journey file."""
    shipped = INBOUND.resolved["messages"]["welcome"]
    return {**shipped, "topic": topic, "proof": proof, "offer": "none", "call_to_action": "read"}


def catalog_of(messages: dict[str, dict[str, Any]], slots: Sequence[int]) -> ActionCatalog:
    """Sends of the messages at the slots, and one pause."""
    return ActionCatalog.of(
        changed(
            messages=messages,
            actions={"slots": list(slots), "pauses": [1]},
            drip={},
            rules=[],
            expert=[],
        )
    )


TWELVE = {f"{topic}_{proof}": message(topic, proof) for topic in TOPICS for proof in PROOFS}
WIDE = catalog_of(TWELVE, range(24))  # 288 sends and a pause


_TOPIC = dict(zip(TOPICS, (-0.3, -0.1, 0.1, 0.3), strict=True))
_PROOF = dict(zip(PROOFS, (0.0, 0.25, 0.5), strict=True))
PAIR = ("security", 15)  # the weakest topic, in the afternoon
PAIRED = 1.6  # what the pair adds; without it another message in the morning is best


def planted_cells(together: float = PAIRED) -> FloatArray:
    """Mean of each action of `WIDE`: factors add up, but for one topic at one hour, [289].

    Args:
        together: what the pair of topic and hour adds.
    """
    means = np.zeros(len(WIDE))
    for place, action in enumerate(WIDE.actions):
        if action.message is not None:
            about = action.message
            day = 0.4 * np.cos((action.slot - 10) * np.pi / 12.0)
            pair = together * ((about.topic, action.slot) == PAIR)
            means[place] = _TOPIC[about.topic] + _PROOF[about.proof] + day + pair
    return means


def sends_log(
    catalog: ActionCatalog,
    means: Callable[[FloatArray], FloatArray],
    features: NDArray[np.float32],
    noise: float,
    rng: np.random.Generator,
    actions: NDArray[np.int64] | None = None,
) -> TrainingLog:
    """Single decisions of even chances over some actions, two a contact.

    Args:
        catalog: the actions.
        means: contexts [n, d] -> expected returns [n, a].
        features: contexts, [n, d].
        noise: standard deviation of a return.
        rng: draws actions and noise.
        actions: which may be drawn; all if None.
    """
    n = len(features)
    drawn = np.arange(len(catalog)) if actions is None else actions
    action = rng.choice(drawn, n)
    returns = means(features.astype(np.float64))[np.arange(n), action] + rng.normal(0.0, noise, n)
    mask = np.ones((n, len(catalog)), np.bool_)
    return log_of(features, mask, action, returns, np.full(n, 1.0 / drawn.size), catalog)


EIGHT = catalog_of({"welcome": message("product", "none")}, range(0, 24, 3))
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WEEK_COLUMNS = ("early=yes", "zone_known", *(f"weekday={day}" for day in DAYS))


@dataclass(frozen=True, slots=True)
class HourLog:
    """Sends at random hours to contacts with two decisions each, on random days.

    Early people answer best at 9, the others at 18; all a little better on Tuesdays, and what
    follows a Monday is worth more whatever is done. Of contacts of unknown zone the hours are off
    by up to 9 hours. Each contact has luck of its own.
    """

    contacts: int
    seed: int
    gain: float  # between the best hour and the worst, the return's unit
    unknown: float = 0.0  # share of contacts of unknown zone
    early: float = 0.5  # share of early people
    drip: float = 0.0  # share of Mondays' decisions that send at 9

    def contexts(self) -> tuple[NDArray[np.float32], FloatArray]:
        """Features [n, 9] and the hours that a contact's clock is ahead, [n]."""
        rng, n = np.random.default_rng([self.seed, 5]), self.contacts
        early, known = rng.random(n) < self.early, rng.random(n) >= self.unknown
        gap = np.where(known, 0, rng.integers(-9, 10, n)).repeat(2)
        weekday = np.eye(7)[rng.integers(0, 7, 2 * n)]
        flags = np.column_stack([early, known]).repeat(2, axis=0)
        return np.hstack([flags, weekday]).astype(np.float32), gap.astype(np.float64)

    def means(self, features: FloatArray, gap: FloatArray) -> FloatArray:
        """Expected returns, [n, a]; a pause earns 0.5, a mean hour of sending 1."""
        best = np.where(features[:, :1] > 0.5, 9.0, 18.0)
        fit = np.cos((EIGHT.slots + gap[:, None] - best) * (np.pi / 12.0)) / 2.0
        sends = EIGHT.routed("send")
        tuesday = 0.3 * features[:, 3:4]
        return np.where(sends, 1.0 + self.gain * fit + tuesday, 0.5)

    def log(self) -> TrainingLog:
        """The decisions."""
        rng, (features, gap) = np.random.default_rng([self.seed, 6]), self.contexts()
        n = len(features)
        action = rng.integers(0, len(EIGHT), n)
        monday = features[:, 2] > 0.5
        fixed = monday & (rng.random(n) < self.drip)
        action = np.where(fixed, EIGHT.index("send:welcome@09"), action)
        means = self.means(features.astype(np.float64), gap)
        luck = rng.exponential(1.0, self.contacts).repeat(2)  # heavy and shared, as returns are
        returns = means[np.arange(n), action] + luck + rng.normal(0.0, 1.0, n) + 2.0 * monday
        mask = np.ones((n, len(EIGHT)), np.bool_)
        rows = log_of(features, mask, action, returns, None, EIGHT)
        return replace(rows, columns=WEEK_COLUMNS)
