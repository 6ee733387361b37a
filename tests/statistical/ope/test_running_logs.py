"""Intervals of a running log cover the value of whole episodes; complete cases do not."""

from __future__ import annotations

import numpy as np

from nurture_rl.ope.censoring import aipcw_dr, followup, ipcw_ips
from nurture_rl.ope.estimators import ips
from nurture_rl.ope.intervals import interval_of
from nurture_rl.ope.log import take_episodes
from nurture_rl.ope.value_model import ValueModelConfig, fit_value, value_design
from tests.unit.ope.running_world import HORIZON, TARGET, exact_value, running_log

REDRAWS = 600
# 570 expected; four binomial standard deviations is 21.
FEWEST, MOST = 549, 591


def test_weighted_intervals_cover_and_complete_cases_do_not() -> None:
    rng = np.random.default_rng(0)
    truth = exact_value()
    hits = {"ipcw": 0, "aipcw": 0, "complete cases": 0}
    spread = {"ipcw": 0.0, "aipcw": 0.0}
    for _ in range(REDRAWS):
        log, age = running_log(rng, 600)
        taken, target = TARGET[log.action], np.tile(TARGET, (log.n_rows, 1))
        followed = followup(log, age, HORIZON)
        config = ValueModelConfig(n_folds=3, penalties=(1e-3,))
        predictions = fit_value(value_design(log, rng, config), target)
        whole = take_episodes(log, np.flatnonzero(followed.observed))
        for name, estimate in (
            ("ipcw", ipcw_ips(log, taken, followed)),
            ("aipcw", aipcw_dr(log, taken, predictions, followed)),
            ("complete cases", ips(whole, taken[followed.observed[log.episode]])),
        ):
            found = interval_of(estimate, 0.95)
            hits[name] += found.lower <= truth <= found.upper
            if name in spread:
                spread[name] += estimate.stderr
    assert FEWEST <= hits["ipcw"] <= MOST
    assert FEWEST <= hits["aipcw"] <= MOST
    assert hits["complete cases"] < REDRAWS // 2
    assert spread["aipcw"] < 0.9 * spread["ipcw"]
