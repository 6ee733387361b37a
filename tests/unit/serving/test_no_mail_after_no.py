"""After an acknowledged word against mail no answer says send, until consent returns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import DAY_US, HOUR_US
from nurture_envs.features import FeatureSpec
from nurture_envs.journey_file import load_journey
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.http.wire import iso
from tests.unit.serving.contacts import MIDNIGHT, ZONE, Clock, contact, follow, service

SHIPPED = ("inbound_lead", "stalled_opportunity", "trial_onboarding", "re_engagement", "renewal")


class Server:
    """A server that sends whenever it may, on a clock that tests set."""

    def __init__(self, bundle: Bundle, path: Path, journey: str | None = None) -> None:
        self.clock = Clock(MIDNIGHT + 7 * HOUR_US)
        if journey is not None:
            found = load_journey(journey)
            parts = (found, ActionCatalog.of(found), FeatureSpec.of(found))
            bundle = replace(bundle, journey=parts[0], catalog=parts[1], feature_spec=parts[2])
        context = PolicyContext(bundle.journey, bundle.catalog, bundle.feature_spec)
        sends = [name for name in bundle.catalog.ids if name.startswith("send:")]
        policy = build_policy(f"always:{sends[0]}", context)
        self.service = service(replace(bundle, policy=policy), path, self.clock)
        self.client: TestClient[Litestar] = TestClient(create_app(self.service))
        self.said = 0

    def put(self, **contact: Any) -> int:
        body = {"consent": True, "time_zone": ZONE, **contact}
        return self.client.put("/v1/contacts", json={"contacts": [body]}).status_code

    def say(self, kind: str = "unsubscribe", at_us: int = 0, **cells: Any) -> Any:
        """Report an event of ada's; the whole answer."""
        self.said += 1
        row = {"event_id": f"e-{self.said}", "contact_id": "ada", "type": kind}
        row["occurred_at"] = iso(self.clock.now_us + at_us) or ""
        given = {name: value for name, value in {**row, **cells}.items() if value != "absent"}
        return self.client.post("/v1/events", json={"events": [given]})

    def ask(self, contact_id: str = "ada", request_id: str | None = None) -> str:
        """The action answered, or the code of the refusal."""
        body = {"contacts": [{"contact_id": contact_id, "request_id": request_id}]}
        (row,) = self.client.post("/v1/decisions", json=body).json()["decisions"]
        return str(row.get("action") or row["code"])

    def sends(self, contact_id: str = "ada", request_id: str | None = None) -> bool:
        return self.ask(contact_id, request_id).startswith("send")


def quarantine(server: Server) -> list[tuple[str, str]]:
    """Door and text of every row that was refused or mended."""
    blocks = server.service.store.scan("quarantine")
    return [(door, raw) for block in blocks for _, door, _, _, raw in block]


@pytest.fixture
def server(bundle: Bundle, tmp_path: Path) -> Server:
    """Seven in the morning, before the slot at nine."""
    return Server(bundle, tmp_path / "store.db")


def test_without_a_word_against_it_this_server_sends(server: Server) -> None:
    assert server.sends("ada")


@pytest.mark.parametrize("journey", SHIPPED)
def test_words_stop_mail_in_every_shipped_journey(
    bundle: Bundle, tmp_path: Path, journey: str
) -> None:
    server = Server(bundle, tmp_path / "store.db", journey)
    words: tuple[dict[str, Any], ...] = (
        {"kind": "reply", "reply_class": "unsubscribe_request"},
        {"kind": "reply", "reply_class": "negative"},
        {"kind": "snoozed"},
        {"kind": "consent_withdrawn"},
    )
    for i, word in enumerate(words):
        server.put(contact_id=f"c{i}")
        assert server.say(**word, contact_id=f"c{i}").status_code == 200
    server.put(contact_id="free")
    assert server.sends("free")
    assert not any(server.sends(f"c{i}") for i in range(len(words)))
    server.clock.now_us += 5 * DAY_US
    server.put(contact_id="later")
    assert server.sends("later")
    assert not any(server.sends(f"c{i}") for i in range(len(words)))


