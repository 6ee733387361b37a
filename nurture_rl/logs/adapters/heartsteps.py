"""HeartSteps V1: 37 people, five moments a day, a walking or anti-sedentary suggestion or none.

Source: Klasnja et al. (2019), Efficacy of Contextually Tailored Suggestions for Physical
Activity, Annals of Behavioral Medicine 53(6).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import DAY_US, HOUR_US, utc_microseconds
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
    write_tables,
)

JOURNEY = "heartsteps"
FILE, USERS = "suggestions.csv.gz", "users.csv"
SEND_PROBABILITY = 0.6  # by design, wherever the person was available
UNKNOWN = "unknown"  # the place at which only walks were suggested
ACTIVE, SEDENTARY, WAIT = "send:active_suggestion@now", "send:sedentary_suggestion@now", "pause:1"

_MINUTE_US = HOUR_US // 60
_TYPES = {
    "user.index": pa.int64(),
    "sugg.select.utime": pa.string(),
    "sugg.select.slot": pa.int64(),
    "sugg.gmtoff": pa.int64(),
    "sugg.decision.utime": pa.string(),
    "avail": pa.bool_(),
    "send": pa.bool_(),
    "send.active": pa.bool_(),
    "send.sedentary": pa.bool_(),
    "response": pa.string(),
    "dec.location.category": pa.string(),
    "jbsteps30": pa.int64(),
    "jbsteps30.zero": pa.int64(),
    "jbsteps30pre.zero": pa.int64(),
}
_USER_TYPES = {
    "user.index": pa.int64(),
    "age": pa.int64(),
    "fitapp": pa.string(),
    "fittracker": pa.string(),
    "selfeff.intake": pa.float64(),
    "walk.metmins.intake": pa.float64(),
}
_EXIT_COLUMNS = frozenset(
    {
        "totaldays",
        "dropout.date",
        "selfeff.exit",
        "walk.metmins.exit",
        "travel.start",
        "travel.end",
    }
)
_AFTER = re.compile(
    r"(jb|gf)(mins|steps)\d+(?!\d|pre)|response|sugg\.response|recognized\.activity\.resp|interaction"
)
_SUPPORTS = (
    "Sending was randomised with probability 0.6 at every available moment, so what to send at "
    "a moment, and whether, can be evaluated off-policy.",
    "The log says when a person could not be reached; there only waiting is legal.",
)
_LIMITS = (
    "37 people: intervals are wide and must treat the person as the cluster.",
    "The type of a suggestion is not 30/30 as designed: its share is estimated from this log, for "
    "each of the day's five moments, because it differs between them and so do the steps; the "
    "intervals do not carry the error of that estimate.",
    "Where the place was unknown, every one of the sends was a walking suggestion: 99 moments, 60 "
    "sends. They are kept, with standing up not legal and a walk sent with probability 0.6; that "
    "this was the trial's rule is read from the file.",
    "The reward is log(steps + 0.5) in the 30 minutes after; where the steps are missing they "
    "count as 0, which is 12 % of the available moments and pulls the means down.",
    "A health study with push messages, not marketing by e-mail.",
    "A moment is placed at the start of its bin of the day, in the zone the person was in most "
    "often; the true time stands in the event's properties. The bins begin at the earliest hour "
    "anybody chose for that moment, so the true moment lies inside its bin.",
    "The step counts calendar days since the first one, travel days included, so that weekdays "
    "and distances are right; a gap-free decision index would hide 390 rows.",
    "Steps and place just before a moment are recorded one microsecond before its bin, because "
    "they were known when it was decided.",
    "Gender is left out: 37 people cannot carry it, and a suggestion should not depend on it. "
    "Weather is left out too.",
    "Columns after the decision are read as outcomes only: response, jbsteps30.zero, and jbsteps30 "
    "to tell where the steps are missing.",
)


@dataclass(frozen=True, slots=True)
class _Moments:
    """Where each row lies on its person's own clock."""

    contact: StrArray  # [n]
    zone: StrArray  # the person's usual zone, [n]
    anchor_us: IntArray  # local midnight of the person's first day, [n]
    step: IntArray  # five a day, [n]
    decided_us: IntArray  # start of the bin, UTC, [n]


