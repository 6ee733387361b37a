"""Reading rules and offers of a journey file, and holding what it names against one another."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, nan

from nurture_envs.features.spec import FeatureSpec
from nurture_envs.fields import Fields, hint
from nurture_envs.journey import ALL, Condition, Journey, Offer, Rule, Signal, SlowCadence

_OPERATORS = (">=", "<=", "==", "!=", ">", "<")
_MOST_LIMITED = 63  # offers with conditions or an inventory: compiled loops keep a bit of each


def read_rules(f: Fields, name: str) -> tuple[Rule, ...]:
    """The list under a key, each `{when: {column: ">= 2"}, do: action}`; problems go to `f`."""
    return tuple(_rule(one) for one in f.mappings(name, []))


def _rule(f: Fields) -> Rule:
    rule = Rule(read_conditions(f.mapping("when")), f.text("do"))
    f.finish()
    return rule


def read_conditions(when: Fields) -> tuple[Condition, ...]:
    """Comparisons by feature column, such as `{day: ">= 2"}`."""
    conditions = []
    for column in when.data:
        text = when.text(column).replace(" ", "")
        operator = next((op for op in _OPERATORS if text.startswith(op)), None)
        try:
            threshold = float(text[len(operator or "") :])
        except ValueError:
            threshold = nan
        conditions.append(Condition(str(column), operator or "", threshold))
        if operator is None or not isfinite(threshold):
            when.problem(str(column), f"expected a comparison such as '>= 2', got {text!r}")
    return tuple(conditions)


def read_offer(name: str, f: Fields) -> Offer:
    """One entry of `offers`; problems go to `f`."""
    offer = Offer(
        name=name,
        cost=f.number("cost", 0.0, low=0.0),
        expires=f.day("expires"),
        eligible=read_conditions(f.mapping("eligible", {})),
        inventory=f.integer("inventory", low=1) if f.has("inventory") else None,
    )
    f.finish()
    return offer


def read_slow(actions: Fields, signals: Sequence[Signal]) -> SlowCadence | None:
    """The entry `slow` of `actions`, if there is one; problems go to `actions`."""
    if actions.data.get("slow") is None:
        return None
    f = actions.mapping("slow")
    own = [s for s in signals if s.by_action and not s.delay_bins]
    named = [s.name for s in own if s.filters() == {"type": "slowed"}]
    if len(named) != 1:
        actions.problem(
            "slow",
            f"expected one signal by which the log remembers it, got {len(named)}; write "
            "`slowed: {type: slowed, by_action: true}` under signals",
        )
    gap_hours, bins = f.number("gap_hours", low=0.25), f.integer("bins", low=2)
    f.finish()
    return SlowCadence(gap_hours, bins, named[0] if named else "")


def rule_problems(journey: Journey, ids: Sequence[str]) -> list[str]:
    """What the drip and the rules name that the journey does not have.

    Args:
        journey: as read.
        ids: of its actions.
    """
    actions = [(f"drip.{bin_}", action) for bin_, action in journey.drip]
    programs = (("rules", journey.rules), ("expert", journey.expert))
    rules = [(f"{key}[{i}]", rule) for key, listed in programs for i, rule in enumerate(listed)]
    actions += [(f"{key}.do", rule.action) for key, rule in rules if rule.action != "drip"]
    problems = [
        f"{key}: no action is called {action!r}{hint(action, ids)}"
        for key, action in actions
        if action not in ids
    ]
    return problems + _unknown_columns(
        journey, [(f"{key}.when", c) for key, rule in rules for c in rule.when]
    )


def offer_problems(journey: Journey) -> list[str]:
    """Offers that no message makes, and conditions on columns that the journey does not have."""
    made = [message.offer for message in journey.messages if message.offer != "none"]
    problems = [
        f"offers.{offer.name}: no message makes this offer{hint(offer.name, made)}; write "
        f"`offer: {offer.name}` in a message, or take it out"
        for offer in journey.offers
        if offer.name not in made
    ]
    if sum(offer.limited for offer in journey.offers) > _MOST_LIMITED:
        problems.append(
            f"offers: expected at most {_MOST_LIMITED} with `eligible` or `inventory`; give "
            "several messages one offer"
        )
    return problems + _unknown_columns(
        journey, [(f"offers.{o.name}.eligible", c) for o in journey.offers for c in o.eligible]
    )


def spacing_problems(journey: Journey) -> list[str]:
    """Caps that no message falls under, and a slower cadence that is none."""
    settings, problems = journey.guardrails, []
    groups = [group for message in journey.messages for group in message.groups]
    for i, cap in enumerate(settings.caps):
        column, name = cap.group
        if cap.group != ALL and cap.group not in groups:
            near = hint(name, [other for kind, other in groups if kind == column])
            problems.append(
                f"guardrails.frequency_caps[{i}].{column}: no message has {column} {name!r}{near}; "
                f"leave `{column}` out to count all messages"
            )
    names = [message.id for message in journey.messages]
    problems += [
        f"guardrails.cool_off.{one.message}: no message is called that{hint(one.message, names)}"
        for one in settings.cool_off
        if one.message not in names
    ]
    if settings.slow is not None and settings.slow.gap_hours <= settings.min_gap_hours:
        problems.append(
            f"actions.slow.gap_hours: expected more than guardrails.min_gap_hours, which is "
            f"{settings.min_gap_hours:g}, got {settings.slow.gap_hours:g}"
        )
    return problems


def _unknown_columns(journey: Journey, asked: Sequence[tuple[str, Condition]]) -> list[str]:
    columns = FeatureSpec.of(journey).columns
    return [
        f"{key}.{c.column}: no feature column is called that{hint(c.column, columns)}"
        for key, c in asked
        if c.column not in columns
    ]
