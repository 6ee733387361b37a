"""The rows of Customer.io's reporting webhooks in our words.

Source: Customer.io's documentation, Reporting webhooks.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nurture_rl.logs.reported.report_format import (
    ReportedEvent,
    ReportFormat,
    Row,
    UntranslatedRow,
)
from nurture_rl.logs.reported.report_json import UNREADABLE, read_report
from nurture_rl.logs.reported.reported_cells import (
    argument,
    given,
    inside,
    link,
    moment,
    own_id,
    plain_word,
    text_of,
    told,
)

_KINDS = {
    "sent": "sent",
    "delivered": "delivered",
    "deferred": "deferred",
    "opened": "open",
    "clicked": "click",
    "bounced": "hard_bounce",
    "dropped": "dropped",
    "suppressed": "dropped",
    "undeliverable": "dropped",
    "failed": "dropped",
    "spammed": "complaint",
    "unsubscribed": "unsubscribe",
    "subscribed": "resubscribe",
}
_PREFERENCES = "cio_subscription_preferences_changed"
_OWN = ("drafted", "attempted", "converted", "human_opened", "human_clicked")  # no event of a mail
# Who is meant: mail, a person as a whole, or a channel that is not mail.
_MAIL, _PERSON = "email", "customer"
_NOT_MAIL = ("sms", "push", "in_app", "inbox", "slack", "webhook", "whatsapp")
_GROUP = "customerio"  # a word here takes back no word from elsewhere
_content_in = msgspec.json.Decoder(Any)


def _events(row: Row) -> list[ReportedEvent]:
    """What a row says; a change of preferences says something of each topic."""
    data = inside(row, "data")
    people = inside(data, "identifiers")
    metric = _metric(row)
    recipient = text_of(data.get("recipient")) or text_of(data.get("email_address"))
    recipient = recipient or text_of(people.get("email"))

    def event(kind: str, group: str | None, end: str = "") -> ReportedEvent:
        name = own_id("customerio", row.get("event_id"))
        cells = {
            "event_id": None if name is None else f"{name}{end}",
            "contact_id": argument("id", people) or argument("customer_id", data),
            "occurred_at": moment(row.get("timestamp")),
            "type": kind,
            "source": "customerio",
            "message_id": data.get("delivery_id"),
            "is_machine": kind in ("open", "click") and _is_machine(data),
            "properties": told(
                {
                    "reason": data.get("failure_message"),
                    "url": link(data.get("href")),
                    "group": group,
                }
            ),
        }
        return ReportedEvent(given(cells), recipient)

    if metric != _PREFERENCES:
        kind = _KINDS[metric]
        return [event(kind, _GROUP if kind in ("unsubscribe", "resubscribe") else None)]
    return [
        event("resubscribe" if wanted else "unsubscribe", f"{_GROUP} {name}", f":{name}")
        for name, wanted in _preferences(data).items()
    ]


def _metric(row: Row) -> str:
    """What is reported, where it is about mail."""
    about, metric = plain_word(row.get("object_type")), plain_word(row.get("metric"))
    if about in _NOT_MAIL:
        raise UntranslatedRow(f"the channel {about!r} is not mail", may_forbid_mail=False)
    if about not in (_MAIL, _PERSON):
        raise UntranslatedRow(f"unknown object_type {about[:50]!r} - at `$.object_type`")
    if metric in _OWN:
        text = f"{metric!r} tells of no mail, or of one that another row tells of"
        raise UntranslatedRow(text, may_forbid_mail=False)
    if metric not in _KINDS and metric != _PREFERENCES:
        known = ", ".join((*_KINDS, _PREFERENCES))
        text = f"unknown metric {str(row.get('metric'))[:200]!r}; known are {known}"
        raise UntranslatedRow(f"{text} - at `$.metric`")
    return metric


def _is_machine(data: Row) -> bool:
    """Whether a program opened the mail; a picture that only came by a proxy was looked at."""
    return any(data.get(name) is True for name in ("prefetched", "machine", "is_bot"))


def _preferences(data: Row) -> dict[str, bool]:
    """Whether each topic is wanted, and mail as a channel."""
    content: Any = data.get("content")
    try:
        content = read_report(_content_in, content) if isinstance(content, str) else content
    except UNREADABLE:
        content = None
    content = content if isinstance(content, dict) else {}
    channel = inside(content, "channels").get(_MAIL)
    wanted = {"email": channel, **inside(content, "topics")}
    found = {str(name)[:100]: cell for name, cell in wanted.items() if isinstance(cell, bool)}
    if not found:
        text = "expected topics with true or false in the preferences - at `$.data.content`"
        raise UntranslatedRow(text)
    return found


CUSTOMERIO = ReportFormat("customerio", _events)
