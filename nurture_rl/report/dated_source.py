"""What is known of a dated plan of rounds: what the log tells, the rounds done, those to come."""

from __future__ import annotations

from dataclasses import dataclass

from nurture_rl.report.rounds_source import ValueBand


@dataclass(frozen=True, slots=True)
class ExplorationPrice:
    """What a share of exploration costs, the journey's unit per contact."""

    share: float  # of decisions that go otherwise than the programme mostly would
    cost: ValueBand | None  # None: not known
    why: str = ""  # why it is not known


@dataclass(frozen=True, slots=True)
class StarSize:
    """What it takes to show a gain in the journey's north star."""

    name: str
    rate: float | None  # per contact as things are; None: not known
    worth: float | None  # the gain that is to be shown, per contact
    by_log: int | None  # contacts in all, in rounds that are judged off-policy; None: not known
    by_arms: int | None  # contacts in all, dealt to two arms by chance instead
    why: str = ""  # what is not known, and why


@dataclass(frozen=True, slots=True)
class LogProspects:
    """What the log tells of rounds to come."""

    log: str  # which contacts, in words
    level: float  # of each gate's intervals, and of those here
    contacts: int  # in the log
    judging: int  # of those, held-out contacts whose outcomes are known
    exploration: float | None  # share of decisions that went otherwise; None: not known
    prices: tuple[ExplorationPrice, ...]  # one for each planned share
    saving: ValueBand | None  # what a tenth less of the log's exploration would earn, per contact
    star: StarSize
    policy: str | None  # that was learned in the present trust region; None: none could be
    effective: float | None  # its effective sample, of the contacts that judge
    half: float | None  # half the interval of its gain, by those contacts, the journey's unit
    star_half: float | None  # the same of the north star
    drift: tuple[str, ...]  # what is not in the log's last weeks as before
    why: str = ""  # why the log tells nothing of a policy; empty where it does


@dataclass(frozen=True, slots=True)
class DoneRound:
    """A real round: what was decided and why."""

    number: int
    programme: str  # that ran
    collected_from: str  # ISO-8601 days, as those that follow
    decided: str
    served: str  # from which day on the next programme ran
    contacts: int  # in the log that was judged
    candidate: str | None
    verdict: str  # of the gate
    reasons: tuple[str, ...]  # why what was learned is not released; empty where it is
    early_days: int  # by which the gate was asked before the plan had the outcomes known
    next_programme: str
    gate: str  # SHA-256 of the gate's record
    low_level: float | None = None  # at which it was asked, where that is below the plan's


@dataclass(frozen=True, slots=True)
class ComingRound:
    """A round that is planned; days are ISO-8601, both ends belong to a span."""

    number: int
    collect_from: str
    collect_to: str
    known_on: str  # all outcomes of its contacts are in
    gate_on: str
    serve_on: str
    contacts: int  # that enter while it collects
    judged_by: int  # contacts of the log then, those before among them
    exploration: float | None
    effective_own: float | None  # effective sample expected of the round's own contacts
    effective_all: float | None  # of all, while the same programme runs
    gain: float | None  # smallest that is shown with 80 % power, the journey's unit per contact
    star_gain: float | None  # the same of the north star
    enough: bool | None  # for the gain worth having in the north star; None: not known


@dataclass(frozen=True, slots=True)
class DatedPlan:
    """All of it; what was asked is kept, so that a later plan goes on from it."""

    journey: str
    title: str
    unit: str
    level: float  # of all rounds' gates together
    max_ratio: str  # of the trust region
    start: str
    weekly: float
    count: int
    weeks: int  # that a round collects
    weeks_why: str
    horizon_days: int
    late_days: int
    programme: str  # that runs now
    prospects: LogProspects
    done: tuple[DoneRound, ...]
    coming: tuple[ComingRound, ...]
