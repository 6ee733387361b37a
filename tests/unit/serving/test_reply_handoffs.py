"""A question, or an objection that comes again, waits for a person: no mail goes before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar.testing import TestClient

from nurture_envs.clock import DAY_US, HOUR_US
from nurture_envs.journey_file import load_journey, parse_journey, shipped_journeys
from nurture_rl.delivery.sales_tasks import CrmIds, hubspot_task, salesforce_task
from nurture_rl.errors import JourneyError
from nurture_rl.serving.contacts.contact_state import folding_of
from nurture_rl.serving.contacts.contact_views import MOST_UNFOLDED
from nurture_rl.serving.contacts.reply_handoffs import passed_on
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.http.handoff_wire import HandoffOut
from nurture_rl.serving.records import Decision, Event
from nurture_rl.serving.storage.store import Store
from tests.unit.release.bundles import GUARDRAILS
from tests.unit.serving.contacts import MIDNIGHT, ZONE, Clock, contact, event
from tests.unit.serving.trials import SPRING, trial_bundle, trial_journey, trial_service

MORNING = MIDNIGHT + 10 * HOUR_US
ASKED = {
    "replies": {
        "replied_question": {"hours": 48},
        "replied_objection": {"hours": 48, "times": 2, "within_hours": 240},
    },
    "rest_hours": 96,
}
# Nothing but the hand-offs holds mail; sales takes one call a day.
RAILS = {
    **{key: GUARDRAILS[key] for key in ("opt_out", "hard_bounce")},
    "seller_capacity": {"per_day": 1},
    "account": {"conversation": True},
    "served": {"handoffs": ASKED},
}
MAIL = {"kind": "always", "action": "send:welcome@15"}
CALL = {"kind": "always", "action": "escalate"}
PEOPLE = [contact("ada", account_id="ACME"), contact("bob", account_id="ACME"), contact("cy")]
PEOPLE += [contact("dan"), contact("eve")]


class Line:
    """A server whose policy mails everybody every day, or calls."""

    def __init__(self, folder: Path, spec: Any = MAIL, experiment: Any = None) -> None:
        self.clock, self.folder = Clock(MORNING), folder
        self.bundle = trial_bundle(folder / "bundle", experiment, spec, guardrails=RAILS)
        self.served = self.start()

    def start(self) -> Service:
        return trial_service(self.bundle, self.folder / "s.db", self.clock, people=PEOPLE)

    def again(self) -> None:
        self.served.store.close()
        self.served = self.start()

    def reply(self, kind: str = "question", name: str = "ada", **more: Any) -> None:
        self.served.append_events(
            [event("reply", self.clock.now_us, name, reply_class=kind, **more)]
        )

    def answer(self, name: str = "ada", kind: str = "sales_activity") -> None:
        self.served.append_events([event(kind, self.clock.now_us, name)])

    def act(self, name: str = "ada", request: str | None = None) -> str:
        (made,) = self.served.decide([Ask(name, request)])
        assert isinstance(made, Decision), made
        return made.action.partition("@")[0]

    def told(self, path: str = "") -> Any:
        with TestClient(create_app(self.served)) as client:
            answer = client.get(f"/v1/handoffs{path}")
            assert answer.status_code == 200, answer.text
            return answer.json()

    def open(self) -> list[tuple[str, str]]:
        return [(one["contact_id"], one["opened_by"]) for one in self.told()["handoffs"]]


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    found = Line(tmp_path)
    yield found
    found.served.store.close()


@pytest.mark.usefixtures("either_database")
def test_a_question_takes_back_what_was_planned_and_holds_mail_until_it_is_answered(
    tmp_path: Path,
) -> None:
    line = Line(tmp_path)
    assert line.act(request="mail") == "send:welcome"
    line.clock.now_us += HOUR_US
    line.reply(topic="security")
    found = line.served.decision("mail")
    assert found is not None
    assert found[1].withdrawn_us == line.clock.now_us
    (one,) = line.told()["handoffs"]
    assert (one["opened_by"], one["due_at"]) == ("replied_question", "2027-03-03T10:00:00Z")
    assert one["why"] == [
        "Replied at 2027-03-01T10:00:00Z with a question about security, which a person answers."
    ]
    assert one["signals"][0]["reply_class"] == "question"
    line.clock.now_us = MORNING + DAY_US
    assert line.act() == "pause:1"
    line.answer("ada")
    assert line.open() == []
    line.clock.now_us = MORNING + 2 * DAY_US - HOUR_US
    assert line.act() == "send:welcome"  # sooner than it was due
    assert line.told(f"/{one['handoff_id']}")["status"] == "answered"
    line.served.store.close()


def test_where_nobody_answers_the_journey_goes_on(line: Line) -> None:
    line.reply()
    actions = []
    for day in (0, 1, 2):
        line.clock.now_us = MORNING + day * DAY_US
        actions.append((line.act(), len(line.open())))
        line.again()  # nothing of it is lost when the server starts again
    assert actions == [("pause:1", 1), ("pause:1", 1), ("send:welcome", 0)]
    line.answer()  # too late
    (one,) = line.told("?status=returned")["handoffs"]
    assert one["answered_at"] is None


def test_what_was_half_a_year_ago_is_told_no_more(line: Line) -> None:
    line.reply()
    for days, told in ((179, 1), (2, 0)):
        line.clock.now_us += days * DAY_US
        line.served.append_events([event("reply", line.clock.now_us, reply_class="positive")])
        assert len(line.told("?status=returned")["handoffs"]) == told


def test_the_clock_begins_when_the_server_is_told(line: Line) -> None:
    """And the same event twice is one."""
    late = event("reply", MORNING - 5 * DAY_US, reply_class="question", recorded_us=MORNING)
    for _ in range(2):
        line.served.append_events([late])
    (one,) = line.told()["handoffs"]
    assert one["opened_at"] == "2027-03-01T09:00:00Z"
    line.clock.now_us += DAY_US
    assert line.act() == "pause:1"


def test_an_objection_goes_to_a_person_when_it_comes_again_and_then_not_for_some_time(
    line: Line,
) -> None:
    days = {}
    for day in (0, 1, 4, 5.5, 9):
        line.clock.now_us = MORNING + round(day * DAY_US)
        line.reply("objection")
        days[day] = (len(line.open()), line.act())
        line.answer()
    assert days == {
        0: (0, "send:welcome"),
        1: (1, "pause:1"),  # the second one
        4: (0, "send:welcome"),  # within the rest
        5.5: (1, "pause:1"),
        9: (0, "send:welcome"),
    }


def test_a_question_is_told_within_the_rest_and_however_many_salespeople_there_are(
    line: Line,
) -> None:
    line.reply("objection")
    line.clock.now_us += HOUR_US
    line.reply("objection")
    for name in ("ada", "bob", "cy", "dan"):
        line.clock.now_us += HOUR_US
        line.reply("question", name)
    asked = [(name, "replied_question") for name in ("ada", "bob", "cy", "dan")]
    assert line.open() == [("ada", "replied_objection"), *asked]


def test_no_call_follows_a_hand_off_within_the_rest_nor_beyond_what_sales_takes(
    tmp_path: Path,
) -> None:
    line = Line(tmp_path, CALL)
    line.reply("question", "cy")
    line.answer("cy")
    line.answer("dan")
    taken = {}
    for day in range(6):
        line.clock.now_us = MORNING + day * DAY_US + HOUR_US
        taken[day] = [line.act(name) for name in ("cy", "dan", "eve")]
    called = ["escalate", "pause:1"]
    assert taken == {
        0: ["pause:1", *called],  # the only call of the day
        1: ["pause:1", *reversed(called)],
        2: ["pause:1"] * 3,
        3: ["pause:1"] * 3,
        4: ["escalate", "pause:1", "pause:1"],
        5: ["pause:1", "escalate", "pause:1"],
    }
    line.served.store.close()


def test_colleagues_join_what_is_open_and_questions_stand_alone(line: Line) -> None:
    line.reply("question", "ada")
    line.clock.now_us += HOUR_US
    for _ in range(2):
        line.clock.now_us += HOUR_US
        line.reply("objection", "bob")
    (one,) = line.told()["handoffs"]
    assert (one["contact_id"], one["colleagues"]) == ("ada", ["bob"])
    line.reply("question", "bob", event_id="another")
    assert line.open() == [("ada", "replied_question"), ("bob", "replied_question")]
    assert line.act("bob") == "pause:1"


def test_a_colleague_who_joined_a_task_does_not_become_one_when_its_time_is_over(
    line: Line,
) -> None:
    line.reply("question", "ada")
    line.clock.now_us += 46 * HOUR_US
    for _ in range(2):
        line.clock.now_us += HOUR_US // 2
        line.reply("objection", "bob")
    assert line.open() == [("ada", "replied_question")]
    line.clock.now_us += 2 * HOUR_US
    assert line.act("bob") == "pause:1"
    assert line.open() == []
    (ada,) = line.told("?status=returned")["handoffs"]
    assert ada["colleagues"] == ["bob"]


def test_an_answer_from_before_a_question_leaves_it_open(line: Line) -> None:
    line.clock.now_us += 10 * HOUR_US
    line.reply("question", "ada")
    line.clock.now_us += HOUR_US
    line.served.append_events(
        [
            *(event("reply", MORNING + i, "bob", reply_class="objection") for i in range(2)),
            event("sales_activity", MORNING + HOUR_US, "bob"),
        ]
    )
    assert line.open() == [("ada", "replied_question")]
    (bob,) = line.told("?status=answered")["handoffs"]
    assert (bob["contact_id"], bob["joined"]) == ("bob", None)


def test_an_objection_that_is_told_after_a_later_one_opens_a_hand_off_for_all_its_hours(
    line: Line,
) -> None:
    line.reply("objection")
    line.clock.now_us += 3 * DAY_US
    assert line.open() == []
    line.served.append_events([event("reply", MORNING - DAY_US, reply_class="objection")])
    assert line.act() == "pause:1"
    (one,) = line.told()["handoffs"]
    assert (one["opened_at"], one["due_at"]) == ("2027-03-04T09:00:00Z", "2027-03-06T09:00:00Z")
    line.clock.now_us += 2 * DAY_US
    assert (line.act(), line.open()) == ("send:welcome", [])


@pytest.mark.parametrize("later", [0, 2 * MOST_UNFOLDED])
def test_what_is_told_a_month_late_opens_nothing_whatever_came_since(
    line: Line, later: int
) -> None:
    line.clock.now_us += 31 * DAY_US
    line.served.append_events([event("reply", MORNING, reply_class="question")])
    for i in range(later):
        line.served.append_events([event("page_view", line.clock.now_us, event_id=f"v{i}")])
    assert (line.act(), line.open()) == ("send:welcome", [])


@pytest.mark.parametrize("kind", ["question", "objection"])
def test_mail_that_was_planned_for_a_colleague_is_not_confirmed_while_a_person_is_asked(
    line: Line, kind: str
) -> None:
    assert line.act("bob", "mail") == "send:welcome"
    for _ in range(2):
        line.clock.now_us += HOUR_US
        line.reply(kind, "ada", event_id=f"e{line.clock.now_us}")
    line.clock.now_us = MORNING + 6 * HOUR_US
    (told,) = line.served.confirm(["mail"])
    assert getattr(told, "status", None) == "withdrawn"


def test_a_question_waits_as_long_as_the_journey_says_that_the_contact_was_in_last(
    tmp_path: Path,
) -> None:
    rails = {**RAILS, "served": {"handoffs": {"replies": {"replied_question": {"hours": 12}}}}}
    first = trial_bundle(tmp_path / "first", None, MAIL, guardrails=RAILS)
    later = trial_bundle(tmp_path / "later", None, MAIL, guardrails=rails, journey="later")
    with closing(Store(tmp_path / "s.db")) as store:
        store.put_contacts(PEOPLE)
        found = Service(first, store, ServerSettings(ZONE, False, Clock(MORNING)), None, [later])
        found.decide([Ask("cy", journey="later"), Ask("dan", journey=first.journey.name)])
        asked = ("cy", "dan", "eve")  # who is in none has the rules of the first
        found.append_events([event("reply", MORNING, n, reply_class="question") for n in asked])
        with TestClient(create_app(found)) as client:
            told = client.get("/v1/handoffs").json()["handoffs"]
    due = {one["contact_id"]: (one["journey"], one["due_at"]) for one in told}
    whole = ("inbound_lead", "2027-03-03T09:00:00Z")
    assert due == {"cy": ("later", "2027-03-01T21:00:00Z"), "dan": whole, "eve": whole}


@pytest.mark.parametrize(
    "more", [{"is_machine": True}, {"kind": "positive"}, {"kind": "out_of_office"}]
)
def test_other_replies_are_for_nobody_to_answer(line: Line, more: dict[str, Any]) -> None:
    line.reply(**more)
    assert line.open() == []


def test_many_events_later_a_question_still_holds_mail(line: Line) -> None:
    """Folded or not, read at once or with the next decision."""
    line.reply()
    for i in range(2 * MOST_UNFOLDED):
        line.served.append_events([event("page_view", line.clock.now_us + i, event_id=f"v{i}")])
    line.clock.now_us += HOUR_US
    for day in (0, 1):
        line.clock.now_us += day * DAY_US
        assert line.act() == "pause:1"
        key = folding_of(line.served.first.bundle).key
        assert line.served.store.states(["ada"], "inbound_lead", key)
    line.clock.now_us += DAY_US
    assert line.act() == "send:welcome"


def test_a_task_of_a_crm_asks_for_an_answer(line: Line) -> None:
    line.reply(topic="security")
    (one,) = msgspec.convert(line.told()["handoffs"], list[HandoffOut])
    for task in (
        hubspot_task(one, CrmIds("7"), None)["properties"]["hs_task_subject"],
        salesforce_task(one, CrmIds("7"), None)["Subject"],
    ):
        assert task == "Answer ada about security"


def test_who_is_held_out_may_ask_too_and_gets_no_mail(tmp_path: Path) -> None:
    line = Line(tmp_path, MAIL, {**SPRING, "shares": {"policy": 0.001, "holdout": 0.999}})
    assert line.act("cy") == "pause:1"
    line.reply("question", "cy")
    assert line.open() == [("cy", "replied_question")]
    line.served.store.close()


def test_times_count_within_their_hours_and_of_one_kind_alone() -> None:
    journey = trial_journey(None, guardrails=RAILS)

    def said(kind: str, hours: float) -> Event:
        at_us = MORNING + round(hours * HOUR_US)
        return event("reply", at_us, reply_class=kind)

    def opened(*events: Event, calls: tuple[int, ...] = ()) -> list[str]:
        return [one.signal.removeprefix("replied_") for one in passed_on(journey, events, calls)]

    assert opened(said("objection", 0), said("objection", 240)) == ["objection"]
    assert opened(said("objection", 0), said("objection", 240.1)) == []
    assert opened(said("objection", 0), said("question", 1)) == ["question"]
    pair = said("objection", 0), said("objection", 1)
    assert opened(*pair, calls=(MORNING - 95 * HOUR_US,)) == ["objection"]
    assert opened(*pair, calls=(MORNING - 95 * HOUR_US + 1,)) == []
    assert opened(*pair, calls=(MORNING + HOUR_US,)) == []
    assert opened(*pair, calls=(MORNING + HOUR_US + 1,)) == ["objection"]
    assert opened(said("question", 0), calls=(MORNING,)) == ["question"]


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ({"replies": {}}, "handoffs.replies: expected at least one signal of replies"),
        ({"replies": {"replied": {"hours": 1}}}, "no signal is called 'replied'"),
        ({"replies": {"meeting_booked": {"hours": 1}}}, "expected a signal of `type: reply`"),
        ({"replies": {"replied_question": {"hours": 0}}}, "hours: "),
        ({"replies": {"replied_question": {}}}, "hours: "),
        ({**ASKED, "rest": 4}, "rest"),
    ],
)
def test_a_rule_that_opens_nothing_is_refused(rules: dict[str, Any], says: str) -> None:
    told = {**load_journey("inbound_lead").resolved, "guardrails": {"served": {"handoffs": rules}}}
    with pytest.raises(JourneyError) as caught:
        parse_journey(told)
    assert says in str(caught.value)


def test_every_shipped_nurture_journey_lets_a_person_answer_questions() -> None:
    asked = {
        name
        for name in shipped_journeys()
        if (rules := load_journey(name).guardrails.handoffs)
        and {"replied_question", "replied_objection"} == {one.signal for one in rules.replies}
    }
    nurture = {"inbound_lead", "re_engagement", "stalled_opportunity", "trial_onboarding"}
    assert asked >= {*nurture, "renewal"}
