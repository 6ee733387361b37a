"""Changes of contacts that HubSpot's webhooks report, in our words.

Source: HubSpot's developer documentation, Webhooks API; contact properties of email.
"""

from __future__ import annotations

import re

from nurture_rl.logs.reported.hubspot_rows import OUR_STAGES
from nurture_rl.logs.reported.report_format import (
    ReportedEvent,
    ReportFormat,
    Row,
    UntranslatedRow,
)
from nurture_rl.logs.reported.reported_cells import (
    argument,
    given,
    made_id,
    moment,
    plain_word,
    told,
)

_CHANGE = ("contact.propertychange", "object.propertychange")
_STAGE, _BOUNCED = "lifecyclestage", "hs_email_hard_bounce_reason_enum"
_OPT_OUT = re.compile(r"hs_email_optout(_[0-9]+)?")  # of everything, or of one kind of mail
_NEUTRAL = re.compile(r"(contact|company|deal|ticket|product|line_item|conversation|object)\..*")
_FORGET = "contact.privacydeletion"


def _events(row: Row) -> list[ReportedEvent]:
    """What a change says of a contact, whose id is HubSpot's own."""
    about = plain_word(row.get("subscriptionType"))
    if about == _FORGET:
        raise UntranslatedRow(
            f"{row['subscriptionType']}: the contact must be erased; use the verb erase"
        )
    name, value = plain_word(row.get("propertyName")), plain_word(row.get("propertyValue"))
    if about not in _CHANGE or not name:
        neutral = about not in _CHANGE and _NEUTRAL.fullmatch(about) is not None
        text = f"no word of ours for {str(row.get('subscriptionType'))[:200]!r}"
        raise UntranslatedRow(f"{text} - at `$.subscriptionType`", may_forbid_mail=not neutral)
    kind = _kind(name, value)
    group = f"hubspot {name}" if kind in ("unsubscribe", "resubscribe") else None
    who = argument("objectId", row)
    cells = {
        "event_id": made_id("hubspot", (row.get("eventId"), who, name, row.get("occurredAt"))),
        "contact_id": who,
        "occurred_at": moment(row.get("occurredAt"), 1000),
        "type": kind,
        "source": "hubspot",
        "stage": OUR_STAGES.get(value, value) if kind == "stage_changed" else None,
        "is_machine": False,
        "properties": told(
            {
                "stage": value if kind == "stage_changed" else None,
                "by": row.get("changeSource"),
                "group": group,
            }
        ),
    }
    return [ReportedEvent(given(cells))]


def _kind(name: str, value: str) -> str:
    """What a change of a property says."""
    if name == _STAGE and value:
        return "stage_changed"
    if name == _BOUNCED and value:
        return "hard_bounce"
    if _OPT_OUT.fullmatch(name):
        return "resubscribe" if value in ("false", "") else "unsubscribe"
    may = "optout" in name or "bounce" in name or "unsubscribe" in name
    raise UntranslatedRow(f"the property {name[:100]!r} has no word of ours", may_forbid_mail=may)


HUBSPOT = ReportFormat("hubspot", _events, names_mails=False)
