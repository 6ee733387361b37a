"""Stand-ins of listmonk, Mautic, Dittofeed, Braze and a receiver of CloudEvents.

None of these products is here: each stand-in is written from the documented interface, over real
HTTP. It refuses by JSON Schema what the documentation does not show, answers as it says, and plays
the faults that a test asks for. What they cannot show is how the products themselves behave.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from jsonschema import Draft202012Validator, FormatChecker

Answer = tuple[int, Any]  # status and JSON; None: no content
DROP_BEFORE, DROP_AFTER = "the line breaks before it is taken", "the line breaks after it is taken"
SLOW = "it is taken, and the answer comes late"
LATE = 1.5  # seconds of a slow answer
KEYS = {
    "listmonk": "api:secret",
    "mautic": "api:secret",
    "dittofeed": "d3JpdGU6a2V5",
    "braze": "braze-key",
    "cloudevents_http": "events-key",
}
TEMPLATE = {"listmonk": 3, "mautic": 7, "dittofeed": "nurture_send", "braze": "c-1"}


def _object(required: str, **properties: Any) -> dict[str, Any]:
    told = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**told, "required": required.split()}


_TEXT, _TEXTS = {"type": "string"}, {"type": ["string", "null"]}
_WORD = {"type": "string", "minLength": 1}
_DATA = _object(
    "decision_id journey message blocks template_digest subject text html unsubscribe_url fields",
    **dict.fromkeys(("decision_id", "journey", "message", "template_digest", "subject"), _TEXT),
    **dict.fromkeys(("text", "html", "unsubscribe_url", "delivery"), _TEXTS),
    blocks={"type": "array", "items": _TEXT},
    fields={"type": "object", "additionalProperties": _TEXT},
)
_HEADER = {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": _TEXT}
_LISTMONK = {
    **_object(
        "template_id data",
        subscriber_email={"type": "string", "format": "email"},
        subscriber_id={"type": "integer"},
        subscriber_mode={"enum": ["default", "fallback", "external"]},
        template_id={"type": "integer"},
        subject=_TEXT,
        from_email=_TEXT,
        data=_DATA,
        headers={"type": "array", "items": _HEADER},
        content_type={"enum": ["html", "plain", "markdown"]},
        messenger=_TEXT,
        altbody=_TEXT,
    ),
    "oneOf": [{"required": ["subscriber_email"]}, {"required": ["subscriber_id"]}],
}
_MAUTIC = _object(
    "tokens",
    tokens={
        "type": "object",
        "propertyNames": {"pattern": r"^\{[A-Za-z0-9_.]+\}$"},
        "additionalProperties": _TEXT,
    },
)
_DITTOFEED = _object(
    "messageId event", messageId=_TEXT, userId=_TEXT, event=_TEXT, properties=_DATA
)
_USER = _object(
    "external_user_id",
    external_user_id={"type": "string", "minLength": 1},
    trigger_properties=_DATA,
    send_to_existing_only={"type": "boolean"},
)
_BRAZE = _object(
    "campaign_id recipients",
    campaign_id=_TEXT,
    broadcast={"const": False},
    recipients={"type": "array", "minItems": 1, "maxItems": 50, "items": _USER},
)
_EVENT = _object(
    "specversion id source type",
    **dict.fromkeys(("id", "source", "type", "subject"), _WORD),
    specversion={"const": "1.0"},
    time={"type": "string", "format": "date-time"},
    datacontenttype={"const": "application/json"},
    data={"type": "object", "required": ["decision_id", "email", "template_id"]},
)


@dataclass(slots=True)
class StandIn:
    """One of them: what it took, and what it is told to play."""

    name: str
    port: int = 0
    scheme: str = "http"
    taken: list[dict[str, Any]] = field(default_factory=list)  # bodies, each once that is kept
    keys: list[str] = field(default_factory=list)  # idempotency keys, as often as they came
    asked: int = 0  # requests that carry a mail
    faults: list[str | Answer] = field(default_factory=list)  # of the next of them
    refuses: Callable[[dict[str, Any]], Answer | None] = lambda body: None
    contacts: dict[str, list[int]] = field(default_factory=dict)  # Mautic's, by address
    overlooks_where: bool = False  # Mautic tells of everybody, whom it was not asked for
    retry_after: str | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"{self.scheme}://localhost:{self.port}"

    def decisions(self) -> Counter[str]:
        """How often each decision was carried out."""
        return Counter(decision_of(self.name, body) for body in self.taken)

    def may_ask(self, headers: Message) -> bool:
        key = KEYS[self.name]
        if self.name in ("listmonk", "mautic"):
            return headers["authorization"] == f"Basic {base64.b64encode(key.encode()).decode()}"
        kind = "Basic" if self.name == "dittofeed" else "Bearer"
        return headers["authorization"] == f"{kind} {key}"

    def carry(self, path: str, headers: Message, content: bytes) -> Answer:
        """What a request that carries a mail comes to, without faults."""
        body = json.loads(content)
        known = {
            "listmonk": ("/api/tx", _LISTMONK),
            "dittofeed": ("/api/public/apps/track", _DITTOFEED),
            "braze": ("/campaigns/trigger/send", _BRAZE),
            "cloudevents_http": ("/events", _EVENT),
        }
        if self.name == "mautic":
            parts = path.strip("/").split("/")
            shape = [*parts[:2], parts[3], parts[5]] if len(parts) == 6 else []
            if shape != ["api", "emails", "contact", "send"] or parts[2] != str(TEMPLATE["mautic"]):
                return 404, {"errors": [{"code": 404, "message": "Item was not found."}]}
            if int(parts[4]) not in [one for ids in self.contacts.values() for one in ids]:
                return 404, {"errors": [{"code": 404, "message": "Contact was not found."}]}
            schema = _MAUTIC
        else:
            place, schema = known[self.name]
            if path != place:
                return 404, {"message": f"not found: {path}"}
        if self.name == "cloudevents_http":
            body = _event(headers, body)
        wrong = list(Draft202012Validator(schema, format_checker=FormatChecker()).iter_errors(body))
        if wrong:
            return 400, {"message": f"Bad request: {wrong[0].message}"}
        if (said := self.refuses(body)) is not None:
            return said
        with self.lock:
            return self._took(body)

    def _took(self, body: dict[str, Any]) -> Answer:
        if self.name == "dittofeed":
            self._once(body["messageId"], body)
            return 204, None
        if self.name == "cloudevents_http":
            self._once(f"{body['source']} {body['id']}", body)
            return 202, None
        self.taken.append(body)
        if self.name == "braze":
            return 201, {"dispatch_id": f"d{len(self.taken)}", "message": "success"}
        return 200, {"data": True} if self.name == "listmonk" else {"success": 1}

    def _once(self, key: str, body: dict[str, Any]) -> None:
        if key not in self.keys:
            self.taken.append(body)
        self.keys.append(key)


def decision_of(name: str, body: dict[str, Any]) -> str:
    """The decision that a request carried out; Mautic has the delivery's key alone."""
    found: dict[str, Callable[[], Any]] = {
        "listmonk": lambda: body["data"]["decision_id"],
        "mautic": lambda: body["tokens"]["{nurture_delivery}"],
        "dittofeed": lambda: body["properties"]["decision_id"],
        "braze": lambda: body["recipients"][0]["trigger_properties"]["decision_id"],
        "cloudevents_http": lambda: body["id"],
    }
    return str(found[name]())


