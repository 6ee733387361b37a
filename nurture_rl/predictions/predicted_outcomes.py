"""The outcomes that are predicted of a contact, as a journey's signals name them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nurture_envs.journey import Journey, Signal

CONVERT, BOOK, ADVANCE = "convert", "book", "advance"
ENGAGE, IGNORE, CHURN = "engage", "ignore", "churn"
_LOST = frozenset({"lost", "closed_lost", "cancelled", "canceled", "churned"})
_LEAVES = frozenset({"unsubscribe", "complaint", "consent_withdrawn"})
_HARDLY = frozenset({"out_of_office", "automatic"})  # replies that nobody wrote
# What a mail does by itself, and opens, which programs make as well as people.
_OF_MAIL = frozenset(
    {"sent", "delivered", "deferred", "hard_bounce", "soft_bounce", "dropped", "open"}
    | {"escalated", "slowed", "consent_given", "consent_withdrawn", "sales_activity"}
)


@dataclass(frozen=True, slots=True)
class PredictedOutcome:
    """Something that a contact may do within a horizon."""

    name: str
    means: str  # in words, for pages
    signals: tuple[str, ...]  # any of them counts
    once: bool = False  # nobody does it twice in an episode: who has done it is not asked again
    absent: bool = False  # the outcome is that none of the signals happens


def with_losses(journey: Journey) -> Journey:
    """The journey whose signals include the losses that only its guardrails name."""
    more = tuple(one for one in journey.guardrails.events if one.stage in _LOST)
    return replace(journey, signals=(*journey.signals, *more)) if more else journey


def predicted_outcomes(journey: Journey) -> tuple[PredictedOutcome, ...]:
    """The outcomes whose signals the journey has.

    Args:
        journey: as `with_losses` gives it.
    """
    star = tuple(dict.fromkeys(name.removesuffix(".value") for name in journey.north_star.of))
    booked = _named(journey, lambda one: one.type == "meeting_booked")
    engaged = _named(journey, _engages)
    acted = _named(journey, made_by_people)
    gone = _named(journey, lambda one: _leaves(one, journey))
    outcomes = [
        PredictedOutcome(
            CONVERT, f"the journey's north star: {journey.north_star.name}", star, True
        )
    ]
    if booked and set(booked) != set(star):
        outcomes.append(PredictedOutcome(BOOK, "books a meeting", booked))
    stages = tuple(dict.fromkeys(signal for _, signal in journey.stages))
    if set(stages) - set(star):
        outcomes.append(PredictedOutcome(ADVANCE, "enters another stage of the journey", stages))
    outcomes += [
        PredictedOutcome(ENGAGE, "clicks a mail or answers one, machines left out", engaged),
        PredictedOutcome(
            IGNORE, "does nothing at all: no click, answer, visit or step", acted, absent=True
        ),
        PredictedOutcome(CHURN, "opts out, complains, or is lost", gone, True),
    ]
    return tuple(one for one in outcomes if one.signals)


def _named(journey: Journey, wanted: object) -> tuple[str, ...]:
    assert callable(wanted)
    return tuple(one.name for one in journey.signals if wanted(one))


def _engages(one: Signal) -> bool:
    if one.type == "reply":
        return one.reply_class not in _HARDLY
    return one.type == "click" and one.is_machine is not True


def made_by_people(one: Signal) -> bool:
    """Whether a signal is something that a person did."""
    return (
        not one.by_action
        and one.is_machine is not True
        and one.type not in _OF_MAIL
        and one.reply_class not in _HARDLY
    )


def _leaves(one: Signal, journey: Journey) -> bool:
    named = one.name in journey.guardrails.opt_out or one.name in _LOST
    return named or one.type in _LEAVES or one.type in _LOST or one.stage in _LOST
