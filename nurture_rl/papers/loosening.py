"""How the guardrails of two journeys differ, and which of them forbid less."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from math import ceil, inf

from nurture_envs.journey import (
    ALL,
    FrequencyCap,
    GuardrailSettings,
    Journey,
)
from nurture_rl.papers.compared_limits import (
    EFFECTS,
    Changes,
    Effect,
    GuardrailChange,
    by_size,
    flag,
    members,
    most,
    named,
    opposite,
    span,
    told,
)
from nurture_rl.papers.guardrail_words import cap_in_words
from nurture_rl.papers.message_limits import message_changes, offer_changes, offer_meanings
from nurture_rl.papers.sentences import label

_Settings = GuardrailSettings


def guardrail_changes(before: Journey, after: Journey) -> tuple[GuardrailChange, ...]:
    """What is forbidden otherwise than before, the loosened first.

    What simulations alone leave out is no difference: the limits of servers are compared.
    """
    found = [change for compare in _COMPARED for change in compare(before, after)]
    return tuple(sorted(dict.fromkeys(found), key=lambda one: EFFECTS.index(one.effect)))


def _plain(before: Journey, after: Journey) -> Changes:
    both = (before.guardrails, after.guardrails)
    yield from flag("consent", (one.require_consent for one in both))
    yield from flag("mail only to who can be reached", (one.availability for one in both))
    yield from flag("confirmation of each send", (one.confirm for one in both))
    yield from members("no mail after an opt-out", (one.opt_out for one in both))
    yield from members("no mail after a bounce", (one.hard_bounce for one in both))
    yield from span("minimum gap", (one.min_gap_hours for one in both), "none")
    yield from members("quiet hours", map(_quiet, both))
    yield from members("hours that an unknown zone may be off", map(_zones, both))
    yield from members("days without mail", map(_days, both))
    yield from _needs(*(one.escalation_needs for one in both))


def _needs(was: Sequence[str], now: Sequence[str]) -> Changes:
    """Each signal allows a call; none at all allows every call."""
    about = "no call without interest"
    if bool(was) != bool(now):
        shown = (named(one) or "nothing is needed" for one in (was, now))
        yield from told(about, shown, "tightened" if now else "loosened")
    else:
        yield from opposite(members(f"{about}, signals of interest", (was, now)))


def _quiet(settings: _Settings) -> list[str]:
    if settings.quiet_hours is None:
        return []
    first, last = settings.quiet_hours
    hours = [
        h for h in range(24) if (first <= h < last if first < last else h >= first or h < last)
    ]
    return [f"{hour:02d}:00" for hour in hours] if first != last else []


def _zones(settings: _Settings) -> list[int]:
    low, high = settings.unknown_zone_slack
    return [] if settings.quiet_hours is None else list(range(low, high + 1))


def _days(settings: _Settings) -> list[date]:
    return [
        first + timedelta(days)
        for first, last in settings.blackout
        for days in range((last - first).days + 1)
    ]


def _caps(before: Journey, after: Journey) -> Changes:
    both = (before, after)
    caps = [(one.guardrails.caps, one) for one in both]
    yield from _capped("frequency cap", *caps)
    shared = [one.guardrails.account for one in both]
    of_accounts = [(one.caps if one else (), j) for one, j in zip(shared, both, strict=True)]
    yield from _capped("the company's cap", *of_accounts)
    talks = (one is not None and one.conversation for one in shared)
    yield from flag("no mail while a colleague talks with sales", talks)


_Caps = tuple[Sequence[FrequencyCap], Journey]


def _capped(about: str, was: _Caps, now: _Caps) -> Changes:
    there = {message.id for message in was[1].messages} & {m.id for m in now[1].messages}
    for cap in _beyond(was, now, there):
        yield GuardrailChange("loosened", about, f"no longer forbidden: {cap_in_words(cap)}")
    for cap in _beyond(now, was, there):
        yield GuardrailChange("tightened", about, f"now forbidden: {cap_in_words(cap)}")


def _beyond(these: _Caps, those: _Caps, there: set[str]) -> Iterator[FrequencyCap]:
    """Caps that the others do not imply, of messages that are in both journeys."""
    for cap in these[0]:
        counted = _members(cap, these[1])
        needed = None if counted is None else counted & there
        held = any(_implies(one, _members(one, those[1]), cap, needed) for one in those[0])
        if not held and (needed is None or needed):
            yield cap


def _members(cap: FrequencyCap, journey: Journey) -> set[str] | None:
    """The messages that a cap counts; None: all mail, other systems' too."""
    if cap.group == ALL:
        return None
    return {message.id for message in journey.messages if cap.group in message.groups}


