"""An explanation in plain words, for people who plan mails and read no probabilities."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from nurture_rl.serving.http.explain_wire import (
    Contribution,
    ExplainedAction,
    Explanation,
    RuleCard,
)
from nurture_rl.wording import counted

_SHOWN = 5  # actions or features of a list


def in_plain_words(one: Explanation) -> list[str]:
    """The lines of an explanation."""
    return [
        f"{one.decided_at}: for contact {one.contact_id}, in step {one.step} of journey "
        f"{one.journey}, the decision was to {_told(one.action)}.",
        _who(one),
        _chance(one),
        *_possible(one),
        *_forbidden(one.actions),
        *_rule(one.rule),
        *_reasons(one),
        *_features(one),
        f"Check: {one.replay.says}.",
        *_after(one),
    ]


def _told(action: str) -> str:
    """An action in words."""
    routing, _, rest = action.partition(":")
    if routing == "send":
        message, _, slot = rest.rpartition("@")
        when = "at once" if slot == "now" else f"in the hour that begins at {slot}:00"
        return f"send the message {message} {when}"
    if routing == "pause":
        return f"wait for {rest} {'step' if rest == '1' else 'steps'}"
    if routing == "slow":
        return f"write less often for {rest} steps"
    words = {"escalate": "pass the contact on to sales", "exit": "end the journey"}
    return words.get(routing, action)


def _who(one: Explanation) -> str:
    made = "" if one.bundle is None else f", of the bundle made {one.bundle}"
    who = {
        "policy": f"the policy {one.policy_id}{made}",
        "rules": f"the journey's rules ({one.policy_id}){made}",
        "arm": f"the program of the arm ({one.policy_id}){made}",
        "switch": "nobody: the switch stood at pause, so nothing is sent",
        "failure": "nobody could decide, so nothing is sent",
        "unknown": f"the policy {one.policy_id}, whose bundle is not at hand",
    }[one.layer]
    note = "" if one.note is None else f" Why not the first in line: {one.note}."
    share = "" if one.arm_share is None else f", to which {_percent(one.arm_share)} are dealt"
    ghost = ""
    if one.ghost is not None:
        drawn = _percent(one.ghost.propensity)
        ghost = (
            f" Not held out, it would have been drawn with {drawn} to {_told(one.ghost.action)}."
        )
    return f"Who decided: {who}; it was decided in the arm {one.arm}{share}.{note}{ghost}"


def _chance(one: Explanation) -> str:
    if one.luck is None:
        return "Chance: nothing was drawn; waiting was certain."
    drawn = f"Chance: it was drawn with {_percent(one.propensity)} (number drawn {one.luck:.4f})."
    if one.propensity == 1.0:
        return "Chance: no other action could be drawn."
    if one.explored:
        return f"{drawn} The likeliest was to {_told(one.most_likely)}: the draw explored."
    return f"{drawn} No other action was likelier."


def _possible(one: Explanation) -> Iterator[str]:
    """The actions that no guardrail forbade."""
    legal = [action for action in one.actions if not action.forbidden_by]
    drawn = [action for action in legal if action.probability > 0.0]
    shown = [f"{action.action} {_percent(action.probability)}" for action in drawn[:_SHOWN]]
    more = f", and {len(drawn) - _SHOWN} more" if len(drawn) > _SHOWN else ""
    never = len(legal) - len(drawn)
    rest = f"; {counted(never, 'other')} had no chance" if never else ""
    yield f"Possible: {', '.join(shown)}{more}{rest}."


def _forbidden(actions: Sequence[ExplainedAction]) -> Iterator[str]:
    """Actions that the same guardrails forbid, in one line each."""
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for action in actions:
        if action.forbidden_by:
            groups[tuple(action.why_forbidden)].append(action.action)
    for why, names in groups.items():
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        yield f"Forbidden: {', '.join(names[:_SHOWN])}{more}, because {'; '.join(why)}."


def _rule(rule: RuleCard | None) -> Iterator[str]:
    if rule is None:
        return
    over = ", ".join(map(str, rule.passed_over))
    passed = f" Before it, rule {over} fitted, whose action was forbidden." if over else ""
    does = "the drip" if rule.does == "drip" else rule.does
    if rule.place is None:
        yield f"Why: no rule decided, so it was {does}.{passed}"
        return
    asked = " and ".join(
        f"{column} {asked} (it was {rule.values[column]:g})" for column, asked in rule.when.items()
    )
    yield f"Why: rule {rule.place}, {does} if {asked or 'in any case'}.{passed}"


def _reasons(one: Explanation) -> Iterator[str]:
    """What the learned part goes by; the numbers are in the unit of its own scores."""
    card = one.reasons
    if card is None:
        return
    known = card.score - card.reference_score
    yield (
        f"Why: the learned part gave {one.action} the score {card.score:.4g}: "
        f"{card.reference_score:.4g} for a contact of whom nothing is known, and {known:+.4g} by "
        f"what is known. {card.method}."
    )
    for part in card.contributions[:_SHOWN]:
        yield f"  {part.to_score:+.3g}: {_seen(part)}"
    rest = card.contributions[_SHOWN:]
    if rest:
        total = sum(part.to_score for part in rest)
        yield f"  {total:+.3g}: {counted(len(rest), 'other')} together"
    if card.next_best is not None and card.margin is not None:
        if card.margin >= 0.0:
            yield f"Next best: {card.next_best}; its score is {card.margin:.4g} lower."
        else:
            higher = f"{-card.margin:.4g} higher"
            yield f"Best by score: {card.next_best}, {higher}; chance decided otherwise."
    if card.favourite_forbidden_by:
        why = next((a.why_forbidden for a in one.actions if a.action == card.favourite), [])
        yield (
            f"Without guardrails its favourite was {card.favourite} (score "
            f"{card.favourite_score:.4g}), forbidden because {'; '.join(why)}."
        )
    if card.chance_alone != one.propensity:
        yield (
            f"The learned part alone gave it a chance of {_percent(card.chance_alone)}; held near "
            f"what is usual it was {_percent(one.propensity)}."
        )


def _seen(part: Contribution) -> str:
    """A feature with its value and that of the reference."""
    told = ", ".join(
        f"{name} {value:g} in place of {part.reference[name]:g}"
        for name, value in part.values.items()
        if value != part.reference[name]
    )
    return f"{told} ({part.meaning})" if part.meaning else f"together: {told}"


def _features(one: Explanation) -> Iterator[str]:
    if one.features is None:
        return
    if not one.features.effects:
        yield "What mattered: no feature by itself changed the chance of this action."
        return
    yield f"What mattered ({one.features.method}):"
    for effect in one.features.effects[:_SHOWN]:
        was = ", ".join(
            f"{name} {value:g} in place of {effect.reference[name]:g}"
            for name, value in effect.values.items()
            if value != effect.reference[name]
        )
        way = "raised" if effect.effect > 0.0 else "lowered"
        points = f"{abs(effect.effect) * 100.0:.2g} percentage points"
        yield f"  {was} {way} the chance by {points}. ({effect.meaning})"
    rest = len(one.features.effects) - _SHOWN
    if rest > 0:
        yield f"  {counted(rest, 'feature')} more did less."


def _after(one: Explanation) -> Iterator[str]:
    if one.next_decision_at is None:
        yield "Next decision: none is known."
    else:
        yield f"Next decision: {one.next_decision_at}, unless the journey ends before."
    said = {
        "planned": "it is planned, and nobody asked for it yet",
        "confirmed": f"it was told to leave at {one.status_at}",
        "sent": f"it went, as a report of {one.status_at} says",
        "withdrawn": f"it was withdrawn at {one.status_at}: {one.withdrawn_because}",
        "made": "there was nothing to send",
    }[one.status]
    yield f"Since then: {said}."
    for event in one.events:
        machine = ", by a machine" if event.is_machine else ""
        yield f"  {event.at}: {event.type} (told by {event.source}{machine})"


def _percent(chance: float) -> str:
    return f"{100.0 * chance:.3g} %"
