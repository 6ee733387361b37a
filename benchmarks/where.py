"""Where the processor time of a compiled step goes, tile by tile, on one thread.

python benchmarks/where.py --journey trial_onboarding
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # run as a file, Python only sees this folder
    sys.path.insert(0, str(ROOT))

import numpy as np
import torch

from benchmarks.contacts import BURN_IN, SHARED, known_world, legal_actions
from nurture_envs.contact_env import ContactVectorEnv
from nurture_envs.loops import beginning, deciding, loop_records, past, play

_AGAIN = 20  # times a part is played on every tile


def parts(env: ContactVectorEnv) -> dict[str, tuple[Callable[..., Any], tuple[Any, ...]]]:
    """The loops of a step and what they are called with, on the environment's first tile."""
    player: Any = env._player
    block: Any = player._blocks[0]
    loops, state, size = block.loops, block.state, min(block.n, loop_records.WIDTH)
    journey, world, clock = loops.journey, loops.world, block.clock
    scratch, fresh = loops.room()
    shown = player._before
    result = player._result()._replace(totals=np.zeros(player._channels))
    result.action[:] = journey.actions.wait
    amounts = np.zeros((player._channels, loop_records.WIDTH), np.float32)
    final = player._final()
    restarted = np.arange(0, size, 9)
    count = len(restarted)
    return {
        "what a world is asked": (play._ask, (state, 1.0, result.action, 0, size, scratch)),
        "rewards, ends, totals": (play._count, (state, journey, amounts, 0, size, result)),
        "sums, windows, late records": (
            past.close_bin,
            (state.past, clock, journey.sets, journey.late, amounts, state.keys, state.bins, 0,
             size, scratch.spare),
        ),
        "features, guardrails": (
            deciding.decide, (state, clock, journey, 0, size, scratch, shown, 0)
        ),
        "last observations of one in nine": (
            play.keep_last, (shown, 0, restarted, count, final)
        ),
        "beginnings of one in nine": (
            beginning.play_beginnings, (world.start.run, world.start.model, count, scratch)
        ),
        "their features, guardrails": (
            beginning.restart,
            (world.start.model.rows, state, clock, journey, restarted, count, scratch, fresh,
             shown, 0),
        ),
    }  # fmt: skip


def seconds(work: Callable[[], Any]) -> float:
    """The least processor time of several plays."""
    best = float("inf")
    for _ in range(_AGAIN):
        began = time.thread_time()
        for _ in range(_AGAIN):
            work()
        best = min(best, (time.thread_time() - began) / _AGAIN)
    return best


def main(journey: str, contacts: int) -> None:
    """Play some bins, then time the parts and whole steps."""
    torch.set_num_threads(1)
    env = ContactVectorEnv(known_world(journey), contacts, population=SHARED, compiled=True)
    luck, steps = np.random.default_rng(0), []
    _, info = env.reset(seed=1)
    for _ in range(2 * BURN_IN):
        action = legal_actions(info["action_mask"], luck)
        began = time.thread_time()
        *_, info = env.step(action)
        steps.append(time.thread_time() - began)
    print("| part | ns per contact-step |\n| --- | --- |")
    least = min(steps[BURN_IN:]) / contacts * 1e9
    print(f"| a whole step of {contacts:,} contacts | {least:.0f} |")
    for name, (function, given) in parts(env).items():
        function(*given)
        cost = seconds(lambda f=function, g=given: f(*g))  # type: ignore[misc]
        print(f"| {name} | {cost / min(contacts, loop_records.WIDTH) * 1e9:.0f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--journey", default="trial_onboarding", help="a shipped journey")
    parser.add_argument("--contacts", type=int, default=32_768)
    chosen = parser.parse_args()
    main(chosen.journey, chosen.contacts)