def test_a_snooze_ends_when_it_said(server: Server) -> None:
    server.say("snoozed", value=3)
    server.clock.now_us += 2 * DAY_US
    assert server.ask() == "pause:1"
    server.clock.now_us += 2 * DAY_US
    assert server.sends()


@pytest.mark.parametrize("ahead", [4 * 60, 6 * 60, 9 * 86_400])
def test_a_word_ahead_of_the_clock_counts_now(server: Server, ahead: int) -> None:
    answer = server.say("consent_withdrawn", at_us=ahead * 1_000_000)
    assert (answer.status_code, answer.json()["stored"]) == (200, 1)
    assert not server.sends()


@pytest.mark.parametrize("kind", ["unsubscribe", "complaint", "consent_withdrawn", "hard_bounce"])
def test_a_clock_that_steps_back_forgets_nothing(server: Server, kind: str) -> None:
    server.say(kind)
    server.clock.now_us -= HOUR_US
    assert not server.sends()


def test_a_clock_that_steps_back_forgets_no_send(server: Server) -> None:
    server.clock.now_us += 12 * HOUR_US
    server.say("sent", topic="product", decision_id="elsewhere")
    server.clock.now_us -= 12 * HOUR_US + 60_000_000
    assert server.ask() == "pause:1"


@pytest.mark.parametrize(
    "cells",
    [
        {"kind": "unsubscribed"},
        {"kind": " Opt-Out "},
        {"kind": "spam report"},
        {"mood": "angry"},
        {"occurred_at": "2027-03-01T07:59:00"},
        {"occurred_at": "yesterday"},
        {"occurred_at": "absent"},
        {"event_id": "absent"},
        {"event_id": ""},
        {"source": 7, "value": "x", "properties": []},
        {"is_machine": "no"},
        {"recorded_at": "1999-01-01T00:00:00Z"},
        {"properties": {"text": "x" * 20_000}},
        {"contact_id": "ADA"},
        {"contact_id": " ada\t"[:-1] + "\u00a0"},
        {"contact_id": "ａｄａ"},
        {"contact_id": "a\u200bda"},
    ],
)
def test_what_can_be_read_of_an_opt_out_counts(server: Server, cells: dict[str, Any]) -> None:
    answer = server.say(**cells)
    assert (answer.status_code, answer.json()["stored"]) == (200, 1), answer.json()
    assert not server.sends()
    mended = answer.json()["mended"]
    assert bool(mended) == ("contact_id" not in cells)
    assert len(quarantine(server)) == len(mended)


@pytest.mark.parametrize(
    "cells",
    [
        {"contact_id": "absent"},
        {"contact_id": "a\0da"},
        {"contact_id": ["ada"]},
        {"contact_id": "  "},
        {"contact_id": "a" * 201},
        {"kind": "bounce"},
        {"kind": "absent"},
        {"kind": "reply", "reply_class": "angry"},
        {"kind": "click", "reply_class": "go away"},
    ],
)
def test_what_may_be_an_opt_out_is_refused_out_loud_and_kept(
    server: Server, cells: dict[str, Any]
) -> None:
    if cells.get("kind") == "absent":
        cells = {"type": "absent"}
    answer = server.say(**cells)
    assert answer.status_code == 422
    assert next(iter(answer.json())) == "rejected"
    assert answer.json()["rejected"][0]["may_forbid_mail"] is True
    ((door, raw),) = quarantine(server)
    assert door == "/v1/events"
    assert "e-1" in raw


def test_one_bad_row_takes_no_good_one_with_it(server: Server) -> None:
    deep: Any = "x"
    for _ in range(400):
        deep = [deep]
    row = {"contact_id": "ada", "occurred_at": iso(server.clock.now_us)}
    rows = [
        {**row, "event_id": "1", "type": "click", "properties": {"deep": deep}},
        {**row, "event_id": "2", "type": "unsubscribe", "properties": {"deep": deep}},
        {**row, "event_id": "3", "type": "click"},
    ]
    answer = server.client.post("/v1/events", json={"events": rows})
    assert (answer.status_code, answer.json()["stored"]) == (200, 2)
    assert [found["row"] for found in answer.json()["rejected"]] == [0]
    assert "16 lists or objects" in answer.json()["rejected"][0]["reason"]
    body = b'{"events": [' + b"[" * 5000 + b"]" * 5000 + b"]}"
    assert server.client.post("/v1/events", content=body).status_code == 400


