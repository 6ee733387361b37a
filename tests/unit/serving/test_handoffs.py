"""Hand-offs to sales: open until answered or due, no mail meanwhile, one task for an account."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from nurture_envs.claims import Claim
from nurture_envs.clock import DAY_US, HOUR_US
from nurture_envs.journey import Offer
from nurture_envs.journey_file import load_journey, parse_journey
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.handoffs import handoffs, opener
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http import handoff_routes
from nurture_rl.serving.http.api_keys import load_keys
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.records import Decision, Event, Withdrawal
from tests.unit.release.bundles import GUARDRAILS
from tests.unit.serving.contacts import (
    MIDNIGHT,
    MIDNIGHT_LOCAL,
    ZONE,
    Clock,
    contact,
    event,
    follow,
    service,
)
from tests.unit.serving.trials import trial_bundle

MORNING = MIDNIGHT + 10 * HOUR_US
DUE = MIDNIGHT + 3 * DAY_US  # `conversation: {escalated: 2}`: the day of the call and two more


class Desk:
    """A server that passes everybody on to sales, until it is told to send."""

    def __init__(self, bundle: Bundle, folder: Path) -> None:
        self.bundle, self.clock = bundle, Clock(MORNING)
        self.served = service(bundle, folder / "s.db", self.clock)
        self.served.store.put_contacts([contact(n, account_id="ACME") for n in ("ada", "bob")])
        self.served.store.put_contacts([contact("cy")])
        self.client: TestClient[Any] = TestClient(create_app(self.served))
        self.policy("always:escalate")

    def policy(self, kind: str) -> None:
        parts = PolicyContext(self.bundle.journey, self.bundle.catalog, self.bundle.feature_spec)
        follow(self.served, build_policy(kind, parts))

    def decide(self, name: str, request: str | None = None) -> str:
        (made,) = self.served.decide([Ask(name, request)])
        assert isinstance(made, Decision)
        return made.action

    def say(self, kind: str, name: str = "ada", **columns: Any) -> None:
        self.served.append_events([event(kind, self.clock.now_us, name, **columns)])

    def ask(self, path: str = "", status: int = 200) -> Any:
        answer = self.client.get(f"/v1/handoffs{path}")
        assert answer.status_code == status, answer.text
        return answer.json()

    def open(self) -> list[str]:
        return [one["handoff_id"] for one in self.ask()["handoffs"]]


@pytest.fixture
def desk(bundle: Bundle, tmp_path: Path) -> Iterator[Desk]:
    found = Desk(bundle, tmp_path)
    yield found
    found.served.store.close()


def test_no_mail_goes_while_a_hand_off_is_open_and_then_the_journey_goes_on(desk: Desk) -> None:
    assert desk.decide("ada", "call") == "escalate"
    (told,) = desk.ask()["handoffs"]
    assert (told["status"], told["due_at"]) == ("open", "2027-03-03T23:00:00Z")
    desk.policy("always:send:welcome@15")
    actions = {}
    for day in range(1, 4):
        desk.clock.now_us = MORNING + day * DAY_US
        actions[day] = desk.decide("ada")
        assert desk.open() == (["call"] if desk.clock.now_us < DUE else [])
    assert actions == {1: "pause:1", 2: "pause:1", 3: "send:welcome@15"}
    assert desk.ask("/call")["status"] == "returned"


@pytest.mark.parametrize("kind", ["sales_activity", "meeting_booked", "meeting_held"])
def test_what_salespeople_do_answers_it(desk: Desk, kind: str) -> None:
    desk.decide("ada", "call")
    desk.clock.now_us += HOUR_US
    desk.say(kind)
    assert desk.open() == []
    (told,) = desk.ask("?status=answered")["handoffs"]
    assert (told["answered_by"], told["answered_at"]) == (kind, "2027-03-01T10:00:00Z")


def test_an_answer_in_the_moment_of_the_call_counts(desk: Desk) -> None:
    desk.decide("ada", "call")
    desk.say("sales_activity")
    assert desk.open() == []


def test_hand_offs_of_a_journey_that_is_served_no_more_are_not_told(
    desk: Desk, tmp_path: Path
) -> None:
    desk.decide("ada", "call")
    other = trial_bundle(tmp_path / "other", None, journey="second")
    served = Service(other, desk.served.store, desk.served.settings)
    with TestClient(create_app(served)) as client:
        assert client.get("/v1/handoffs").json() == {"handoffs": [], "left_out": 0}
        assert client.get("/v1/handoffs/call").status_code == 404


def test_what_comes_after_its_time_or_came_before_answers_nothing(desk: Desk) -> None:
    desk.clock.now_us -= HOUR_US
    desk.say("sales_activity")
    desk.clock.now_us += HOUR_US
    desk.decide("ada", "call")
    assert desk.open() == ["call"]
    desk.clock.now_us = DUE
    desk.say("sales_activity")
    assert desk.ask("/call")["status"] == "returned"


@pytest.mark.parametrize("answered", ["ada", "bob"])
def test_an_account_has_one_task_and_one_answer(desk: Desk, answered: str) -> None:
    desk.decide("ada", "first")
    desk.clock.now_us += DAY_US
    desk.decide("bob", "second")
    desk.decide("cy", "other")
    assert desk.open() == ["first", "other"]
    assert desk.ask("/first")["colleagues"] == ["bob"]
    assert desk.ask("/second")["joined"] == "first"
    desk.clock.now_us += HOUR_US
    desk.say("sales_activity", answered)
    assert [desk.ask(f"/{name}")["status"] for name in ("first", "second")] == ["answered"] * 2
    assert desk.open() == ["other"]


def test_a_task_that_was_answered_takes_in_nobody_more(desk: Desk) -> None:
    desk.decide("ada", "first")
    desk.clock.now_us += HOUR_US
    desk.say("sales_activity", "ada")
    desk.clock.now_us += HOUR_US
    desk.decide("bob", "second")
    assert desk.open() == ["second"]


def test_a_call_that_was_taken_back_is_no_task(desk: Desk) -> None:
    desk.decide("ada", "first")
    desk.decide("bob", "second")
    made = desk.served.store.decisions(["first"])["first"]
    desk.served.store.settle([Withdrawal(made, desk.clock.now_us, "opted_out", True)], {})
    assert desk.open() == ["second"]
    told = desk.ask("/first")
    assert (told["status"], told["withdrawn_because"]) == ("withdrawn", "opted_out")


def test_a_packet_says_why_and_what_the_contact_did_and_got(desk: Desk) -> None:
    desk.policy("always:send:security_brief@15")
    desk.decide("ada", "mail")
    desk.clock.now_us += 6 * HOUR_US
    desk.say("sent", decision_id="mail", message_id="esp-77", topic="security")
    for hours, kind, told in (
        (1, "click", {"topic": "security"}),
        (1, "page_view", {"page_category": "pricing"}),
        (1, "page_view", {"page_category": "pricing"}),
        (1, "click", {"topic": "product", "is_machine": True}),
        (1, "delivered", {}),
    ):
        desk.clock.now_us += hours * HOUR_US
        desk.say(kind, **told)
    desk.clock.now_us = MORNING + DAY_US
    desk.policy("always:escalate")
    assert desk.decide("ada", "call") == "escalate"
    desk.clock.now_us += HOUR_US
    desk.say("click", topic="integration")  # after the call: no reason for it
    (told,) = desk.ask()["handoffs"]
    kinds = [(one["type"], one["topic"] or one["page_category"]) for one in told["signals"]]
    assert kinds == [("page_view", "pricing"), ("page_view", "pricing"), ("click", "security")]
    assert told["topics"] == ["pricing", "security"]
    (mail,) = told["messages"]
    assert (mail["message"], mail["topic"]) == ("security_brief", "security")
    assert told["opener"]["message"] == "pricing_guide"
    assert any("sales" in line for line in told["why"])
    assert "sales_activity" in told["answers"]


def test_an_opener_is_approved_not_expired_and_not_read() -> None:
    journey = load_journey("inbound_lead")
    today = date(2027, 3, 1)
    names = [m.id for m in journey.messages]

    def first(topics: list[str], got: list[str], day: date = today) -> str | None:
        found = opener(journey, topics, got, day)
        return None if found is None else found.id

    assert first(["pricing"], []) == "pricing_guide"
    assert first(["pricing", "security"], ["pricing_guide"]) == "security_brief"
    assert first(["pricing"], names) == "pricing_guide"  # all were read
    assert first(["pricing"], [], date(2029, 1, 1)) is None
    best = next(m for m in journey.messages if m.id == "pricing_guide")
    yesterday = date(2027, 2, 28)
    claim = Claim(best.proof, "x", "y", "z", yesterday)
    assert opener(replace(journey, claims=(claim,)), ["pricing"], [], today) is not best
    kept = replace(claim, expires=today)
    assert opener(replace(journey, claims=(kept,)), ["pricing"], [], today) is best
    offer = Offer("demo", 0.0, yesterday, (), None)
    made = tuple(replace(m, offer="demo") for m in journey.messages)
    assert opener(replace(journey, messages=made, offers=(offer,)), [], [], today) is None
    drafts = tuple(replace(m, approval="draft") for m in journey.messages)
    assert opener(replace(journey, messages=drafts), ["pricing"], [], today) is None


def call(at_us: int = MORNING, name: str = "ada") -> Decision:
    cells: dict[str, Any] = dict.fromkeys(Decision.__slots__)
    told: dict[str, Any] = {"decision_id": f"call-{name}", "contact_id": name}
    told |= {"action": "escalate", "anchor_us": MIDNIGHT_LOCAL, "step": 0, "decided_us": at_us}
    return Decision(**{**cells, **told})


@pytest.mark.parametrize(
    ("talk", "due"),
    [
        ({"conversation": {"escalated": 4}}, MIDNIGHT + 5 * DAY_US),
        ({"conversation": {}}, MIDNIGHT + DAY_US),
        (
            {
                "conversation": {},
                "conversation_until": {"escalated": {"until": ["replied_positive"], "bins": 6}},
            },
            MIDNIGHT + 7 * DAY_US,
        ),
        ({"conversation_until": {"escalated": ["replied_positive"]}}, None),
    ],
)
def test_a_hand_off_is_open_as_long_as_mail_is_held(talk: dict[str, Any], due: int | None) -> None:
    told = {**load_journey("inbound_lead").resolved, "guardrails": {**GUARDRAILS, **talk}}
    journey = parse_journey(told)

    def one(*events: Event) -> Any:
        (found,) = handoffs([(call(), journey, None)], {"ada": contact()}, {"ada": events}, ZONE)
        return found

    assert one().due_us == due
    reply = event("reply", MORNING + HOUR_US, reply_class="positive")
    ends = "conversation_until" in talk
    assert one(reply).status(MORNING + 2 * HOUR_US) == ("answered" if ends else "open")
    other = event("reply", MORNING + HOUR_US, reply_class="question")
    assert one(other).status(MORNING + 2 * HOUR_US) == "open"


def test_a_colleagues_hand_off_is_open_as_long_as_their_own_mail_is_held() -> None:
    """Whoever is west of the one who has the task is with sales for longer, or east, shorter."""
    journey = load_journey("inbound_lead")  # `conversation: {escalated: 2}`
    people = {
        name: contact(name, account_id="ACME", time_zone=zone)
        for name, zone in (("ada", ZONE), ("bob", "Pacific/Auckland"), ("cy", "Nowhere/At_All"))
    }
    calls = [(call(MORNING + i, name), journey, None) for i, name in enumerate(people)]
    ada, bob, cy = handoffs(calls, people, {}, ZONE)
    assert (bob.joined, cy.joined) == ("call-ada", "call-ada")
    assert (ada.due_us, bob.due_us) == (DUE, DUE - 12 * HOUR_US)
    assert cy.due_us == DUE  # a zone that nobody knows is the default one
    assert (ada.status(DUE - HOUR_US), bob.status(DUE - HOUR_US)) == ("open", "returned")
    people["bob"] = contact("bob", account_id="ACME", time_zone="Pacific/Honolulu")
    late = {"bob": [event("sales_activity", DUE + HOUR_US, "bob")]}  # when it is over for ada
    ada, bob, cy = handoffs(calls, people, late, ZONE)
    assert [one.status(DUE + 2 * HOUR_US) for one in (ada, bob, cy)] == [
        *("returned", "answered", "returned")
    ]


def test_the_oldest_are_told_first_and_how_many_are_left(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handoff_routes, "_MOST", 1)
    desk.decide("cy", "first")
    desk.clock.now_us += HOUR_US
    desk.decide("ada", "second")
    told = desk.ask()
    assert ([one["handoff_id"] for one in told["handoffs"]], told["left_out"]) == (["first"], 1)


def test_who_was_erased_is_in_no_hand_off() -> None:
    journey = load_journey("inbound_lead")
    assert handoffs([(call(), journey, None)], {}, {}, ZONE) == []


def test_what_cannot_be_asked_is_refused(desk: Desk, tmp_path: Path) -> None:
    assert "expected status as one of open" in desk.ask("?status=lost", 400)["detail"]
    assert desk.ask("/nobody", 404)["title"] == "unknown hand-off"
    keys = tmp_path / "keys"
    keys.touch(0o600)
    keys.write_text(f"handoffs {'h' * 32}\ndecisions {'d' * 32}")
    client: TestClient[Any] = TestClient(create_app(desk.served, keys=load_keys(keys)))
    codes = [
        client.get("/v1/handoffs", headers={"authorization": f"Bearer {key * 32}"}).status_code
        for key in "hdx"
    ]
    assert codes == [200, 403, 401]
