"""A small bundle of the inbound-lead journey, with or without a learned core."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.journey_file import load_journey, parse_journey
from nurture_rl.release.bundle import Bundle, BundleContent, write_bundle
from nurture_rl.release.card import PolicyCard
from nurture_rl.release.gate import CandidateDifference, GateConfig, GateEvidence, gate
from nurture_rl.release.parity import normal_states

CREATED = datetime(2027, 3, 1, 12, tzinfo=UTC)
COMPOSITION: dict[str, Any] = {
    "kind": "mixture",
    "policy": {"kind": "drip"},
    "other": {"kind": "random", "weights": {"pause": 0.4, "send": 0.6}},
    "share": 0.5,
}
GUARDRAILS: dict[str, Any] = {
    "frequency_caps": [{"max": 2, "hours": 168}],
    "min_gap_hours": 40,
    "quiet_hours": [20, 8],
    "conversation": {"escalated": 2, "replied_question": 1},
    "opt_out": ["unsubscribed", "complained"],
    "hard_bounce": ["bounced"],
}


def journey() -> Journey:
    """The inbound-lead journey under guardrails that tests can count on."""
    return parse_journey({**load_journey("inbound_lead").resolved, "guardrails": GUARDRAILS})


def evidence() -> GateEvidence:
    """Evidence that passes."""
    return GateEvidence(
        candidate="core",
        reference="drip",
        unit="EUR",
        logged=CandidateDifference(4.0, 1.5, 6.5, 0.975),
        simulated=CandidateDifference(5.0, 4.0, 6.0, 0.975),
        overlap_feasible=True,
        overlap_text="",
        effective_sample_size=812.5,
        contacts=3000,
        verdict="better",
        verdict_text="",
    )


def card() -> PolicyCard:
    """A card with evidence."""
    found = evidence()
    return PolicyCard(
        title="A test policy",
        provenance="SYNTHETIC: made for tests",
        data_fingerprint="0123abcd",
        evidence=found,
        decision=gate(found, GateConfig()),
        supports=("choice of message",),
        limits=("nobody outside the test",),
    )


def content(
    spec: dict[str, Any] | None = None, model: bytes | None = None, of: Journey | None = None
) -> BundleContent:
    """What goes into the test bundle, or into one of another journey."""
    own = of or journey()
    catalog, features = ActionCatalog.of(own), FeatureSpec.of(own)
    d = len(features.columns)
    states = normal_states(
        np.zeros(d), np.ones(d), (64, len(catalog)), catalog.wait, np.random.default_rng(5)
    )
    return BundleContent(own, spec or COMPOSITION, model, states, card())


def small_bundle(folder: Path, of: Journey | None = None) -> Bundle:
    """Half drip, half random sends and pauses."""
    return write_bundle(folder, content(of=of), CREATED)
