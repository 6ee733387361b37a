"""The payloads of Mautic's webhooks in our words.

Source: Mautic's developer documentation, Webhooks.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from nurture_rl.logs.reported.report_format import (
    CONTACT,
    DECISION,
    ReportedEvent,
    ReportFormat,
    Row,
    UntranslatedRow,
)
from nurture_rl.logs.reported.reported_cells import argument, given, inside, link, plain_word

_TRIGGER = "trigger"  # where a row says which it is
_SEND, _OPEN, _HIT = "mautic.email_on_send", "mautic.email_on_open", "mautic.page_on_hit"
_FORM, _STATUS = "mautic.form_on_submit", "mautic.lead_channel_subscription_changed"
_SAYS = {_SEND: "sent", _OPEN: "open", _FORM: "form_submitted"}
# Mail by hand is refused as by the contact's own click.
_STATES = {
    "unsubscribed": "unsubscribe",
    "manual": "unsubscribe",
    "bounced": "hard_bounce",
    "contactable": "resubscribe",
}
_NEUTRAL = re.compile(r"mautic\.(lead_points_change|lead_post_save_(new|update)|company_.*)")
# Channels of Mautic's own and of its plug-ins; any other one may be mail under another name.
_NOT_MAIL = ("sms", "notification", "mobile_notification", "web_notification", "whatsapp", "tweet")
_GROUP = "mautic email"  # a word here takes back no word from elsewhere
_UNDER = ("stat", "hit", "submission")  # where a payload may have its contact


def _unwrap(body: Row) -> list[Any]:
    """Each payload with the trigger that it stands under; a payload that names one is a row."""
    if isinstance(body.get(_TRIGGER), str):
        return [body]
    found: list[Any] = []
    for trigger, payloads in body.items():
        for one in payloads if isinstance(payloads, list) else [payloads]:
            found.append({**one, _TRIGGER: trigger} if isinstance(one, dict) else one)
    return found


def _events(row: Row) -> list[ReportedEvent]:
    """What a payload says."""
    kind, lead = _kind(row), _lead(row)
    cells = {
        "event_id": _named(row),
        "contact_id": _field(lead, "nurture_contact_id"),
        "occurred_at": row.get("timestamp"),
        "type": kind,
        "source": "mautic",
        "message_id": row.get("idHash") or inside(row, "stat").get("trackingHash"),
        "decision_id": _token(row, DECISION) if kind == "sent" else None,
        # Mautic cannot tell a reader's open from a program's: none counts as a reader's.
        "is_machine": kind == "open",
        "properties": _properties(row, kind),
    }
    if cells[CONTACT] is None and kind == "sent":
        cells[CONTACT] = _token(row, CONTACT)
    email = _field(lead, "email")
    return [ReportedEvent(given(cells), email if isinstance(email, str) else None)]


def _kind(row: Row) -> str:
    """The type of a row in our words."""
    trigger = plain_word(row.get(_TRIGGER))
    if trigger in _SAYS:
        return _SAYS[trigger]
    if trigger == _HIT:
        hit = inside(row, "hit")
        return "click" if hit.get("source") == "email" or hit.get("email") else "page_view"
    if trigger == _STATUS:
        channel, state = plain_word(row.get("channel")), plain_word(row.get("new_status"))
        if channel != "email":
            text = f"the channel {channel[:50]!r} is not mail"
            raise UntranslatedRow(text, may_forbid_mail=channel not in _NOT_MAIL)
        if state in _STATES:
            return _STATES[state]
        raise UntranslatedRow(f"unknown status {state[:50]!r} - at `$.new_status`")
    known = ", ".join((*_SAYS, _HIT, _STATUS))
    neutral = _NEUTRAL.fullmatch(trigger) is not None
    text = f"unknown trigger {trigger[:200]!r}; known are {known}"
    raise UntranslatedRow(text, may_forbid_mail=not neutral)


def _named(row: Row) -> str:
    """An id of what a payload says: the same however often it comes."""
    content = json.dumps(row, sort_keys=True, ensure_ascii=True).encode()
    return f"mautic:{hashlib.blake2b(content, digest_size=16).hexdigest()}"


def _lead(row: Row) -> Row:
    """The contact of a payload, wherever it stands."""
    places = [row, *(inside(row, name) for name in _UNDER)]
    told = (place.get(name) for place in places for name in ("contact", "lead"))
    return next((one for one in told if isinstance(one, dict)), {})


def _field(lead: Row, name: str) -> Any:
    """A field of a contact: plain, among all, or in a group with its value inside."""
    fields = inside(lead, "fields")
    for place in (lead, fields, *(one for one in fields.values() if isinstance(one, dict))):
        value = place.get(name)
        value = value.get("value") if isinstance(value, dict) else value
        if (found := argument(name, {name: value})) is not None:
            return found
    return None


def _token(row: Row, name: str) -> Any:
    return inside(row, "tokens").get(f"{{nurture_{name}}}") or None


def _properties(row: Row, kind: str) -> Row:
    """What it is about; no address, and no link's query, which may name people."""
    told: Row = {}
    if (url := link(inside(row, "hit").get("url"))) is not None:
        told["url"] = url
    if kind in ("unsubscribe", "resubscribe"):
        told |= {"group": _GROUP, "status": str(row.get("new_status"))[:50]}
    return told


MAUTIC = ReportFormat("mautic", _events, _unwrap)
