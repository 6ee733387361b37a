"""From what was found to one verdict, with every cause named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum


class Trust(StrEnum):
    """What a world may be used for."""

    RANKING = "trust_for_ranking"  # its values may put policies in order
    TRAINING = "trust_for_training_with_ensemble"  # policies may be trained in an ensemble of it
    NOTHING = "do_not_trust"


class Cause(StrEnum):
    """What is wrong with a world or with the log it was fitted to."""

    BROKEN_PROPENSITIES = "broken_propensities"
    LEAKED_FEATURE = "leaked_feature"
    TOO_FEW_DATA = "too_few_data"
    MISSING_DELAYS = "missing_delays"
    WRONG_DELAYS = "wrong_delays"
    IGNORED_CONFOUNDING = "ignored_confounding"
    WRONG_FATIGUE_HALF_LIFE = "wrong_fatigue_half_life"
    WRONG_RESPONSE_CURVE = "wrong_response_curve"
    WRONG_EFFECT = "wrong_effect"
    WRONG_RATES = "wrong_rates"
    WRONG_MINOR_RATES = "wrong_minor_rates"
    MEMBERS_DISAGREE = "members_disagree"
    DISTINGUISHABLE = "distinguishable_trajectories"
    UNPROVEN = "not_enough_evidence"


@dataclass(frozen=True, slots=True)
class NamedCause:
    """One reason against a world, with the number that gave it away."""

    cause: Cause
    number: float
    threshold: float
    sentence: str
    fatal: bool  # the world must not be trusted; otherwise not for ranking
    symptom: bool = False  # follows from a cause named before it


@dataclass(frozen=True, slots=True)
class GapVerdict:
    """What the world may be used for, and why not for more."""

    trust: Trust
    causes: tuple[NamedCause, ...]  # roots first
    sentence: str

    @property
    def root(self) -> Cause | None:
        """The cause to mend first."""
        return self.causes[0].cause if self.causes else None


# Earlier ones explain later ones: a broken log cannot show what is wrong with a world.
_ORDER = tuple(Cause)
_SYMPTOMS = frozenset(
    {
        Cause.WRONG_RESPONSE_CURVE,
        Cause.WRONG_EFFECT,
        Cause.WRONG_RATES,
        Cause.WRONG_MINOR_RATES,
        Cause.MEMBERS_DISAGREE,
        Cause.DISTINGUISHABLE,
        Cause.UNPROVEN,
    }
)
_ALLOWS = {
    Trust.RANKING: "Policies may be ranked by their value in this world.",
    Trust.TRAINING: (
        "Train policies in an ensemble of such worlds, but do not rank them by one: {reason}"
    ),
    Trust.NOTHING: "Do not use this world: {reason}",
}


def verdict(causes: Sequence[NamedCause]) -> GapVerdict:
    """The verdict that the causes leave.

    Any fatal cause forbids all use. Another cause still allows training with an ensemble. A cause
    that usually comes with a fatal cause named before it is marked as its symptom.
    """
    ordered = sorted(causes, key=lambda one: (not one.fatal, _ORDER.index(one.cause)))
    marked = []
    for place, one in enumerate(ordered):
        explained = any(other.fatal and other.cause not in _SYMPTOMS for other in ordered[:place])
        marked.append(replace(one, symptom=explained and one.cause in _SYMPTOMS))
    if any(one.fatal for one in marked):
        trust = Trust.NOTHING
    else:
        trust = Trust.TRAINING if marked else Trust.RANKING
    reason = marked[0].sentence if marked else ""
    return GapVerdict(trust, tuple(marked), _ALLOWS[trust].format(reason=reason))
