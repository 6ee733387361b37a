"""A client of the policy server for senders and CRMs: one file, the standard library alone.

    client = PolicyClient("https://policy.example", key=KEY)
    client.put_contacts([{"contact_id": "ada", "time_zone": "Europe/Berlin", "consent": True}])
    for answer in client.decide(["ada"], request_ids=["2027-03-01-ada"]):
        ...

Every call may be repeated: it is sent again where the server is busy, restarts or cannot be
reached, and never decides, counts or confirms twice. For operators: `operator_client.py`.
"""

from __future__ import annotations

import json
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from http.client import HTTPException
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import uuid4

_MOST_ROWS = 10_000  # of one request
# Nothing was done, or a proxy lost the answer: asking again may help, and does nothing twice.
_AGAIN = frozenset({408, 409, 429, 502, 503, 504})
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 5.0  # seconds, where the server names none
_MOST_BYTES, _BLOCK = 128 << 20, 1 << 16  # of one answer, and read at a time

Record = TypeVar("Record")


class ServerRefusal(Exception):
    """The server refused a request; what it asked for was not done."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(f"{status} {title}: {detail}")
        self.status, self.title, self.detail = status, title, detail


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows nobody elsewhere: the key and a contact's data are for this server alone."""

    def redirect_request(self, *_: Any) -> None:
        """No request."""


_OPENER = urllib.request.build_opener(_NoRedirects)


class ServerAway(Exception):
    """The server did not answer in time, or was busy all the while; ask again with the same ids."""


class OptOutNotStored(Exception):
    """A refused event may be somebody's no to mail: repair it and report it again, or stop mail."""

    def __init__(self, report: EventReport) -> None:
        rows = [row for row in report.rejected if row.get("may_forbid_mail")]
        super().__init__("; ".join(f"row {row['row']}: {row['reason']}" for row in rows))
        self.report = report


@dataclass(frozen=True, slots=True)
class ServedDecision:
    """What to do with a contact."""

    decision_id: str
    contact_id: str
    journey: str
    action: str  # such as send:MESSAGE@HOUR, pause:1, escalate or exit
    propensity: float  # the chance with which the policy took this action
    scheduled_at: datetime | None  # when a send leaves; None: no send
    next_decision_at: datetime | None  # when to ask again; None: this episode's last decision
    policy_id: str
    arm: str
    note: str | None

    @property
    def message(self) -> str | None:
        """The message to send; None: nothing is sent."""
        routing, _, rest = self.action.partition(":")
        return rest.rpartition("@")[0] if routing == "send" else None


@dataclass(frozen=True, slots=True)
class NotDecided:
    """Why nothing may be done with a contact."""

    contact_id: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class SendConfirmation:
    """Whether a decision is to be carried out now."""

    decision_id: str
    status: str  # send, withdrawn, early, no_send or unknown
    reason: str | None
    contact_id: str | None
    action: str | None
    scheduled_at: datetime | None
    confirmed_at: datetime | None
    journey: str | None = None  # whose message it is; None: the server does not say

    @property
    def may_leave(self) -> bool:
        """Whether the mail is to be sent now; nothing else sends."""
        return self.status == "send"


@dataclass(frozen=True, slots=True)
class TakenBack:
    """A planned send that must not leave any more."""

    decision_id: str
    contact_id: str
    scheduled_at: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class EventReport:
    """What became of reported events."""

    stored: int
    repeated: int  # known under their id already
    rejected: tuple[Mapping[str, Any], ...]  # each with row, reason and may_forbid_mail
    mended: tuple[Mapping[str, Any], ...]  # each with row and notes
    withdrawn: tuple[TakenBack, ...]


