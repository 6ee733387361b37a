"""The table that a batch of decisions leaves to the sender: a row per decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import and_, or_
from typing import Any

import numpy as np
import pyarrow as pa

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import local_microseconds
from nurture_envs.guardrails import reason_names
from nurture_rl.logs.schema import UTC_TIME
from nurture_rl.serving.records import Decision
from nurture_rl.serving.storage.reading import message_of
from nurture_rl.serving.unsubscribing import UnsubscribeLinks

CHOSEN = "chosen"  # mail was allowed, and the policy sent none
HELD_OUT = "holdout"  # an experiment sends the contact nothing
SENT = pa.schema(
    [
        pa.field("contact_id", pa.string(), nullable=False),
        pa.field("journey", pa.string(), nullable=False),
        pa.field("action", pa.string(), nullable=False),
        # What is to be sent; null: nothing is. Nobody is to get mail for a row without it.
        pa.field("message", pa.string()),
        pa.field("send_at", UTC_TIME),  # when it leaves
        pa.field("send_at_local", pa.timestamp("us")),  # the same on the contact's clock
        pa.field("time_zone", pa.string(), nullable=False),  # IANA name of that clock
        pa.field("confirm_by", UTC_TIME),  # a send that is not confirmed by then is none
        # Why nothing is sent: what stands against every mail, CHOSEN, why the policy was not
        # asked, or why the decision was taken back.
        pa.field("reason", pa.string()),
        pa.field("decision_id", pa.string(), nullable=False),
        pa.field("propensity", pa.float64(), nullable=False),
        pa.field("policy_id", pa.string(), nullable=False),
        pa.field("arm", pa.string(), nullable=False),
        pa.field("decided_at", UTC_TIME, nullable=False),
        pa.field("list_unsubscribe", pa.string()),  # the header of RFC 8058; null without an URL
    ]
)
_OF_SENDS = ("message", "send_at", "send_at_local", "confirm_by", "list_unsubscribe")


def table_of(
    decisions: Sequence[Decision],
    zones: Sequence[str],
    catalogs: Mapping[str, ActionCatalog],
    links: UnsubscribeLinks,
) -> pa.Table:
    """Rows of decisions.

    Args:
        decisions: what was decided, [n].
        zones: IANA name of each contact's zone, [n].
        catalogs: the actions of each journey, by its name.
        links: give the header of one-click unsubscribe, or none.
    """
    sends = {name: np.flatnonzero(one.routed("send")).tolist() for name, one in catalogs.items()}
    at_us = [d.scheduled_us for d in decisions]
    columns: dict[str, Sequence[Any]] = {
        "contact_id": [d.contact_id for d in decisions],
        "journey": [d.journey for d in decisions],
        "action": [d.action for d in decisions],
        "message": [message_of(d.action) for d in decisions],
        "send_at": at_us,
        "send_at_local": _local(at_us, zones),
        "time_zone": zones,
        "confirm_by": [d.confirm_by_us for d in decisions],
        "reason": [_reason(d, sends[d.journey]) for d in decisions],
        "decision_id": [d.decision_id for d in decisions],
        "propensity": [d.propensity for d in decisions],
        "policy_id": [d.policy_id for d in decisions],
        "arm": [d.arm for d in decisions],
        "decided_at": [d.decided_us for d in decisions],
        "list_unsubscribe": [_header(d, links) for d in decisions],
    }
    return pa.table({f.name: pa.array(columns[f.name], f.type) for f in SENT}, schema=SENT)


def taken_back(table: pa.Table, why: Mapping[str, str]) -> pa.Table:
    """The same rows with nothing to send for decisions that must not be carried out any more.

    Args:
        table: as of `table_of`.
        why: the reason by decision id.
    """
    if not why:
        return table
    rows = table.to_pylist()
    for row in rows:
        if row["decision_id"] in why:
            row |= dict.fromkeys(_OF_SENDS) | {"reason": why[row["decision_id"]]}
    return pa.Table.from_pylist(rows, schema=SENT)


def _header(decision: Decision, links: UnsubscribeLinks) -> str | None:
    if decision.scheduled_us is None:
        return None
    return links.headers(decision.contact_id).get("List-Unsubscribe")


def _reason(decision: Decision, sends: Sequence[int]) -> str | None:
    """Why a decision sends nothing; None where it sends."""
    if decision.scheduled_us is not None:
        return None
    if decision.note is not None:
        return decision.note
    if decision.arm == HELD_OUT:
        return HELD_OUT
    against = [decision.reasons[place] for place in sends]
    if not all(against) or not against:
        return CHOSEN
    return ", ".join(reason_names(reduce(and_, against) or reduce(or_, against)))


def _local(at_us: Sequence[int | None], zones: Sequence[str]) -> list[int | None]:
    kept = [i for i, at in enumerate(at_us) if at is not None]
    local: list[int | None] = [None] * len(at_us)
    if kept:
        moments = np.array([at_us[i] for i in kept], np.int64)
        names = np.array([zones[i] for i in kept])
        for i, value in zip(kept, local_microseconds(moments, names).tolist(), strict=True):
            local[i] = value
    return local
