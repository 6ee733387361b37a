"""Which decisions of a checked log can be judged, and why the others cannot.

One bad row does not stop a log. An unusable row is set aside alone, with its episode, or with its
contact: as much as is needed so that the rest is correct.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_rl.features.attributes import unreadable_numbers
from nurture_rl.features.bins import (
    DecidedContacts,
    DecisionTimes,
    bins_at_decision,
    early_decisions,
    index_contacts,
    times_of,
    torn_decisions,
)
from nurture_rl.logs.quarantine import BROKEN
from nurture_rl.wording import counted

BoolArray = NDArray[np.bool_]
Texts = NDArray[np.object_]

TWICE, AFTER_END = "decided twice", "after the end"
HARMLESS = (TWICE, AFTER_END)  # what is left of the episode is all that happened


@dataclass(frozen=True, slots=True)
class KnownBad:
    """What was found unusable before; each with its reason."""

    episodes: Mapping[str, str] = field(default_factory=dict)  # by episode id
    contacts: Mapping[str, str] = field(default_factory=dict)  # by contact id
    unplaced: int = 0  # decisions that were refused and name nobody


def unusable(
    contacts: pa.Table,
    decisions: pa.Table,
    journey: Journey,
    default_zone: str,
    known: KnownBad,
) -> pa.Array:
    """Why each decision cannot be judged, null where it can, [n] strings "<kind>: <detail>".

    Where a bin was decided twice, the first decision is kept, or the one that was carried out. If
    a decision cannot be used, its whole episode is left out: the rest of the episode would be
    weighted as if nothing had been decided in between.

    Args:
        contacts, decisions: checked tables.
        journey: whose log it is.
        default_zone: where contacts of unknown zone live.
        known: what the rows' own checks refused.
    """
    if not len(decisions):
        return pa.array([], pa.string())
    reasons = np.full(len(decisions), "", object)
    named = _Named(*(_texts(decisions, name) for name in _Named.__slots__))
    about = index_contacts(contacts, decisions, default_zone)
    for bad, told in _findings(decisions, about, named, journey, known):
        for row in np.flatnonzero(bad & (reasons == "")):
            reasons[row] = told(int(row))
    _second_decisions(decisions, named, reasons)
    _break_episodes(named, reasons)
    return pa.array([reason or None for reason in reasons], pa.string())


def after_the_end(table: pa.Table, horizon: int) -> pa.Array:
    """Why decisions come after their episode's end, null where they do not, [n] strings.

    An end that the log knew late (an unsubscribe reported days afterwards) leaves decisions that
    nothing could follow from.

    Args:
        table: the decision table, sorted by episode and step.
        horizon: bins of an episode.
    """
    named = _Named(*(_texts(table, name) for name in _Named.__slots__))
    episode = _codes(named.episode_id)
    step, terminal = np.asarray(table["step"]), np.asarray(table["terminal"])
    last = np.full(episode.max(initial=-1) + 1, horizon - 1, np.int64)
    np.minimum.at(last, episode[terminal], step[terminal])
    reasons: list[str | None] = [None] * len(table)
    for row in np.flatnonzero(step > last[episode]):
        reasons[row] = (
            f"{AFTER_END}: {named.who(int(row))} is for bin {step[row]} of an episode whose last "
            f"is {last[episode[row]]}"
        )
    return pa.array(reasons, pa.string())


@dataclass(frozen=True, slots=True)
class _Named:
    """What each decision is called, [n] each."""

    decision_id: Texts
    contact_id: Texts
    episode_id: Texts

    def who(self, row: int) -> str:
        """The decision and its contact, for a message."""
        return f"decision {self.decision_id[row]!r} of contact {self.contact_id[row]!r}"


Finding = tuple[BoolArray, Callable[[int], str]]  # rows, and the reason against one of them


def _findings(
    decisions: pa.Table, about: DecidedContacts, named: _Named, journey: Journey, known: KnownBad
) -> Iterator[Finding]:
    """Rows with a fault, gravest first."""
    journeys = _texts(decisions, "journey")
    yield (
        journeys != journey.name,
        lambda row: (
            f"other journey: {named.who(row)} is of {journeys[row]!r}, read is "
            f"{journey.name!r}; give data.journey"
        ),
    )
    yield _listed(named.contact_id, known.contacts)
    yield _listed(named.episode_id, known.episodes)
    yield _listed(named.contact_id, dict(unreadable_numbers(about, journey)))
    times = times_of(decisions, about)
    yield _torn(times, named)
    if known.unplaced:
        yield _holes(decisions, named, known.unplaced)
    yield from _untimely(times, about, named, journey)


def _listed(names: Texts, reasons: Mapping[str, str]) -> Finding:
    bad = np.isin(names.astype(str), list(reasons)) if reasons else np.zeros(len(names), bool)
    return bad, lambda row: reasons[names[row]]


def _torn(times: DecisionTimes, named: _Named) -> Finding:
    """Episodes of two contacts or two anchors, whole."""
    torn = np.bincount(times.episode, weights=torn_decisions(times)) > 0
    return (
        torn[times.episode],
        lambda row: (
            f"torn episode: {named.who(row)} is of {named.episode_id[row]!r}, which has two "
            "contacts or two anchors; give each pass through the journey its own episode_id"
        ),
    )


def _holes(decisions: pa.Table, named: _Named, unplaced: int) -> Finding:
    """Episodes that lack a bin, where lines that could not be read may have held it."""
    episode = _codes(named.episode_id)
    step = np.asarray(decisions["step"])
    bins = np.unique(np.stack([episode, step]), axis=1)[0]
    last = np.zeros(episode.max(initial=-1) + 1, np.int64)
    np.maximum.at(last, episode, step)
    lacking = np.bincount(bins, minlength=len(last)) < last + 1
    return (
        lacking[episode],
        lambda row: (
            f"{BROKEN}: {named.who(row)} belongs to one that lacks a bin, and "
            f"{counted(unplaced, 'line')} of decisions could not be read"
        ),
    )


def _untimely(
    times: DecisionTimes, about: DecidedContacts, named: _Named, journey: Journey
) -> Iterator[Finding]:
    """Decisions of no bin of the journey, made before their bin, or a whole horizon after it."""
    horizon = journey.clock.horizon
    yield (
        times.step >= horizon,
        lambda row: (
            f"{AFTER_END}: {named.who(row)} is for bin {times.step[row]} of a journey whose last "
            f"is {horizon - 1}"
        ),
    )
    inside = times.step < horizon
    early = inside & early_decisions(times, FeatureSpec.of(journey))
    count = np.bincount(times.contact, weights=early, minlength=len(about.ids))
    yield (
        (count > 0)[times.contact],
        lambda row: (
            f"early decisions: {named.who(row)} is one of a contact that was decided for before "
            f"the bin began, as clocks go in {about.zones[times.contact[row]]}, so that features "
            "would know the future; has the contact moved? check anchor, step and time_zone"
        ),
    )
    yield (
        inside & (bins_at_decision(times, journey.clock) - times.step > horizon),
        lambda row: (
            f"late decision: {named.who(row)} was made more than {horizon} bins after its own; "
            "check anchor, step and decided_at"
        ),
    )


def _second_decisions(decisions: pa.Table, named: _Named, reasons: Texts) -> None:
    """Mark all decisions of a bin except the first, among decisions that are otherwise usable.

    Where two carried-out decisions took different actions, nobody can tell which one the later
    events belong to.
    """
    good = np.flatnonzero(reasons == "")
    step, deferred = np.asarray(decisions["step"]), np.asarray(decisions["deferred"])
    decided = np.asarray(decisions["decided_at"].cast(pa.int64()))
    episode, ids = _codes(named.episode_id), _codes(named.decision_id)
    order = good[np.lexsort([part[good] for part in (ids, decided, deferred, step, episode)])]
    same = (np.diff(episode[order]) == 0) & (np.diff(step[order]) == 0)
    starts = np.append(True, ~same)[: len(order)]
    first = order[np.maximum.accumulate(np.where(starts, np.arange(len(order)), 0))]
    action = _texts(decisions, "action")
    for row, before in zip(order[~starts], first[~starts], strict=True):
        told = f"{named.who(int(row))} is for bin {step[row]}, which {named.decision_id[before]!r}"
        if deferred[row] or action[row] == action[before]:
            reasons[row] = f"{TWICE}: {told} decided"
        else:
            reasons[row] = f"conflicting decisions: {told} decided otherwise ({action[before]!r})"
            reasons[before] = reasons[before] or (
                f"conflicting decisions: {named.who(int(before))} is for bin {step[row]}, which "
                f"{named.decision_id[row]!r} decided otherwise ({action[row]!r})"
            )


def _break_episodes(named: _Named, reasons: Texts) -> None:
    """Set aside what belongs to an episode with a decision that cannot be used."""
    causes: dict[str, str] = {}
    for row in np.flatnonzero(reasons != ""):
        if not reasons[row].startswith((*HARMLESS, "other journey")):
            causes.setdefault(named.episode_id[row], reasons[row].split(":")[0])
    beside = (reasons == "") & _listed(named.episode_id, causes)[0]
    for row in np.flatnonzero(beside):
        reasons[row] = (
            f"{BROKEN}: {named.who(int(row))} belongs to one that is not whole "
            f"({causes[named.episode_id[row]]})"
        )


def _codes(names: Texts) -> NDArray[np.int64]:
    """Codes in the names' order, [n]."""
    return np.unique(names.astype(str), return_inverse=True)[1].astype(np.int64)


def _texts(table: pa.Table, name: str) -> Texts:
    return np.asarray(table[name].to_pylist(), object)
