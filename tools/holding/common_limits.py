"""What clients share: a journey with limits of accounts and of all, and what was seen of them."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_rl.release.bundle import BundleContent, write_bundle
from nurture_rl.release.parity import normal_states
from tests.unit.envs.spring_journey import OFFERS, spring
from tests.unit.release.bundles import CREATED, card
from tests.unit.serving.mask_people import IDLE, PARTS, WAITS
from tools.holding.person import Person

# What depends on others, too: the client cannot foresee it, and looks at it in the end.
SHARED = {
    "account_cap",
    "account_conversation",
    "out_of_stock",
    "seller_capacity",
    "volume_ramp",
}
ACCOUNT = {"max": 3, "hours": 60}
PIECES, CALLS_A_DAY, MAILS_A_DAY = 40, 30, 25
DOMAINS = ("acme.com", "gmail.com", "mail.yahoo.com", "")
FAMILIES = ("business", "google", "yahoo", "unknown")  # of these domains
_MAILS = {"kind": "random", "weights": {"send": 0.8, "pause": 0.17, "slow": 0.01, "escalate": 0.02}}


def journey(scarce: bool = True) -> Journey:
    """Every rule of contacts and accounts.

    Args:
        scarce: with what everybody shares, for which contacts are decided one after the other;
            else with what mail waits for.
    """
    if not scarce:
        offers = {
            name: {k: v for k, v in offer.items() if k != "inventory"}
            for name, offer in OFFERS.items()
        }
        return spring(
            offers={name: offer for name, offer in offers.items() if offer},
            messages=PARTS,
            guardrails__frequency_caps=[{"max": 3, "hours": 96}],
            guardrails__min_gap_hours=2,
            guardrails__account={"caps": [ACCOUNT], "conversation": True},
            **WAITS,
        )
    offers = {name: dict(offer) for name, offer in OFFERS.items()}
    offers["gift"] |= {"inventory": PIECES}
    return spring(
        offers=offers,
        guardrails__inactivity=IDLE,
        guardrails__account={"caps": [ACCOUNT], "conversation": True},
        guardrails__seller_capacity={"per_day": CALLS_A_DAY},
        guardrails__volume={"warm_up": [MAILS_A_DAY] * 60},
    )


def write_journey_bundle(folder: Path, own: Journey) -> Path:
    """A bundle of a journey whose policy takes every legal action."""
    catalog, d = ActionCatalog.of(own), len(FeatureSpec.of(own).columns)
    rng = np.random.default_rng(5)
    states = normal_states(np.zeros(d), np.ones(d), (16, len(catalog)), catalog.wait, rng)
    write_bundle(folder, BundleContent(own, _MAILS, None, states, card()), CREATED)
    return folder


@dataclass(slots=True)
class Crowd:
    """What all clients share: the servers, who was made up so far, and what was found."""

    urls: Sequence[str]
    goal: int  # decisions
    accounts: int
    key: EllipticCurvePrivateKey  # by which the sender signs
    each: int = 12  # contacts of a client at a time
    until: float = math.inf  # of `time.monotonic`; nothing new begins after it
    counts: Counter[str] = field(default_factory=Counter)
    parted: list[str] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)
    contested: list[tuple[str, str, int, int | None]] = field(default_factory=list)
    blocked: list[tuple[str, str, int]] = field(default_factory=list)  # why, account, moment
    full: list[tuple[str, int]] = field(default_factory=list)  # family and day of no more mail
    calls: list[int] = field(default_factory=list)  # moments of escalations
    door: threading.Lock = field(default_factory=threading.Lock)

    def is_over(self) -> bool:
        """Whether there is nothing more to do."""
        late = time.monotonic() > self.until
        return late or self.counts["decisions"] >= self.goal or len(self.parted) >= 5
