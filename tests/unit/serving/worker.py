"""A server's process without HTTP: decides for contacts of PostgreSQL stores from many threads.

python -m tests.unit.serving.worker BUNDLE URL... opens a store for each scene, says `ready`, and
with each line that it is given plays the next; it prints the decisions that it had.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import DAY_US, HOUR_US
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.release.bundle import load_bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.records import Contact, Decision
from nurture_rl.serving.storage.store import Store
from tests.unit.envs.spring_journey import spring
from tests.unit.envs.toy_journey import TOY, toy

CLIENTS = 32  # of one process
PIECES = 15  # of the offer
CAP = {"max": 2, "hours": 96}  # mails to a person, and to an account
MORNING = 20_549 * DAY_US + 7 * HOUR_US  # 2026-04-06, a Monday, nine in Berlin
ACCOUNTS = 5


@dataclass(frozen=True, slots=True)
class Scene:
    """What servers of one store always do, and whom they are asked for at which moments."""

    journey: Journey
    policy: str
    contacts: tuple[Contact, ...]
    moments: tuple[int, ...] = (MORNING,)


def scenes() -> tuple[Scene, ...]:
    """An offer that runs out, accounts with a cap, and people with a cap."""
    own = spring()
    rails = replace(own.guardrails, availability=False, quiet_hours=None, caps=())
    offers = tuple(replace(o, inventory=PIECES) if o.name == "gift" else o for o in own.offers)
    crowd = tuple(_contact(f"c{i}", None) for i in range(40))
    staff = tuple(_contact(f"a{i % ACCOUNTS}-{i}", f"A{i % ACCOUNTS}") for i in range(40))
    days = tuple(MORNING + day * DAY_US for day in range(6))
    return (
        Scene(replace(own, offers=offers, guardrails=rails), "always:send:gift_card@now", crowd),
        Scene(_toy(account={"caps": [CAP]}), "always:send:blue@now", staff),
        Scene(_toy(frequency_caps=[CAP]), "always:send:blue@now", crowd[:8], days),
    )


def _contact(name: str, account: str | None) -> Contact:
    return Contact(name, account, "Europe/Berlin", 1.0, True, {"size": 5.0})


def _toy(**rails: Any) -> Journey:
    off = {"frequency_caps": [], "min_gap_hours": 0, "quiet_hours": [], "availability": False}
    return toy(
        clock__periods=12, messages={"blue": TOY["messages"]["blue"]}, drip={}, rules=[],
        guardrails={**TOY["guardrails"], **off, "escalation_needs": [], **rails},
    )  # fmt: skip


def serving(folder: Path, url: str, scene: Scene) -> Service:
    """A server of a scene, on a clock that requests set."""
    catalog, spec = ActionCatalog.of(scene.journey), FeatureSpec.of(scene.journey)
    policy = build_policy(scene.policy, PolicyContext(scene.journey, catalog, spec))
    bundle = replace(
        load_bundle(folder),
        journey=scene.journey, catalog=catalog, feature_spec=spec, policy=policy,
    )  # fmt: skip
    return Service(bundle, Store(url), ServerSettings("Europe/Berlin", True, lambda: MORNING))


def play(served: Service, scene: Scene) -> list[tuple[str, int, bool]]:
    """Ask for everybody at every moment, all threads at once: contact, bin and send, a decision."""
    asked = [(person, at_us) for at_us in scene.moments for person in scene.contacts]

    def client(number: int) -> list[tuple[str, int, bool]]:
        made = []
        for person, at_us in asked[number % 8 :: 8]:  # four threads and two processes for each
            for answer in served.decide([Ask(person.contact_id)], at_us):
                if isinstance(answer, Decision):
                    made.append((answer.contact_id, answer.step, answer.scheduled_us is not None))

        return made

    with ThreadPoolExecutor(CLIENTS) as clients:
        return [row for made in clients.map(client, range(CLIENTS)) for row in made]


def main(folder: str, *urls: str) -> None:
    """Play the scenes."""
    with ExitStack() as stack:
        served = [
            serving(Path(folder), url, scene) for url, scene in zip(urls, scenes(), strict=True)
        ]
        for one in served:
            stack.enter_context(closing(one.store))
        print("ready", flush=True)
        for one, scene, _ in zip(served, scenes(), sys.stdin, strict=False):
            print(json.dumps(play(one, scene)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
