"""A journey's own event types and reply classes are served like the shipped ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.journey_file import load_journey, parse_journey
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.forbidding import Forbidding
from tests.unit.serving.test_no_mail_after_no import Server

OWN: dict[str, dict[str, Any]] = {
    "returned": {"type": "book_returned"},
    "moved": {"type": "Card Closed"},
    "later": {"type": "reply", "reply_class": "another_time"},
    "left": {"type": "opt_out"},
}


def library() -> Journey:
    """A journey of somebody else's: cards are closed, books come back."""
    plain = json.loads(json.dumps(load_journey("inbound_lead").resolved, default=str))
    plain["signals"] |= OWN
    plain["guardrails"]["opt_out"] = [*plain["guardrails"]["opt_out"], "moved"]
    plain["terminals"] = [*plain["terminals"], "moved"]
    return parse_journey(plain)


@pytest.fixture
def server(bundle: Bundle, tmp_path: Path) -> Server:
    """A server of that journey which sends whenever it may."""
    journey = library()
    catalog, spec = ActionCatalog.of(journey), FeatureSpec.of(journey)
    own = replace(bundle, journey=journey, catalog=catalog, feature_spec=spec)
    return Server(own, tmp_path / "store.db")


def test_own_types_and_reply_classes_are_stored_as_they_are(server: Server) -> None:
    for cells in OWN.values():
        answer = server.say(cells["type"], reply_class=cells.get("reply_class"))
        assert (answer.status_code, answer.json()["mended"]) == (200, [])
        assert answer.json()["stored"] == 1
    stored = server.service.store.events(["ada"])["ada"]
    assert [event.type for event in stored] == [cells["type"] for cells in OWN.values()]


def test_an_own_type_that_guardrails_read_stops_mail_however_it_is_written(server: Server) -> None:
    written: dict[str, dict[str, Any]] = {
        "a": {},
        "b": {"kind": "card-closed"},
        "c": {"value": "x"},
    }
    for name, cells in written.items():
        server.put(contact_id=name)
        answer = server.say(**{"kind": "Card Closed", **cells}, contact_id=name)
        assert (answer.status_code, answer.json()["stored"]) == (200, 1), name
        assert not server.sends(name)
    server.put(contact_id="free")
    assert server.say("book_returned", contact_id="free").status_code == 200
    assert server.sends("free")


def test_an_own_type_cannot_make_an_opt_out_mean_less(server: Server) -> None:
    assert server.say("opt_out").json()["mended"] == []
    assert not server.sends()
    assert Forbidding.of(library()).may("opt_out", None)


@pytest.mark.parametrize(
    ("cells", "status"),
    [
        ({"kind": "book_returned", "value": "x"}, 200),  # plainly nothing against mail
        ({"kind": "Card Closed", "contact_id": 7.5}, 422),
        ({"kind": "book_lost"}, 422),  # no word of this journey: it may be anything
        ({"kind": "book_returned", "reply_class": "angry"}, 422),
        ({"kind": "reply", "reply_class": "some_time"}, 422),
    ],
)
def test_a_row_that_may_be_an_opt_out_is_refused_out_loud(
    server: Server, cells: dict[str, Any], status: int
) -> None:
    answer = server.say(**cells)
    assert answer.status_code == status
    (refused,) = answer.json()["rejected"]
    assert refused["may_forbid_mail"] is (status == 422)


def test_other_journeys_know_nothing_of_these_words(bundle: Bundle, tmp_path: Path) -> None:
    assert Server(bundle, tmp_path / "plain.db").say("book_returned").status_code == 422
