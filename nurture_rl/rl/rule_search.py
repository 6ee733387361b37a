"""Tuned rules: a program of the rule family whose dials were searched in a learned world."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_envs.rollout import returns
from nurture_envs.simulation import Simulation
from nurture_rl.errors import FitError
from nurture_rl.learned.training_log import Progress
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.policies.composition import Region
from nurture_rl.policies.policy import Spec
from nurture_rl.policies.rule_family import Dial, RuleFamily, Setting

FloatArray = NDArray[np.float64]

_SEARCH_SEED = 700_000  # plus the run's: contacts that neither PPO nor a judge plays


@dataclass(frozen=True, slots=True)
class TunedRulesConfig:
    """How long the search may take."""

    plays: int = 200  # programs played at most, the bases included
    contacts: int = 4096  # played under each program, the same in all of them

    def __post_init__(self) -> None:
        for name, value, least in (("plays", self.plays, 1), ("contacts", self.contacts, 2)):
            if value < least:
                raise FitError(f"{name} of tuned rules must be at least {least}, got {value}")


@dataclass(frozen=True, slots=True)
class Trial:
    """One program that was played."""

    base: str
    dial: str | None  # the dial that was turned; None: the base as it is
    setting: Setting
    value: float  # mean over contacts, the journey's unit
    gain: float  # over the program it was held against, on the same contacts and luck
    gain_stderr: float
    kept: bool


@dataclass(frozen=True, slots=True)
class TunedRules:
    """What a search found, and how it got there."""

    program: Spec  # the rules, as a description for `build_policy`
    base: str
    setting: Setting
    value: float  # on the contacts it was chosen on: a little too good
    stderr: float
    dials: tuple[Dial, ...]
    trials: tuple[Trial, ...]


def search_rules(
    simulation: Simulation,
    config: TunedRulesConfig,
    seed: int,
    progress: Progress,
    region: Region | None = None,
) -> TunedRules:
    """Turn one dial after the other and keep what helps, from every base.

    Every program is played on the same contacts with the same random numbers. In an ensemble each
    contact draws a member, so all members count. A choice is kept if it gains more than one
    standard error of the paired difference, so chance alone seldom changes a rule that people
    wrote. The base that is best before tuning is tuned first, and once more at the end, because
    dials may depend on each other.

    Args:
        simulation: the learned world.
        config: how many programs and contacts.
        seed: of the run; the contacts follow from it.
        progress: is told of every play.
        region: programs are played as they would be released, held inside it; None: as they are.
    """
    search = _Search(simulation, config, seed, progress, region)
    asis = {base: _Candidate(base, {}) for base in search.family.bases}
    best = next(iter(asis.values()))
    for one in asis.values():
        best = search.held_against(best, one, None)
    for one in (best, *(one for one in asis.values() if one is not best)):
        best = search.held_against(best, search.swept(one), None)
    best = search.swept(best)
    values = search.play(best)
    assert values is not None, "the best program was played"
    return TunedRules(
        program=search.family.program(best.base, best.setting),
        base=best.base,
        setting=best.setting,
        value=float(values.mean()),
        stderr=_stderr(values),
        dials=search.family.dials,
        trials=tuple(search.trials),
    )


@dataclass(frozen=True, slots=True)
class _Candidate:
    base: str
    setting: Setting


class _Search:
    """What was played so far, and what is left to play."""

    def __init__(
        self,
        simulation: Simulation,
        config: TunedRulesConfig,
        seed: int,
        progress: Progress,
        region: Region | None,
    ) -> None:
        journey, catalog, features = simulation.journey, simulation.catalog, simulation.spec
        self.family = RuleFamily(journey, catalog, features)
        self.trials: list[Trial] = []
        self._simulation, self._config, self._progress = simulation, config, progress
        self._context = PolicyContext(journey, catalog, features)
        self._seed, self._region = _SEARCH_SEED + seed, region
        self._known: dict[str, FloatArray] = {}

    def swept(self, best: _Candidate) -> _Candidate:
        """A candidate after one turn of every dial."""
        for dial in self.family.dials:
            for choice in dial.choices:
                if choice != best.setting.get(dial.name, dial.choices[0]):
                    turned = _Candidate(best.base, {**best.setting, dial.name: choice})
                    best = self.held_against(best, turned, dial.name)
        return best

    def held_against(self, best: _Candidate, other: _Candidate, dial: str | None) -> _Candidate:
        """The other where it gains more than one standard error, else the best so far."""
        before, after = self.play(best), self.play(other)
        if before is None or after is None or after is before:  # one program written twice
            return best
        gain, stderr = float((after - before).mean()), _stderr(after - before)
        kept = gain > stderr
        value = float(after.mean())
        self.trials.append(Trial(other.base, dial, other.setting, value, gain, stderr, kept))
        return other if kept else best

    def play(self, candidate: _Candidate) -> FloatArray | None:
        """What each contact brings under a program, [n]; None where no play is left."""
        program = self.family.program(candidate.base, candidate.setting)
        key = json.dumps(program)
        if key not in self._known:
            if len(self._known) >= self._config.plays:
                return None
            policy = build_policy(program, self._context)
            if self._region is not None:
                policy = self._region.around(policy)
            earned = returns(self._simulation, policy, self._config.contacts, self._seed)
            per_decision = self._simulation.journey.estimand == "per_decision"
            self._known[key] = earned.value / earned.decisions if per_decision else earned.value
            best = max(float(values.mean()) for values in self._known.values())
            told = {"value": float(self._known[key].mean()), "best": best}
            self._progress(len(self._known) - 1, told)
        return self._known[key]


def _stderr(values: FloatArray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))
