"""What may be done with one contact, worked out slowly and in plain Python from the events alone.

It shares no code with the guardrails but the records of a journey: what is written here is what
the journey file's page promises.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from nurture_envs.actions import Action
from nurture_envs.journey import Condition, FrequencyCap, Journey, Message, Signal
from nurture_rl.serving.records import AccountFacts, ContactView, Event, Preferences

NOTHING = Preferences()
HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000
NO = {"unsubscribe", "complaint", "consent_withdrawn"}
SALES = {
    *("sales_activity", "meeting_booked", "meeting_held", "meeting_no_show"),
    *("opportunity_opened", "opportunity_closed"),
}
NO_REPLIES = {"unsubscribe_request", "negative"}


@dataclass
class Standing:
    """One contact at the moment of a decision; hours and days on the local clock since 1970."""

    hour: float
    day: int
    sends: list[tuple[float, str]]  # hour and message of every send; "": of another system
    barred: bool  # no mail at all: no consent, opted out, bounced, out of reach
    paused: bool
    slowed: bool
    talking: bool
    intent: bool
    zone_known: bool
    features: Mapping[str, float]  # of conditions
    left: Mapping[str, int]
    inactive: int = 0  # bins
    probed: bool = True
    wishes: Preferences = NOTHING
    full_days: frozenset[int] = frozenset()
    calls_full: bool = False
    last: Mapping[str, float] = field(default_factory=dict)  # hour at which a signal last happened
    called: bool = False  # a person was asked to call so lately that nobody is asked again


def standing_of(
    journey: Journey,
    view: ContactView,
    now_us: int,
    features: Mapping[str, float],
    left: Mapping[str, int],
) -> Standing:
    """Where a contact stands who lives in UTC and has no planned escalations."""
    rails, anchor = journey.guardrails, view.episode.anchor_us
    bin_now = bin_at(journey, now_us - anchor)
    seen: dict[str, int] = {}
    seen_us: dict[str, int] = {}
    barred = (rails.require_consent and not view.contact.consent) or _rests(view, now_us)
    paused = bin_now < view.episode.paused_until
    paused = paused or now_us < view.preferences.paused_until_us
    for event in view.events:
        said_us = max(event.occurred_us, event.recorded_us)
        if event.reply_class == "out_of_office":
            days = event.value if event.value else 7.0
            paused = paused or now_us < said_us + int(days * DAY_US)
        if event.type in NO or event.reply_class in NO_REPLIES or event.type == "hard_bounce":
            barred = True
        if event.type == "snoozed":
            paused = paused or now_us < said_us + int((event.value or 30.0) * DAY_US)
        for signal in (*journey.signals, *rails.events):
            if is_of(event, signal):
                at = bin_at(journey, event.occurred_us - anchor)
                seen[signal.name] = max(at, seen.get(signal.name, at))
                latest = seen_us.get(signal.name, event.occurred_us)
                seen_us[signal.name] = max(event.occurred_us, latest)
    barred = barred or any(name in seen for name in (*rails.opt_out, *rails.hard_bounce))
    barred = barred or (rails.availability and not view.available)
    talking = any(n in seen and bin_now - seen[n] <= back for n, back in rails.conversation)
    for opened in rails.conversation_until:
        name = opened.signal
        if name in seen and (opened.bins is None or bin_now - seen[name] <= opened.bins):
            closed = any(seen_us.get(end, -1) > seen_us[name] for end in opened.until)
            talking = talking or not closed
    waits, called = _passed_on(journey, view, now_us)
    slow = rails.slow
    return Standing(
        hour=now_us / HOUR_US,
        day=now_us // DAY_US,
        sends=_sends(journey, view),
        barred=barred,
        paused=paused,
        slowed=slow is not None and bin_now - seen.get(slow.signal, -(10**9)) < slow.bins,
        talking=talking or waits,
        called=called,
        intent=not rails.escalation_needs or any(n in seen for n in rails.escalation_needs),
        zone_known=view.contact.time_zone is not None and view.contact.zone_confidence >= 0.5,
        full_days=view.crowd.full_days,
        calls_full=view.crowd.calls_full,
        inactive=_inactive(journey, seen, bin_now),
        probed=_probed(journey, view, bin_now),
        wishes=view.preferences,
        features=features,
        left=left,
        last={name: at_us / HOUR_US for name, at_us in seen_us.items()},
    )


def _passed_on(journey: Journey, view: ContactView, now_us: int) -> tuple[bool, bool]:
    """For a contact never escalated: does a reply wait for an answer, is there a rest after one."""
    rules, opened, waits = journey.guardrails.handoffs, list[int](), False
    signals = {one.name: one for one in journey.signals}
    if rules is None:
        return False, False
    for reply in sorted(view.events, key=lambda one: (one.recorded_us, one.event_id)):
        for rule in rules.replies:
            ago = [
                reply.occurred_us - one.occurred_us
                for one in view.events
                if is_of(one, signals[rule.signal])
            ]
            enough = sum(0 <= us <= rule.within_hours * HOUR_US for us in ago) >= rule.times
            if not is_of(reply, signals[rule.signal]) or not enough:
                continue
            last = max((reply.recorded_us - at for at in opened[-1:]), default=10**18)
            if reply.reply_class != "question" and last < rules.rest_hours * HOUR_US:
                continue
            opened.append(reply.recorded_us)
            due_us = reply.recorded_us + rule.hours * HOUR_US
            answered = any(
                one.type in SALES and reply.occurred_us <= one.occurred_us < due_us
                for one in view.events
            )
            waits = waits or (not answered and now_us < due_us)
    return waits, any(0 <= now_us - us < rules.rest_hours * HOUR_US for us in opened)


def _sends(journey: Journey, view: ContactView) -> list[tuple[float, str]]:
    known = {message.id for message in journey.messages}
    sends: dict[str, tuple[float, str]] = {}
    for event in view.events:
        if event.type == "sent":
            name = event.decision_id or event.event_id
            said = event.message_id or ""
            sends[name] = (event.occurred_us / HOUR_US, said if said in known else "")
    for plan in view.sends:
        said = plan.message_id or ""
        sends.setdefault(plan.decision_id, (plan.at_us / HOUR_US, said if said in known else ""))
    return list(sends.values())


def _inactive(journey: Journey, seen: Mapping[str, int], bin_now: int) -> int:
    idle = journey.guardrails.inactivity
    active = [seen[name] for name in idle.signals if name in seen] if idle else [bin_now]
    return bin_now - max(active, default=-(10**9))


def _probed(journey: Journey, view: ContactView, bin_now: int) -> bool:
    """Whether the lot of this bin lets a probe through."""
    idle = journey.guardrails.inactivity
    text = f"probe:{view.episode.episode_id}:{bin_now}"
    lot = int(hashlib.blake2b(text.encode(), digest_size=8).hexdigest(), 16) / 2**64
    return idle is not None and lot < idle.probe_share


def _rests(view: ContactView, now_us: int) -> bool:
    """Whether three soft bounces within a week were less than fourteen days ago."""
    soft = sorted(event.occurred_us for event in view.events if event.type == "soft_bounce")
    ends = [c for a, c in zip(soft, soft[2:], strict=False) if c - a <= 7 * DAY_US]
    return any(now_us < end + 14 * DAY_US for end in ends)


def may(journey: Journey, action: Action, at: Standing) -> bool:
    """Whether an action is legal."""
    if action.id == "pause:1":
        return True
    if at.paused:
        return False
    if action.routing in ("pause", "slow"):
        return True
    if at.talking:
        return False
    if action.routing == "exit":
        return True
    if action.routing == "escalate":
        return at.intent and not at.calls_full and not at.called
    return _may_send(journey, action, at)


def account_allows(journey: Journey, account: AccountFacts, now_us: int, slot: int) -> bool:
    """Whether a send at a slot may go to a contact of an account, who lives in UTC."""
    limits = journey.guardrails.account
    if limits is None:
        return True
    if limits.conversation and account.talking:
        return False
    mine = now_us if slot < 0 else now_us // DAY_US * DAY_US + slot * HOUR_US
    sends = [*account.sends_us, mine]
    for cap in limits.caps:
        for first in sends:  # a window that begins with this send and holds mine
            last = first + cap.hours * HOUR_US
            if first <= mine < last and sum(first <= at < last for at in sends) > cap.maximum:
                return False
    return True


def over(journey: Journey, view: ContactView, now_us: int) -> str | None:
    """Why there is nothing to decide for a contact who lives in UTC; None: there is."""
    anchor, episode = view.episode.anchor_us, view.episode
    step = bin_at(journey, now_us - anchor)
    ends = [s for s in journey.signals if s.name in journey.terminals]
    done = any(
        is_of(event, end) and bin_at(journey, event.occurred_us - anchor) >= 0
        for event in view.events
        for end in ends
    )
    if episode.exited or done or step >= journey.clock.horizon:
        return "episode_over"
    if step < 0:
        return "not_started"
    if episode.last_step is None or step > episode.last_step:
        return None
    return "already_decided" if step == episode.last_step else "out_of_order"


def _may_send(journey: Journey, action: Action, at: Standing) -> bool:
    rails, message = journey.guardrails, action.message
    assert message is not None
    epoch = date(1970, 1, 1)
    offer = next((o for o in journey.offers if o.name == message.offer), None)
    ends = [message.expires, offer.expires if offer else None]
    if at.barred or message.approval != "approved":
        return False
    if any(end is not None and at.day > (end - epoch).days for end in ends):
        return False
    if offer and not all(_holds(one, at.features[one.column]) for one in offer.eligible):
        return False
    if offer and offer.inventory is not None and at.left.get(offer.name, offer.inventory) <= 0:
        return False
    if any((a - epoch).days <= at.day <= (b - epoch).days for a, b in rails.blackout):
        return False
    clock = at.hour - 24.0 * at.day if action.slot < 0 else float(action.slot)
    when = 24.0 * at.day + clock
    if when < at.hour or _quiet(journey, clock, at.zone_known):
        return False
    if int(when // 24) in at.full_days:
        return False
    idle = rails.inactivity
    for tier in idle.tiers if idle else ():
        recent = sum(when - hour < tier.hours for hour, _ in at.sends)
        if at.inactive >= tier.bins and recent >= tier.maximum:
            return False
    if idle and idle.probe_bins is not None and at.inactive >= idle.probe_bins and not at.probed:
        return False
    wish = at.wishes
    if message.topic in wish.refused_topics or message.channel in wish.refused_channels:
        return False
    if wish.only_topics is not None and message.topic not in wish.only_topics:
        return False
    this_week = sum(when - hour < 168.0 for hour, _ in at.sends)
    if wish.per_week is not None and this_week >= wish.per_week:
        return False
    messages = {one.id: one for one in journey.messages}
    for cap in rails.caps:
        if under(cap, message):
            counted = [h for h, of in at.sends if under(cap, messages.get(of))]
            if sum(when - hour < cap.hours for hour in counted) >= cap.maximum:
                return False
    if _waits(journey, message, when, at):
        return False
    slow = rails.slow
    gap = slow.gap_hours if slow is not None and at.slowed else rails.min_gap_hours
    return not at.sends or when - max(hour for hour, _ in at.sends) >= gap


def _waits(journey: Journey, message: Message, when: float, at: Standing) -> bool:
    """Whether a mail for the same job has no answer yet, or a visit was a short time ago."""
    rails, messages = journey.guardrails, {one.id: one for one in journey.messages}
    if rails.unanswered is not None:
        same = [h for h, of in at.sends if of and messages[of].job == message.job]
        answers = [at.last[name] for name in rails.unanswered.until if name in at.last]
        answered = same and any(answer > max(same) for answer in answers)
        if same and not answered and when - max(same) < rails.unanswered.hours:
            return True
    return any(
        when - at.last[name] < visit.hours
        for visit in rails.cool_off
        if visit.message == message.id
        for name in visit.after
        if name in at.last
    )


def under(cap: FrequencyCap, message: Message | None) -> bool:
    """Whether a cap counts a message; None: another system's, whose topic nobody knows."""
    if cap.topic is not None:
        return message is not None and message.topic == cap.topic
    if cap.message is not None:
        return message is not None and message.id == cap.message
    if cap.job is not None:
        return message is not None and message.job == cap.job
    if cap.claim is not None:
        return message is not None and message.proof == cap.claim
    if cap.block is not None:
        return message is not None and cap.block in message.blocks
    return cap.channel is None or message is None or message.channel == cap.channel


