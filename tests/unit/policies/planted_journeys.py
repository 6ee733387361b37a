"""Journeys and contexts that the tests of policies share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_envs.features.spec import FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.journey_file import load_journey, parse_journey
from nurture_rl.policies.build import PolicyContext
from nurture_rl.policies.policy import Policy

_SHIPPED = load_journey("inbound_lead").resolved
# Without what names messages and holds on servers alone: tests replace the messages.
_GUARDRAILS = {name: one for name, one in _SHIPPED["guardrails"].items() if name != "served"}

# The shipped program may be retuned; the numbers of these tests belong to this one.
INBOUND = parse_journey(
    {
        **_SHIPPED,
        "guardrails": _GUARDRAILS,
        "clock": {"period_hours": 24, "slots_hours": [0], "periods": 14},
        "actions": {"slots": [9, 15], "pauses": [1, 3], "escalate": True, "exit": True},
        "drip": {
            0: "send:welcome@09",
            3: "send:security_brief@09",
            7: "send:integration_story@09",
            10: "send:book_a_call@09",
        },
        "rules": [
            {
                "when": {"pricing_views_7d": ">= 2", "days_since_escalation": ">= 14"},
                "do": "escalate",
            },
            {"when": {"unanswered_sends": ">= 3"}, "do": "pause:3"},
            {"when": {"clicked_pricing": ">= 1"}, "do": "send:book_a_call@09"},
        ],
        "expert": [
            {"when": {"form_topic=pricing": ">= 1"}, "do": "send:pricing_guide@15"},
            {"when": {"ever_asked": ">= 1", "days_since_escalation": ">= 14"}, "do": "escalate"},
        ],
    }
)


def context_of(
    journey: Journey, load_model: Callable[[str], Policy] | None = None
) -> PolicyContext:
    """The context in which a journey's policies are built."""
    return PolicyContext(journey, ActionCatalog.of(journey), FeatureSpec.of(journey), load_model)


def changed(**parts: object) -> Journey:
    """The inbound journey with some top-level keys replaced."""
    return parse_journey({**INBOUND.resolved, **parts})


def features(journey: Journey, n: int, **columns: object) -> NDArray[np.float32]:
    """Contexts that are 0 but for the named columns, [n, d]."""
    spec = FeatureSpec.of(journey)
    rows = np.zeros((n, len(spec.columns)), np.float32)
    for name, values in columns.items():
        rows[:, spec.column(name)] = np.asarray(values, np.float32)
    return rows


def all_legal(journey: Journey, n: int) -> NDArray[np.bool_]:
    """Masks that forbid nothing, [n, a]."""
    return np.ones((n, len(ActionCatalog.of(journey))), np.bool_)


def without(journey: Journey, n: int, *action_ids: str) -> NDArray[np.bool_]:
    """Masks that forbid the named actions, [n, a]."""
    mask = all_legal(journey, n)
    mask[:, ActionCatalog.of(journey).indices(action_ids)] = False
    return mask
