"""Single sends to four industries, of which one values a proof and a topic goes with a proof."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nurture_rl.learned.training_log import TrainingLog
from tests.unit.bandits.planted_hours import PROOFS, TOPICS, catalog_of, message
from tests.unit.bandits.planted_log import log_of

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

INDUSTRIES = ("software", "finance", "health", "retail")
COLUMNS = (*(f"industry={name}" for name in INDUSTRIES), "visits")
# Two messages of each topic and proof, so that a pair is more than one message's own effect.
PROVEN = catalog_of(
    {
        f"{topic}_{proof}_{copy}": message(topic, proof)
        for topic in TOPICS
        for proof in PROOFS
        for copy in ("a", "b")
    },
    (9,),
)
SENDS = np.flatnonzero(PROVEN.routed("send"))
SEGMENT, VALUED = "health", "case_study"  # what one industry alone values
PAIR = ("security", "number")  # the topic that goes with a proof


@dataclass(frozen=True, slots=True)
class ProofLog:
    """Replies, 1 or 0, to sends of even chances, two to a contact, who replies readily or not."""

    seed: int
    segment: float = 0.0  # chance of a reply that the proof adds in the segment
    pair: float = 0.0  # chance of a reply that the pair adds
    sends: int = 8000

    def chances(self, industry: NDArray[np.int64]) -> FloatArray:
        """Of a reply, [n, a]; 10 % but for what is planted."""
        topics, proofs = marks("topic", PAIR[0]), marks("proof", PAIR[1])
        valued = (industry == INDUSTRIES.index(SEGMENT))[:, None] & marks("proof", VALUED)
        chance = 0.1 + self.segment * valued + self.pair * (topics & proofs)
        return np.asarray(chance, np.float64)

    def log(self) -> TrainingLog:
        """The decisions."""
        rng, n = np.random.default_rng([self.seed, 7]), self.sends
        industry = rng.integers(0, len(INDUSTRIES), n // 2).repeat(2)
        visits = rng.normal(size=n // 2).repeat(2)
        readiness = rng.uniform(0.5, 1.5, n // 2).repeat(2)
        action = rng.choice(SENDS, n)
        chance = readiness * self.chances(industry)[np.arange(n), action]
        reply = (rng.random(n) < chance).astype(np.float64)
        features = np.column_stack([np.eye(len(INDUSTRIES))[industry], visits]).astype(np.float32)
        mask = np.tile(PROVEN.routed("send"), (n, 1))
        rows = log_of(features, mask, action, reply, np.full(n, 1.0 / SENDS.size), PROVEN)
        return replace(rows, columns=COLUMNS)


def marks(factor: str, level: str) -> BoolArray:
    """Which actions have a level of a message's factor, [a]."""
    about = [action.message for action in PROVEN.actions]
    return np.array([m is not None and getattr(m, factor) == level for m in about])