def _event(headers: Message, body: Any) -> Any:
    """A CloudEvent in structured form, whichever form it came in."""
    if headers["content-type"].startswith("application/cloudevents+json"):
        return body
    named = {key.lower(): value for key, value in headers.items()}
    said = {key[3:]: unquote(value) for key, value in named.items() if key.startswith("ce-")}
    return {**said, "datacontenttype": headers["content-type"], "data": body}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stand_in: StandIn

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if not self.stand_in.may_ask(self.headers):
            return self._say((403, {"message": "no such user"}))
        if self.stand_in.name != "mautic" or parts.path != "/api/contacts":
            return self._say((404, {"message": "not found"}))
        asked = parse_qs(parts.query)
        (column,), (how,), (address,) = (asked[f"where[0][{k}]"] for k in ("col", "expr", "val"))
        known = self.stand_in.contacts
        if not self.stand_in.overlooks_where:
            known = {address: known.get(address, [])} if (column, how) == ("email", "eq") else {}
        found = {
            str(one): {"id": one, "fields": {"all": {"id": one, "email": name}}}
            for name, ids in known.items()
            for one in ids
        }
        return self._say((200, {"total": str(len(found)), "contacts": found or []}))

    def do_POST(self) -> None:
        stand_in = self.stand_in
        content = self.rfile.read(int(self.headers["content-length"]))
        with stand_in.lock:
            stand_in.asked += 1
            fault = stand_in.faults.pop(0) if stand_in.faults else None
        if fault == DROP_BEFORE:
            return self._drop()
        if isinstance(fault, tuple):
            return self._say(fault)
        if not stand_in.may_ask(self.headers):
            return self._say((403, {"message": "no such user"}))
        answer = stand_in.carry(urlsplit(self.path).path, self.headers, content)
        if fault == DROP_AFTER:
            return self._drop()
        if fault == SLOW:
            time.sleep(LATE)
        return self._say(answer)

    def _say(self, answer: Answer) -> None:
        status, told = answer
        content = b"" if told is None else json.dumps(told).encode()
        try:
            self.send_response(status)
            if self.stand_in.retry_after is not None and status == 429:
                self.send_header("retry-after", self.stand_in.retry_after)
            self.send_header("content-type", "application/json")
            if status != 204:
                self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:  # whoever asked is gone
            self.close_connection = True

    def _drop(self) -> None:
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Silence."""


@contextmanager
def stand_in(name: str, tls: ssl.SSLContext | None = None) -> Iterator[StandIn]:
    """One that runs until the block ends."""
    found = StandIn(name)
    handler = type("Handler", (_Handler,), {"stand_in": found})
    if tls is not None:
        found.scheme = "https"
    with answering(handler, tls) as found.port:
        yield found


@contextmanager
def answering(handler: Any, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server of its own thread on a free port, until the block ends."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def settings(folder: Path, provider: StandIn) -> dict[str, Any]:
    """Of `deliver`, by which mail goes to a stand-in."""
    key = folder / "sender.key"
    key.write_text(f"{KEYS[provider.name]}\n")
    key.chmod(0o600)
    path = "/events?from=nurture" if provider.name == "cloudevents_http" else ""
    template = TEMPLATE.get(provider.name)
    return {
        "sender": provider.name,
        "sender_url": f"{provider.url}{path}",
        "sender_key_file": str(key),
        "template_ids": () if template is None else (f"={template}",),
    }
