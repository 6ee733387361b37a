"""What contacts reach without a key: one-click unsubscribe after RFC 8058, and a plain page.

Whoever fetches a link changes nothing by it: scanners do. Only a POST unsubscribes.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from email import message_from_bytes, policy
from functools import partial
from html import escape
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4

import msgspec
from litestar import MediaType, Request, Response, get, post, put
from litestar.handlers import HTTPRouteHandler

from nurture_envs.guardrails import reason_names
from nurture_envs.guardrails.reasons import Reason
from nurture_rl.serving.contacts.mail_permission import permission_in
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http.http_answers import Body, json_answer, problem
from nurture_rl.serving.http.preference_wire import (
    MOST_A_WEEK,
    ConsentState,
    PreferencesIn,
    day_of,
    preferences_out,
    wish_of,
    wish_of_form,
    word_out,
)
from nurture_rl.serving.http.wire import RequestError, require_id
from nurture_rl.serving.records import Event, Preferences

Steps = Iterator[Body | None]
Answered = Callable[
    [Request[Any, Any, Any], Callable[[Service, bytes], Steps]], Coroutine[Any, Any, Body]
]

_MOST_FIELDS = 1_000  # of one form
_SOURCE = "unsubscribe_page"
_HEADERS = {
    "content-security-policy": "default-src 'none'; form-action 'self'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex",
}
_preferences_in = msgspec.json.Decoder(PreferencesIn, strict=True)
_encode = msgspec.json.Encoder().encode


def link_routes(answered: Answered, most_bytes: int) -> list[HTTPRouteHandler]:
    """The paths of the links in mails.

    Args:
        answered: reads a body and works on it in a lane; anybody may ask.
        most_bytes: of a body.
    """

    @get("/u/{token:str}", request_max_body_size=most_bytes)
    async def page(request: Request[Any, Any, Any]) -> Body:
        return await answered(request, partial(_show, token=_path(request, "token")))

    @post("/u/{token:str}", status_code=200, request_max_body_size=most_bytes)
    async def leave(request: Request[Any, Any, Any]) -> Body:
        kind = request.headers.get("content-type", "")
        return await answered(request, partial(_leave, token=_path(request, "token"), kind=kind))

    return [page, leave]


def mail_routes(answered: Answered) -> list[HTTPRouteHandler]:
    """The paths of preferences.

    Args:
        answered: reads a body and works on it in a lane.
    """

    @put("/v1/contacts/{contact_id:str}/preferences", status_code=200)
    async def preferences(request: Request[Any, Any, Any]) -> Body:
        return await answered(request, partial(_prefer, contact_id=_path(request, "contact_id")))

    @get("/v1/contacts/{contact_id:str}/preferences")
    async def preferred(request: Request[Any, Any, Any]) -> Body:
        return await answered(request, partial(_tell, contact_id=_path(request, "contact_id")))

    return [preferences, preferred]


def _path(request: Request[Any, Any, Any], name: str) -> str:
    return str(request.path_params[name])


def _prefer(service: Service, body: bytes, contact_id: str) -> Steps:
    request = _preferences_in.decode(body)
    require_id(contact_id, "the path", contact=True)
    wish = wish_of(request)
    withdrawn = service.preferring.put(contact_id, wish, request.source, request.proof)
    if withdrawn is None:
        yield problem(404, "unknown contact", f"no contact {contact_id!r} is known; put it first")
        return
    yield json_answer(_encode(preferences_out(contact_id, wish, withdrawn)))


def _tell(service: Service, _: bytes, contact_id: str) -> Steps:
    require_id(contact_id, "the path", contact=True)
    found = service.store.contacts([contact_id])
    if not found:
        yield problem(404, "unknown contact", f"no contact {contact_id!r} is known")
        return
    (contact,) = found.values()
    with service.store.held([contact_id]):
        now_us, prefers = service.settings.clock(), service.preferring.of(contact_id)
        (view,) = service.first.contacts.read([Ask(contact_id)], now_us, found)
    against = permission_in(view).against(contact.consent, now_us)
    if prefers.paused_until_us > now_us:
        against |= int(Reason.PAUSED)
    wish = preferences_out(contact_id, prefers, ())
    ledger = [word_out(entry) for entry in service.store.consent_ledger([contact_id])]
    yield json_answer(_encode(ConsentState(wish, contact.consent, reason_names(against), ledger)))


def _show(service: Service, _: bytes, token: str) -> Steps:
    contact = service.links.contact_of(token)
    if contact is None:
        yield unknown_link()
        return
    yield _form(service, service.preferring.of(contact))


def _leave(service: Service, body: bytes, token: str, kind: str) -> Steps:
    contact = service.links.contact_of(token)
    if contact is None:
        yield unknown_link()
        return
    fields = _fields(body, kind)
    if _says_no_more(fields):
        _unsubscribe(service, contact)
        yield mail_page("<p>You are unsubscribed. You get no more of these mails.</p>")
    elif fields.get("preferences") == ["1"]:
        yield _kept(service, contact, fields)
    else:
        text = "<p>Nothing was changed: the form says neither what to keep nor to unsubscribe.</p>"
        yield mail_page(text, 400)


def _says_no_more(fields: Mapping[str, Sequence[str]]) -> bool:
    """Whether a form unsubscribes; in doubt about its spelling it does."""
    named = [given for name, given in fields.items() if name.strip().lower() == "list-unsubscribe"]
    return any(value.strip().lower() == "one-click" for given in named for value in given)


def _unsubscribe(service: Service, contact: str) -> None:
    now_us = service.settings.clock()
    name = f"one-click:{uuid4()}"
    service.append_events([Event(name, contact, now_us, now_us, "unsubscribe", source="one_click")])


def _kept(service: Service, contact: str, fields: Mapping[str, Sequence[str]]) -> Body:
    before = service.preferring.of(contact)
    try:
        wish = wish_of_form(fields, *_offered(service), before)
    except RequestError as error:
        return mail_page(f"<p>Nothing was changed: {escape(str(error))}.</p>", 400)
    if service.preferring.put(contact, wish, _SOURCE, f"form:{uuid4()}") is None:
        return unknown_link()
    return mail_page("<p>Your preferences are kept.</p>")


def _fields(body: bytes, kind: str) -> dict[str, list[str]]:
    """The fields of a form, as browsers and mailbox providers post them.

    Raises:
        UnicodeDecodeError: it is no text.
    """
    if not kind.lower().startswith("multipart/form-data"):
        try:
            return parse_qs(body.decode("utf-8"), max_num_fields=_MOST_FIELDS)
        except ValueError as error:
            raise RequestError(f"expected a form of at most {_MOST_FIELDS} fields") from error
    head = f"Content-Type: {kind}\r\n\r\n".encode("latin-1", "replace")
    fields: dict[str, list[str]] = {}
    for part in message_from_bytes(head + body, policy=policy.HTTP).walk():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            fields.setdefault(name, []).append(content.decode("utf-8", "replace").strip())
    return fields


def _offered(service: Service) -> tuple[list[str], list[str]]:
    """Topics and channels of the messages that may be sent."""
    every = [message for one in service.journeys for message in one.bundle.catalog.messages]
    messages = [message for message in every if message.approval == "approved"]
    return sorted({one.topic for one in messages}), sorted({one.channel for one in messages})


def _form(service: Service, wish: Preferences) -> Body:
    topics, channels = _offered(service)
    back, by = day_of(wish), Preferences(refused_channels=wish.refused_channels)
    rows = [_tick("topic", name, not wish.refuse(name, "")) for name in topics if name]
    rows += [_tick("channel", name, not by.refuse("", name)) for name in channels]
    return mail_page(
        '<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click">'
        '<p>Do you want no more of these mails?</p><button type="submit">Unsubscribe</button>'
        '</form><form method="post"><input type="hidden" name="preferences" value="1">'
        f"<p>Or choose what you want to get:</p>{''.join(rows)}"
        f'<p><label>At most <input type="number" name="per_week" min="1" max="{MOST_A_WEEK}" '
        f'value="{wish.per_week or ""}"> mails a week</label></p>'
        f'<p><label>No mail before <input type="date" name="paused_until" value="{back or ""}">'
        '</label></p><button type="submit">Keep these</button></form>'
    )


def _tick(kind: str, name: str, ticked: bool) -> str:
    value, checked = escape(name, quote=True), " checked" if ticked else ""
    box = f'<input type="checkbox" name="{kind}" value="{value}"{checked}>'
    return f"<p><label>{box} {kind}: {escape(name.replace('_', ' '))}</label></p>"


def unknown_link() -> Body:
    """The answer to a link that nobody gave out."""
    return mail_page("<p>This link is not one of ours. Use the link of the mail as it is.</p>", 404)


def mail_page(content: str, status: int = 200, title: str = "Mail preferences") -> Body:
    """A page for contacts.

    Args:
        content: HTML, in which what is not ours is escaped.
        status: of the answer.
        title: plain text.
    """
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width"></head>'
        f"<body><h1>{title}</h1>{content}</body></html>"
    )
    return Response(text.encode(), status_code=status, media_type=MediaType.HTML, headers=_HEADERS)
