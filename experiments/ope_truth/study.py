"""Every estimator on logs of a world of known truth: what it says of policies, kept by log."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from experiments.common.intervals import LEVEL
from experiments.common.kept import Kept, sources_hash
from experiments.world_ranking.study import LOGGING
from nurture_envs.rollout import returns
from nurture_envs.simulation import Simulation
from nurture_rl import ope
from nurture_rl.decisions import load_decisions
from nurture_rl.ope.bounds.choose import chosen_interval
from nurture_rl.ope.bounds.rare_outcomes import rare_outcomes
from nurture_rl.ope.diagnostics import OverlapThresholds, overlap
from nurture_rl.ope.log import EvaluationLog
from nurture_rl.ope.named_estimators import FULLY_WEIGHTED, Estimator, Question, answers
from nurture_rl.ope.targets import target_on_log
from nurture_rl.ope.value_model import ValueModelConfig, fit_value, value_design
from nurture_rl.policies.policy import Policy
from nurture_rl.workflow.collect import raw_log
from nurture_rl.workflow.held_out import held_out_log
from nurture_rl.workflow.ingestion import ingest
from nurture_rl.workflow.run_config import DataConfig
from nurture_rl.workflow.stages import Say, Workshop

LOG_SEED = 4_000_000  # of the first log; every log has contacts of its own
TRUTH_SEED = 900_007
_CHUNK_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class TrueValues:
    """What policies earn in the world that makes the logs, on the same contacts and luck."""

    value: Mapping[str, float]  # by policy, journey's unit per episode
    stderr: Mapping[str, float]  # for a finite number of contacts was played
    decisions_per_contact: float  # of the logging policy


@dataclass(frozen=True, slots=True)
class TruthFinding:
    """What one estimator says of one policy on one log."""

    policy: str
    estimator: str  # a name of the suite
    value: float  # journey's unit per episode
    lower: float
    upper: float
    ess: float  # episodes
    feasible: bool  # the log carries the policy
    seconds: float  # CPU time of the estimator alone


@dataclass(frozen=True, slots=True)
class TruthRefusal:
    """An estimator that gave no number, and why."""

    policy: str
    estimator: str
    reason: str


@dataclass(frozen=True, slots=True)
class TruthCell:
    """Everything one log says."""

    world: str
    size: int  # decisions that were asked for
    replicate: int
    decisions: int  # that the log has
    contacts: int
    seed: int  # of the log
    model_seconds: float  # CPU time of the value models of all policies
    findings: tuple[TruthFinding, ...]
    refusals: tuple[TruthRefusal, ...]


@dataclass(frozen=True, slots=True)
class Suite:
    """What is asked of a log."""

    estimators: Mapping[str, Estimator]
    value_model: ValueModelConfig
    thresholds: OverlapThresholds


@dataclass(frozen=True, slots=True, eq=False)
class TruthStudy:
    """One world; finished work is resumed from `folder`."""

    simulation: Simulation
    data: DataConfig
    policies: Mapping[str, Policy]  # the logging policy first
    described: Mapping[str, Any]  # what fixes the policies, as JSON values
    suite: Suite
    folder: Path
    say: Say

    def truth(self, contacts: int) -> TrueValues:
        """Play every policy on so many contacts."""

        def make() -> dict[str, Any]:
            played = {}
            for name, policy in self.policies.items():
                played[name] = returns(self.simulation, policy, contacts, TRUTH_SEED)
                self.say(f"  {name}: {played[name].value.mean():.3f}")
            noise = {k: one.value.std(ddof=1) / np.sqrt(contacts) for k, one in played.items()}
            return {
                "value": {name: float(one.value.mean()) for name, one in played.items()},
                "stderr": {name: float(one) for name, one in noise.items()},
                "decisions_per_contact": float(played[LOGGING].decisions.mean()),
            }

        inputs = {"contacts": contacts, "seed": TRUTH_SEED}
        return TrueValues(**self._kept.piece("truth", inputs, make))

    def cell(self, size: int, replicate: int, truth: TrueValues) -> TruthCell:
        """Ask every estimator about every policy on a fresh log of about `size` decisions."""
        contacts = round(size / truth.decisions_per_contact)
        seed = LOG_SEED + 10 * size + replicate
        inputs = {
            "contacts": contacts,
            "seed": seed,
            "estimators": list(self.suite.estimators),
            "value_model": asdict(self.suite.value_model),
            "code": sources_hash(Path(ope.__file__).parent),
        }

        def make() -> dict[str, Any]:
            return asdict(self._cell(size, replicate, contacts, seed))

        made = self._kept.piece(f"{size}-{replicate}", inputs, make)
        findings = tuple(TruthFinding(**one) for one in made.pop("findings"))
        refusals = tuple(TruthRefusal(**one) for one in made.pop("refusals"))
        return TruthCell(findings=findings, refusals=refusals, **made)

    def log(self, contacts: int, seed: int) -> EvaluationLog:
        """A log as the pipeline makes it: raw tables, ingestion, decision table, all evaluated."""
        journey, data = self.simulation.journey, replace(self.data, contacts=contacts)
        with tempfile.TemporaryDirectory() as where:
            workshop = Workshop(Path(where), lambda line: None)
            tables = ingest(workshop, data, journey, raw_log(workshop, data, journey, seed))
            return held_out_log(load_decisions(tables, journey, 1.0), journey)

    def _cell(self, size: int, replicate: int, contacts: int, seed: int) -> TruthCell:
        log = self.log(contacts, seed)
        self.say(f"  {log.n_rows} decisions of {contacts} contacts are in the decision table")
        began = time.process_time()
        design = value_design(log, np.random.default_rng(seed), self.suite.value_model)
        model_seconds = time.process_time() - began
        findings: list[TruthFinding] = []
        refusals: list[TruthRefusal] = []
        for name, policy in self.policies.items():
            target = target_on_log(log, policy, name, _CHUNK_ROWS)
            began = time.process_time()
            predictions = fit_value(design, target.probabilities)
            model_seconds += time.process_time() - began
            findings += self._ask(name, Question(log, target, predictions), refusals)
        return TruthCell(
            world=self.simulation.journey.name,
            size=size,
            replicate=replicate,
            decisions=log.n_rows,
            contacts=contacts,
            seed=seed,
            model_seconds=round(model_seconds, 2),
            findings=tuple(findings),
            refusals=tuple(refusals),
        )

    def _ask(
        self,
        policy: str,
        asked: Question,
        refusals: list[TruthRefusal],
    ) -> list[TruthFinding]:
        """Put one policy to every estimator; who refuses is added to `refusals`."""
        carried = overlap(asked.log, asked.target, self.suite.thresholds)
        outcomes = rare_outcomes(asked.log, asked.target.taken)
        rows: list[TruthFinding] = []
        for name, estimator in self.suite.estimators.items():
            began = time.process_time()
            answer = answers(asked, {name: estimator})
            seconds = round(time.process_time() - began, 4)
            refusals += [TruthRefusal(policy, name, why) for why in answer.refusals.values()]
            if name not in answer.estimates:
                continue
            estimate = answer.estimates[name]
            rare = outcomes if name in FULLY_WEIGHTED else None
            interval = chosen_interval(estimate, LEVEL, rare)
            rows.append(
                TruthFinding(
                    policy=policy,
                    estimator=name,
                    value=estimate.value,
                    lower=interval.lower,
                    upper=interval.upper,
                    ess=carried.ess,
                    feasible=carried.feasible,
                    seconds=seconds,
                )
            )
        return rows

    @property
    def _kept(self) -> Kept:
        journey = self.simulation.journey
        fixed = {"journey": journey.resolved, "policies": self.described}
        return Kept(self.folder, journey.name, fixed, self.say)
