"""People move contacts between journeys over HTTP, and pause them and whole journeys."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from nurture_envs.clock import HOUR_US
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.http.api_keys import load_keys
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.storage.store import Store
from tests.unit.serving.contacts import Clock, contact
from tests.unit.serving.enrolled import MONDAY, serving

KEYS = "journeys ab12cd34ef56ab12cd34ef56ab12cd34\ndecisions,contacts,events,policies " + "x9" * 20


@pytest.fixture
def client(bundle: Bundle, tmp_path: Path) -> Iterator[TestClient[Litestar]]:
    """Over a server of all journeys, with keys."""
    clock = Clock(MONDAY + 8 * HOUR_US)
    store = Store(tmp_path / "s.db")
    store.put_contacts([contact("ada", time_zone="UTC")])
    path = tmp_path / "keys"
    path.touch(0o600)
    path.write_text(KEYS)
    with TestClient(create_app(serving(bundle, store, clock), keys=load_keys(path))) as found:
        yield found
    store.close()


def ask(client: TestClient[Litestar], method: str, path: str, status: int, **body: Any) -> Any:
    scoped = "/v1/journeys" in path
    key = KEYS.split("\n")[0 if scoped else 1].split()[1]
    content = body if body or method == "POST" else None
    headers = {"authorization": f"Bearer {key}"}
    answer = client.request(method, path, headers=headers, json=content)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_people_move_contacts_over_http_and_the_log_says_who(
    client: TestClient[Litestar],
) -> None:
    low, why = "/v1/journeys/low/contacts/Ada", {"why": "asked for"}
    assert ask(client, "GET", low, 200)["state"] == "never"
    entered = ask(client, "POST", low, 200, **why)
    assert entered["state"] == "active"
    assert entered["episode"]["anchor"] == "2026-04-06T00:00:00"
    made = ask(client, "POST", "/v1/decisions", 200, contacts=[{"contact_id": "ada"}])
    assert made["decisions"][0]["journey"] == "low"
    paused = ask(client, "POST", f"{low}/pause", 200, **why)
    assert [one["contact_id"] for one in paused["withdrawn"]] == ["ada"]
    assert ask(client, "GET", low, 200)["state"] == "paused"
    ask(client, "POST", f"{low}/resume", 200, **why)
    assert ask(client, "POST", f"{low}/exit", 200, **why)["episode"]["reason"] == "person"
    refused = ask(client, "POST", low, 409, **why)
    assert "rests until 2026-04-08T08:00:00Z" in refused["detail"]
    ask(client, "POST", "/v1/journeys/none/contacts/ada", 404, **why)
    ask(client, "POST", "/v1/journeys/low/contacts/nobody", 404, **why)
    ask(client, "POST", f"{low}/exit", 409, **why)
    ask(client, "POST", low, 400)
    entries = ask(client, "GET", "/v1/journeys/log", 200)["entries"]
    whats = ["entered", "paused", "resumed", "left: person", "refused"]
    assert [one["what"] for one in entries] == whats
    assert all(one["who"].startswith("key ") for one in entries)
    answer = client.post(low, json=why, headers={"authorization": "Bearer " + "x9" * 20})
    assert answer.status_code == 403


def test_a_decision_of_each_journey_is_explained_by_its_own_bundle(
    client: TestClient[Litestar],
) -> None:
    ask(client, "POST", "/v1/journeys/low/contacts/ada", 200, why="asked for")
    (made,) = ask(client, "POST", "/v1/decisions", 200, contacts=[{"contact_id": "ada"}])[
        "decisions"
    ]
    told = ask(client, "GET", f"/v1/decisions/{made['decision_id']}/explain", 200)
    assert (told["journey"], told["layer"], told["policy_id"]) == ("low", "policy", "of-low")
    assert told["replay"]["bit_equal"] is True
    assert told["next_decision_at"] is not None


def test_a_whole_journey_is_paused_and_goes_on_as_before(client: TestClient[Litestar]) -> None:
    why = {"why": "asked for"}
    ask(client, "POST", "/v1/switch", 200, to="rules", journey="low", **why)
    listed = ask(client, "POST", "/v1/journeys/low/pause", 200, **why)["journeys"]
    switches = {one["journey"]: one["switch"] for one in listed}
    assert switches == {"base": "learned", "low": "pause", "high": "learned", "patient": "learned"}
    ask(client, "POST", "/v1/journeys/low/contacts/ada", 200, **why)
    body = {"contacts": [{"contact_id": "ada"}]}
    made = ask(client, "POST", "/v1/decisions", 200, **body)["decisions"][0]
    assert (made["journey"], made["action"], made["policy_id"]) == ("low", "pause:1", "paused")
    listed = ask(client, "POST", "/v1/journeys/low/resume", 200, **why)["journeys"]
    assert {one["journey"]: one["switch"] for one in listed}["low"] == "rules"
    found = ask(client, "GET", "/v1/policies", 200)
    assert found["switches"] == {**switches, "low": "rules"}
    assert {one["policy_id"] for one in found["policies"]} == {f"of-{name}" for name in switches}
    changes = ask(client, "GET", "/v1/policies/log", 200)["changes"]
    assert [one["action"] for one in changes if one["journey"] == "low"][1:] == [
        *("switch to rules", "switch to pause", "switch to rules"),
    ]


def test_roles_of_each_journey_hold_again_after_a_restart(bundle: Bundle, tmp_path: Path) -> None:
    clock = Clock(MONDAY)
    for _ in range(2):
        store = Store(tmp_path / "s.db")
        served = serving(bundle, store, clock)
        low = served.journeys.named("low").policies
        switch = low.lineup.roles.switch
        with TestClient(create_app(served)) as client:
            client.post("/v1/journeys/low/pause", json={"why": "a test"})
        store.close()
    assert switch == "pause"
    assert served.policies.lineup.roles.switch == "learned"
    with closing(sqlite3.connect(tmp_path / "s.db")) as rows:
        asked = "SELECT journey, count(*) FROM policy_log GROUP BY journey ORDER BY journey"
        assert rows.execute(asked).fetchall()[0] == ("base", 1)
