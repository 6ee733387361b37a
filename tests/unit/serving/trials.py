"""Served experiments: a small journey with arms, and lives of contacts in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nurture_envs.clock import DAY_US, HOUR_US
from nurture_envs.journey import Journey
from nurture_envs.journey_file import parse_journey
from nurture_rl.errors import NurtureError
from nurture_rl.release.bundle import Bundle, write_bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.policies.bundle_folder import BundleFolder
from nurture_rl.serving.records import Contact, Decision
from nurture_rl.serving.storage.databases import Location
from nurture_rl.serving.storage.store import Store
from tests.unit.release.bundles import CREATED, content
from tests.unit.serving.contacts import MIDNIGHT, ZONE, Clock, contact

SHARES = {"policy": 0.4, "random": 0.2, "usual": 0.2, "holdout": 0.2}
SPRING: dict[str, Any] = {"name": "spring", "shares": SHARES, "salt": "s", "units": 400}
LEARNED: dict[str, Any] = {
    "kind": "mixture",
    "policy": {"kind": "rules"},
    "other": {"kind": "random", "weights": {"pause": 0.3, "send": 0.5, "escalate": 0.2}},
    "share": 0.7,
}
NAMES = tuple(f"c{i}" for i in range(60))
EVERYBODY = [contact(name) for name in NAMES]


def trial_journey(experiment: dict[str, Any] | None, **changes: Any) -> Journey:
    """The inbound-lead journey of the bundles' tests, with an experiment or without."""
    own = {**content(LEARNED).journey.resolved, **changes}
    return parse_journey(own if experiment is None else {**own, "experiment": experiment})


def trial_bundle(
    folder: Path, experiment: Any = SPRING, spec: Any = LEARNED, **changes: Any
) -> Bundle:
    """A bundle of such a journey."""
    own = trial_journey(experiment, **changes)
    return write_bundle(folder, replace(content(spec), journey=own), CREATED)


def trial_service(
    bundle: Bundle,
    location: Location,
    clock: Callable[[], int],
    folder: Path | None = None,
    people: Sequence[Contact] = EVERYBODY,
) -> Service:
    """A server of a bundle that knows some people."""
    store, settings = Store(location), ServerSettings(ZONE, False, clock, seed=11)
    store.put_contacts(people)
    try:
        return Service(bundle, store, settings, None if folder is None else BundleFolder(folder))
    except NurtureError:
        store.close()
        raise


def decided(
    served: Service, clock: Clock, day: float, names: Sequence[str] = NAMES
) -> dict[str, Decision]:
    """Decisions of a day, at seven in the morning; who was refused is left out."""
    clock.now_us = MIDNIGHT + round(day * DAY_US) + 7 * HOUR_US
    answers = served.decide([Ask(name, f"{name}-{day:g}") for name in names])
    return {one.contact_id: one for one in answers if isinstance(one, Decision)}
