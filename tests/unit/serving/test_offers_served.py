"""A server never hands out more of an offer than there is, and remembers who is slowed down."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import DAY_US, HOUR_US
from nurture_envs.features import FeatureSpec
from nurture_envs.guardrails import Reason
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.decide import replay
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.records import Decision, Refusal
from nurture_rl.serving.store_errors import StoreUnavailable
from tests.unit.envs.spring_journey import spring
from tests.unit.serving.contacts import Clock, contact, follow, service

pytestmark = pytest.mark.usefixtures("either_database")

SPRING = spring()
CAPS = tuple(cap for cap in SPRING.guardrails.caps if cap.topic is cap.message is None)
JOURNEY = replace(
    SPRING,
    guardrails=replace(SPRING.guardrails, availability=False, quiet_hours=None, caps=CAPS),
)
MORNING = 20_549 * DAY_US + 7 * HOUR_US  # 2026-04-06, a Monday, nine in Berlin
PEOPLE = [f"p{i}" for i in range(8)]


def serving(
    bundle: Bundle,
    path: Path,
    clock: Clock,
    policy: str,
    confirm: bool = False,
    name: str = JOURNEY.name,
) -> Service:
    """A server of the journey with offers that always does one thing where it may."""
    rails = replace(JOURNEY.guardrails, confirm=confirm)
    journey = replace(JOURNEY, name=name, guardrails=rails)
    catalog, spec = ActionCatalog.of(journey), FeatureSpec.of(journey)
    made = build_policy(policy, PolicyContext(journey, catalog, spec))
    own = replace(bundle, journey=journey, catalog=catalog, feature_spec=spec, policy=made)
    found = service(own, path, clock)
    found.store.put_contacts(
        [replace(contact(name), attributes={"size": 5.0}) for name in [*PEOPLE, "late"]]
    )
    return found


def sends(answers: list[Decision | Refusal]) -> int:
    return sum(isinstance(a, Decision) and a.action.startswith("send:") for a in answers)


def test_an_inventory_is_not_overrun_in_a_batch_nor_after_a_restart(
    bundle: Bundle, tmp_path: Path
) -> None:
    clock, policy = Clock(MORNING), "always:send:gift_card@now"
    served = serving(bundle, tmp_path / "s.db", clock, policy)
    first = served.decide([Ask(name, f"{name}-r") for name in PEOPLE])
    assert sends(first) == 3
    ids = served.bundle.catalog.ids
    for answer in first[3:]:
        assert isinstance(answer, Decision)
        place = ids.index("send:gift_card@now")
        assert answer.reasons[place] == Reason.OUT_OF_STOCK
        assert answer.probabilities[place] == 0.0
        assert replay(served.bundle, answer, served.seed)
    again = served.decide([Ask(name, f"{name}-r") for name in PEOPLE[:3]])
    assert sends(again) == 3  # what was promised stays
    served.store.close()
    reopened = serving(bundle, tmp_path / "s.db", clock, policy)
    assert sends(reopened.decide([Ask("late")])) == 0


def test_an_inventory_is_not_overrun_by_requests_at_once(bundle: Bundle, tmp_path: Path) -> None:
    served = serving(bundle, tmp_path / "s.db", Clock(MORNING), "always:send:gift_card@now")
    given: Counter[str] = Counter()

    def ask(name: str) -> None:
        given[name] += sends(served.decide([Ask(name)]))

    threads = [threading.Thread(target=ask, args=(name,)) for name in PEOPLE]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert given.total() == 3


def test_a_send_that_could_not_be_stored_gives_its_piece_back(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serving(bundle, tmp_path / "s.db", Clock(MORNING), "always:send:gift_card@now")

    def full(*given: Any) -> None:
        raise StoreUnavailable("disk full")

    with monkeypatch.context() as broken:
        broken.setattr(served.store, "append_decisions", full)
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                served.decide([Ask(name, f"{name}-r") for name in PEOPLE])
    assert sends(served.decide([Ask(name, f"{name}-r") for name in PEOPLE])) == 3


def test_who_is_not_eligible_or_too_late_is_never_given_the_offer(
    bundle: Bundle, tmp_path: Path
) -> None:
    clock = Clock(MORNING)
    served = serving(bundle, tmp_path / "s.db", clock, "always:send:gift_card@now")
    served.store.put_contacts([replace(contact("p0"), attributes={"size": 1.0})])
    (answer,) = served.decide([Ask("p0")])
    assert isinstance(answer, Decision)
    place = served.bundle.catalog.index("send:gift_card@now")
    assert (answer.reasons[place], answer.probabilities[place]) == (Reason.NOT_ELIGIBLE, 0.0)
    clock.now_us += 7 * DAY_US
    (answer,) = served.decide([Ask("p1")])
    assert isinstance(answer, Decision)
    assert answer.reasons[place] == Reason.EXPIRED


def test_a_slower_cadence_is_an_event_of_the_server_and_holds_until_its_date(
    bundle: Bundle, tmp_path: Path
) -> None:
    clock = Clock(MORNING)
    served = serving(bundle, tmp_path / "s.db", clock, "always:send:red@now")
    sender, slower = served.bundle.policy, "always:slow:4"
    context = PolicyContext(JOURNEY, served.bundle.catalog, served.bundle.feature_spec)
    slowing, legal, since = build_policy(slower, context), [], []
    for day, policy in enumerate([sender, slowing, sender, sender]):
        follow(served, policy)
        (answer,) = served.decide([Ask("p0", f"d{day}")])
        assert isinstance(answer, Decision)
        assert answer.features is not None
        legal.append(answer.mask[served.bundle.catalog.index("send:red@now")])
        since.append(answer.features[served.bundle.feature_spec.column("since_slowed")])
        clock.now_us += DAY_US
    assert legal == [True, True, False, True]  # 50 hours after the first are asked for
    assert since == [8.0, 8.0, 1.0, 2.0]
    (slowed,) = (e for e in served.store.events(["p0"])["p0"] if e.type == "slowed")
    assert (slowed.event_id, slowed.decision_id, slowed.source) == ("d1.slowed", "d1", "server")


@pytest.mark.parametrize(("message", "second"), [("nudge", False), ("blue", True)])
def test_a_cap_by_channel_counts_the_sends_that_were_chosen(
    bundle: Bundle, tmp_path: Path, message: str, second: bool
) -> None:
    clock = Clock(MORNING)
    served = serving(bundle, tmp_path / "s.db", clock, f"always:send:{message}@now")
    assert sends(served.decide([Ask("p0")])) == 1
    clock.now_us += DAY_US
    assert sends(served.decide([Ask("p0")])) == int(second)
