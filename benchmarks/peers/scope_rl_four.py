"""SCOPE-RL in its own environment: four sequential estimators on arrays from a file.

Prints {"runs": [[seconds, processor seconds], ...], "values": {name: value}}.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from scope_rl.ope.discrete import (
    DirectMethod,
    DoublyRobust,
    PerDecisionImportanceSampling,
    TrajectoryWiseImportanceSampling,
)

ESTIMATORS = {
    "dm": DirectMethod(),
    "tis": TrajectoryWiseImportanceSampling(),
    "ips": PerDecisionImportanceSampling(),
    "dr": DoublyRobust(),
}


def main(path: str, runs: int) -> None:
    with np.load(path) as arrays:
        inputs = {
            "step_per_trajectory": int(arrays["length"]),
            "action": arrays["action"],
            "reward": arrays["reward"],
            "pscore": arrays["propensity"],
            "evaluation_policy_action_dist": arrays["target"],
            "state_action_value_prediction": arrays["q"],
            "gamma": float(arrays["discount"]),
        }
    values, found = {}, []
    for run in range(runs + 1):
        began, cpu = time.perf_counter(), time.process_time()
        for name, estimator in ESTIMATORS.items():
            values[name] = float(estimator.estimate_policy_value(**inputs))
        if run:  # the first one warms up
            found.append([time.perf_counter() - began, time.process_time() - cpu])
    print(json.dumps({"runs": found, "values": values}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
