"""The table that a batch of decisions leaves to the sender: a row per decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import local_microseconds
from nurture_envs.guardrails import reason_names
from nurture_rl.logs.schema import UTC_TIME
from nurture_rl.serving.reading import message_of
from nurture_rl.serving.records import Decision

CHOSEN = "chosen"  # mail was allowed, and the policy sent none
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
    headers: Sequence[Mapping[str, str]],
) -> pa.Table:
    """Rows of decisions.

    Args:
        decisions: what was decided, [n].
        zones: IANA name of each contact's zone, [n].
        catalogs: the actions of each journey, by its name.
        headers: of one-click unsubscribe, [n]; empty where there are none.
    """
    sends = {name: catalog.routed("send") for name, catalog in catalogs.items()}
    at_us = [d.scheduled_us for d in decisions]
    columns: dict[str, Any] = {name: [] for name in SENT.names}
    for decision, zone, given in zip(decisions, zones, headers, strict=True):
        cells = {
            "contact_id": decision.contact_id,
            "journey": decision.journey,
            "action": decision.action,
            "message": message_of(decision.action),
            "send_at": decision.scheduled_us,
            "time_zone": zone,
            "confirm_by": decision.confirm_by_us,
            "reason": _reason(decision, sends[decision.journey]),
            "decision_id": decision.decision_id,
            "propensity": decision.propensity,
            "policy_id": decision.policy_id,
            "arm": decision.arm,
            "decided_at": decision.decided_us,
            "list_unsubscribe": given.get("List-Unsubscribe"),
        }
        for name, value in cells.items():
            columns[name].append(value)
    columns["send_at_local"] = _local(at_us, zones)
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


def _reason(decision: Decision, sends: np.ndarray[Any, np.dtype[np.bool_]]) -> str | None:
    """Why a decision sends nothing; None where it sends."""
    if decision.scheduled_us is not None:
        return None
    if decision.note is not None:
        return decision.note
    against = np.array(decision.reasons, np.int64)[sends]
    if not len(against) or (against == 0).any():
        return CHOSEN
    all_, some = np.bitwise_and.reduce(against), np.bitwise_or.reduce(against)
    return ", ".join(reason_names(int(all_) or int(some)))


def _local(at_us: Sequence[int | None], zones: Sequence[str]) -> list[int | None]:
    kept = [i for i, at in enumerate(at_us) if at is not None]
    local: list[int | None] = [None] * len(at_us)
    if kept:
        moments = np.array([at_us[i] for i in kept], np.int64)
        names = np.array([zones[i] for i in kept])
        for i, value in zip(kept, local_microseconds(moments, names).tolist(), strict=True):
            local[i] = value
    return local
