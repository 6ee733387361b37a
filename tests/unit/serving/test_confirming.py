"""A decision to send is an intention until its hour: then it is confirmed, or taken back."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from nurture_envs.clock import DAY_US, HOUR_US
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.records import Decision
from nurture_rl.serving.upkeep.export import export_log
from tests.unit.serving.contacts import Clock
from tests.unit.serving.test_accounts import MONDAY
from tests.unit.serving.test_accounts import serving as with_blue
from tests.unit.serving.test_no_mail_after_no import Server
from tests.unit.serving.test_offers_served import MORNING, PEOPLE, sends, serving


@pytest.fixture
def server(bundle: Bundle, tmp_path: Path) -> Server:
    """Seven in the morning; ada and bob are to get mail at nine."""
    found = Server(bundle, tmp_path / "store.db")
    assert found.sends("ada", request_id="a")
    assert found.sends("bob", request_id="b")
    return found


def confirm(server: Server, name: str = "a") -> Any:
    return server.client.post(f"/v1/decisions/{name}/confirm").json()


def state(server: Server, name: str = "a") -> Any:
    return server.client.get(f"/v1/decisions/{name}").json()


def test_a_send_is_confirmed_from_its_hour_to_the_end_of_its_bin(server: Server) -> None:
    early = confirm(server)
    assert (early["status"], early["scheduled_at"]) == ("early", "2027-03-01T08:00:00Z")
    assert state(server)["status"] == "planned"
    server.clock.now_us += 2 * HOUR_US + 180_000_000
    first = confirm(server)
    assert (first["status"], first["reason"]) == ("send", None)
    assert first["confirmed_at"] == "2027-03-01T08:03:00Z"
    server.clock.now_us += 60_000_000
    assert confirm(server) == first
    assert (state(server)["status"], state(server)["at"]) == ("confirmed", "2027-03-01T08:03:00Z")
    server.clock.now_us += DAY_US
    late = confirm(server, "b")
    assert (late["status"], "bin 0" in late["reason"]) == ("withdrawn", True)
    assert confirm(server, "b") == late
    assert state(server, "b")["reason"] == late["reason"]


def test_what_forbids_mail_at_its_hour_takes_the_send_back_for_good(server: Server) -> None:
    server.clock.now_us += 2 * HOUR_US
    server.say("consent_withdrawn")
    server.clock.now_us += 1
    found = confirm(server)
    assert (found["status"], found["reason"]) == ("withdrawn", "no_consent, opted_out")
    server.say("consent_given")
    assert confirm(server)["status"] == "withdrawn"
    assert server.ask("ada", request_id="a") == "withdrawn"


def test_a_send_leaves_at_no_hour_at_which_mail_is_forbidden(
    bundle: Bundle, tmp_path: Path
) -> None:
    quiet = replace(bundle.journey.guardrails, quiet_hours=(20, 8))
    journey = replace(bundle.journey, guardrails=quiet)
    server = Server(replace(bundle, journey=journey), tmp_path / "store.db")
    server.clock.now_us += HOUR_US
    assert server.sends("ada", request_id="a")
    server.clock.now_us += 13 * HOUR_US  # nine in the evening of the same bin
    assert confirm(server)["reason"] == "quiet_hours"


def test_after_a_confirmation_a_stop_still_counts_and_the_place_stays_taken(
    server: Server,
) -> None:
    server.clock.now_us += 2 * HOUR_US
    assert confirm(server)["status"] == "send"
    server.say("sent", contact_id="ada", topic="product")  # of another system: no stop
    assert confirm(server)["status"] == "send"
    server.say("consent_withdrawn")
    again = confirm(server)
    assert (again["status"], again["reason"]) == ("withdrawn", "no_consent, opted_out")
    assert again["confirmed_at"] == "2027-03-01T08:00:00Z"
    ((plan,), _) = (found.get("ada", ()) for found in server.service.store.planned(["ada"]))
    assert plan.decision_id == "a"
    assert server.service.store.not_carried_out() == {}


def test_mail_that_was_reported_is_not_sent_once_more(server: Server) -> None:
    server.clock.now_us += 2 * HOUR_US
    assert confirm(server)["status"] == "send"
    server.say("sent", decision_id="a", topic="product")
    assert "went already" in confirm(server)["reason"]
    assert state(server)["status"] == "sent"


def test_many_are_confirmed_at_once_and_unknown_ids_named(server: Server) -> None:
    server.clock.now_us += 2 * HOUR_US
    server.put(contact_id="eve", consent=False)
    assert server.ask("eve", request_id="e") == "pause:1"
    server.say(contact_id="bob")
    body = {"ids": ["a", "b", "x", "e", "a"]}
    rows = server.client.post("/v1/decisions/confirm", json=body).json()["confirmations"]
    assert [row["status"] for row in rows] == ["send", "withdrawn", "unknown", "no_send", "send"]
    assert rows[0] == rows[4]
    assert state(server, "e")["status"] == "made"
    unknown = server.client.post("/v1/decisions/confirm", json={"ids": ["x"]})
    assert (unknown.status_code, "'x'" in unknown.json()["detail"]) == (404, True)
    assert server.client.post("/v1/decisions/x/confirm").status_code == 404
    assert server.client.get("/v1/decisions/x").status_code == 404
    now = {"now": "2027-03-01T08:00:00Z"}
    assert server.client.post("/v1/decisions/a/confirm", json=now).status_code == 400
    assert server.client.post("/v1/decisions/a/confirm", json={"when": 1}).status_code == 400


def test_an_early_withdrawal_frees_the_place_in_the_caps(server: Server) -> None:
    for name in ("a", "b"):
        server.client.post(f"/v1/decisions/{name}/confirm")
    server.say("snoozed", value=0.5)  # ada: half a day
    server.clock.now_us += DAY_US
    assert server.sends("ada")  # the gap of 40 hours is not begun
    assert not server.sends("bob")


def test_a_late_retry_frees_nothing_for_the_mail_may_have_left(server: Server) -> None:
    server.clock.now_us += 3 * HOUR_US
    assert server.ask("ada", request_id="a") == "withdrawn"  # its slot is over
    server.clock.now_us += 21 * HOUR_US
    assert not server.sends("ada")


def test_a_withdrawn_send_gives_its_piece_back_also_after_a_restart(
    bundle: Bundle, tmp_path: Path
) -> None:
    clock = Clock(MORNING)
    served = serving(bundle, tmp_path / "s.db", clock, "always:send:gift_card@now")
    assert sends(served.decide([Ask(name, name) for name in PEOPLE])) == 3
    clock.now_us += DAY_US
    for _ in range(3):  # asked again it gives nothing back twice
        served.confirm(["p0", "p1"])
    found = served.decide([Ask(name) for name in PEOPLE[3:]])
    assert sends(found) == 2
    late = next(a for a in found if isinstance(a, Decision) and a.action.startswith("send"))
    clock.now_us += DAY_US
    served.confirm([late.decision_id])
    served.store.close()
    reopened = serving(bundle, tmp_path / "s.db", clock, "always:send:gift_card@now")
    assert sends(reopened.decide([Ask("late"), Ask("p0"), Ask("p1")])) == 1


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("consent_withdrawn", "opted_out"), ("unsubscribe", "opted_out"), ("complaint", "opted_out"),
     ("hard_bounce", "hard_bounce"), ("meeting_booked", "sales_conversation")],
)  # fmt: skip
def test_a_stop_takes_back_what_is_planned_at_once(
    bundle: Bundle, tmp_path: Path, kind: str, reason: str
) -> None:
    server = Server(bundle, tmp_path / "store.db", "inbound_lead")
    assert server.sends("ada", request_id="a")
    assert server.sends("bob", request_id="b")
    assert server.say("click", topic="pricing").json()["withdrawn"] == []
    (gone,) = server.say(kind).json()["withdrawn"]
    assert (gone["decision_id"], gone["contact_id"]) == ("a", "ada")
    assert reason in gone["reason"]
    found = state(server)
    assert (found["status"], found["reason"]) == ("withdrawn", gone["reason"])
    assert state(server, "b")["status"] == "planned"
    server.clock.now_us += 6 * HOUR_US  # its hour is over: nothing to take back
    assert server.say(kind, contact_id="bob").json()["withdrawn"] == []
    export_log(server.service.store, tmp_path / "raw")
    rows = pq.read_table(tmp_path / "raw" / "decisions.parquet").to_pylist()
    told = {row["decision_id"]: (row["deferred"], row["withdrawn"]) for row in rows}
    assert told == {"a": (True, gone["reason"]), "b": (False, None)}


@pytest.mark.parametrize("round_", range(10))
def test_one_send_is_confirmed_or_withdrawn_whatever_comes_at_once(
    bundle: Bundle, tmp_path: Path, round_: int
) -> None:
    server = Server(bundle, tmp_path / "store.db")
    assert server.sends("ada", request_id="a")
    server.clock.now_us += 2 * HOUR_US
    found: list[str] = []
    ready = threading.Barrier(5)

    def ask() -> None:
        ready.wait()
        (one,) = server.service.confirm(["a"])
        found.append(one.status if one else "unknown")

    def say() -> None:
        ready.wait()
        server.say("consent_withdrawn")

    threads = [threading.Thread(target=ask) for _ in range(4)]
    threads.append(threading.Thread(target=say))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) <= {"send", "withdrawn"}
    assert confirm(server)["status"] == "withdrawn"
    freed = server.service.store.planned(["ada"])[0] == {}
    assert freed == ("send" not in found)


@pytest.fixture
def strict(bundle: Bundle, tmp_path: Path) -> Server:
    """The same morning in a journey that demands confirmation; ada and bob are to get mail."""
    rails = replace(bundle.journey.guardrails, confirm=True)
    journey = replace(bundle.journey, guardrails=rails)
    found = Server(replace(bundle, journey=journey), tmp_path / "store.db")
    assert found.sends("ada", request_id="a")
    assert found.sends("bob", request_id="b")
    return found


def test_where_confirmation_is_demanded_a_send_that_lacks_it_is_none(strict: Server) -> None:
    strict.clock.now_us += 2 * HOUR_US
    assert confirm(strict, "b")["status"] == "send"
    strict.clock.now_us += HOUR_US - 1
    assert state(strict)["status"] == "planned"
    strict.clock.now_us += 1
    assert (confirm(strict)["status"], confirm(strict)["reason"]) == ("withdrawn", "not confirmed")
    assert state(strict)["reason"] == "not confirmed"
    assert state(strict, "b")["status"] == "confirmed"
    strict.clock.now_us += 20 * HOUR_US
    assert strict.sends("ada")  # the gap of 40 hours is not begun
    assert not strict.sends("bob")


def test_what_was_confirmed_does_not_lapse_and_needs_no_confirmation(strict: Server) -> None:
    store, hour = strict.service.store, strict.clock.now_us + 2 * HOUR_US
    (plan,) = store.planned(["ada"])[0]["ada"]
    assert (plan.at_us, plan.confirm_by_us) == (hour, hour + HOUR_US)
    late = store.unconfirmed(-1, hour + HOUR_US)
    strict.clock.now_us = hour
    assert confirm(strict)["status"] == "send"  # after a sweep has found it, and before its lock
    lapsed = strict.service.first.recorded.lapsed(late, hour + HOUR_US)
    assert [one.decision.decision_id for one in lapsed] == ["b"]
    assert store.planned(["ada"])[0]["ada"][0].confirm_by_us is None


def test_a_send_that_was_reported_needs_no_confirmation_to_count(strict: Server) -> None:
    strict.clock.now_us += 2 * HOUR_US
    strict.say("sent", decision_id="a", topic="product")
    strict.clock.now_us += DAY_US - HOUR_US
    assert not strict.sends("ada")
    assert state(strict)["status"] == "sent"
    assert set(strict.service.store.fates(["a", "b"])) == {"b"}
    assert set(strict.service.store.not_carried_out()) == {"b"}


def test_a_stop_takes_back_what_waits_for_its_confirmation(strict: Server) -> None:
    strict.clock.now_us += 2 * HOUR_US + 60_000_000
    (gone,) = strict.say("consent_withdrawn").json()["withdrawn"]
    assert gone["decision_id"] == "a"


def test_the_export_calls_a_send_that_lacks_its_confirmation_withdrawn(
    strict: Server, tmp_path: Path
) -> None:
    strict.clock.now_us += 2 * HOUR_US
    assert confirm(strict, "b")["status"] == "send"

    def told() -> dict[str, tuple[bool, str | None]]:
        export_log(strict.service.store, tmp_path / "raw")
        rows = pq.read_table(tmp_path / "raw" / "decisions.parquet").to_pylist()
        return {row["decision_id"]: (row["deferred"], row["withdrawn"]) for row in rows}

    assert told() == {"a": (False, None), "b": (False, None)}
    strict.clock.now_us += HOUR_US
    strict.say("click", topic="product")  # the server knows that it is ten, and asked nobody
    before = told()
    assert before == {"a": (True, "not confirmed"), "b": (False, None)}
    assert confirm(strict)["status"] == "withdrawn"
    assert told() == before


def test_a_confirmation_that_waited_past_its_hour_confirms_nothing(
    strict: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict.clock.now_us += 3 * HOUR_US - 1
    held = strict.service.first.accounts.held

    @contextmanager
    def slowly(names: Sequence[str]) -> Iterator[dict[str, str]]:
        with held(names) as accounts:
            strict.clock.now_us += 1  # as where another request holds the contact
            yield accounts

    monkeypatch.setattr(strict.service.first.accounts, "held", slowly)
    late = confirm(strict)
    assert (late["status"], late["reason"]) == ("withdrawn", "not confirmed")
    assert late["confirmed_at"] is None
    assert strict.service.store.planned(["ada"])[0] == {}
    assert set(strict.service.store.fates(["a", "b"])) == {"a"}


def test_a_confirmation_needs_no_word_of_who_is_in_reach(bundle: Bundle, tmp_path: Path) -> None:
    clock = Clock(MONDAY + 10 * HOUR_US)
    served = with_blue(bundle, tmp_path / "s.db", clock, availability=True, account=None)
    found = served.decide([Ask("p0", "p0", available=True), Ask("p1", "p1")])
    assert sends(found) == 1
    (answer,) = served.confirm(["p0"])
    assert answer is not None
    assert (answer.status, answer.reason) == ("send", None)


def test_a_clock_that_was_set_back_forgets_no_confirmation(strict: Server) -> None:
    strict.clock.now_us += 5 * HOUR_US
    assert confirm(strict)["status"] == "withdrawn"
    strict.clock.now_us -= 5 * HOUR_US
    strict.put(contact_id="eve")
    assert strict.sends("eve", request_id="e")
    strict.clock.now_us += 4 * HOUR_US
    assert state(strict, "e")["reason"] == "not confirmed"


def test_what_lapses_gives_its_piece_of_an_inventory_back(bundle: Bundle, tmp_path: Path) -> None:
    clock = Clock(MORNING)
    served = serving(bundle, tmp_path / "s.db", clock, "always:send:gift_card@now", confirm=True)
    assert sends(served.decide([Ask(name, name) for name in PEOPLE])) == 3
    served.confirm(["p0"])
    clock.now_us += HOUR_US
    assert sends(served.decide([Ask("late", "late")])) == 1
    clock.now_us += DAY_US
    assert sends(served.decide([Ask(name) for name in PEOPLE[1:]])) == 2
