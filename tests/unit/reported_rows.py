"""Rows as senders and page streams document them, and what each says in our words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Row = dict[str, Any]
ADDRESS = "ada@example.com"


def iso(seconds: float) -> str:
    """A moment as most senders write it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True)
class Case:
    """A row, and the types of the events that it says."""

    cells: Row
    types: tuple[str, ...]  # one with a star is a program's


def sendgrid(number: int, at: float, cells: Row) -> Row:
    return {
        "email": ADDRESS,
        "timestamp": int(at),
        "sg_event_id": f"ZXZ{number}",
        "sg_message_id": f"bXNn{number}",
        "contact_id": "ada",
        **cells,
    }


def mautic(number: int, at: float, cells: Row) -> Row:
    fields = {"core": {"email": {"value": ADDRESS}, "nurture_contact_id": {"value": "ada"}}}
    lead = {"id": 12, "fields": fields}
    stat = {"trackingHash": f"h{number}", "lead": lead}
    return {"timestamp": iso(at), "contact": lead, "stat": stat, "idHash": f"h{number}", **cells}


def mailgun(number: int, at: float, cells: Row) -> Row:
    return {
        "id": f"CCXMjJ7nQi{number}",
        "timestamp": at + 0.25,
        "recipient": ADDRESS,
        "recipient-domain": "example.com",
        "message": {"headers": {"message-id": f"{number}@sample.mailgun.com"}},
        "user-variables": {"contact_id": "ada"},
        "tags": ["nurture"],
        **cells,
    }


def postmark(number: int, at: float, cells: Row) -> Row:
    times = {"Delivery": "DeliveredAt", "Bounce": "BouncedAt", "SpamComplaint": "BouncedAt"}
    name = times.get(str(cells.get("RecordType")), "ReceivedAt")
    name = "ChangedAt" if cells.get("RecordType") == "SubscriptionChange" else name
    address = "Email" if name == "BouncedAt" else "Recipient"
    return {
        "MessageID": f"883953f4-6105-42a2-a16a-{number:012d}",
        "MessageStream": "broadcast",
        "Metadata": {"contact_id": "ada"},
        "ServerID": 23,
        name: iso(at),
        address: ADDRESS,
        **({"ID": number} if name == "BouncedAt" else {}),
        **cells,
    }


def ses(number: int, at: float, cells: Row) -> Row:
    mail = {
        "timestamp": iso(at),
        "messageId": f"010001{number}",
        "destination": [ADDRESS],
        "tags": {"contact_id": ["ada"], "ses:configuration-set": ["nurture"]},
    }
    return {"mail": mail, **cells}


def customerio(number: int, at: float, cells: Row) -> Row:
    data = {
        "customer_id": "ada",
        "email_address": ADDRESS,
        "identifiers": {"id": "ada", "email": ADDRESS, "cio_id": "d9c106000001"},
        "delivery_id": f"RPILAgAB{number}",
        **cells.get("data", {}),
    }
    plain = {name: cell for name, cell in cells.items() if name != "data"}
    own = {"event_id": f"01E4C4CT{number}", "object_type": "email", "timestamp": int(at)}
    return {**own, **plain, "data": data}


def segment(number: int, at: float, cells: Row) -> Row:
    return {
        "messageId": f"ajs-{number}",
        "anonymousId": "507f191e",
        "userId": "ada",
        "type": "track",
        "timestamp": iso(at),
        "context": {"traits": {"email": ADDRESS}, "page": {"url": "https://example.com/a?b=c"}},
        **cells,
    }


def cloudevents(number: int, at: float, cells: Row) -> Row:
    return {
        "specversion": "1.0",
        "id": f"A234-{number}",
        "source": "/crm/meetings",
        "subject": "ada",
        "time": iso(at),
        "data": {},
        **cells,
    }


