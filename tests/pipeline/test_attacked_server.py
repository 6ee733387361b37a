"""Whatever strangers send to a real server is refused, changes nothing, and is their own fault."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import quote

import pytest

from tests.pipeline.attacked import AttackedServer, attacked, received

_HEAD = b"POST /v1/decisions HTTP/1.1\r\nHost: x\r\n"
_ASK = b'{"contacts":[{"contact_id":"ada"}]}'
_FEW = {"contacts": [{"contact_id": "ada"}]}
_QUOTED = "ada'; DROP TABLE decisions; --"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AttackedServer]:
    with attacked(tmp_path_factory.mktemp("attacked")) as found:
        put = {"contacts": [{"contact_id": name, "consent": True} for name in ("ada", _QUOTED)]}
        assert found.ask("PUT", "/v1/contacts", put, "contacts").status == 200
        yield found


def faults(server: AttackedServer) -> float:
    """Answers so far that call the server itself faulty."""
    return server.figure(r'^nurture_requests_total\{.*status="5')


@pytest.mark.parametrize(
    "path",
    [
        "/v1/decisions",
        "//v1/decisions",
        "/v1//decisions",
        "/v1/decisions/",
        "/%76%31/decisions",
        "/v1%2fdecisions",
        "/V1/decisions",
        "/./v1/decisions",
        "/x/../v1/decisions",
        "/v1/events/../decisions",
        "/v1;/decisions",
        "/v1/switch",
        "/v1/switch/",
        "/metrics/",
        "//metrics",
        "/metrics%2f",
    ],
)
def test_no_spelling_of_a_path_goes_around_the_keys(server: AttackedServer, path: str) -> None:
    for method in ("GET", "POST"):
        assert server.ask(method, path, _FEW).status in (401, 404, 405)
        assert server.ask(method, path, _FEW, "events").status in (403, 404, 405)


@pytest.mark.parametrize(
    "request_bytes, status",
    [
        (_HEAD + b"Content-Length: 5\r\nContent-Length: 35\r\n\r\n" + _ASK, b"400"),
        (_HEAD + b"Content-Length: -1\r\n\r\n", b"400"),
        (_HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", b"400"),
        (_HEAD + b"KEY\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n", b"400"),
        (_HEAD + b"KEY\r\nContent-Length: 99999999999999\r\n\r\n", b"413"),
        (_HEAD + b"X: " + b"a" * 1_000_000 + b"\r\n\r\n", b"431"),
        (_HEAD + b"X: a\r\n" * 10_000 + b"\r\n", b"431"),
        (b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"431"),
        (b"GET /healthz HTTP/1.1\r\nX-Request-Id: a\r\n Set-Cookie: b\r\n\r\n", b"400"),
        (b"GET /healthz HTTP/1.1\r\nX-Request-Id: a\rSet-Cookie: b\r\n\r\n", b"400"),
        (b"GET\x01 /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b""),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 500, b"400"),
    ],
)
def test_what_is_no_request_is_refused_as_its_senders_fault(
    server: AttackedServer, request_bytes: bytes, status: bytes
) -> None:
    before, key = faults(server), b"Authorization: Bearer " + server.keys["decisions"].encode()
    answer = server.raw(request_bytes.replace(b"KEY", key))
    assert answer.split(b" ")[1:2] == ([status] if status else [])
    assert b"set-cookie" not in answer.lower()
    assert server.ask("GET", "/healthz").status == 200
    assert faults(server) == before


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0" * 10,
        b"[" * 200_000,
        b'{"contacts":' * 50_000,
        b'{"contacts":[{"contact_id":' + b"9" * 100_000 + b"}]}",
        b'{"contacts":[{"contact_id":"\xff\xfe"}]}',
        b'{"contacts":[{"contact_id":"\\ud800"}]}',
        b'{"contacts":[{"contact_id":"a\\u0000b"}]}',
        b'{"contacts":[{"contact_id":"ada","request_id":"a\\r\\nSet-Cookie: x=1"}]}',
        b'{"contacts":[' + b",".join([b'{"contact_id":"ada"}'] * 10_001) + b"]}",
    ],
)
def test_a_body_that_is_no_question_decides_nothing(server: AttackedServer, body: bytes) -> None:
    before, decided = faults(server), server.figure("^nurture_decisions_total")
    answer = server.ask("POST", "/v1/decisions", body, "decisions")
    assert (answer.status, answer.headers["content-type"]) == (400, "application/problem+json")
    assert (faults(server), server.figure("^nurture_decisions_total")) == (before, decided)


@pytest.mark.parametrize(
    "folder",
    [
        "..",
        "../first",
        "first/../second",
        "/etc",
        "a/b",
        ".",
        ".hidden",
        "second/",
        "a\0b",
        "C:\\x",
    ],
)
def test_the_name_of_a_bundle_leads_nowhere_else(server: AttackedServer, folder: str) -> None:
    answer = server.ask("POST", "/v1/policies", {"folder": folder, "why": "x"}, "policies")
    assert answer.status == 400
    assert len(server.ask("GET", "/v1/policies", scope="policies").text.split("policy_id")) == 2


@pytest.mark.parametrize(
    "name", ["..", "../../etc/passwd", "' OR 1=1 --", "a\0b", "a\r\nSet-Cookie: b"]
)
def test_an_id_in_a_path_is_an_id_and_nothing_else(server: AttackedServer, name: str) -> None:
    before, path = faults(server), quote(name, safe="")
    word = {"source": "x", "proof": "y"}
    for method, asked, body, scope in (
        ("GET", f"/v1/decisions/{path}", None, "decisions"),
        ("POST", f"/v1/decisions/{path}/confirm", None, "decisions"),
        ("PUT", f"/v1/contacts/{path}/preferences", word, "contacts"),
        ("POST", f"/v1/policies/{path}/promote", {"why": "x"}, "policies"),
        ("POST", f"/u/{path}", b"List-Unsubscribe=One-Click", None),
    ):
        answer = server.ask(method, asked, body, scope)
        assert answer.status in (400, 404)
        assert "set-cookie" not in answer.headers
    assert faults(server) == before


def test_quotes_in_ids_are_letters_like_others(server: AttackedServer) -> None:
    request = "r'); DELETE FROM decisions; --"
    ask = {"contacts": [{"contact_id": _QUOTED, "request_id": request}]}
    first = server.ask("POST", "/v1/decisions", ask, "decisions")
    assert first.status == 200
    assert f'"decision_id":"{request}"' in first.text
    happened = {
        "event_id": "e' OR '1'='1",
        "contact_id": _QUOTED,
        "type": "click",
        "topic": "t'; DROP TABLE events; --",
        "occurred_at": "2026-01-05T00:00:00Z",
    }
    told = server.ask("POST", "/v1/events", {"events": [happened]}, "events")
    assert (told.status, '"stored":1' in told.text) == (200, True)
    assert server.ask("POST", "/v1/decisions", ask, "decisions").text == first.text
    assert server.ask("GET", f"/v1/decisions/{quote(request)}", scope="decisions").status == 200


@pytest.mark.slow
def test_a_thousand_silent_and_slow_connections_leave_the_door_open_and_end(
    server: AttackedServer,
) -> None:
    key = b"Authorization: Bearer " + server.keys["decisions"].encode() + b"\r\n"
    begun = {
        "silent": b"",
        "headers": _HEAD,
        "body": _HEAD + key + b"Content-Length: 100000\r\n\r\n{",
        "link": b"POST /u/x HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\nL",
    }
    before = faults(server)
    with ExitStack() as stack:
        lines: dict[str, list[socket.socket]] = {name: [] for name in begun}
        for name, first in begun.items():
            for _ in range(250):
                line = stack.enter_context(server.connect())
                line.sendall(first)
                lines[name].append(line)
        for _ in range(8):  # they go on, a byte a second
            assert server.ask("GET", "/healthz").status == 200
            assert server.ask("POST", "/v1/decisions", _FEW, "decisions").status == 200
            for name, drop in (("headers", b"X"), ("body", b" "), ("link", b"i")):
                for line in lines[name]:
                    line.sendall(drop)
            time.sleep(1.0)
        ends = {name: {received(line)[:12] for line in some} for name, some in lines.items()}
    assert ends["silent"] == ends["headers"] == {b""}
    assert ends["body"] == ends["link"] == {b"HTTP/1.1 408"}
    assert faults(server) == before
