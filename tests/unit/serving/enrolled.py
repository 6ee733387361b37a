"""Servers of several toy journeys: one that has everybody, and three that contacts enter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import DAY_US
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.storage.store import Store
from tests.unit.envs.toy_journey import TOY, toy
from tests.unit.serving.contacts import Clock

MONDAY = 20_549 * DAY_US  # 2026-04-06, in UTC
SENDING: Any = "always:send:blue@15"
PERIODS = {"base": 6, "low": 3, "high": 4, "patient": 2}
TERMS: dict[str, dict[str, Any]] = {
    "low": {"rest_days": 2, "priority": 1},
    "high": {"enter": {"on": ["missed"]}, "leave": {"on": ["clicked"]}, "priority": 5},
    "patient": {"rest_days": 0, "priority": 1, "busy": "wait"},
}


def journey(name: str, terms: dict[str, Any] | None = None, **changes: Any) -> Journey:
    """A toy journey that buying ends, and to whose contacts mail may go once a day."""
    rails = {
        **TOY["guardrails"],
        "frequency_caps": [{"max": 1, "hours": 20}],
        "min_gap_hours": 0,
        "quiet_hours": [],
        "escalation_needs": [],
        "availability": False,
        **changes,
    }
    data = {
        "journey": name,
        "clock__periods": PERIODS.get(name, 4),
        "signals": {**TOY["signals"], "missed": {"type": "demo_missed"}},
        "terminals": ["left", "bounced", "bought"],
        "actions": {"slots": [15, "now"], "pauses": [1]},
        "messages": {"blue": TOY["messages"]["blue"]},
        "drip": {},
        "rules": [],
        "guardrails": rails,
    }
    own = TERMS.get(name) if terms is None else terms
    return toy(**data, **({} if own is None else {"enrolment": own}))


def parts(bundle: Bundle, own: Journey, policy: Any = SENDING) -> Bundle:
    """A bundle of a journey under a policy."""
    catalog, spec = ActionCatalog.of(own), FeatureSpec.of(own)
    made = build_policy(policy, PolicyContext(own, catalog, spec))
    return replace(
        bundle,
        journey=own, catalog=catalog, feature_spec=spec, policy=made, policy_id=f"of-{own.name}",
    )  # fmt: skip


def serving(
    bundle: Bundle,
    store: Store,
    clock: Clock,
    names: Sequence[str] = ("base", "low", "high", "patient"),
    policy: Any = SENDING,
) -> Service:
    """A server of these journeys, the first one first."""
    first, *further = (parts(bundle, journey(name), policy) for name in names)
    settings = ServerSettings("UTC", False, clock, seed=5)
    return Service(first, store, settings, further=further)
