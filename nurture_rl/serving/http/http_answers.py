"""Answers over HTTP: JSON, and one kind of error for whatever goes wrong."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

import msgspec
from litestar import MediaType, Request, Response
from litestar.exceptions import HTTPException

from nurture_envs.errors import NurtureError
from nurture_rl.serving.deciding.enrolling import EnrolmentError
from nurture_rl.serving.deciding.served_journey import UnknownJourney
from nurture_rl.serving.http import wire
from nurture_rl.serving.http.ask_contexts import ContextForbidden
from nurture_rl.serving.roles import RoleError, UnknownPolicy
from nurture_rl.serving.senders.sender_adapter import CannotCheck, NotSigned
from nurture_rl.serving.store_errors import StoreConflict, StoreUnavailable

_PROBLEM = "application/problem+json"

_encode = msgspec.json.Encoder().encode

Body = Response[bytes]

_NOT_KEPT = {"cache-control": "no-store"}  # what is told of people lies in no cache


def json_answer(content: bytes, status: int = 200) -> Body:
    """An answer in JSON."""
    return Response(content, status_code=status, media_type=MediaType.JSON, headers=_NOT_KEPT)


def problem(status: int, title: str, detail: str, headers: Mapping[str, str] | None = None) -> Body:
    """An answer that says what went wrong, in the form of RFC 9457."""
    media, content = encoded_problem(status, title, detail)
    return Response(content, status_code=status, media_type=media, headers=headers)


def encoded_problem(status: int, title: str, detail: str) -> tuple[str, bytes]:
    """Media type and content of a `problem`."""
    return _PROBLEM, _encode(wire.Problem(title, status, detail))


def busy(retry_seconds: int) -> Callable[[Request[Any, Any, Any], Exception], Body]:
    """What answers who asks for more than the server takes on, and when they may come again."""
    text = "the server has as much to do as it takes on, and did nothing; ask again"
    headers = {"retry-after": str(retry_seconds)}
    return lambda _, __: problem(503, "busy", text, headers)


def _bad_request(_: Request[Any, Any, Any], error: Exception) -> Body:
    return problem(400, "bad request", str(error))


def _refused(request: Request[Any, Any, Any], error: HTTPException) -> Body:
    detail = error.detail
    if error.status_code == 404:
        detail = "there is no such path; GET /schema lists all paths"
    elif error.status_code == 405:
        detail = f"this path is not for {request.method}; GET /schema lists what each path takes"
    return problem(error.status_code, "not possible", detail, error.headers)


def _conflict(_: Request[Any, Any, Any], error: Exception) -> Body:
    detail = f"another request used one of these ids meanwhile ({error}); ask again"
    return problem(409, "conflict", detail)


def _other_roles(_: Request[Any, Any, Any], error: Exception) -> Body:
    return problem(409, "other roles", f"{error}; nothing was changed")


def _not_signed(_: Request[Any, Any, Any], error: Exception) -> Body:
    return problem(401, "not signed", f"{error}; nothing was stored")


def _cannot_check(_: Request[Any, Any, Any], error: Exception) -> Body:
    return problem(503, "cannot be checked", f"{error}; nothing was stored, send it again")


def _context_forbidden(_: Request[Any, Any, Any], error: Exception) -> Body:
    return problem(403, "not for this key", str(error))


def _unknown_policy(_: Request[Any, Any, Any], error: Exception) -> Body:
    return problem(404, "unknown policy", str(error))


def _refused_entry(_: Request[Any, Any, Any], error: Exception) -> Body:
    return problem(409, "not possible now", str(error))


def _unknown_journey(_: Request[Any, Any, Any], error: Exception) -> Body:
    return problem(404, "unknown journey or contact", str(error))


def _unavailable(_: Request[Any, Any, Any], error: Exception) -> Body:
    return problem(503, "store not available", f"nothing was acknowledged: {error}")


def _too_deep(_: Request[Any, Any, Any], error: Exception) -> Body:
    detail = "lists and objects lie too deeply in each other; nothing was stored or decided"
    return problem(400, "bad request", f"{detail}: leave the deeper ones out")


def _failed(request: Request[Any, Any, Any], error: Exception) -> Body:
    """An unexpected error: the caller gets an error id, the operator's log the full traceback."""
    name = uuid4().hex[:12]
    route = request.scope.get("path_template")  # a path may name a contact
    print(f"serve: request {name} ({request.method} {route}):", file=sys.stderr)
    traceback.print_exception(error, file=sys.stderr)
    sys.stderr.flush()
    detail = f"nothing was decided or stored; the server's log has the cause under {name}"
    return problem(500, "not foreseen", detail)


HANDLERS: dict[int | type[Exception], Callable[..., Any]] = {
    msgspec.DecodeError: _bad_request,  # ValidationError is one too
    UnicodeDecodeError: _bad_request,
    NurtureError: _bad_request,
    RoleError: _other_roles,
    UnknownPolicy: _unknown_policy,
    EnrolmentError: _refused_entry,
    UnknownJourney: _unknown_journey,
    NotSigned: _not_signed,
    CannotCheck: _cannot_check,
    ContextForbidden: _context_forbidden,
    HTTPException: _refused,
    StoreConflict: _conflict,
    StoreUnavailable: _unavailable,
    RecursionError: _too_deep,
    Exception: _failed,
}