def test_an_opt_out_under_a_taken_event_id_counts(server: Server) -> None:
    server.say("open", event_id="e", contact_id="bob")
    answer = server.say("unsubscribe", event_id="e").json()
    assert (answer["stored"], answer["rejected"]) == (1, [])
    assert "taken" in answer["mended"][0]["notes"][0]
    assert not server.sends("ada")
    assert server.sends("bob")


def test_a_second_opt_out_under_the_first_ones_id_counts(server: Server) -> None:
    server.say("consent_withdrawn", event_id="ada-out")
    server.clock.now_us += 1_000_000
    server.say("consent_given")
    server.clock.now_us += 1_000_000
    answer = server.say("consent_withdrawn", event_id="ada-out").json()
    assert (answer["stored"], answer["repeated"]) == (1, 0)
    assert not server.sends()


def test_the_same_opt_out_reported_twice_is_one(server: Server) -> None:
    stamp = iso(server.clock.now_us)
    server.say("consent_withdrawn", event_id="e", occurred_at=stamp)
    server.clock.now_us += 1_000_000
    server.say("consent_given")
    server.clock.now_us += 1_000_000
    answer = server.say("consent_withdrawn", event_id="e", occurred_at=stamp).json()
    assert (answer["stored"], answer["repeated"]) == (0, 1)
    assert server.sends()


@pytest.mark.parametrize("back", ["consent_given", "resubscribe"])
@pytest.mark.parametrize(
    "word", [{"kind": "reply", "reply_class": "negative"}, {"kind": "consent_withdrawn"}]
)
def test_only_consent_given_later_takes_a_word_back(
    server: Server, word: dict[str, Any], back: str
) -> None:
    server.say(**word)
    server.say(back, at_us=-1_000_000)  # given before, reported after
    assert server.ask() == "pause:1"
    server.clock.now_us += DAY_US
    server.say(back)
    assert server.sends()


def test_a_late_report_of_an_old_opt_out_counts_after_newer_consent(server: Server) -> None:
    server.say("consent_given")
    server.say("consent_withdrawn", at_us=-40 * DAY_US)
    assert not server.sends()


def test_a_routine_update_of_a_contact_takes_nothing_back(server: Server) -> None:
    server.say("consent_withdrawn")
    assert server.put(contact_id="ada") == 200
    assert server.ask() == "pause:1"
    server.put(contact_id="ADA ", consent=False)
    server.clock.now_us += DAY_US
    server.say("consent_given")
    assert server.ask() == "pause:1"


def test_an_opt_out_before_the_contact_is_known_counts_and_says_so(server: Server) -> None:
    server.put(contact_id="e5")
    answer = server.say(contact_id="D4 ").json()
    assert answer["stored"] == 1
    (mended,) = answer["mended"]
    assert "no contact 'D4 ' is known" in mended["notes"][0]
    assert len(quarantine(server)) == 1
    assert server.say(contact_id="E5").json()["mended"] == []
    assert server.say("click", contact_id="F6").json()["mended"] == []
    server.put(contact_id="d4")
    assert not server.sends("D4")


def test_signs_that_nobody_sees_make_no_other_contact(server: Server) -> None:
    server.put(contact_id="d4")
    for sign in ("\ufe0f", "\u034f", "\u3164", "\U000e0100", "\u200b"):
        assert server.say("click", contact_id=f"d{sign}4").json()["stored"] == 1
    server.say(contact_id="D4\ufe0f")
    assert not server.sends("d4")


