"""A log of one decision a customer, in which who last bought when decides which mail works.

Neither the drip nor the journey's rules look at that, so a policy that learns is truly better.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import DAY_US, HOUR_US
from nurture_envs.journey_file import load_journey
from nurture_rl.logs.adapters.common import (
    BoolArray,
    DecisionRows,
    EventRows,
    contact_table,
    decision_table,
    event_table,
    joined,
    write_tables,
)
from nurture_rl.workflow.pipeline import Pipeline
from tests.unit.workflow.judged_by_hand import settings_of

JOURNEY = "hillstrom"
CANDIDATE, BAR = "linear_thompson", "rules"
START_US = int(np.datetime64("2026-01-05T00:00", "us").astype(np.int64))
RIGHT, WRONG, NONE = 0.9, 0.1, 0.1  # chance of a visit after the right mail, the other, none


def write_log(out: Path, customers: int, seed: int = 0) -> Path:
    """Raw tables: a third of the customers to each mail, a third to none."""
    journey, rng = load_journey(JOURNEY), np.random.default_rng(seed)
    catalog = ActionCatalog.of(journey)
    n = customers
    contact = joined("customer-", np.array([f"{k:05d}" for k in range(n)]))
    chosen = rng.integers(0, len(catalog), n)
    recency, mens, womens = rng.integers(1, 13, n), rng.integers(0, 2, n), rng.integers(0, 2, n)
    mail = np.array([name.removeprefix("send:").removesuffix("@now") for name in catalog.ids])[
        chosen
    ]
    right = np.where(recency > 6, "womens_email", "mens_email")
    sent = mail != "pause:1"
    chance = np.where(mail == right, RIGHT, np.where(sent, WRONG, NONE))
    visits = rng.random(n) < chance
    decision = joined(contact, ":0")
    start = np.full(n, START_US)

    def some(kind: str, hours: int, rows: BoolArray) -> EventRows:
        return EventRows(
            kind=kind,
            type=kind,
            decision=decision[rows],
            contact=contact[rows],
            occurred_us=start[rows] + hours * HOUR_US,
            recorded_us=start[rows] + (hours * HOUR_US if kind == "sent" else 14 * DAY_US),
            message_id=np.where(sent, mail, "")[rows],
            topic=np.char.replace(mail[rows], "_email", "") if kind == "sent" else None,
        )

    columns = {"recency": recency, "mens": mens, "womens": womens}
    attributes = [
        dict(zip(columns, map(int, row), strict=True))
        for row in zip(*columns.values(), strict=True)
    ]
    rows = DecisionRows(
        id=decision,
        contact=contact,
        anchor_us=start,
        step=np.zeros(n, np.int64),
        decided_us=start,
        chosen=chosen,
        probabilities=np.full((n, len(catalog)), 1 / len(catalog)),
        mask=np.ones((n, len(catalog)), np.bool_),
    )
    events = [
        event_table(part, JOURNEY) for part in (some("sent", 0, sent), some("visit", 1, visits))
    ]
    contacts = contact_table(contact, np.full(n, "UTC"), attributes)
    write_tables(out, events, contacts, decision_table(journey, rows))
    return out


def two_mails_loop(root: Path) -> Pipeline:
    """The whole loop on a folder whose log says itself that a third of everything was done."""
    root.mkdir(exist_ok=True)
    if not (root / "log").is_dir():
        written = write_log(root / f"log-{os.getpid()}", 4000)
        with suppress(OSError):  # another process was first, with the same log
            written.rename(root / "log")
    run = settings_of(
        "data=folder",
        f"data.journey={JOURNEY}",
        f"data.path={root / 'log'}",
        "data.complete_until=2026-03-01T00:00:00Z",
        f"runs={root / 'runs'}",
        "experiment=small",
        "world.members=4",
        "world.training.epochs=6",
        "world.training={batch: 256, learning_rate: 0.01, prior_precision: 1.0}",
    )
    few = {name: run.run.policies[name] for name in ("drip", BAR, CANDIDATE)}
    return Pipeline(replace(run, run=replace(run.run, policies=few)), lambda line: None)
