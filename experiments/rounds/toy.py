"""Rounds in worlds small enough for hundreds of them: how often a gate is wrong in one of them."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri
from threadpoolctl import threadpool_limits

from experiments.common.markdown import markdown_table
from nurture_rl.ope.log import FloatArray, IntArray
from nurture_rl.ope.pooled_logging import pooled_logging
from nurture_rl.policies.composition import capped
from nurture_rl.workflow.rounds.pooled_log import EARLIER, MIXTURE, NONE

CELLS, ACTIONS, DECISIONS = 20, 6, 4
CHANCE, RATIO, LEVEL = 0.35, 3.0, 0.95
UNIFORM = np.full((CELLS, ACTIONS), 1.0 / ACTIONS)
DRIP = np.tile(np.eye(ACTIONS)[0], (CELLS, 1))  # what runs first: always the same action
_GAINS = np.zeros((CELLS, ACTIONS))
_GAINS[:, 1] = 0.4  # of the world in which something can be learned
# What earlier rounds count for, rounds, and the share of the exploration that a challenger has.
_PROGRAMMES = (
    *((one, 5, 0.0) for one in EARLIER),
    *((MIXTURE, 5, share) for share in (0.25, 0.5, 0.75)),
    (MIXTURE, 1, 0.0),
)


@dataclass(frozen=True)
class Logged:
    """Episodes of one round: contexts, actions and rewards, [n, decisions] each."""

    cell: IntArray
    action: IntArray
    reward: FloatArray
    table: FloatArray  # the policy that ran, [cells, a]


@dataclass(frozen=True)
class Outcome:
    """What became of one programme."""

    false: int  # releases of what is not worth more
    released: int
    value: float  # of what runs in the end without exploration, per episode


def programme(
    gains: FloatArray,
    rounds: int,
    episodes: int,
    earlier: str,
    rng: np.random.Generator,
    challenger_share: float = 0.0,
) -> Outcome:
    """Run all rounds; half of each round's episodes judge.

    Args:
        gains: mean reward of each action in each cell, [cells, a].
        rounds: how many.
        episodes: of each.
        earlier: what earlier rounds count for, as in `nurture rounds`.
        rng: draws everything.
        challenger_share: of the exploration, that follows what the round before did not release.
    """
    runs, chance, logs, false, released = DRIP, UNIFORM, [], 0, 0
    score = float(ndtri(1.0 - (1.0 - LEVEL) / rounds / 2.0))
    for _ in range(rounds):
        ran = explored(runs, chance)
        logs.append(_played(gains, ran, episodes, rng))
        used = logs[-1:] if earlier == NONE else logs
        candidate = capped(_learned(used), ran, RATIO)
        offered = explored(candidate, chance)
        gain = _gains(used, offered, ran, earlier)
        half = score * gain.std(ddof=1) / np.sqrt(gain.size)
        chance = UNIFORM
        if gain.mean() > half:
            released += 1
            false += worth(gains, offered) <= worth(gains, ran)
            runs = candidate
        elif gain.mean() > -half:
            chance = (1.0 - challenger_share) * UNIFORM + challenger_share * candidate
    return Outcome(false, released, worth(gains, runs))


def explored(table: FloatArray, chance: FloatArray) -> FloatArray:
    """A policy with a share of its decisions left to chance."""
    return (1.0 - CHANCE) * table + CHANCE * chance


def worth(gains: FloatArray, table: FloatArray) -> float:
    """True value per episode."""
    return float(DECISIONS * (gains * table).sum(axis=1).mean())


def _played(gains: FloatArray, table: FloatArray, n: int, rng: np.random.Generator) -> Logged:
    cell = rng.integers(CELLS, size=(n, DECISIONS))
    action = (rng.random((n, DECISIONS, 1)) > table.cumsum(axis=1)[cell]).sum(axis=2)
    action = np.minimum(action, ACTIONS - 1)
    reward = gains[cell, action] + rng.normal(size=(n, DECISIONS))
    return Logged(cell, action, reward, table)


def _learned(logs: list[Logged]) -> FloatArray:
    """The action of the highest mean reward in each cell, by the first half of each round."""
    place, reward = [], []
    for one in logs:
        half = len(one.cell) // 2
        place.append((one.cell[:half] * ACTIONS + one.action[:half]).reshape(-1))
        reward.append(one.reward[:half].reshape(-1))
    joined, size = np.concatenate(place), CELLS * ACTIONS
    total = np.bincount(joined, weights=np.concatenate(reward), minlength=size)
    mean = total / np.maximum(np.bincount(joined, minlength=size), 1)
    return np.asarray(np.eye(ACTIONS)[mean.reshape(CELLS, ACTIONS).argmax(axis=1)])


def _gains(
    logs: list[Logged], candidate: FloatArray, reference: FloatArray, earlier: str
) -> FloatArray:
    """What each held-out episode says of candidate less reference, by importance weighting."""
    cell, action, reward, own = [], [], [], []
    for one in logs:
        half = len(one.cell) // 2
        cell.append(one.cell[half:])
        action.append(one.action[half:])
        reward.append(one.reward[half:].sum(axis=1))
        own.append(one.table[cell[-1], action[-1]])
    where, what = np.concatenate(cell), np.concatenate(action)
    logging = np.concatenate(own)
    if earlier == MIXTURE:
        flat, taken = where.reshape(-1), what.reshape(-1)
        tables = np.stack([one.table[flat] for one in logs])
        shares = np.array([len(part) for part in cell]) / len(where)
        episode = np.repeat(np.arange(len(where)), DECISIONS)
        pooled = pooled_logging(tables, taken, episode, shares)
        logging = pooled[np.arange(taken.size), taken].reshape(-1, DECISIONS)
    first, second = (
        (table[where, what] / logging).prod(axis=1) for table in (candidate, reference)
    )
    return np.asarray((first - second) * np.concatenate(reward))


def main(worlds: int, episodes: int) -> None:
    """Print how often a programme of five rounds released what is not worth more."""
    lines = []
    for name, gains in (("null", np.zeros_like(_GAINS)), ("a gain in one action", _GAINS)):
        for earlier, rounds, share in _PROGRAMMES:
            each = episodes * 5 // rounds
            found = [
                programme(gains, rounds, each, earlier, np.random.default_rng(seed), share)
                for seed in range(worlds)
            ]
            wrong = sum(one.false > 0 for one in found)
            moved = sum(one.released > 0 for one in found)
            value = float(np.mean([one.value for one in found]))
            cells = [name, f"{rounds} of {each:,}", f"`{earlier}`", f"{share:.0%}"]
            cells.append(f"{wrong} of {worlds}")
            lines.append([*cells, f"{moved} of {worlds}", f"{value:.3f}"])
    head = (
        *("world", "rounds of episodes", "earlier rounds", "challenger's share"),
        *("released what is worth no more", "released at all", "true value in the end"),
    )
    print(markdown_table(head, lines))


if __name__ == "__main__":
    with threadpool_limits(1):
        main(int(sys.argv[1]), int(sys.argv[2]))
