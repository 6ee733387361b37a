"""The client against the real server: over a socket, busy, restarted and gone."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from nurture_rl.client import (
    NotDecided,
    OptOutNotStored,
    PolicyClient,
    ServedDecision,
    ServerAway,
    ServerRefusal,
    _content,
)
from nurture_rl.serving.http.api_keys import load_keys
from nurture_rl.serving.http.app import create_app
from tests.unit.release.bundles import small_bundle
from tests.unit.serving.contacts import MIDNIGHT, ZONE, Clock, service
from tests.unit.serving.test_api_keys import key_file

KEY = "sender-" + "s" * 32


class Relay(ThreadingHTTPServer):
    """A real socket before the application; it may answer in its place."""

    daemon_threads = True
    app: TestClient[Any]
    asked: list[tuple[str, str, Any]]
    before: list[tuple[int, dict[str, str]] | None]  # one per request; None: its connection breaks
    after: list[bool]  # one per request: the answer is lost on its way
    page: bytes = b"a proxy's page"


class _Handler(BaseHTTPRequestHandler):
    server: Relay

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.asked.append((self.command, self.path, json.loads(body or b"null")))
        if self.server.before:
            told = self.server.before.pop(0)
            if told is not None:
                self._send(told[0], {**told[1]}, self.server.page)
            return
        headers = {k: v for k, v in self.headers.items() if k.lower() != "host"}
        found = self.server.app.request(self.command, self.path, content=body, headers=headers)
        if not (self.server.after and self.server.after.pop(0)):
            self._send(found.status_code, {}, found.content)

    def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = _answer

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundle") / "bundle"


@contextmanager
def _relay(app: Any) -> Iterator[Relay]:
    with TestClient(app) as client, Relay(("127.0.0.1", 0), _Handler) as relay:
        relay.app, relay.asked, relay.before, relay.after = client, [], [], []
        threading.Thread(target=relay.serve_forever, args=(0.01,), daemon=True).start()
        yield relay
        relay.shutdown()


@pytest.fixture(scope="module")
def bundle(bundle_folder: Path) -> Any:
    return small_bundle(bundle_folder)


@pytest.fixture
def relay(bundle: Any, tmp_path: Path) -> Iterator[Relay]:
    keys = load_keys(key_file(tmp_path / "keys", f"contacts,decisions,events {KEY}"))
    served = service(bundle, tmp_path / "store.db", Clock(MIDNIGHT), simulated=True)
    with _relay(create_app(served, keys=keys)) as found:
        yield found
    served.store.close()


@pytest.fixture
def client(relay: Relay) -> PolicyClient:
    return PolicyClient(f"http://127.0.0.1:{relay.server_port}", KEY, patience=5.0)


def test_contacts_decisions_confirmations_and_events_in_one_story(client: PolicyClient) -> None:
    assert client.health()["status"] == "ok"
    assert client.put_contacts([{"contact_id": "a/b", "consent": True}]) == []
    ada, eve, again = client.decide(["ada", "zoe", "ada"], ["d/1", "x", "d/1"])
    assert isinstance(ada, ServedDecision)
    assert (ada.decision_id, ada.contact_id) == ("d/1", "ada")
    assert 0.0 < ada.propensity <= 1.0
    assert ada == again
    assert isinstance(eve, NotDecided)
    assert eve.code == "unknown_contact"
    (bob,) = client.decide(["bob"], ["bob-1"])
    assert isinstance(bob, ServedDecision)
    assert client.decision("bob-1")["decision"]["action"] == bob.action
    (found,) = client.confirm(["d/1"])
    assert found.decision_id == "d/1"
    assert found.may_leave is (found.status == "send")
    at = "2027-03-01T08:00:00Z"
    visit = {"event_id": "v", "contact_id": "ada", "occurred_at": at, "type": "visit"}
    first, second = client.report([visit]), client.report([visit])
    assert (first.stored, first.repeated, second.stored, second.repeated) == (1, 0, 0, 1)


def test_a_planned_send_that_is_taken_back_is_named(client: PolicyClient) -> None:
    names = [f"c{i}" for i in range(60)]
    client.put_contacts(
        [{"contact_id": name, "time_zone": ZONE, "consent": True} for name in names]
    )
    sends = [
        one
        for one in client.decide(names)
        if isinstance(one, ServedDecision) and one.scheduled_at is not None
    ]
    assert sends, "none of sixty contacts is to be mailed"
    assert all(one.message for one in sends)
    withdrawn = client.put_contacts(
        [{"contact_id": one.contact_id, "consent": False} for one in sends]
    )
    assert {one.decision_id for one in withdrawn} == {one.decision_id for one in sends}
    assert {one.scheduled_at for one in withdrawn} == {one.scheduled_at for one in sends}


def test_an_answer_lost_on_its_way_is_asked_for_again_and_decides_once(
    relay: Relay, client: PolicyClient
) -> None:
    relay.after = [True, False]
    (answer,) = client.decide(["ada"])
    assert isinstance(answer, ServedDecision)
    assert len(relay.asked) == 2
    assert relay.asked[0] == relay.asked[1]


def test_a_busy_or_broken_server_is_asked_again(relay: Relay, client: PolicyClient) -> None:
    relay.before = [(503, {"retry-after": "0"}), None, (429, {"retry-after": "0"})]
    relay.before += [None, (502, {"retry-after": "0"}), (504, {"retry-after": "0"})]
    assert client.report([]) == client.report([])  # nothing to report asks nothing
    assert client.health()["status"] == "ok"
    assert len(relay.asked) == 7


def test_a_refusal_is_raised_at_once_with_its_text(relay: Relay, client: PolicyClient) -> None:
    with pytest.raises(ServerRefusal, match="zoe") as told:
        client.decide(["zoe"])
    assert told.value.status == 404
    with pytest.raises(ServerRefusal, match="API key") as told:
        replace(client, key="x" * 40).decide(["ada"])
    assert told.value.status == 401
    relay.before = [(418, {})]
    with pytest.raises(ServerRefusal, match="a proxy's page"):
        client.health()


def test_a_server_that_is_gone_is_named_with_the_cause(relay: Relay, client: PolicyClient) -> None:
    relay.before = [(503, {"retry-after": "9"})] * 2
    with pytest.raises(ServerAway, match=r"within 1 s: 503.*same ids"):
        replace(client, patience=1.0).decide(["ada"])
    assert len(relay.asked) == 1  # it would have come back too late
    with pytest.raises(ServerAway, match="refused"):
        PolicyClient("http://127.0.0.1:9", patience=0.1).health()


def test_an_opt_out_that_was_refused_cannot_be_overlooked(client: PolicyClient) -> None:
    at = "2027-03-01T08:00:00Z"
    rows = [
        {"event_id": "v", "contact_id": "ada", "occurred_at": at, "type": "visit"},
        {"event_id": "n", "contact_id": "", "occurred_at": at, "type": "unsubscribe"},
    ]
    with pytest.raises(OptOutNotStored, match="row 1: ") as told:
        client.report(rows)
    assert told.value.report.stored == 1


def test_long_lists_go_in_parts_and_rows_count_through(
    relay: Relay, client: PolicyClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nurture_rl.client._MOST_ROWS", 2)
    at = "2027-03-01T08:00:00Z"
    good = {"contact_id": "ada", "occurred_at": at, "type": "visit"}
    rows = [{**good, "event_id": str(i)} for i in range(5)]
    rows[3]["occurred_at"] = rows[4]["occurred_at"] = "soon"
    report = client.report(rows)
    assert (report.stored, [row["row"] for row in report.rejected]) == (3, [3, 4])
    answers = client.decide(["ada", "zoe", "bob"], ["1", "2", "3"])
    assert [one.contact_id for one in answers] == ["ada", "zoe", "bob"]
    assert [path for _, path, _ in relay.asked] == ["/v1/events"] * 3 + ["/v1/decisions"] * 2


def test_each_contact_has_its_request_id(client: PolicyClient) -> None:
    with pytest.raises(ValueError, match="shorter"):
        client.decide(["ada", "bob"], ["1"])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_nobody_is_followed_elsewhere_with_the_key(
    relay: Relay, client: PolicyClient, status: int
) -> None:
    with Relay(("127.0.0.1", 0), _Handler) as other:
        other.asked, other.before = [], [(200, {})] * 2
        threading.Thread(target=other.serve_forever, args=(0.01,), daemon=True).start()
        relay.before = [(status, {"location": f"http://127.0.0.1:{other.server_port}/x"})] * 2
        for ask in (client.health, lambda: client.decide(["ada"])):
            with pytest.raises(ServerRefusal, match="nobody follows: give the url"):
                ask()
        other.shutdown()
    assert other.asked == []


def test_what_is_no_answer_of_the_server_is_none(relay: Relay, client: PolicyClient) -> None:
    hasty = replace(client, patience=0.1)
    for page in (b"<html>", b"[]", b'{"decisions": []}', b'{"decisions": 1}', b""):
        relay.page, relay.before = page, [(200, {})] * 3
        with pytest.raises(ServerAway, match="ask again with the same ids"):
            hasty.decide(["ada"])
    relay.before = [(503, {"retry-after": "\u00b2"})]
    assert client.health()["status"] == "ok"


def test_an_answer_has_a_size_and_an_end(
    relay: Relay, client: PolicyClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasty = replace(client, patience=0.1)
    with pytest.raises(TimeoutError, match="did not end in time"):
        _content(BytesIO(b"{}"), 0.0)  # the moment is long past
    monkeypatch.setattr("nurture_rl.client._MOST_BYTES", 10)
    with pytest.raises(ServerAway, match="more than 10 bytes"):
        hasty.health()


def test_a_key_is_shown_nowhere() -> None:
    assert "secret" not in repr(PolicyClient("http://127.0.0.1", "secret"))
    for key in ("secret\n", "secret\u00fc"):
        with pytest.raises(ValueError, match="not shown") as told:
            PolicyClient("http://127.0.0.1", key)
        assert "secret" not in str(told.value)
    with pytest.raises(ValueError, match="expected url as https"):
        PolicyClient("file:///etc/passwd")
