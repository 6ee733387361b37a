"""Events of Amazon SES in our words, bare or inside of a notification of Amazon SNS.

Source: Amazon SES developer guide, Contents of event data that Amazon SES publishes to Amazon SNS;
    Amazon SNS developer guide, HTTP/HTTPS notification JSON format.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

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
from nurture_rl.logs.reported.report_json import UNREADABLE, read_report
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

_SETTING_UP = ("subscriptionconfirmation", "unsubscribeconfirmation")
# By event type without spaces: our word, the object that tells more, and its list of addressees.
_KINDS = {
    "send": ("sent", "send", None),
    "delivery": ("delivered", "delivery", "recipients"),
    "deliverydelay": ("deferred", "deliveryDelay", "delayedRecipients"),
    "reject": ("dropped", "reject", None),
    "renderingfailure": ("dropped", "failure", None),
    "open": ("open", "open", None),
    "click": ("click", "click", None),
    "bounce": ("hard_bounce", "bounce", "bouncedRecipients"),
    "complaint": ("complaint", "complaint", "complainedRecipients"),
}
_SUBSCRIPTION = "subscription"
_SOFT = ("transient", "undetermined")  # types of a bounce after which the address may be good
_DEAD = ("5.4.4", "5.1.1")  # status codes by which it is not: no such domain, no such mailbox
_ON_LIST = ("suppressed", "onaccountsuppressionlist")  # the mail never left
_READ = ("open", "click")  # what one reader does: of a mail to several nobody knows who
_KEPT = {
    "bounceType": "type",
    "bounceSubType": "subtype",
    "complaintFeedbackType": "type",
    "delayType": "type",
    "reason": "reason",
    "errorMessage": "reason",
    "smtpResponse": "response",
}


_event_in = msgspec.json.Decoder(Any)


def _unwrap(body: Row) -> list[Any]:
    """The event of a notification, or one that comes bare."""
    kind = plain_word(body.get("Type"))
    if "Message" not in body or kind in _SETTING_UP:
        return [body]
    try:
        return [read_report(_event_in, str(body["Message"]))]
    except UNREADABLE as error:
        raise UntranslatedRow(f"expected an event in JSON, got {error} - at `$.Message`") from error


def _events(row: Row) -> list[ReportedEvent]:
    """What an event says, of each of its addressees."""
    if plain_word(row.get("Type")) in _SETTING_UP:
        raise UntranslatedRow(
            f"{row['Type']} of the topic {str(row.get('TopicArn'))[:200]}: no link of it is "
            "followed; confirm the subscription yourself with its token (aws sns "
            "confirm-subscription)"
        )
    word = plain_word(row.get("eventType") or row.get("notificationType")).replace(" ", "")
    if word == _SUBSCRIPTION:
        return list(_changes(row))
    if word not in _KINDS:
        told_type = str(row.get("eventType") or row.get("notificationType"))[:200]
        known = ", ".join((*_KINDS, _SUBSCRIPTION))
        neutral = told_type.startswith("AmazonSnsSubscriptionSucceeded")
        text = f"unknown eventType {told_type!r}; known are {known} - at `$.eventType`"
        raise UntranslatedRow(text, may_forbid_mail=not neutral)
    kind, name, addressees = _KINDS[word]
    more, mail = inside(row, name), inside(row, "mail")
    destination = _texts(mail.get("destination"))
    people = _addressees(more.get(addressees)) if addressees else [(one, {}) for one in destination]
    if kind in _READ and len(people) > 1:
        raise UntranslatedRow("a mail to several addressees: nobody knows who read it", False)
    found: list[ReportedEvent] = []
    for address, about in people or [(None, {})]:
        said = _said(kind, more, about)
        cells = _cells(row, said, more, about, address)
        listed = _listed(kind, more) if said == "dropped" else None
        found += with_listed(ReportedEvent(cells, address), listed)
    return found


def _said(kind: str, more: Row, about: Row) -> str:
    """What an event says of one addressee."""
    subtype = plain_word(more.get("bounceSubType")) or plain_word(more.get("complaintSubType"))
    if kind in ("hard_bounce", "complaint") and subtype in _ON_LIST:
        return "dropped"
    if kind == "complaint" and plain_word(more.get("complaintFeedbackType")) == "not-spam":
        raise UntranslatedRow("a reader says that a mail is no spam", may_forbid_mail=False)
    if kind == "hard_bounce" and plain_word(more.get("bounceType")) in _SOFT:
        return kind if str(about.get("status")).strip() in _DEAD else "soft_bounce"
    return kind


def _listed(kind: str, more: Row) -> str | None:
    """What Amazon's own list says against the address of a mail that never left."""
    if kind == "complaint":
        return "unsubscribe"
    return "hard_bounce" if kind == "hard_bounce" and more else None


