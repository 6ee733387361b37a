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
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.http.traffic import TrafficLimits
from nurture_rl.serving.http.wire import answer_out
from nurture_rl.serving.records import Decision
from nurture_rl.serving.store_errors import StoreUnavailable
from tests.unit.serving.contacts import MIDNIGHT, Clock, contact, event, service

Client = TestClient[Litestar]
ISO = "2027-03-01T00:00:00+01:00"
PATHS = {
    "/v1/decisions",
    "/v1/decisions/confirm",
    "/v1/decisions/{decision_id}",
    "/v1/decisions/{decision_id}/explain",
    "/v1/decisions/{decision_id}/why",
    "/u/{token}/why/{decision_id}",
    "/v1/decisions/{decision_id}/confirm",
    "/v1/events",
    "/v1/contacts",
    "/v1/contacts/{contact_id}/preferences",
    "/u/{token}",
    "/v1/webhooks/{sender}",
    "/v1/console",
    "/v1/console/decisions",
    "/v1/console/mail",
    "/v1/console/reach",
    "/v1/console/health",
    "/v1/console/lift",
    "/v1/timelines/{contact_id}",
    "/v1/policies",
    "/v1/policies/log",
    "/v1/policies/{policy_id}/shadow",
    "/v1/policies/{policy_id}/canary",
    "/v1/policies/{policy_id}/promote",
    "/v1/policies/{policy_id}/rollback",
    "/v1/switch",
    "/v1/experiment/end",
    "/v1/handoffs",
    "/v1/handoffs/{handoff_id}",
    "/v1/journeys",
    "/v1/journeys/log",
    "/v1/journeys/{journey}/pause",
    "/v1/journeys/{journey}/resume",
    "/v1/journeys/{journey}/contacts/{contact_id}",
    "/v1/journeys/{journey}/contacts/{contact_id}/exit",
    "/v1/journeys/{journey}/contacts/{contact_id}/pause",
    "/v1/journeys/{journey}/contacts/{contact_id}/resume",
    "/healthz",
}


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
        told = served.decision("r")
    assert told is not None
    out = answer_out(told[0], served.catalogs, served.links)
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
    assert client.put("/v1/contacts", json={"contacts": [new]}).json() == {
        "stored": 1,
        "withdrawn": [],
    }
    assert ask(client, {"contact_id": "eve"}).status_code == 200


def test_health_and_description_say_what_is_served(client: Client, bundle: Bundle) -> None:
    health = client.get("/healthz")
    assert health.status_code == 200
    assert health.json()["policy_id"] == bundle.policy_id
    document = client.get("/schema").json()
    assert set(document["paths"]) == PATHS
    strict = document["components"]["schemas"]["DecisionsIn"]
    assert strict["additionalProperties"] is False
    missing = client.get("/nothing")
    assert missing.status_code == 404
    assert missing.headers["content-type"] == "application/problem+json"


def many(count: int) -> list[dict[str, Any]]:
    return [{"contact_id": f"c{i}", "request_id": f"r{i}"} for i in range(count)]


@pytest.fixture
def crowd(bundle: Bundle, tmp_path: Path) -> Iterator[tuple[Client, Service]]:
    """A server that knows 300 contacts, at an hour when mail may go."""
    served = service(bundle, tmp_path / "crowd.db", Clock())
    served.store.put_contacts([contact(f"c{i}") for i in range(300)])
    with TestClient(create_app(served)) as found:
        yield found, served


def test_a_long_request_is_answered_like_many_short_ones(
    crowd: tuple[Client, Service], bundle: Bundle, tmp_path: Path
) -> None:
    asks = many(300)
    asks[290] = asks[3]  # across steps: the same answer
    asks[291] = {"contact_id": "c4", "request_id": "other"}
    found = ask(crowd[0], *asks).json()["decisions"]
    assert [row["contact_id"] for row in found] == [row["contact_id"] for row in asks]
    assert found[290] == found[3]
    assert found[291]["code"] == "already_decided"
    alone = service(bundle, tmp_path / "alone.db", Clock())
    alone.store.put_contacts([contact("c200")])
    with TestClient(create_app(alone)) as client:
        assert ask(client, asks[200]).json()["decisions"] == [found[200]]


@pytest.mark.usefixtures("either_database")
def test_an_opt_out_between_the_steps_of_a_request_is_heeded(
    crowd: tuple[Client, Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, served = crowd
    plain, sent = served.decide, list[str]()

    def decide(asks: Any, now_us: int | None = None) -> Any:
        answers = plain(asks, now_us)
        if not sent:
            sent.extend(
                answer.contact_id
                for answer in answers
                if isinstance(answer, Decision) and answer.action.startswith("send:")
            )
            for name in sent:
                served.append_events([event("unsubscribe", MIDNIGHT, name)])
        return answers

    monkeypatch.setattr(served, "decide", decide)
    found = {row["contact_id"]: row for row in ask(client, *many(300)).json()["decisions"]}
    assert len(sent) > 10
    assert {found[name]["kind"] for name in sent} == {"error"}


def test_what_earlier_steps_decided_is_told_though_the_store_fails_later(
    crowd: tuple[Client, Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, served = crowd
    plain, calls = served.store.append_decisions, list[int]()

    def append(decisions: Any, *about: Any) -> None:
        calls.append(len(decisions))
        if len(calls) > 1:
            raise StoreUnavailable("disk full")
        plain(decisions, *about)

    monkeypatch.setattr(served.store, "append_decisions", append)
    found = ask(client, *many(300)).json()["decisions"]
    assert {row["kind"] for row in found[: calls[0]]} == {"decision"}
    assert {row.get("code") for row in found[calls[0] :]} == {"fail_closed"}
    assert "disk full" in found[-1]["message"]
    assert ask(client, *many(2)).status_code == 200  # told again from the store


def test_more_than_a_server_takes_on_is_told_when_to_come_back(
    bundle: Bundle, tmp_path: Path
) -> None:
    served = service(bundle, tmp_path / "busy.db", Clock())
    limits = TrafficLimits(bulk_bytes=200, bulk_requests=0, retry_seconds=7)
    with TestClient(create_app(served, limits)) as client:
        answer = ask(client, *many(20))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
        assert answer.json()["title"] == "busy"
        assert ask(client, {"contact_id": "ada"}).status_code == 200


def test_a_path_or_a_method_that_is_not_there_says_where_all_are(client: Client) -> None:
    gone = client.get("/v1/decision")
    assert gone.status_code == 404
    assert gone.json()["detail"] == "there is no such path; GET /schema lists all paths"
    other = client.get("/v1/decisions")
    assert other.status_code == 405
    assert other.json()["detail"].startswith("this path is not for GET; GET /schema lists")
    assert "POST" in other.headers["allow"]
