"""Logs of a journey with lost deals, in which content on price helps after that reason or not."""

from __future__ import annotations

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.journey_file import load_journey, parse_journey
from nurture_rl.decisions import Decisions


def losing_journey() -> Journey:
    """The inbound lead with two reasons of a lost deal."""
    plain = dict(load_journey("inbound_lead").resolved)
    lost = {
        f"lost_to_{word}": {"type": "opportunity_closed", "stage": "lost", "topic": word}
        for word in ("price", "no_fit")
    }
    asked = {f"ever_{name}": {"kind": "ever", "of": [name]} for name in lost}
    signals, features = plain["signals"] | lost, plain["features"] | asked
    return parse_journey(plain | {"signals": signals, "features": features})


def planted_log(journey: Journey, seed: int, effect: float, contacts: int = 3000) -> Decisions:
    """Two decisions a contact, every legal action alike; `pricing_guide` after a price helps.

    Args:
        journey: by `losing_journey`.
        seed: of all that is drawn.
        effect: on the decision's reward, of the guide where a deal was lost to its price.
        contacts: half of them are held out.
    """
    rng = np.random.default_rng(seed)
    catalog, spec = ActionCatalog.of(journey), FeatureSpec.of(journey)
    n, a, c = 2 * contacts, len(catalog), len(journey.channels)
    contact = np.repeat(np.arange(contacts), 2)
    features = np.zeros((n, len(spec.columns)), np.float32)
    features[:, spec.column("day")] = np.tile([0, 3], contacts)
    features[:, spec.column("company_size")] = rng.normal(4, 1, contacts)[contact]
    reason = rng.integers(0, 2, contacts)  # one a contact
    for place, name in enumerate(("price", "no_fit")):
        features[:, spec.column(f"ever_lost_to_{name}")] = (reason == place)[contact]
    mask = np.ones((n, a), bool)
    action = rng.integers(0, a, n)
    guides = [at for at, one in enumerate(catalog.ids) if "pricing_guide" in one]
    helped = np.isin(action, guides) & (features[:, spec.column("ever_lost_to_price")] > 0)
    size = features[:, spec.column("company_size")]
    reward = rng.normal(0.0, 1.0, n) + 0.3 * (size - 4) + effect * helped
    return Decisions(
        features=features,
        mask=mask,
        action=action,
        propensity=np.full(n, 1 / a),
        probabilities=np.full((n, a), 1 / a),
        reward=reward.astype(np.float64),
        amounts=np.zeros((n, c)),
        episode=contact.copy(),
        step=np.tile([0, 3], contacts),
        contact=contact,
        cluster=contact,
        terminal=np.zeros(n, bool),
        matured=np.ones(n, bool),
        complete=np.ones(n, bool),
        available=np.ones(n, bool),
        held_out=(contact % 2).astype(bool),
        age=np.full(n, 30),
        event_delay=None,
        when=np.full(n, 20_000),
    )
