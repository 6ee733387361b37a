"""Before every request: an id, figures, a line in the log, and a share for each caller."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from nurture_envs.errors import NurtureError
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http.api_keys import ApiKeys, load_keys
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.http.door import Door, Shares
from tests.unit.serving.contacts import MIDNIGHT, Clock, service
from tests.unit.serving.test_api_keys import key_file

_ONE_CLICK = {"List-Unsubscribe": "One-Click"}
SENDER, SCRAPER = "sender-" + "s" * 32, "scraper-" + "p" * 32


@pytest.fixture
def served(bundle: Bundle, tmp_path: Path) -> Iterator[Service]:
    found = service(bundle, tmp_path / "store.db", Clock(MIDNIGHT + 9 * 3_600_000_000))
    yield found
    found.store.close()


def behind(
    served: Service,
    lines: list[str] | None = None,
    shares: Shares | None = None,
    keys: ApiKeys | None = None,
) -> TestClient[Litestar]:
    log = None if lines is None else lines.append
    door = Door(create_app(served, keys=keys), served.metrics, shares, keys, log)
    return TestClient(door)  # type: ignore[arg-type]  # it takes any application


def figures(text: str) -> dict[str, float]:
    rows = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in rows}


def test_every_answer_has_the_request_s_id_or_a_fresh_one(served: Service) -> None:
    with behind(served) as client:
        assert client.get("/healthz", headers={"x-request-id": "a.B-7"}).headers[
            "x-request-id"
        ] == ("a.B-7")
        strange = ["", "a b", "x" * 65, "a\tb", '"', "{}"]
        for given in strange:
            name = client.get("/nowhere", headers={"x-request-id": given}).headers["x-request-id"]
            assert name != given
            assert len(name) == 32


def test_the_log_says_what_was_asked_and_names_no_contact(served: Service) -> None:
    lines: list[str] = []
    with behind(served, lines) as client:
        body = {"contacts": [{"contact_id": "bob", "request_id": "bob-1"}]}
        client.post("/v1/decisions", json=body, headers={"x-request-id": "one"})
        client.get("/v1/decisions/bob-1")
        client.get("/bob")
        client.post("/v1/decisions", content=b"{")
    rows = [json.loads(line) for line in lines]
    assert [(row["method"], row["route"], row["status"]) for row in rows] == [
        ("POST", "/v1/decisions", 200),
        ("GET", "/v1/decisions/{decision_id}", 200),
        ("GET", "other", 404),
        ("POST", "/v1/decisions", 400),
    ]
    assert rows[0]["request"] == "one"
    assert all(row["bytes"] > 0 and row["ms"] >= 0.0 for row in rows)
    assert "bob" not in "".join(lines)  # "ada" may stand in a request id, which is hexadecimal


def test_figures_count_decisions_once_and_events_by_what_became_of_them(served: Service) -> None:
    def event(name: str, **cells: object) -> dict[str, object]:
        at = "2027-03-01T08:00:00Z"
        return {"event_id": name, "contact_id": "ada", "occurred_at": at, "type": "visit", **cells}

    with behind(served) as client:
        for _ in range(3):  # the second and third hear the same decision again
            body = {"contacts": [{"contact_id": "ada", "request_id": "1"}, {"contact_id": "zoe"}]}
            client.post("/v1/decisions", json=body)
        sent = [event("a"), event("b"), event("b"), event("c", occurred_at="yesterday")]
        client.post("/v1/events", json={"events": sent})
        client.get("/v1/decisions/1")
        found = figures(client.get("/metrics").text)
    decided = {name: value for name, value in found.items() if "nurture_decisions_total" in name}
    assert sum(decided.values()) == 1.0
    assert all('arm="policy"' in name for name in decided)
    assert found['nurture_refusals_total{code="unknown_contact"}'] == 3.0
    outcomes = {
        name: found[f'nurture_events_total{{outcome="{name}"}}']
        for name in ("stored", "repeated", "refused")
    }
    assert outcomes == {"stored": 2.0, "repeated": 1.0, "refused": 1.0}
    asked = 'nurture_requests_total{method="POST",route="/v1/decisions",status="200"}'
    assert found[asked] == 3.0
    assert found['nurture_request_seconds_count{route="/v1/decisions/{decision_id}"}'] == 1.0
    assert found["nurture_requests_running"] == 1.0  # the one that asks for figures
    assert "ada" not in str(found)
    assert "zoe" not in str(found)


def test_a_guardrail_is_counted_once_for_a_decision(served: Service) -> None:
    with behind(served) as client:
        no = {"event_id": "no", "contact_id": "bob", "type": "unsubscribe"}
        client.post("/v1/events", json={"events": [{**no, "occurred_at": "2027-03-01T08:00:00Z"}]})
        client.post("/v1/decisions", json={"contacts": [{"contact_id": "bob"}]})
        client.put("/v1/contacts", json={"contacts": [{"contact_id": "ada", "consent": False}]})
        client.post("/v1/decisions", json={"contacts": [{"contact_id": "ada"}]})
        found = figures(client.get("/metrics").text)
    assert found['nurture_guardrails_total{reason="no_consent"}'] == 1.0


def test_a_caller_has_a_share_and_gets_it_back_with_time() -> None:
    shares = Shares.of(2.0)
    assert [shares.wait("a", 10.0) for _ in range(4)] == [0.0] * 4
    assert shares.wait("a", 10.0) == pytest.approx(0.5)
    assert shares.wait("b", 10.0) == 0.0
    assert shares.wait("a", 10.4) == pytest.approx(0.1)
    assert shares.wait("a", 10.6) == 0.0
    assert shares.wait("a", 1e6) == 0.0
    assert [shares.wait("a", 1e6) for _ in range(3)] == [0.0] * 3  # never more than the burst
    assert shares.wait("a", 1e6) > 0.0


def test_a_rate_is_above_zero() -> None:
    for rate in (0.0, -1.0, float("nan")):
        with pytest.raises(NurtureError, match="max_rate above 0"):
            Shares.of(rate)


def test_who_asks_too_often_is_told_when_to_come_back_and_health_is_not_refused(
    served: Service,
) -> None:
    with behind(served, shares=Shares(0.01, 2.0)) as client:
        first = [client.get("/schema").status_code for _ in range(2)]
        refused = client.get("/schema")
        assert first == [200, 200]
        assert refused.status_code == 429
        assert 90 <= int(refused.headers["retry-after"]) <= 100
        assert refused.json()["status"] == 429
        assert "x-request-id" in refused.headers
        assert client.get("/healthz").status_code == 200
        assert client.post(f"/u/{served.links.token('ada')}", data=_ONE_CLICK).status_code == 200


def test_a_known_key_has_its_own_share_and_unknown_ones_that_of_their_address(
    served: Service, tmp_path: Path
) -> None:
    lines = (f"decisions {SENDER}", f"metrics {SCRAPER}")
    keys = load_keys(key_file(tmp_path / "keys", *lines))
    with behind(served, shares=Shares(0.01, 1.0), keys=keys) as client:

        def status(key: str, path: str = "/metrics") -> int:
            return client.get(path, headers={"authorization": f"Bearer {key}"}).status_code

        assert status(SCRAPER) == 200
        assert status(SCRAPER) == 429
        for spelt in ("bearer ", "BEARER ", "Bearer  ", "Bearer \t"):
            header = {"authorization": f"{spelt}{SCRAPER} "}
            assert client.get("/metrics", headers=header).status_code == 429
        assert status(SENDER) == 403  # metrics are not for this key
        assert status("x" * 40) == 401
        assert status("y" * 40) == 429  # another made-up key from the same address


def test_methods_that_callers_make_up_are_one_figure_and_one_word(served: Service) -> None:
    lines: list[str] = []
    with behind(served, lines) as client:
        for i in range(3):
            client.request(f"zoe{i}", "/healthz")
        found = figures(client.get("/metrics").text)
    asked = [name for name in found if "requests_total" in name]
    assert asked == ['nurture_requests_total{method="other",route="other",status="405"}']
    assert found[asked[0]] == 3.0
    assert "ZOE" not in "".join(lines)


def test_health_does_not_stand_behind_a_crowd_that_came_first(served: Service) -> None:
    begun: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        begun.append(scope["path"])

    async def crowd() -> None:
        door = Door(app, served.metrics)
        paths = [*["/v1/decisions"] * 100, "/healthz"]
        scopes = [{"type": "http", "method": "GET", "path": one, "headers": []} for one in paths]
        none: Any = None
        await asyncio.gather(*(door(scope, none, none) for scope in scopes))

    asyncio.run(crowd())
    assert len(begun) == 101
    assert begun.index("/healthz") <= 8
