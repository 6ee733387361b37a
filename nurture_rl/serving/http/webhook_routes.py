"""The path of webhooks: no key opens it but the sender's signature, and it holds up nobody else."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec
from litestar import Request, post
from litestar.handlers import HTTPRouteHandler

from nurture_rl.errors import NurtureError
from nurture_rl.logs.reported.report_json import UNREADABLE
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http.http_answers import Body, json_answer, problem
from nurture_rl.serving.http.reported_rows import take_reported
from nurture_rl.serving.http.traffic import Bodies, Lane, TrafficLimits
from nurture_rl.serving.http.wire import MAX_ROWS, RequestError
from nurture_rl.serving.senders.known_senders import KNOWN_SENDERS
from nurture_rl.serving.senders.sender_adapter import SenderAdapter

_THREADS = 2
_MOST = 64  # requests that wait at once
_BODIES = 8  # of full size in memory at once

_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode


def webhook_route(
    service: Service, senders: Mapping[str, SenderAdapter], limits: TrafficLimits
) -> HTTPRouteHandler:
    """The path of webhooks.

    Args:
        service: that takes what they report.
        senders: whose webhooks are taken, by name.
        limits: of bodies; strangers reach this path, so its bodies and threads are its own.
    """
    most = limits.webhook_bytes
    bodies = Bodies(replace(limits, bodies_bytes=_BODIES * most))
    lane = Lane("webhooks", _THREADS, _MOST)

    @post("/v1/webhooks/{sender:str}", status_code=200, request_max_body_size=most)
    async def webhook(request: Request[Any, Any, Any]) -> Body:
        adapter = senders.get(str(request.path_params["sender"]))
        if adapter is None:
            text = (
                f"this server takes webhooks of {', '.join(sorted(senders)) or 'nobody'}; it can "
                f"take those of {', '.join(sorted(KNOWN_SENDERS))}: start it with "
                "webhook_keys=FOLDER"
            )
            return problem(404, "unknown sender", text)
        headers = {name.lower(): value for name, value in request.headers.items()}
        async with bodies.read(request.stream()) as body:
            return await lane.run(_take(service, adapter, headers, body))

    return webhook


def _take(
    service: Service, adapter: SenderAdapter, headers: Mapping[str, str], body: bytes
) -> Iterator[Body]:
    adapter.require_signed(headers, body, service.settings.clock())
    try:
        rows = adapter.rows(headers, body)
        if len(rows) > MAX_ROWS:
            raise RequestError(f"expected at most {MAX_ROWS} events in a request, got {len(rows)}")
    except (*UNREADABLE, NurtureError) as error:  # senders read no answers
        _log.warning(
            "a request that %s signed cannot be read and may forbid mail; nothing of it is stored: "
            "%s",
            adapter.name,
            error,
        )
        raise
    # Also where a row was refused: a sender would repeat the whole request, and at last give up.
    yield json_answer(_encode(take_reported(service, adapter, rows)))
