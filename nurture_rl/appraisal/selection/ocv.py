"""Off-policy cross-validation: estimators held against an unbiased one on other contacts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from nurture_rl.appraisal.selection.choice import EstimatorChoice
from nurture_rl.appraisal.selection.trials import Trial, choose_by_trials, settings_problem
from nurture_rl.errors import NurtureError
from nurture_rl.ope.estimators import dr
from nurture_rl.ope.log import BoolArray, EvaluationLog, FloatArray, take_episodes
from nurture_rl.ope.suite import Estimator, Question, answers
from nurture_rl.ope.targets import on_logged_rows
from nurture_rl.ope.value_model import ValueDesign, ValueModelConfig, fit_value, value_design


@dataclass(frozen=True, slots=True)
class OcvConfig:
    """How contacts are split."""

    splits: int = 20
    share: float = 0.5  # of contacts that estimators are asked on, in (0, 1)
    value_model: ValueModelConfig = field(default_factory=ValueModelConfig)


def select_by_cross_validation(
    log: EvaluationLog,
    targets: Mapping[str, FloatArray],
    estimators: Mapping[str, Estimator],
    rng: np.random.Generator,
    config: OcvConfig,
) -> EstimatorChoice:
    """Choose the estimator that comes nearest to an unbiased one on contacts it has not seen.

    In each split an estimator gives V from one part of the contacts, and the doubly robust one
    gives U from the rest. The two are independent, hence

        E (V - U)^2 = bias^2 + var V + var U,

    and what lies above the two clustered variances is bias. It is added to V's variance brought to
    the size of the whole log, var V times the share, for an estimate of the mean squared error
    there. Value models are fitted anew in each part, so that an estimator pays for its model.

    Args:
        log: the logged decisions, of any horizon.
        targets: target probabilities on the log's rows by policy, [N, a]; errors are averaged.
        estimators: the candidates by name, such as `suite.ESTIMATORS`.
        rng: splits the contacts.
        config: splits, share and value models.

    Returns:
        The choice; an estimator that refused in any split is not ranked.

    Raises:
        NurtureError: no target, no estimator, or splits or share out of range.
        FitError: too few contacts in a part.
        OverlapError: no estimator gave a number in every split.

    Source: Cief et al. (2024), Cross-Validated Off-Policy Evaluation; the variances are taken out
        by their influence functions here, so that a small part does not favour small variance.
    """
    problem = settings_problem(targets, estimators, config.splits, config.share)
    if problem:
        raise NurtureError(problem)
    trials = [
        trial
        for _ in range(config.splits)
        for trial in _split(log, targets, estimators, rng, config)
    ]
    return choose_by_trials(trials, "ocv")


def _split(
    log: EvaluationLog,
    targets: Mapping[str, FloatArray],
    estimators: Mapping[str, Estimator],
    rng: np.random.Generator,
    config: OcvConfig,
) -> Iterator[Trial]:
    names, contact = np.unique(log.cluster, return_inverse=True)
    asked_of = rng.permutation(names.size) < round(config.share * names.size)
    asked = _part(log, asked_of[contact], rng, config.value_model)
    held_out = _part(log, ~asked_of[contact], rng, config.value_model)
    share = asked.log.n_episodes / log.n_episodes
    for probabilities in targets.values():
        judge = held_out.question(probabilities)
        other = dr(judge.log, judge.target.taken, judge.predictions)
        yield Trial(answers(asked.question(probabilities), estimators), other, share)


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    log: EvaluationLog
    rows: BoolArray  # True where a row of the whole log is in this part, [N]
    design: ValueDesign

    def question(self, probabilities: FloatArray) -> Question:
        own = probabilities[self.rows]
        return Question(self.log, on_logged_rows(self.log, own), fit_value(self.design, own))


def _part(
    log: EvaluationLog, inside: BoolArray, rng: np.random.Generator, config: ValueModelConfig
) -> _Part:
    """The episodes that are `inside`, [E], with a value model of their own."""
    own = take_episodes(log, np.flatnonzero(inside))
    return _Part(own, inside[log.episode], value_design(own, rng, config))
