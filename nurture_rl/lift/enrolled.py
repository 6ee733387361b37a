"""Who was dealt to which arm, and what became of everybody, read from the tables of a log."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nurture_envs.clock import DAY_US, HOUR_US
from nurture_envs.journey import Journey
from nurture_envs.signals import channel_rows
from nurture_rl.errors import LogError
from nurture_rl.features.bins import index_contacts, signal_events, times_of
from nurture_rl.features.table import clusters_of
from nurture_rl.lift.contrast import BoolArray, FloatArray
from nurture_rl.lift.velocity import IntArray, StageTimes
from nurture_rl.lift.written_plan import Plan
from nurture_rl.logs.schema import OF_EXPERIMENT

_OF_FIRST = (
    *("contact_id", "decided_at", "decision_id", "arm", "episode_id", "anchor", "step"),
    *OF_EXPERIMENT.names,
)
_POLICY, _CANARY = "policy", "canary:"  # how servers call the arms of who decides, and who is tried


@dataclass(frozen=True, slots=True, eq=False)
class Enrolled:
    """The contacts of an experiment, as they were dealt; all [n] in order of enrolment."""

    contact_ids: NDArray[np.str_]
    arm: IntArray  # position in the plan's shares
    unit: IntArray  # what was dealt: position among accounts and contacts, from 0
    account: IntArray  # position among accounts and contacts without one
    since_us: IntArray  # first decision, UTC
    amounts: FloatArray  # events of each channel within the window, [n, c]
    stage: StageTimes | None  # of the plan's stage
    followed: BoolArray  # all outcomes of the window are in the log
    timed: BoolArray  # all days until the plan's signal are in the log
    known: FloatArray  # numbers known when the contact was enrolled, [n, p]


@dataclass(frozen=True, slots=True)
class Notes:
    """What does not fit the plan."""

    other_arms: int  # contacts in arms that the plan does not name; left out
    crossed: int  # contacts with decisions of two arms of it; they stay in the first
    torn_accounts: int  # accounts with contacts in two arms, where accounts were dealt
    not_dealt: int  # contacts since its beginning whom the plan's experiment did not deal; left out


@dataclass(frozen=True, slots=True, eq=False)
class LogTables:
    """A checked log."""

    events: pa.Table
    contacts: pa.Table
    decisions: pa.Table  # all of them, carried out or not
    features: pa.Table  # `decision_id` and `features`, for those whose features are known
    as_of_us: int  # the log is complete up to here, UTC
    default_zone: str  # where contacts of unknown zone live


def enrolled(log: LogTables, plan: Plan, journey: Journey) -> tuple[Enrolled, Notes]:
    """Everybody whose first decision of the journey falls into the experiment.

    A contact stays in the arm of its first decision, whatever was done later, and counts from
    there on for the plan's window: also after an exit, an opt-out or a decision that was never
    carried out (intention to treat).

    Raises:
        LogError: nobody is enrolled.
    """
    first, crossed, not_dealt = _first_decisions(log.decisions, plan, journey)
    arms = np.array(list(plan.shares))
    named = arms_in(first, plan)
    kept = np.isin(named, arms)
    other = int((~kept).sum())
    first = first.filter(pa.array(kept))
    if not first.num_rows:
        raise LogError(
            f"expected decisions of the arms {', '.join(arms)} since {plan.starts:%Y-%m-%d} in "
            "the log, got "
            f"arms {sorted(set(named.tolist()))}; write the plan's arms as the log names them"
        )
    arm = np.searchsorted(np.sort(arms), named[kept])
    arm = np.argsort(arms, kind="stable")[arm]
    clusters = clusters_of(first["contact_id"], log.contacts)
    account = _numbers(clusters)
    unit, torn = np.arange(first.num_rows), 0
    if plan.unit == "account":
        unit, torn = _in_one_arm(account, arm)
    since = np.asarray(pc.cast(first["decided_at"], pa.int64()))
    amounts, stage = _followed_up(log, first, unit, plan, journey)
    figures = (journey.north_star, *journey.supporting)
    late = longest_delay_us(journey, {name for kpi in figures for name in kpi.of})
    made = Enrolled(
        contact_ids=np.asarray(first["contact_id"].to_pylist(), str),
        arm=arm,
        unit=unit,
        account=account,
        since_us=since,
        amounts=amounts,
        stage=stage,
        followed=since + plan.window_days * DAY_US + late <= log.as_of_us,
        timed=_timed(since, plan, journey, log.as_of_us),
        known=_known(log.features, first),
    )
    return made, Notes(other, crossed, torn, not_dealt)


def of_experiment(decisions: pa.Table, plan: Plan) -> BoolArray:
    """Which decisions were made in an experiment, [n].

    A server names it in each decision of whom it dealt. Elsewhere it goes by the moment.

    Raises:
        LogError: the plan is a server's, and the log says of no decision what dealt its contact.
    """
    if plan.dealt_by is None:
        since = np.asarray(pc.cast(decisions["decided_at"], pa.int64()))
        return np.asarray(since >= _starts_us(plan), np.bool_)
    if "experiment" not in decisions.column_names:
        raise LogError(
            f"expected the log of the server whose experiment {plan.dealt_by} dealt, with the "
            "column `experiment` in its decisions, got none; export the store again, or take "
            "`dealt_by` out of the plan, to count whoever has a first decision since `starts`"
        )
    return np.asarray(pc.fill_null(pc.equal(decisions["experiment"], plan.dealt_by), False))


def _starts_us(plan: Plan) -> int:
    return round(plan.starts.timestamp() * 1e6)


def _first_decisions(
    decisions: pa.Table, plan: Plan, journey: Journey
) -> tuple[pa.Table, int, int]:
    """The first decision of each contact of the experiment, the earliest first.

    A contact whose first decision was before the experiment, or who was not dealt by it, is not in
    it. Beside them, how many contacts crossed over, and how many came later and were not dealt.
    """
    wanted = [name for name in _OF_FIRST if name in decisions.column_names]
    rows = decisions.filter(pc.equal(decisions["journey"], journey.name)).select(wanted)
    rows = rows.sort_by([("decided_at", "ascending"), ("decision_id", "ascending")])
    rows = rows.combine_chunks()
    ids = rows["contact_id"].to_numpy(zero_copy_only=False).astype(str)
    _, at, of = np.unique(ids, return_index=True, return_inverse=True)
    arm = arms_in(rows, plan)
    dealt = of_experiment(rows, plan)
    inside = dealt[at]
    since = np.asarray(pc.cast(rows["decided_at"], pa.int64()))[at]
    others = ~inside & (since >= _starts_us(plan))
    differs = np.bincount(of, weights=dealt & (arm != arm[at][of])) > 0.0
    first = rows.take(pa.array(np.sort(at[inside])))
    return first, int((differs & inside).sum()), int(others.sum())


def arms_in(decisions: pa.Table, plan: Plan) -> NDArray[np.str_]:
    """The arm of each decision, [n]; a canary is part of the policy's, unless the plan names it."""
    named = decisions["arm"].to_numpy(zero_copy_only=False).astype(str)
    tried = np.char.startswith(named, _CANARY) & ~np.isin(named, list(plan.shares))
    return np.where(tried, _POLICY, named) if _POLICY in plan.shares else named