def test_a_retry_asks_again_whether_mail_may_go(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    assert server.sends(request_id="r")
    assert server.sends(request_id="r")
    server.say("reply", reply_class="unsubscribe_request")
    assert server.ask(request_id="r") == "withdrawn"
    assert "opted_out" in caplog.text
    server.clock.now_us += 21 * DAY_US
    assert server.ask(request_id="r") == "withdrawn"
    assert server.service.store.decisions(["r"])["r"].action.startswith("send")


def test_a_retry_is_good_for_its_bin_and_slot_only(server: Server) -> None:
    assert server.sends("ada", request_id="r")
    assert server.sends("bob", request_id="s")
    server.clock.now_us += 3 * HOUR_US  # ten o'clock: the slot is over
    assert server.ask("ada", request_id="r") == "withdrawn"
    server.clock.now_us += 6 * DAY_US + 21 * HOUR_US
    assert server.ask("bob", request_id="s") == "expired"


def test_a_retry_after_the_mail_went_sends_no_second_one(server: Server) -> None:
    assert server.sends(request_id="r")
    server.say("sent", topic="product", decision_id="r")
    assert server.ask(request_id="r") == "withdrawn"


def test_ids_of_one_contact_are_one_at_every_door(server: Server) -> None:
    server.put(contact_id="Zoë")
    assert server.sends("ZOË ", request_id="r")
    assert server.ask("zoe\u0308") == "already_decided"
    body = {"contacts": [{"contact_id": "Eve"}, {"contact_id": "eve"}]}
    answer = server.client.put("/v1/contacts", json=body)
    assert answer.status_code == 400
    assert "$.contacts[1].contact_id" in answer.json()["detail"]


def test_answers_name_contacts_as_they_were_asked_for(server: Server) -> None:
    body = {"contacts": [{"contact_id": "ADA"}, {"contact_id": "Nobody"}]}
    rows = server.client.post("/v1/decisions", json=body).json()["decisions"]
    assert [row["contact_id"] for row in rows] == ["ADA", "Nobody"]


@pytest.mark.parametrize(
    "cells", [{"contact_id": "a\0da"}, {"contact_id": "ada", "request_id": "r\0"}]
)
def test_ids_with_control_characters_are_refused(server: Server, cells: dict[str, str]) -> None:
    answer = server.client.post("/v1/decisions", json={"contacts": [cells]})
    assert answer.status_code == 400
    assert "$.contacts[0]." in answer.json()["detail"]


def test_a_contact_holds_no_more_than_features_read(server: Server) -> None:
    assert server.put(contact_id="eve", attributes={"notes": "x" * 20_000}) == 400


def test_a_contact_without_a_zone_may_live_anywhere(bundle: Bundle, tmp_path: Path) -> None:
    server = Server(bundle, tmp_path / "store.db", "inbound_lead")
    server.service.store.put_contacts([contact("eve", time_zone=None, zone_confidence=0.0)])
    server.service.store.put_contacts([contact("fay", zone_confidence=0.2)])
    assert server.ask("eve") == "pause:1"
    assert server.ask("fay") == "pause:1"
    assert server.sends("ada")
    near = replace(server.service.settings, unknown_zone_slack=(-1, 6))  # the operator knows
    server.service = Service(server.service.bundle, server.service.store, near)
    server.client = TestClient(create_app(server.service))
    server.clock.now_us += DAY_US
    assert server.sends("eve")


def test_escalations_count_from_their_decision(bundle: Bundle, tmp_path: Path) -> None:
    server = Server(bundle, tmp_path / "store.db", "inbound_lead")
    context = PolicyContext(
        server.service.bundle.journey,
        server.service.bundle.catalog,
        server.service.bundle.feature_spec,
    )
    calling = build_policy("always:escalate", context)
    follow(server.service, calling)
    server.say("reply", reply_class="positive", at_us=-DAY_US)
    found = []
    for _ in range(9):
        found.append(server.ask())
        server.clock.now_us += DAY_US
    # Two days of conversation, and a week in which salespeople hear of nobody twice.
    assert found == ["escalate", *["pause:1"] * 6, "escalate", "pause:1"]
