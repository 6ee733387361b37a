"""The rows of Twilio SendGrid's Event Webhook in our words.

Source: Twilio SendGrid, Event Webhook Reference.
"""

from __future__ import annotations

from typing import Any

from nurture_envs.stops import forbids, say_of
from nurture_rl.logs.device_rules import device_of
from nurture_rl.logs.reported.report_format import (
    CONTACT,
    DECISION,
    TOPIC,
    ReportedEvent,
    ReportFormat,
    Row,
    UntranslatedRow,
)
from nurture_rl.logs.reported.reported_cells import (
    LONGEST,
    argument,
    given,
    inside,
    link,
    moment,
    own_id,
    plain_word,
    told,
    with_listed,
)

_KINDS = {
    "processed": "sent",
    "deferred": "deferred",
    "delivered": "delivered",
    "dropped": "dropped",
    "open": "open",
    "click": "click",
    "spamreport": "complaint",
    "unsubscribe": "unsubscribe",
    "group_unsubscribe": "unsubscribe",
    "group_resubscribe": "resubscribe",
}
_BOUNCES = ("bounce", "blocked")
_SOFT = ("blocked", "expired")  # types of a bounce after which the address may still be good
_DEAD = "invalid address"  # the class of a bounce by which it is not
# Why nothing was sent at all: the address is on one of its lists. No mail went by such a row.
_ON_LIST = {
    "bounced address": "hard_bounce",
    "invalid": "hard_bounce",
    "unsubscribed address": "unsubscribe",
    "spam reporting address": "unsubscribe",
}
_OF_ACCOUNT = "account_status_change"
_KEPT = ("reason", "status", "response", "attempt", "type", "bounce_classification")


def _events(row: Row) -> list[ReportedEvent]:
    """What a row says; what a list of SendGrid's forbids comes as a second event."""
    kind = _kind(row)
    # Custom arguments come back among the fields of the row, or in an object of their own.
    places = (row, inside(row, "unique_args"), inside(row, "custom_args"))
    cells = given(
        {
            "event_id": own_id("sendgrid", row.get("sg_event_id")),
            "contact_id": argument(CONTACT, *places),
            "occurred_at": moment(row.get("timestamp")),
            "type": kind,
            "source": "sendgrid",
            "message_id": row.get("sg_message_id"),
            "decision_id": argument(DECISION, *places),
            "topic": argument(TOPIC, *places),
            "is_machine": kind == "open" and row.get("sg_machine_open") in (True, "true"),
            "properties": _properties(row),
        }
    )
    email = row.get("email")
    return with_listed(
        ReportedEvent(cells, email if isinstance(email, str) else None),
        _ON_LIST.get(plain_word(row.get("reason"))) if kind == "dropped" else None,
    )


def _kind(row: Row) -> str:
    """The type of a row in our words."""
    word = row.get("event")
    plain = plain_word(word)
    if plain in _BOUNCES:
        soft = plain == "blocked" or plain_word(row.get("type")) in _SOFT
        dead = plain_word(row.get("bounce_classification")) == _DEAD
        return "soft_bounce" if soft and not dead else "hard_bounce"
    if plain in _KINDS:
        return _KINDS[plain]
    if forbids(say_of(plain, None)):
        return plain
    if plain == _OF_ACCOUNT:
        text = f"{_OF_ACCOUNT} says something of the account, {row.get('type')!r}, not of a contact"
        raise UntranslatedRow(text[:LONGEST], may_forbid_mail=False)
    known = ", ".join((*_KINDS, *_BOUNCES))
    raise UntranslatedRow(f"unknown event {str(word)[:200]!r}; known are {known} - at `$.event`")


def _properties(row: Row) -> Row:
    """What the receiving server said, and the group or the link it is about; no address."""
    texts: dict[str, Any] = {
        name: row[name] for name in _KEPT if isinstance(row.get(name), str | int)
    }
    texts["url"] = link(row.get("url"))
    texts["device"] = device_of(row.get("useragent"))
    if plain_word(row.get("event")).startswith("group_") and row.get("asm_group_id") is not None:
        texts["group"] = str(row["asm_group_id"])
    return told(texts)


SENDGRID = ReportFormat("sendgrid", _events)
