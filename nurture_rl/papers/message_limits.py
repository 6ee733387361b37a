"""How approval, last days, aims and offers of messages differ, and which of them forbid less."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Condition, Journey, Message, Offer
from nurture_rl.papers.compared_limits import Changes, Effect, GuardrailChange, by_size, most, told
from nurture_rl.papers.sentences import conditions_in_words, label


def message_changes(before: Journey, after: Journey) -> Changes:
    """Approval, aim, offer and last days of messages and claims that are in both."""
    messages = [{one.id: one for one in journey.messages} for journey in (before, after)]
    for name in messages[0]:
        if name not in messages[1]:
            continue
        both, about = [found[name] for found in messages], f"the message {name}"
        unapproved = (one.approval != "approved" for one in both)
        yield from told(about, (one.approval for one in both), by_size(unapproved))
        yield from _last_day(about, (one.expires for one in both))
        if before.guardrails.unanswered and after.guardrails.unanswered:
            jobs = [one.job for one in both]
            effect: Effect | None = None if jobs[0] == jobs[1] else "changed"
            yield from told(f"no second mail with the same aim as {name}", jobs, effect)
        if both[0].offer != both[1].offer:
            yield from _offered(f"the offer of message {name}", *_named_by(both, before, after))
        if both[0].proof != both[1].proof:
            days = (_claims(one).get(m.proof) for m, one in zip(both, (before, after), strict=True))
            yield from _last_day(f"the claim of message {name}", days)
    claims = [_claims(one) for one in (before, after)]
    for name in dict.fromkeys((*claims[0], *claims[1])):
        yield from _last_day(f"the claim {label(name)}", (found.get(name) for found in claims))


def _last_day(about: str, days: Iterable[date | None]) -> Changes:
    both = list(days)
    shown = [f"until {one}" if one else "without end" for one in both]
    yield from told(about, shown, by_size(-(one or date.max).toordinal() for one in both))


def _claims(journey: Journey) -> dict[str, date | None]:
    return {one.name: one.expires for one in journey.claims}


def _named_by(
    messages: Sequence[Message], before: Journey, after: Journey
) -> tuple[Offer | None, ...]:
    """What a message offers before and after, where that is limited at all."""
    offers = [{one.name: one for one in journey.offers} for journey in (before, after)]
    return tuple(found.get(one.offer) for found, one in zip(offers, messages, strict=True))


def offer_changes(before: Journey, after: Journey) -> Changes:
    offers = [{one.name: one for one in journey.offers} for journey in (before, after)]
    made = {message.offer for message in after.messages}
    for name in dict.fromkeys((*offers[0], *offers[1])):
        if name in made:
            yield from _offered(f"the offer {label(name)}", *(found.get(name) for found in offers))


def _offered(about: str, *both: Offer | None) -> Changes:
    """How many may have an offer, until when, and who."""
    yield from most(f"{about}, sends", (one.inventory if one else None for one in both))
    yield from _last_day(about, (one.expires if one else None for one in both))
    yield from _eligible(about, *(one.eligible if one else () for one in both))


def _eligible(about: str, was: Sequence[Condition], now: Sequence[Condition]) -> Changes:
    if set(was) == set(now):
        return
    looser = not all(any(_within(one, old) for one in now) for old in was)
    tighter = not all(any(_within(one, new) for one in was) for new in now)
    effect: Effect = "changed" if looser and tighter else "loosened" if looser else "tightened"
    shown = (conditions_in_words(each) if each else "everybody" for each in (was, now))
    yield from told(f"{about}, who may have it", shown, effect)


def _within(one: Condition, other: Condition) -> bool:
    """Whether whoever meets one condition meets the other."""
    if one == other:
        return True
    if (one.column, one.operator) != (other.column, other.operator):
        return False
    if one.operator in (">=", ">"):
        return one.threshold >= other.threshold
    return one.operator in ("<=", "<") and one.threshold <= other.threshold


def offer_meanings(before: Journey, after: Journey) -> Changes:
    """Features by which offers are made, and that are others than before."""
    asked = _asked_of_offers(before) & _asked_of_offers(after)
    features = [{one.name: one for one in journey.features} for journey in (before, after)]
    for name in sorted(asked):
        if features[0].get(name) != features[1].get(name):
            yield GuardrailChange("changed", f"what {label(name)} means", "it counts otherwise")


def _asked_of_offers(journey: Journey) -> set[str]:
    """Features that say who may have an offer that some message makes."""
    made = {message.offer for message in journey.messages}
    asked = [c.column for one in journey.offers if one.name in made for c in one.eligible]
    columns = zip(journey.features, FeatureSpec.of(journey).names_of_each, strict=True)
    return {feature.name for feature, own in columns if set(own) & set(asked)}
