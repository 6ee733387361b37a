"""What was decided in the latest days: by arm, action, message and guardrail."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np

from nurture_envs.clock import DAY_US
from nurture_envs.guardrails import reason_names
from nurture_envs.journey import Journey
from nurture_rl.serving.deciding.reason_words import REASON_WORDS
from nurture_rl.serving.layers import is_as_asked
from nurture_rl.serving.storage.reading import StoreReader, message_of
from nurture_rl.serving.storage.rows import Row

FLOOR = 0.001  # a propensity below it makes importance weights beyond its inverse
_MOST = 200_000  # decisions that are read
_EPOCH = date(1970, 1, 1)
_COLUMNS = ("decided_us", "contact_id", "arm", "action", "propensity", "reasons", "note")


@dataclass(frozen=True, slots=True)
class ArmFigures:
    """What one arm did, and what became of those who began in it."""

    arm: str
    contacts: int
    decisions: int
    sends: int
    escalations: int
    began: int  # contacts whose episode began in these days
    reached: int  # of these, those with an event that the north star counts


@dataclass(frozen=True, slots=True)
class GuardrailDays:
    """How often one guardrail forbade something."""

    name: str
    says: str  # in plain words
    decisions: Sequence[int]  # by day


@dataclass(frozen=True, slots=True)
class DecisionDays:
    """The latest days of one journey."""

    journey: str
    north_star: str
    days: Sequence[str]  # UTC, ISO 8601, the oldest first
    decisions: int
    left_out: int  # older decisions of these days that were not read
    actions: dict[str, list[int]]  # by routing, by day
    messages: dict[str, int]  # decisions to send, the most frequent first
    arms: Sequence[ArmFigures]
    guardrails: Sequence[GuardrailDays]  # the most frequent first
    by_others: Sequence[int]  # decisions that another than who was asked to made, by day
    withdrawn: dict[str, int]  # sends that were taken back, by why
    smallest_propensity: float | None
    below_floor: int  # decisions with a propensity below `FLOOR`


@dataclass(slots=True)
class _Tally:
    """What is counted while rows pass."""

    first_day: int
    days: int
    decisions: int = 0
    actions: dict[str, list[int]] = field(default_factory=dict)
    messages: Counter[str] = field(default_factory=Counter)
    arms: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    people: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    reasons: dict[int, list[int]] = field(default_factory=dict)  # by bits, by day
    others: list[int] = field(default_factory=list)
    smallest: float = 1.0
    below: int = 0

    def add(self, block: Sequence[Row]) -> None:
        """Count the rows of a block, each the cells of `_COLUMNS`."""
        for decided_us, contact, arm, action, propensity, _, note in block:
            day = self._place(decided_us)
            routing = action.partition(":")[0]
            self.actions.setdefault(routing, [0] * self.days)[day] += 1
            self.arms[arm].update(("decisions", routing))
            self.people[arm].add(contact)
            if routing == "send":
                self.messages[message_of(action) or ""] += 1
            self.others[day] += not is_as_asked(note)
            self.smallest = min(self.smallest, propensity)
            self.below += propensity < FLOOR
        self.decisions += len(block)
        for size, rows in _by_length(block):
            bits = np.frombuffer(b"".join(row[5] for row in rows), np.int64).reshape(-1, size)
            for said, row in zip(np.bitwise_or.reduce(bits, axis=1).tolist(), rows, strict=True):
                self.reasons.setdefault(said, [0] * self.days)[self._place(row[0])] += 1

    def _place(self, at_us: int) -> int:
        return min(max(at_us // DAY_US - self.first_day, 0), self.days - 1)


def _by_length(block: Sequence[Row]) -> Iterator[tuple[int, list[Row]]]:
    """The rows of each catalogue's size: those of one have reasons of one length."""
    found: dict[int, list[Row]] = defaultdict(list)
    for row in block:
        found[len(row[5]) // 8].append(row)
    yield from found.items()


def decision_days(store: StoreReader, journey: Journey, now_us: int, days: int) -> DecisionDays:
    """Count the decisions of the latest days, today's among them.

    Args:
        store: read beside the work.
        journey: whose decisions.
        now_us: the moment, microseconds since 1970 UTC.
        days: how many UTC days, >= 1.

    Raises:
        StoreUnavailable: the store cannot be read.
    """
    first = now_us // DAY_US - days + 1
    since_us = first * DAY_US - 1
    tally = _Tally(first, days, others=[0] * days)
    for block in store.decided_cells(journey.name, since_us, _MOST, _COLUMNS):
        tally.add(block)
    guardrails: dict[str, list[int]] = {}
    for bits, counts in tally.reasons.items():
        for name in reason_names(bits):
            kept = guardrails.setdefault(name, [0] * days)
            kept[:] = [a + b for a, b in zip(kept, counts, strict=True)]
    known = store.count_decisions(journey.name, since_us)
    return DecisionDays(
        journey=journey.name,
        north_star=journey.north_star.name,
        days=[str(_EPOCH + timedelta(days=first + i)) for i in range(days)],
        decisions=tally.decisions,
        left_out=max(0, known - tally.decisions),
        actions=dict(sorted(tally.actions.items())),
        messages=dict(tally.messages.most_common()),
        arms=_arms(store, journey, tally, since_us),
        guardrails=[
            GuardrailDays(name, REASON_WORDS.get(name, name), counts)
            for name, counts in sorted(guardrails.items(), key=lambda one: -sum(one[1]))
        ],
        by_others=tally.others,
        withdrawn=store.withdrawn_by_reason(journey.name, since_us),
        smallest_propensity=tally.smallest if tally.decisions else None,
        below_floor=tally.below,
    )


def _arms(store: StoreReader, journey: Journey, tally: _Tally, since_us: int) -> list[ArmFigures]:
    signals = [one.filters() for one in journey.signals if one.name in journey.north_star.of]
    after = store.place_before(journey.name, since_us)
    began = store.arm_counts(journey.name, after, signals)
    found = []
    for arm in sorted({*tally.arms, *began}):
        counts, new = tally.arms.get(arm, Counter[str]()), began.get(arm)
        found.append(
            ArmFigures(
                arm=arm,
                contacts=len(tally.people.get(arm, ())),
                decisions=counts["decisions"],
                sends=counts["send"],
                escalations=counts["escalate"],
                began=0 if new is None else new.contacts,
                reached=0 if new is None else new.harmed,
            )
        )
    return found