def _implies(
    one: FrequencyCap, counts: set[str] | None, other: FrequencyCap, needed: set[str] | None
) -> bool:
    """Whether whoever keeps to one cap keeps to the other: windows cover a longer one."""
    covers = counts is None or (needed is not None and needed <= counts)
    return covers and one.maximum * ceil(other.hours / one.hours) <= other.maximum


def _conversation(before: Journey, after: Journey) -> Changes:
    both = (before, after)
    talks = [{n: bins * _bin_hours(one) for n, bins in one.guardrails.conversation} for one in both]
    for name in dict.fromkeys((*talks[0], *talks[1])):
        hours = (talk.get(name, 0.0) for talk in talks)
        yield from span(f"sales has the word after {label(name)}", hours, "not at all")
    lasting = [{o.signal: o for o in one.guardrails.conversation_until} for one in both]
    yield from members("sales has the word after", lasting)
    for name in lasting[0].keys() & lasting[1].keys():
        about = f"sales has the word after {label(name)}"
        opened = [found[name] for found in lasting]
        yield from opposite(members(f"{about}, ended by", (one.until for one in opened)))
        lengths = (
            inf if one.bins is None else one.bins * _bin_hours(journey)
            for one, journey in zip(opened, both, strict=True)
        )
        yield from span(f"{about}, at most", lengths, "not at all")


def _bin_hours(journey: Journey) -> float:
    return journey.clock.period_hours / len(journey.clock.slots_hours)


def _waiting(before: Journey, after: Journey) -> Changes:
    both = (before, after)
    waits = [one.guardrails.unanswered for one in both]
    about = "no second mail with the same aim"
    yield from span(about, (one.hours if one else 0.0 for one in waits), "no wait")
    if all(waits):
        yield from opposite(members(f"{about}, answers", (one.until for one in waits if one)))
    cool = [{one.message: one for one in journey.guardrails.cool_off} for journey in both]
    there = {m.id for m in before.messages} & {m.id for m in after.messages}
    for name in dict.fromkeys((*cool[0], *cool[1])):
        found = [one.get(name) for one in cool]
        hours = (one.hours if one else 0.0 for one in found)
        if name in there:
            yield from span(f"the message {name} after a visit", hours, "no wait")
        if all(found):
            visits = (one.after for one in found if one)
            yield from members(f"visits that the message {name} waits for", visits)


def _inactivity(before: Journey, after: Journey) -> Changes:
    was, now = before.guardrails.inactivity, after.guardrails.inactivity
    about = "mail to who does nothing"
    if was is None or now is None:
        yield from flag(about, (one is not None for one in (was, now)))
        return
    active = (one.signals for one in (was, now))
    yield from opposite(members(f"{about}, what counts as doing something", active))
    same_bins = _bin_hours(before) == _bin_hours(after)  # tiers and probe count bins
    if replace(was, signals=()) != replace(now, signals=()) or not same_bins:
        yield GuardrailChange("changed", about, "its tiers or its probe are others")


def _crowd(before: Journey, after: Journey) -> Changes:
    both = (before.guardrails, after.guardrails)
    sellers = [one.seller_capacity for one in both]
    yield from most("calls in any 24 hours", (one.per_day if one else None for one in sellers))
    yield from most("open calls at once", (one.open if one else None for one in sellers))
    if all(sellers):
        closing = (one.closed_by for one in sellers if one)
        yield from opposite(members("what closes a call", closing))
        days = (24.0 * one.open_days for one in sellers if one)
        yield from span("how long a call is open", days, "not at all")
    yield from _passing_on(before, after)
    was, now = (one.volume for one in both)
    about = "mail a day to one mailbox provider"
    if was is None or now is None:
        yield from flag(about, (one is not None for one in (was, now)))
    elif was != now:
        yield GuardrailChange("changed", about, "its ramp or its slow-down is another")