def _numbers(names: pa.Array) -> IntArray:
    """Positions in order of first appearance, [n]."""
    return np.asarray(names.dictionary_encode().indices, np.int64)


def _in_one_arm(account: IntArray, arm: IntArray) -> tuple[IntArray, int]:
    """Units of one arm each, [n], and how many accounts were torn.

    Colleagues in another arm, such as those who came to the account after they were dealt, stay in
    theirs and are a unit of their own.
    """
    _, at, of = np.unique(account, return_index=True, return_inverse=True)
    torn = int((np.bincount(of, weights=arm != arm[at][of]) > 0.0).sum())
    pairs = np.stack([account, arm], axis=1)
    return np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1), torn


def _followed_up(
    log: LogTables, first: pa.Table, unit: IntArray, plan: Plan, journey: Journey
) -> tuple[FloatArray, StageTimes | None]:
    """Channel sums within the window, [n, c], and the days until the plan's signal.

    A day is 24 hours that pass, whatever the contact's clock shows.
    """
    indexed = index_contacts(log.contacts, first, log.default_zone)
    known = replace(indexed, zones=np.full(len(indexed.ids), "UTC", object))
    times = times_of(first, known)
    row = np.empty(len(known.ids), np.int64)
    row[times.contact] = np.arange(first.num_rows)
    seen, _, _ = signal_events(log.events, known, journey)
    at = row[seen.contact]
    days = (seen.local_us - times.decided_local_us[at]) / DAY_US
    told = (seen.known_us <= log.as_of_us) & (days >= 0.0)
    inside = told & (days < plan.window_days)
    rows = channel_rows(seen.signal[inside], seen.value[inside], journey)
    amounts = np.zeros((first.num_rows, len(journey.channels)))
    np.add.at(amounts, (at[inside][rows.event], rows.channel), rows.amount)
    if plan.velocity is None:
        return amounts, None
    name = plan.velocity.signal
    came = told & (seen.signal == [one.name for one in journey.signals].index(name))
    whole = np.full(first.num_rows, np.inf)
    np.minimum.at(whole, at[came], np.floor(days[came]))
    late = longest_delay_us(journey, (name,))
    watched = np.floor((log.as_of_us - late - times.decided_us) / DAY_US).clip(0.0)
    reached = whole < watched
    ended = np.where(reached, whole, watched).astype(np.int64)
    return amounts, StageTimes(ended, reached, unit)


def _timed(since: IntArray, plan: Plan, journey: Journey, as_of_us: int) -> BoolArray:
    """Of whom the days until the plan's signal are over."""
    if plan.velocity is None:
        return np.zeros(since.size, np.bool_)
    late = longest_delay_us(journey, (plan.velocity.signal,))
    return np.asarray(since + plan.velocity.days * DAY_US + late <= as_of_us)


def longest_delay_us(journey: Journey, channels: Iterable[str]) -> int:
    """By when each of the channels is known for sure, after its event."""
    bins = max(journey.delays[journey.channel_index(name)] for name in channels)
    return round(bins * journey.clock.period_hours / len(journey.clock.slots_hours) * HOUR_US)


def _known(features: pa.Table, first: pa.Table) -> FloatArray:
    """Features of the first decisions; a contact without them has the others' means, [n, d]."""
    at = pc.index_in(first["decision_id"], value_set=features["decision_id"].combine_chunks())
    present = np.asarray(pc.is_valid(at))
    vectors = features["features"].combine_chunks()
    width = vectors.type.list_size
    table = np.asarray(vectors.flatten(), np.float64).reshape(-1, width)
    out = np.zeros((first.num_rows, width))
    rows = np.asarray(pc.drop_null(at), np.int64)
    if rows.size:
        out[:] = table[rows].mean(axis=0)
    out[present] = table[rows]
    return out
