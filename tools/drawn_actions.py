"""Draw from the policy of every learner and hold the frequencies against the stated propensities.

    python tools/drawn_actions.py --decisions 100000000 --kept runs/drawn-actions.json

Every learner learns quickly from a small log, or in a small world. Its probabilities are stated
for one context at a time, as the server asks for them; actions are drawn from a table of all
contexts, in the two ways in which decisions are drawn: as the server and as the worlds draw. A
chi-square of each learner and way says whether frequencies are the stated ones, and the exit code
is 1 where one is not, at 1e-4 for all of them together, or where a masked action was drawn.
Counts are kept after each learner; the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # not this folder: its names are no packages

import numpy as np  # noqa: E402
import torch  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from scipy.stats import chi2, poisson  # noqa: E402

from nurture_envs.actions import ActionCatalog  # noqa: E402
from nurture_envs.features import FeatureSpec  # noqa: E402
from nurture_envs.simulation import Simulation  # noqa: E402
from nurture_envs.worlds.draws import choose, population_keys, uniforms  # noqa: E402
from nurture_rl.policies.build import PolicyContext, build_policy  # noqa: E402
from nurture_rl.policies.policy import Policy, sample_actions  # noqa: E402
from nurture_rl.rl.rule_search import TunedRules  # noqa: E402
from nurture_rl.workflow.learners import LEARNERS, Source  # noqa: E402
from tests.unit.bandits.planted_log import contexts, planted, silent  # noqa: E402
from tests.unit.rl.two_step_shop import TwoStepWorld, two_step_shop  # noqa: E402

BoolArray = NDArray[np.bool_]
FeatureArray = NDArray[np.float32]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Draw = Callable[[FloatArray, int], IntArray]

LEVEL = 1e-4  # of a false alarm about any of the learners
RARE = 5.0  # draws expected; a rarer action's count is not near enough to normal
CONTEXTS = 64  # of each learner, each with a mask of its own
_CHUNK = 1 << 18  # decisions drawn at once
# Enough to run, not to learn well; a setting counts where a learner has it.
QUICK: dict[str, Any] = {
    "hidden": (8,),
    "steps": 60,
    "batch": 64,
    "epochs": 2,
    "iterations": 1,
    "n_contacts": 64,
    "plays": 3,
    "contacts": 64,
}
OWN: dict[str, dict[str, Any]] = {"logistic_thompson": {"threshold": 10.0}}


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """What was stated of each context and what was drawn there."""

    stated: FloatArray  # probabilities, each context asked for by itself, [k, a]
    mask: BoolArray  # True where legal, [k, a]
    counts: IntArray  # draws of each action, [k, a]

    @property
    def forbidden(self) -> int:
        """Draws of masked actions."""
        return int(self.counts[~self.mask].sum())

    def p_value(self) -> float:
        """Chance of frequencies at least as far from the stated ones, where these are true.

        Actions that are expected RARE times or more are held against their expectations by
        Pearson's chi-square; the rest of all contexts is counted together and held against a
        Poisson distribution. The smaller chance of both counts, twice.
        """
        draws = self.counts.sum(axis=1, keepdims=True)
        expected = draws * self.stated
        often = expected >= RARE
        gap = np.where(often, self.counts - expected, 0.0)
        square = float((gap**2 / np.where(often, expected, 1.0)).sum())
        # The rest of a context is a cell too, so its usual actions sum to its draws but for it.
        freedom = int((often.sum(axis=1) - 1).clip(min=0).sum())
        seldom = int(self.counts[~often].sum())
        mean = float(expected[~often].sum())
        above = float(chi2.sf(square, freedom)) if freedom else 1.0
        tail = 2.0 * min(float(poisson.cdf(seldom, mean)), float(poisson.sf(seldom - 1, mean)))
        return min(1.0, 2.0 * min(above, tail))


def as_served(table: FloatArray, seed: int) -> IntArray:
    """One action for each row, as the server draws it."""
    return sample_actions(table, np.random.default_rng(seed).random(len(table)))


def as_played(table: FloatArray, seed: int) -> IntArray:
    """One action for each row, as worlds draw it."""
    luck = uniforms(population_keys(seed, len(table)), 0, 7, 1)[0]
    return np.asarray(choose(torch.from_numpy(table), luck).numpy())


WAYS: dict[str, Draw] = {"as served": as_served, "as played": as_played}


@cache
def shop() -> Simulation:
    """A world of two days and three actions."""
    return Simulation(TwoStepWorld(two_step_shop()))


def learned(name: str) -> Policy:
    """The policy of a learner after a short training."""
    one = LEARNERS[name]
    known = {field.name for field in fields(one.settings)}
    settings = one.settings(**{k: v for k, v in QUICK.items() if k in known} | OWN.get(name, {}))
    data = planted(1500, seed=1).log if one.source is Source.LOG else shop()
    found = one.learn(data, settings, 0, silent)
    if isinstance(found, TunedRules):
        journey = shop().journey
        context = PolicyContext(journey, ActionCatalog.of(journey), FeatureSpec.of(journey))
        return build_policy(found.program, context)
    policy: Policy = found
    return policy


def asked(name: str) -> tuple[FeatureArray, BoolArray]:
    """Contexts [k, d] and masks [k, a] that a learner's policy is asked about."""
    if LEARNERS[name].source is Source.LOG:
        return contexts(CONTEXTS, seed=4)
    rng = np.random.default_rng(4)
    features = rng.integers(0, 2, (CONTEXTS, 2)).astype(np.float32)  # bin, and a click before
    mask = rng.random((CONTEXTS, 3)) < 0.7
    mask[:, shop().catalog.wait] = True
    return features, mask


