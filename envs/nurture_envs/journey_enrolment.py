"""Reading who comes into a journey and who leaves it: the key `enrolment` of a journey file."""

from __future__ import annotations

from collections.abc import Sequence

from nurture_envs.features.spec import FeatureSpec
from nurture_envs.fields import Fields, hint
from nurture_envs.journey import BUSY, Enrolment, Journey, JourneyRule
from nurture_envs.journey_rules import read_conditions

_MOST_PRIORITY = 1_000_000
_MOST_DAYS = 36_500  # a hundred years


def read_enrolment(journey: Fields, signals: Sequence[str]) -> Enrolment | None:
    """The entry `enrolment`, if there is one; problems go to `journey`.

    Args:
        journey: the file.
        signals: names of the journey's signals.
    """
    if not journey.has("enrolment"):
        return None
    f = journey.mapping("enrolment", {})
    found = Enrolment(
        enter=_rule(f, "enter", signals),
        leave=_rule(f, "leave", signals),
        rest_days=f.number("rest_days", low=0.0, high=_MOST_DAYS) if f.has("rest_days") else None,
        priority=f.integer("priority", 0, low=0, high=_MOST_PRIORITY),
        busy=f.text("busy", BUSY[0], among=BUSY),
    )
    f.finish()
    return found


def _rule(enrolment: Fields, name: str, signals: Sequence[str]) -> JourneyRule | None:
    if not enrolment.has(name):
        return None
    f = enrolment.mapping(name)
    on = tuple(map(str, f.items("on", [])))
    for signal in on:
        if signal not in signals:
            f.problem("on", f"no signal is called {signal!r}{hint(signal, signals)}")
    rule = JourneyRule(on, read_conditions(f.mapping("when", {})))
    if not f.data:
        f.problem(
            "on", "expected signals, or comparisons under `when`; leave the rule out for none"
        )
    f.finish()
    return rule


def enrolment_problems(journey: Journey) -> list[str]:
    """Conditions on columns that say nothing of a contact alone."""
    if journey.enrolment is None:
        return []
    spec = FeatureSpec.of(journey)
    rules = (("enter", journey.enrolment.enter), ("leave", journey.enrolment.leave))
    return [
        f"enrolment.{name}.when.{condition.column}: no attribute of contacts is called that"
        f"{hint(condition.column, spec.attribute_columns)}; name a column of a feature of kind "
        "attribute"
        for name, rule in rules
        if rule is not None
        for condition in rule.when
        if condition.column not in spec.attribute_columns
    ]
