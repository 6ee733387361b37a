"""Questions on a running log: what they rest on where episodes are open, and how that is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from nurture_rl.appraisal.estimation import WEIGHTED, EvaluationConfig, questions_on
from nurture_rl.appraisal.kpis import outcome_log
from nurture_rl.appraisal.risk_profile import LogAnnotations
from nurture_rl.ope.censoring import RunningLog, observation_weights
from nurture_rl.ope.checks.context import OpenEpisodes
from nurture_rl.ope.log import EvaluationLog, FloatArray
from nurture_rl.ope.named_estimators import Question, Running
from nurture_rl.ope.targets import TabulatedPolicy, TargetPolicy
from nurture_rl.ope.value_model import ValueDesign, value_designs


def open_episodes(
    log: EvaluationLog, beside: LogAnnotations, config: EvaluationConfig
) -> OpenEpisodes | None:
    """How many episodes are open and what the configuration does about them; None where none is.

    Args:
        log: the whole episodes.
        beside: the running log they are part of.
        config: `open_episodes`.

    Raises:
        LogError: too many episodes take longer than any was followed.
    """
    if beside.running is None:
        return None
    followed = beside.running.of.followed
    weights = None
    if config.open_episodes == WEIGHTED:
        weights = float(observation_weights(followed).max())
    seen = int(followed.observed.sum())
    episodes = followed.age.size
    return OpenEpisodes(episodes - seen, seen - log.n_episodes, episodes, weights)


def all_questions(
    log: EvaluationLog,
    policies: Mapping[str, TargetPolicy | TabulatedPolicy],
    beside: LogAnnotations,
    rng: np.random.Generator,
    config: EvaluationConfig,
) -> tuple[ValueDesign, list[dict[str, Question]]]:
    """What estimators may read: of the reward, and of each key figure, by policy.

    Args:
        log: the whole episodes.
        policies: by name.
        beside: key figures, and the running log.
        rng: deals contacts to folds.
        config: value model and chunks; `open_episodes` may leave the running log out.

    Returns:
        The value model's design on the reward, and the questions.
    """
    amounts = tuple(kpi.amounts for kpi in beside.kpis)
    designs, asked = _questions(log, amounts, policies, rng, config)
    running = beside.running
    if running is not None and config.open_episodes == WEIGHTED:
        _, on_all = _questions(running.of.log, running.kpis, policies, rng, config)
        for whole, every in zip(asked, on_all, strict=True):
            for name, one in every.items():
                of = RunningLog(one.log, running.of.followed)
                added = Running(of, one.target, one.predictions)
                whole[name] = replace(whole[name], running=added)
    return designs[0], asked


def _questions(
    log: EvaluationLog,
    amounts: tuple[FloatArray, ...],
    policies: Mapping[str, TargetPolicy | TabulatedPolicy],
    rng: np.random.Generator,
    config: EvaluationConfig,
) -> tuple[tuple[ValueDesign, ...], list[dict[str, Question]]]:
    logs = (log, *(outcome_log(log, one) for one in amounts))
    designs = value_designs(logs, rng, config.value_model)
    return designs, questions_on(logs, policies, designs, config)
