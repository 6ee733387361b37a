"""Changes of a rule list that a log speaks for: after a CRM outcome, another action earns more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_envs.guardrails import COMPARISONS
from nurture_envs.journey import Condition, Feature, Journey
from nurture_rl.appraisal.estimation import EvaluationConfig, evaluate_policies
from nurture_rl.appraisal.on_estimates import ACCEPT_THEM
from nurture_rl.decisions import BoolArray, Decisions, FloatArray, IntArray, whole_episodes
from nurture_rl.errors import FitError, NurtureError
from nurture_rl.ope.intervals import simultaneous_level
from nurture_rl.ope.log import evaluation_log
from nurture_rl.ope.targets import TabulatedPolicy, logged_one_hot
from nurture_rl.policies.policy import FeatureArray
from nurture_rl.policies.program import Rules

# Events by which a CRM says how it went.
OUTCOME_TYPES = frozenset(
    {
        *("opportunity_opened", "opportunity_closed", "stage_changed", "sales_activity"),
        *("meeting_booked", "meeting_held", "meeting_no_show"),
    }
)
_PRESENT, _PROPOSED = "present", "proposed"
_FEWEST = 10  # training decisions with each of the two actions
_LEAST_T = 1.0  # standard errors by which training decisions must speak for a change
_RIDGE = 1.0  # on standardised features, of the returns' part that is known before a decision


@dataclass(frozen=True, slots=True)
class RuleProposal:
    """One change of the list: where a condition holds, an action in the place of the present one.

    The gain is per decision, to the end of its episode: this one decision is changed, and what
    follows goes as it was logged.
    """

    column: str
    asked: str  # of the column, such as ">= 1"
    action: str
    instead: str  # what the present rules do there most often
    decisions: int  # held-out ones in which the change would be made
    contacts: int  # of those
    gain: float | None  # the journey's unit; None: no estimate
    lower: float | None
    upper: float | None
    shown: bool  # the whole interval lies above 0
    why: str  # why it is not; empty where it is


@dataclass(frozen=True, slots=True)
class ProposalReport:
    """What was looked at, and what came of it; the intervals of all that was tested hold together.

    Conditions and actions were picked by training contacts, and tested on the held-out ones.
    """

    unit: str
    level: float  # of all intervals together
    conditions: tuple[str, ...]  # that were looked at
    looked_at: int  # conditions with an action
    tested: tuple[RuleProposal, ...]  # what is shown first, by its lower bound

    @property
    def proposed(self) -> tuple[RuleProposal, ...]:
        """What the log speaks for."""
        return tuple(one for one in self.tested if one.shown)


@dataclass(frozen=True, slots=True)
class _Change:
    condition: Condition
    action: int
    t: float  # of the gain in training decisions


def outcome_conditions(journey: Journey) -> tuple[Condition, ...]:
    """What a rule may ask about how it went: every feature of CRM outcomes alone, and each stage.

    A count or a word that it ever happened is asked for 1 or more, a recency for less than its
    window, the stage for each that there is.
    """
    types = {signal.name: signal.type for signal in journey.signals}
    return tuple(one for feature in journey.features for one in _asked(feature, types))


def _asked(feature: Feature, types: dict[str, str]) -> Iterator[Condition]:
    if feature.kind == "stage":
        for stage, _ in feature.stages:
            yield Condition(f"{feature.name}={stage}", ">=", 1.0)
    if not feature.of or not {types.get(name, "") for name in feature.of} <= OUTCOME_TYPES:
        return
    if feature.kind in ("ever", "count"):
        yield Condition(feature.name, ">=", 1.0)
    if feature.kind == "recency":
        yield Condition(feature.name, "<", float(feature.window))


def propose_rules(
    decisions: Decisions,
    journey: Journey,
    present: Rules,
    tested: int,
    config: EvaluationConfig,
    rng: np.random.Generator,
) -> ProposalReport:
    """Look for changes on training contacts, and test the most promising on the held-out ones.

        gain = mean of q(x, a) - q(x, b)   over decisions with the condition, a allowed, b another

    q is what a decision brings to the end of its episode under the programme that logged; a is the
    proposed action and b what the present rules do. Doubly robust, clustered by contact or account.

    Args:
        decisions: of the whole log; whole episodes alone are read.
        journey: names conditions and actions.
        present: the rules that run.
        tested: most changes that are tested, >= 1; their intervals share out the error.
        config: level of all intervals together, thresholds and value model.
        rng: deals contacts to folds.

    Raises:
        FitError: the journey has no feature of CRM outcomes, or no episode is over.
        PropensityError: a propensity is missing.
    """
    conditions = outcome_conditions(journey)
    if not conditions:
        raise FitError(
            f"journey {journey.name!r} has no feature of CRM outcomes alone, so no rule can ask "
            "for one; declare some, such as ever_lost: {kind: ever, of: [lost_to_price]}"
        )
    rows = whole_episodes(decisions)
    if not rows.any():
        raise FitError("no episode is over, so nothing is known of what decisions bring; wait")
    kept = decisions.take(rows)
    returns = to_the_end(kept, journey.reward.discount)
    looked, found = _promising(kept, returns, present, conditions)
    chosen = found[:tested]
    level = simultaneous_level(config.level, max(1, len(chosen)))
    asks = replace(config, level=level, candidates=(_PROPOSED,), rules=None)
    told = [_tested(kept, returns, journey, present, one, asks, rng) for one in chosen]
    told.sort(key=lambda one: (not one.shown, -(-np.inf if one.lower is None else one.lower)))
    return ProposalReport(
        unit=journey.reward.unit,
        level=config.level,
        conditions=tuple(f"{one.column} {_words(one)}" for one in conditions),
        looked_at=looked,
        tested=tuple(told),
    )


def to_the_end(decisions: Decisions, discount: float) -> FloatArray:
    """What comes from each decision to the end of its episode, discounted to its own bin, [N]."""
    now = discount ** decisions.step.astype(np.float64)
    worth = decisions.reward * now
    total = np.cumsum(worth)
    last = np.flatnonzero(np.diff(decisions.episode, append=-1))
    ends = total[last][decisions.episode]
    return np.asarray((ends - total + worth) / now)


def _promising(
    kept: Decisions, returns: FloatArray, present: Rules, conditions: Iterable[Condition]
) -> tuple[int, list[_Change]]:
    """How many changes training contacts were asked about, and the best of each message."""
    log = kept.take(~kept.held_out)
    if not log.action.size:
        return 0, []
    left = _unexplained(log.features.astype(np.float64), returns[~kept.held_out])
    instead, catalog = present.chosen(log.features, log.mask), present.catalog
    looked = 0
    best: dict[tuple[Condition, str], _Change] = {}
    for condition in conditions:
        holds = _holds(condition, log.features, present.columns)
        for action in range(len(catalog)):
            rows = np.flatnonzero(holds & log.mask[:, action] & (instead != action))
            ours = log.action[rows] == action
            theirs = log.action[rows] == instead[rows]
            if min(ours.sum(), theirs.sum()) < _FEWEST:
                continue
            looked += 1
            sign = ours.astype(np.float64) - theirs
            t = _t(sign * left[rows] / log.propensity[rows], log.cluster[rows])
            message = catalog.actions[action].message
            key = condition, catalog.ids[action] if message is None else message.id
            if t >= _LEAST_T and (key not in best or t > best[key].t):
                best[key] = _Change(condition, action, t)
    return looked, sorted(best.values(), key=lambda one: -one.t)


def _unexplained(features: FloatArray, returns: FloatArray) -> FloatArray:
    """Returns less what a linear model of the features expects, [N]."""
    spread = features.std(axis=0)
    some = spread > 0.0
    known = (features[:, some] - features[:, some].mean(axis=0)) / spread[some]
    mean = returns.mean()
    gram = known.T @ known + _RIDGE * np.eye(known.shape[1])
    return np.asarray(returns - mean - known @ np.linalg.solve(gram, known.T @ (returns - mean)))


def _t(parts: FloatArray, cluster: IntArray) -> float:
    """A mean in standard errors, clustered; 0 where nothing varies."""
    place = np.unique(cluster, return_inverse=True)[1]
    error = np.sqrt(np.square(np.bincount(place, parts - parts.mean())).sum()) / parts.size
    return float(parts.mean() / error) if error > 0.0 else 0.0


def _tested(
    kept: Decisions,
    returns: FloatArray,
    journey: Journey,
    present: Rules,
    change: _Change,
    config: EvaluationConfig,
    rng: np.random.Generator,
) -> RuleProposal:
    """A change before the held-out contacts."""
    catalog = present.catalog
    holds = _holds(change.condition, kept.features, present.columns)
    instead = present.chosen(kept.features, kept.mask)
    rows = kept.held_out & holds & kept.mask[:, change.action] & (instead != change.action)
    log, now = kept.take(rows), instead[rows]
    most = catalog.ids[int(np.bincount(now).argmax())] if now.size else ""
    told = RuleProposal(
        column=change.condition.column,
        asked=_words(change.condition),
        action=catalog.ids[change.action],
        instead=most,
        decisions=int(rows.sum()),
        contacts=int(np.unique(log.contact).size),
        gain=None,
        lower=None,
        upper=None,
        shown=False,
        why="no held-out decision would be changed",
    )
    if not now.size:
        return told
    try:
        return _estimated(told, log, returns[rows], journey, (change.action, now), config, rng)
    except NurtureError as error:
        return replace(told, why=str(error))


def _estimated(
    told: RuleProposal,
    log: Decisions,
    returns: FloatArray,
    journey: Journey,
    actions: tuple[int, IntArray],
    config: EvaluationConfig,
    rng: np.random.Generator,
) -> RuleProposal:
    now = actions[1]
    proposed = np.full(now.size, actions[0], np.int64)
    single = evaluation_log(
        features=log.features,
        mask=log.mask,
        action=log.action,
        propensity=log.propensity,
        logged_probabilities=log.probabilities,
        reward=returns,
        episode=np.arange(returns.size),
        step=np.zeros(returns.size, np.int64),
        cluster=np.unique(log.cluster, return_inverse=True)[1],
        terminal=np.ones(returns.size, bool),
        action_factors=ActionCatalog.of(journey).factors,
        discount=1.0,
        unit=journey.reward.unit,
    )
    targets = {
        _PROPOSED: TabulatedPolicy(logged_one_hot(log.mask, proposed)),
        _PRESENT: TabulatedPolicy(logged_one_hot(log.mask, now)),
    }
    found = evaluate_policies(single, targets, _PRESENT, rng, config).policies
    lacks = [one.overlap.reason for one in found.values() if not one.overlap.feasible]
    modelled = log.estimated is not None and bool(log.estimated.any())
    if modelled and config.estimated_propensities != ACCEPT_THEM:
        lacks.append("its propensities are a model's (evaluation.estimated_propensities)")
    difference = found[_PROPOSED].difference
    if lacks or difference is None:
        why = "; ".join(lacks) or "no estimator has an answer"
        return replace(told, why=f"the log does not carry it: {why}")
    interval = difference.interval
    shown = bool(interval.lower > 0.0)
    return replace(
        told,
        gain=difference.value,
        lower=interval.lower,
        upper=interval.upper,
        shown=shown,
        why="" if shown else "the interval holds 0" if interval.upper > 0.0 else "it earns less",
    )


def _holds(condition: Condition, features: FeatureArray, columns: Sequence[str]) -> BoolArray:
    column = features[:, columns.index(condition.column)]  # float32, as when rules decide
    return np.asarray(COMPARISONS[condition.operator](column, np.float32(condition.threshold)))


def _words(condition: Condition) -> str:
    return f"{condition.operator} {condition.threshold:g}"
