"""A rewards programme: 17,000 people, six waves, ten offers or none; published as simulated.

Source: the rewards-app data of a public course, whose text says it is simulated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import DAY_US, HOUR_US
from nurture_envs.journey import Journey
from nurture_envs.journey_file import load_journey
from nurture_rl.errors import LogError
from nurture_rl.logs.adapters.common import (
    AdapterNotes,
    BoolArray,
    DecisionRows,
    EventRows,
    Exclusion,
    FloatArray,
    IntArray,
    StrArray,
    cells,
    contact_table,
    csv_names,
    decision_table,
    event_table,
    joined,
    read_csv,
    read_json_lines,
    write_tables,
)

JOURNEY = "starbucks_offers"
PARTS = ("train_v3_starbucks.csv.gz", "test_v3_starbucks.csv.gz")
PROFILE, PORTFOLIO = "profile.json.gz", "portfolio.json"
START_US = int(np.datetime64("2018-07-26T00:00", "us").astype(np.int64))  # day of the last sign-up
NO_OFFER = 0.252  # measured share of people without an offer in a wave
UNKNOWN_AGE = 118

_LEAK_STARTS = ("num_", "transaction_", "avg_", "median_", "total_", "percent_")
_LEAK_PARTS = ("_rate", "_quantile_")
_OFFER_COLUMNS = {
    "customer_id": pa.string(),
    "offer_received_time": pa.int64(),
    "offer_id": pa.string(),
    "offer_completed": pa.float64(),
    "offer_completed_time": pa.float64(),
}
_PROFILE_COLUMNS = {
    "id": pa.string(),
    "age": pa.int64(),
    "income": pa.float64(),
    "became_member_on": pa.string(),
}
_PORTFOLIO_COLUMNS = {
    "id": pa.string(),
    "offer_type": pa.string(),
    "difficulty": pa.int64(),
    "reward": pa.int64(),
    "duration": pa.float64(),
}
_SUPPORTS = (
    "Offers were drawn independently of the person and of earlier waves, so policies over six "
    "decisions can be evaluated off-policy.",
    "Completions carry a time, so answers that arrive after the next decision are handled.",
)
_LIMITS = (
    "The data is published as simulated: it shows that the machinery works, not how people act.",
    "Propensities are shares measured in the log: 0.0748 an offer, 0.252 none, in every wave.",
    "Spending without an offer is not in the file: completions without an offer are 0 by "
    "construction, so the incremental spend of an offer is not identified.",
    "The value of a completion is the offer's threshold less its reward, the least that it "
    "brings; it is 0 for every buy-one-get-one offer, and the basket itself is not in the file.",
    "Completion times are hours since the start of the test, not since the offer, in steps of six "
    "hours. The test ends after 30 days (hour 720), which cuts off longer offers of the last two "
    "waves; completions after the last wave are recorded then, when the log is complete.",
    "Views are not used: they are known only for hours 0 to 30.",
    "Start date and hour are nominal (2018-07-26 00:00 UTC, the day of the last sign-up).",
    "Gender is left out: an offer should not depend on it. Age 118 means not given.",
    "Of two rows for the same person and hour the first of the file is kept; they differ only in "
    "the completion time, and the first has the earlier one.",
)


@dataclass(frozen=True, slots=True)
class _Offers:
    """The offers handed out, one row per person and wave."""

    person: IntArray  # row in the profile, [n]
    wave: IntArray  # 0..5, [n]
    kind: IntArray  # row in the portfolio, [n]
    completed: BoolArray  # [n]
    completed_hours: FloatArray  # since the start of the test, -1 where not completed, [n]


@dataclass(frozen=True, slots=True)
class _Portfolio:
    """The ten offers."""

    id: StrArray
    message: StrArray  # message ids of the journey
    topic: StrArray
    net: FloatArray  # USD the person must spend less what they get back


def write_raw(source: Path, out: Path, rng: np.random.Generator) -> AdapterNotes:
    """Rewrite the programme into raw tables.

    Args:
        source: folder with the two CSV parts, `profile.json.gz` and `portfolio.json`.
        out: folder to write; an older one is replaced.
        rng: unused, nothing here is random.

    Raises:
        LogError: a file or column is missing, or an offer names no known person, wave or offer.
        ActionError: the portfolio holds an offer that the journey does not know.
    """
    journey = load_journey(JOURNEY)
    refused = sorted({name for part in PARTS for name in csv_names(source / part) if _leaks(name)})
    rows = pa.concat_tables([read_csv(source / part, _OFFER_COLUMNS) for part in PARTS])
    profile = read_json_lines(source / PROFILE, _PROFILE_COLUMNS)
    portfolio = _portfolio(source / PORTFOLIO)
    person = cells(profile, "id")
    offers = _offers(rows, person, portfolio, journey)
    decisions = _decisions(journey, person, offers, portfolio)
    end_us = START_US + round(journey.clock.period_hours * HOUR_US)
    parts = _events(decisions, offers, portfolio, end_us)
    events = [event_table(part, JOURNEY) for part in parts]
    contacts = contact_table(person, np.full(len(person), "UTC"), _attributes(profile))
    write_tables(out, events, contacts, decision_table(journey, decisions))
    twice = Exclusion("a second row for the same person and hour", len(rows) - len(offers.person))
    return AdapterNotes(JOURNEY, len(rows), (twice,), tuple(refused), _SUPPORTS, _LIMITS)


def _leaks(name: str) -> bool:
    """Whether a column is computed over the whole test, hence after the decision."""
    if name == "num_channels":  # a property of the offer
        return False
    return name.startswith(_LEAK_STARTS) or any(part in name for part in _LEAK_PARTS)


def _portfolio(path: Path) -> _Portfolio:
    table = read_json_lines(path, _PORTFOLIO_COLUMNS)
    topic, days = cells(table, "offer_type"), cells(table, "duration").astype(np.int64)
    spend, back = cells(table, "difficulty"), cells(table, "reward")
    message = [
        f"info_{d}d" if t == "informational" else f"{t}_{s}_{b}_{d}d"
        for t, s, b, d in zip(topic, spend, back, days, strict=True)
    ]
    return _Portfolio(cells(table, "id"), np.array(message), topic, (spend - back).astype(float))


def _offers(rows: pa.Table, person: StrArray, portfolio: _Portfolio, journey: Journey) -> _Offers:
    hours = {str(int(h)): wave for wave, h in enumerate(journey.clock.slots_hours)}
    who = _positions(cells(rows, "customer_id"), _numbered(person), "customer_id", PROFILE)
    wave = _positions(
        cells(rows, "offer_received_time").astype(str), hours, "offer_received_time", "the journey"
    )
    kind = _positions(cells(rows, "offer_id"), _numbered(portfolio.id), "offer_id", PORTFOLIO)
    _, first = np.unique(who * len(hours) + wave, return_index=True)
    completed = cells(rows, "offer_completed") == 1
    when = cells(rows, "offer_completed_time")
    return _Offers(who[first], wave[first], kind[first], completed[first], when[first])


def _numbered(names: StrArray) -> dict[str, int]:
    return {name: row for row, name in enumerate(names.tolist())}


def _positions(values: StrArray, known: Mapping[str, int], column: str, where: str) -> IntArray:
    codes = np.array([known.get(value, -1) for value in values.tolist()], np.int64)
    if (codes < 0).any():
        raise LogError(
            f"expected every {column} to be known to {where}, got {str(values[codes < 0][0])!r}; "
            "use the files of one publication"
        )
    return codes


def _decisions(
    journey: Journey, person: StrArray, offers: _Offers, portfolio: _Portfolio
) -> DecisionRows:
    """Every person in every wave; without an offer the action is to wait."""
    catalog = ActionCatalog.of(journey)
    waves = journey.clock.horizon
    n = len(person) * waves
    contact, step = np.repeat(person, waves), np.tile(np.arange(waves), len(person))
    sends = catalog.indices([f"send:{message}@now" for message in portfolio.message])
    chosen = np.full(n, catalog.wait)
    chosen[offers.person * waves + offers.wave] = sends[offers.kind]
    shares = np.full(len(catalog), (1 - NO_OFFER) / (len(catalog) - 1))
    shares[catalog.wait] = NO_OFFER
    return DecisionRows(
        id=joined(contact, ":", step.astype(str)),
        contact=contact,
        anchor_us=np.full(n, START_US),
        step=step,
        decided_us=START_US + journey.clock.start_us(step),
        chosen=chosen,
        probabilities=np.tile(shares, (n, 1)),
        mask=np.ones((n, len(catalog)), np.bool_),
    )


def _events(
    decisions: DecisionRows, offers: _Offers, portfolio: _Portfolio, end_us: int
) -> list[EventRows]:
    """Offers and completions; those after the last decision are recorded at the test's end."""
    waves = int(decisions.step.max()) + 1
    row = offers.person * waves + offers.wave
    message, topic = portfolio.message[offers.kind], portfolio.topic[offers.kind]
    done = offers.completed
    completed_us = START_US + (offers.completed_hours[done] * HOUR_US).astype(np.int64)
    return [
        EventRows(
            kind="sent",
            type="sent",
            decision=decisions.id[row],
            contact=decisions.contact[row],
            occurred_us=decisions.decided_us[row],
            message_id=message,
            topic=topic,
        ),
        EventRows(
            kind="completed",
            type="offer_completed",
            decision=decisions.id[row][done],
            contact=decisions.contact[row][done],
            occurred_us=completed_us,
            recorded_us=np.where(completed_us < decisions.decided_us.max(), completed_us, end_us),
            message_id=message[done],
            topic=topic[done],
            value=portfolio.net[offers.kind][done],
        ),
    ]


def _attributes(profile: pa.Table) -> list[dict[str, object]]:
    """Age and income where given, years of membership at the start."""
    age, income = cells(profile, "age"), profile["income"].to_pylist()
    joined_us = [np.datetime64(f"{d[:4]}-{d[4:6]}-{d[6:]}", "us") for d in _days(profile)]
    days = (START_US - np.array(joined_us).astype(np.int64)) / DAY_US
    return [
        {
            "age": None if a == UNKNOWN_AGE else int(a),
            "income_thousands": None if i is None else i / 1000,
            "profile_given": int(a != UNKNOWN_AGE),
            "member_years": round(float(d) / 365.25, 4),
        }
        for a, i, d in zip(age, income, days, strict=True)
    ]


def _days(profile: pa.Table) -> list[str]:
    return [str(day) for day in cells(profile, "became_member_on")]
