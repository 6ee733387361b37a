"""Can a classifier tell logged from simulated episodes, and by what?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from nurture_envs.actions import ActionCatalog
from nurture_envs.journey import Journey
from nurture_rl.simulator.gap.rates import read_signals
from nurture_rl.simulator.gap.trajectories import BoolArray, FloatArray, IntArray, Trajectories

_FOLDS = 5
_PRIOR = 3.0  # precision of the standardised weights
_PAIRS = 24  # most frequent pairs of channels that share bins
_SHOWN = 8
_Z95 = 1.959964


@dataclass(frozen=True, slots=True)
class Giveaway:
    """A property of episodes by which log and world are told apart."""

    name: str
    importance: float  # AUC lost when its values are shuffled
    real: float  # mean over logged episodes
    simulated: float  # mean over simulated episodes


@dataclass(frozen=True, slots=True)
class TwoSampleTest:
    """Cross-fitted logistic regression of log against world on properties of whole episodes."""

    auc: float  # 0.5: indistinguishable
    stderr: float
    lower: float  # 95 % interval
    upper: float
    giveaways: tuple[Giveaway, ...]  # most important first
    curve: tuple[tuple[float, float], ...]  # (false, true) positive rates
    episodes: tuple[int, int]  # logged and simulated


def two_sample_test(
    real: Trajectories, simulated: Trajectories, journey: Journey, rng: np.random.Generator
) -> TwoSampleTest:
    """Train on four fifths of the contacts, score the rest, five times.

    Only signals that something reads are looked at: see `read_signals`.

    Source: Lopez-Paz & Oquab (2017), Revisiting Classifier Two-Sample Tests; the error of the AUC
        as in DeLong, DeLong & Clarke-Pearson (1988).
    """
    names, tables = _properties(real, simulated, journey)
    x = np.concatenate(tables)
    label = np.repeat([True, False], [len(tables[0]), len(tables[1])])
    weight = np.concatenate([real.weight[real.last], simulated.weight[simulated.last]])
    for side in (label, ~label):
        weight[side] /= weight[side].mean() * 2.0 * side.mean()
    of_contact = [one.contact[one.first] for one in (real, simulated)]
    cluster = np.concatenate([of_contact[0], of_contact[1] + real.contacts])
    fold = rng.integers(0, _FOLDS, int(cluster.max()) + 1)[cluster]
    spread = x.std(axis=0)
    moving = np.flatnonzero(spread > 1e-9)
    x = (x[:, moving] - x[:, moving].mean(axis=0)) / spread[moving]
    names = [names[i] for i in moving]
    tables = (tables[0][:, moving], tables[1][:, moving])
    scores, weights = np.zeros(len(x)), []
    for k in range(_FOLDS):
        fit = fold != k
        beta = logistic(x[fit], label[fit], weight[fit])
        scores[~fit] = x[~fit] @ beta[:-1] + beta[-1]
        weights.append(beta)
    area, stderr = weighted_auc(scores, label, weight)
    giveaways = _giveaways(names, tables, (x, label, weight, fold), weights, area, rng)
    return TwoSampleTest(
        auc=area,
        stderr=stderr,
        lower=max(0.0, area - _Z95 * stderr),
        upper=min(1.0, area + _Z95 * stderr),
        giveaways=giveaways,
        curve=_roc(scores, label, weight),
        episodes=(len(tables[0]), len(tables[1])),
    )


def logistic(x: FloatArray, label: BoolArray, weight: FloatArray) -> FloatArray:
    """Ridge logistic regression by Newton's method, [k + 1]; the intercept comes last and is free.

    Args:
        x: standardised columns, [n, k].
        label: [n].
        weight: [n], >= 0.
    """
    design = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    prior = np.append(np.full(x.shape[1], _PRIOR), 1e-6)
    beta = np.zeros(design.shape[1])
    for _ in range(8):
        p = expit(design @ beta)
        gradient = design.T @ (weight * (label - p)) - prior * beta
        curve = (design * (weight * p * (1.0 - p))[:, None]).T @ design + np.diag(prior)
        step = np.linalg.solve(curve, gradient)
        beta = beta + step
        if np.abs(step).max() < 1e-6:
            break
    return beta


def weighted_auc(scores: FloatArray, label: BoolArray, weight: FloatArray) -> tuple[float, float]:
    """Chance that a true row scores above a false one, ties counting half, and its error.

    Args:
        scores: [n].
        label: [n], with rows of both kinds.
        weight: [n], >= 0.
    """
    above = _share_below(scores, scores[~label], weight[~label])[label]
    below = 1.0 - _share_below(scores, scores[label], weight[label])[~label]
    w1, w0 = weight[label] / weight[label].sum(), weight[~label] / weight[~label].sum()
    area = float(w1 @ above)
    variance = (w1**2) @ (above - area) ** 2 + (w0**2) @ (below - area) ** 2
    return area, float(np.sqrt(variance))


def _share_below(scores: FloatArray, others: FloatArray, weight: FloatArray) -> FloatArray:
    order = np.argsort(others)
    total = np.append(0.0, np.cumsum(weight[order])) / weight.sum()
    left = np.searchsorted(others[order], scores, "left")
    right = np.searchsorted(others[order], scores, "right")
    return np.asarray(0.5 * (total[left] + total[right]))


def _properties(
    real: Trajectories, simulated: Trajectories, journey: Journey
) -> tuple[list[str], tuple[FloatArray, FloatArray]]:
    channels = journey.channels
    read = read_signals(journey)
    kept = [i for i, name in enumerate(channels) if name.removesuffix(".value") in read]
    together = np.zeros(real.amounts[:, : len(journey.signals)].shape, bool)
    counted = [i for i in kept if i < len(journey.signals)]
    together[:, counted] = real.amounts[:, counted] > 0
    shared = np.triu(together.T.astype(np.float32) @ together.astype(np.float32), 1)
    common = [
        divmod(int(place), shared.shape[1])
        for place in np.argsort(-shared, axis=None)[:_PAIRS]
        if shared.flat[place] > 0
    ]
    names = [f"number of {channels[i]}" for i in kept]
    names += [f"{channels[i]} more than once" for i in kept]
    names += [f"first bin of {channels[i]}" for i in kept]
    names += [f"last bin of {channels[i]}" for i in kept]
    names += [f"bins with {channels[i]} and {channels[j]}" for i, j in common]
    names += ["length of the episode"]
    catalog = ActionCatalog.of(journey)
    names += [f"times {action}" for action in catalog.ids]
    tables = tuple(_table(one, journey, kept, common) for one in (real, simulated))
    return names, (tables[0], tables[1])


def _table(
    played: Trajectories, journey: Journey, kept: list[int], common: list[tuple[int, int]]
) -> FloatArray:
    horizon = journey.clock.horizon
    some = played.amounts != 0
    counts = played.by_episode(played.amounts[:, kept])
    step = played.step[:, None].astype(np.float64)
    first = np.minimum.reduceat(np.where(some[:, kept], step, horizon), played.first, axis=0)
    last = np.maximum.reduceat(np.where(some[:, kept], step, -1.0), played.first, axis=0)
    pairs = [played.by_episode((some[:, i] & some[:, j]) * 1.0) for i, j in common]
    length = (played.last - played.first + 1.0)[:, None]
    chosen = np.zeros((len(played.action), played.mask.shape[1]))
    chosen[np.arange(len(played.action)), played.action] = 1.0
    parts = [counts, (counts > 1) * 1.0, first, last, *(p[:, None] for p in pairs), length]
    return np.concatenate([*parts, played.by_episode(chosen)], axis=1)


def _giveaways(
    names: list[str],
    tables: tuple[FloatArray, FloatArray],
    rows: tuple[FloatArray, BoolArray, FloatArray, IntArray],
    weights: list[FloatArray],
    area: float,
    rng: np.random.Generator,
) -> tuple[Giveaway, ...]:
    """Permutation importance: shuffle each of the heaviest columns within its fold."""
    x, label, weight, fold = rows
    beta = np.stack(weights)[fold]
    base = (x * beta[:, :-1]).sum(axis=1) + beta[:, -1]
    heaviest = np.argsort(-np.abs(np.mean(weights, axis=0)[:-1]))[: 2 * _SHOWN]
    shuffled = rng.permutation(len(x))
    giveaways = []
    for column in heaviest:
        moved = base + (x[shuffled, column] - x[:, column]) * beta[:, column]
        lost = area - weighted_auc(moved, label, weight)[0]
        means = (float(table[:, column].mean()) for table in tables)
        giveaways.append(Giveaway(names[column], float(lost), *means))
    return tuple(sorted(giveaways, key=lambda one: -one.importance)[:_SHOWN])


def _roc(
    scores: FloatArray, label: BoolArray, weight: FloatArray
) -> tuple[tuple[float, float], ...]:
    levels = np.quantile(scores, np.linspace(1.0, 0.0, 41))
    true = 1.0 - _share_below(levels, scores[label], weight[label])
    false = 1.0 - _share_below(levels, scores[~label], weight[~label])
    inner = tuple((float(a), float(b)) for a, b in zip(false, true, strict=True))
    return ((0.0, 0.0), *inner, (1.0, 1.0))
