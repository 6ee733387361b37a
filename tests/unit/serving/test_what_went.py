"""A mail that an event proves to have gone counts, and is told so, whatever was withdrawn."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from litestar.testing import TestClient

from nurture_envs.clock import DAY_US, HOUR_US
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.records import Decision, Event, Refusal
from nurture_rl.serving.upkeep.export import export_log
from tests.unit.serving.contacts import Clock, event
from tests.unit.serving.test_accounts import MONDAY
from tests.unit.serving.test_accounts import serving as with_blue
from tests.unit.serving.test_no_mail_after_no import Server
from tests.unit.serving.test_offers_served import MORNING, PEOPLE, sends, serving

pytestmark = pytest.mark.usefixtures("either_database")

GIFT = "always:send:gift_card@now"
PROOFS = ("sent", "delivered", "open", "click", "reply", "soft_bounce", "unsubscribe")


def strict(bundle: Bundle, path: Path) -> Server:
    """Seven in the morning, where sends must be confirmed; ada is to get mail at nine."""
    rails = replace(bundle.journey.guardrails, confirm=True)
    journey = replace(bundle.journey, guardrails=rails)
    found = Server(replace(bundle, journey=journey), path)
    assert found.sends("ada", request_id="a")
    return found


def state(server: Server) -> Any:
    return server.client.get("/v1/decisions/a").json()


def exported(server: Server, folder: Path) -> Any:
    """What the export says of ada's decision."""
    export_log(server.service.store, folder)
    rows = pq.read_table(folder / "decisions.parquet").to_pylist()
    return {row["decision_id"]: row["withdrawn"] for row in rows}["a"]


def sent(name: str, at_us: int) -> Event:
    """The report of the mail of a contact's decision of the same name; it names no message."""
    return event("sent", at_us, name, decision_id=name)


def test_a_lapsed_send_that_is_reported_counts_for_its_message(
    bundle: Bundle, tmp_path: Path
) -> None:
    clock = Clock(MONDAY + 10 * HOUR_US)
    rails = {"account": None, "repeat_hours": 720, "confirm": True}
    served = with_blue(bundle, tmp_path / "s.db", clock, **rails)
    assert sends(served.decide([Ask("p0", "p0"), Ask("p1", "p1")])) == 2
    clock.now_us += HOUR_US
    served.decision("p0")
    served.append_events([sent("p0", clock.now_us)])
    (plan,) = served.store.planned(["p0", "p1"])[0]["p0"]
    assert plan.message_id == "blue"
    clock.now_us += 2 * DAY_US
    assert [sends([answer]) for answer in served.decide([Ask("p0"), Ask("p1")])] == [0, 1]


def lapsed_gifts(bundle: Bundle, path: Path, clock: Clock) -> Service:
    """All three gift cards were to be sent, nobody confirmed, and they are free again."""
    served = serving(bundle, path, clock, GIFT, confirm=True)
    assert sends(served.decide([Ask(name, name) for name in PEOPLE])) == 3
    clock.now_us += HOUR_US
    served.decision("p0")
    return served


def test_a_lapsed_send_that_is_reported_takes_its_piece_again_also_after_a_restart(
    bundle: Bundle, tmp_path: Path
) -> None:
    clock = Clock(MORNING)
    served = lapsed_gifts(bundle, tmp_path / "s.db", clock)
    told = [sent(name, clock.now_us) for name in ("p0", "p1")]
    served.append_events([*told, event("click", clock.now_us, "p0", decision_id="p0")])
    served.append_events([*told, event("open", clock.now_us, "p0", decision_id="p0")])
    assert sends(served.decide([Ask("late", "late")])) == 1
    clock.now_us += DAY_US  # late's lapses too
    served.append_events([sent("p2", clock.now_us)])
    assert sends(served.decide([Ask(name) for name in PEOPLE[3:]])) == 0
    served.store.close()
    again = serving(bundle, tmp_path / "s.db", clock, GIFT, confirm=True)
    assert sends(again.decide([Ask("late")])) == 0


def test_no_piece_is_given_back_for_mail_that_went(bundle: Bundle, tmp_path: Path) -> None:
    clock = Clock(MORNING)
    served = serving(bundle, tmp_path / "s.db", clock, GIFT, confirm=True)
    assert sends(served.decide([Ask(name, name) for name in PEOPLE])) == 3
    clock.now_us += 1
    served.append_events([sent("p0", clock.now_us), sent("p1", clock.now_us)])
    found = served.append_events(
        [
            event("complaint", clock.now_us, "p0"),
            event("delivered", clock.now_us, "p2", decision_id="p2"),
            event("complaint", clock.now_us, "p2"),
        ]
    )
    assert [one.freed for one in found.withdrawn] == [False, False]
    clock.now_us += HOUR_US
    served.decision("p1")
    assert served.store.fates(["p1"]) == {}
    assert sends(served.decide([Ask("late")])) == 0


def test_a_mail_that_went_gives_nothing_back_at_its_confirmation(
    bundle: Bundle, tmp_path: Path
) -> None:
    clock = Clock(MORNING)
    served = serving(bundle, tmp_path / "s.db", clock, GIFT, confirm=True)
    assert sends(served.decide([Ask(name, name) for name in PEOPLE])) == 3
    clock.now_us += 1
    served.append_events([sent("p0", clock.now_us)])
    (answer,) = served.confirm(["p0"])
    assert answer is not None
    assert (answer.status, served.store.fates(["p0"])["p0"].reason) == ("withdrawn", answer.reason)
    assert sends(served.decide([Ask("late")])) == 0