def write_raw(source: Path, out: Path, rng: np.random.Generator) -> AdapterNotes:
    """Rewrite the trial into raw tables.

    Args:
        source: folder with the files `suggestions.csv.gz` and `users.csv`.
        out: folder to write; an older one is replaced.
        rng: unused, nothing here is random.

    Raises:
        LogError: a file or column is missing, two rows share a person's moment, or standing up was
            suggested at an unknown place.
    """
    journey = load_journey(JOURNEY)
    everything = read_csv(source / FILE, _TYPES)
    table = everything.filter(everything["sugg.select.utime"].is_valid())
    untimed = Exclusion("no time is recorded", len(everything) - len(table))
    users = read_csv(source / USERS, _USER_TYPES)
    header = [*csv_names(source / FILE), *csv_names(source / USERS)]
    moments = _moments(table, journey)
    usable, excluded = _usable(table)
    decisions = _decisions(table, moments, journey)
    events = [event_table(part, JOURNEY) for part in _events(table, decisions, usable)]
    write_tables(
        out, events, _contacts(users, moments), decision_table(journey, _select(decisions, usable))
    )
    refused = tuple(name for name in header if _leaks(name))
    excluded = (untimed, *excluded)
    return AdapterNotes(JOURNEY, len(everything), excluded, refused, _SUPPORTS, _LIMITS)


def _leaks(name: str) -> bool:
    """Whether a column was measured after the decision and is not one of the outcomes read."""
    after = _AFTER.match(name) is not None
    return (after and name not in _TYPES) or name in _EXIT_COLUMNS


def _person(index: IntArray) -> StrArray:
    return np.array([f"person-{i:02d}" for i in index.tolist()])


def _moments(table: pa.Table, journey: Journey) -> _Moments:
    person = cells(table, "user.index")
    offset = cells(table, "sugg.gmtoff")  # seconds from UTC to local time
    local = _utc_us(table, "sugg.select.utime") + offset * 1_000_000
    anchor, zone = np.empty_like(local), np.empty(len(person), "<U12")
    for one in np.unique(person):
        mine = person == one
        hours, times = np.unique(offset[mine], return_counts=True)
        zone[mine] = _zone_name(int(hours[np.argmax(times)]))
        anchor[mine] = local[mine].min() // DAY_US * DAY_US
    slots = len(journey.clock.slots_hours)
    step = (local - anchor) // DAY_US * slots + cells(table, "sugg.select.slot") - 1
    _require_one_each(person, step, journey)
    starts = anchor + journey.clock.start_us(step)
    return _Moments(_person(person), zone, anchor, step, utc_microseconds(starts, zone))


def _zone_name(offset_seconds: int) -> str:
    """The fixed-offset zone; its sign is that of the hours to add to reach UTC."""
    hours = -offset_seconds // 3600
    return f"Etc/GMT{hours:+d}" if hours else "UTC"


def _require_one_each(person: IntArray, step: IntArray, journey: Journey) -> None:
    _, times = np.unique(np.stack([person, step]), axis=1, return_counts=True)
    outside = (step < 0) | (step >= journey.clock.horizon)
    if (times > 1).any() or outside.any():
        raise LogError(
            f"expected each of a person's {journey.clock.horizon} moments at most once, got "
            f"{int((times > 1).sum())} twice and {int(outside.sum())} outside; "
            "use the file as published"
        )


def _utc_us(table: pa.Table, name: str) -> IntArray:
    """Times such as 2015/7/22 16:30, UTC microseconds, [n]."""
    text = cells(table, name)
    try:
        times = pc.strptime(pa.array(text), format="%Y/%m/%d %H:%M", unit="us")
    except pa.ArrowInvalid as error:
        raise LogError(f"expected times such as 2015/7/22 16:30 in {name}, got: {error}") from error
    return np.asarray(times.cast(pa.int64()).to_numpy(), np.int64)