def hubspot(number: int, at: float, cells: Row) -> Row:
    return {
        "eventId": number,
        "subscriptionId": 138,
        "portalId": 62515,
        "appId": 54198,
        "occurredAt": int(at * 1000),
        "subscriptionType": "contact.propertyChange",
        "objectId": "ada",
        "changeSource": "CRM_UI",
        "attemptNumber": 0,
        **cells,
    }


def _bounce(kind: str, subtype: str, status: str = "5.0.0") -> Row:
    people = [{"emailAddress": ADDRESS, "status": status, "diagnosticCode": "smtp; 550 no"}]
    inner = {"bounceType": kind, "bounceSubType": subtype, "bouncedRecipients": people}
    return {"eventType": "Bounce", "bounce": inner}


def _change(after: Row, before: Row) -> Row:
    def preferences(one: Row) -> Row:
        topics = [
            {"topicName": name, "subscriptionStatus": state}
            for name, state in one.items()
            if name != "all"
        ]
        return {"unsubscribeAll": one.get("all", False), "topicSubscriptionStatus": topics}

    more = {
        "contactList": "people",
        "newTopicPreferences": preferences(after),
        "oldTopicPreferences": preferences(before),
    }
    return {"eventType": "Subscription", "subscription": more}


_APPLE = {"user-agent": "Mozilla/5.0"}
CASES: dict[str, tuple[Callable[[int, float, Row], Row], Sequence[Case]]] = {
    "sendgrid": (
        sendgrid,
        [
            Case({"event": "processed"}, ("sent",)),
            Case({"event": "open", "sg_machine_open": True}, ("open*",)),
            Case({"event": "bounce", "type": "blocked"}, ("soft_bounce",)),
            Case({"event": "dropped", "reason": "Bounced Address"}, ("dropped", "hard_bounce")),
            Case({"event": "unsubscribe"}, ("unsubscribe",)),
        ],
    ),
    "mautic": (
        mautic,
        [
            Case({"trigger": "mautic.email_on_send"}, ("sent",)),
            Case({"trigger": "mautic.email_on_open"}, ("open*",)),
            Case(
                {
                    "trigger": "mautic.lead_channel_subscription_changed",
                    "channel": "email",
                    "new_status": "unsubscribed",
                },
                ("unsubscribe",),
            ),
        ],
    ),
    "mailgun": (
        mailgun,
        [
            Case({"event": "accepted"}, ("sent",)),
            Case({"event": "delivered", "delivery-status": {"code": 250}}, ("delivered",)),
            Case({"event": "rejected", "reject": {"reason": "x"}}, ("dropped",)),
            Case({"event": "opened", "client-info": {"client-name": "Firefox"}}, ("open",)),
            Case({"event": "opened", "client-info": {"bot": "apple"}}, ("open*",)),
            Case({"event": "opened", "client-info": _APPLE}, ("open*",)),
            Case({"event": "clicked", "url": "https://example.com/a?b=c"}, ("click",)),
            Case({"event": "clicked", "client-info": {"bot": "generic"}}, ("click*",)),
            Case({"event": "failed", "severity": "temporary", "reason": "generic"}, ("deferred",)),
            Case({"event": "failed", "severity": "permanent", "reason": "old"}, ("soft_bounce",)),
            Case(
                {
                    "event": "failed",
                    "severity": "permanent",
                    "delivery-status": {"bounce-type": "soft"},
                },
                ("soft_bounce",),
            ),
            Case(
                {"event": "failed", "severity": "permanent", "reason": "suppress-unsubscribe"},
                ("dropped", "unsubscribe"),
            ),
            Case(
                {"event": "failed", "severity": "permanent", "reason": "suppress-bounce"},
                ("dropped", "hard_bounce"),
            ),
            Case(
                {"event": "failed", "severity": "permanent", "reason": "bounce"}, ("hard_bounce",)
            ),
            Case({"event": "complained"}, ("complaint",)),
            Case({"event": "unsubscribed"}, ("unsubscribe",)),
        ],
    ),
    "postmark": (
        postmark,
        [
            Case({"RecordType": "Delivery", "Details": "250"}, ("delivered",)),
            Case({"RecordType": "Open", "UserAgent": "Mozilla/5.0 (Windows)"}, ("open",)),
            Case({"RecordType": "Open", "UserAgent": "Mozilla/5.0"}, ("open*",)),
            Case({"RecordType": "Open", "UserAgent": " mozilla/5.0 "}, ("open*",)),
            Case({"RecordType": "Click", "OriginalLink": "https://example.com/?a=b"}, ("click",)),
            Case({"RecordType": "Bounce", "Type": "SoftBounce"}, ("soft_bounce",)),
            Case({"RecordType": "Bounce", "Type": "Transient"}, ("soft_bounce",)),
            Case({"RecordType": "Bounce", "Type": "Transient", "Inactive": True}, ("hard_bounce",)),
            Case({"RecordType": "Bounce", "Type": "HardBounce"}, ("hard_bounce",)),
            Case({"RecordType": "Bounce", "Type": "SomethingNew"}, ("hard_bounce",)),
            Case({"RecordType": "Bounce", "Type": "Unsubscribe"}, ("unsubscribe",)),
            Case({"RecordType": "Bounce", "Type": "AutoResponder"}, ("reply",)),
            Case(
                {"RecordType": "Bounce", "Type": "ManuallyDeactivated"}, ("dropped", "unsubscribe")
            ),
            Case({"RecordType": "SpamComplaint", "Type": "SpamComplaint"}, ("complaint",)),
            Case(
                {
                    "RecordType": "SubscriptionChange",
                    "SuppressSending": False,
                    "Origin": "Recipient",
                },
                ("resubscribe",),
            ),
            Case(
                {
                    "RecordType": "SubscriptionChange",
                    "SuppressSending": True,
                    "SuppressionReason": "HardBounce",
                },
                ("hard_bounce",),
            ),
            Case(
                {
                    "RecordType": "SubscriptionChange",
                    "SuppressSending": True,
                    "SuppressionReason": "ManualSuppression",
                },
                ("unsubscribe",),
            ),
        ],
    ),
    "ses": (
        ses,
        [
            Case({"eventType": "Send", "send": {}}, ("sent",)),
            Case({"eventType": "Delivery", "delivery": {"recipients": [ADDRESS]}}, ("delivered",)),
            Case(
                {
                    "eventType": "DeliveryDelay",
                    "deliveryDelay": {"delayedRecipients": [{"emailAddress": ADDRESS}]},
                },
                ("deferred",),
            ),
            Case({"eventType": "Reject", "reject": {"reason": "Bad content"}}, ("dropped",)),
            Case({"eventType": "Rendering Failure", "failure": {}}, ("dropped",)),
            Case({"eventType": "Open", "open": {"userAgent": "Mozilla/5.0 (X11)"}}, ("open",)),
            Case({"eventType": "Open", "open": {"userAgent": "Mozilla/5.0"}}, ("open*",)),
            Case({"eventType": "Click", "click": {"link": "https://example.com/?a"}}, ("click",)),
            Case(_bounce("Transient", "MailboxFull", "4.2.2"), ("soft_bounce",)),
            Case(_bounce("Transient", "General", "5.4.4"), ("hard_bounce",)),
            Case(_bounce("Undetermined", "Undetermined"), ("soft_bounce",)),
            Case(_bounce("Permanent", "General"), ("hard_bounce",)),
            Case(_bounce("Permanent", "OnAccountSuppressionList"), ("dropped", "hard_bounce")),
            Case(
                {
                    "notificationType": "Complaint",
                    "complaint": {
                        "complainedRecipients": [{"emailAddress": ADDRESS}],
                        "complaintFeedbackType": "abuse",
                    },
                },
                ("complaint",),
            ),
            Case(_change({"news": "OptIn"}, {"news": "OptOut"}), ("resubscribe",)),
            Case(_change({"news": "OPT_OUT"}, {"news": "OPT_IN"}), ("unsubscribe",)),
            Case(_change({"all": True}, {}), ("unsubscribe",)),
        ],
    ),
    "customerio": (
        customerio,
        [
            *(
                Case({"metric": metric}, (kind,))
                for metric, kind in (
                    ("sent", "sent"),
                    ("delivered", "delivered"),
                    ("deferred", "deferred"),
                    ("opened", "open"),
                    ("dropped", "dropped"),
                    ("undeliverable", "dropped"),
                    ("bounced", "hard_bounce"),
                    ("spammed", "complaint"),
                )
            ),
            Case({"metric": "opened", "data": {"prefetched": True}}, ("open*",)),
            Case({"metric": "opened", "data": {"proxied": True}}, ("open",)),
            Case({"metric": "clicked", "data": {"href": "https://example.com/?a"}}, ("click",)),
            Case({"metric": "subscribed", "object_type": "customer"}, ("resubscribe",)),
            Case(
                {
                    "metric": "cio_subscription_preferences_changed",
                    "object_type": "customer",
                    "data": {"content": '{"topics": {"topic_7": false, "topic_8": true}}'},
                },
                ("unsubscribe", "resubscribe"),
            ),
            Case({"metric": "unsubscribed", "object_type": "customer"}, ("unsubscribe",)),
        ],
    ),
    "segment": (
        segment,
        [
            Case({"type": "page", "name": "Pricing", "category": "pricing"}, ("page_view",)),
            *(
                Case({"event": name, "properties": properties}, (kind,))
                for name, properties, kind in (
                    ("Email Delivered", {"email_id": "a"}, "delivered"),
                    ("Email Opened", {}, "open"),
                    ("Email Link Clicked", {"link_url": "https://example.com/?a"}, "click"),
                    ("Email Bounced", {"bounce_type": "soft"}, "soft_bounce"),
                    ("Trial Started", {"trial_plan_name": "pro"}, "activity"),
                    ("Order Completed", {"revenue": 25.5}, "purchase"),
                    ("Email Bounced", {}, "hard_bounce"),
                    ("Email Marked as Spam", {}, "complaint"),
                    ("Unsubscribed", {"list_id": "7"}, "unsubscribe"),
                )
            ),
        ],
    ),
    "hubspot": (
        hubspot,
        [
            *(
                Case({"propertyName": name, "propertyValue": value}, (kind,))
                for name, value, kind in (
                    ("lifecyclestage", "marketingqualifiedlead", "stage_changed"),
                    ("hs_email_optout_7", "false", "resubscribe"),
                    ("hs_email_optout_7", "true", "unsubscribe"),
                    ("hs_email_hard_bounce_reason_enum", "UNKNOWN_USER", "hard_bounce"),
                    ("hs_email_optout", "true", "unsubscribe"),
                )
            ),
        ],
    ),
    "cloudevents": (
        cloudevents,
        [
            Case({"type": "com.example.crm.meeting_booked"}, ("meeting_booked",)),
            Case({"type": "x", "data": {"type": "click", "is_machine": True}}, ("click*",)),
            Case({"type": "com.example.unsubscribe", "data": {"topic": "news"}}, ("unsubscribe",)),
        ],
    ),
}


def documented(name: str, at: float, first: int = 1) -> list[tuple[Row, tuple[str, ...]]]:
    """Rows of a sender, a second apart, and the types of what each says."""
    build, cases = CASES[name]
    return [(build(first + i, at + i, case.cells), case.types) for i, case in enumerate(cases)]


def opt_out(name: str, number: int, at: float, **cells: Any) -> Row:
    """A row by which ada refuses mail: the last of each table."""
    build, cases = CASES[name]
    return build(number, at, {**cases[-1].cells, **cells})
