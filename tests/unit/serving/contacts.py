"""Contacts, events and a service of the small bundle, on a clock that tests set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nurture_envs.clock import DAY_US, HOUR_US
from nurture_rl.policies.policy import Policy
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.deciding.served_journey import JourneyLog
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.policies.active_policies import ActivePolicies
from nurture_rl.serving.records import Contact, ContactView, Episode, Event
from nurture_rl.serving.storage.store import Store

ZONE = "Europe/Berlin"
# Monday 2027-03-01 00:00 in Berlin, which is one hour ahead of UTC then.
MIDNIGHT_LOCAL = 20_878 * DAY_US
MIDNIGHT = MIDNIGHT_LOCAL - HOUR_US
ATTRIBUTES = {"company_size": 5, "industry": "software", "form_topic": "security"}


@dataclass(slots=True)
class Clock:
    """A clock that stands still until a test moves it."""

    now_us: int = MIDNIGHT

    def __call__(self) -> int:
        return self.now_us


def contact(name: str = "ada", **changes: Any) -> Contact:
    """A contact who may be written to."""
    cells: dict[str, Any] = {
        "contact_id": name,
        "account_id": None,
        "time_zone": ZONE,
        "zone_confidence": 1.0,
        "consent": True,
        "attributes": ATTRIBUTES,
    }
    return Contact(**{**cells, **changes})


def event(kind: str, at_us: int, name: str = "ada", **columns: Any) -> Event:
    """An event that is recorded when it happens, unless told otherwise."""
    cells: dict[str, Any] = {
        "event_id": f"{name}-{kind}-{at_us}",
        "contact_id": name,
        "occurred_us": at_us,
        "recorded_us": at_us,
        "type": kind,
    }
    return Event(**{**cells, **columns})


def view(*events: Event, **changes: Any) -> ContactView:
    """A contact at the start of an episode anchored on that Monday."""
    cells: dict[str, Any] = {
        "decision_id": "d-1",
        "contact": contact(),
        "events": events,
        "episode": Episode("e-1", MIDNIGHT_LOCAL),
        "sends": (),
    }
    return ContactView(**{**cells, **changes})


def service(bundle: Bundle, path: Path, clock: Clock, simulated: bool = False) -> Service:
    """A service over a fresh store that knows ada and bob."""
    store = Store(path)
    store.put_contacts([contact("ada"), contact("bob")])
    return Service(bundle, store, ServerSettings(ZONE, simulated, clock, seed=11))


def follow(served: Service, policy: Policy) -> None:
    """Let a service decide by another policy from now on."""
    bundle, clock = replace(served.bundle, policy=policy), served.settings.clock
    log = JourneyLog(served.store, served.first.name)
    served.first.policies = ActivePolicies(bundle, log, clock)