def _true(table: pa.Table, name: str) -> BoolArray:
    """The rows where a flag is set; an empty cell is not set."""
    return np.asarray(pc.fill_null(table[name], False).to_numpy(), np.bool_)


def _usable(table: pa.Table) -> tuple[BoolArray, tuple[Exclusion, ...]]:
    avail, send = cells(table, "avail").astype(np.bool_), _true(table, "send")
    typed = _true(table, "send.active") | _true(table, "send.sedentary")
    strange, untyped = send & ~avail, send & avail & ~typed
    excluded = (
        Exclusion("marked sent while the person was unavailable", int(strange.sum())),
        Exclusion("sent, but the type of the suggestion is not recorded", int(untyped.sum())),
    )
    return ~(strange | untyped), excluded


def _decisions(table: pa.Table, moments: _Moments, journey: Journey) -> DecisionRows:
    """One row per row of the source; the ones that cannot be used are still among them."""
    catalog = ActionCatalog.of(journey)
    active, sedentary, wait = catalog.indices([ACTIVE, SEDENTARY, WAIT])
    avail = cells(table, "avail").astype(np.bool_)
    walks, stands = avail & _true(table, "send.active"), avail & _true(table, "send.sedentary")
    known = _place(table) != UNKNOWN
    _require_walks(stands & ~known)
    share = _walk_share(cells(table, "sugg.select.slot"), walks, stands, known)
    probabilities = np.zeros((len(table), len(catalog)))
    probabilities[:, active] = np.where(avail, SEND_PROBABILITY * share, 0.0)
    probabilities[:, sedentary] = np.where(avail, SEND_PROBABILITY * (1 - share), 0.0)
    probabilities[:, wait] = 1 - probabilities[:, active] - probabilities[:, sedentary]
    mask = np.repeat(avail[:, None], len(catalog), axis=1)
    mask[:, wait] = True
    mask[:, sedentary] &= known
    return DecisionRows(
        id=joined(moments.contact, ":", moments.step.astype(str)),
        contact=moments.contact,
        anchor_us=moments.anchor_us,
        step=moments.step,
        decided_us=moments.decided_us,
        chosen=np.where(walks, active, np.where(stands, sedentary, wait)),
        probabilities=probabilities,
        mask=mask,
    )


def _walk_share(
    slot: IntArray, walks: BoolArray, stands: BoolArray, known: BoolArray
) -> FloatArray:
    """The share of walks among the suggestions at each row's moment of the day, [n].

    It is estimated where the place is known; elsewhere it is 1.
    """
    sends = np.bincount(slot, weights=known & (walks | stands))
    share = np.bincount(slot, weights=known & walks) / np.maximum(sends, 1)
    return np.where(known, share[slot], 1.0)


def _require_walks(stands: BoolArray) -> None:
    if stands.any():
        raise LogError(
            "expected walking suggestions only where the place is unknown, got "
            f"{int(stands.sum())} to stand up; use the file as published"
        )


def _place(table: pa.Table) -> StrArray:
    """Where the person was when it was decided; empty where nothing is recorded, [n]."""
    return np.asarray(pc.fill_null(table["dec.location.category"], "").to_numpy(), np.str_)


def _select(rows: DecisionRows, which: BoolArray) -> DecisionRows:
    return DecisionRows(
        id=rows.id[which],
        contact=rows.contact[which],
        anchor_us=rows.anchor_us[which],
        step=rows.step[which],
        decided_us=rows.decided_us[which],
        chosen=rows.chosen[which],
        probabilities=rows.probabilities[which],
        mask=rows.mask[which],
    )


def _log_steps(table: pa.Table, name: str) -> FloatArray:
    return np.asarray(np.log(cells(table, name) + 0.5), np.float64)


