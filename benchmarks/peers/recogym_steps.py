"""RecoGym in its own environment: bandit decisions a second, one user after the other."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from recogym import env_1_args
from recogym.envs.reco_env_v1 import RecoEnv1


def decisions_a_second(products: int, decisions: int) -> float:
    """Play users until so many recommendations were asked for."""
    env = RecoEnv1()
    env.init_gym({**env_1_args, "random_seed": 42, "num_products": products})
    luck = np.random.RandomState(0)
    asked, user = 0, 0
    began = time.perf_counter()
    while asked < decisions:
        env.reset(user)
        user += 1
        _, _, done, _ = env.step(None)
        while not done:
            _, _, done, _ = env.step(int(luck.randint(products)))
            asked += 1
    return asked / (time.perf_counter() - began)


if __name__ == "__main__":
    runs, decisions = int(sys.argv[1]), int(sys.argv[2])
    decisions_a_second(10, decisions // 5)
    print(
        json.dumps(
            {"RecoGym, 10 products": [decisions_a_second(10, decisions) for _ in range(runs)]}
        )
    )
