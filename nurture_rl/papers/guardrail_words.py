"""What each guardrail of a journey forbids, and for how long, in plain words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nurture_envs.crowd_limits import SlowDown, VolumeRamp
from nurture_envs.journey import ALL, FrequencyCap, Journey
from nurture_envs.stops import (
    AWAY_DAYS,
    SNOOZE_DAYS,
    SOFT_BOUNCE_DAYS,
    SOFT_BOUNCE_REST_DAYS,
    SOFT_BOUNCES,
)
from nurture_rl.papers.sentences import (
    bins_in_words,
    conditions_in_words,
    joined,
    label,
    signals_in_words,
    span_in_words,
)
from nurture_rl.wording import counted


@dataclass(frozen=True, slots=True)
class GuardrailText:
    """One guardrail, told to people."""

    name: str  # as people call it
    forbids: str
    lasts: str  # for how long


_Told = Iterator[GuardrailText]
_WHILE = "while it is so"


def guardrails_in_words(journey: Journey) -> tuple[GuardrailText, ...]:
    """Every guardrail that a server keeps in a journey, those of all journeys first."""
    parts = [_always(), *(told(journey) for told in _OF_JOURNEY)]
    return tuple(text for part in parts for text in part)


def _always() -> _Told:
    """What servers keep whatever a journey says."""
    said_no = "no mail, of any journey, to who unsubscribed, complained, or answered no"
    yield GuardrailText("A no", said_no, "until they themselves give consent again")
    yield GuardrailText("A dead address", "no mail after a bounce for good", "for good")
    yield GuardrailText(
        "Bounces for now",
        f"no mail after {SOFT_BOUNCES} bounces within {SOFT_BOUNCE_DAYS} days",
        f"{SOFT_BOUNCE_REST_DAYS} days from the last",
    )
    yield GuardrailText(
        "A break they asked for",
        "no mail while a snooze holds",
        f"as long as they said, else {SNOOZE_DAYS} days",
    )
    yield GuardrailText(
        "Out of office",
        "no mail to who is away",
        f"until the date in their answer, else {AWAY_DAYS} days",
    )
    yield GuardrailText(
        "Their wishes",
        "no mail on a topic or by a channel that they refused, nor more a week than they said",
        "until they say otherwise",
    )
    yield GuardrailText(
        "Approval and expiry",
        "no message that is not approved, and none after its own last day, or that of its offer or "
        "claim",
        "until it is approved; after the last day for good",
    )


def _consent(journey: Journey) -> _Told:
    if journey.guardrails.require_consent:
        yield GuardrailText("Consent", "no mail without consent", "until there is consent")


def _stops(journey: Journey) -> _Told:
    settings = journey.guardrails
    if settings.opt_out:
        told = signals_in_words(settings.opt_out, journey)
        yield GuardrailText("Opting out", f"no mail after {told}", "until consent is given again")
    if settings.hard_bounce:
        told = signals_in_words(settings.hard_bounce, journey)
        yield GuardrailText("Bounces", f"no mail after {told}", "for good")


def _caps(journey: Journey) -> _Told:
    for cap in journey.guardrails.caps:
        yield GuardrailText(
            "Frequency cap", cap_in_words(cap), "until older mails leave the window"
        )


def cap_in_words(cap: FrequencyCap) -> str:
    """What a cap allows."""
    column, name = cap.group
    of = "" if cap.group == ALL else f" with the {column} {label(name)}"
    if column == "message":
        of = f" of the message {name}"
    return f"more than {counted(cap.maximum, 'mail')}{of} in any {span_in_words(cap.hours)}"


def _gap(journey: Journey) -> _Told:
    hours = journey.guardrails.min_gap_hours
    if hours:
        yield GuardrailText("Minimum gap", "two mails close together", span_in_words(hours))


def _quiet(journey: Journey) -> _Told:
    quiet, (early, late) = journey.guardrails.quiet_hours, journey.guardrails.unknown_zone_slack
    if quiet is None:
        return
    forbids = f"mail from {quiet[0]:02d}:00 to {quiet[1]:02d}:00 by the contact's own clock"
    if early or late:
        off = f"{-early} hours behind to {late} hours ahead"
        forbids += f"; where the time zone is not known, when it may be so there ({off})"
    yield GuardrailText("Quiet hours", forbids, "every day")


def _blackout(journey: Journey) -> _Told:
    for first, last in journey.guardrails.blackout:
        days = f"{first}" if first == last else f"{first} to {last}"
        yield GuardrailText("Days without mail", "any mail", f"{days}, by the contact's own clock")


def _conversation(journey: Journey) -> _Told:
    settings = journey.guardrails
    forbids = "mail, calls and an end of the journey after "
    for name, bins in settings.conversation:
        told = signals_in_words((name,), journey)
        lasts = bins_in_words(bins, journey.clock)
        yield GuardrailText("Sales has the word", forbids + told, lasts)
    for one in settings.conversation_until:
        told = signals_in_words((one.signal,), journey)
        end = f"until {signals_in_words(one.until, journey)}"
        most = "" if one.bins is None else f", {bins_in_words(one.bins, journey.clock)} at most"
        yield GuardrailText("Sales has the word", forbids + told, end + most)


def _intent(journey: Journey) -> _Told:
    needs = journey.guardrails.escalation_needs
    if needs:
        told = signals_in_words(needs, journey)
        yield GuardrailText("No call without interest", f"a call before {told}", "until then")


def _reach(journey: Journey) -> _Told:
    if journey.guardrails.availability:
        yield GuardrailText("Out of reach", "mail to who cannot be reached now", _WHILE)
    if journey.guardrails.confirm:
        yield GuardrailText(
            "Confirmation",
            "a send that the server did not confirm right before it",
            "60 minutes from its hour; then it is no send",
        )


def _account(journey: Journey) -> _Told:
    account = journey.guardrails.account
    if account is None:
        return
    for cap in account.caps:
        yield GuardrailText(
            "The company's cap",
            f"{cap_in_words(cap)} to all contacts of one company together",
            "until older mails leave the window",
        )
    if account.conversation:
        forbids = "mail to the colleagues of somebody who talks with sales"
        yield GuardrailText("A colleague talks with sales", forbids, "while the talk lasts")


def _inactivity(journey: Journey) -> _Told:
    settings = journey.guardrails.inactivity
    if settings is None:
        return
    active = signals_in_words(settings.signals, journey)
    for tier in settings.tiers:
        most = cap_in_words(FrequencyCap(tier.maximum, tier.hours))
        yield GuardrailText(
            "Silence",
            f"{most} to who did nothing for {bins_in_words(tier.bins, journey.clock)}",
            f"until {active}",
        )
    if settings.probe_bins is not None:
        yield GuardrailText(
            "Long silence",
            f"mail to who did nothing for {bins_in_words(settings.probe_bins, journey.clock)}, but "
            f"for a probe in {settings.probe_share:.3g} of the steps, drawn by lot",
            f"until {active}",
        )


def _waiting(journey: Journey) -> _Told:
    unanswered = journey.guardrails.unanswered
    if unanswered is not None:
        yield GuardrailText(
            "No answer yet",
            "a second mail with the same aim",
            f"{span_in_words(unanswered.hours)}, or until "
            f"{signals_in_words(unanswered.until, journey)}",
        )
    for one in journey.guardrails.cool_off:
        after = signals_in_words(one.after, journey)
        forbids = f"the message {one.message} right after {after}"
        yield GuardrailText("Not to feel watched", forbids, span_in_words(one.hours))


def _offers(journey: Journey) -> _Told:
    for offer in journey.offers:
        if offer.eligible:
            who = conditions_in_words(offer.eligible)
            yield GuardrailText(
                "Who may have an offer",
                f"the offer {label(offer.name)} but where {who}",
                _WHILE,
            )
        if offer.inventory is not None:
            forbids = f"the offer {label(offer.name)} after {offer.inventory} sends to all together"
            yield GuardrailText("An offer runs out", forbids, "for good")


def _sellers(journey: Journey) -> _Told:
    sellers = journey.guardrails.seller_capacity
    if sellers is None:
        return
    if sellers.per_day is not None:
        forbids = f"more than {counted(sellers.per_day, 'call')} in any 24 hours, of all contacts"
        yield GuardrailText("What salespeople can take", forbids, "until older calls leave the day")
    if sellers.open is not None:
        ends = joined([*(label(name) for name in sellers.closed_by)], "or")
        until = (
            f"until {ends} of one, or {sellers.open_days} days"
            if ends
            else (f"{sellers.open_days} days from each")
        )
        forbids = f"more than {counted(sellers.open, 'open call')} at once"
        yield GuardrailText("What salespeople can take", forbids, until)


def _handoffs(journey: Journey) -> _Told:
    rules = journey.guardrails.handoffs
    for one in rules.replies if rules else ():
        told = signals_in_words((one.signal,), journey)
        again = f", the {one.times}. within {span_in_words(one.within_hours)}"
        yield GuardrailText(
            "A person answers",
            f"mail, calls and an end of the journey after {told}{again if one.times > 1 else ''}",
            f"until a person has answered, {span_in_words(one.hours)} at most",
        )
    if rules and rules.rest_hours:
        forbids = "a call soon after salespeople got somebody's last one or a question"
        yield GuardrailText("Not passed on twice", forbids, span_in_words(rules.rest_hours))


def _volume(journey: Journey) -> _Told:
    ramp = journey.guardrails.volume
    if ramp is None:
        return
    if ramp.warm_up:
        yield GuardrailText("Mail to one provider", _ramp(ramp), "until the next UTC day")
    if ramp.slow_down is not None:
        yield _slow_down(ramp.slow_down)


def _ramp(ramp: VolumeRamp) -> str:
    first = ", ".join(map(str, ramp.warm_up))
    later = (
        "then any number"
        if ramp.growth is None
        else f"then {ramp.growth:g} times the mean of the {ramp.trailing_days} days before"
    )
    days = f"{first} on its first days with mail, {later}"
    return f"more mails a day to one mailbox provider than {days}"


def _slow_down(slow: SlowDown) -> GuardrailText:
    (few, many), (dead, most) = slow.complaints, slow.bounces
    some = f"{100 * few:g} % complaints or {100 * dead:g} % bounces"
    much = f"{100 * many:g} % or {100 * most:g} %"
    return GuardrailText(
        "Complaints slow mail down",
        f"mail to one mailbox provider beyond {slow.factor:g} of its fullest day from {some} on; "
        f"all mail to it from {much} on",
        f"until the last {slow.days} days are better",
    )


_OF_JOURNEY: tuple[Callable[[Journey], _Told], ...] = (
    *(_consent, _stops, _caps, _gap, _quiet, _blackout, _conversation, _intent, _reach),
    *(_account, _inactivity, _waiting, _offers, _sellers, _handoffs, _volume),
)
