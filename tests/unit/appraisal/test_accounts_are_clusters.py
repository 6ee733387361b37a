"""Colleagues of an account count once: in every estimator, interval and bound of the judge."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.appraisal.appraise import appraise
from nurture_rl.appraisal.estimation import EvaluationConfig
from nurture_rl.appraisal.kpis import KpiQuestion
from nurture_rl.appraisal.record import Appraisal
from nurture_rl.appraisal.risk.harm_limits import Limit
from nurture_rl.appraisal.risk_profile import LogAnnotations, StillRunning
from nurture_rl.ope.bounds.interval import Interval
from nurture_rl.ope.censoring import Followup, RunningLog
from nurture_rl.ope.log import take_episodes
from nurture_rl.ope.named_estimators import ESTIMATORS
from nurture_rl.ope.targets import TabulatedPolicy
from nurture_rl.ope.value_model import ValueModelConfig
from tests.unit.ope.log_makers import random_log

ACCOUNTS = 400
TWICE = np.repeat(np.arange(ACCOUNTS), 2)  # each account has two colleagues who do the same
_SAME = take_episodes(random_log(2, [2] * ACCOUNTS, discount=1.0), TWICE)
_APART = 1e-3 * np.random.default_rng(1).normal(size=_SAME.features.shape)
LOG = replace(
    _SAME, features=(_SAME.features + _APART).astype(np.float32)
)  # alike, and no copies of one row
DAY = np.repeat(np.datetime64("2026-03-02") + (TWICE % 21).astype("timedelta64[D]"), 2)
STOPS = np.random.default_rng(4).random(ACCOUNTS) < 0.1
FOLLOWED = Followup(
    np.where(STOPS, 1, 4)[TWICE], np.full(2 * ACCOUNTS, 2), np.zeros(2 * ACCOUNTS, np.int64)
)


def appraised(cluster: np.ndarray, running: bool = False) -> Appraisal:
    """The judge's word where clusters are as given."""
    log = replace(LOG, cluster=cluster)
    probabilities = log.logged_probabilities
    assert probabilities is not None
    tilted = probabilities * np.exp(0.3 * np.arange(log.n_actions))
    harm = (log.reward > np.quantile(log.reward, 0.95)).astype(np.float64)
    beside = LogAnnotations(
        day=DAY,
        segments={"half": np.array(["a", "b"], dtype=object)[TWICE % 2]},
        kpis=(KpiQuestion("events", "north star", "higher", harm),),
        harms={"events": harm},
        limits=(Limit("events", "contact", harm, None, 1.0, 1.0),),
        running=StillRunning(RunningLog(log, FOLLOWED), (harm,)) if running else None,
    )
    config = EvaluationConfig(
        estimators=tuple(ESTIMATORS), value_model=ValueModelConfig(n_folds=3, penalties=(1e2,))
    )
    policies = {"new": TabulatedPolicy(tilted / tilted.sum(axis=1, keepdims=True))}
    return appraise(log, policies, "logged", np.random.default_rng(0), config, beside)


@pytest.mark.parametrize("running", [False, True])
def test_two_colleagues_who_do_the_same_are_worth_one(running: bool) -> None:
    accounts = sizes(appraised(TWICE, running))
    strangers = sizes(appraised(np.arange(2 * ACCOUNTS), running))
    wider = {name: size / strangers[name] for name, size in accounts.items()}
    # Under so large a penalty `dm` differs by fold alone, and the folds are others.
    wider.pop("dm", None)
    assert {"ips", "dr", "difference", "segment a", "week 2", "risk", "key figure"} <= set(wider)
    assert running or len(wider) > 16
    # Within a tenth: folds of the value model are dealt anew, and few clusters widen a little more.
    assert wider == {name: pytest.approx(np.sqrt(2.0), rel=0.1) for name in wider}


def sizes(found: Appraisal) -> dict[str, float]:
    """How wide every statement about the policy is."""
    policy = found.evaluation.policies["new"]
    assert policy.difference is not None
    figure = found.kpis[0].policies["new"]
    assert figure is not None
    wide = {name: one.estimate.stderr for name, one in policy.estimates.items()}
    wide["difference"] = policy.difference.stderr
    wide["logged"] = width(found.evaluation.logged.interval)
    wide |= {f"week {k}": width(one.interval) for k, one in enumerate(found.weeks["new"])}
    wide |= {f"segment {one.name}": one.stderr for one in found.segments["half"]}
    wide["risk"] = width(found.tails["new"].cvar_interval)
    wide["key figure"] = figure.upper - figure.lower
    for name, bound in (
        ("harm", found.harms["events"]["new"]),
        ("limit", found.limits[0].policies["new"]),
    ):
        wide[name] = bound.upper - bound.rate
    return wide


def width(interval: Interval) -> float:
    return interval.upper - interval.lower
