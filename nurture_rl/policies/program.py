"""The programs a team already runs: the drip on its calendar, and hand-written rules."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_envs.features.spec import FeatureSpec
from nurture_envs.guardrails import COMPARISONS
from nurture_envs.journey import Condition, Journey, Rule
from nurture_rl.policies.policy import (
    BoolArray,
    FeatureArray,
    FloatArray,
    IntArray,
    PolicyError,
    Spec,
    certain,
    require_batch,
)
from nurture_rl.policies.references import or_wait

DRIP = "drip"  # a rule's action: what the schedule does


@dataclass(frozen=True)
class Drip:
    """The journey's fixed schedule: one action at each of its bins, `pause:1` between."""

    catalog: ActionCatalog
    plan: tuple[tuple[int, str], ...]  # (bin, action id)
    bin_column: int | None  # feature column that holds the bin; None: every decision is bin 0

    @classmethod
    def of(cls, journey: Journey, catalog: ActionCatalog, features: FeatureSpec) -> Drip:
        """The drip a journey declares.

        Raises:
            PolicyError: the journey lasts several bins and declares no calendar `bin` feature.
        """
        bins = [f.name for f in features.features if f.kind == "calendar" and f.part == "bin"]
        if not bins and journey.clock.horizon > 1:
            raise PolicyError(
                f"journey {journey.name!r} has {journey.clock.horizon} bins and no feature tells "
                "them apart; declare one with kind: calendar, part: bin"
            )
        return cls(catalog, journey.drip, features.column(bins[0]) if bins else None)

    def chosen(self, features: FeatureArray, mask: BoolArray) -> IntArray:
        """The scheduled action of each row, `pause:1` where none is due or it is masked, [n]."""
        action = np.full(len(mask), self.catalog.wait, np.int64)
        column = self.bin_column
        bins = np.zeros(len(mask)) if column is None else np.rint(features[:, column])
        for bin_, action_id in self.plan:
            action[bins == bin_] = self.catalog.index(action_id)
        return or_wait(action, mask, self.catalog)

    def action_probabilities(self, features: FeatureArray, mask: BoolArray) -> FloatArray:
        """Probability 1 on the scheduled action, [n, a]."""
        require_batch(features, mask, len(self.catalog))
        return certain(self.chosen(features, mask), len(self.catalog))

    def spec(self) -> Spec:
        """The kind alone: the schedule belongs to the journey."""
        return {"kind": "drip"}


@dataclass(frozen=True)
class Rules:
    """Readable rules, first legal match wins, and what to do where none matches."""

    catalog: ActionCatalog
    rules: tuple[Rule, ...]
    columns: tuple[str, ...]  # names of the feature columns, in order
    otherwise: str  # where no rule matches: an action id, or "drip"
    drip: Drip | None  # the schedule; None where neither a rule nor `otherwise` asks for it
    listed: str | None = None  # the journey's key that holds the rules; None: the spec holds them

    @classmethod
    def of(cls, journey: Journey, catalog: ActionCatalog, features: FeatureSpec) -> Rules:
        """The rules a journey declares, over its drip.

        Raises:
            JourneyError: a condition names no feature column.
            PolicyError: as `Drip.of`.
        """
        program = cls.written(journey.rules, "drip", journey, catalog, features)
        return replace(program, listed="rules")

    @classmethod
    def expert(cls, journey: Journey, catalog: ActionCatalog, features: FeatureSpec) -> Rules:
        """What a thoughtful person would run, as the journey declares it; waits where none matches.

        Raises:
            PolicyError: the journey has no `expert`, or as `Drip.of` where a rule follows the drip.
            JourneyError: a condition names no feature column.
        """
        if not journey.expert:
            raise PolicyError(
                f"journey {journey.name!r} has no expert program; list its rules under "
                "`expert` in the journey file, or compare with `rules`"
            )
        program = cls.written(journey.expert, "pause:1", journey, catalog, features)
        return replace(program, listed="expert")

    @classmethod
    def written(
        cls,
        rules: tuple[Rule, ...],
        otherwise: str,
        journey: Journey,
        catalog: ActionCatalog,
        features: FeatureSpec,
    ) -> Rules:
        """Rules that stand in the description itself.

        Raises:
            ActionError: an action that the catalogue does not have.
            JourneyError: a condition names no feature column.
            PolicyError: as `Drip.of` where a rule follows the drip.
        """
        for rule in rules:
            for condition in rule.when:
                features.column(condition.column)
        actions = {*(rule.action for rule in rules), otherwise}
        catalog.indices(sorted(actions - {DRIP}))
        drip = Drip.of(journey, catalog, features) if DRIP in actions else None
        return cls(catalog, rules, features.columns, otherwise, drip)

    def deciding(self, features: FeatureArray, mask: BoolArray) -> IntArray:
        """Place of the rule that decides each row, from 0; their number where none does, [n].

        A rule whose action is masked is passed over.
        """
        place = np.full(len(mask), len(self.rules), np.int64)
        fitting = self.fitting(features)
        for at in range(len(self.rules) - 1, -1, -1):  # the first has the last word
            action, fits = self.rules[at].action, fitting[:, at]
            place[fits if action == DRIP else fits & mask[:, self.catalog.index(action)]] = at
        return place

    def fitting(self, features: FeatureArray) -> BoolArray:
        """Whether the conditions of each rule hold, whatever is legal, [n, rules]."""
        fits = np.ones((len(features), len(self.rules)), np.bool_)
        for at, rule in enumerate(self.rules):
            for condition in rule.when:
                fits[:, at] &= self._holds(condition, features)
        return fits

    def chosen(self, features: FeatureArray, mask: BoolArray) -> IntArray:
        """The action of each row, [n]."""
        place = self.deciding(features, mask)
        action = self._taken(self.otherwise, features, mask)
        for at, rule in enumerate(self.rules):
            own = place == at
            action[own] = self._taken(rule.action, features, mask)[own]
        return action

    def _taken(self, action_id: str, features: FeatureArray, mask: BoolArray) -> IntArray:
        """The action where it is legal, else `pause:1`, [n]."""
        if action_id == DRIP and self.drip is not None:
            return self.drip.chosen(features, mask)
        wanted = np.full(len(mask), self.catalog.index(action_id), np.int64)
        return or_wait(wanted, mask, self.catalog)

    def _holds(self, condition: Condition, features: FeatureArray) -> BoolArray:
        column = features[:, self.columns.index(condition.column)]
        # Features are float32: 0.7 read back as float32 must still be ">= 0.7".
        met = COMPARISONS[condition.operator](column, np.float32(condition.threshold))
        return np.asarray(met, dtype=np.bool_)

    def action_probabilities(self, features: FeatureArray, mask: BoolArray) -> FloatArray:
        """Probability 1 on the action of the first legal matching rule, [n, a]."""
        require_batch(features, mask, len(self.catalog))
        return certain(self.chosen(features, mask), len(self.catalog))

    def spec(self) -> Spec:
        """The kind alone where the rules belong to the journey, else every rule."""
        if self.listed is not None:
            return {"kind": self.listed}
        rules = [described_rule(rule) for rule in self.rules]
        return {"kind": "rules", "rules": rules, "otherwise": self.otherwise}


def described_rule(rule: Rule) -> Spec:
    """A rule as a journey file writes it."""
    when = {c.column: f"{c.operator} {_number(c.threshold)}" for c in rule.when}
    return {"when": when, "do": rule.action}


def _number(value: float) -> str:
    """The shortest text that reads back as the very number."""
    return str(int(value)) if value.is_integer() else repr(value)
