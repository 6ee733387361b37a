"""Hand-offs as tasks of a CRM: the shapes of HubSpot and Salesforce.

Source: HubSpot, CRM API, Tasks (`POST /crm/v3/objects/tasks`) and its association types;
    Salesforce, Object Reference, Task.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nurture_rl.serving.http.handoff_wire import HandoffOut

_TO_CONTACT, _TO_COMPANY = 204, 192  # HubSpot's types of a task's associations
_LONGEST_SUBJECT = 255  # characters, Salesforce
_LONGEST_BODY = 32_000  # characters, Salesforce


@dataclass(frozen=True, slots=True)
class CrmIds:
    """How a CRM calls a contact."""

    contact: str
    account: str | None = None
    owner: str | None = None  # who gets the task; None: whom the CRM chooses


def hubspot_task(one: HandoffOut, ids: CrmIds, opener: str | None) -> dict[str, Any]:
    """A task as HubSpot takes it.

    Args:
        one: the hand-off.
        ids: of HubSpot.
        opener: the text of the suggested message; None: its name alone.
    """
    properties = {
        "hs_timestamp": one.due_at or one.opened_at,
        "hs_task_subject": _subject(one),
        "hs_task_body": _body(one, opener),
        "hs_task_status": "NOT_STARTED",
        "hs_task_priority": "HIGH",
        "hs_task_type": "CALL",
    }
    if ids.owner is not None:
        properties["hubspot_owner_id"] = ids.owner
    to = [(ids.contact, _TO_CONTACT)]
    to += [] if ids.account is None else [(ids.account, _TO_COMPANY)]
    return {
        "properties": properties,
        "associations": [
            {
                "to": {"id": name},
                "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": kind}],
            }
            for name, kind in to
        ],
    }


def salesforce_task(one: HandoffOut, ids: CrmIds, opener: str | None) -> dict[str, Any]:
    """A task as Salesforce takes it; arguments as of `hubspot_task`."""
    named = {"WhoId": ids.contact, "WhatId": ids.account, "OwnerId": ids.owner}
    return {
        "Subject": _subject(one),
        "Description": _body(one, opener),
        "Status": "Not Started",
        "Priority": "High",
        "ActivityDate": (one.due_at or one.opened_at)[:10],
        **{name: value for name, value in named.items() if value is not None},
    }


def _subject(one: HandoffOut) -> str:
    about = f" about {one.topics[0]}" if one.topics else ""
    wanted = "Call" if one.opened_by == "escalation" else "Answer"
    return f"{wanted} {one.contact_id}{about}"[:_LONGEST_SUBJECT]


def _body(one: HandoffOut, opener: str | None) -> str:
    """All of a packet in lines, the most urgent first."""
    lines = [f"Hand-off {one.handoff_id} of journey {one.journey}, opened {one.opened_at}."]
    lines += [f"Until {one.due_at} no automatic mail goes."] if one.due_at else []
    lines += [f"Also waiting in this account: {', '.join(one.colleagues)}."] * bool(one.colleagues)
    lines += ["", "Why now:", *one.why]
    lines += ["", "Did last:", *(_line(_cells(signal)) for signal in one.signals)]
    lines += ["", "Cares for: " + (", ".join(one.topics) or "nothing known")]
    lines += ["", "Got:", *(_line(_cells(mail)) for mail in one.messages)]
    if one.opener is not None:
        lines += ["", f"To begin with: {one.opener.message} ({one.opener.call_to_action})"]
        lines += [opener] if opener else []
    lines += ["", f"Answered by an event of: {', '.join(one.answers)}."]
    return "\n".join(lines)[:_LONGEST_BODY]


def _cells(struct: Any) -> Mapping[str, Any]:
    """The fields of a row by name."""
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


def _line(cells: Mapping[str, Any]) -> str:
    return "- " + ", ".join(str(value) for value in cells.values() if value)
