"""d3rlpy in its own environment: gradient steps a second of its DQN and discrete CQL.

Prints {"d3rlpy, DQN, batch 256": [[seconds, processor seconds] of a step, for each run]}; a step
draws its batch and updates, as in `fit`, without what that logs.
"""

from __future__ import annotations

import json
import sys
import time

import d3rlpy
import numpy as np
import torch
from d3rlpy.models.encoders import VectorEncoderFactory

FEATURES, ACTIONS, LENGTH, EPISODES = 64, 12, 30, 3334
STEPS = {256: 60, 4096: 6}  # of each run


def main(runs: int, threads: int) -> None:
    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)
    n = EPISODES * LENGTH
    terminal = np.zeros(n, "f4")
    terminal[LENGTH - 1 :: LENGTH] = 1.0
    data = d3rlpy.dataset.MDPDataset(
        observations=rng.standard_normal((n, FEATURES)).astype("f4"),
        actions=rng.integers(0, ACTIONS, n),
        rewards=rng.standard_normal(n).astype("f4"),
        terminals=terminal,
        action_space=d3rlpy.ActionSpace.DISCRETE,
        action_size=ACTIONS,
    )
    kinds = {"DQN": d3rlpy.algos.DQNConfig, "CQL": d3rlpy.algos.DiscreteCQLConfig}
    print(
        json.dumps(
            {
                f"d3rlpy, {name}, batch {batch}": timed(data, kind, batch, runs)
                for name, kind in kinds.items()
                for batch in STEPS
            }
        )
    )


def timed(data: d3rlpy.dataset.MDPDataset, kind: type, batch: int, runs: int) -> list[list[float]]:
    config = kind(encoder_factory=VectorEncoderFactory([256, 256]), batch_size=batch)
    learner = config.create(device="cpu")
    learner.build_with_dataset(data)
    found = []
    for run in range(runs + 1):
        began, cpu = time.perf_counter(), time.process_time()
        for _ in range(STEPS[batch]):
            learner.update(data.sample_transition_batch(batch))
        spent = (time.perf_counter() - began, time.process_time() - cpu)
        if run:  # the first one warms up
            found.append([part / STEPS[batch] for part in spent])
    return found


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
