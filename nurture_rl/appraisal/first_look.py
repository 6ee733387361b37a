"""What a log without decisions tells, what it cannot, and which experiment would."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy import special

from nurture_envs.clock import DAY_US, HOUR_US
from nurture_envs.journey import Journey, Kpi, Signal
from nurture_rl.ope.bounds.few import binomial_interval
from nurture_rl.ope.bounds.planned_looks import looks_width

IntArray = NDArray[np.int64]

# Which kinds of event each source brings; what a source cannot tell stays unknown without it.
SOURCES: dict[str, tuple[str, ...]] = {
    "mail": ("sent", "delivered", "open", "click", "reply", "hard_bounce", "soft_bounce"),
    "web": ("page_view", "visit", "form_submitted"),
    "product": ("product_used", "activity"),
    "CRM": (
        *("stage_changed", "meeting_booked", "meeting_held", "meeting_no_show", "sales_activity"),
        *("opportunity_opened", "opportunity_closed"),
    ),
}
SHARES = {"policy": 0.45, "random": 0.1, "usual": 0.35, "holdout": 0.1}
WORTHS = (0.25, 0.5, 1.0)  # relative gains that experiments are sized for; the first is proposed
POWER = 0.8
_LEVEL = 0.95
_ASSUMED = 0.05  # share of contacts with the north star, where the log has none to count


@dataclass(frozen=True, slots=True)
class TypeCount:
    """Events of one type."""

    type: str
    events: int
    contacts: int
    machine: float  # share made by programs, in [0, 1]


@dataclass(frozen=True, slots=True)
class StageCount:
    """How many came to a stage, and how fast."""

    stage: str
    contacts: int
    median_days: float | None  # from the contact's first event; None: nobody came


@dataclass(frozen=True, slots=True)
class FigureCount:
    """A key figure among contacts who were watched for a whole journey from their first event."""

    name: str
    reached: int
    watched: int
    lower: float  # of the share, 95 %, exact
    upper: float


@dataclass(frozen=True, slots=True)
class Missing:
    """One thing that the log does not tell."""

    what: str
    why: str  # what cannot be said without it
    mend: str  # how to get it


@dataclass(frozen=True, slots=True)
class Size:
    """What it takes to find a gain in one figure."""

    figure: str  # a key figure or a stage
    rate: float  # share of contacts who reach it as things are
    gain: float  # relative
    units: int  # contacts in all arms
    weeks: int  # until so many have come, and the last has been followed up


@dataclass(frozen=True, slots=True)
class FirstExperiment:
    """The experiment that would tell what the log cannot."""

    rate: float  # of the north star as things are
    assumed: bool  # nothing in the log says so
    worth: float  # smallest difference that it is to find, per contact
    per_week: float  # new contacts, by the log
    sizes: tuple[
        Size, ...
    ]  # the proposed one first; then other gains, and figures that come sooner

    @property
    def units(self) -> int:
        """Contacts in all arms."""
        return self.sizes[0].units

    @property
    def weeks(self) -> int:
        """Until the answer is due."""
        return self.sizes[0].weeks


@dataclass(frozen=True, slots=True)
class FirstLook:
    """All of it."""

    journey: str
    title: str
    first_at: str  # ISO-8601, UTC
    last_at: str
    days: float
    contacts: int
    with_events: int
    with_consent: int
    with_zone: int
    with_account: int
    types: tuple[TypeCount, ...]
    silent: tuple[str, ...]  # signals of the journey that no event is
    stages: tuple[StageCount, ...]
    figures: tuple[FigureCount, ...]  # the north star first
    missing: tuple[Missing, ...]
    experiment: FirstExperiment


def first_look(events: pa.Table, contacts: pa.Table, journey: Journey) -> FirstLook:
    """Look at the checked tables of a log.

    Args:
        events: at least one.
        contacts: of the log.
        journey: whose signals, stages and key figures are counted.
    """
    who, first_us, row = first_events(events)
    named = {signal.name: signal for signal in journey.signals}
    occurred = np.asarray(pc.cast(events["occurred_at"], pa.int64()))
    first, last = int(occurred.min()), int(occurred.max())
    horizon = horizon_us(journey)
    silent = tuple(
        signal.name
        for signal in journey.signals
        if not signal.by_action and not pc.any(of_signal(events, signal)).as_py()
    )
    figures = tuple(
        _figure(kpi, events, journey, first_us, row, last)
        for kpi in (journey.north_star, *journey.supporting)
    )
    stages = tuple(
        _stage(name, named[signal], events, first_us, row) for name, signal in journey.stages
    )
    days = max((last - first) / DAY_US, 1.0)
    return FirstLook(
        journey=journey.name,
        title=journey.title,
        first_at=_told(first),
        last_at=_told(last),
        days=round(days, 1),
        contacts=len(contacts),
        with_events=len(who),
        with_consent=int(pc.sum(contacts["consent"]).as_py() or 0),
        with_zone=len(contacts) - contacts["time_zone"].null_count,
        with_account=len(contacts) - contacts["account_id"].null_count,
        types=_types(events),
        silent=silent,
        stages=stages,
        figures=figures,
        missing=tuple(_missing(events, contacts, journey, silent)),
        experiment=_experiment(figures, stages, len(who), len(who) / days * 7.0, horizon),
    )


def experiment_block(look: FirstLook, journey: Journey) -> str:
    """The experiment as lines for the journey file."""
    shares = ", ".join(f"{arm}: {share}" for arm, share in SHARES.items())
    plan = look.experiment
    return "\n".join(
        [
            "experiment:",
            "  name: first",
            "  unit: contact",
            f"  shares: {{{shares}}}",
            "  usual: drip",
            f"  units: {plan.units}",
            f"  worth: {{{journey.north_star.name}: {plan.worth:.4g}}}",
        ]
    )


def units_needed(rate: float, worth: float, shares: tuple[float, float]) -> int:
    """Units in all arms until a difference of two rates is found with `POWER`.

        N >= (w + z)^2 (p (1 - p) / a + q (1 - q) / b) / worth^2,   q = p + worth

    w is the width of planned looks at the planned end, z the normal quantile of the power.

    Args:
        rate: p, of business as usual, in (0, 1).
        worth: the difference to be found, > 0.
        shares: a and b, of business as usual and of the policy among all units.
    """
    better = min(rate + worth, 1.0)
    spread = rate * (1.0 - rate) / shares[0] + better * (1.0 - better) / shares[1]
    width = looks_width(1.0, _LEVEL) + float(special.ndtri(POWER))
    return ceil(width**2 * spread / worth**2)


def first_events(events: pa.Table) -> tuple[Sequence[str], IntArray, IntArray]:
    """Contacts with events, the moment of each one's first, and whose each event is."""
    encoded = events["contact_id"].combine_chunks().dictionary_encode()
    row = np.asarray(encoded.indices, np.int64)
    first = np.full(len(encoded.dictionary), np.iinfo(np.int64).max)
    np.minimum.at(first, row, np.asarray(pc.cast(events["occurred_at"], pa.int64())))
    return encoded.dictionary.to_pylist(), first, row


