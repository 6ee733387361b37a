"""The events of Mailgun's webhooks and of its Events API in our words.

Source: Mailgun's documentation, Webhook Payloads and Event Structure.
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
    argument,
    given,
    inside,
    is_prefetched,
    link,
    moment,
    plain_word,
    text_of,
    told,
    with_listed,
)

_KINDS = {
    "accepted": "sent",
    "delivered": "delivered",
    "rejected": "dropped",
    "opened": "open",
    "clicked": "click",
    "complained": "complaint",
    "unsubscribed": "unsubscribe",
}
_FAILED = "failed"
# Why a mail failed for good that never left: the address is on one of its lists.
_ON_LIST = {
    "suppress-bounce": "hard_bounce",
    "suppress-unsubscribe": "unsubscribe",
    "suppress-complaint": "unsubscribe",
}
_SOFT = ("old", "espblock", "greylisted")  # the mail was refused, not the address
_NEUTRAL = ("stored", "list_member_uploaded", "list_member_upload_error", "list_uploaded")
_DAY = 86_400


def _unwrap(body: Row) -> list[Any]:
    """The event of a webhook, or of the Events API as it is."""
    return [body["event-data"]] if "event-data" in body else [body]


def _events(row: Row) -> list[ReportedEvent]:
    """What an event says; what a list of Mailgun's forbids comes as a second one."""
    kind = _kind(row)
    variables = inside(row, "user-variables")
    agent = inside(row, "client-info")
    machine = bool(agent.get("bot")) or is_prefetched(agent.get("user-agent"))
    cells = given(
        {
            "event_id": _named(row),
            "contact_id": argument(CONTACT, variables),
            "occurred_at": moment(row.get("timestamp")),
            "type": kind,
            "source": "mailgun",
            "message_id": inside(inside(row, "message"), "headers").get("message-id"),
            "decision_id": argument(DECISION, variables),
            "topic": argument(TOPIC, variables),
            "is_machine": kind in ("open", "click") and machine,
            "properties": _properties(row),
        }
    )
    on_list = _ON_LIST.get(plain_word(row.get("reason"))) if kind == "dropped" else None
    return with_listed(ReportedEvent(cells, text_of(row.get("recipient"))), on_list)


def _kind(row: Row) -> str:
    """The type of an event in our words."""
    word = plain_word(row.get("event"))
    if word in _KINDS:
        return _KINDS[word]
    if word == _FAILED:
        return _failure(row)
    if forbids(say_of(word, None)):
        return word
    known = ", ".join((*_KINDS, _FAILED))
    text = f"unknown event {str(row.get('event'))[:200]!r}; known are {known} - at `$.event`"
    raise UntranslatedRow(text, may_forbid_mail=word not in _NEUTRAL)


def _failure(row: Row) -> str:
    """What a failure means. Mailgun tries again after one that is temporary."""
    reason = plain_word(row.get("reason"))
    if plain_word(row.get("severity")) == "temporary":
        return "deferred"
    if reason in _ON_LIST:
        return "dropped"
    status = inside(row, "delivery-status")
    soft = reason in _SOFT or plain_word(status.get("bounce-type")) == "soft"
    return "soft_bounce" if soft else "hard_bounce"


def _named(row: Row) -> str | None:
    """Its ids are unique within a day."""
    name, stamp = text_of(row.get("id")), row.get("timestamp")
    if name is None:
        return None
    if isinstance(stamp, int | float) and abs(stamp) < 1e12:
        return f"mailgun:{int(stamp) // _DAY}:{name}"
    return f"mailgun:{name}"


def _properties(row: Row) -> Row:
    """Why a mail failed, or the link; no address."""
    status, agent = inside(row, "delivery-status"), inside(row, "client-info")
    return told(
        {
            "reason": row.get("reason"),
            "severity": row.get("severity"),
            "status": status.get("code"),
            "response": status.get("message") or status.get("description"),
            "url": link(row.get("url")),
            "device": device_of(agent.get("device-type"), agent.get("user-agent")),
        }
    )


MAILGUN = ReportFormat("mailgun", _events, _unwrap)
