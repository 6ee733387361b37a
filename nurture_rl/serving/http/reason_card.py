"""Why the policy wanted what it wanted: scores split by feature, or the rule that decided."""

from __future__ import annotations

import numpy as np

from nurture_envs.features import FeatureSpec, described_columns
from nurture_envs.guardrails import reason_names
from nurture_rl.policies.attribution import Attribution, attributed
from nurture_rl.policies.composition import unheld
from nurture_rl.policies.policy import FeatureArray, FloatArray, Policy
from nurture_rl.policies.program import Rules, described_rule
from nurture_rl.release.bundle import Bundle
from nurture_rl.release.onnx_policy import OnnxPolicy
from nurture_rl.serving.http.explain_wire import Contribution, ReasonCard, RuleCard
from nurture_rl.serving.http.feature_effects import groups_of, reference_features
from nurture_rl.serving.records import Decision

_LINEAR = (
    "The score is linear in the features: a feature adds what it alone changes in it, from its "
    "value for a contact of whom nothing is known to its own"
)
_SHAPLEY = (
    "The score comes from a network: a feature adds its Shapley value, what it changes on average "
    "over all orders in which features go from their value for a contact of whom nothing is known "
    "to their own"
)
_SUM = "; the parts add up to the score. That contact is in the same step of the same journey"


def reason_card(bundle: Bundle, policy: Policy, decision: Decision) -> ReasonCard | None:
    """The score of the action taken, as the learned part alone sees it.

    Args:
        bundle: of the policy.
        policy: that decided, as it is released.
        decision: with features.

    Returns:
        None where nothing was learned, or the graph tells no scores.

    Raises:
        NurtureError: the decision was made on other features.
        Exception: whatever the policy raises.
    """
    core = unheld(policy)
    if not isinstance(core, OnnxPolicy) or decision.features is None:
        return None
    own = np.array(decision.features, np.float32)
    mask = np.array(decision.mask, np.bool_)
    scores = core.scores(own[None])
    if scores is None:
        return None
    taken = bundle.catalog.index(decision.action)
    others = np.where(mask, scores[0], -np.inf)
    others[taken] = -np.inf
    following = int(others.argmax()) if np.isfinite(others).any() else None
    asked = [taken] if following is None else [taken, following]
    spec = bundle.feature_spec
    reference = reference_features(spec, decision.step, decision.anchor_us)
    groups = groups_of(spec)

    def score(features: FeatureArray) -> FloatArray:
        told = core.scores(features)
        assert told is not None
        return told[:, asked]

    parts = attributed(score, own, reference, [list(p) for _, p in groups], core.is_linear)
    favourite, ids = int(scores[0].argmax()), bundle.catalog.ids
    alone = core.action_probabilities(own[None], mask[None])
    return ReasonCard(
        method=(_LINEAR if parts.is_linear else _SHAPLEY) + _SUM,
        is_linear=parts.is_linear,
        score=float(parts.value[0]),
        reference_score=float(parts.base[0]),
        contributions=_contributions(spec, parts, own, reference),
        residual=float(parts.residual[0]),
        next_best=None if following is None else ids[following],
        margin=None if following is None else float(parts.value[0] - parts.value[1]),
        favourite=ids[favourite],
        favourite_score=float(scores[0, favourite]),
        favourite_forbidden_by=reason_names(decision.reasons[favourite]),
        chance_alone=float(alone[0, taken]),
    )


def _contributions(
    spec: FeatureSpec, parts: Attribution, own: FeatureArray, reference: FeatureArray
) -> list[Contribution]:
    """What each feature adds, the largest first."""
    groups, columns = groups_of(spec), described_columns(spec)
    told = []
    for joined, added in zip(parts.groups, parts.contributions, strict=True):
        names = [groups[at][0] for at in joined]
        places = [place for at in joined for place in groups[at][1]]
        told.append(
            Contribution(
                feature=", ".join(names),
                meaning=columns[places[0]].meaning if len(joined) == 1 else "",
                values={spec.columns[place]: float(own[place]) for place in places},
                reference={spec.columns[place]: float(reference[place]) for place in places},
                to_score=float(added[0]),
                to_margin=float(added[0] - added[1]) if len(added) > 1 else 0.0,
            )
        )
    return sorted(told, key=lambda one: (-abs(one.to_score), one.feature))


def rule_card(policy: Policy, decision: Decision) -> RuleCard | None:
    """The rule that decided; None where the policy is no list of rules."""
    rules = unheld(policy)
    if not isinstance(rules, Rules) or decision.features is None:
        return None
    features = np.array([decision.features], np.float32)
    mask = np.array([decision.mask], np.bool_)
    place = int(rules.deciding(features, mask)[0])
    fits = np.flatnonzero(rules.fitting(features)[0, :place])
    passed_over = [int(at) + 1 for at in fits]
    if place == len(rules.rules):
        return RuleCard(None, {}, {}, rules.otherwise, passed_over)
    rule = rules.rules[place]
    values = {one.column: float(features[0, rules.columns.index(one.column)]) for one in rule.when}
    return RuleCard(place + 1, described_rule(rule)["when"], values, rule.action, passed_over)
