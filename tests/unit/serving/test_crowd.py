"""Limits of all contacts together hold to the last one, whoever asks at once, and when."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import DAY_US, HOUR_US
from nurture_envs.errors import JourneyError
from nurture_envs.features import FeatureSpec
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.recipient_domains import family_of, plain_domain
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.http.wire import iso
from nurture_rl.serving.records import Answer, Decision
from nurture_rl.serving.storage.store import Store
from tests.unit.envs.toy_journey import toy
from tests.unit.serving.contacts import Clock, contact, event
from tests.unit.serving.test_accounts import MONDAY, bits, journey

BOTH = pytest.mark.usefixtures("either_database")
PEOPLE = [f"p{i:02}" for i in range(24)]
GMAIL, WORK = PEOPLE[::2], PEOPLE[1::2]
SLOW = {"complaints": [0.1, 0.3], "bounces": [0.2, 0.5], "days": 3, "minimum": 5, "factor": 0.5}


class Crowded:
    """A server of 24 people, half of them with a consumer mailbox, on a clock that tests set."""

    def __init__(self, bundle: Bundle, path: Path, **rails: Any) -> None:
        self.bundle, self.path, self.rails = bundle, path, rails
        self.clock = Clock(MONDAY + 8 * HOUR_US)
        self.store = Store(path)
        people = [
            contact(name, time_zone="UTC", attributes={"email_domain": domain})
            for names, domain in ((GMAIL, "gmail.com"), (WORK, "acme.example"))
            for name in names
        ]
        self.store.put_contacts(people)
        self.served = self.serving("always:send:blue@now")

    def serving(self, policy: str, name: str = "toy") -> Service:
        own = replace(journey(account=None, **self.rails), name=name)
        catalog, spec = ActionCatalog.of(own), FeatureSpec.of(own)
        made = build_policy(policy, PolicyContext(own, catalog, spec))
        parts = replace(self.bundle, journey=own, catalog=catalog, feature_spec=spec, policy=made)
        return Service(parts, self.store, ServerSettings("UTC", False, self.clock, seed=1))

    def restart(self, policy: str = "always:send:blue@now", name: str = "toy") -> None:
        self.store.close()
        self.store = Store(self.path)
        self.served = self.serving(policy, name)

    def ask(self, names: Sequence[str]) -> list[Answer]:
        return self.served.decide([Ask(name, f"{name}-{self.clock.now_us}") for name in names])

    def mailed(self, names: Sequence[str]) -> int:
        return acting(self.ask(names))

    def next_day(self, days: int = 1) -> None:
        self.clock.now_us += days * DAY_US


def acting(answers: Sequence[Answer]) -> int:
    return sum(isinstance(a, Decision) and not a.action.startswith("pause") for a in answers)


def at_once(served: Crowded, names: Sequence[str]) -> int:
    """How many act when everybody is asked for at the same time."""
    found: list[Answer] = []
    threads = [
        threading.Thread(target=lambda some=names[i::6]: found.extend(served.ask(some)))
        for i in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(names)
    return acting(found)


@BOTH
def test_each_family_gets_what_its_warm_up_allows_and_not_one_more(
    bundle: Bundle, tmp_path: Path
) -> None:
    served = Crowded(bundle, tmp_path / "s.db", volume={"warm_up": [3, 5, 7]})
    assert at_once(served, PEOPLE) == 3 + 3
    served.restart()
    served.next_day()
    assert at_once(served, GMAIL) == 5
    served.restart()
    served.next_day()
    assert at_once(served, GMAIL) == 7
    assert served.mailed(WORK) == 5  # its second day with mail
    served.next_day()
    assert served.mailed(GMAIL) == 12  # no growth is stated: warm is warm


def test_who_finds_no_room_hears_volume_ramp_and_is_asked_again_tomorrow(
    bundle: Bundle, tmp_path: Path
) -> None:
    served = Crowded(bundle, tmp_path / "s.db", volume={"warm_up": [1]})
    first, second = served.ask(GMAIL[:2])
    assert not bits(served.served, first)
    assert served.served.decision(f"{GMAIL[1]}-{served.clock.now_us}") is not None
    assert isinstance(second, Decision)
    assert second.reasons[served.served.bundle.catalog.index("send:blue@now")] == 1 << 16
    served.next_day()
    assert served.mailed(GMAIL[1:2]) == 1


def test_after_the_warm_up_mail_grows_by_the_mean_of_the_days_before(
    bundle: Bundle, tmp_path: Path
) -> None:
    ramp = {"warm_up": [4], "growth": 2.0, "trailing_days": 2, "idle_days": 5}
    served = Crowded(bundle, tmp_path / "s.db", volume=ramp)
    days = []
    for _ in range(4):
        days.append(served.mailed(GMAIL))
        served.next_day()
    assert days == [4, 4, 8, 12]  # 2 x 4 / 2, 2 x (4 + 4) / 2, 2 x (4 + 8) / 2
    served.next_day(5)
    assert served.mailed(GMAIL) == 4  # idle for more than five days: it warms up again


def test_room_that_was_left_is_carried_over_for_a_day(bundle: Bundle, tmp_path: Path) -> None:
    served = Crowded(bundle, tmp_path / "s.db", volume={"warm_up": [4, 4, 4], "carry_over": 0.5})
    assert served.mailed(GMAIL[:2]) == 2
    served.next_day()
    assert served.mailed(GMAIL) == 4 + 1
    served.next_day()
    assert served.mailed(GMAIL) == 4


@BOTH
def test_a_withdrawn_mail_gives_its_place_back_and_one_that_went_takes_it_again(
    bundle: Bundle, tmp_path: Path
) -> None:
    served = Crowded(bundle, tmp_path / "s.db", volume={"warm_up": [1]})
    served.served = served.serving("always:send:blue@15")
    assert served.mailed(GMAIL[:2]) == 1
    served.served.append_events([event("unsubscribe", served.clock.now_us, GMAIL[0])])
    assert served.mailed(GMAIL[2:3]) == 1
    gone = f"{GMAIL[0]}-{served.clock.now_us}"
    served.served.append_events([event("sent", served.clock.now_us, GMAIL[0], decision_id=gone)])
    served.served.append_events([event("unsubscribe", served.clock.now_us, GMAIL[2])])
    assert served.mailed(GMAIL[3:4]) == 0
    served.restart("always:send:blue@15")
    assert served.mailed(GMAIL[4:5]) == 0


@BOTH
def test_a_mail_of_another_journey_that_is_withdrawn_gives_its_place_back(
    bundle: Bundle, tmp_path: Path
) -> None:
    served = Crowded(bundle, tmp_path / "s.db", volume={"warm_up": [1]})
    served.restart("always:send:blue@15")
    assert served.mailed(GMAIL[:2]) == 1
    served.restart(name="another")
    assert served.mailed(GMAIL[2:4]) == 0
    stop = contact(GMAIL[0], consent=False, attributes={"email_domain": "gmail.com"})
    (lost,) = served.served.put_contacts([stop])
    assert (lost.decision.journey, lost.freed) == ("toy", True)
    served.clock.now_us += HOUR_US
    assert served.mailed(GMAIL[4:8]) == 1


@BOTH
def test_a_mail_gives_its_place_back_to_the_family_that_it_was_counted_for(
    bundle: Bundle, tmp_path: Path
) -> None:
    served = Crowded(bundle, tmp_path / "s.db", volume={"warm_up": [2]})
    served.served = served.serving("always:send:blue@15")
    assert served.mailed([*GMAIL[:1], *WORK[:2]]) == 3
    elsewhere = contact(GMAIL[0], consent=False, attributes={"email_domain": "acme.example"})
    assert len(served.served.put_contacts([elsewhere])) == 1
    assert served.mailed(WORK[2:6]) == 0
    assert served.mailed(GMAIL[2:6]) == 2


@BOTH
def test_a_family_that_complains_is_slowed_stopped_and_recovers_with_an_audit(
    bundle: Bundle, tmp_path: Path
) -> None:
    served = Crowded(bundle, tmp_path / "s.db", volume={"warm_up": [10], "slow_down": SLOW})

    def went_wrong(kind: str, names: Sequence[str]) -> None:
        served.served.append_events([event(kind, served.clock.now_us, name) for name in names])

    assert served.mailed(GMAIL) == 10
    went_wrong("complaint", GMAIL[:1])
    served.next_day()
    assert served.mailed([*GMAIL[1:], *WORK]) == 5 + 10  # half of ten; the others are new
    served.restart()
    went_wrong("hard_bounce", GMAIL[4:12])
    served.next_day()
    assert served.mailed(GMAIL[1:4]) == 0
    served.next_day(3)  # the window has passed
    assert served.mailed(GMAIL[1:4]) == 3
    states = [(entry.subject, entry.state) for entry in served.store.audit("mail_volume")]
    assert states == [("google", "slowed"), ("google", "stopped"), ("google", "usual")]
    assert served.store.audit("mail_volume")[0].why.startswith("1 complaint of 10 mails in 3 days")


@BOTH
def test_sellers_get_no_more_calls_than_they_take_in_a_day(bundle: Bundle, tmp_path: Path) -> None:
    served = Crowded(bundle, tmp_path / "s.db", seller_capacity={"per_day": 5})
    served.served = served.serving("always:escalate")
    assert at_once(served, PEOPLE) == 5
    served.restart("always:escalate")
    served.clock.now_us += DAY_US - 1
    assert served.mailed(PEOPLE) == 0
    served.next_day()
    assert served.mailed(PEOPLE) == 5


@BOTH
def test_a_call_is_open_until_it_is_closed_or_old(bundle: Bundle, tmp_path: Path) -> None:
    limits = {"open": 2, "closed_by": ["opportunity_closed"], "open_days": 5}
    served = Crowded(bundle, tmp_path / "s.db", seller_capacity=limits)
    served.served = served.serving("always:escalate")
    answers = served.ask(PEOPLE[:3])
    assert acting(answers) == 2
    assert isinstance(answers[2], Decision)
    assert answers[2].reasons[served.served.bundle.catalog.index("escalate")] == 1 << 15
    served.clock.now_us += HOUR_US
    served.served.append_events([event("opportunity_closed", served.clock.now_us, PEOPLE[0])])
    assert served.mailed(PEOPLE[3:6]) == 1
    served.restart("always:escalate")
    assert served.mailed(PEOPLE[6:9]) == 0
    served.next_day(5)
    assert served.mailed(PEOPLE[9:]) == 2


@BOTH
@pytest.mark.parametrize("limit", ["per_day", "open"])
def test_calls_count_again_when_the_clock_is_set_back(
    bundle: Bundle, tmp_path: Path, limit: str
) -> None:
    sellers = {limit: 2, "open_days": 1}
    served = Crowded(bundle, tmp_path / "s.db", seller_capacity=sellers)
    served.restart("always:escalate")
    assert served.mailed(PEOPLE[:4]) == 2
    served.next_day(3)
    assert served.mailed(PEOPLE[4:5]) == 1
    served.next_day(-3)
    assert served.mailed(PEOPLE[5:9]) == 0


def test_what_closes_a_call_is_an_event_that_the_server_takes(
    bundle: Bundle, tmp_path: Path
) -> None:
    sellers = {"open": 1, "closed_by": ["deal_settled"]}
    served = Crowded(bundle, tmp_path / "s.db", seller_capacity=sellers)
    served.restart("always:escalate")
    assert served.mailed(PEOPLE[:2]) == 1
    row = {"event_id": "e", "contact_id": PEOPLE[0], "type": "deal_settled"}
    served.clock.now_us += HOUR_US
    row["occurred_at"] = iso(served.clock.now_us) or ""
    client = TestClient(create_app(served.served))
    assert client.post("/v1/events", json={"events": [row]}).json()["stored"] == 1
    assert served.mailed(PEOPLE[2:4]) == 1


@pytest.mark.parametrize(
    ("domain", "family"),
    [
        ("gmail.com", "google"),
        (" GMail.com. ", "google"),
        ("mail.acme.example", "acme"),
        ("other.example", "business"),
        ("notgmail.com", "business"),
        ("ada@gmail.com", "google"),
        ("\uff47mail.com", "google"),
        ("gmail.com\u200b", "google"),
        ("b\u00fccher.example", "books"),
        ("mail.B\u00dcCHER.example", "books"),
        ("xn--bcher-kva.example", "books"),
        ("a..b", "business"),
        (5, "business"),
        (None, "unknown"),
        ("", "unknown"),
    ],
)
def test_a_domain_belongs_to_its_mailbox_provider(domain: object, family: str) -> None:
    own = {"acme.example": "acme", plain_domain("b\u00fccher.example."): "books"}
    assert family_of({"email_domain": domain}, own) == family
    assert family_of({"email_domain": "gmail.com"}, {"gmail.com": "ours"}) == "ours"


@pytest.mark.parametrize(
    ("rails", "text"),
    [
        ({"volume": {"warm_up": []}}, r"volume\.warm_up: expected mails a day"),
        ({"volume": {"warm_up": [5, 4]}}, r"volume\.warm_up: expected mails a day"),
        ({"volume": {"warm_up": [5], "growth": 0.5}}, r"volume\.growth"),
        ({"volume": {"warm_up": [5], "carry_over": 2}}, r"volume\.carry_over"),
        ({"volume": {"warm_up": [5], "families": {"a": ["x"]}}}, r"volume\.families: expected a: "),
        ({"volume": {"warm_up": [5], "families": {"a": ["@x.de"]}}}, r"expected a: a list of dom"),
        (
            {"volume": {"warm_up": [5], "families": {"a": ["x.de"], "b": ["X.de"]}}},
            r"volume\.families: expected each domain in one family, got 'x\.de' in two",
        ),
        ({"seller_capacity": {"open": 1, "closed_by": [7]}}, r"closed_by: expected event types"),
        ({"seller_capacity": {"open": 1, "closed_by": [""]}}, r"closed_by: expected event types"),
        (
            {"volume": {"warm_up": ["many"]}},
            r"1 problem; (.|\n)*expected whole numbers, got 'many'",
        ),
        ({"volume": {"warm_up": [5], "idle_days": 10**9}}, r"idle_days: expected .* <= 366, got"),
        ({"seller_capacity": {"open": 1, "open_days": 10**9}}, r"open_days: expected .* <= 366"),
        ({"volume": {"warm_up": [5], "grow": 2}}, r"volume\.grow"),
        (
            {"volume": {"warm_up": [5], "slow_down": {"complaints": [0.3, 0.1]}}},
            r"slow_down\.complaints: expected \[slowed from, stopped from\]",
        ),
        ({"seller_capacity": {}}, r"seller_capacity\.per_day: expected per_day, open, or both"),
        ({"seller_capacity": {"open": -1}}, r"seller_capacity\.open"),
    ],
)
def test_limits_that_cannot_be_meant_are_refused(rails: dict[str, Any], text: str) -> None:
    with pytest.raises(JourneyError, match=text):
        toy(**{f"guardrails__{name}": part for name, part in rails.items()})
