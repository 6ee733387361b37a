"""A log of an experiment, written by hand: contacts in arms, and events on chosen days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from nurture_envs.experiment import Velocity
from nurture_rl.lift.enrolled import LogTables
from nurture_rl.lift.written_plan import Plan
from nurture_rl.logs.schema import CONTACTS, DECISIONS, EVENTS

BEGIN = datetime(2026, 4, 6, 9, tzinfo=UTC)
END = datetime(2026, 7, 6, tzinfo=UTC)


def plan(**changed: object) -> Plan:
    """A plan of two arms."""
    said = {
        "name": "spring",
        "unit": "contact",
        "shares": {"policy": 0.5, "usual": 0.5},
        "usual": "usual",
        "starts": datetime(2026, 4, 6, tzinfo=UTC),
        "window_days": 14,
        "units": 400,
        "worth": {},
        "once": (),
        "velocity": Velocity("became_mql", 28),
        "level": 0.95,
        "hash": "0" * 16,
    }
    return Plan(**(said | changed))  # type: ignore[arg-type]


def contact(name: str, account: str | None = None, zone: str = "UTC") -> dict[str, object]:
    return {
        "contact_id": name,
        "account_id": account,
        "time_zone": zone,
        "zone_confidence": 1.0,
        "consent": True,
        "attributes": "{}",
    }


def decision(name: str, arm: str, day: float = 0.0, step: int = 0) -> dict[str, object]:
    """A decision so many days after the experiment began."""
    when = BEGIN + timedelta(days=day)
    return {
        "decision_id": f"{name}.{step}",
        "contact_id": name,
        "journey": "inbound_lead",
        "episode_id": f"{name}.0",
        "anchor": when.replace(tzinfo=None, hour=0),
        "step": step,
        "decided_at": when,
        "action": "exit",
        "propensity": 1.0,
        "probabilities": [1.0],
        "mask": [True],
        "policy_id": arm,
        "arm": arm,
        "deferred": False,
        "features": None,
        "catalog": "none",
    }


def event(name: str, kind: str, day: float, late: float = 0.0, **more: object) -> dict[str, object]:
    """An event so many days after the experiment began, recorded `late` days after that."""
    when = BEGIN + timedelta(days=day)
    return {
        "event_id": f"{name}-{kind}-{day}",
        "contact_id": name,
        "occurred_at": when,
        "recorded_at": when + timedelta(days=late),
        "type": kind,
        "source": "crm",
        "is_machine": False,
        "properties": "{}",
        **more,
    }


def log(
    contacts: list[dict[str, object]],
    decisions: list[dict[str, object]],
    events: list[dict[str, object]],
    end: datetime = END,
    features: dict[str, list[float]] | None = None,
) -> LogTables:
    """The tables, complete up to `end`; `features` by decision."""
    known = features or {"nobody.0": [0.0]}
    width = len(next(iter(known.values())))
    flat = pa.array(np.array(list(known.values()), np.float32).ravel())
    return LogTables(
        events=pa.Table.from_pylist(events, EVENTS),
        contacts=pa.Table.from_pylist(contacts, CONTACTS),
        decisions=pa.Table.from_pylist(decisions, DECISIONS),
        features=pa.table(
            {
                "decision_id": pa.array(list(known)),
                "features": pa.FixedSizeListArray.from_arrays(flat, width),
            }
        ),
        as_of_us=round(end.timestamp() * 1e6),
        default_zone="UTC",
    )
