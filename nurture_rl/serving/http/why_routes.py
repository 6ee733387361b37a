"""Why a contact got a mail: for who works with contacts, and for contacts by the link of a mail.

Looking changes nothing. A link tells of decisions about its own contact and of no other.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from html import escape
from typing import Any

import msgspec
from litestar import Request, get
from litestar.handlers import HTTPRouteHandler

from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http.contact_reason import ContactReason, contact_reason
from nurture_rl.serving.http.explaining import explained, recorded
from nurture_rl.serving.http.http_answers import Body, json_answer, problem
from nurture_rl.serving.http.mail_pages import mail_page, unknown_link
from nurture_rl.serving.names import contact_key

Steps = Iterator[Body | None]
Answered = Callable[
    [Request[Any, Any, Any], Callable[[Service, bytes], Steps]], Coroutine[Any, Any, Body]
]

_encode = msgspec.json.Encoder().encode


def why_routes(answered: Answered, answered_openly: Answered) -> list[HTTPRouteHandler]:
    """The paths of reasons.

    Args:
        answered: works in a lane on requests with a key.
        answered_openly: likewise on those of strangers.
    """

    @get("/v1/decisions/{decision_id:str}/why")
    async def why(request: Request[Any, Any, Any]) -> Body:
        name = str(request.path_params["decision_id"])
        return await answered(request, partial(_tell, decision_id=name))

    @get("/u/{token:str}/why/{decision_id:str}")
    async def why_page(request: Request[Any, Any, Any]) -> Body:
        token, name = (str(request.path_params[key]) for key in ("token", "decision_id"))
        return await answered_openly(request, partial(_show, token=token, decision_id=name))

    return [why, why_page]


def _tell(service: Service, _: bytes, decision_id: str) -> Steps:
    found = _reason(service, decision_id)
    if found is None:
        yield problem(404, "unknown decision", f"no decision has the id {decision_id!r}")
    else:
        yield json_answer(_encode(found[1]))


def _show(service: Service, _: bytes, token: str, decision_id: str) -> Steps:
    contact = service.links.contact_of(token)
    found = None if contact is None else _reason(service, decision_id)
    if found is None or contact_key(found[0]) != contact:
        yield unknown_link()
        return
    told = "".join(f"<p>{escape(sentence)}</p>" for sentence in found[1].text)
    yield mail_page(
        f'{told}<p><a href="../../{escape(token, quote=True)}">Unsubscribe, or choose what you '
        "get</a></p>",
        title="Why did I get this?",
    )


def _reason(service: Service, decision_id: str) -> tuple[str, ContactReason] | None:
    """Whose decision it was, and why; None: there is no such decision, or no longer."""
    known = service.decision(decision_id)
    zone = service.settings.default_zone
    found = known and recorded(service.store, decision_id, zone, service.seed)
    if not found:
        return None
    bundles = service.journeys.bundles()
    one = explained(found, bundles, service.catalogs, cards=False)
    contact = found.decision.contact_id
    return contact, contact_reason(one, bundles, service.links.why(contact, decision_id))