def _passing_on(before: Journey, after: Journey) -> Changes:
    """Replies that a person answers, and how long no other hand-off follows one."""
    rules = [one.guardrails.handoffs for one in (before, after)]
    rest = (one.rest_hours if one else 0.0 for one in rules)
    yield from span("no call after a hand-off", rest, "not at all")
    replies = [{one.signal: one for one in (found.replies if found else ())} for found in rules]
    for name in dict.fromkeys((*replies[0], *replies[1])):
        both, about = [found.get(name) for found in replies], f"no mail before {name} is answered"
        yield from span(about, (one.hours if one else 0.0 for one in both), "not at all")
        if all(both):
            times = (one.times for one in both if one)
            yield from most(f"{name} before a person answers", times)
            within = (one.within_hours for one in both if one)
            yield from span(f"{name}, counted together", within, "not at all")


def _harms(before: Journey, after: Journey) -> Changes:
    limits = [{one.name: one for one in journey.limits} for journey in (before, after)]
    for name in dict.fromkeys((*limits[0], *limits[1])):
        both, about = [found.get(name) for found in limits], f"limit on {name}"
        yield from most(about, (one.at_most if one else None for one in both))
        above = (one.above_reference if one else None for one in both)
        yield from most(f"{about}, above the reference", above)
        if all(both):
            yield from members(f"{about}, what counts", (one.of for one in both if one))
            per = [f"per {one.per}" for one in both if one]
            yield from told(about, per, None if per[0] == per[1] else "changed")


def _ends(before: Journey, after: Journey) -> Changes:
    both = (before, after)
    yield from members("what ends a journey", (one.terminals for one in both))
    people = [float(one.signers) for one in both]
    shown = (f"{number:g}" for number in people)
    yield from told("people who must sign a bundle", shown, by_size(people))
    rests = [one.enrolment.rest_days if one.enrolment else None for one in both]
    hours = (inf if one is None else 24.0 * one for one in rests)
    yield from span("rest before the journey may begin again", hours, "none")
    leaving = [one.enrolment.leave if one.enrolment else None for one in both]
    if leaving[0] != leaving[1]:
        words = ["nobody" if one is None else "who the file says" for one in leaving]
        effect: Effect = "changed"
        if None in leaving:
            effect = "loosened" if leaving[1] is None else "tightened"
        yield from told("who leaves the journey", words, effect)


def _meanings(before: Journey, after: Journey) -> Changes:
    """Signals that a guardrail names, and that are other events than before."""
    named = _signals_of(before) & _signals_of(after)
    meant = [
        {one.name: one.filters() for one in (*journey.signals, *journey.guardrails.events)}
        for journey in (before, after)
    ]
    for name in sorted(named):
        if meant[0].get(name) != meant[1].get(name):
            pair = (found.get(name) for found in meant)
            yield from told(f"what {label(name)} means", pair, "changed")


def _signals_of(journey: Journey) -> set[str]:
    """Signals and events that guardrails and ends of the journey name."""
    settings = journey.guardrails
    named = [*settings.opt_out, *settings.hard_bounce, *settings.talks, *settings.escalation_needs]
    named += [name for one in settings.conversation_until for name in one.until]
    named += settings.inactivity.signals if settings.inactivity else ()
    named += settings.unanswered.until if settings.unanswered else ()
    named += [name for one in settings.cool_off for name in one.after]
    named += [name for one in journey.limits for name in one.of]
    return {*named, *journey.terminals}


_COMPARED: tuple[Callable[[Journey, Journey], Changes], ...] = (
    *(_plain, _caps, _conversation, _waiting, _inactivity, _crowd, message_changes),
    *(offer_changes, offer_meanings, _harms, _ends, _meanings),
)
