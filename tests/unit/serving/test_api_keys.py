"""API keys: each opens its scopes and nothing else, and a server on a network has some."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.http.api_keys import (
    ApiKeys,
    KeyFileError,
    load_keys,
    require_keys_beyond_loopback,
)
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.http.openapi import document
from tests.unit.serving.contacts import Clock, service

SENDER, CRM = "sender-" + "s" * 32, "crm-" + "c" * 32
OPEN = ("/healthz", "/u/{token}", "/u/{token}/why/{decision_id}", "/v1/webhooks/{sender}")  # signed
REQUESTS = [
    ("POST", "/v1/decisions", "decisions"),
    ("GET", "/v1/decisions/d", "decisions"),
    ("GET", "/v1/decisions/d/explain", "decisions"),
    ("GET", "/v1/decisions/d/why", "reasons"),
    ("POST", "/v1/decisions/d/confirm", "decisions"),
    ("POST", "/v1/decisions/confirm", "decisions"),
    ("POST", "/v1/events", "events"),
    ("PUT", "/v1/contacts", "contacts"),
    ("PUT", "/v1/contacts/d/preferences", "contacts"),
    ("GET", "/v1/contacts/d/preferences", "contacts"),
    ("GET", "/v1/policies", "policies"),
    ("POST", "/v1/policies", "policies"),
    ("GET", "/v1/policies/log", "policies"),
    ("POST", "/v1/policies/d/shadow", "policies"),
    ("POST", "/v1/policies/d/canary", "policies"),
    ("POST", "/v1/policies/d/promote", "policies"),
    ("POST", "/v1/policies/d/rollback", "policies"),
    ("POST", "/v1/switch", "policies"),
    ("POST", "/v1/experiment/end", "policies"),
    ("GET", "/v1/handoffs", "handoffs"),
    ("GET", "/v1/handoffs/d", "handoffs"),
    ("GET", "/v1/journeys", "journeys"),
    ("GET", "/v1/journeys/log", "journeys"),
    ("GET", "/v1/journeys/d/contacts/d", "journeys"),
    ("POST", "/v1/journeys/d/contacts/d", "journeys"),
    ("POST", "/v1/journeys/d/contacts/d/exit", "journeys"),
    ("POST", "/v1/journeys/d/contacts/d/pause", "journeys"),
    ("POST", "/v1/journeys/d/contacts/d/resume", "journeys"),
    ("POST", "/v1/journeys/d/pause", "journeys"),
    ("POST", "/v1/journeys/d/resume", "journeys"),
    ("GET", "/v1/console", "console"),
    ("GET", "/v1/console/decisions", "console"),
    ("GET", "/v1/console/mail", "console"),
    ("GET", "/v1/console/reach", "console"),
    ("GET", "/v1/console/health", "console"),
    ("GET", "/v1/console/lift", "console"),
    ("GET", "/v1/timelines/d", "decisions"),
]


def key_file(path: Path, *lines: str, mode: int = 0o600) -> Path:
    path.write_text("\n".join(lines) + "\n", "utf-8")
    path.chmod(mode)
    return path


@pytest.fixture
def keys(tmp_path: Path) -> ApiKeys:
    lines = (
        "# of the sender",
        f"decisions {SENDER}",
        "",
        f"console,contacts,events,handoffs,journeys,policies,reasons  {CRM}",
    )
    return load_keys(key_file(tmp_path / "keys", *lines))


@pytest.fixture
def client(bundle: Bundle, tmp_path: Path, keys: ApiKeys) -> Iterator[TestClient[Litestar]]:
    app = create_app(service(bundle, tmp_path / "store.db", Clock()), keys=keys)
    with TestClient(app) as found:
        yield found


def test_every_path_but_health_schema_links_in_mails_and_webhooks_asks_for_a_key() -> None:
    published = {
        (verb.upper(), re.sub("{[^}]*}", "d", path))
        for path, verbs in document()["paths"].items()
        for verb in verbs
        if verb != "parameters" and path not in OPEN
    }
    assert published == {(method, path) for method, path, _ in REQUESTS}


@pytest.mark.parametrize(("method", "path", "scope"), REQUESTS)
def test_a_request_is_done_with_a_key_of_its_scope_alone(
    client: TestClient[Litestar], method: str, path: str, scope: str
) -> None:
    def status(authorization: str | None) -> int:
        headers = {} if authorization is None else {"authorization": authorization}
        return client.request(method, path, content=b"{}", headers=headers).status_code

    strange = [None, "", "Bearer", "Bearer ", f"Basic {SENDER}", SENDER, f"Bearer {SENDER}x"]
    strange += [f"Bearer {SENDER[:-1]}", f"Bearer {SENDER.upper()}", f"Bearer {SENDER} {CRM}"]
    assert {status(one) for one in strange} == {401}
    mine, other = (SENDER, CRM) if scope == "decisions" else (CRM, SENDER)
    assert status(f"Bearer {other}") == 403
    assert status(f"bearer {mine}") not in (401, 403)


def test_a_refusal_says_what_to_do_and_does_nothing(client: TestClient[Litestar]) -> None:
    body = {"contacts": [{"contact_id": "ada", "request_id": "r"}]}
    none = client.post("/v1/decisions", json=body)
    assert none.headers["www-authenticate"] == "Bearer"
    assert none.headers["content-type"] == "application/problem+json"
    assert "Authorization: Bearer KEY" in none.json()["detail"]
    wrong = client.post("/v1/decisions", json=body, headers={"authorization": f"Bearer {CRM}"})
    assert wrong.json()["detail"].startswith(
        "this key opens console, contacts, events, handoffs, journeys, policies, reasons, not "
        "/v1/decisions"
    )
    known = client.get("/v1/decisions/r", headers={"authorization": f"Bearer {SENDER}"})
    assert known.status_code == 404  # neither request decided


def test_health_and_schema_are_open(client: TestClient[Litestar]) -> None:
    assert client.get("/healthz").status_code == 200
    assert client.get("/schema").status_code == 200


@pytest.mark.parametrize("path", ["/v1/", "/v1", "/v1//events", "/V1/events", "/v1/events/"])
def test_no_other_spelling_of_a_path_gets_by(client: TestClient[Litestar], path: str) -> None:
    assert client.post(path, content=b'{"events": []}').status_code in (401, 403, 404, 405)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            [f"decide {SENDER}"],
            "line 1: expected scopes of console, contacts, decisions, events",
        ),
        (["# one", "decisions short"], "line 2: expected a key of at least 32 ASCII characters"),
        ([f"decisions {SENDER} {CRM}"], "line 1: expected a key of at least 32 ASCII characters"),
        (["decisions " + "ü" * 40], "line 1: expected a key of at least 32 ASCII characters"),
        ([f"decisions {SENDER}", f"events {SENDER}"], "line 2: this key stands on an earlier line"),
        ([SENDER], "line 1: expected scopes"),
        (["# nothing"], "holds no key"),
    ],
)
def test_a_file_that_is_none_is_refused_with_its_line(
    tmp_path: Path, lines: list[str], said: str
) -> None:
    with pytest.raises(KeyFileError, match=said) as caught:
        load_keys(key_file(tmp_path / "keys", *lines))
    assert SENDER not in str(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = key_file(tmp_path / "keys", f"decisions {SENDER}", mode=mode)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_keys(path)
    os.chmod(path, 0o400)
    assert load_keys(path).opened(f"Bearer {SENDER}") == frozenset({"decisions"})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="expected a file of API keys"):
        load_keys(tmp_path / "none")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "fe80::1%eth0"])
def test_a_server_that_others_reach_needs_keys(host: str, keys: ApiKeys) -> None:
    with pytest.raises(KeyFileError, match="needs API keys"):
        require_keys_beyond_loopback(host, None)
    require_keys_beyond_loopback(host, keys)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1"])
def test_a_server_of_this_machine_alone_needs_none(host: str) -> None:
    require_keys_beyond_loopback(host, None)
