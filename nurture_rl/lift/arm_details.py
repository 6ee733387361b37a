"""What happened by arm, counted: mail, answers, meetings and pipeline. It judges nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nurture_envs.clock import HOUR_US
from nurture_envs.journey import Journey
from nurture_rl.lift.arm_events import (
    NOBODY,
    ArmEvents,
    ArmMails,
    Words,
    arm_events,
    arm_mails,
    mail_before,
)
from nurture_rl.lift.contrast import BoolArray, FloatArray
from nurture_rl.lift.enrolled import Enrolled, LogTables
from nurture_rl.lift.judged_arms import LiftReport, figure_amounts
from nurture_rl.lift.velocity import IntArray

AFTER_DAYS = 7  # what follows a mail within so many days, and before the next one, is told of it
_CLICK, _REPLY, _BOOKED, _HELD = "click", "reply", "meeting_booked", "meeting_held"
_BOUNCE, _COMPLAINT = "hard_bounce", "complaint"
_UNNAMED = "no class"

FamilyOf = Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True, slots=True)
class FamilyMail:
    """Mail of one arm to one family of mailboxes, within the window, of all contacts so far."""

    arm: str
    family: str
    contacts: int
    mails: int
    hard_bounces: int
    complaints: int


@dataclass(frozen=True, slots=True)
class JobMail:
    """Mail of one arm with one job, of which the days after are over."""

    arm: str
    job: str
    mails: int
    clicked: int  # mails that a person clicked in
    converted: int  # mails after which the north star's signal came
    opted_out: int  # mails after which a contact opted out


@dataclass(frozen=True, slots=True)
class ArmReplies:
    """Who replied how within the window, of contacts followed up."""

    arm: str
    contacts: int  # followed up
    by_class: Mapping[str, int]  # contacts with such a reply


@dataclass(frozen=True, slots=True)
class ArmPipeline:
    """Outcomes of one arm that mail touched, beside those that it brought; followed up."""

    arm: str
    figure: str
    contacts: int
    mailed: int  # contacts with a mail in the window
    outcomes: float
    influenced: float  # outcomes of contacts with a mail
    # Outcomes that the usual arm would not have had, with the interval at all times together;
    # None: the arm is not compared.
    incremental: tuple[float, float, float] | None


@dataclass(frozen=True, slots=True)
class ArmMeetings:
    """Meetings within the window, of contacts followed up."""

    arm: str
    accounts: int  # and contacts without one
    booked: int  # events
    booked_accounts: int  # accounts with one or more
    held: int
    held_accounts: int


@dataclass(frozen=True, slots=True)
class ArmDetails:
    """What happened by arm."""

    after_days: int
    families: tuple[FamilyMail, ...]
    jobs: tuple[JobMail, ...]
    replies: tuple[ArmReplies, ...]
    pipeline: tuple[ArmPipeline, ...]
    meetings: tuple[ArmMeetings, ...]


def arm_details(
    log: LogTables, people: Enrolled, report: LiftReport, journey: Journey, family_of: FamilyOf
) -> ArmDetails:
    """Count what happened by arm.

    Args:
        log: the checked log.
        people: who is in the experiment.
        report: what was judged of them.
        journey: of the plan.
        family_of: the family of mailboxes of a contact, by its attributes.
    """
    plan = report.plan
    won = {name.removesuffix(".value") for name in journey.north_star.of}
    lost = set(journey.guardrails.opt_out)
    kinds = {signal.type for signal in journey.signals if signal.name in won | lost}
    fixed = (_CLICK, _REPLY, _BOOKED, _HELD, _BOUNCE, _COMPLAINT)
    events = arm_events(log, people, journey, plan.window_days, {*fixed, *kinds})
    mails = arm_mails(log, people, journey, plan.window_days)
    arms = list(plan.shares)
    found = [
        _Arm(name, people.arm == place, people, mails, events) for place, name in enumerate(arms)
    ]
    families = _families(log, people, family_of)
    settled = mails.at_us <= log.as_of_us - _settled_us(journey, won | lost)
    before = mail_before(mails, events, AFTER_DAYS)
    amounts = figure_amounts(people, plan, journey)
    return ArmDetails(
        after_days=AFTER_DAYS,
        families=tuple(row for arm in found for row in arm.families(families)),
        jobs=tuple(row for arm in found for row in arm.jobs(settled, before, won, lost)),
        replies=tuple(arm.replies() for arm in found),
        pipeline=tuple(
            arm.pipeline(kpi.name, amounts[kpi.name], report)
            for kpi in (journey.north_star, *journey.supporting)
            if kpi.better == "higher"
            for arm in found
        ),
        meetings=tuple(arm.meetings() for arm in found),
    )


@dataclass(frozen=True)
class _Arm:
    """One arm and what its contacts got and did."""

    name: str
    mine: BoolArray  # [n]
    people: Enrolled
    mails: ArmMails
    events: ArmEvents

    @property
    def followed(self) -> BoolArray:
        return self.mine & self.people.followed

    def families(self, families: Words) -> list[FamilyMail]:
        """The family with the most mail first; those without mail or harm are left out."""
        contacts = Counter(families[self.mine])
        mails = Counter(families[self.mails.person[self.mine[self.mails.person]]])
        harms = {
            kind: Counter(families[self._persons(kind, self.mine)])
            for kind in (_BOUNCE, _COMPLAINT)
        }
        rows = [
            FamilyMail(
                arm=self.name,
                family=family,
                contacts=contacts[family],
                mails=mails[family],
                hard_bounces=harms[_BOUNCE][family],
                complaints=harms[_COMPLAINT][family],
            )
            for family in mails.keys() | harms[_BOUNCE].keys() | harms[_COMPLAINT].keys()
        ]
        return sorted(rows, key=lambda row: (-row.mails, row.family))

    def jobs(
        self, settled: BoolArray, before: IntArray, won: set[str], lost: set[str]
    ) -> list[JobMail]:
        """By job, in order of names.

        Args:
            settled: mails of which the days after are over, [k].
            before: the mail that each event is told of, [m].
            won: signals of the north star.
            lost: signals of an opt-out.
        """
        told = before != NOBODY
        events = self.events
        clicked, converted, opted_out = (
            _followed_by(before[told & such], self.mails.person.size)
            for such in (
                (events.type == _CLICK) & events.human,
                np.isin(events.signal.astype(str), list(won)),
                np.isin(events.signal.astype(str), list(lost)),
            )
        )
        mine = settled & self.mine[self.mails.person]
        rows = []
        for job in sorted(set(self.mails.job[mine])):
            these = mine & (self.mails.job == job)
            counts = (int((these & one).sum()) for one in (clicked, converted, opted_out))
            rows.append(JobMail(self.name, job, int(these.sum()), *counts))
        return rows

    def replies(self) -> ArmReplies:
        """Contacts by the class of their replies, the most frequent class first."""
        events = self.events
        replies = (events.type == _REPLY) & events.inside & self.followed[events.person]
        pairs = {
            (int(person), str(name or _UNNAMED))
            for person, name in zip(
                events.person[replies], events.reply_class[replies], strict=True
            )
        }
        counts = Counter(name for _, name in pairs)
        ordered = dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
        return ArmReplies(self.name, int(self.followed.sum()), ordered)

    def pipeline(self, figure: str, amount: FloatArray, report: LiftReport) -> ArmPipeline:
        """Of one key figure.

        Args:
            amount: of each contact, [n].
        """
        got = np.zeros(self.mine.size, np.bool_)
        got[self.mails.person] = True
        n = int(self.followed.sum())
        lift = next(
            (one for one in report.lifts.get(self.name, ()) if one.name == figure),
            None,
        )
        return ArmPipeline(
            arm=self.name,
            figure=figure,
            contacts=n,
            mailed=int((got & self.followed).sum()),
            outcomes=float(amount[self.followed].sum()),
            influenced=float(amount[self.followed & got].sum()),
            incremental=None
            if lift is None
            else (n * lift.difference, n * lift.lower, n * lift.upper),
        )

    def meetings(self) -> ArmMeetings:
        """Booked and held; an account counts once beside its events."""
        account = self.people.account
        booked, held = (self._persons(kind, self.followed) for kind in (_BOOKED, _HELD))
        return ArmMeetings(
            arm=self.name,
            accounts=np.unique(account[self.followed]).size,
            booked=booked.size,
            booked_accounts=np.unique(account[booked]).size,
            held=held.size,
            held_accounts=np.unique(account[held]).size,
        )

    def _persons(self, kind: str, among: BoolArray) -> IntArray:
        """Whose events of a type within the window they are, one row an event."""
        events = self.events
        rows = (events.type == kind) & events.inside & among[events.person]
        return np.asarray(events.person[rows], np.int64)


def _followed_by(mails: IntArray, size: int) -> BoolArray:
    """Which mails an event is told of, [k]."""
    found = np.zeros(size, np.bool_)
    found[mails] = True
    return found


def _families(log: LogTables, people: Enrolled, family_of: FamilyOf) -> Words:
    """The family of mailboxes of each of the enrolled, [n]."""
    ids = log.contacts["contact_id"].to_pylist()
    texts = log.contacts["attributes"].to_pylist()
    known = dict(zip(ids, texts, strict=True))
    found = [family_of(json.loads(known.get(name) or "{}")) for name in people.contact_ids]
    return np.array(found, object)


def _settled_us(journey: Journey, signals: set[str]) -> int:
    """After a mail, until what follows it is over and known."""
    bins = max((one.delay_bins for one in journey.signals if one.name in signals), default=0)
    hours = bins * journey.clock.period_hours / len(journey.clock.slots_hours)
    return round((AFTER_DAYS * 24.0 + hours) * HOUR_US)
