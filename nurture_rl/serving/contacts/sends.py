"""The mail that contacts got or will get: events and plans, each mail once."""

from __future__ import annotations

from collections.abc import Mapping

from nurture_envs.journey import ALL, Group, Journey
from nurture_envs.once import once
from nurture_rl.serving.records import ContactView, Planned
from nurture_rl.serving.storage.stored_events import events_that, is_report_of_send

Send = tuple[int, str | None]  # the moment, microseconds since 1970 UTC, and the message


def sends_of(view: ContactView) -> list[Send]:
    """Every send of a contact that limits can see, made or planned."""
    made, planned = told_sends(view)
    return made + [(plan.at_us, plan.message_id) for plan in planned]


def told_sends(view: ContactView) -> tuple[list[Send], tuple[Planned, ...]]:
    """The sends that events tell of, and the plans that no event names."""
    plans = {plan.decision_id: plan for plan in view.sends}
    made = [] if view.state is None else list(view.state.sends)
    for event in events_that(view.events, is_report_of_send):
        plan = plans.pop(event.decision_id or "", None)
        # Many senders put an id of their own there: the plan knows which message it was.
        made.append((event.occurred_us, plan.message_id if plan else event.message_id))
    return made, tuple(plans.values())


@once
def groups_of(journey: Journey) -> Mapping[str, tuple[Group, ...]]:
    """The groups of each message of a journey, by its id."""
    return {message.id: message.groups for message in journey.messages}


def is_among(own: tuple[Group, ...] | None, group: Group) -> bool:
    """Whether a send counts for a group: one of a message with these groups, None: unknown."""
    return group == ALL or (group[0] == "channel" if own is None else group in own)
