"""A store of two journeys with every guardrail on, in which everything may have happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import DAY_US, HOUR_US
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_rl.release.bundle import Bundle, BundleContent, write_bundle
from nurture_rl.release.parity import normal_states
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.records import Contact, Event, Preferences
from nurture_rl.serving.storage import opening
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.upkeep.erasing import erase_contacts
from tests.unit.envs.spring_journey import CAPS, spring
from tests.unit.release.bundles import CREATED, card
from tests.unit.serving.enrolled import journey as entered
from tests.unit.serving.mask_people import IDLE, PARTS, WAITS, a_wish, event_of

ZONES = (None, "UTC", "Europe/Berlin", "America/New_York", "Pacific/Auckland", "Mars/Phobos")
DOMAINS = ("gmail.com", "web.de", "firm.example", None)
START = 20_553 * DAY_US  # 2026-04-10
NOW = START + DAY_US + 13 * HOUR_US  # in Auckland, a day without mail has begun
PEOPLE = [f"lead-{i:03}" for i in range(240)]
ENTERED = [f"in-{i:02}" for i in range(40)]
SHARES = (0.5, 0.3, 0.15, 0.05)  # of reports on mails
POLICY = {"kind": "random", "weights": {"send": 6.0, "pause": 1.0, "escalate": 2.0, "exit": 0.3}}


def journeys() -> tuple[Journey, Journey]:
    """One that has everybody, under every guardrail there is, and one that contacts enter."""
    strict = {
        "guardrails__account": {"caps": [{"max": 1, "hours": 24}], "conversation": True},
        "guardrails__volume": {"warm_up": [2, 3]},
        "guardrails__seller_capacity": {"per_day": 6, "open": 9, "closed_by": ["meeting_held"]},
        "guardrails__inactivity": IDLE,
        "guardrails__availability": False,  # a batch is told of nobody whether they are in reach
        "guardrails__frequency_caps": [*CAPS, {"max": 2, "hours": 200, "job": "activate"}],
        **{name: limit for name, limit in WAITS.items() if name != "guardrails__quiet_hours"},
    }
    return spring(messages=PARTS, **strict), entered("low")


def bundle_of(folder: Path, journey: Journey, policy: Mapping[str, Any] = POLICY) -> Bundle:
    """A bundle of a journey whose policy draws any action."""
    catalog, d = ActionCatalog.of(journey), len(FeatureSpec.of(journey).columns)
    size = (16, len(catalog))
    states = normal_states(np.zeros(d), np.ones(d), size, catalog.wait, np.random.default_rng(5))
    return write_bundle(folder, BundleContent(journey, policy, None, states, card()), CREATED)


def service_at(bundles: Sequence[Bundle], store: Store, now_us: int) -> Service:
    """A server whose clock stands."""
    settings = ServerSettings("Europe/Berlin", True, lambda: now_us)
    return Service(bundles[0], store, settings, further=bundles[1:])


def busy_store(path: Path, bundles: Sequence[Bundle]) -> None:
    """Make the store: a day of decisions, then reports, words, wishes, pauses and erasures."""
    rng, journey = np.random.default_rng(3), bundles[0].journey
    opening.make(path, fresh_seed=3)  # a seed of the machine's may draw no offer to its last
    with closing(Store(path)) as store:
        server = service_at(bundles, store, START + 9 * HOUR_US)
        server.put_contacts([_contact(rng, i, name) for i, name in enumerate(PEOPLE + ENTERED)])
        for name in ENTERED:
            server.enrolling.enrol("low", name, "a person", "asked for a demo")
        server.append_events(_events(rng, journey, START + 9 * HOUR_US))
        server.decide([Ask(name, f"first {name}") for name in (*PEOPLE[::3], *ENTERED[::2])])
        server = service_at(bundles, store, NOW)
        server.append_events(_reports(store, rng))
        for name in PEOPLE[::5]:
            wish = a_wish(journey, rng, NOW)
            if wish != Preferences():
                store.put_preferences(name, wish, (), ())
        for name in ENTERED[:6:2]:
            server.enrolling.hold("low", name, "a person", "is on holiday", True)
        server.put_contacts([_contact(rng, 1, "back"), _contact(rng, 2, "gone")])
    erase_contacts(path, [PEOPLE[7], "back", "gone"], "asked")
    with closing(Store(path)) as store:
        service_at(bundles, store, NOW).put_contacts([_contact(rng, 1, "Back")])


def _contact(rng: np.random.Generator, i: int, name: str) -> Contact:
    domain = DOMAINS[rng.integers(len(DOMAINS))]
    return Contact(
        name,
        f"account-{i // 4}" if rng.random() < 0.5 else None,
        ZONES[rng.integers(len(ZONES) - (rng.random() < 0.9))],
        [1.0, 0.4][int(rng.random() < 0.1)],
        bool(rng.random() < 0.93),
        {"size": float(rng.integers(0, 5)), "tariff": "team", "email_domain": domain},
    )


def _events(rng: np.random.Generator, journey: Journey, now_us: int) -> list[Event]:
    """Of each contact none to four, of some more than forty."""
    told = []
    for name in PEOPLE + ENTERED:
        for k in range(45 if rng.random() < 0.08 else rng.integers(0, 5)):
            at_us = now_us - int(rng.integers(0, 900)) * HOUR_US // 4
            told.append(replace(event_of(journey, rng, f"{name} {k}", at_us), contact_id=name))
    return told


def _reports(store: Store, rng: np.random.Generator) -> list[Event]:
    """That some of the mails of the first day went, and that some did harm."""
    told = []
    for block in store.scan("decisions"):
        for decision_id, contact_id, *_ in block:
            kind = rng.choice(["sent", "delivered", "soft_bounce", "complaint"], p=SHARES)
            if rng.random() < 0.6:
                at_us = START + 11 * HOUR_US
                told.append(
                    Event(
                        f"of {decision_id}", contact_id, at_us, at_us, str(kind),
                        message_id="mc-77", decision_id=decision_id,
                    )
                )  # fmt: skip
    return told
