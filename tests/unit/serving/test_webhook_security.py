"""Webhooks from whoever reaches the path: nothing unsigned counts, nothing signed breaks it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litestar.testing import TestClient

from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.http.api_keys import load_keys
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.http.door import Door, Shares
from nurture_rl.serving.http.traffic import TrafficLimits
from tests.unit.serving.posting import NOW, Posting
from tests.unit.serving.signed_webhooks import PATH, body_of, row, signed, signing_key
from tests.unit.serving.test_api_keys import key_file

LIMITS = TrafficLimits(webhook_bytes=4096, body_seconds=0.2)


@pytest.fixture(scope="module")
def posting(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Posting]:
    found = Posting(bundle, tmp_path_factory.mktemp("posting"))
    yield found
    found.service.store.close()


def still_works(posting: Posting) -> None:
    """The next signed row is taken; it was never sent before."""
    number = 10**6 + len(posting.events())
    assert posting.rows(row("open", number, NOW))["stored"] == 1


@pytest.mark.parametrize("forger", ["nobody", "another key", "a changed body", "another time"])
def test_what_is_forged_is_refused_and_nothing_is_stored(posting: Posting, forger: str) -> None:
    body = body_of([row("unsubscribe", 1, NOW)])
    good = signed(posting.key, body, NOW)
    before = len(posting.events()), len(posting.quarantined())
    headers = {
        "nobody": {},
        "another key": signed(signing_key(), body, NOW),
        "a changed body": signed(posting.key, body.replace(b"ada", b"bob"), NOW),
        "another time": good | {name: str(NOW - 5) for name in good if name.endswith("timestamp")},
    }[forger]
    answer = posting.client.post(PATH, content=body, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["title"] == "not signed"
    assert (len(posting.events()), len(posting.quarantined())) == before


def test_the_order_of_checks_tells_strangers_nothing_of_bodies(posting: Posting) -> None:
    for body in (b"", b"{", b"[1]", b"\xff", b"[" * 100_000):
        assert posting.client.post(PATH, content=body).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"{}", b"7", b"null", b'"x"', b"[{]", b"\xff\xfe", b"[1e999]", b"[NaN]"),
        *(b"[" * 100_000, b'[{"event":"open","a":' + b"[" * 5_000 + b"]" * 5_000 + b"}]"),
        b"[" + b"{}," * 10_000 + b"{}]",
    ],
)
def test_a_malformed_body_is_one_clear_error(posting: Posting, body: bytes) -> None:
    answer = posting.post(body)
    assert answer.status_code == 400
    assert answer.json()["detail"]
    still_works(posting)


def test_rows_of_nothing_are_told_one_by_one(posting: Posting) -> None:
    assert posting.rows() == {
        "rejected": [],
        "mended": [],
        "stored": 0,
        "repeated": 0,
        "withdrawn": [],
    }
    out = posting.rows(None, 7, [], {}, {"event": None})
    assert [one["row"] for one in out["rejected"]] == [0, 1, 2, 3, 4]


NASTY = [
    "'; DROP TABLE events; --",
    "ada' OR '1'='1",
    "ada\r\nSet-Cookie: a=b",
    "ada\x00bob",
    "../../etc/passwd",
    "a" * 5_000,
    "\u202eada",
    "%0d%0aX: y",
    '{"$ne": null}',
]


@pytest.mark.parametrize("nasty", NASTY)
@pytest.mark.parametrize("cell", ["contact_id", "decision_id", "sg_event_id", "sg_message_id"])
def test_ids_are_data_alone(posting: Posting, nasty: str, cell: str) -> None:
    number = NASTY.index(nasty)
    rows = [row(kind, number, NOW, **{cell: nasty}) for kind in ("delivered", "unsubscribe")]
    answer = posting.post(body_of(rows))
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert "x" not in answer.headers
    told = answer.json()
    assert told["stored"] + told["repeated"] + len(told["rejected"]) == 2
    still_works(posting)


def test_a_sender_is_one_of_those_with_a_key(posting: Posting, bundle: Bundle) -> None:
    body = body_of([row("open", 1, NOW)])
    for path in ("mailgun", "SendGrid", "..", "%2e%2e%2fevents", "a" * 5_000, "%00"):
        headers = signed(posting.key, body, NOW)
        answer = posting.client.post(f"/v1/webhooks/{path}", content=body, headers=headers)
        assert answer.status_code in (404, 405), path
    with TestClient(create_app(posting.service)) as closed:
        answer = closed.post(PATH, content=body, headers=signed(posting.key, body, NOW))
    assert answer.status_code == 404
    assert "start it with webhook_keys=FOLDER" in answer.json()["detail"]


def test_a_long_body_is_refused_before_it_is_read(posting: Posting) -> None:
    app = create_app(posting.service, LIMITS, senders=posting.senders)
    body = body_of([row("open", i, NOW) for i in range(50)])
    with TestClient(app) as client:
        answer = client.post(PATH, content=body, headers=signed(posting.key, body, NOW))
        assert answer.status_code == 413

        def parts() -> Iterator[bytes]:  # without a length
            yield from (body[i : i + 512] for i in range(0, len(body), 512))

        answer = client.post(PATH, content=parts(), headers=signed(posting.key, body, NOW))
        assert answer.status_code == 413
    still_works(posting)


def test_a_slow_body_is_given_up(posting: Posting) -> None:
    app = create_app(posting.service, LIMITS, senders=posting.senders)
    sent: list[Any] = []

    async def scene() -> None:
        async def receive() -> Any:
            await anyio.sleep(30)

        async def send(message: Any) -> None:
            sent.append(message)

        scope: Any = {
            "type": "http",
            "method": "POST",
            "path": PATH,
            "raw_path": PATH.encode(),
            "headers": [],
            "query_string": b"",
            "http_version": "1.1",
            "root_path": "",
            "scheme": "http",
            "server": ("x", 1),
            "client": ("y", 2),
            "extensions": {},
        }
        await app(scope, receive, send)

    anyio.run(scene)
    assert sent[0]["status"] == 408
    still_works(posting)


def test_a_signature_stands_in_for_a_key_and_opens_nothing_else(
    posting: Posting, tmp_path: Path
) -> None:
    keys = load_keys(key_file(tmp_path / "keys", "events " + "k" * 40))
    app = create_app(posting.service, keys=keys, senders=posting.senders)
    body = body_of([row("open", 77, NOW)])
    headers = signed(posting.key, body, NOW)
    with TestClient(app) as client:
        assert client.post(PATH, content=body, headers=headers).status_code == 200
        assert client.post(PATH, content=body).status_code == 401
        named = {"authorization": "Bearer " + "k" * 40}
        assert client.post(PATH, content=body, headers=named).status_code == 401
        for path in ("/v1/events", "/v1/webhooks/../events"):
            assert client.post(path, content=body, headers=headers).status_code == 401


def test_no_rate_refuses_what_may_be_an_opt_out(posting: Posting) -> None:
    door: Any = Door(posting.app, posting.service.metrics, Shares(1e-9, 1.0))
    body = body_of([row("open", 78, NOW)])
    with TestClient(door) as client:
        for _ in range(5):
            answer = client.post(PATH, content=body, headers=signed(posting.key, body, NOW))
            assert answer.status_code == 200
        assert client.get("/v1/policies").status_code in (200, 429)
        assert client.get("/v1/policies").status_code == 429


GOOD = body_of([row(kind, 100 + i, NOW) for i, kind in enumerate(("open", "click", "bounce"))])


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_a_body_changed_anywhere_after_signing_is_refused(posting: Posting, data: Any) -> None:
    place = data.draw(st.integers(0, len(GOOD) - 1))
    kind = data.draw(st.sampled_from(["flip", "cut", "add"]))
    changed = {
        "flip": GOOD[:place] + bytes([GOOD[place] ^ 1]) + GOOD[place + 1 :],
        "cut": GOOD[:place],
        "add": GOOD[:place] + b" " + GOOD[place:],
    }[kind]
    headers = signed(posting.key, GOOD, NOW)
    assert posting.client.post(PATH, content=changed, headers=headers).status_code == 401


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_whatever_the_sender_signs_the_server_stands(posting: Posting, data: Any) -> None:
    """Bodies mutated before they are signed: an answer to every row, or one clear error."""
    rows: list[Any] = msgspec.json.decode(GOOD)
    for _ in range(data.draw(st.integers(0, 3))):
        target = data.draw(st.sampled_from(rows))
        name = data.draw(st.sampled_from([*target, "unique_args", "type", "reason", "topic"]))
        target[name] = data.draw(JSON)
    body = body_of(rows)
    for _ in range(data.draw(st.integers(0, 2))):
        place = data.draw(st.integers(0, len(body)))
        body = body[:place] + data.draw(st.binary(max_size=4)) + body[place + 1 :]
    answer = posting.post(body)
    assert answer.status_code in (200, 400), answer.text
    if answer.status_code == 200:
        told = answer.json()
        touched = {one["row"] for one in told["rejected"]}
        count = len(json.loads(body.decode("utf-8", "replace")))
        assert touched <= set(range(count))
        assert told["stored"] + told["repeated"] + len(told["rejected"]) >= count


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
