"""How often a release is shown to be better where no action is, by fixed and chosen regions."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from nurture_rl.appraisal.estimation import EvaluationConfig, evaluate_policies
from nurture_rl.appraisal.region_choice import RegionSize, choose_region
from nurture_rl.ope.log import EvaluationLog, FloatArray, evaluation_log
from nurture_rl.ope.targets import TargetPolicy
from nurture_rl.policies.composition import TrustRegion
from nurture_rl.policies.policy import BoolArray, FeatureArray, Spec

RATIOS = (1.5, 2.0, 3.0, 4.0, 6.0)
FIXED = 4.0
CONFIG = replace(EvaluationConfig(), estimators=("dr", "snips", "ips"))
_CELLS, _ACTIONS, _DECISIONS = 20, 6, 4


@dataclass(frozen=True)
class Table:
    """Probabilities by cell, [cells, a]."""

    rows: FloatArray

    def action_probabilities(self, features: FeatureArray, mask: BoolArray) -> FloatArray:
        """The row of each context's cell, [n, a]."""
        return np.asarray(self.rows[features.argmax(axis=1)])

    def spec(self) -> Spec:
        """A name."""
        return {"kind": "table"}


LOGGING = Table(np.full((_CELLS, _ACTIONS), 1.0 / _ACTIONS))


def main(seeds: int, episodes: int) -> None:
    """Print how often each way shows a gain, and what was chosen."""
    better = {"fixed": 0, "auto": 0, "chosen on what was learned from": 0}
    seen = {"auto": 0, "chosen on what was learned from": 0}
    taken: list[float] = []
    for seed in range(seeds):
        train, aside, held = (played(part, 3 * seed + k) for k, part in
                              enumerate((episodes // 2, episodes // 2, episodes)))  # fmt: skip
        both = joined(train, aside)
        sizes = {"fixed": RegionSize(FIXED)}
        for way, log, judges in (("auto", train, aside),
                                 ("chosen on what was learned from", both, both)):  # fmt: skip
            found = choose_region(log=judges, inside=regions(learned(log)), reference=None,
                                  name="logged", release_episodes=episodes,
                                  rng=np.random.default_rng(seed), config=CONFIG)  # fmt: skip
            sizes[way] = found.size
            lower = {one.size: one.lower for one in found.regions}
            seen[way] += lower[found.size] > 0.0
        taken.append(sizes["auto"].max_ratio)
        policy = regions(learned(both))
        asked = {way: policy[size] for way, size in sizes.items()}
        told = evaluate_policies(held, asked, "logged", np.random.default_rng(seed), CONFIG)
        for way in better:
            one = told.policies[way]
            assert one.difference is not None
            better[way] += one.overlap.feasible and one.difference.interval.lower > 0.0
    print(f"{seeds} null worlds, {episodes} episodes to learn from and as many held out")
    for way, count in better.items():
        told_so = f", {seen[way]} expected so before" if way in seen else ""
        print(f"{way}: {count} shown to be better on the held-out ones{told_so}")
    print(f"ratios of auto: {dict(zip(*np.unique(taken, return_counts=True), strict=True))}")


def played(episodes: int, seed: int) -> EvaluationLog:
    """Every action is as likely, and none is worth more than another."""
    rng, n = np.random.default_rng(seed), episodes * _DECISIONS
    return evaluation_log(
        features=np.eye(_CELLS)[rng.integers(_CELLS, size=n)],
        mask=np.ones((n, _ACTIONS)),
        action=rng.integers(_ACTIONS, size=n),
        propensity=np.full(n, 1.0 / _ACTIONS),
        logged_probabilities=np.full((n, _ACTIONS), 1.0 / _ACTIONS),
        reward=rng.normal(size=n),
        episode=np.repeat(np.arange(episodes), _DECISIONS),
        step=np.tile(np.arange(_DECISIONS), episodes),
        cluster=np.arange(episodes),
        terminal=np.tile(np.arange(_DECISIONS) == _DECISIONS - 1, episodes),
        action_factors=np.eye(_ACTIONS),
        discount=1.0,
        unit="EUR",
    )


def joined(first: EvaluationLog, second: EvaluationLog) -> EvaluationLog:
    """Both logs as one."""
    names = ("features", "mask", "action", "propensity", "logged_probabilities", "reward", "step",
             "terminal")  # fmt: skip
    parts: dict[str, Any] = {
        name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in names
    }
    episode = np.concatenate([first.episode, second.episode + first.n_episodes])
    return replace(first, **parts, episode=episode, cluster=np.arange(episode[-1] + 1))


def learned(log: EvaluationLog) -> Table:
    """The action of the highest mean reward in each cell."""
    place = log.features.argmax(axis=1) * _ACTIONS + log.action
    total = np.bincount(place, weights=log.reward, minlength=_CELLS * _ACTIONS)
    mean = total / np.maximum(np.bincount(place, minlength=_CELLS * _ACTIONS), 1)
    return Table(np.eye(_ACTIONS)[mean.reshape(_CELLS, _ACTIONS).argmax(axis=1)])


def regions(policy: Table) -> dict[RegionSize, TargetPolicy]:
    """The policy in trust regions of every ratio."""
    return {RegionSize(one): TrustRegion(policy, LOGGING, one, 0.05) for one in RATIOS}


if __name__ == "__main__":
    with threadpool_limits(1):
        main(int(sys.argv[1]), int(sys.argv[2]))
