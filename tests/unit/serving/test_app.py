"""Over HTTP: strict bodies, one clear message naming the path, and answers by action id."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from nurture_envs.clock import DAY_US
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.app import create_app
from nurture_rl.serving.wire import answer_out
from tests.unit.serving.contacts import MIDNIGHT, Clock, service

Client = TestClient[Litestar]
ISO = "2027-03-01T00:00:00+01:00"


@pytest.fixture
def client(bundle: Bundle, tmp_path: Path) -> Iterator[Client]:
    """A server on its own clock."""
    app = create_app(service(bundle, tmp_path / "store.db", Clock()))
    with TestClient(app) as found:
        yield found


@pytest.fixture
def simulated(bundle: Bundle, tmp_path: Path) -> Iterator[Client]:
    """A server whose callers say what time it is."""
    app = create_app(service(bundle, tmp_path / "simulated.db", Clock(), simulated=True))
    with TestClient(app) as found:
        yield found


def ask(client: Client, *contacts: Any, **body: Any) -> Any:
    """Ask for decisions."""
    return client.post("/v1/decisions", json={"contacts": list(contacts), **body})


def test_answers_come_in_order_each_a_decision_or_an_error(client: Client, bundle: Bundle) -> None:
    answer = ask(client, {"contact_id": "bob", "request_id": "r"}, {"contact_id": "zoe"})
    assert answer.status_code == 200
    decision, error = answer.json()["decisions"]
    assert decision["kind"] == "decision"
    assert decision["decision_id"] == "r"
    assert decision["decided_at"] == "2027-02-28T23:00:00Z"
    assert decision["policy_id"] == bundle.policy_id
    assert decision["action"] in decision["probabilities"]
    assert decision["propensity"] == decision["probabilities"][decision["action"]]
    assert sum(decision["probabilities"].values()) == pytest.approx(1.0)
    assert not set(decision["blocked"]) & set(decision["probabilities"])
    assert (error["kind"], error["code"]) == ("error", "unknown_contact")


def test_the_answer_is_the_librarys_decision(bundle: Bundle, tmp_path: Path) -> None:
    served = service(bundle, tmp_path / "store.db", Clock())
    with TestClient(create_app(served)) as client:
        (found,) = ask(client, {"contact_id": "ada", "request_id": "r"}).json()["decisions"]
        stored = served.store.decisions(["r"])["r"]
    out = answer_out(stored, served.catalogs)
    assert {"kind": "decision", **{name: getattr(out, name) for name in out.__struct_fields__}} == (
        found
    )


def test_only_unknown_contacts_are_not_found(client: Client) -> None:
    answer = ask(client, {"contact_id": "zoe"})
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert "'zoe'" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'{"contacts": [{"contact_id": 7}]}', "$.contacts[0].contact_id"),
        (b'{"contacts": [{"contact_id": "ada"}, {"contact_id": ""}]}', "$.contacts[1].contact_id"),
        (b'{"contacts": [{"contact_id": "ada", "available": 1}]}', "$.contacts[0].available"),
        (b'{"contacts": [{"contact_id": "ada", "zone": "x"}]}', "unknown field `zone`"),
        (b'{"contacts": []}', "$.contacts"),
        (b'{"contacts": [' + b'{"contact_id":"a"},' * 10_000 + b'{"contact_id":"a"}]}', "10000"),
        (b'{"contact": []}', "`contact`"),
        (b"[]", "Expected `object`"),
        (b"", "truncated"),
        (b'{"contacts": [{"contact_id": "ada"}], "now": "2027-03-01T00:00:00Z"}', "$.now"),
    ],
)
def test_wrong_bodies_are_refused_with_the_path(client: Client, body: bytes, path: str) -> None:
    answer = client.post("/v1/decisions", content=body)
    assert answer.status_code == 400
    assert path in answer.json()["detail"]
    assert ask(client, {"contact_id": "ada"}).status_code == 200


def test_the_time_needs_a_zone_and_a_plausible_year(simulated: Client) -> None:
    for now in ("2027-03-01T00:00:00", "1603-03-01T00:00:00Z", "tomorrow"):
        answer = ask(simulated, {"contact_id": "ada"}, now=now)
        assert answer.status_code == 400
        assert "$.now" in answer.json()["detail"]
    assert ask(simulated, {"contact_id": "ada"}, now=ISO).json()["decisions"][0]["step"] == 0


def test_events_are_stored_once_and_bad_rows_named(client: Client) -> None:
    good = {"event_id": "e", "contact_id": "ada", "type": "click", "occurred_at": ISO}
    rows = [
        good,
        {**good, "event_id": "f", "type": "clicks"},
        {**good, "event_id": "g", "occurred_at": "2027-03-01T00:00:00"},
        {**good, "event_id": "h", "value": "9"},
        {**good, "event_id": "i", "occurred_at": "2027-03-02T00:00:00Z"},
        {**good, "event_id": "j", "colour": "red"},
        good,
        {**good, "type": "open"},
    ]
    answer = client.post("/v1/events", json={"events": rows}).json()
    assert (answer["stored"], answer["repeated"]) == (1, 1)
    assert [row["row"] for row in answer["rejected"]] == [1, 2, 3, 4, 5, 7]
    reasons = [row["reason"] for row in answer["rejected"]]
    assert "nearest known is 'click'" in reasons[0]
    assert "$.occurred_at" in reasons[1]
    assert "$.value" in reasons[2]
    assert "has happened" in reasons[3]
    assert "colour" in reasons[4]
    assert "taken" in reasons[5]


def test_an_event_is_recorded_when_this_server_learns_of_it(bundle: Bundle, tmp_path: Path) -> None:
    clock = Clock(MIDNIGHT + 5 * DAY_US)
    served = service(bundle, tmp_path / "store.db", clock)
    row = {"event_id": "e", "contact_id": "ada", "type": "click", "occurred_at": ISO}
    with TestClient(create_app(served)) as client:
        client.post("/v1/events", json={"events": [{**row, "recorded_at": ISO}]})
        (found,) = served.store.events(["ada"])["ada"]
    assert (found.occurred_us, found.recorded_us) == (MIDNIGHT, clock.now_us)


def test_contacts_are_put_whole_or_not_at_all(client: Client) -> None:
    new = {"contact_id": "eve", "consent": True, "time_zone": "Europe/Paris"}
    bad = {"contacts": [new, {"contact_id": "fay", "time_zone": "Paris"}]}
    answer = client.put("/v1/contacts", json=bad)
    assert answer.status_code == 400
    assert "$.contacts[1].time_zone" in answer.json()["detail"]
    assert ask(client, {"contact_id": "eve"}).status_code == 404
    assert client.put("/v1/contacts", json={"contacts": [new]}).json() == {"stored": 1}
    assert ask(client, {"contact_id": "eve"}).status_code == 200


def test_health_and_description_say_what_is_served(client: Client, bundle: Bundle) -> None:
    health = client.get("/healthz")
    assert health.status_code == 200
    assert health.json()["policy_id"] == bundle.policy_id
    document = client.get("/schema").json()
    assert set(document["paths"]) == {"/v1/decisions", "/v1/events", "/v1/contacts", "/healthz"}
    strict = document["components"]["schemas"]["DecisionsIn"]
    assert strict["additionalProperties"] is False
    missing = client.get("/nothing")
    assert missing.status_code == 404
    assert missing.headers["content-type"] == "application/problem+json"
