"""What events and contacts of a log show to be wrong."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nurture_envs.clock import DAY_US, HOUR_US
from nurture_envs.journey import Journey
from nurture_rl.appraisal.first_look import SOURCES, of_signal
from nurture_rl.appraisal.health.finding import LOOK, STOP, LogFinding, share
from nurture_rl.appraisal.health.in_time import in_time, latest

_MANY_CONTACTS = 2_000  # from which on every signal of a healthy log is there
_MACHINE_LAG_US = 3_000_000  # a click so soon after the mail came is a program's
_FAST_CLICKS = 0.05  # of the clicks that are taken for people's
_LATE, _FEW_LATE = 0.05, 20  # share of a type recorded later than declared; fewer are no pattern
_DAILY = 20  # median events a day, from which on an empty day is a hole
_HOLE_DAYS = 2
_CROWD, _CROWD_TIMES = 1_000, 20  # events of one contact; over the 99th percentile


def events_health(events: pa.Table, contacts: pa.Table, journey: Journey) -> Iterator[LogFinding]:
    """Findings in the checked events and contacts.

    Args:
        events: at least one.
        contacts: all of the log.
        journey: whose signals are looked for.
    """
    yield from _sources(events, journey, len(contacts))
    yield from _people(contacts)
    yield from _machines(events)
    yield from _recording(events, journey)
    yield from _holes(events)
    yield from _crowds(events)


def _sources(events: pa.Table, journey: Journey, contacts: int) -> Iterator[LogFinding]:
    present = set(events["type"].unique().to_pylist())
    asked = [one for one in journey.signals if not one.by_action]
    silent = [one for one in asked if not pc.any(of_signal(events, one)).as_py()]
    gone = set()
    for source, kinds in SOURCES.items():
        own = [one for one in asked if one.type in kinds]
        if own and not present & set(kinds):
            gone |= {one.name for one in own}
            yield LogFinding(
                "missing source",
                LOOK,
                f"no {source} events: {', '.join(one.name for one in own)} are never seen",
                "export them, and map them with the verb `map`",
            )
    settings = journey.guardrails
    rare = {*settings.opt_out, *settings.hard_bounce}
    odd = [one.name for one in silent if one.name not in gone | rare]
    if odd and contacts >= _MANY_CONTACTS:
        yield LogFinding(
            "silent signal",
            LOOK,
            f"of {contacts:,} contacts none has {', '.join(odd)}",
            "look whether the words of the log are those of the journey: type, topic, page "
            "category, "
            "reply class, stage",
        )


def _people(contacts: pa.Table) -> Iterator[LogFinding]:
    if not pc.any(contacts["consent"]).as_py():
        yield LogFinding(
            "no consent",
            STOP,
            "no contact has consent, so every policy may only wait",
            "give the column that says who agreed, as `consent` of contacts",
        )
    if contacts["time_zone"].null_count == len(contacts):
        yield LogFinding(
            "no time zones",
            LOOK,
            "no contact has a zone: hours are those of `data.default_zone` for everybody",
            "give a column `time_zone`, or infer it from the country",
        )


def _machines(events: pa.Table) -> Iterator[LogFinding]:
    order = in_time(events, ["type", "is_machine"])
    at = np.asarray(pc.cast(order["occurred_at"], pa.int64()))
    came = np.asarray(pc.is_in(order["type"], pa.array(["sent", "delivered"])))
    click = np.asarray(pc.and_(pc.equal(order["type"], "click"), pc.invert(order["is_machine"])))
    place = latest(order, came)
    fast = click & (place >= 0) & (at - at[place] <= _MACHINE_LAG_US)
    clicks, quick = int(click.sum()), int(fast.sum())
    if quick > _FAST_CLICKS * clicks:
        yield LogFinding(
            "clicks of programs",
            LOOK,
            f"{share(quick, clicks)} clicks taken for people's came within three seconds of a mail",
            "mark clicks of link scanners as `is_machine`",
        )


def _recording(events: pa.Table, journey: Journey) -> Iterator[LogFinding]:
    occurred, recorded = (
        np.asarray(pc.cast(events[name], pa.int64())) for name in ("occurred_at", "recorded_at")
    )
    delayed = [one for one in journey.signals if one.delay_bins]
    bin_us = journey.clock.period_hours / len(journey.clock.slots_hours) * HOUR_US
    allowed = np.full(len(events), bin_us)
    own = np.zeros(len(events), bool)
    for one in delayed:
        found = np.asarray(of_signal(events, one).combine_chunks(), bool)
        allowed[found] = (one.delay_bins + 1) * bin_us
        own |= found
    late = recorded - occurred > allowed
    codes = events["type"].combine_chunks().dictionary_encode()
    of_type = np.asarray(codes.indices)
    many = np.bincount(of_type, minlength=len(codes.dictionary))
    some = np.bincount(of_type, weights=late, minlength=many.size).astype(int)
    for k in np.flatnonzero((some > _LATE * many) & (some >= _FEW_LATE)):
        yield LogFinding(
            "late records",
            LOOK,
            f"{share(int(some[k]), int(many[k]))} {codes.dictionary[int(k)].as_py()} events were "
            "recorded later than the journey declares",
            "raise `delay_bins` of their signals, or outcomes are called complete too soon",
        )
    if delayed and own.any() and (recorded == occurred).all():
        yield LogFinding(
            "no recording times",
            LOOK,
            f"every event was recorded the moment it occurred, also {delayed[0].name}, which the "
            "journey declares to be known late",
            "give `recorded_at`: when your system learned of it",
        )


def _holes(events: pa.Table) -> Iterator[LogFinding]:
    days = np.asarray(pc.cast(events["occurred_at"], pa.int64())) // DAY_US
    first = int(days.min())
    count = np.bincount(days - first)
    busy = count[count > 0]
    # The first and last tenth belong to those who come early and stay late.
    inside = slice(count.size // 10, count.size - count.size // 10)
    if np.median(busy) < _DAILY:
        return
    empty = np.flatnonzero(count[inside] == 0) + inside.start + first
    runs = np.split(empty, np.flatnonzero(np.diff(empty) > 1) + 1)
    for run in runs:
        if run.size >= _HOLE_DAYS:
            since, until = (np.datetime64(int(day), "D") for day in (run[0], run[-1]))
            yield LogFinding(
                "hole",
                LOOK,
                f"no event from {since} to {until}, where a day has {int(np.median(busy)):,}",
                "export these days again, or leave contacts of that time out",
            )


def _crowds(events: pa.Table) -> Iterator[LogFinding]:
    found = events["contact_id"].value_counts()
    counts = np.asarray(found.field("counts"))
    most = int(counts.max())
    if most > _CROWD and most > _CROWD_TIMES * np.quantile(counts, 0.99):
        name = found.field("values")[int(counts.argmax())].as_py()
        yield LogFinding(
            "crowded contact",
            LOOK,
            f"contact {name!r} has {most:,} events: no person, but a list, a test or a kiosk",
            "leave it out, or part it by what tells its people apart",
        )
