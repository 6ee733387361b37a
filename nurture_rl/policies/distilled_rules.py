"""A short list of rules that decides as a policy does, grown greedily from its last rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_envs.guardrails import COMPARISONS
from nurture_envs.journey import Condition, Rule
from nurture_rl.policies.policy import (
    BoolArray,
    FeatureArray,
    FloatArray,
    IntArray,
    PolicyError,
    Spec,
)
from nurture_rl.policies.program import described_rule
from nurture_rl.policies.references import or_wait

_CUTS = 20  # most thresholds of a feature
_LEVELS = 32  # whole numbers of a feature up to which each may be asked for by itself
_DIGITS = 3  # of a threshold
_SEEDS = 256  # conditions that a second one is looked for beside
_BEAM = 16  # of these, that a further one is looked for beside
_ROUNDING = 1e-9  # of the weight; what wins less wins nothing


@dataclass(frozen=True, slots=True, eq=False)
class Demonstration:
    """Decisions of a policy that rules are to imitate."""

    features: FeatureArray  # contexts, [n, d]
    mask: BoolArray  # legal actions, [n, a]
    action: IntArray  # what the policy does, position in the catalogue, [n]
    weight: FloatArray  # what it matters to decide alike, >= 0, [n]

    def __post_init__(self) -> None:
        total = float(self.weight.sum())
        if not len(self.action) or not np.isfinite(total) or total <= 0.0:
            raise PolicyError(
                f"expected decisions with a weight above 0 to imitate, got {len(self.action)} of "
                f"weight {total:g}; give a log with decisions that leave a choice"
            )


@dataclass(frozen=True, slots=True)
class RuleListSize:
    """How long a list of rules may be."""

    rules: int  # at most, >= 1
    conditions: int  # of a rule, at most, >= 1
    least: float  # share of the weight that a rule or a condition must win to be written, >= 0


@dataclass(frozen=True, slots=True)
class _Found:
    """A rule and what it would win."""

    when: tuple[Condition, ...]
    action: int
    gain: float


def distilled_rules(
    shown: Demonstration, catalog: ActionCatalog, columns: Sequence[str], size: RuleListSize
) -> Spec:
    """A list of rules that takes a policy's actions where that matters most.

    It begins with the one action that is right most often. Then the rule is put in front that wins
    the most weight of decisions taken as the policy takes them, less what it spoils,

        gain(when, b) = sum of w_i ([b = a_i] - [list(x_i) = a_i])  over rows with `when`, b legal

    until no rule wins enough or the list is full. After each, rules change places as long as that
    wins, and one goes whose loss costs less than the least gain. A rule whose action is masked is
    passed over, as when the list decides.

    Args:
        shown: what the policy does.
        catalog: its actions.
        columns: names of the features, [d].
        size: how long the list may be.

    Returns:
        A description of kind `rules` for `build_policy`.

    Source: rules put in front one by one as in Webb (1993), Learning Decision Lists by Prepending
        Inferred Rules; decisions weighted by what is at stake as in Bastani, Pu & Solar-Lezama
        (2018), Verifiable Reinforcement Learning via Policy Extraction.
    """
    search = _Search(shown, catalog, columns, size)
    otherwise = search.best_alone()
    rules: list[_Found] = []
    while len(rules) < size.rules:
        found = search.best_rule(search.taken(rules, otherwise))
        if found is None:
            break
        longer = search.settled([found, *rules], otherwise)
        if search.worth(longer, otherwise) <= search.worth(rules, otherwise) + search.least / 2.0:
            break
        rules = longer
    written = [described_rule(Rule(one.when, catalog.ids[one.action])) for one in rules]
    return {"kind": "rules", "rules": written, "otherwise": catalog.ids[otherwise]}


class _Search:
    """Looks for rules among comparisons of single features."""

    def __init__(
        self,
        shown: Demonstration,
        catalog: ActionCatalog,
        columns: Sequence[str],
        size: RuleListSize,
    ) -> None:
        self.shown, self.catalog, self.size = shown, catalog, size
        self.least = max(size.least, _ROUNDING) * float(shown.weight.sum())
        self.conditions = [
            condition
            for place, name in enumerate(columns)
            for condition in _comparisons(name, shown.features[:, place])
        ]
        places = {name: place for place, name in enumerate(columns)}
        # One column for each comparison: all of them are asked in one product of matrices.
        self.holds = np.zeros((len(shown.action), len(self.conditions)), np.float32)
        for at, condition in enumerate(self.conditions):
            self.holds[:, at] = _holds(condition, shown.features[:, places[condition.column]])
        self.feature = np.array([places[one.column] for one in self.conditions], np.int64)

    def best_alone(self) -> int:
        """The action that is right most often where nothing else is asked."""
        won = [
            self._won(np.full(len(self.shown.action), action, np.int64))
            for action in range(len(self.catalog))
        ]
        return int(np.argmax(won))

    def _won(self, action: IntArray) -> float:
        legal = or_wait(action, self.shown.mask, self.catalog)
        return float(self.shown.weight[legal == self.shown.action].sum())

    def taken(self, rules: Sequence[_Found], otherwise: int) -> IntArray:
        """What the list does, [n]."""
        everywhere = np.full(len(self.shown.action), otherwise, np.int64)
        action = or_wait(everywhere, self.shown.mask, self.catalog)
        for rule in reversed(rules):  # the first of the list has the last word
            action[self._covered(rule)] = rule.action
        return action

    def _covered(self, rule: _Found) -> BoolArray:
        fits = self.shown.mask[:, rule.action].copy()
        for condition in rule.when:
            fits &= self.holds[:, self.conditions.index(condition)] > 0.0
        return np.asarray(fits)

    def best_rule(self, taken: IntArray) -> _Found | None:
        """The rule that wins the most in front of a list; None where none wins enough."""
        shown = self.shown
        right = shown.weight * (taken == shown.action)
        gains = np.where(shown.mask, -right[:, None], 0.0)
        gains[np.arange(len(shown.action)), shown.action] += shown.weight
        shares = np.asarray(gains, np.float32)
        if not self.conditions:
            return None
        asked, action, gain = self._seeds(self.holds.T @ shares)
        best: _Found | None = None
        inside = self.holds[:, asked[:, 0]] * shares[:, action]
        while True:
            top = int(np.argmax(gain))
            if best is None or gain[top] >= best.gain + self.least:
                when = tuple(self.conditions[at] for at in asked[top])
                best = _Found(when, int(action[top]), float(gain[top]))
            if asked.shape[1] == min(self.size.conditions, len(np.unique(self.feature))):
                break
            asked, action, gain, inside = self._narrowed(asked, action, inside)
        return best if best is not None and best.gain >= self.least else None

    def _seeds(self, won: FeatureArray) -> tuple[IntArray, IntArray, FeatureArray]:
        """The best condition of each feature and action, what it asks, does and wins."""
        features = np.unique(self.feature)
        places = np.array(
            [
                np.flatnonzero(self.feature == one)[won[self.feature == one].argmax(axis=0)]
                for one in features
            ]
        )  # [features, a]
        action = np.broadcast_to(np.arange(won.shape[1]), places.shape).ravel()
        asked = places.ravel()
        order = np.argsort(-won[asked, action], kind="stable")[:_SEEDS]
        return asked[order][:, None], action[order], won[asked[order], action[order]]

    def _narrowed(
        self, asked: IntArray, action: IntArray, inside: FeatureArray
    ) -> tuple[IntArray, IntArray, FeatureArray, FeatureArray]:
        """The best further condition of each rule, of the rules that then win the most."""
        more = self.holds.T @ inside  # [conditions, rules]
        for column in asked.T:
            more[self.feature[:, None] == self.feature[column][None, :]] = -np.inf
        at = more.argmax(axis=0)
        gain = more[at, np.arange(len(at))]
        order = np.argsort(-gain, kind="stable")[:_BEAM]
        asked = np.column_stack([asked[order], at[order]])
        return asked, action[order], gain[order], inside[:, order] * self.holds[:, at[order]]

    def settled(self, rules: list[_Found], otherwise: int) -> list[_Found]:
        """The list with its rules in better places, and without those that became idle."""
        own = self.worth(rules, otherwise)
        while rules:
            others = [[*rules[:at], *rules[at + 1 :]] for at in range(len(rules))]
            kept = [self.worth(one, otherwise) for one in others]
            at = int(np.argmax(kept))
            if kept[at] > own - self.least:
                rules, own = others[at], kept[at]
                continue
            moved = [
                [*other[:place], rules[at], *other[place:]]
                for at, other in enumerate(others)
                for place in range(len(rules))
                if place != at
            ]
            gained = [self.worth(one, otherwise) for one in moved]
            if not moved or max(gained) <= own + self.least / 2.0:
                break
            at = int(np.argmax(gained))
            rules, own = moved[at], gained[at]
        return rules

    def worth(self, rules: Sequence[_Found], otherwise: int) -> float:
        """Weight of the decisions that a list takes as the policy does."""
        right = self.taken(rules, otherwise) == self.shown.action
        return float(self.shown.weight[right].sum())


def _comparisons(name: str, column: FeatureArray) -> list[Condition]:
    """What may be asked of a feature: at least a number, less than it, or equal to a whole one."""
    values = np.unique(column.astype(np.float64))
    if values.size < 2:
        return []
    whole = bool((values == np.rint(values)).all())
    cuts = values[1:] if whole and values.size <= _CUTS + 1 else _quantiles(column, whole)
    asked = [Condition(name, sign, float(cut)) for cut in cuts for sign in (">=", "<")]
    if whole and 2 < values.size <= _LEVELS:
        asked += [Condition(name, "==", float(value)) for value in values[1:-1]]
    return asked


def _quantiles(column: FeatureArray, whole: bool) -> FloatArray:
    """Thresholds of few digits that part the values evenly."""
    shares = np.arange(1, _CUTS + 1) / (_CUTS + 1)
    cuts = np.quantile(column.astype(np.float64), shares)
    short = [float(np.ceil(cut)) if whole else float(f"{cut:.{_DIGITS}g}") for cut in cuts]
    kept = [cut for cut in dict.fromkeys(short) if column.min() < cut <= column.max()]
    return np.array(kept, np.float64)


def _holds(condition: Condition, column: FeatureArray) -> BoolArray:
    met = COMPARISONS[condition.operator](column, np.float32(condition.threshold))
    return np.asarray(met, np.bool_)
