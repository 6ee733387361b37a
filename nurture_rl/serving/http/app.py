"""HTTP in front of a service: strict bodies in, decisions out, one kind of error."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import msgspec
from litestar import Litestar, Request, Response, get, post, put
from litestar.handlers import HTTPRouteHandler

from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.metrics import CONTENT_TYPE
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http import confirm_wire, wire
from nurture_rl.serving.http.api_keys import ApiKeys, scope_of
from nurture_rl.serving.http.ask_contexts import CONTEXT, put_contexts
from nurture_rl.serving.http.console_routes import console_routes
from nurture_rl.serving.http.explaining import explained, recorded
from nurture_rl.serving.http.handoff_routes import handoff_routes
from nurture_rl.serving.http.http_answers import HANDLERS, Body, busy, json_answer, problem
from nurture_rl.serving.http.journey_routes import journey_routes
from nurture_rl.serving.http.mail_pages import Answered, link_routes, mail_routes
from nurture_rl.serving.http.micro_batches import MicroBatches
from nurture_rl.serving.http.openapi import document
from nurture_rl.serving.http.policy_routes import policy_routes
from nurture_rl.serving.http.taking_events import BroughtRow, take_events
from nurture_rl.serving.http.traffic import Bodies, Busy, Lane, Pulse, TrafficLimits
from nurture_rl.serving.http.webhook_routes import webhook_route
from nurture_rl.serving.http.why_routes import why_routes
from nurture_rl.serving.layers import FAIL_CLOSED
from nurture_rl.serving.news import is_told
from nurture_rl.serving.records import Answer, Confirmation, Decision, Refusal, Withdrawal
from nurture_rl.serving.senders.sender_adapter import SenderAdapter
from nurture_rl.serving.store_errors import StoreUnavailable

_LOOKS = 5  # for events that arrived meanwhile: a steady stream of them must not delay an answer
_STEP_ROWS = 128  # decided at a time, so that a long request lets others in between
_SMALL_THREADS = 16  # they mostly wait for the disk
_BULK_THREADS = 2
_LINK_THREADS = 2  # strangers reach them: they hold up nobody else
_LIMITS = TrafficLimits()
_KEY = "authorization"  # header with the key

_encode = msgspec.json.Encoder().encode
_decisions_in = msgspec.json.Decoder(wire.DecisionsIn, strict=True)
_events_in = msgspec.json.Decoder(wire.EventsIn, strict=True)
_confirm_in = msgspec.json.Decoder(confirm_wire.ConfirmIn, strict=True)
_confirmations_in = msgspec.json.Decoder(confirm_wire.ConfirmationsIn, strict=True)
_contacts_in = msgspec.json.Decoder(wire.ContactsIn, strict=True)

Steps = Iterator[Body | None]
Asked = tuple[Sequence[Ask], int | None]  # at a moment; None: the clock's
Deciding = Generator[Asked, Sequence[Answer], Body]
Parts = Generator[Asked, Sequence[Answer], Sequence[Answer]]


def create_app(
    service: Service,
    limits: TrafficLimits = _LIMITS,
    keys: ApiKeys | None = None,
    senders: Mapping[str, SenderAdapter] = MappingProxyType({}),
    lift_reports: Path | None = None,
) -> Litestar:
    """The application: decisions, confirmations, events, contacts, policies, health and OpenAPI.

    Whoever opened the store closes it, after the server has stopped. Without `keys` everybody may
    ask everything; health, OpenAPI and links in mails are open always, `senders` sign webhooks.
    The console shows the latest of the `lift_reports`.
    """
    bodies, pulse = Bodies(limits), Pulse(lambda: _writable(service), limits)
    together = MicroBatches(lambda *asked: service.decide(*asked), limits.small_requests)
    small = Lane("small", _SMALL_THREADS, limits.small_requests)
    bulk = Lane("bulk", _BULK_THREADS, limits.bulk_requests)
    links = Lane("links", _LINK_THREADS, limits.small_requests)

    answered = _answering(service, bodies, lambda n: bulk if n > limits.bulk_bytes else small)
    answered_openly = _answering(service, bodies, lambda _: links)

    @post("/v1/decisions", status_code=200)
    async def decisions(request: Request[Any, Any, Any]) -> Body:
        async with bodies.read(request.stream()) as body:
            is_long = len(body) > limits.bulk_bytes
            if is_long or CONTEXT in body:  # what is put first must hold up nobody
                may_put = keys is None or keys.opens(request.headers.get(_KEY), "contacts")
                steps = _decide_alone(service, body, may_put)
                return await (bulk if is_long else small).run(steps)
            return await together.run(_decide(service, body))

    @post("/v1/events", status_code=200)
    async def events(request: Request[Any, Any, Any]) -> Body:
        return await answered(request, _add_events)

    @put("/v1/contacts", status_code=200)
    async def contacts(request: Request[Any, Any, Any]) -> Body:
        return await answered(request, _put_contacts)

    return Litestar(
        [
            *(decisions, *_made(answered), events, contacts),
            *policy_routes(service, bodies, keys),
            *console_routes(service, keys, lift_reports),
            *(*mail_routes(answered), *journey_routes(answered, keys), *handoff_routes(answered)),
            *link_routes(answered_openly, limits.bulk_bytes),
            *why_routes(answered, answered_openly),
            *(webhook_route(service, senders, limits), *_open(service, pulse)),
        ],
        openapi_config=None,
        request_max_body_size=limits.body_bytes,
        before_request=partial(_stranger, keys),
        exception_handlers={**HANDLERS, Busy: busy(limits.retry_seconds)},
    )


def _made(answered: Answered) -> list[HTTPRouteHandler]:
    """The paths of decisions that were made: to look at, to understand, to confirm."""

    @get("/v1/decisions/{decision_id:str}")
    async def decision(request: Request[Any, Any, Any]) -> Body:
        return await answered(request, partial(_show, decision_id=_named(request)))

    @get("/v1/decisions/{decision_id:str}/explain")
    async def explain(request: Request[Any, Any, Any]) -> Body:
        return await answered(request, partial(_explain, decision_id=_named(request)))

    @post("/v1/decisions/{decision_id:str}/confirm", status_code=200)
    async def confirm(request: Request[Any, Any, Any]) -> Body:
        return await answered(request, partial(_confirm_one, decision_id=_named(request)))

    @post("/v1/decisions/confirm", status_code=200)
    async def confirm_many(request: Request[Any, Any, Any]) -> Body:
        return await answered(request, _confirm_many)

    return [decision, explain, confirm, confirm_many]


def _answering(service: Service, bodies: Bodies, lane: Callable[[int], Lane]) -> Answered:
    """What reads a body and works on it in the lane for its number of bytes."""

    async def answered(
        request: Request[Any, Any, Any], steps: Callable[[Service, bytes], Steps]
    ) -> Body:
        async with bodies.read(request.stream()) as body:
            return await lane(len(body)).run(steps(service, body))

    return answered


def _open(service: Service, pulse: Pulse) -> list[HTTPRouteHandler]:
    """What says how the server does: health and OpenAPI need no key."""
    description = _encode(document())

    @get("/healthz")
    async def health() -> Body:
        return _health(service, await pulse.healthy())

    @get("/schema")
    async def schema() -> Body:
        return json_answer(description)

    @get("/metrics")
    async def metrics() -> Body:
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)

    return [health, schema, metrics]


async def _stranger(keys: ApiKeys | None, request: Request[Any, Any, Any]) -> Body | None:
    """The refusal of a request whose key does not open what it asks for; None: it may."""
    scope = scope_of(request.url.path)
    if keys is None or scope is None:
        return None
    opened = keys.opened(request.headers.get(_KEY))
    if opened is None:
        text = (
            "expected a known API key in the header `Authorization: Bearer KEY`; nothing was done"
        )
        return problem(401, "no key", text, {"www-authenticate": "Bearer"})
    if scope not in opened:
        text = f"this key opens {', '.join(sorted(opened))}, not {request.url.path}"
        return problem(403, "not for this key", f"{text}; nothing was done")
    return None


def _named(request: Request[Any, Any, Any]) -> str:
    return str(request.path_params["decision_id"])


def _decide(service: Service, body: bytes, may_put: bool | None = None) -> Deciding:
    """Ask for decisions until the answer to a request is up to date."""
    request = _decisions_in.decode(body)
    now_us = _moment(service, request.now)
    asks, answers = wire.asks_of(request), list[Answer]()
    withdrawn = put_contexts(service, request, may_put)
    with service.news.watched() as news:
        for start in range(0, len(asks), _STEP_ROWS):
            part = asks[start : start + _STEP_ROWS]
            answers += yield from _part(part, now_us, first=not start)
        answered = _answered(service, request, answers, withdrawn)
        for _ in range(_LOOKS):
            if not (old := _out_of_date(service, answers, news())):
                break
            yield from _ask_again(asks, answers, old, now_us)
            answered = _answered(service, request, answers, withdrawn)
    return answered


def _decide_alone(service: Service, body: bytes, may_put: bool) -> Steps:
    """Decide part after part; between two of them others have their turn."""
    deciding = _decide(service, body, may_put)
    try:
        asks, now_us = next(deciding)
        while True:
            try:
                answers = service.decide(asks, now_us)
            except Exception as error:
                asks, now_us = deciding.throw(error)
            else:
                asks, now_us = deciding.send(answers)
            yield None
    except StopIteration as end:
        yield end.value


def _moment(service: Service, now: datetime | None) -> int | None:
    """The moment that a request says it is; None: it says nothing."""
    if now is None:
        return None
    if not service.settings.simulated_clock:
        raise wire.RequestError(
            "this server reads its own clock; leave `now` out, or start it with "
            "simulated_clock=true - at `$.now`"
        )
    return wire.microseconds(now, "$.now")


def _answered(
    service: Service,
    request: wire.DecisionsIn,
    answers: Sequence[Answer],
    withdrawn: Sequence[Withdrawal],
) -> Body:
    out = [wire.answer_out(answer, service.catalogs, service.links) for answer in answers]
    if all(isinstance(row, wire.ErrorOut) and row.code == "unknown_contact" for row in out):
        names = ", ".join(sorted({repr(ask.contact_id) for ask in request.contacts})[:5])
        return problem(404, "unknown contact", f"no contact asked for is known: {names}")
    taken_back = [wire.withdrawn_send(one) for one in withdrawn]
    return json_answer(_encode(wire.DecisionsOut(out, taken_back)))


def _out_of_date(service: Service, answers: Sequence[Answer], told: set[str]) -> list[int]:
    """Positions of decisions against which something was acknowledged since, as a pause of all."""
    paused = service.journeys.is_paused
    return [
        i
        for i, answer in enumerate(answers)
        if isinstance(answer, Decision)
        and (
            is_told(told, answer.contact_id) or (answer.scheduled_us is not None and paused(answer))
        )
    ]


def _ask_again(
    asks: Sequence[Ask], answers: list[Answer], old: Sequence[int], now_us: int | None
) -> Parts:
    for start in range(0, len(old), _STEP_ROWS):
        part = old[start : start + _STEP_ROWS]
        again = [
            replace(asks[i], request_id=answer.decision_id)
            for i in part
            if isinstance(answer := answers[i], Decision)
        ]
        found = yield from _part(again, now_us, first=False)
        for i, answer in zip(part, found, strict=True):
            answers[i] = answer
    return answers


def _part(asks: Sequence[Ask], now_us: int | None, first: bool) -> Parts:
    """The answers of one step. Decisions of earlier steps stand; a later step can only refuse."""
    try:
        return (yield asks, now_us)
    except StoreUnavailable as error:
        if first:
            raise
        text = f"the store refused, so no decision is told: {error}; ask again"
        return [Refusal(ask.contact_id, FAIL_CLOSED, text) for ask in asks]


def _confirm_one(service: Service, body: bytes, decision_id: str) -> Steps:
    request = _confirm_in.decode(body) if body else confirm_wire.ConfirmIn()
    found: list[Confirmation | None] = []
    yield from _confirm(service, [decision_id], _moment(service, request.now), found)
    content = _encode(confirm_wire.confirmation_out(decision_id, found[0]))
    yield _confirmed([decision_id], found, content)


def _confirm_many(service: Service, body: bytes) -> Steps:
    request = _confirmations_in.decode(body)
    found: list[Confirmation | None] = []
    try:
        yield from _confirm(service, request.ids, _moment(service, request.now), found)
    except StoreUnavailable as error:
        if not found:
            raise
        text = f"the store refused, and some may be confirmed: {error}; ask again"
        yield problem(503, "store not available", text)
        return
    out = [
        confirm_wire.confirmation_out(name, one)
        for name, one in zip(request.ids, found, strict=True)
    ]
    yield _confirmed(request.ids, found, _encode(confirm_wire.ConfirmationsOut(out)))


def _confirm(
    service: Service, ids: Sequence[str], now_us: int | None, found: list[Confirmation | None]
) -> Iterator[None]:
    """Fill in confirmations, part after part, until they are up to date."""
    with service.news.watched() as news:
        for start in range(0, len(ids), _STEP_ROWS):
            if start:
                yield None
            found += service.confirm(ids[start : start + _STEP_ROWS], now_us)
        for _ in range(_LOOKS):
            told, paused = news(), service.journeys.is_paused
            old = [
                i
                for i, one in enumerate(found)
                if one is not None
                and one.status == "send"
                and (paused(one.decision) or is_told(told, one.decision.contact_id))
            ]
            if not old:
                break
            for i, one in zip(old, service.confirm([ids[i] for i in old], now_us), strict=True):
                found[i] = one


def _confirmed(ids: Sequence[str], found: Sequence[Confirmation | None], content: bytes) -> Body:
    if not any(found):
        names = ", ".join(sorted({repr(name) for name in ids})[:5])
        return problem(404, "unknown decision", f"no decision has the id {names}")
    return json_answer(content)


def _show(service: Service, _: bytes, decision_id: str) -> Steps:
    found = service.decision(decision_id)
    if found is None:
        text = f"no decision has the id {decision_id!r}"
        yield problem(404, "unknown decision", text)
    else:
        yield json_answer(_encode(confirm_wire.state_out(*found, service.catalogs, service.links)))


def _explain(service: Service, _: bytes, decision_id: str) -> Steps:
    zone = service.settings.default_zone
    found = service.decision(decision_id) and recorded(
        service.store, decision_id, zone, service.seed
    )
    if found is None:
        yield problem(404, "unknown decision", f"no decision has the id {decision_id!r}")
    else:
        yield json_answer(_encode(explained(found, service.journeys.bundles(), service.catalogs)))


def _add_events(service: Service, body: bytes) -> Steps:
    request = _events_in.decode(body)
    rows = [BroughtRow(position, row, row) for position, row in enumerate(request.events)]
    out = take_events(service, "/v1/events", rows)
    overlooked = any(row.may_forbid_mail for row in out.rejected)
    yield json_answer(_encode(out), 422 if overlooked else 200)


def _put_contacts(service: Service, body: bytes) -> Steps:
    contacts = wire.contacts_of(_contacts_in.decode(body))
    withdrawn = [wire.withdrawn_send(one) for one in service.put_contacts(contacts)]
    yield json_answer(_encode(wire.ContactsOut(len(contacts), withdrawn)))


def _writable(service: Service) -> bool:
    try:
        service.store.touch()
    except StoreUnavailable:
        return False
    return True


def _health(service: Service, writable: bool) -> Body:
    bundle, champion = service.bundle, service.policies.lineup.roles.champion
    status: Literal["ok", "store not writable"] = "ok" if writable else "store not writable"
    health = wire.Health(status, champion, bundle.journey.name, bundle.catalog.hash)
    return json_answer(_encode(health), 200 if writable else 503)
