"""What listmonk knows of mails and of who left, as events: bounces, complaints, opt-outs.

listmonk reports to nobody; it is asked. Source: listmonk's documentation of its API, Bounces and
Subscribers. A list entry's `subscription_updated_at` stands in newer versions alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from nurture_rl.delivery.providers.http_line import HttpReply
from nurture_rl.delivery.providers.provider_protocol import object_of
from nurture_rl.errors import DeliveryError
from nurture_rl.serving.names import contact_key

_PER_PAGE = 50  # the most that listmonk gives
_READINGS = ("asc", "desc", "asc")  # until none seems to be missing
_MORE = 1_000  # rows that may come while a short list is read
_SOURCE = "listmonk"
_BOUNCES = {"hard": "hard_bounce", "soft": "soft_bounce", "complaint": "complaint"}
_LEFT = "unsubscribed"  # of one list
_MAILED = (None, "enabled")  # who may get mail at all; the others are blocklisted, or it is new

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FoundEvent:
    """Something that happened to whoever has an address."""

    address: str  # as listmonk has it, in small letters
    # As a row of `POST /v1/events` has them, without the contact; `occurred_at` is missing where
    # listmonk does not say when.
    cells: Mapping[str, Any]
    person: str = ""  # whom a word is about, see `person_of`; empty: it is one of many

    @property
    def is_dated(self) -> bool:
        """Whether listmonk says when it happened."""
        return "occurred_at" in self.cells

    def at(self, moment: str) -> FoundEvent:
        """The same at a moment, ISO 8601."""
        return replace(self, cells={**self.cells, "occurred_at": moment})


def pages(path: str, ask: Callable[[str], HttpReply]) -> Iterator[Any]:
    """The rows of a list, each once, the oldest first, so that new ones move none.

    Where rows went away meanwhile, or stand in no strict order since they are equally old, others
    are passed over: then the list is read again. None at the end: some may be missing all the same.

    Args:
        path: such as /api/bounces.
        ask: gives the 2xx answer to a GET of a path.

    Raises:
        DeliveryError: an answer is not listmonk's, or there is no end.
    """
    seen = set[str]()
    for order in _READINGS:
        totals: list[int] = []
        for rows, total in _pages(path, ask, order):
            totals.append(total)
            for row in rows:
                if (name := _name(row)) not in seen:
                    seen.add(name)
                    yield row
        if len(seen) >= totals[-1] and totals == sorted(totals):
            return
    yield None


def _pages(
    path: str, ask: Callable[[str], HttpReply], order: str
) -> Iterator[tuple[list[Any], int]]:
    """Page after page of one reading, each with the number of all rows."""
    count, number, before, most = 0, 0, None, 0
    while True:
        number += 1
        told = {"page": number, "per_page": _PER_PAGE, "order_by": "created_at", "order": order}
        data = (object_of(ask(f"{path}?{urlencode(told)}")) or {}).get("data")
        rows = data.get("results") if isinstance(data, dict) else None
        total = data.get("total") if isinstance(data, dict) else None
        if not isinstance(rows, list) or not isinstance(total, int) or (rows and rows == before):
            raise DeliveryError(
                f"{path}, page {number}: expected listmonk's results and their total, got another "
                "answer, or the same page again; nothing of it was reported: look at sender_url"
            )
        yield rows, total
        count, before, most = count + len(rows), rows, most or 2 * total + _MORE
        if not rows or count >= total:
            return
        if count > most:
            raise DeliveryError(
                f"{path}, page {number}: expected an end, got {count} rows and more of a list that "
                "had half as many at first; look at sender_url"
            )


def _name(row: Any) -> str:
    """What tells a row from others."""
    name = row.get("id") if isinstance(row, dict) else None
    return f"id {name}" if isinstance(name, int | str) else repr(row)


def bounce_event(row: Any) -> FoundEvent | None:
    """What a bounce record says; None: it names nobody. A type that is new counts as a hard one."""
    if not isinstance(row, dict) or (address := _address(row)) is None:
        return None
    person, kind = _person(row.get("subscriber_uuid"), address), row.get("type")
    campaign = row.get("campaign")
    told = {
        "bounce": str(kind)[:50],
        "bounce_source": str(row.get("source"))[:50],
        "campaign": str(campaign.get("id"))[:50] if isinstance(campaign, dict) else None,
    }
    name = f"{_SOURCE}:bounce:{person}:{row.get('id')}"
    event = _BOUNCES.get(kind, "hard_bounce") if isinstance(kind, str) else "hard_bounce"
    return _found(address, name, event, row.get("created_at"), told)


def opt_outs(row: Any, lists: Collection[int]) -> Iterator[FoundEvent | None]:
    """What a subscriber says no to; None where the row names nobody.

    Args:
        row: of `GET /api/subscribers`.
        lists: ids of lists that count; none: every list does.
    """
    if not isinstance(row, dict) or (address := _address(row)) is None:
        yield None
        return
    person, who = _person(row.get("uuid"), address), person_of(row) or ""
    if (status := row.get("status")) not in _MAILED:  # every list of theirs says so, too
        at = row.get("updated_at")
        name = f"{_SOURCE}:{status}:{person}:{at}"
        yield _found(address, name, "unsubscribe", at, {"status": str(status)[:50]}, who)
        return
    entries = row.get("lists")
    for one in entries if isinstance(entries, list) else ():
        if not isinstance(one, dict) or one.get("subscription_status") != _LEFT:
            continue
        if lists and one.get("id") not in lists:
            continue
        # Times of the list itself say nothing: an opt-out of today would seem older than consent.
        at, which = one.get("subscription_updated_at"), one.get("uuid") or one.get("id")
        name = f"{_SOURCE}:left:{person}:{which}" + (f":{at}" if at else "")
        told = {"status": _LEFT, "group": f"{_SOURCE} list {which}"}
        yield _found(address, name, "unsubscribe", at, told, who)


def person_of(row: Any) -> str | None:
    """Whom a row of `GET /api/subscribers` is about, as a digest; None: it names nobody."""
    if not isinstance(row, dict) or (address := _address(row)) is None:
        return None
    return _digest(_person(row.get("uuid"), address))


def event_of(found: FoundEvent, contact_id: str) -> dict[str, Any]:
    """The event of one of the contacts who have the address, each under an id of its own."""
    name = _digest(f"{found.cells['event_id']} {contact_key(contact_id)}")
    return {**found.cells, "event_id": f"{_SOURCE}-{name}", "contact_id": contact_id}


def _found(
    address: str, name: str, event: str, at: Any, told: Mapping[str, Any], person: str = ""
) -> FoundEvent:
    cells = {
        "event_id": f"{_SOURCE}-{_digest(name)}",
        "type": event,
        "source": _SOURCE,
        "properties": {key: value for key, value in told.items() if value is not None},
    }
    moment = _moment(at)
    when = {} if moment is None else {"occurred_at": moment}
    return FoundEvent(address, cells | when, person)


def _address(row: Row) -> str | None:
    email = row.get("email")
    return email.strip().lower() if isinstance(email, str) and email.strip() else None


def _person(uuid: Any, address: str) -> str:
    """Whom a row is about, the same wherever listmonk runs."""
    return uuid if isinstance(uuid, str) and uuid else address


def _digest(name: str) -> str:
    """The parts of a name are listmonk's, of any length and sign: its digest fits every id."""
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _moment(at: Any) -> str | None:
    """A moment in UTC; None: none that the policy server could keep, such as the year 1 of Go."""
    try:
        said = datetime.fromisoformat(at)
        moment = said.replace(tzinfo=said.tzinfo or UTC).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
    return moment.isoformat().replace("+00:00", "Z") if 1970 <= moment.year < 2200 else None
