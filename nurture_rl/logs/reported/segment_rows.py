"""Calls of the Segment specification in our words: track, page, identify, group, alias.

RudderStack uses the same shape.

Source: Segment's documentation, Spec: Common, Email events, B2B SaaS.
"""

from __future__ import annotations

from typing import Any

from nurture_envs.stops import OTHER_TYPES, forbids, plain, say_of
from nurture_rl.logs.device_rules import device_of
from nurture_rl.logs.reported.report_format import (
    CONTACT,
    DECISION,
    TOPIC,
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
    own_id,
    plain_word,
    text_of,
    told,
)

# Names of `track` that have a word of ours, in small letters with underscores.
_TRACKED = {
    "email_sent": "sent",
    "email_delivered": "delivered",
    "email_deferred": "deferred",
    "email_opened": "open",
    "email_link_clicked": "click",
    "email_bounced": "hard_bounce",
    "email_marked_as_spam": "complaint",
    "unsubscribed": "unsubscribe",
    "email_unsubscribed": "unsubscribe",
    "email_suppressed": "dropped",
    "email_failed": "dropped",
    "form_submitted": "form_submitted",
    "order_completed": "purchase",
    "page_viewed": "page_view",
}
_GROUPED = ("unsubscribe", "resubscribe")
_SEEN = ("page", "screen")
_WHO = ("identify", "group", "alias")
_DATES = ("trial_start_date", "trial_end_date", "trial_plan_name", "plan")


def _unwrap(body: Row) -> list[Any]:
    """The calls of a batch, or one call."""
    batch = body.get("batch")
    return batch if isinstance(batch, list) else [body]


def _events(row: Row) -> list[ReportedEvent]:
    """What a call says that happened; who somebody is is no event."""
    call = plain_word(row.get("type"))
    if call in _WHO:
        return []
    properties, context = inside(row, "properties"), inside(row, "context")
    kind, said = _kind(row, call, properties)
    traits = inside(context, "traits")
    email = argument("email", properties, traits, inside(row, "traits"))
    cells = given(
        {
            "event_id": own_id("segment", row.get("messageId")),
            "contact_id": argument(CONTACT, properties) or argument("userId", row),
            "occurred_at": row.get("timestamp") or row.get("originalTimestamp"),
            "type": kind,
            "source": "segment",
            "decision_id": argument(DECISION, properties),
            "topic": argument(TOPIC, properties),
            "page_category": _page_category(row, properties) if kind == "page_view" else None,
            "value": _value(properties) if kind == "purchase" else None,
            "is_machine": kind in ("open", "click") and properties.get("machine") is True,
            "properties": told(
                {
                    "event": said,
                    "email_id": properties.get("email_id"),
                    "campaign": argument("campaign_name", properties)
                    or inside(context, "campaign").get("name"),
                    "url": link(_url(properties, context)),
                    "device": device_of(
                        inside(context, "device").get("type"), context.get("userAgent")
                    ),
                    "group": _list_of(properties) if kind in _GROUPED else None,
                    **{name: properties.get(name) for name in _DATES},
                }
            ),
        }
    )
    return [ReportedEvent(cells, text_of(email), _keys(row))]


def _kind(row: Row, call: str, properties: Row) -> tuple[str, Any]:
    """Our word for a call, and its own name."""
    if call in _SEEN:
        return "page_view", row.get("name") or properties.get("name")
    if call != "track":
        known = ", ".join(("track", *_SEEN, *_WHO))
        text = f"unknown type {str(row.get('type'))[:200]!r}; known are {known} - at `$.type`"
        raise UntranslatedRow(text)
    name = text_of(row.get("event"))
    if name is None:
        raise UntranslatedRow("expected the name of what was tracked - at `$.event`")
    word = plain(name)
    if word == "email_bounced" and plain_word(properties.get("bounce_type")) in (
        "soft",
        "transient",
    ):
        return "soft_bounce", name
    if forbids(say_of(word, None)):
        return OTHER_TYPES.get(word, word), name
    return _TRACKED.get(word, "activity"), name


def _contacts(row: Row) -> list[ReportedContact]:
    """Who somebody is. A group is an account: never a key, which would make one person of all."""
    call = plain_word(row.get("type"))
    if call not in _WHO:
        return []
    context, traits = inside(row, "context"), inside(row, "traits")
    email = text_of(argument("email", traits, inside(context, "traits")))
    keys = _keys(row, *((f"email:{email.lower()}",) if email else ()))
    if call == "alias" and (before := text_of(argument("previousId", row))):
        keys = (*keys, f"anonymous:{before}", f"id:{before}")
    cells = given(
        {
            "contact_id": argument("userId", row),
            "account_id": argument("groupId", row, context) if call != "alias" else None,
            "time_zone": text_of(context.get("timezone")) if call == "identify" else None,
        }
    )
    if "contact_id" not in cells and not keys:
        raise UntranslatedRow("expected userId or anonymousId: the call names nobody", False)
    return [ReportedContact(cells, keys)]


def _keys(row: Row, *more: str) -> tuple[str, ...]:
    name = argument("anonymousId", row)
    return ((f"anonymous:{name}",) if isinstance(name, str) else ()) + more


def _page_category(row: Row, properties: Row) -> str | None:
    return text_of(argument("category", row, properties))


def _url(properties: Row, context: Row) -> Any:
    return argument("link_url", properties) or argument("url", properties, inside(context, "page"))


def _value(properties: Row) -> Any:
    return properties.get("revenue", properties.get("total"))


def _list_of(properties: Row) -> str | None:
    name = argument("list_id", properties) or argument("list_name", properties)
    return None if name is None else f"segment {str(name)[:100]}"


SEGMENT = ReportFormat("segment", _events, _unwrap, _contacts, names_mails=False)
