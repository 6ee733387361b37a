"""Episodes in which a path, a stall point or two kinds of people are planted, or none.

python -m experiments.answering_back.planted_journeys
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nurture_rl.predictions.episode_acts import EpisodeActs
from nurture_rl.predictions.mined_journeys import Findings, MiningConfig, mined

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
NAMES = ("a", "b", "c", "d", "e")
DAYS = 28


def planted(
    seed: int,
    n: int,
    path: float = 1.0,
    kinds: bool = False,
    stall: bool = False,
    account: int = 1,
) -> EpisodeActs:
    """Episodes of 28 days in which each act comes by chance.

    Args:
        seed: of everything.
        n: episodes.
        path: times the chance of the north star once `b` came after `a`.
        kinds: half of the accounts mostly do `a` and `b`, the others `c` and `d`.
        stall: after `d` nothing more follows for six people of ten.
        account: people in each account. Where it has more than one, accounts differ much in how
            often each act comes, from which day on, and in the north star, independently.
    """
    rng = np.random.default_rng(seed)
    own, begins = np.ones((-(-n // account), 6)), np.zeros((-(-n // account), 5))
    if account > 1:
        between = np.random.default_rng(10_000 + seed)
        own = np.exp(between.normal(size=own.shape) - 0.5)
        begins = between.uniform(0.0, 14.0, begins.shape)
    acts: list[int] = []
    days: list[float] = []
    starts, reached = [0], []
    for who in range(n):
        rate = np.full(5, 0.06)
        if kinds:
            rate *= np.array([4, 4, 0.3, 0.3, 1] if who // account % 2 else [0.3, 0.3, 4, 4, 1])
        rate *= own[who // account, :5]
        came = rng.random((DAYS, 5)) < 1.0 - np.exp(-rate)
        came &= np.arange(DAYS)[:, None] >= begins[who // account]
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
        wins = np.flatnonzero(rng.random(DAYS) < chance * own[who // account, 5])
        hit = float(wins[0]) + 0.95 if len(wins) else np.inf
        kept = at < hit
        acts += act[kept].tolist()
        days += at[kept].tolist()
        starts.append(len(acts))
        reached.append(hit)
    whose = np.array([f"c{who // account}" for who in range(n)], object)
    return _as_acts((starts, acts, days), reached, whose)


def _as_acts(
    said: tuple[list[int], list[int], list[float]], reached: list[float], whose: NDArray[np.object_]
) -> EpisodeActs:
    starts, act, day = np.array(said[0]), np.array(said[1]), np.array(said[2])
    first = first_days(starts, act, day, len(NAMES))
    return EpisodeActs(
        names=NAMES,
        starts=starts,
        act=act,
        day=day,
        cluster=whose,
        reached=np.array(reached),
        watched=np.full(len(reached), float(DAYS)),
        first=first,
        known=first,
        length=float(DAYS),
    )


def first_days(starts: IntArray, act: IntArray, day: FloatArray, acts: int) -> FloatArray:
    """When each act first came, inf where it never did, [episodes, acts]."""
    first = np.full((len(starts) - 1, acts), np.inf)
    np.minimum.at(first, (np.repeat(np.arange(len(starts) - 1), np.diff(starts)), act), day)
    return first


def main(arguments: list[str]) -> None:
    """Tell how often what is planted is found, and what is told beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--contacts", type=int, default=2500)
    parser.add_argument("--accounts", action="store_true", help="false alarms where they differ")
    given = parser.parse_args(arguments)
    tables = _accounts if given.accounts else _planted
    tables(range(given.seeds), given.contacts)


def _planted(seeds: range, n: int) -> None:
    print("| planted | found | told beside it, or where nothing is planted |")
    print("| --- | --- | --- |")
    for strength in (6.0, 3.0, 2.0, 1.0):
        logs = [_mined(planted(seed, n, path=strength), seed).paths for seed in seeds]
        told = [[one.steps for one in paths if one.told] for paths in logs]
        # What goes a, then b, goes the planted path; its reverse is its absence.
        beside = [[s for s in one if not {"a", "b"} <= set(s) or strength == 1.0] for one in told]
        name = f"a, then b: the north star {strength:g} times as often"
        _line(name, [("a", "b") in one for one in told], [len(one) for one in beside])
    for stall in (True, False):
        points = [_mined(planted(seed, n, stall=stall), seed).stalls for seed in seeds]
        acts = [[one.act for one in some if one.told] for some in points]
        others = [sum(act != "d" or not stall for act in one) for one in acts]
        name = "six of ten stay after d" if stall else "no stall"
        _line(name, ["d" in one for one in acts], others)
    for kinds in (True, False):
        many = [
            len(_mined(planted(seed, n, kinds=kinds), seed).segments.segments) for seed in seeds
        ]
        wrong = [abs(one - 2) if kinds else one for one in many]
        name = "two kinds of people" if kinds else "one kind"
        _line(name, [one == 2 for one in many], wrong)


def _accounts(seeds: range, n: int) -> None:
    print("| accounts of | taken as | a path is told | a stall point | kinds reach it otherwise |")
    print("| --- | --- | --- | --- | --- |")
    for account in (1, 10, 50):
        for known in (True, False) if account > 1 else (True,):
            alarms = [_of_accounts(seed, n, account, known) for seed in seeds]
            sums = [f"{sum(one[k] for one in alarms)} of {len(alarms)}" for k in range(3)]
            taken = "accounts" if known else "contacts by themselves"
            print(f"| {account} | {taken} | {' | '.join(sums)} |")


def _mined(acts: EpisodeActs, seed: int) -> Findings:
    return mined(acts, MiningConfig(share=0.02, false=0.1, days=7.0, early=14.0, seed=seed))


def _line(name: str, found: list[bool], beside: list[int]) -> None:
    print(f"| {name} | {sum(found)} of {len(found)} | {sum(beside)} in {len(beside)} logs |")


def _of_accounts(seed: int, n: int, account: int, known: bool) -> tuple[bool, bool, bool]:
    """Whether a path, a stall point and kinds are told where accounts differ and nothing else.

    The kinds are there, and go by account; that one of them reaches the north star more often is
    what is not.
    """

    def taken(acts: EpisodeActs) -> EpisodeActs:
        alone = np.arange(n).astype(str).astype(object)
        return acts if known else replace(acts, cluster=alone)

    plain = _mined(taken(planted(seed, n, account=account)), seed)
    kinds = _mined(taken(planted(seed, n, account=account, kinds=True)), seed).segments
    told = [any(one.told for one in some) for some in (plain.paths, plain.stalls)]
    return told[0], told[1], kinds.p < 0.05


if __name__ == "__main__":
    main(sys.argv[1:])
