"""What was predicted, as `predictions.json` holds it."""

from __future__ import annotations

from dataclasses import dataclass

from nurture_rl.predictions.contact_behaviour import ToldMailing
from nurture_rl.predictions.delayed_outcomes import ToldSurrogate
from nurture_rl.predictions.predicted_outcomes import PredictedOutcome
from nurture_rl.predictions.predicting import ToldHorizon
from nurture_rl.predictions.score_bindings import ScoreBinding


@dataclass(frozen=True, slots=True)
class ToldWhatIf:
    """How scores of a contact would be, had it done something more."""

    contact: str
    added: dict[str, int]  # events by signal, in the bin before
    before: dict[str, float]
    after: dict[str, float]  # empty where what is imagined ends the episode


@dataclass(frozen=True, slots=True)
class ToldPredictions:
    """Chances and other scores of a journey's contacts, and what they are worth."""

    title: str  # of the journey
    provenance: str
    as_of: str  # ISO moment of the scores
    contacts: int  # in the journey then, who have scores
    over: int  # contacts whose episode was over
    last_decision: str  # ISO moment
    goes_on: bool  # whether the log tells what contacts do after their episode
    outcomes: tuple[PredictedOutcome, ...]
    told: tuple[ToldHorizon, ...]
    means: dict[str, float]  # mean of the contacts scored, by column
    parts_of: str | None  # the chance that is told in parts
    parts: dict[str, float]  # mean size of what each group of features adds to it
    mailing: ToldMailing
    surrogate: ToldSurrogate | str  # or why there is none
    bindings: tuple[ScoreBinding, ...]
    what_if: ToldWhatIf | None
