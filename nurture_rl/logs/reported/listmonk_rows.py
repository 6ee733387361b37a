"""Rows of listmonk in our words: its subscribers, views, clicks, bounces and subscriptions.

Source: listmonk's documentation, API (subscribers, bounces) and export of subscribers; the
    tables of its database, by the names of their columns.
"""

from __future__ import annotations

import json
from typing import Any

from nurture_rl.logs.reported.report_format import (
    CONTACT,
    ReportedContact,
    ReportedEvent,
    ReportFormat,
    Row,
    UntranslatedRow,
)
from nurture_rl.logs.reported.reported_cells import (
    argument,
    given,
    inside,
    link,
    made_id,
    plain_word,
    text_of,
    told,
)

_BOUNCES = {"hard": "hard_bounce", "soft": "soft_bounce", "complaint": "complaint"}
_MUST_COUNT = ("unsubscribe", *_BOUNCES.values())  # what may forbid mail
_REFUSES = ("blocklisted", "disabled")  # states of a subscriber who gets no mail
_STATES = ("enabled", *_REFUSES)
_SAYS_NOTHING = ("confirmed", "unconfirmed")  # states of a subscription, without when and how


def _unwrap(body: Row) -> list[Any]:
    """The results of a call of the API, or a row as it is."""
    data = body.get("data", body)
    results = data.get("results", [data]) if isinstance(data, dict) else data
    return results if isinstance(results, list) else [results]


def _events(row: Row) -> list[ReportedEvent]:
    """What a row of another table than the subscribers' says."""
    if _is_subscriber(row):
        return []
    kind = _kind(row)
    keys, email = _keys(row, "subscriber_id", "subscriber_uuid"), text_of(row.get("email"))
    if not keys and email is None:
        raise UntranslatedRow("expected subscriber_id: the row names nobody", kind in _MUST_COUNT)
    at = row.get("created_at")
    if kind == "unsubscribe":
        at = argument("updated_at", row) or at
    campaign = argument("campaign_id", row) or argument("id", inside(row, "campaign"))
    own = argument("id", row)
    parts = (own,) if own else (*keys, email, campaign, row.get("link_id"), row.get("list_id"), at)
    cells = given(
        {
            "event_id": made_id(f"listmonk:{kind}", parts),
            "occurred_at": at,
            "type": kind,
            "source": "listmonk",
            "message_id": campaign,
            "is_machine": False,
            "properties": told(
                {
                    "link": argument("link_id", row),
                    "url": link(row.get("url")),
                    "group": _list_of(row) if kind == "unsubscribe" else None,
                }
            ),
        }
    )
    return [ReportedEvent(cells, email, keys)]


def _kind(row: Row) -> str:
    """The type of a row, which tells by its columns of which table it is."""
    if "list_id" in row:
        state = plain_word(row.get("status") or row.get("subscription_status"))
        if state in _SAYS_NOTHING:
            raise UntranslatedRow(f"a subscription that is {state} is no event", False)
        if state != "unsubscribed":
            raise UntranslatedRow(f"unknown status of a subscription {state[:50]!r}")
        return "unsubscribe"
    if "type" in row:
        word = plain_word(row.get("type"))
        if word not in _BOUNCES:
            known = ", ".join(_BOUNCES)
            raise UntranslatedRow(f"unknown type of bounce {word[:50]!r}; known are {known}")
        return _BOUNCES[word]
    if "link_id" in row or "url" in row:
        return "click"
    if "campaign_id" in row or "campaign" in row:
        return "open"
    raise UntranslatedRow("expected campaign_id, link_id, list_id or type: no table is known by it")


def _contacts(row: Row) -> list[ReportedContact]:
    """A subscriber. Who is blocklisted or disabled gets no mail; enabled alone is no consent."""
    if not _is_subscriber(row):
        return []
    state, own = plain_word(row.get("status")), _attributes(row)
    lists = row.get("lists")
    lists = [one for one in lists if isinstance(one, dict)] if isinstance(lists, list) else []
    states = {plain_word(one.get("subscription_status")) for one in lists}
    if state in _REFUSES or states == {"unsubscribed"}:
        consent: bool | None = False
    else:
        consent = True if "confirmed" in states else None
    email = text_of(row.get("email"))
    cells = given({"contact_id": argument(CONTACT, own), "consent": consent})
    keys = _keys(row, "id", "uuid") + ((f"email:{email.strip().lower()}",) if email else ())
    return [ReportedContact(cells, keys)]


def _is_subscriber(row: Row) -> bool:
    named = "email" in row and ("uuid" in row or "name" in row)
    return named and plain_word(row.get("status")) in _STATES


def _attributes(row: Row) -> Row:
    """What a subscriber's own attributes say, as an object or its text."""
    found = row.get("attribs", row.get("attributes"))
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except ValueError:
            return {}
    return found if isinstance(found, dict) else {}


def _keys(row: Row, number: str, uuid: str) -> tuple[str, ...]:
    """A subscriber's number and UUID, which name the same person."""
    names = {"listmonk": argument(number, row), "listmonk_uuid": argument(uuid, row)}
    return tuple(f"{kind}:{name}" for kind, name in names.items() if isinstance(name, str))


def _list_of(row: Row) -> str:
    return f"listmonk list {str(row.get('list_id'))[:50]}"


LISTMONK = ReportFormat("listmonk", _events, _unwrap, _contacts, names_mails=False)
