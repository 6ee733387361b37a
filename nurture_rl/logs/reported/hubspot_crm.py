"""Deals and meetings of HubSpot's CRM in our words, as exported or as its API gives them.

Source: HubSpot's developer documentation, default properties of deals and of meetings. Exports have
the properties' labels as columns.
"""

from __future__ import annotations

import re
from typing import Any

from nurture_rl.logs.reported.crm_words import closed_event
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
    made_id,
    moment,
    plain_word,
    text_of,
)

_OUTCOMES = {
    "scheduled": "meeting_booked",
    "completed": "meeting_held",
    "no_show": "meeting_no_show",
}
_LOST, _WON = re.compile(r"closed.?lost|^lost"), re.compile(r"closed.?won|^won")


def _events(row: Row) -> list[ReportedEvent]:
    """What a deal or a meeting says of each person that it names."""
    own = {**row, **inside(row, "properties")}
    name = argument("hs_object_id", own) or argument("Record ID", own) or argument("id", own)
    outcome = argument("hs_meeting_outcome", own) or argument("Meeting outcome", own)
    cells = _meeting(own, str(outcome)) if outcome is not None else _deal(own)
    email = text_of(argument("email", own) or argument("Email", own))
    people = _people(own)
    if not people and email is None:
        raise UntranslatedRow("expected Associated Contact IDs: the row names nobody", False)
    what = (name, cells["type"], cells.get("topic"), cells.get("occurred_at"))
    told = given({**cells, "source": "hubspot", "is_machine": False})
    named = [
        ({"event_id": made_id("hubspot", (*what, who))}, (f"hubspot:{who}",)) for who in people
    ]
    if not named:
        return [ReportedEvent({**told, "event_id": made_id("hubspot", (*what, email))}, email)]
    return [ReportedEvent({**told, **own_id}, None, keys) for own_id, keys in named]


def _deal(row: Row) -> dict[str, Any]:
    """How a deal ended; one that is open says nothing here."""
    stage = plain_word(argument("dealstage", row) or argument("Deal Stage", row))
    won = argument("closed_won_reason", row) or argument("Closed Won Reason", row)
    lost = argument("closed_lost_reason", row) or argument("Closed Lost Reason", row)
    if _LOST.search(stage) or (not stage and lost is not None):
        reason, ended = lost, "lost"
    elif _WON.search(stage) or (not stage and won is not None):
        reason, ended = won, "won"
    else:
        raise UntranslatedRow(f"the deal stage {stage[:50]!r} is neither won nor lost", False)
    at = argument("closedate", row) or argument("Close Date", row)
    if at is None:
        raise UntranslatedRow("expected the day of the end in closedate or Close Date", False)
    amount = argument("amount", row) or argument("Amount", row)
    return closed_event(ended, reason, moment(at, 1000), amount)


def _meeting(row: Row, outcome: str) -> dict[str, Any]:
    """A meeting that was booked, held, or to which nobody came."""
    kind = _OUTCOMES.get(re.sub(r"[^a-z]+", "_", plain_word(outcome)))
    if kind is None:
        raise UntranslatedRow(f"the meeting outcome {outcome[:50]!r} has no word of ours", False)
    made = argument("hs_createdate", row) or argument("Create date", row)
    held = argument("hs_meeting_start_time", row) or argument("Meeting start time", row)
    at = made if kind == "meeting_booked" else held
    if at is None:
        raise UntranslatedRow(
            "expected hs_meeting_start_time, or hs_createdate of a booking", False
        )
    return {"type": kind, "occurred_at": moment(at, 1000)}


def _people(row: Row) -> list[str]:
    """HubSpot's ids of the contacts of a row; tables write whole numbers as 7.0, too."""
    told = argument("Associated Contact IDs", row) or argument("contactId", row)
    cells = told if isinstance(told, list) else [told]
    numbers = [isinstance(one, int | float) and not isinstance(one, bool) for one in cells]
    texts = [
        f"{one:.0f}" if is_number and one % 1 == 0 else one if isinstance(one, str) else ""
        for one, is_number in zip(cells, numbers, strict=True)
    ]
    found = [re.sub(r"^(\d+)\.0+$", r"\1", one) for one in re.split(r"[;,\s]+", ";".join(texts))]
    return list(dict.fromkeys(one for one in found if one))


HUBSPOT_CRM = ReportFormat("hubspot_crm", _events)
