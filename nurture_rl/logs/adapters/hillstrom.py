"""The MineThatData e-mail test: 64,000 customers, one decision each, two e-mails or none.

Source: Hillstrom (2008), MineThatData E-Mail Analytics And Data Mining Challenge.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import DAY_US, HOUR_US
from nurture_envs.journey_file import load_journey
from nurture_rl.errors import LogError
from nurture_rl.logs.adapters.common import (
    AdapterNotes,
    BoolArray,
    DecisionRows,
    EventRows,
    FloatArray,
    IntArray,
    StrArray,
    cells,
    contact_table,
    decision_table,
    event_table,
    joined,
    read_csv,
    write_tables,
)

JOURNEY = "hillstrom"
FILE = "hillstrom.csv.gz"
START_US = int(np.datetime64("2008-01-07T00:00", "us").astype(np.int64))  # nominal Monday, UTC
TWO_WEEKS_US = 14 * DAY_US  # how long the source counts visits and spend

_ARMS = {
    "Mens E-Mail": "send:mens_email@now",
    "Womens E-Mail": "send:womens_email@now",
    "No E-Mail": "pause:1",
}
_TYPES = {
    "recency": pa.int64(),
    "history": pa.float64(),
    "mens": pa.int64(),
    "womens": pa.int64(),
    "zip_code": pa.string(),
    "newbie": pa.int64(),
    "channel": pa.string(),
    "segment": pa.string(),
    "visit": pa.int64(),
    "conversion": pa.int64(),
    "spend": pa.float64(),
}
_SUPPORTS = (
    "Assignment was randomised with probability 1/3 an arm, so every policy over the three "
    "actions can be evaluated off-policy and compared with the mean of the arm it copies.",
    "The two e-mails suit different customers, so there is something for a policy to learn.",
)
_LIMITS = (
    "One decision a customer: nothing about sequences, timing, pausing or fatigue.",
    "The source has no dates: the test starts at a nominal 2008-01-07 00:00 UTC, visits are "
    "placed one hour and purchases two hours after it; only their order means anything. They are "
    "recorded at the end of the two weeks that the source counts.",
    "Spend is 0 for 99.1 % of the customers and heavy-tailed, so visits are the reward.",
    "There are no opens, clicks, complaints or opt-outs.",
    "The source has no customer id: row numbers stand in, and equal rows are kept.",
    "history_segment is left out because history says the same more finely.",
)


def write_raw(source: Path, out: Path, rng: np.random.Generator) -> AdapterNotes:
    """Rewrite the test into raw tables.

    Args:
        source: folder with the file `hillstrom.csv.gz`.
        out: folder to write; an older one is replaced.
        rng: unused, nothing here is random.

    Raises:
        LogError: the file or a column is missing, or an arm has another name.
    """
    table = read_csv(source / FILE, _TYPES)
    journey = load_journey(JOURNEY)
    catalog = ActionCatalog.of(journey)
    n = len(table)
    contact = np.array([f"customer-{row:05d}" for row in range(1, n + 1)])
    decision = joined(contact, ":0")
    start = np.full(n, START_US)
    action = _actions(cells(table, "segment"))
    rows = DecisionRows(
        id=decision,
        contact=contact,
        anchor_us=start,
        step=np.zeros(n, np.int64),
        decided_us=start,
        chosen=catalog.indices(action.tolist()),
        probabilities=np.full((n, len(catalog)), 1 / len(catalog)),
        mask=np.ones((n, len(catalog)), np.bool_),
    )
    events = [event_table(part, JOURNEY) for part in _events(table, rows, action)]
    contacts = contact_table(contact, np.full(n, "UTC"), _attributes(table))
    write_tables(out, events, contacts, decision_table(journey, rows))
    return AdapterNotes(JOURNEY, n, (), (), _SUPPORTS, _LIMITS)


def _actions(segments: StrArray) -> StrArray:
    strange = sorted(set(segments.tolist()) - set(_ARMS))
    if strange:
        raise LogError(
            f"expected the arms {', '.join(_ARMS)} in column segment, got {', '.join(strange)}; "
            "use the file as published"
        )
    return np.array([_ARMS[segment] for segment in segments])


def _events(table: pa.Table, rows: DecisionRows, action: StrArray) -> list[EventRows]:
    message = np.array([name.removeprefix("send:").removesuffix("@now") for name in action])
    sent = action != "pause:1"

    def some(
        kind: str, hours: int, which: BoolArray, name: StrArray, value: FloatArray | None
    ) -> EventRows:
        when: IntArray = rows.decided_us + hours * HOUR_US
        return EventRows(
            kind=kind,
            type=kind,
            decision=rows.id[which],
            contact=rows.contact[which],
            occurred_us=when[which],
            recorded_us=None if kind == "sent" else (rows.decided_us + TWO_WEEKS_US)[which],
            message_id=name[which],
            topic=np.char.replace(name[which], "_email", "") if kind == "sent" else None,
            value=None if value is None else value[which],
        )

    # An answer names the message only where there was one; "" reads as not given.
    named = np.where(sent, message, "")
    return [
        some("sent", 0, sent, message, None),
        some("visit", 1, cells(table, "visit") == 1, named, None),
        some("purchase", 2, cells(table, "conversion") == 1, named, cells(table, "spend")),
    ]


def _attributes(table: pa.Table) -> list[dict[str, object]]:
    columns = ("recency", "mens", "womens", "newbie", "zip_code", "channel")
    attributes = {name: cells(table, name).tolist() for name in columns}
    attributes["log_history"] = np.round(np.log1p(cells(table, "history")), 6).tolist()
    return [
        dict(zip(attributes, row, strict=True)) for row in zip(*attributes.values(), strict=True)
    ]
