"""The chosen estimator errs hardly more than the best in hindsight, on worlds of known value.

`pytest -s` prints the table: mean squared error of what was chosen, over that of the best.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from nurture_rl.appraisal.selection.estimator import select_estimator
from nurture_rl.appraisal.selection.ocv import OcvConfig
from nurture_rl.appraisal.selection.paired import PairedConfig
from nurture_rl.appraisal.selection.pas_if import PasIfConfig
from nurture_rl.ope.log import EvaluationLog, evaluation_log
from nurture_rl.ope.suite import ESTIMATORS, Question, answers
from nurture_rl.ope.targets import on_logged_rows
from nurture_rl.ope.value_model import ValueModelConfig, fit_value, value_design

FloatArray = NDArray[np.float64]
ACTIONS, DECISIONS, REDRAWS, CHOICES = 6, 1000, 60, 12
MODEL = ValueModelConfig(n_folds=3)
NAMES = ("ips", "snips", "dm", "dr", "sndr", "clipped_ips", "switch_dr", "dros")
CHOSEN = {name: ESTIMATORS[name] for name in NAMES}
METHODS: Mapping[str, PairedConfig | OcvConfig | PasIfConfig] = {
    "paired": PairedConfig(value_model=MODEL),
    "ocv": OcvConfig(splits=8, value_model=MODEL),
    "pas-if": PasIfConfig(splits=8, value_model=MODEL),
}


class CurvedWorld:
    """Conversion is linear in the context but for a part that no linear model follows."""

    def __init__(self, curvature: float, greed: float, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.slope, self.wave = rng.normal(size=(3, ACTIONS)), rng.normal(size=(3, ACTIONS))
        self.curvature, self.greed = curvature, greed

    def mean(self, x: FloatArray) -> FloatArray:
        curved = self.curvature * 0.12 * np.sin(3.0 * x @ self.wave)
        return np.asarray(np.clip(0.15 + 0.08 * (x @ self.slope) + curved, 0.01, 0.99))

    def target(self, x: FloatArray) -> FloatArray:
        return _softmax(20.0 * self.greed * self.mean(x))

    def value(self) -> float:
        x = np.random.default_rng(0).normal(size=(400_000, 3))
        return float((self.target(x) * self.mean(x)).sum(axis=1).mean())

    def draw(self, rng: np.random.Generator) -> tuple[EvaluationLog, FloatArray]:
        x = rng.normal(size=(DECISIONS, 3)).astype(np.float32).astype(np.float64)
        logged = _softmax(0.7 * x @ self.slope)
        action = (rng.random((DECISIONS, 1)) > logged.cumsum(axis=1)).sum(axis=1)
        action = action.clip(max=ACTIONS - 1)
        rows = np.arange(DECISIONS)
        log = evaluation_log(
            features=x,
            mask=np.ones((DECISIONS, ACTIONS)),
            action=action,
            propensity=logged[rows, action],
            logged_probabilities=logged,
            reward=rng.random(DECISIONS) < self.mean(x)[rows, action],
            episode=rows,
            step=np.zeros(DECISIONS),
            cluster=rows,
            terminal=np.ones(DECISIONS),
            action_factors=np.eye(ACTIONS),
            discount=1.0,
            unit="conversions",
        )
        return log, self.target(x)


def _softmax(score: FloatArray) -> FloatArray:
    raised = np.exp(score - score.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), dtype=np.float64)


def relative_errors(world: CurvedWorld, seed: int) -> dict[str, float]:
    """Mean squared error over the best estimator's, of each method's choice and each estimator."""
    rng, truth = np.random.default_rng(seed), world.value()
    errors: dict[str, list[float]] = {name: [] for name in NAMES}
    chosen: dict[str, list[str]] = {name: [] for name in METHODS}
    for trial in range(REDRAWS):
        log, target = world.draw(rng)
        predictions = fit_value(value_design(log, rng, MODEL), target)
        found = answers(Question(log, on_logged_rows(log, target), predictions), CHOSEN)
        for name, estimate in found.estimates.items():
            errors[name].append(estimate.value - truth)
        if trial < CHOICES:
            for name, config in METHODS.items():
                choice = select_estimator(log, {"target": target}, CHOSEN, rng, config)
                chosen[name].append(choice.name)
    mse = {name: float(np.mean(np.square(error))) for name, error in errors.items()}
    best = min(mse.values())
    methods = {name: float(np.mean([mse[one] for one in names])) for name, names in chosen.items()}
    return {name: error / best for name, error in (methods | mse).items()}


def test_choosing_costs_little_against_the_best_in_hindsight() -> None:
    settings = [(0.0, 0.3), (0.3, 0.5), (1.0, 0.3), (1.0, 1.5), (3.0, 0.5)]
    rows = [
        relative_errors(CurvedWorld(curvature, greed, seed), 100 + seed)
        for seed, (curvature, greed) in enumerate(settings)
    ]
    mean = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    print("", *[f"{name:12} {error:7.2f}" for name, error in mean.items()], sep="\n")
    assert mean["paired"] <= 1.15
    assert mean["ocv"] <= 2.0
    assert mean["pas-if"] <= 3.0
    # What choosing spares: the direct method is badly off wherever rewards are curved.
    assert mean["dm"] > 3.0
