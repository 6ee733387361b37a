"""Real logs with a truth beside them: is what a policy earned recovered from another's log?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from experiments.common.intervals import LEVEL, half_width, holds
from experiments.common.markdown import markdown_table
from experiments.real_logs.figure import KnownRow
from nurture_rl.ope.bounds.choose import chosen_interval
from nurture_rl.ope.bounds.rare_outcomes import rare_outcomes
from nurture_rl.ope.clusters import cluster_totals, clustered_stderr
from nurture_rl.ope.diagnostics import OverlapThresholds, overlap
from nurture_rl.ope.log import EvaluationLog, FloatArray
from nurture_rl.ope.named_estimators import ESTIMATORS, FULLY_WEIGHTED, Estimator, Question, answers
from nurture_rl.ope.targets import TargetOnLog
from nurture_rl.ope.value_model import ValueModelConfig, fit_value, value_design

RECOVERED, MISSED, CANNOT_TELL = "recovered", "missed", "cannot tell"


@dataclass(frozen=True, slots=True)
class Known:
    """A value measured where the policy itself acted."""

    value: float  # the log's unit
    stderr: float


@dataclass(frozen=True, slots=True, eq=False)
class RealCase:
    """One policy to evaluate on one real log, and what it earned elsewhere."""

    data: str
    logging: str
    target: str
    log: EvaluationLog
    probabilities: FloatArray  # of the target on the log's rows, [N, a]
    known: Known  # from rows that are not in the log


@dataclass(frozen=True, slots=True)
class RealAnswer:
    """One estimator's answer to one case."""

    estimator: str
    value: float
    lower: float
    upper: float
    covered: bool  # the two values differ by no more than their intervals allow


@dataclass(frozen=True, slots=True)
class RealResult:
    """Everything about one case."""

    data: str
    logging: str
    target: str
    unit: str
    episodes: int
    known: Known
    ess: float  # episodes
    feasible: bool  # the log carries the target
    reason: str
    answers: tuple[RealAnswer, ...]
    refusals: Mapping[str, str]

    @property
    def missed(self) -> tuple[str, ...]:
        """Fully weighted estimators whose intervals miss.

        The others trade bias for noise, and their intervals do not promise to hold the bias.
        """
        return tuple(
            one.estimator
            for one in self.answers
            if not one.covered and one.estimator in FULLY_WEIGHTED
        )

    @property
    def verdict(self) -> str:
        """RECOVERED where the log carries the target and no fully weighted interval misses."""
        if not self.feasible:
            return CANNOT_TELL
        return MISSED if self.missed else RECOVERED


def ask(
    case: RealCase,
    rng: np.random.Generator,
    estimators: Mapping[str, Estimator] = ESTIMATORS,
    thresholds: OverlapThresholds | None = None,
) -> RealResult:
    """Put one case to every estimator.

    Args:
        case: log, target and what is known.
        rng: deals contacts to the folds of the value model.
        estimators: by name.
        thresholds: what the log must offer; None: the usual ones.
    """
    target = on_log(case.log, case.probabilities)
    carried = overlap(case.log, target, thresholds or OverlapThresholds())
    design = value_design(case.log, rng, ValueModelConfig())
    predictions = fit_value(design, case.probabilities)
    found = answers(Question(case.log, target, predictions), estimators)
    outcomes = rare_outcomes(case.log, target.taken)
    told = []
    for name, estimate in found.estimates.items():
        rare = outcomes if name in FULLY_WEIGHTED else None
        interval = chosen_interval(estimate, LEVEL, rare)
        low, high = interval.lower, interval.upper
        held = holds(estimate.value, low, high, case.known.value, case.known.stderr)
        told.append(RealAnswer(name, estimate.value, low, high, held))
    return RealResult(
        data=case.data,
        logging=case.logging,
        target=case.target,
        unit=case.log.unit,
        episodes=case.log.n_episodes,
        known=case.known,
        ess=carried.ess,
        feasible=carried.feasible,
        reason=carried.reason,
        answers=tuple(told),
        refusals=found.refusals,
    )


