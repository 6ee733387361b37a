"""What listmonk knows of mails and of who left, as events: bounces, complaints, opt-outs.

listmonk reports to nobody; it is asked. Source: listmonk's documentation of its API, Bounces and
Subscribers. A list entry's `subscription_updated_at` stands in newer versions alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from nurture_rl.delivery.providers.http_line import HttpReply
from nurture_rl.delivery.providers.provider_protocol import object_of
from nurture_rl.errors import DeliveryError

_PER_PAGE = 50  # the most that listmonk gives
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

    @property
    def is_dated(self) -> bool:
        """Whether listmonk says when it happened."""
        return "occurred_at" in self.cells

    def at(self, moment: str) -> FoundEvent:
        """The same at a moment, ISO 8601."""
        return replace(self, cells={**self.cells, "occurred_at": moment})


def pages(path: str, ask: Callable[[str], HttpReply]) -> Iterator[Any]:
    """The rows of a list, page after page, the oldest first, so that new ones move none.

    Args:
        path: such as /api/bounces.
        ask: gives the 2xx answer to a GET of a path.

    Raises:
        DeliveryError: an answer is not listmonk's.
    """
    count, number, before = 0, 0, None
    while True:
        number += 1
        told = {"page": number, "per_page": _PER_PAGE, "order_by": "created_at", "order": "asc"}
        data = (object_of(ask(f"{path}?{urlencode(told)}")) or {}).get("data")
        rows = data.get("results") if isinstance(data, dict) else None
        total = data.get("total") if isinstance(data, dict) else None
        if not isinstance(rows, list) or not isinstance(total, int) or (rows and rows == before):
            raise DeliveryError(
                f"{path}, page {number}: expected listmonk's results and their total, got another "
                "answer, or the same page again; nothing of it was reported: look at sender_url"
            )
        yield from rows
        count, before = count + len(rows), rows
        if not rows or count >= total:
            return


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
    person = _person(row.get("uuid"), address)
    if (status := row.get("status")) not in _MAILED:  # every list of theirs says so, too
        at = row.get("updated_at")
        name = f"{_SOURCE}:{status}:{person}:{at}"
        yield _found(address, name, "unsubscribe", at, {"status": str(status)[:50]})
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
        yield _found(address, name, "unsubscribe", at, told)


def _found(address: str, name: str, event: str, at: Any, told: Mapping[str, Any]) -> FoundEvent:
    # The parts of a name are listmonk's, of any length and sign: its digest fits every id.
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    cells = {
        "event_id": f"{_SOURCE}-{digest}",
        "type": event,
        "source": _SOURCE,
        "properties": {key: value for key, value in told.items() if value is not None},
    }
    return FoundEvent(address, cells | ({"occurred_at": at} if isinstance(at, str) else {}))


def _address(row: Row) -> str | None:
    email = row.get("email")
    return email.strip().lower() if isinstance(email, str) and email.strip() else None


def _person(uuid: Any, address: str) -> str:
    """Whom a row is about, the same wherever listmonk runs."""
    return uuid if isinstance(uuid, str) and uuid else address