def test_a_report_waits_for_whoever_works_on_the_mails_contact(
    bundle: Bundle, tmp_path: Path
) -> None:
    server = strict(bundle, tmp_path / "store.db")
    told = event("sent", server.clock.now_us, "bob", decision_id="a")
    teller = threading.Thread(target=server.service.append_events, args=([told],))
    with server.service.store.held(["ada"]):
        teller.start()
        teller.join(0.3)
        assert teller.is_alive()
    teller.join()
    assert list(server.service.store.proofs(["a"])) == ["a"]


def test_a_release_of_another_journey_leaves_the_inventory_alone(
    bundle: Bundle, tmp_path: Path
) -> None:
    clock = Clock(MORNING)
    served = serving(bundle, tmp_path / "s.db", clock, GIFT, confirm=True)
    assert sends(served.decide([Ask(name, name) for name in PEOPLE])) == 3
    served.store.close()
    other = serving(bundle, tmp_path / "s.db", clock, GIFT, confirm=True, name="other")
    (gone,) = other.append_events([event("complaint", clock.now_us, "p0")]).withdrawn
    assert gone.freed
    clock.now_us += HOUR_US
    other.append_events([sent("p0", clock.now_us)])
    assert sends(other.decide([Ask(name) for name in [*PEOPLE[1:], "late"]])) == 3


def test_what_another_contact_reports_of_a_mail_counts(bundle: Bundle, tmp_path: Path) -> None:
    server = strict(bundle, tmp_path / "store.db")
    server.clock.now_us += 2 * HOUR_US
    server.put(contact_id="ada@new")
    server.say("sent", contact_id="ada@new", decision_id="a")
    server.clock.now_us += HOUR_US
    assert (state(server)["status"], exported(server, tmp_path / "raw")) == ("sent", None)
    assert [plan.decision_id for plan in server.service.store.planned(["ada"])[0]["ada"]] == ["a"]


@pytest.mark.parametrize("kind", PROOFS)
@pytest.mark.parametrize("lapsed", [False, True])
def test_whatever_proves_that_a_mail_went_is_one_rule_for_all(
    bundle: Bundle, tmp_path: Path, kind: str, lapsed: bool
) -> None:
    server = strict(bundle, tmp_path / "store.db")
    server.clock.now_us += 2 * HOUR_US + lapsed * HOUR_US
    assert (state(server)["status"] == "withdrawn") == lapsed
    said = server.say(kind, decision_id="a", topic="product")
    assert said.json()["rejected"] == []
    at = state(server)["at"]
    server.clock.now_us += HOUR_US
    assert (state(server)["status"], state(server)["at"]) == ("sent", at)
    assert exported(server, tmp_path / "raw") is None
    (plan,) = server.service.store.planned(["ada"])[0]["ada"]
    assert (plan.decision_id, plan.confirm_by_us) == ("a", None)
    answer = server.client.post("/v1/decisions/a/confirm").json()
    assert answer["status"] == "withdrawn"
    if not lapsed and kind != "unsubscribe":
        assert f"went already: a `{kind}` event" in answer["reason"]


@pytest.mark.parametrize("kind", ["page_view", "purchase", "dropped", "escalated"])
def test_other_events_prove_nothing(bundle: Bundle, tmp_path: Path, kind: str) -> None:
    server = strict(bundle, tmp_path / "store.db")
    server.clock.now_us += 2 * HOUR_US
    assert server.say(kind, decision_id="a", topic="product").json()["rejected"] == []
    server.clock.now_us += HOUR_US
    told = state(server)
    assert told["reason"] == ("sales_conversation" if kind == "escalated" else "not confirmed")
    assert (told["status"], exported(server, tmp_path / "raw")) == ("withdrawn", told["reason"])
    assert server.service.store.planned(["ada"])[0] == {}


def test_a_call_that_was_passed_on_is_no_withdrawn_one(bundle: Bundle, tmp_path: Path) -> None:
    clock = Clock(MONDAY + 10 * HOUR_US)
    served = with_blue(bundle, tmp_path / "s.db", clock, "always:escalate", account=None)
    assert [a for a in served.decide([Ask("p0", "a")]) if isinstance(a, Decision)]
    server = TestClient(create_app(served))
    clock.now_us += DAY_US
    (late,) = served.decide([Ask("p0", "a")])
    assert isinstance(late, Refusal)
    assert server.get("/v1/decisions/a").json()["status"] == "withdrawn"
    assert list(served.store.not_carried_out()) == ["a"]
    served.append_events([event("escalated", clock.now_us, "p0", decision_id="a")])
    assert server.get("/v1/decisions/a").json()["status"] == "made"
    assert served.store.not_carried_out() == {}


def test_a_report_is_told_by_its_own_time_whatever_came_before(
    bundle: Bundle, tmp_path: Path
) -> None:
    server = strict(bundle, tmp_path / "store.db")
    server.clock.now_us += 2 * HOUR_US
    server.say("click", at_us=-1_000_000, decision_id="a", topic="product")
    assert state(server)["at"] == "2027-03-01T07:59:59Z"
    server.say("sent", decision_id="a")
    assert state(server)["at"] == "2027-03-01T08:00:00Z"
