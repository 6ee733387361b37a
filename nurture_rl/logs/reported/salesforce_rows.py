"""Salesforce's histories of leads and opportunities in our words.

Source: Salesforce's object reference, OpportunityHistory, OpportunityFieldHistory, LeadHistory.
"""

from __future__ import annotations

import re
from typing import Any

from nurture_rl.logs.reported.crm_words import amount_of, closed_event
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
    plain_word,
    text_of,
    told,
)

_ID = re.compile(r"[0-9A-Za-z]{15}([0-9A-Za-z]{3})?")
_STAGES = ("stagename", "status")  # fields whose changes are stages
# Fields of an opportunity's history that say why it ended; CRMs name their own.
_REASON = re.compile(r"(closed?_?)?(?P<ended>lost|loss|won|win)_?reason(__c)?")
_ENDED = {"lost": "lost", "loss": "lost", "won": "won", "win": "won"}
# Who is meant, most telling first. An opportunity has several people: it names one where no other
# does, and it is no key beside a person, or it would make one person of them all.
_PEOPLE = {"ContactId": "contact", "ConvertedContactId": "contact", "LeadId": "lead"}


def _events(row: Row) -> list[ReportedEvent]:
    """The stage that a row of a history tells."""
    why = _REASON.fullmatch(plain_word(row.get("Field")))
    stage, before = _stage(row) if why is None else (None, None)
    opportunity, at = _id(row.get("OpportunityId")), _time(row.get("CreatedDate"))
    keys = tuple(
        f"{kind}:{name}" for column, kind in _PEOPLE.items() if (name := _id(row.get(column)))
    )
    email = text_of(row.get("Email"))
    if not keys and email is None:
        if opportunity is None:
            people = ", ".join((*_PEOPLE, "OpportunityId", "Email"))
            raise UntranslatedRow(f"expected one of {people}: the row names nobody", False)
        keys = (f"opportunity:{opportunity}",)
    own = argument("Id", row)
    parts = (own,) if own else (*keys, opportunity, stage, at)
    if why is not None:
        cells = _closed(row, _ENDED[why["ended"]], at)
    else:
        cells = {
            "occurred_at": at,
            "type": "stage_changed",
            "stage": stage,
            "value": amount_of(argument("Amount", row)),
            "properties": told({"stage": stage, "before": before, "opportunity": opportunity}),
        }
    cells |= {
        "event_id": made_id("salesforce", parts if why is None else (*parts, "closed")),
        "source": "salesforce",
        "is_machine": False,
    }
    return [ReportedEvent(given(cells), email, keys)]


def _closed(row: Row, ended: str, at: Any) -> dict[str, Any]:
    """Why an opportunity ended; a reason that was taken away says nothing."""
    if (reason := text_of(row.get("NewValue"))) is None:
        raise UntranslatedRow("expected why the opportunity ended in `NewValue`", False)
    return closed_event(ended, reason, at)


def _stage(row: Row) -> tuple[str, Any]:
    """The stage of a row, and the one of before where it is told."""
    if (stage := text_of(row.get("StageName"))) is not None:
        return stage, None
    about = str(row.get("Field") or "")
    if about.lower() == "leadconverted":
        return "converted", row.get("OldValue")
    if about.lower() not in _STAGES:
        known = "StageName, Status, leadConverted, and Loss_Reason__c and the like"
        text = f"the field {about[:50]!r} is no stage and no reason of an end; known are {known}"
        raise UntranslatedRow(text, may_forbid_mail=False)
    if (stage := text_of(row.get("NewValue"))) is None:
        raise UntranslatedRow("expected a stage in `NewValue`", may_forbid_mail=False)
    return stage, row.get("OldValue")


def _id(name: Any) -> str | None:
    """An id in its form of 15 signs, whichever an export has; capitals tell ids apart in it."""
    return name[:15] if isinstance(name, str) and _ID.fullmatch(name) else None


def _time(cell: Any) -> Any:
    """A moment as exports write it: 2027-03-01T09:00:00.000+0000."""
    return re.sub(r"([+-]\d{2})(\d{2})$", r"\1:\2", cell) if isinstance(cell, str) else cell


SALESFORCE = ReportFormat("salesforce", _events, is_timeline=True)