def on_log(log: EvaluationLog, probabilities: FloatArray) -> TargetOnLog:
    """A target given by its probabilities, as `target_on_log` makes it of a policy."""
    rows = np.arange(log.n_rows)
    taken = probabilities[rows, log.action]
    logged = log.logged_probabilities
    if logged is None:
        return TargetOnLog(probabilities, taken, (taken / log.propensity) ** 2, None)
    chance = logged > 0.0
    spread = np.divide(probabilities, logged, out=np.zeros_like(logged), where=chance)
    moment = np.einsum("na,na->n", spread, probabilities)
    unsupported = np.where(chance, 0.0, probabilities).sum(axis=1)
    return TargetOnLog(probabilities, taken, moment, np.asarray(unsupported))


def matched_value(log: EvaluationLog, target: FloatArray) -> Known:
    """What a deterministic policy earned a decision where the lot happened to agree with it.

        V = sum_s share_s mean_s,    s: rows on which the policy's action had the same chance

    Within a stratum those who got the action are a random sample of all, so no weight is used.

    Args:
        log: single decisions with the logging policy's whole distribution.
        target: one-hot rows, [N, a].

    Source: Li, Chu, Langford & Wang (2011), Unbiased Offline Evaluation of Contextual-bandit-based
        News Article Recommendation Algorithms (the replay method).
    """
    assert log.logged_probabilities is not None
    chance = (log.logged_probabilities * target).sum(axis=1)
    stratum = np.unique(chance.round(6), return_inverse=True)[1]
    matched = target[np.arange(log.n_rows), log.action] == 1.0
    size = np.bincount(stratum)
    count = np.bincount(stratum, weights=matched)
    mean = np.bincount(stratum, weights=matched * log.reward) / np.maximum(count, 1.0)
    value = float(size @ mean) / log.n_rows
    inside = matched * (log.reward - mean[stratum]) * (size / np.maximum(count, 1.0))[stratum]
    influence = (inside + mean[stratum] - value) / log.n_rows
    return Known(value, clustered_stderr(cluster_totals(log, influence)))


def mean_of(values: FloatArray) -> Known:
    """A plain mean of independent values."""
    return Known(float(values.mean()), float(values.std(ddof=1) / np.sqrt(values.size)))


def summary_table(results: Sequence[RealResult], shown: Sequence[str]) -> str:
    """One line a case: truth, some of the estimators, which intervals miss, verdict."""
    head = ["data set", "logging → target", "episodes", "known value", "effective sample"]
    head += [*shown, "intervals that hold it", "missed by", "verdict"]
    lines = []
    for one in results:
        told = {found.estimator: found for found in one.answers}
        half = half_width(one.known.stderr)
        low, high = one.known.value - half, one.known.value + half
        hits = sum(found.covered for found in one.answers)
        lines.append(
            [
                one.data,
                f"{one.logging} → {one.target}",
                f"{one.episodes:,}",
                _interval(one.known.value, low, high),
                f"{one.ess:,.0f}",
                *(_answer(told.get(name)) for name in shown),
                f"{hits} of {len(one.answers)}",
                ", ".join(f.estimator for f in one.answers if not f.covered) or "none",
                one.verdict,
            ]
        )
    return markdown_table(head, lines)


def answer_table(result: RealResult) -> str:
    """One line an estimator of one case, refusals last."""
    lines = [
        [one.estimator, _interval(one.value, one.lower, one.upper), "yes" if one.covered else "no"]
        for one in result.answers
    ]
    lines += [[name, "refused", reason] for name, reason in result.refusals.items()]
    return markdown_table(["estimator", "value, 95 % interval", "holds the known value"], lines)


def figure_rows(results: Sequence[RealResult], shown: Sequence[str]) -> list[KnownRow]:
    """The cases relative to their known values, with some of the estimators."""
    return [
        KnownRow(
            label=f"{one.data}: {one.logging} → {one.target}",
            carried=one.feasible,
            known_half=half_width(one.known.stderr) / scale,
            estimates=tuple(
                (a.estimator, a.value / scale, a.lower / scale, a.upper / scale)
                for a in one.answers
                if a.estimator in shown
            ),
        )
        for one, scale in ((one, one.known.value) for one in results)
    ]


def _answer(found: RealAnswer | None) -> str:
    return "refused" if found is None else _interval(found.value, found.lower, found.upper)


def _interval(value: float, lower: float, upper: float) -> str:
    return f"{value:.4g} [{lower:.4g}, {upper:.4g}]"
