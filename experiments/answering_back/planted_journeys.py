"""Episodes in which a path, a stall point or two kinds of people are planted, or none.

python -m experiments.answering_back.planted_journeys
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from nurture_rl.predictions.behaviour_segments import behaviour_segments
from nurture_rl.predictions.episode_acts import EpisodeActs
from nurture_rl.predictions.frequent_paths import frequent_paths
from nurture_rl.predictions.stall_points import stall_points

NAMES = ("a", "b", "c", "d", "e")
DAYS = 28


def planted(
    seed: int, n: int, path: float = 1.0, kinds: bool = False, stall: bool = False
) -> EpisodeActs:
    """Episodes of 28 days in which each act comes by chance.

    Args:
        seed: of everything.
        n: episodes.
        path: times the chance of the north star once `b` came after `a`.
        kinds: half of the people mostly do `a` and `b`, the others `c` and `d`.
        stall: after `d` nothing more follows for six people of ten.
    """
    rng = np.random.default_rng(seed)
    acts: list[int] = []
    days: list[float] = []
    starts, reached = [0], []
    for who in range(n):
        rate = np.full(5, 0.06)
        if kinds:
            rate *= np.array([4, 4, 0.3, 0.3, 1] if who % 2 else [0.3, 0.3, 4, 4, 1])
        came = rng.random((DAYS, 5)) < 1.0 - np.exp(-rate)
        moments = np.arange(DAYS)[:, None] + rng.random((DAYS, 5)) * 0.9
        day, act = np.nonzero(came)
        at = moments[day, act]
        order = np.argsort(at)
        at, act = at[order], act[order]
        if stall and 3 in act and rng.random() < 0.6:
            end = at[act == 3][0]
            act, at = act[at <= end], at[at <= end]
        first = at[act == 0].min(initial=np.inf)
        after = at[(act == 1) & (at > first)].min(initial=np.inf)
        chance = np.where(np.arange(DAYS) > after, 0.004 * path, 0.004)
        wins = np.flatnonzero(rng.random(DAYS) < chance)
        hit = float(wins[0]) + 0.95 if len(wins) else np.inf
        kept = at < hit
        acts += act[kept].tolist()
        days += at[kept].tolist()
        starts.append(len(acts))
        reached.append(hit)
    return EpisodeActs(
        NAMES,
        np.array(starts),
        np.array(acts),
        np.array(days),
        np.array([f"c{who}" for who in range(n)], object),
        np.array(reached),
        np.full(n, float(DAYS)),
    )


def _line(name: str, told: list[bool], false: list[int]) -> str:
    others = f"{sum(false)} in {len(false)} logs"
    return f"| {name} | {sum(told)} of {len(told)} | {others} |"


def main(arguments: list[str]) -> None:
    """Tell how often what is planted is found, and what is told beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--contacts", type=int, default=2500)
    given = parser.parse_args(arguments)
    seeds, n = range(given.seeds), given.contacts
    print("| planted | found | told beside it, or where nothing is planted |")
    print("| --- | --- | --- |")
    for strength in (6.0, 3.0, 2.0, 1.0):
        found, beside = [], []
        for seed in seeds:
            heads = np.random.default_rng(seed).random(n) < 0.5
            paths = frequent_paths(planted(seed, n, path=strength), heads, 0.02, 0.1)
            told = [one.steps for one in paths if one.told]
            found.append(("a", "b") in told)
            # What goes a, then b, goes the planted path; its reverse is its absence.
            own = [s for s in told if "a" in s and "b" in s]
            beside.append(len(told) - len(own) if strength > 1.0 else len(told))
        print(_line(f"a, then b: the north star {strength:g} times as often", found, beside))
    for stall in (True, False):
        named = [
            [o.act for o in stall_points(planted(s, n, stall=stall), 7.0, 0.1) if o.told]
            for s in seeds
        ]
        found = ["d" in one for one in named]
        beside = [len([act for act in one if act != "d" or not stall]) for one in named]
        print(_line("six of ten stay after d" if stall else "no stall", found, beside))
    for kinds in (True, False):
        made = [
            behaviour_segments(planted(s, n, kinds=kinds), 14.0, np.random.default_rng(s))
            for s in seeds
        ]
        found = [len(one.segments) == 2 for one in made]
        beside = [len(one.segments) if not kinds else abs(len(one.segments) - 2) for one in made]
        print(_line("two kinds of people" if kinds else "one kind", found, beside))


if __name__ == "__main__":
    main(sys.argv[1:])