def of_signal(events: pa.Table, signal: Signal) -> pa.ChunkedArray:
    """Which events are a signal, [n]."""
    found = pc.equal(events["type"], signal.type)
    for column, value in signal.filters().items():
        found = pc.and_(found, pc.fill_null(pc.equal(events[column], value), False))
    return found


def _types(events: pa.Table) -> tuple[TypeCount, ...]:
    grouped = events.group_by("type").aggregate(
        [("event_id", "count"), ("contact_id", "count_distinct"), ("is_machine", "mean")]
    )
    rows = grouped.sort_by([("event_id_count", "descending"), ("type", "ascending")]).to_pylist()
    return tuple(
        TypeCount(
            row["type"],
            row["event_id_count"],
            row["contact_id_count_distinct"],
            row["is_machine_mean"],
        )
        for row in rows
    )


def _stage(
    name: str, signal: Signal, events: pa.Table, first_us: IntArray, row: IntArray
) -> StageCount:
    reached = _days_until([signal], events, first_us, row)
    come = reached[np.isfinite(reached)]
    return StageCount(name, come.size, float(np.median(come)) if come.size else None)


def _days_until(
    signals: Iterable[Signal], events: pa.Table, first_us: IntArray, row: IntArray
) -> NDArray[np.float64]:
    """Days from each contact's first event to the first of the signals; infinite: none, [c]."""
    days = np.full(first_us.size, np.inf)
    occurred = np.asarray(pc.cast(events["occurred_at"], pa.int64()))
    for signal in signals:
        is_one = np.asarray(of_signal(events, signal).combine_chunks(), bool)
        since = (occurred[is_one] - first_us[row[is_one]]) / DAY_US
        np.minimum.at(days, row[is_one], since)
    return days