@dataclass(frozen=True, slots=True)
class PolicyClient:
    """Asks one policy server. Threads may share it.

    Every method raises `ServerRefusal` where what it asks for cannot be meant, is not there or does
    not fit, and `ServerAway` where no answer came in time.
    """

    url: str  # of the server, such as https://policy.example
    key: str | None = field(default=None, repr=False)  # an API key; None: none is asked for
    patience: float = 30.0  # seconds in which a call is tried again
    timeout: float = 10.0  # seconds that one try may take

    def __post_init__(self) -> None:
        if not self.url.startswith(("https://", "http://")):
            raise ValueError(f"expected url as https://HOST, got {self.url!r}")
        if self.key is not None and not (self.key.isascii() and self.key.isprintable()):
            raise ValueError(
                "expected a key of printable ASCII characters (it is not shown); take away what "
                "stands around it, such as the end of a line"
            )

    def decide(
        self,
        contact_ids: Sequence[str],
        request_ids: Sequence[str] | None = None,
        available: bool | None = None,
        now: datetime | None = None,
        contexts: Sequence[Mapping[str, Any] | None] | None = None,
    ) -> list[ServedDecision | NotDecided]:
        """Decide for contacts, one answer each, in order.

        Args:
            contact_ids: whom, [n].
            request_ids: an id per contact, [n]; the same one gives the same decision again, also
                after the caller was restarted. None: fresh ones, which outlive this call alone.
            available: whether they can be reached; None: not known.
            now: the moment with its zone, on a server with a simulated clock alone.
            contexts: what `put_contacts` takes of each contact, [n]; it is put before the decision.

        Raises:
            ValueError: not one request id and context per contact.
        """
        if request_ids is None:
            request_ids = [uuid4().hex for _ in contact_ids]
        found: list[ServedDecision | NotDecided] = []
        known = [None] * len(contact_ids) if contexts is None else contexts
        rows = [
            {"contact_id": name, "request_id": request, "available": available}
            | ({} if context is None else {"context": context})
            for name, request, context in zip(contact_ids, request_ids, known, strict=True)
        ]
        for part in _parts(rows):
            body = {"contacts": part} | _moment(now)
            _, answer = self._ask("POST", "/v1/decisions", body)
            for row in _rows(answer, "decisions", len(part)):
                made = row.get("kind") == "decision"
                found.append(_record(ServedDecision, row) if made else _record(NotDecided, row))
        return found

    def confirm(
        self, decision_ids: Sequence[str], now: datetime | None = None
    ) -> list[SendConfirmation]:
        """Ask, when the hour has come, whether to carry decisions out, in order; else do not."""
        found: list[SendConfirmation] = []
        for part in _parts(decision_ids):
            body = {"ids": part} | _moment(now)
            _, answer = self._ask("POST", "/v1/decisions/confirm", body)
            rows = _rows(answer, "confirmations", len(part))
            found += [_record(SendConfirmation, row) for row in rows]
        return found

    def decision(self, decision_id: str) -> Mapping[str, Any]:
        """A recorded decision and what became of it, as the server's OpenAPI describes it."""
        return self._look("decisions", decision_id)

    def explain(self, decision_id: str) -> Mapping[str, Any]:
        """Why a decision was made, as data and, in `text`, in plain words."""
        return self._look("decisions", decision_id, "explain")

    def report(self, events: Sequence[Mapping[str, Any]]) -> EventReport:
        """Report what happened. An event with an id that was reported before counts once.

        Args:
            events: rows of the events table, [n]: event_id, contact_id, occurred_at (ISO-8601 with
                its zone), type, and what else is known.

        Returns:
            What was stored, refused and mended, and the planned sends that must not leave any more.

        Raises:
            OptOutNotStored: a refused row may be a no to mail; the others are stored.
        """
        reports, overlooked = [], False
        for start, part in zip(range(0, len(events), _MOST_ROWS), _parts(events), strict=True):
            status, answer = self._ask("POST", "/v1/events", {"events": part}, allowed=(422,))
            overlooked |= status == 422
            reports.append(_report(answer, start))
        report = EventReport(
            sum(one.stored for one in reports),
            sum(one.repeated for one in reports),
            tuple(row for one in reports for row in one.rejected),
            tuple(row for one in reports for row in one.mended),
            tuple(row for one in reports for row in one.withdrawn),
        )
        if overlooked:
            raise OptOutNotStored(report)
        return report

    def put_contacts(self, contacts: Sequence[Mapping[str, Any]]) -> list[TakenBack]:
        """Add or replace contacts; of ten thousand with one that cannot be meant none is stored.

        Args:
            contacts: rows of the contacts table, [n]: contact_id, consent, and what else is known.

        Returns:
            The planned sends that must not leave any more.
        """
        withdrawn: list[TakenBack] = []
        for part in _parts(contacts):
            _, answer = self._ask("PUT", "/v1/contacts", {"contacts": part})
            withdrawn += [_record(TakenBack, row) for row in answer["withdrawn"]]
        return withdrawn

    def preferences(self, contact_id: str) -> Mapping[str, Any]:
        """What mail a contact wants, and every word that led to it."""
        return self._look("contacts", contact_id, "preferences")

    def put_preferences(self, contact_id: str, wishes: Mapping[str, Any]) -> list[TakenBack]:
        """Say all that a contact wants, as `PreferencesIn` of the OpenAPI; what that takes back."""
        _, answer = self._ask("PUT", path_of("contacts", contact_id, "preferences"), dict(wishes))
        return [_record(TakenBack, row) for row in answer["withdrawn"]]

    def health(self) -> Mapping[str, Any]:
        """What the server serves; raises where it cannot write its store."""
        return dict(self._ask("GET", "/healthz")[1])

    def _look(self, *path: str) -> Mapping[str, Any]:
        return dict(self._ask("GET", path_of(*path))[1])

    def _ask(
        self, method: str, path: str, body: Any = None, allowed: Sequence[int] = ()
    ) -> tuple[int, Any]:
        """Status and decoded answer of a request, sent until there is one."""
        headers = {"content-type": "application/json", "x-request-id": uuid4().hex}
        if self.key is not None:
            headers["authorization"] = f"Bearer {self.key}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url.rstrip("/") + path, data, headers, method=method)
        end, wait = time.monotonic() + self.patience, _FIRST_WAIT
        while True:
            try:
                status, names, content = self._try(request)
                if 200 <= status < 300 or status in allowed:
                    return status, _object(content)
                told = _refusal(status, names.get("location"), content)
                if status not in _AGAIN or (status == 409 and told.title != "conflict"):
                    raise told
                cause: Exception = told
                wait = _seconds(names.get("retry-after"), wait)
            except (OSError, HTTPException, ValueError, RecursionError) as error:  # or no JSON
                cause = error
            if time.monotonic() + wait > end:
                text = f"{method} {path} was not answered within {self.patience:g} s: {cause}"
                raise ServerAway(f"{text}; ask again with the same ids") from cause
            time.sleep(wait * random.uniform(0.5, 1.0))  # callers must not all come back at once
            wait = min(2.0 * wait, _LONGEST_WAIT)

    def _try(self, request: urllib.request.Request) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and content of an answer, whatever it says."""
        end = time.monotonic() + self.timeout
        try:
            with _OPENER.open(request, timeout=self.timeout) as answer:
                return answer.status, _named(answer), _content(answer, end)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _named(error), _content(error, end)


def path_of(*parts: str) -> str:
    """The path under /v1/ of parts that may hold any sign."""
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def _named(answer: Any) -> dict[str, str]:
    """Headers by their names in small letters."""
    return {name.lower(): value for name, value in answer.headers.items()}


def _content(answer: Any, end: float) -> bytes:
    """All of an answer, if it comes in time and is of a size that one can have."""
    parts, size = list[bytes](), 0
    while part := answer.read1(_BLOCK):
        parts.append(part)
        size += len(part)
        if size > _MOST_BYTES:
            raise HTTPException(f"an answer of more than {_MOST_BYTES} bytes")
        if time.monotonic() > end:
            raise TimeoutError("the answer did not end in time")
    return b"".join(parts)


def _object(content: bytes) -> Any:
    """The JSON object of an answer; ValueError: it holds none, as a page of a proxy."""
    answer = json.loads(content)
    if not isinstance(answer, dict):
        raise ValueError(f"expected a JSON object, got {content[:200]!r}")
    return answer


def _rows(answer: Mapping[str, Any], name: str, count: int) -> Sequence[Mapping[str, Any]]:
    """The rows of an answer, one for each that was asked for."""
    rows = answer.get(name)
    if not isinstance(rows, list) or len(rows) != count:
        raise ServerAway(
            f"expected {count} {name}, got another answer, perhaps of another server: see the url "
            "and ask again with the same ids"
        )
    return rows


def _parts(rows: Sequence[Any]) -> Iterator[list[Any]]:
    return (list(rows[at : at + _MOST_ROWS]) for at in range(0, len(rows), _MOST_ROWS))


def _moment(now: datetime | None) -> dict[str, str]:
    return {} if now is None else {"now": now.isoformat()}


def _record(kind: Callable[..., Record], row: Mapping[str, Any]) -> Record:
    """A record of what it knows of a row; a newer server may say more."""
    cells = {one.name: row.get(one.name) for one in fields(kind)}  # type: ignore[arg-type]
    for name in ("scheduled_at", "confirmed_at", "next_decision_at"):
        if isinstance(at := cells.get(name), str):
            cells[name] = datetime.fromisoformat(at)
    return kind(**cells)


def _report(answer: Mapping[str, Any], start: int) -> EventReport:
    """What became of one request's events; rows count from the first event of the call."""
    moved = {
        name: tuple({**row, "row": row["row"] + start} for row in answer[name])
        for name in ("rejected", "mended")
    }
    withdrawn = tuple(_record(TakenBack, row) for row in answer["withdrawn"])
    return EventReport(answer["stored"], answer["repeated"], **moved, withdrawn=withdrawn)


def _refusal(status: int, location: str | None, content: bytes) -> ServerRefusal:
    if 300 <= status < 400:
        text = f"it points to {location}, and nobody follows: give the url of the server itself"
        return ServerRefusal(status, "no answer of a policy server", text)
    try:
        said = json.loads(content)
        return ServerRefusal(status, str(said["title"]), str(said["detail"]))
    except (ValueError, KeyError, TypeError):  # not of this server: a proxy answered
        text = content[:200].decode("utf-8", "replace")
        return ServerRefusal(status, "no answer of a policy server", text)


def _seconds(header: str | None, wait: float) -> float:
    whole = header is not None and header.isascii() and header.isdigit()
    return float(header) if header is not None and whole else wait
