"""Hand-offs to sales over HTTP: what is open, and each with all that is known."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, get_args

import msgspec
from litestar import Request, get
from litestar.handlers import HTTPRouteHandler

from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http.handoff_packets import HandoffDesk
from nurture_rl.serving.http.handoff_wire import HandoffOut, HandoffsOut, HandoffStatus
from nurture_rl.serving.http.http_answers import Body, json_answer, problem
from nurture_rl.serving.http.mail_pages import Answered
from nurture_rl.serving.http.wire import RequestError

_MOST = 200  # hand-offs of one answer
_AT_ONCE = 10  # packets between which others have their turn
_STATUSES = get_args(HandoffStatus)
_encode = msgspec.json.Encoder().encode


def handoff_routes(answered: Answered) -> list[HTTPRouteHandler]:
    """The routes under `/v1/handoffs`.

    Args:
        answered: reads a body and works on it in a lane.
    """

    @get("/v1/handoffs")
    async def listed(request: Request[Any, Any, Any]) -> Body:
        status = request.query_params.get("status", "open")
        return await answered(request, partial(_list, status=status))

    @get("/v1/handoffs/{handoff_id:str}")
    async def shown(request: Request[Any, Any, Any]) -> Body:
        name = str(request.path_params["handoff_id"])
        return await answered(request, partial(_show, handoff_id=name))

    return [listed, shown]


def _list(service: Service, _: bytes, status: str) -> Iterator[Body | None]:
    wanted = next((one for one in _STATUSES if one == status), None)
    if wanted is None:
        raise RequestError(
            f"expected status as one of {', '.join(_STATUSES)}, got {status!r} - at `?status`"
        )
    desk = _desk(service, wanted == "open")
    tasks = desk.tasks(wanted)
    told: list[HandoffOut] = []
    for packet in desk.packets(tasks[:_MOST]):
        told.append(packet)
        if len(told) % _AT_ONCE == 0:
            yield None
    yield json_answer(_encode(HandoffsOut(told, len(tasks) - len(told))))


def _show(service: Service, _: bytes, handoff_id: str) -> Iterator[Body | None]:
    desk = _desk(service)
    found = desk.named(handoff_id)
    if found is None:
        yield problem(404, "unknown hand-off", f"no hand-off has the id {handoff_id!r}")
        return
    (packet,) = desk.packets([found])
    yield json_answer(_encode(packet))


def _desk(service: Service, only_open: bool = False) -> HandoffDesk:
    zone, now_us = service.settings.default_zone, service.settings.clock()
    about = (service.journeys.bundles(), zone, service.seed, now_us, only_open)
    return HandoffDesk.of(service.store, *about)
