"""Open Bandit Pipeline in its own environment: its estimators on arrays that it is handed.

python obp_estimates.py ARRAYS.npz RUNS RESAMPLES

Prints seconds and processor seconds of each run: of the six estimators with two of them tuned
over the grid, and of the same with intervals from resamples; and every value for comparison.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from obp.ope import (
    DirectMethod,
    DoublyRobust,
    DoublyRobustWithShrinkage,
    DoublyRobustWithShrinkageTuning,
    InverseProbabilityWeighting,
    OffPolicyEvaluation,
    SelfNormalizedInverseProbabilityWeighting,
    SwitchDoublyRobust,
    SwitchDoublyRobustTuning,
)


def suite(taus, lams):
    """The estimators anew: tuned ones keep their first choice, and sort the list they are given."""
    return [
        InverseProbabilityWeighting(),
        SelfNormalizedInverseProbabilityWeighting(),
        DirectMethod(),
        DoublyRobust(),
        SwitchDoublyRobustTuning(lambdas=list(taus), tuning_method="slope"),
        DoublyRobustWithShrinkageTuning(lambdas=list(lams), tuning_method="slope"),
    ]


def timed(work, runs):
    """[seconds, processor seconds] of each run, and the last result."""
    found = []
    for _ in range(runs):
        began, cpu = time.perf_counter(), time.process_time()
        result = work()
        found.append([time.perf_counter() - began, time.process_time() - cpu])
    return found, result


def main(path, runs, resamples):
    given = np.load(path)
    taus, lams = given["taus"].tolist(), given["lams"].tolist()
    arrays = {
        "reward": given["reward"],
        "action": given["action"],
        "pscore": given["propensity"],
        "action_dist": given["target"][:, :, None],
        "estimated_rewards_by_reg_model": given["q"][:, :, None],
    }
    feedback = {
        "n_rounds": given["reward"].size,
        "n_actions": given["target"].shape[1],
        "action": given["action"],
        "reward": given["reward"],
        "pscore": given["propensity"],
        "position": None,
        "context": np.zeros((given["reward"].size, 1)),
    }

    def points():
        return [one.estimate_policy_value(**arrays) for one in suite(taus, lams)]

    def intervals():
        asked = OffPolicyEvaluation(bandit_feedback=feedback, ope_estimators=suite(taus, lams))
        return asked.estimate_intervals(
            action_dist=arrays["action_dist"],
            estimated_rewards_by_reg_model=arrays["estimated_rewards_by_reg_model"],
            n_bootstrap_samples=resamples,
            random_state=0,
        )

    point_seconds, values = timed(points, runs)
    interval_seconds, _ = timed(intervals, max(1, runs // 3))
    names = ["ips", "snips", "dm", "dr"]
    found = dict(zip(names, map(float, values), strict=False))
    found["switch_dr"] = [
        float(SwitchDoublyRobust(lambda_=tau).estimate_policy_value(**arrays)) for tau in taus
    ]
    found["dros"] = [
        float(DoublyRobustWithShrinkage(lambda_=lam).estimate_policy_value(**arrays))
        for lam in lams
    ]
    print(json.dumps({"suite": point_seconds, "intervals": interval_seconds, "values": found}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
