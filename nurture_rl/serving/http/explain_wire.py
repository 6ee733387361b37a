"""The JSON of an explanation: why a decision was made, and what became of it."""

from __future__ import annotations

from typing import Literal

import msgspec

from nurture_rl.serving.http.confirm_wire import Status

# Who decided: the bundle's policy, the journey's rules, the program of the contact's arm in an
# experiment, a switch that stands at pause, a failure of all layers, or a policy that is not at
# hand.
DecidedBy = Literal["policy", "rules", "arm", "switch", "failure", "unknown"]


class ExplainedAction(msgspec.Struct, frozen=True):
    """One action that could have been taken."""

    action: str
    probability: float
    forbidden_by: list[str]  # guardrails by name; none: it was possible
    why_forbidden: list[str]  # the same in words


class FeatureEffect(msgspec.Struct, frozen=True):
    """How one feature moved the probability of the action taken."""

    feature: str  # as the journey names it
    meaning: str
    values: dict[str, float]  # by column: what the policy saw
    reference: dict[str, float]  # by column: for a contact of whom nothing is known
    effect: float  # probability as it was, less the one with the reference in place of the values


class FeatureEffects(msgspec.Struct, frozen=True):
    """What features did, the largest effect first."""

    method: str
    effects: list[FeatureEffect]
    unchanged: int  # features at their reference, or with an effect below 1e-6


class Contribution(msgspec.Struct, frozen=True):
    """What one feature adds to the score of the action taken."""

    feature: str  # as the journey names it; of several that were joined, all their names
    meaning: str  # of a single feature
    values: dict[str, float]  # by column: what the policy saw
    reference: dict[str, float]  # by column: for a contact of whom nothing is known
    to_score: float  # of the action taken
    to_margin: float  # of that score over the next best; 0 where there is no other action


class ReasonCard(msgspec.Struct, frozen=True):
    """What the learned part of the policy goes by: a score of each action, and why it is as it is.

    `score` is `reference_score` plus all `to_score`, but for `residual`, which is rounding.
    """

    method: str
    is_linear: bool  # in closed form; else Shapley values
    score: float  # of the action taken, in the policy's own unit
    reference_score: float  # of the same action for a contact of whom nothing is known
    contributions: list[Contribution]  # the largest first
    residual: float
    next_best: str | None  # possible action with the highest score beside it; null: there is none
    margin: float | None  # score less that of the next best; below 0 where chance had its say
    favourite: str  # action of the highest score, forbidden ones included
    favourite_score: float
    favourite_forbidden_by: list[str]  # guardrails by name; none: it was possible
    chance_alone: float  # of the action taken, by the learned part without trust region and floor


class RuleCard(msgspec.Struct, frozen=True):
    """The rule that decided."""

    place: int | None  # from 1; null: no rule fitted
    when: dict[str, str]  # by column: what the rule asks
    values: dict[str, float]  # by column: what the contact has
    does: str  # action id, or drip
    passed_over: list[int]  # places of rules that fitted and whose action was forbidden


class ReplayCheck(msgspec.Struct, frozen=True):
    """Whether the stored row gives the same decision again."""

    bit_equal: bool | None  # None: it could not be tried
    says: str


class EventAfter(msgspec.Struct, frozen=True):
    """An event that names the decision."""

    at: str
    type: str
    source: str
    is_machine: bool


class GhostTold(msgspec.Struct, frozen=True):
    """What the policy would have decided for a contact who is held out."""

    action: str
    propensity: float
    policy_id: str


class Explanation(msgspec.Struct, frozen=True):
    """Why a decision was made, from its stored row alone, and what happened after."""

    decision_id: str
    contact_id: str
    journey: str
    episode_id: str
    step: int  # of the journey, from 0
    decided_at: str
    action: str
    scheduled_at: str | None  # when a send leaves
    layer: DecidedBy
    policy_id: str
    bundle: str | None  # when the bundle of that policy was made; null: it is not at hand
    arm: str
    experiment: str | None  # in which the contact was dealt to it
    arm_share: float | None  # of that experiment's units, those who are dealt to the arm
    ghost: GhostTold | None  # where the contact is held out
    catalog: str
    note: str | None  # why the first layer was not followed
    propensity: float  # chance with which the action was drawn
    luck: float | None  # the number in [0, 1) that drew it; null: nothing was drawn
    most_likely: str  # the action with the largest probability, the first of several such
    explored: bool  # one with a smaller probability was taken
    actions: list[ExplainedAction]
    reasons: ReasonCard | None  # null: no learned part decided, or its bundle tells no scores
    rule: RuleCard | None  # null: no rules decided
    features: FeatureEffects | None  # null: no policy was asked, or it is not at hand
    replay: ReplayCheck
    next_decision_at: str | None  # null: this was the last
    status: Status
    status_at: str | None
    withdrawn_because: str | None
    events: list[EventAfter]  # that name the decision, in their order
    text: list[str]  # the same in plain words