def _cells(row: Row, kind: str, more: Row, about: Row, address: str | None) -> Row:
    """Cells of an event; the tags of a mail to several are none of one addressee's."""
    mail = inside(row, "mail")
    alone = len(_texts(mail.get("destination"))) <= 1
    lists = inside(mail, "tags") if alone else {}
    tags = {name: texts[0] for name, cell in lists.items() if (texts := _texts(cell))}
    at, group = more.get("timestamp") or mail.get("timestamp"), about.get("group")
    word = row.get("eventType") or row.get("notificationType")
    parts = (mail.get("messageId"), word, address, at, more.get("link"), group)
    return given(
        {
            "event_id": made_id("ses", parts),
            "contact_id": argument(CONTACT, tags),
            "occurred_at": at,
            "type": kind,
            "source": "ses",
            "message_id": mail.get("messageId"),
            "decision_id": argument(DECISION, tags),
            "topic": argument(TOPIC, tags),
            "is_machine": kind == "open" and is_prefetched(more.get("userAgent")),
            "properties": told(
                {
                    **{ours: more.get(theirs) for theirs, ours in _KEPT.items() if theirs in more},
                    "status": about.get("status"),
                    "response": about.get("diagnosticCode") or more.get("smtpResponse"),
                    "url": link(more.get("link")),
                    "device": device_of(more.get("userAgent")),
                    "group": group,
                }
            ),
        }
    )


def _changes(row: Row) -> Iterator[ReportedEvent]:
    """A change of subscription: of everything, and of each topic that is another than before."""
    more = inside(row, _SUBSCRIPTION)
    after, before = inside(more, "newTopicPreferences"), inside(more, "oldTopicPreferences")
    people = _texts(inside(row, "mail").get("destination"))
    address = people[0] if len(people) == 1 else None
    for kind, part in _changed(after, before):
        group = f"ses {str(more.get('contactList'))[:100]} {part}".strip()
        yield ReportedEvent(_cells(row, kind, more, {"group": group}, address), address)


def _changed(after: Row, before: Row) -> list[tuple[str, str]]:
    """Our word, and the topic that it is about, empty for the whole list."""
    found: list[tuple[str, str]] = []
    everything, did = after.get("unsubscribeAll"), before.get("unsubscribeAll")
    if everything is True and did is not True:
        found.append(("unsubscribe", ""))
    elif everything is False and did is True:
        found.append(("resubscribe", ""))
    was = _topics(before)
    for topic, state in _topics(after).items():
        if state == "optout" and was.get(topic) != "optout":
            found.append(("unsubscribe", topic))
        elif state == "optin" and was.get(topic) == "optout":
            found.append(("resubscribe", topic))
    if not found:
        raise UntranslatedRow("a change of subscription in which nothing is another than before")
    return found


def _topics(preferences: Row) -> dict[str, str]:
    """States of topics in small letters alone, so that OptOut and OPT_OUT are one."""
    rows = preferences.get("topicSubscriptionStatus")
    rows = [one for one in rows if isinstance(one, dict)] if isinstance(rows, list) else []
    return {
        str(one.get("topicName"))[:100]: plain_word(one.get("subscriptionStatus")).replace("_", "")
        for one in rows
    }


def _texts(cell: Any) -> list[str]:
    return [one for one in cell if isinstance(one, str)] if isinstance(cell, list) else []


def _addressees(cell: Any) -> list[tuple[str | None, Row]]:
    """Addresses with what is said of each."""
    rows = cell if isinstance(cell, list) else []
    return [
        (one, {}) if isinstance(one, str) else (text_of(one.get("emailAddress")), one)
        for one in rows
        if isinstance(one, str | dict)
    ]


SES = ReportFormat("ses", _events, _unwrap)
