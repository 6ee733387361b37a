"""The records of Postmark's webhooks in our words.

Source: Postmark's developer documentation, Webhooks, and Bounce types.
"""

from __future__ import annotations

from typing import Any

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
    made_id,
    plain_word,
    text_of,
    told,
    with_listed,
)

_KINDS = {
    "delivery": "delivered",
    "open": "open",
    "click": "click",
    "spamcomplaint": "complaint",
}
_BOUNCE, _CHANGE = "bounce", "subscriptionchange"
# Types of a bounce; any other one is hard: in doubt the address is dead.
_BOUNCES = {
    **dict.fromkeys(
        (
            *("softbounce", "transient", "dnserror", "blocked", "dmarcpolicy", "virusnotification"),
            *("spamnotification", "challengeverification", "addresschange"),
        ),
        "soft_bounce",
    ),
    **dict.fromkeys(("smtpapierror", "templaterenderingfailed", "unconfirmed"), "dropped"),
    "manuallydeactivated": "dropped",
    "unsubscribe": "unsubscribe",
    "spamcomplaint": "complaint",
    "autoresponder": "reply",
}
_NO_BOUNCES = ("subscribe", "inbounderror", "openrelaytest")  # what is no word on an address
# Why Postmark stops sending to an address.
_REASONS = {"hardbounce": "hard_bounce", "spamcomplaint": "complaint"}
_TIMES = ("DeliveredAt", "BouncedAt", "ReceivedAt", "ChangedAt")
_KEPT = {"Type": "type", "Description": "reason", "Details": "response", "Origin": "origin"}


def _events(row: Row) -> list[ReportedEvent]:
    """What a record says; an address that somebody deactivated is refused by a second event."""
    kind = _kind(row)
    metadata = inside(row, "Metadata")
    cells = given(
        {
            "event_id": _named(row),
            "contact_id": argument(CONTACT, metadata),
            "occurred_at": next((row[name] for name in _TIMES if row.get(name)), None),
            "type": kind,
            "source": "postmark",
            "message_id": _mail(row),
            "decision_id": argument(DECISION, metadata),
            "topic": argument(TOPIC, metadata),
            "reply_class": "out_of_office" if kind == "reply" else None,
            "is_machine": kind == "open" and is_prefetched(row.get("UserAgent")),
            "properties": _properties(row, kind),
        }
    )
    recipient = text_of(row.get("Recipient")) or text_of(row.get("Email"))
    listed = kind == "dropped" and plain_word(row.get("Type")) == "manuallydeactivated"
    return with_listed(ReportedEvent(cells, recipient), "unsubscribe" if listed else None)


def _kind(row: Row) -> str:
    """The type of a record in our words."""
    record = plain_word(row.get("RecordType"))
    if record in _KINDS:
        return _KINDS[record]
    if record == _BOUNCE:
        kind = plain_word(row.get("Type"))
        if kind in _NO_BOUNCES:
            raise UntranslatedRow(f"a bounce of type {kind!r} says nothing of the address", False)
        said = _BOUNCES.get(kind, "hard_bounce")
        # It has deactivated the address: it will send nothing more.
        return "hard_bounce" if said == "soft_bounce" and row.get("Inactive") is True else said
    if record == _CHANGE:
        return _change(row)
    known = "Delivery, Bounce, SpamComplaint, Open, Click, SubscriptionChange"
    raise UntranslatedRow(
        f"unknown RecordType {str(row.get('RecordType'))[:200]!r}; known are {known} - at "
        "`$.RecordType`"
    )


def _change(row: Row) -> str:
    """What a change of subscription says; only the recipient can give consent again."""
    if row.get("SuppressSending") is not False:
        return _REASONS.get(plain_word(row.get("SuppressionReason")), "unsubscribe")
    if plain_word(row.get("Origin")) == "recipient":
        return "resubscribe"
    text = "the address was reactivated by somebody else than its reader: that is no consent"
    raise UntranslatedRow(text, may_forbid_mail=False)


def _named(row: Row) -> str:
    """Bounces and complaints have an id; others are known by what they say."""
    if isinstance(number := row.get("ID"), int) and not isinstance(number, bool) and number:
        return f"postmark:bounce:{number}"
    parts = ["RecordType", "MessageID", "Recipient", "OriginalLink", "SuppressSending", *_TIMES]
    if plain_word(row.get("RecordType")) == _CHANGE:  # several streams may change at one moment
        parts += ["MessageStream", "SuppressionReason", "Origin"]
    return made_id("postmark", (row.get(name) for name in parts))


def _mail(row: Row) -> Any:
    """The id of a mail; a change of subscription may name none, by zeros."""
    name = row.get("MessageID")
    return None if isinstance(name, str) and not name.strip("0-") else name


def _properties(row: Row, kind: str) -> Row:
    """Why, and the link or the stream it is about; no address."""
    texts: Row = {ours: row.get(theirs) for theirs, ours in _KEPT.items()}
    texts["url"] = link(row.get("OriginalLink"))
    texts["device"] = device_of(row.get("Platform"), row.get("UserAgent"))
    if kind in ("unsubscribe", "resubscribe"):
        texts["group"] = f"postmark {str(row.get('MessageStream'))[:100]}"
    return told(texts)


POSTMARK = ReportFormat("postmark", _events)
