"""What can be known of a policy without the truth: by held-out contacts, and in a fitted world."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from experiments.learners.truth import FloatArray, context_of, stderr
from nurture_envs.journey import Journey
from nurture_envs.rollout import returns
from nurture_envs.simulation import Simulation
from nurture_rl.appraisal.estimation import (
    EvaluationConfig,
    evaluate_questions,
    questions,
)
from nurture_rl.decisions import load_decisions
from nurture_rl.ope.intervals import simultaneous_level
from nurture_rl.ope.log import EvaluationLog
from nurture_rl.ope.named_estimators import Question
from nurture_rl.ope.value_model import ValueDesign, value_design
from nurture_rl.policies.build import build_policy
from nurture_rl.policies.policy import Policy
from nurture_rl.workflow.held_out import held_out_log
from nurture_rl.workflow.learners import LEARNERS
from nurture_rl.workflow.world_stage import learned_simulation

REFERENCE = "drip"  # what every policy is compared with
_TOGETHER = 0.95  # level of the bounds of all learners together
_WORLD_CONTACTS = 4096  # played in the fitted world
_WORLD_SEED = 920_001  # of the contacts played in the fitted world; none of PPO's or of tuned rules


@dataclass(frozen=True, slots=True)
class Judged:
    """A released policy less the drip by the held-out contacts, the journey's unit per episode."""

    difference: float
    stderr: float
    lower: float  # bound; those of all learners hold together
    ess: float  # effective sample size of the policy, episodes
    feasible: bool  # the log carries the policy


@dataclass(frozen=True, slots=True)
class WorldMean:
    """A policy in the fitted world, every contact in a member of its ensemble."""

    value: float  # the journey's unit per episode
    stderr: float  # of playing alone
    over_drip: float  # paired, on the same contacts and luck


@dataclass(frozen=True)
class Judges:
    """Both, on one log."""

    journey: Journey
    ingested: Path
    world: Path
    held_out: float
    config: EvaluationConfig
    seed: int  # deals held-out contacts to the folds of the value model

    @cached_property
    def _log(self) -> EvaluationLog:
        decisions = load_decisions(self.ingested, self.journey, self.held_out)
        return held_out_log(decisions, self.journey)

    @cached_property
    def _design(self) -> ValueDesign:
        return value_design(self._log, np.random.default_rng(self.seed), self.config.value_model)

    @cached_property
    def _reference(self) -> Policy:
        return build_policy(REFERENCE, context_of(self.journey))

    @cached_property
    def _drip_asked(self) -> Question:
        return questions(self._log, {REFERENCE: self._reference}, self._design, self.config)[
            REFERENCE
        ]

    @cached_property
    def _fitted(self) -> Simulation:
        return learned_simulation(self.world, self.journey)

    @cached_property
    def _drip_played(self) -> FloatArray:
        return returns(self._fitted, self._reference, _WORLD_CONTACTS, _WORLD_SEED).value

    def by_log(self, policy: Policy) -> Judged:
        """A policy less the drip on the held-out contacts.

        Raises:
            NurtureError: what `evaluate_policies` refuses.
        """
        config = replace(self.config, level=simultaneous_level(_TOGETHER, len(LEARNERS)))
        asked = questions(self._log, {"asked": policy}, self._design, config)
        both = {REFERENCE: self._drip_asked, **asked}
        found = evaluate_questions(self._log, both, REFERENCE, config).policies["asked"]
        nothing = float("nan")
        told = found.difference
        return Judged(
            difference=nothing if told is None else told.value,
            stderr=nothing if told is None else told.stderr,
            lower=-float("inf") if told is None else told.interval.lower,
            ess=found.overlap.ess,
            feasible=found.overlap.feasible,
        )

    def in_world(self, policy: Policy) -> WorldMean:
        """A policy in the fitted world."""
        value = returns(self._fitted, policy, _WORLD_CONTACTS, _WORLD_SEED).value
        return WorldMean(
            value=float(value.mean()),
            stderr=stderr(value),
            over_drip=float((value - self._drip_played).mean()),
        )