def _figure(
    kpi: Kpi, events: pa.Table, journey: Journey, first_us: IntArray, row: IntArray, last_us: int
) -> FigureCount:
    """Whoever was watched for a whole journey counts, also who came late in it."""
    horizon = horizon_us(journey)
    names = {name.removesuffix(".value") for name in kpi.of}
    signals = [signal for signal in journey.signals if signal.name in names]
    days = _days_until(signals, events, first_us, row)
    watched = first_us + horizon <= last_us
    reached = watched & (days * DAY_US < horizon)
    n, k = int(watched.sum()), int(reached.sum())
    found = binomial_interval(k, n, _LEVEL) if n else None
    lower, upper = (found.lower, found.upper) if found is not None else (0.0, 1.0)
    return FigureCount(kpi.name, k, n, lower, upper)


def horizon_us(journey: Journey) -> int:
    """How long a journey lasts, microseconds."""
    clock = journey.clock
    return round(clock.periods * clock.period_hours * HOUR_US)


def _missing(
    events: pa.Table, contacts: pa.Table, journey: Journey, silent: Sequence[str]
) -> Iterable[Missing]:
    present = set(events["type"].unique().to_pylist())
    yield Missing(
        "decisions with propensities",
        "nobody can say what another policy would have earned: who was mailed what, when, and "
        "with which chance, is not in the log",
        "let the policy server decide, or log the decisions of the present programme with their "
        "chances",
    )
    if "sent" not in present:
        yield Missing(
            "sends",
            "a click shows that a mail came, not who got one and did nothing: no rate is over "
            "mails",
            "export the sends of your mail program, one row each, and map them as `sent`",
        )
    for source, kinds in SOURCES.items():
        lost = [one.name for one in journey.signals if one.type in kinds]
        if lost and not present & set(kinds):
            yield Missing(
                f"{source} events",
                f"{len(lost)} signals of the journey are silent without them",
                "export them, and draft a mapping with the verb `map`",
            )
    if not pc.any(contacts["consent"]).as_py():
        yield Missing(
            "consent",
            "nobody may be mailed: without a word on consent there is none",
            "map the column that says who agreed, as `consent` of contacts",
        )
    if contacts["time_zone"].null_count == len(contacts):
        yield Missing(
            "time zones",
            "a contact without one gets mail only in hours that are allowed in every zone",
            "map the column, as `time_zone` of contacts, or set `data.default_zone`",
        )


def _experiment(
    figures: Sequence[FigureCount],
    stages: Sequence[StageCount],
    contacts: int,
    per_week: float,
    horizon_us: int,
) -> FirstExperiment:
    star = figures[0]
    assumed = not star.reached
    # Where everybody reaches it, half of one contact is held not to: there is something to gain.
    rate = _ASSUMED if assumed else min(star.reached, star.watched - 0.5) / star.watched
    known = {star.name: rate}
    known |= {one.name: one.reached / one.watched for one in figures[1:] if one.reached}
    known |= {one.stage: one.contacts / contacts for one in stages if one.contacts}
    sizes = [
        _size(name, share, gain, per_week, horizon_us)
        for name, share in known.items()
        if share < 1.0
        for gain in WORTHS
    ]
    worth = WORTHS[0] * min(rate, 1.0 - rate)
    return FirstExperiment(rate, assumed, worth, round(per_week, 1), tuple(sizes))


def _size(name: str, rate: float, gain: float, per_week: float, horizon_us: int) -> Size:
    worth = gain * min(rate, 1.0 - rate)
    units = units_needed(rate, worth, (SHARES["usual"], SHARES["policy"]))
    weeks = ceil(units / per_week + horizon_us / (7 * DAY_US))
    return Size(name, rate, gain, units, weeks)


def _told(us: int) -> str:
    return datetime.fromtimestamp(us / 1e6, UTC).isoformat()
