"""Memory of the environment in a process of its own: `python -m benchmarks.memory JOURNEY N`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from benchmarks.contacts import SHARED, known_world, legal_actions
from benchmarks.timing import peak_bytes, resident_bytes
from nurture_envs.contact_env import ContactVectorEnv

ROOT = Path(__file__).resolve().parents[1]
_STEPS = 5


def bytes_per_contact(journey: str, sizes: tuple[int, int]) -> dict[str, float]:
    """Resident and peak memory that one more contact costs, bytes.

    The difference between two sizes: what the process needs anyway falls out.
    """
    small, large = (_in_own_process(journey, n) for n in sizes)
    more = sizes[1] - sizes[0]
    return {name: (large[name] - small[name]) / more for name in small}


def _in_own_process(journey: str, n: int) -> dict[str, int]:
    command = [sys.executable, "-m", "benchmarks.memory", journey, str(n)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(journey: str, n: int) -> None:
    """Play a few bins and print what memory that took."""
    torch.set_num_threads(1)
    luck = np.random.default_rng(0)
    env = ContactVectorEnv(known_world(journey), n, population=SHARED)
    _, info = env.reset(seed=1)
    for _ in range(_STEPS):
        _, _, _, _, info = env.step(legal_actions(info["action_mask"], luck))
    print(json.dumps({"resident": resident_bytes(), "peak": peak_bytes()}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
