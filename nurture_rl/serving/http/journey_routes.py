"""Journeys over HTTP: contacts enter and leave them, and are paused and resumed by people."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any

import msgspec
from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler

from nurture_rl.serving import roles as changes
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http import journey_wire
from nurture_rl.serving.http.api_keys import ApiKeys
from nurture_rl.serving.http.http_answers import Body, json_answer
from nurture_rl.serving.http.mail_pages import Answered, Steps
from nurture_rl.serving.http.wire import require_id

_US_PER_DAY = 86_400_000_000
_EPOCH = date(1970, 1, 1)

_encode = msgspec.json.Encoder().encode
_enrol_in = msgspec.json.Decoder(journey_wire.EnrolIn, strict=True)
_why_in = msgspec.json.Decoder(journey_wire.JourneyWhyIn, strict=True)

Asking = Request[Any, Any, Any]
Work = Callable[..., Steps]  # of service, body, journey, contact and who asks


def journey_routes(answered: Answered, keys: ApiKeys | None) -> list[HTTPRouteHandler]:
    """The routes under `/v1/journeys`.

    Args:
        answered: reads a body and works on it in a lane.
        keys: name who asks.
    """

    def who(request: Asking) -> str:
        return "no key" if keys is None else keys.name(request.headers.get("authorization"))

    def of_contact(path: str, work: Work) -> HTTPRouteHandler:
        whole = f"/v1/journeys/{{journey:str}}/contacts/{{contact_id:str}}{path}"

        @post(whole, status_code=200, name=f"journey {path or 'enrol'}")
        async def handler(request: Asking) -> Body:
            names = {name: str(request.path_params[name]) for name in ("journey", "contact_id")}
            return await answered(request, partial(work, **names, who=who(request)))

        return handler

    def of_journey(path: str, paused: bool) -> HTTPRouteHandler:
        @post(f"/v1/journeys/{{journey:str}}/{path}", status_code=200, name=f"journey all {path}")
        async def handler(request: Asking) -> Body:
            journey, asker = str(request.path_params["journey"]), who(request)
            return await answered(
                request, partial(_switch, journey=journey, who=asker, paused=paused)
            )

        return handler

    @get("/v1/journeys")
    async def listed(request: Asking) -> Body:
        return await answered(request, _list)

    @get("/v1/journeys/log")
    async def log(request: Asking) -> Body:
        return await answered(request, _log)

    @get("/v1/journeys/{journey:str}/contacts/{contact_id:str}")
    async def shown(request: Asking) -> Body:
        journey, contact = (str(request.path_params[n]) for n in ("journey", "contact_id"))
        return await answered(request, partial(_show, journey=journey, contact_id=contact))

    contacts = [
        of_contact("", _enrol),
        of_contact("/exit", _leave),
        of_contact("/pause", partial(_hold, paused=True)),
        of_contact("/resume", partial(_hold, paused=False)),
    ]
    return [listed, log, shown, *contacts, of_journey("pause", True), of_journey("resume", False)]


def _enrol(service: Service, body: bytes, journey: str, contact_id: str, who: str) -> Steps:
    asked = _enrol_in.decode(body)
    require_id(contact_id, "the path", contact=True)
    day = asked.began_on
    anchor_us = None if day is None else (day - _EPOCH).days * _US_PER_DAY
    moved = service.enrolling.enrol(journey, contact_id, who, asked.why, anchor_us)
    yield json_answer(_encode(journey_wire.moved_out(moved)))


def _leave(service: Service, body: bytes, journey: str, contact_id: str, who: str) -> Steps:
    why = _why_in.decode(body).why
    require_id(contact_id, "the path", contact=True)
    moved = service.enrolling.leave(journey, contact_id, who, why)
    yield json_answer(_encode(journey_wire.moved_out(moved)))


def _hold(
    service: Service, body: bytes, journey: str, contact_id: str, who: str, paused: bool
) -> Steps:
    why = _why_in.decode(body).why
    require_id(contact_id, "the path", contact=True)
    moved = service.enrolling.hold(journey, contact_id, who, why, paused)
    yield json_answer(_encode(journey_wire.moved_out(moved)))


def _show(service: Service, _: bytes, journey: str, contact_id: str) -> Steps:
    require_id(contact_id, "the path", contact=True)
    found = service.enrolling.standing(journey, contact_id)
    yield json_answer(_encode(journey_wire.contact_out(contact_id, *found)))


def _switch(service: Service, body: bytes, journey: str, who: str, paused: bool) -> Steps:
    """Pause a whole journey, or let it go on as before the pause."""
    why = _why_in.decode(body).why
    policies = service.journeys.named(journey).policies
    if paused:
        policies.change("switch to pause", None, changes.switched("pause"), who, why)
    else:
        policies.resume(who, why)
    yield from _list(service, b"")


def _list(service: Service, _: bytes) -> Steps:
    rows = [journey_wire.journey_out(one) for one in service.journeys]
    yield json_answer(_encode(journey_wire.JourneysOut(rows)))


def _log(service: Service, _: bytes) -> Steps:
    rows = [journey_wire.entry_out(one) for one in service.store.journey_entries()]
    yield json_answer(_encode(journey_wire.JourneyLogOut(rows)))