def drawn(
    policy: Policy, features: FeatureArray, mask: BoolArray, draw: Draw, n: int, seed: int
) -> Drawn:
    """Draw every context's action often.

    Args:
        policy: states the probabilities.
        features: contexts, [k, d].
        mask: True where legal, [k, a].
        draw: from table [n, a] and seed to actions [n].
        n: decisions, the same number in each context, rounded up.
        seed: of the draws.
    """
    k, a = mask.shape
    each = -(-n // k)
    table = policy.action_probabilities(features, mask)
    alone = [policy.action_probabilities(features[i : i + 1], mask[i : i + 1]) for i in range(k)]
    counts = np.zeros(k * a, np.int64)
    part = max(1, _CHUNK // k)
    for chunk, start in enumerate(range(0, each, part)):
        times = min(part, each - start)
        actions = draw(np.repeat(table, times, axis=0), seed + chunk)
        counts += np.bincount(np.repeat(np.arange(k), times) * a + actions, minlength=k * a)
    return Drawn(np.concatenate(alone), mask, counts.reshape(k, a))


def main(arguments: Sequence[str]) -> int:
    """Draw for every learner; 1 where a frequency or a mask does not hold."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--decisions", type=int, default=10_000_000, help="of all learners")
    parser.add_argument("--seed", type=int, default=0, help="of the draws")
    parser.add_argument("--kept", type=Path, help="JSON file of what is done, to go on from")
    given = parser.parse_args(arguments)
    n = -(-given.decisions // (len(LEARNERS) * len(WAYS)))
    done = json.loads(given.kept.read_text("utf-8")) if given.kept and given.kept.exists() else {}
    rows = []
    for place, name in enumerate(LEARNERS):
        for way, draw in WAYS.items():
            key = f"{name}, {way}, {n} decisions, seed {given.seed}"
            if key not in done:
                features, mask = asked(name)
                seed = (given.seed * len(LEARNERS) + place) * 1_000_000
                found = drawn(_quickly(name), features, mask, draw, n, seed)
                done[key] = [int(found.counts.sum()), found.forbidden, found.p_value()]
                _keep(given.kept, done)
            rows.append(done[key])
            draws, forbidden, p = done[key]
            print(f"{name}, {way}: {draws:,} draws, {forbidden} masked, p = {p:.3g}", flush=True)
    return _verdict(rows)


@cache
def _quickly(name: str) -> Policy:
    return learned(name)


def _keep(path: Path | None, done: dict[str, list[float]]) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(done, indent=1) + "\n", "utf-8")


def _verdict(rows: list[list[float]]) -> int:
    """Bonferroni over learners and ways."""
    draws, forbidden = (int(sum(row[at] for row in rows)) for at in (0, 1))
    least = min(row[2] for row in rows) * len(rows)
    sound = forbidden == 0 and least > LEVEL
    said = "as stated" if sound else "NOT as stated"
    print(
        f"{draws:,} decisions of {len(LEARNERS)} learners: {forbidden} masked actions; the "
        f"frequencies are {said}: the least chance times {len(rows)} is {min(1.0, least):.3g}, "
        f"an alarm would be below {LEVEL:g}"
    )
    return int(not sound)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
