"""The JSON of confirmations and of one recorded decision, and its way from records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import msgspec

from nurture_rl.serving.http.wire import MAX_ROWS, DecisionOut, Id, Moment, decision_out, iso
from nurture_rl.serving.records import Confirmation, Decision, Event, Fate
from nurture_rl.serving.unsubscribing import UnsubscribeLinks

# planned: a send that nothing was said of yet; made: anything but a send, or a call
Status = Literal["planned", "confirmed", "sent", "withdrawn", "made"]


class ConfirmIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether one decision is to be carried out now; an empty body says the same."""

    now: Moment | None = None  # only on a server with a simulated clock


class ConfirmationsIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Decisions to confirm."""

    ids: Annotated[list[Id], msgspec.Meta(min_length=1, max_length=MAX_ROWS)]
    now: Moment | None = None  # only on a server with a simulated clock


class ConfirmationOut(msgspec.Struct, frozen=True):
    """Whether a decision is to be carried out now. Only `send` sends."""

    decision_id: str
    status: Literal["send", "withdrawn", "early", "no_send", "unknown"]
    reason: str | None  # unless it is to be sent
    contact_id: str | None
    action: str | None
    journey: str | None  # whose message it is
    scheduled_at: str | None  # when a send leaves
    confirmed_at: str | None  # when it was first told to leave


class ConfirmationsOut(msgspec.Struct, frozen=True):
    """One answer per id, in order."""

    confirmations: list[ConfirmationOut]


class DecisionState(msgspec.Struct, frozen=True):
    """A recorded decision and what became of it."""

    decision: DecisionOut
    status: Status
    at: str | None  # when it was confirmed or withdrawn, or of the event that proves that it went
    reason: str | None  # of a withdrawal


def confirmation_out(decision_id: str, found: Confirmation | None) -> ConfirmationOut:
    """An answer to a confirmation as it goes over the wire."""
    if found is None:
        text = f"no decision has the id {decision_id!r}"
        return ConfirmationOut(decision_id, "unknown", text, None, None, None, None, None)
    decision = found.decision
    return ConfirmationOut(
        decision_id,
        found.status,  # type: ignore[arg-type]
        found.reason,
        decision.contact_id,
        decision.action,
        decision.journey,
        iso(decision.scheduled_us),
        iso(found.confirmed_us),
    )


def state_out(
    decision: Decision,
    fate: Fate,
    went: Event | None,
    catalogs: Mapping[str, Sequence[str]],
    links: UnsubscribeLinks,
) -> DecisionState:
    """A recorded decision as it goes over the wire.

    Args:
        decision: the decision.
        fate: what became of it.
        went: the event that proves that it was carried out, if there is one.
        catalogs: as of `answer_out`, and `links` too.
    """
    return DecisionState(decision_out(decision, catalogs, links), *status_of(decision, fate, went))


def status_of(
    decision: Decision, fate: Fate, went: Event | None
) -> tuple[Status, str | None, str | None]:
    """Status, moment and reason of a recorded decision; arguments as of `state_out`."""
    if went is not None and decision.scheduled_us is not None:
        return "sent", iso(went.occurred_us), fate.reason
    if fate.withdrawn_us is not None and went is None:
        return "withdrawn", iso(fate.withdrawn_us), fate.reason
    if fate.confirmed_us is not None:
        return "confirmed", iso(fate.confirmed_us), None
    return ("made" if decision.scheduled_us is None else "planned"), None, None
