"""HubSpot's email events, and the history of lifecycle stages, in our words.

Source: HubSpot's developer documentation, Email events API; knowledge base, Use lifecycle stages:
    automatic updates only move forward.
"""

from __future__ import annotations

from typing import Any

from nurture_rl.logs.device_rules import device_of
from nurture_rl.logs.reported.report_format import (
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
    moment,
    plain_word,
    text_of,
    told,
    with_listed,
)

LIFECYCLE = (
    *("subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity"),
    *("customer", "evangelist"),
)
# Its words for stages that nearly every journey has, and ours.
OUR_STAGES = {"marketingqualifiedlead": "mql", "salesqualifiedlead": "sql"}
_KINDS = {
    "sent": "sent",
    "delivered": "delivered",
    "deferred": "deferred",
    "open": "open",
    "click": "click",
    "spamreport": "complaint",
    "dropped": "dropped",
    "bounce": "hard_bounce",
    "statuschange": "",  # by the state that it changes to
}
_NEUTRAL = ("processed", "print", "forward", "unbounce", "suppressed")  # none, or told by another
# Categories of a bounce after which the address may still be good.
_SOFT = (
    *("mailbox_full", "throttled", "timeout", "policy", "spam", "content", "greylisting"),
    *("temporary_problem", "dmarc", "ip_reputation", "domain_reputation", "general_transient"),
)
# Why it sent nothing: the address is on one of its lists.
_ON_LIST = {
    "previously_bounced": "hard_bounce",
    "invalid_to_address": "hard_bounce",
    "previously_unsubscribed_message": "unsubscribe",
    "previously_unsubscribed_portal": "unsubscribe",
    "previous_spam": "unsubscribe",
}
_STAMP, _STAMPED = "hs_lifecyclestage_", "_date"


def _email_events(row: Row) -> list[ReportedEvent]:
    """What an email event says. Its id and moment together are its key."""
    word = plain_word(row.get("type"))
    if word not in _KINDS:
        known = ", ".join(_KINDS)
        text = f"unknown type {str(row.get('type'))[:200]!r}; known are {known} - at `$.type`"
        raise UntranslatedRow(text, may_forbid_mail=word not in _NEUTRAL)
    kind = _KINDS[word]
    if word == "statuschange":
        kind = _status(row)
    elif word == "bounce" and plain_word(row.get("category")) in _SOFT:
        kind = "soft_bounce"
    cells = given(
        {
            "event_id": made_id("hubspot", (row.get("id"), row.get("created"))),
            "occurred_at": moment(row.get("created"), 1000),
            "type": kind,
            "source": "hubspot",
            "message_id": inside(row, "sentBy").get("id")
            or (row.get("id") if kind == "sent" else None),
            "is_machine": kind in ("open", "click") and _is_machine(row),
            "properties": told(
                {
                    "campaign": argument("emailCampaignId", row),
                    "reason": row.get("dropReason") or row.get("category"),
                    "status": row.get("status"),
                    "response": row.get("response"),
                    "url": link(row.get("url")),
                    "device": device_of(row.get("deviceType"), row.get("userAgent")),
                    "group": "hubspot" if kind in ("unsubscribe", "resubscribe") else None,
                }
            ),
        }
    )
    listed = _ON_LIST.get(plain_word(row.get("dropReason"))) if kind == "dropped" else None
    return with_listed(ReportedEvent(cells, text_of(row.get("recipient"))), listed)


def _is_machine(row: Row) -> bool:
    """Whether HubSpot filtered the event as a program's."""
    agent = row.get("userAgent")
    return row.get("filteredEvent") in (True, "true") or is_prefetched(agent)


def _status(row: Row) -> str:
    """What a change of subscription says: one that is refused, of all or of some, counts first."""
    states = [plain_word(row.get("portalSubscriptionStatus"))]
    subscriptions = row.get("subscriptions")
    for one in subscriptions if isinstance(subscriptions, list) else []:
        states.append(plain_word(one.get("status")) if isinstance(one, dict) else "")
    if any(one.startswith("unsubscribed") for one in states):
        return "unsubscribe"
    if "subscribed" in states:
        return "resubscribe"
    raise UntranslatedRow("a change of subscription that says neither SUBSCRIBED nor UNSUBSCRIBED")


def _lifecycle_events(row: Row) -> list[ReportedEvent]:
    """Stages of a contact: one change of its history, or all its stamps at once."""
    name = argument("vid", row) or argument("contactId", row) or argument("objectId", row)
    name = name or argument("hs_object_id", row) or argument("Record ID", row)
    email = text_of(argument("email", row) or argument("Email", row))
    keys = () if name is None else (f"hubspot:{name}",)
    if not keys and email is None:
        raise UntranslatedRow("expected hs_object_id, vid or email: the row names nobody", False)
    changes = _stamps(row) or _change(row)
    return [
        ReportedEvent(
            given(
                {
                    "event_id": made_id("hubspot", (name or email, stage, at)),
                    "occurred_at": moment(at, 1000),
                    "type": "stage_changed",
                    "source": "hubspot",
                    "stage": OUR_STAGES.get(stage, stage),
                    "is_machine": False,
                    "properties": told({"stage": stage, "by": row.get("sourceType")}),
                }
            ),
            email,
            keys,
        )
        for stage, at in changes
    ]


def _stamps(row: Row) -> list[tuple[str, Any]]:
    """When each stage was reached, where the row is a contact."""
    return [
        (name.removeprefix(_STAMP).removesuffix(_STAMPED), cell)
        for name, cell in row.items()
        if name.startswith(_STAMP) and name.endswith(_STAMPED) and cell not in (None, "")
    ]


def _change(row: Row) -> list[tuple[str, Any]]:
    """One change, where the row is a part of the history of a property."""
    about = plain_word(row.get("property") or row.get("propertyName") or "lifecyclestage")
    if about != "lifecyclestage":
        raise UntranslatedRow(f"the property {about[:50]!r} is no stage", may_forbid_mail=False)
    stage = plain_word(row.get("value") or row.get("propertyValue"))
    at = row.get("timestamp") or row.get("occurredAt")
    if not stage or at is None:
        raise UntranslatedRow("expected a stage in `value` and its moment in `timestamp`", False)
    return [(stage, at)]


HUBSPOT_EMAIL = ReportFormat("hubspot_email", _email_events)
HUBSPOT_LIFECYCLE = ReportFormat(
    "hubspot_lifecycle", _lifecycle_events, is_timeline=True, stages=LIFECYCLE
)
