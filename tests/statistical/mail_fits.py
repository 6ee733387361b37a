"""What the logs of reference worlds say of mail: appeal, hours, machines, leaving."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from nurture_envs.worlds.effects import MailParams, fatigue_of_weekly_send
from nurture_envs.worlds.zones import drawn_zones, zone_gaps
from tests.statistical.world_logs import (
    Array,
    BoolArray,
    Fit,
    FloatArray,
    WorldLog,
    log_linear,
    logistic,
)

NO_WEEKDAYS = (0.0,) * 7
_FIRST_DAY = 20_454  # 2026-01-01 in days since 1970
_THURSDAY = 3  # 1970-01-01
Record = TypeVar("Record", bound=Any)


def changed(record: Record, changes: Mapping[str, Any]) -> Record:
    """A copy of a record of parameters with some of them, or of its `mail`, changed."""
    own = {name: value for name, value in changes.items() if hasattr(record, name)}
    mail = {name: value for name, value in changes.items() if name not in own}
    if mail:
        own["mail"] = replace(record.mail, **mail)
    copy: Record = replace(record, **own)
    return copy


def true_hour(log: WorldLog) -> FloatArray:
    """The contact's own hour; a sender that does not know the zone is off by the clocks' gap."""
    known = log.start.zone_known.numpy()[:, None]
    gaps = zone_gaps().numpy()[drawn_zones(log.keys).numpy()[:, None], log.day - _FIRST_DAY]
    return np.asarray(log.slot + np.where(known, 0.0, gaps))


def nearness(hour: FloatArray, p: MailParams) -> FloatArray:
    """How near hours are to the best one of a population that shares it."""
    k = (24.0 / (2.0 * np.pi * p.hour_width)) ** 2
    return np.asarray(np.exp(k * (np.cos(2.0 * np.pi * (hour - p.best_hours[0]) / 24.0) - 1.0)))


def appeal_parts(log: WorldLog, p: MailParams, on_topic: BoolArray) -> dict[str, Array]:
    """What a message's appeal is made of."""
    return {
        "topic": on_topic,
        "hour": nearness(true_hour(log), p),
        "weekday": np.array(MailParams().weekdays)[(log.day + _THURSDAY) % 7],
        "repeat": log.staleness(p.repeat_half_life),
        "fatigue": log.decayed(log.any_of("sent_"), p.fatigue_half_life),
    }


def appeal(log: WorldLog, p: MailParams, on_topic: BoolArray) -> FloatArray:
    """The appeal of each message under the planted pulls."""
    pulls = {"topic": p.topic_pull, "hour": p.hour_pull, "weekday": 1.0}
    pulls |= {"repeat": -p.repeat_drag, "fatigue": -p.fatigue_drag}
    parts = appeal_parts(log, p, on_topic)
    return np.asarray(sum(pulls[name] * part for name, part in parts.items()))


def clicks(log: WorldLog, p: MailParams, on_topic: BoolArray) -> Fit:
    """What clicks owe to the parts of a message's appeal."""
    return logistic(
        log.any_of("clicked_"), log.happened("delivered"), appeal_parts(log, p, on_topic)
    )


def irritation(log: WorldLog, p: MailParams) -> FloatArray:
    """Fatigue beyond what is borne."""
    fatigue = log.decayed(log.any_of("sent_"), p.fatigue_half_life)
    return np.asarray(np.maximum(fatigue - p.tolerance * fatigue_of_weekly_send(p), 0.0))


def leaves(log: WorldLog, p: MailParams, on_topic: BoolArray) -> Fit:
    """What unsubscriptions owe to irritation and irrelevance."""
    columns = {"irritation": irritation(log, p), "irrelevant": ~on_topic}
    return log_linear(log.happened("unsubscribed"), log.happened("delivered"), columns)


def share(happened: Array, among: BoolArray) -> tuple[float, float]:
    """A share and its standard error."""
    p, n = float(happened[among].mean()), int(among.sum())
    return p, float(np.sqrt(max(p * (1.0 - p), 1e-9) / n))


def clicking_machines(log: WorldLog, channel: str) -> tuple[float, float]:
    """Share of reached contacts whose machine answers all mail, and its standard error.

    Raises:
        AssertionError: a machine answers some mail of a contact only, or answers no mail.
    """
    mail = log.happened("delivered")
    hits = log.happened(channel)
    assert not (hits & ~mail).any()
    every, none = hits.sum(axis=1) == mail.sum(axis=1), ~hits.any(axis=1)
    reached = np.asarray(mail.any(axis=1))
    assert (every | none)[reached].all()
    return share(every, reached)
