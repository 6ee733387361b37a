"""RecSim (its build without TensorFlow) in its own environment: steps a second of one user."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from recsim.environments import interest_evolution, long_term_satisfaction

WORLDS = {
    "RecSim, long-term satisfaction": (long_term_satisfaction, 1, 5),
    "RecSim, interest evolution": (interest_evolution, 2, 10),
}


def steps_a_second(name: str, steps: int) -> float:
    """Recommend the first documents of every slate."""
    module, slate, candidates = WORLDS[name]
    settings = {"slate_size": slate, "num_candidates": candidates}
    env = module.create_environment({**settings, "resample_documents": True, "seed": 0})
    env.reset()
    chosen = np.arange(slate)
    began = time.perf_counter()
    for _ in range(steps):
        _, _, done, _ = env.step(chosen)
        if done:
            env.reset()
    return steps / (time.perf_counter() - began)


if __name__ == "__main__":
    runs, steps = int(sys.argv[1]), int(sys.argv[2])
    found = {}
    for name in WORLDS:
        steps_a_second(name, steps // 5)
        found[name] = [steps_a_second(name, steps) for _ in range(runs)]
    print(json.dumps(found))
