"""Webhooks of senders: what they say holds at once, once, and whatever else stands beside it."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nurture_envs.clock import HOUR_US
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.mail_permission import permission_of
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.upkeep.erasing import erase_contacts
from tests.unit.serving.contacts import contact
from tests.unit.serving.enrolled import MONDAY, journey, parts
from tests.unit.serving.posting import MORNING, NOW, Posting
from tests.unit.serving.signed_webhooks import PATH, body_of, row, signed


@pytest.fixture
def posting(bundle: Bundle, tmp_path: Path, either_database: None) -> Iterator[Posting]:
    """With its store in either database."""
    found = Posting(bundle, tmp_path)
    yield found
    found.service.store.close()


@pytest.mark.parametrize(
    ("kind", "cells"),
    [
        ("unsubscribe", {}),
        ("group_unsubscribe", {"asm_group_id": 4}),
        ("spamreport", {}),
        ("bounce", {"type": "bounce", "bounce_classification": "Invalid Address"}),
        ("dropped", {"reason": "Unsubscribed Address"}),
        ("dropped", {"reason": "Bounced Address"}),
    ],
)
def test_a_word_against_mail_withdraws_the_planned_send_at_once(
    posting: Posting, kind: str, cells: dict[str, Any]
) -> None:
    planned = posting.decide(request_id="r-1")
    assert planned["scheduled_at"] is not None
    out = posting.rows(row(kind, 1, NOW, **cells))
    assert [one["decision_id"] for one in out["withdrawn"]] == ["r-1"]
    assert out["rejected"] == []
    posting.clock.now_us += 3 * HOUR_US
    (told,) = posting.client.post("/v1/decisions/confirm", json={"ids": ["r-1"]}).json().values()
    assert told[0]["status"] == "withdrawn"


def test_soft_bounces_rest_the_address_only_when_they_repeat(posting: Posting) -> None:
    posting.decide(request_id="r-1")
    blocked = [row("bounce", i, NOW - 100 + i, type="blocked") for i in range(3)]
    assert posting.rows(*blocked[:2])["withdrawn"] == []
    posting.rows(blocked[2])
    events = posting.service.store.events_of_ids([f"sendgrid:ZXZlbnQ{i}" for i in range(3)])
    assert permission_of(events.values()).resting_until_us > MORNING


def test_what_happened_to_a_mail_joins_its_decision_and_its_topic(posting: Posting) -> None:
    planned = posting.decide(request_id="r-1")
    message = planned["action"].partition(":")[2].rpartition("@")[0]
    topics = {one.id: one.topic for one in posting.service.bundle.catalog.messages}
    mail = {"decision_id": "r-1", "contact_id": ""}  # its decision names the contact
    posting.clock.now_us += 12 * HOUR_US
    now = posting.clock.now_us // 1_000_000
    kinds = ("processed", "delivered", "open", "click")
    out = posting.rows(*(row(kind, i, now, **mail) for i, kind in enumerate(kinds)))
    assert (out["stored"], out["rejected"], out["mended"]) == (4, [], [])
    stored = posting.service.store.events_of_ids([f"sendgrid:ZXZlbnQ{i}" for i in range(4)])
    assert {one.contact_id for one in stored.values()} == {"ada"}
    assert {one.topic for one in stored.values()} == {topics[message]}
    state = posting.client.get("/v1/decisions/r-1").json()
    assert state["status"] == "sent"


def test_the_topic_of_a_mail_is_that_of_its_own_journey(bundle: Bundle, tmp_path: Path) -> None:
    posting = Posting(bundle, tmp_path)
    posting.service.store.close()
    posting.clock.now_us = MONDAY + 8 * HOUR_US
    store = Store(tmp_path / "two.db")
    store.put_contacts([contact("ada", time_zone="UTC")])
    base, low = journey("base"), journey("low")
    other = replace(base, messages=tuple(replace(m, topic="other") for m in base.messages))
    served = Service(
        parts(bundle, other),
        store,
        ServerSettings("UTC", False, posting.clock, seed=5),
        further=[parts(bundle, low)],
    )
    served.enrolling.enrol("low", "ada", "test", "test")
    posting.serve(served)
    assert posting.decide(request_id="r-1")["journey"] == "low"
    now = posting.clock.now_us // 1_000_000
    assert posting.rows(row("delivered", 1, now, decision_id="r-1"))["stored"] == 1
    (stored,) = store.events_of_ids(["sendgrid:ZXZlbnQ1"]).values()
    assert stored.topic == low.messages[0].topic != "other"
    store.close()


def test_one_bad_row_does_not_lose_the_others(posting: Posting) -> None:
    rows = [
        row("open", 1, NOW),
        "no object",
        row("moved", 2, NOW),
        row("delivered", 3, NOW, contact_id="", email="stranger@example.com"),
        row("unsubscribe", 4, NOW, contact_id="", email="stranger@example.com"),
        {**row("delivered", 5, NOW), "sg_event_id": None},
        row("delivered", 6, "yesterday"),  # type: ignore[arg-type]
        row("delivered", 7, NOW, contact_id=["ada"]),
        row("account_status_change", 8, NOW, type="compliance_suspend"),
        row("unsubscribe", 9, NOW),
    ]
    out = posting.rows(*rows)
    assert out["stored"] == 2
    told = {one["row"]: (one["reason"], one["may_forbid_mail"]) for one in out["rejected"]}
    assert list(told) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert told[1] == ("expected an object, got str", True)
    assert told[2][0].startswith("unknown event 'moved'")
    assert "names no contact that is known" in told[3][0]
    assert [told[i][1] for i in (2, 3, 4, 8)] == [True, False, True, False]
    for i, path in ((5, "event_id"), (6, "occurred_at"), (7, "contact_id")):
        assert path in told[i][0]
    kept = posting.quarantined()
    assert len(kept) == 8
    assert {one[0] for one in kept} == {PATH}
    assert any('"stranger@example.com"' in one[3] and '"unsubscribe"' in one[3] for one in kept)


def test_what_may_forbid_mail_and_was_not_stored_stands_in_the_servers_log(
    posting: Posting, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        posting.rows(row("moved", 1, NOW), row("delivered", 2, NOW, contact_id=""))
    assert "1 row of sendgrid may forbid mail and could not be stored" in caplog.text
    assert "ada" not in caplog.text


def test_a_word_against_mail_is_kept_however_little_of_it_can_be_read(posting: Posting) -> None:
    planned = posting.decide(request_id="r-1")
    assert planned["kind"] == "decision"
    out = posting.rows({"event": "unsubscribe", "contact_id": "ADA ", "timestamp": {"a": 1}})
    assert [one["decision_id"] for one in out["withdrawn"]] == ["r-1"]
    (mended,) = out["mended"]
    assert any("counted as happening now" in note for note in mended["notes"])


def test_a_contact_whose_id_is_the_address_needs_no_custom_argument(posting: Posting) -> None:
    posting.service.store.put_contacts([contact("Ada@Example.com")])
    out = posting.rows(row("unsubscribe", 1, NOW, contact_id=None))
    assert (out["stored"], out["rejected"]) == (1, [])
    (stored,) = posting.service.store.events_of_ids(["sendgrid:ZXZlbnQ1"]).values()
    assert stored.contact_id == "ada@example.com"


def test_an_unknown_contact_is_taken_and_told(posting: Posting) -> None:
    rows = [row(kind, i, NOW, contact_id="zoe") for i, kind in enumerate(("open", "unsubscribe"))]
    out = posting.rows(*rows)
    assert out["stored"] == 2
    assert [one["row"] for one in out["mended"]] == [0, 1]
    assert all("no contact 'zoe' is known" in one["notes"][0] for one in out["mended"])


def test_a_decision_of_another_contact_is_not_proven(posting: Posting) -> None:
    posting.decide("bob", request_id="r-bob")
    out = posting.rows(row("delivered", 1, NOW, decision_id="r-bob"))
    assert "another contact's" in out["mended"][0]["notes"][0]
    assert posting.client.get("/v1/decisions/r-bob").json()["status"] == "planned"
    (stored,) = posting.service.store.events_of_ids(["sendgrid:ZXZlbnQ1"]).values()
    assert (stored.decision_id, json.loads(stored.properties)["other_decision"]) == (None, "r-bob")


def test_what_is_sent_again_counts_once(posting: Posting) -> None:
    rows = [row("open", i, NOW) for i in range(3)] + [row("unsubscribe", 3, NOW)]
    body = body_of(rows + rows[:1])  # twice in one body, too
    first = posting.post(body).json()
    assert (first["stored"], first["repeated"]) == (4, 1)
    again = posting.post(body)
    assert (again.status_code, again.json()["stored"]) == (200, 0)
    assert again.json()["repeated"] == 5
    assert len(posting.events()) == 4


def test_what_comes_again_counts_once_where_the_senders_clock_runs_ahead(posting: Posting) -> None:
    rows = [row(kind, i, NOW + 60) for i, kind in enumerate(("spamreport", "unsubscribe"))]
    assert posting.rows(*rows)["stored"] == 2
    posting.clock.now_us += 5_000_000  # the clock that dated them goes on
    again = posting.rows(*rows)
    assert (again["stored"], again["repeated"], again["mended"]) == (0, 2, [])
    assert posting.quarantined() == []
    other = {**rows[1], "timestamp": NOW + 61}  # another word under a name that is taken
    assert posting.rows(other)["stored"] == 1
    posting.clock.now_us += 2 * HOUR_US
    assert posting.rows(*rows, other)["repeated"] == 2 + 1


def test_a_mail_of_which_two_tell_that_it_went_is_one_mail(posting: Posting) -> None:
    posting.decide(request_id="r-1")
    posting.clock.now_us += 12 * HOUR_US
    now = posting.clock.now_us // 1_000_000
    own = {"contact_id": "ada", "occurred_at": "2027-03-01T12:00:00Z", "type": "sent"}

    def tell(number: int, **cells: Any) -> int:
        events = [{**own, "event_id": f"own-{number}", **cells}]
        return int(posting.client.post("/v1/events", json={"events": events}).json()["stored"])

    assert posting.rows(row("processed", 1, now, decision_id="r-1"))["stored"] == 1
    assert tell(1, decision_id="r-1") == 0
    assert tell(2, decision_id="r-2") == 1
    assert posting.rows(row("processed", 2, now, decision_id="r-2"))["repeated"] == 1
    assert posting.rows(row("delivered", 3, now, decision_id="r-2"))["stored"] == 1
    # Mail of no decision: the sender's name of it tells it from others, a text's name does not.
    assert posting.rows(row("processed", 4, now))["stored"] == 1
    assert posting.rows(row("processed", 5, now, sg_message_id="bXNn4.filter-1"))["stored"] == 0
    assert tell(4, message_id="bXNn4.filter-1") == 0
    assert tell(5, message_id="newsletter") == tell(6, message_id="newsletter") == 1
    assert posting.rows(row("processed", 4, now, contact_id="bob", sg_event_id="x"))["stored"] == 1
    sent = [event for event in posting.events() if event[4] == "sent"]
    assert len(sent) == 6


def test_a_replay_does_not_undo_what_was_said_since(posting: Posting) -> None:
    consent = body_of([row("group_resubscribe", 1, NOW, asm_group_id=4)])
    headers = signed(posting.key, consent, NOW)
    posting.rows(row("group_unsubscribe", 0, NOW - 60, asm_group_id=4))
    assert posting.client.post(PATH, content=consent, headers=headers).json()["stored"] == 1
    posting.clock.now_us += HOUR_US
    posting.rows(row("unsubscribe", 2, NOW + 1800))
    again = posting.client.post(PATH, content=consent, headers=headers)
    assert again.json()["repeated"] == 1
    assert "send" not in str(posting.decide().get("action"))
    words = posting.service.store.events_of_ids([f"sendgrid:ZXZlbnQ{i}" for i in range(3)])
    assert permission_of(words.values()).opted_out
    posting.clock.now_us += 30 * HOUR_US
    late = posting.client.post(PATH, content=consent, headers=headers)
    assert (late.status_code, len(posting.events())) == (401, 3)


@pytest.mark.parametrize(
    ("words", "open_again"),
    [
        ([("group_unsubscribe", 4), ("group_resubscribe", 4)], True),
        ([("group_unsubscribe", 4), ("group_resubscribe", 5)], False),
        ([("unsubscribe", None), ("group_resubscribe", 4)], False),
        ([("spamreport", None), ("group_resubscribe", 4)], False),
        ([("group_unsubscribe", 4), ("unsubscribe", None), ("group_resubscribe", 4)], False),
    ],
)
def test_who_comes_back_to_a_group_takes_back_no_more_than_that_group(
    posting: Posting, words: Sequence[tuple[str, int | None]], open_again: bool
) -> None:
    for i, (kind, group) in enumerate(words):
        posting.rows(row(kind, i, NOW - 100 + i, asm_group_id=group))
    ids = [f"sendgrid:ZXZlbnQ{i}" for i in range(len(words))]
    stored = posting.service.store.events_of_ids(ids)
    assert permission_of(stored[name] for name in ids).opted_out is not open_again
    ledger = posting.service.store.consent_ledger(["ada"])
    assert [(e.word, e.topic) for e in ledger][-1] == ("given", f"group {words[-1][1]}")


def test_rows_in_any_order_come_to_the_same(bundle: Bundle, tmp_path: Path) -> None:
    rows = [row("processed", 1, NOW - 90), row("delivered", 2, NOW - 80)]
    rows += [row("click", 3, NOW - 70), row("unsubscribe", 4, NOW - 60)]
    found = set()
    for order in range(4):
        (tmp_path / str(order)).mkdir()
        posting = Posting(bundle, tmp_path / str(order))
        random.Random(order).shuffle(rows)
        for one in rows:
            posting.rows(one)
        answer = posting.decide()
        found.add((answer.get("code"), str(answer.get("message"))))
        posting.service.store.close()
    assert len(found) == 1
    assert "send" not in str(found)


def test_of_who_was_erased_nothing_comes_back(bundle: Bundle, tmp_path: Path) -> None:
    posting = Posting(bundle, tmp_path)
    posting.service.store.close()
    erase_contacts(tmp_path / "store.db", ["ada"], "asked")
    store = Store(tmp_path / "store.db")
    posting.serve(Service(posting.service.bundle, store, posting.service.settings))
    rows = [row("open", 1, NOW), row("unsubscribe", 2, NOW), row("open", 3, NOW, contact_id="bob")]
    out = posting.rows(*rows)
    assert [one["row"] for one in out["rejected"]] == [0, 1]
    assert "was erased" in out["rejected"][0]["reason"]
    assert [one[1] for one in posting.events()] == ["bob"]
    by_address = [row(kind, 4, NOW, contact_id="", email=" ADA") for kind in ("open", "bounce")]
    assert ["was erased" in one["reason"] for one in posting.rows(*by_address)["rejected"]] == [
        True,
        True,
    ]
    assert posting.quarantined() == []
    store.close()