def _events(table: pa.Table, rows: DecisionRows, usable: BoolArray) -> list[EventRows]:
    """The suggestion, its answer and the steps after it; steps and place before it."""
    place = _place(table)
    return [
        *_sends_and_answers(table, rows, usable),
        EventRows(
            kind="steps_after",
            type="activity",
            decision=rows.id[usable],
            contact=rows.contact[usable],
            occurred_us=rows.decided_us[usable] + 30 * _MINUTE_US,
            topic="steps_after",
            value=_log_steps(table, "jbsteps30.zero")[usable],
            properties=_origins(table)[usable],
        ),
        _before("steps_before", rows, usable, _log_steps(table, "jbsteps30pre.zero")),
        _before("at_home", rows, usable & (place == "home"), None),
        _before("at_work", rows, usable & (place == "work"), None),
    ]


def _before(
    topic: str, rows: DecisionRows, which: BoolArray, value: FloatArray | None
) -> EventRows:
    """What was known at the decision: it belongs to the end of the bin before."""
    return EventRows(
        kind=topic,
        type="activity",
        decision=rows.id[which],
        contact=rows.contact[which],
        occurred_us=rows.decided_us[which] - 1,
        answers_decision=False,
        topic=topic,
        value=None if value is None else value[which],
    )


def _sends_and_answers(table: pa.Table, rows: DecisionRows, usable: BoolArray) -> list[EventRows]:
    active = _true(table, "send.active")
    sent = usable & (active | _true(table, "send.sedentary"))
    topic = np.where(active, "active", "sedentary")
    message = joined(topic, "_suggestion")
    answer = np.asarray(pc.fill_null(table["response"], "").to_numpy(), np.str_)
    replied = sent & np.isin(answer, ["good", "bad"])
    snoozed = sent & np.char.startswith(answer, "snoozed")

    def some(kind: str, which: BoolArray, minutes: int, reply: StrArray | None) -> EventRows:
        return EventRows(
            kind=kind,
            type=kind,
            decision=rows.id[which],
            contact=rows.contact[which],
            occurred_us=rows.decided_us[which] + minutes * _MINUTE_US,
            message_id=message[which],
            topic=topic[which],
            reply_class=None if reply is None else reply[which],
        )

    return [
        some("sent", sent, 0, None),
        some("reply", replied, 1, np.where(answer == "good", "positive", "negative")),
        some("snoozed", snoozed, 1, None),
    ]


def _origins(table: pa.Table) -> StrArray:
    """The source's own time of the decision, and whether the steps were missing."""
    times = _utc_us(table, "sugg.decision.utime").astype("datetime64[us]")
    missing = table["jbsteps30"].is_null().to_pylist()
    return np.array(
        [
            json.dumps({"decided_at_source": f"{time!s}Z", "steps_missing": gap})
            for time, gap in zip(times, missing, strict=True)
        ]
    )


def _contacts(users: pa.Table, moments: _Moments) -> pa.Table:
    zones = dict(zip(moments.contact.tolist(), moments.zone.tolist(), strict=True))
    people = _person(cells(users, "user.index"))
    rows = users.to_pylist()
    strangers = sorted(set(zones) - set(people.tolist()))
    if strangers:
        raise LogError(
            f"expected everybody of {FILE} in {USERS}, {strangers[0]} is missing; "
            "use the files of one publication"
        )
    attributes = [_attributes(row) for row in rows]
    zone = np.array([zones.get(person, "UTC") for person in people.tolist()])
    return contact_table(people, zone, attributes)


def _attributes(user: dict[str, float | str | None]) -> dict[str, object]:
    walked = user["walk.metmins.intake"]
    return {
        "age_decades": None if user["age"] is None else float(user["age"]) / 10,
        "fitness_app": int(user["fitapp"] == "yes"),
        "fitness_tracker": int(user["fittracker"] == "yes"),
        "self_efficacy": user["selfeff.intake"],
        "log_walking": None if walked is None else round(float(np.log1p(float(walked))), 4),
    }