def _quiet(journey: Journey, clock: float, zone_known: bool) -> bool:
    rails = journey.guardrails
    if rails.quiet_hours is None:
        return False
    start, end = rails.quiet_hours
    low, high = (0, 0) if zone_known else rails.unknown_zone_slack
    hours = [clock, *((clock + shift) % 24 for shift in range(low, high + 1))]
    if start > end:
        return any(hour >= start or hour < end for hour in hours)
    return any(start <= hour < end for hour in hours)


def _holds(condition: Condition, value: float) -> bool:
    number = condition.threshold
    outcomes = {
        ">=": value >= number,
        "<=": value <= number,
        ">": value > number,
        "<": value < number,
        "==": value == number,
        "!=": value != number,
    }
    return outcomes[condition.operator]


def bin_at(journey: Journey, since_us: int) -> int:
    """The bin so many microseconds after the episode's anchor."""
    clock = journey.clock
    period = round(clock.period_hours * HOUR_US)
    whole, rest = divmod(since_us, period)
    begun = sum(rest >= round(slot * HOUR_US) for slot in clock.slots_hours)
    return whole * len(clock.slots_hours) + begun - 1


def is_of(event: Event, signal: Signal) -> bool:
    """Whether an event is one of a signal's."""
    if event.type != signal.type:
        return False
    pinned = signal.filters()
    return all(getattr(event, column) == value for column, value in pinned.items())
