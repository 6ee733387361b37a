"""Stages that a CRM's history tells, as one timeline of each contact."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime

from nurture_rl.logs.reported.report_format import ReportedEvent

Placed = tuple[int, ReportedEvent]  # with the line of the file


def along_timeline(
    events: Sequence[Placed], order: Sequence[str] = ()
) -> tuple[list[Placed], list[tuple[int, ReportedEvent, str]]]:
    """The events that move a contact on, and the others with why they do not.

    A history has a row for every change of an amount or a date, too: a stage counts where it is
    another than before. Where the stages have an order, a timeline only moves forward.

    Args:
        events: with the stage in the CRM's word as the property `stage`; others are kept.
        order: stages in the CRM's words, from first to last; empty: any change counts.

    Returns:
        Events in their order of before; and those set aside with the reason.
    """
    rank = {stage: place for place, stage in enumerate(order)}
    timelines: dict[str, list[Placed]] = defaultdict(list)
    for placed in events:
        timelines[_whose(placed[1])].append(placed)
    against: dict[int, str] = {}
    for timeline in timelines.values():
        seen: list[str] = []
        for _, event in sorted(timeline, key=lambda one: _moment(one[1])):
            stage = _stage(event)
            if stage is None:
                continue
            furthest = max((rank[one] for one in seen if one in rank), default=-1)
            if seen and seen[-1] == stage:
                against[id(event)] = f"the stage {stage!r} is the one of before"
            elif rank.get(stage, furthest + 1) <= furthest:
                against[id(event)] = f"the stage {stage!r} lies before {order[furthest]!r}"
            else:
                seen.append(stage)
    kept = [one for one in events if id(one[1]) not in against]
    aside = [(line, one, against[id(one)]) for line, one in events if id(one) in against]
    return kept, aside


def _whose(event: ReportedEvent) -> str:
    """Whose timeline it is: a person has one for each opportunity."""
    inner = event.cells.get("properties")
    own = inner.get("opportunity") if isinstance(inner, dict) else None
    name = event.cells.get("contact_id") or next(iter(event.keys), None) or event.recipient
    return f"{name}\x1f{own}"


def _moment(event: ReportedEvent) -> datetime:
    """When it happened; what is no time is refused later and comes first here."""
    try:
        found = datetime.fromisoformat(str(event.cells.get("occurred_at")))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _stage(event: ReportedEvent) -> str | None:
    inner = event.cells.get("properties")
    stage = inner.get("stage") if isinstance(inner, dict) else None
    return stage if isinstance(stage, str) and event.cells.get("type") == "stage_changed" else None
