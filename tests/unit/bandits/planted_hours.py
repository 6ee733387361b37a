"""Twelve messages at 24 hours, and journeys whose hours count or do not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
