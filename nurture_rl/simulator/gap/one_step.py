"""A world's predictions on the logged rows: calibration, effects of acting, disagreement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_envs.journey import Journey
from nurture_envs.worlds.heads import Heads
from nurture_envs.worlds.learned import LearnedWorld
from nurture_rl.simulator.calibration import Calibration, head_calibration
from nurture_rl.simulator.gap.compare import Comparison, Estimate, log_ratio, ratios
from nurture_rl.simulator.gap.rates import happened
from nurture_rl.simulator.gap.trajectories import BoolArray, FloatArray, IntArray, Trajectories

Chances = Callable[[NDArray[np.float32], IntArray], FloatArray]  # [n, H]

_BATCH = 16_384
_DRAWS = 8
_FEWEST = 10.0  # events after an action that an effect needs
_LEAST_PROPENSITY = 0.01  # smaller chances to send or to wait are left out of an effect


@torch.no_grad()
def chances(
    world: LearnedWorld, features: NDArray[np.float32], action: IntArray, draws: int
) -> FloatArray:
    """Chance of each head's signal in the bin by every member, [E, n, H].

    Args:
        draws: plays of a bin that a chance is the mean of.
    """
    parts = []
    for start in range(0, len(action), _BATCH):
        rows = slice(start, start + _BATCH)
        x = torch.as_tensor(features[rows]).T.contiguous()
        chance = world.hazards(x, torch.as_tensor(action[rows]), draws)
        parts.append(chance.double().permute(0, 2, 1).cpu().numpy())
    return np.concatenate(parts, axis=1)


def calibration(
    log: Trajectories, journey: Journey, predicted: FloatArray, learned: BoolArray
) -> Calibration:
    """Reliability of every head on the held-out log."""
    y = happened(log, journey) > 0
    heads = tuple(
        head_calibration(name, predicted[:, h], y[:, h], float(y[:, h].mean()), bool(learned[h]))
        for h, name in enumerate(Heads.of(journey).counts)
    )
    return Calibration(heads, log.contacts, len(log.action))


def disagreement(table: FloatArray) -> FloatArray:
    """Spread of the members' chances [E, n, H] as a share of their mean, [H]; 0 of a single one."""
    spread = table.std(axis=0).mean(axis=0)
    return np.asarray(spread / np.maximum(table.mean(axis=(0, 1)), 1e-12))


@dataclass(frozen=True, slots=True)
class ArmEffect:
    """What sending rather than waiting does to the chance of a signal in the bin."""

    head: str
    logged: Estimate  # doubly robust, by the logged propensities
    naive: Estimate  # the same by the propensities that the features explain
    world: float  # what the world says on the same rows
    base: float  # share of the rows' bins with the signal
    hidden: Estimate  # logged less naive: what the logging policy knew and the features do not
    rows: int  # decisions in which both were possible


def arm_effects(
    log: Trajectories,
    journey: Journey,
    projected: FloatArray,
    world: LearnedWorld,
) -> tuple[ArmEffect, ...]:
    """Effect of sending against waiting on every head, in the log and in the world.

        logged = mean[m(x, send) - m(x, wait)] + mean_ipw[y - m | send] - mean_ipw[y - m | wait]

    with the world's own m. Where nothing was hidden from the features, the two propensities give
    the same. A world fitted to a log whose policy knew more agrees with the second alone.

    Args:
        log: held-out decisions with their distributions or propensities.
        journey: names actions and heads.
        projected: the logging policy's distribution as far as the features explain it, [N, a].
        world: its members' chances are averaged.

    Source: Robins, Rotnitzky & Zhao (1994), Estimation of Regression Coefficients When Some
        Regressors Are Not Always Observed; weights normalised as in Hajek (1971).
    """
    catalog = ActionCatalog.of(journey)
    send, wait = catalog.routed("send"), catalog.routed("pause")
    table = projected if log.probabilities is None else log.probabilities
    chance = [table[:, arm].sum(axis=1) for arm in (send, wait)]
    seen = [projected[:, arm].sum(axis=1) for arm in (send, wait)]
    if log.probabilities is None:  # scalar propensities: of the action, so of its arm by its share
        taken = log.propensity / np.maximum(table[np.arange(len(log.action)), log.action], 1e-12)
        chance = [np.clip(part * taken, _LEAST_PROPENSITY, 1.0) for part in seen]
    both = np.min([*chance, *seen], axis=0) >= _LEAST_PROPENSITY
    if not both.any():
        return ()

    def predict(features: NDArray[np.float32], action: IntArray) -> FloatArray:
        return np.asarray(chances(world, features, action, _DRAWS).mean(axis=0))

    y = happened(log, journey)
    m = predict(log.features, log.action)
    in_arm = [arm[log.action] & both for arm in (send, wait)]
    difference = _world_effect(log.features[both], projected[both], predict, (send, wait))
    mean_effect = difference.mean(axis=0)
    residual = y - m
    true, plain = (_corrections(log, residual, in_arm, part) for part in (chance, seen))
    logged, naive = (_estimates(log, mean_effect + one[0], one[1]) for one in (true, plain))
    hidden = _estimates(log, true[0] - plain[0], true[1] - plain[1])
    base = (y * both[:, None]).sum(axis=0) / both.sum()
    enough = (y * in_arm[0][:, None]).sum(axis=0) >= _FEWEST
    return tuple(
        ArmEffect(head, logged[h], naive[h], float(mean_effect[h]), float(base[h]), hidden[h], rows)
        for rows in (int(both.sum()),)
        for h, head in enumerate(Heads.of(journey).counts)
        if enough[h]
    )


def effect_comparisons(effects: tuple[ArmEffect, ...], margin: float) -> list[Comparison]:
    """World against logged effect; gaps below a share of effect and base rate do not matter."""
    return [
        Comparison(
            "effect of sending",
            one.head,
            "send against wait",
            one.logged,
            Estimate(one.world, 0.0),
            one.world - one.logged.value,
            max(one.logged.stderr, 1e-9),
            margin * max(abs(one.logged.value), abs(one.world), one.base),
            "difference",
        )
        for one in effects
    ]


def _world_effect(
    features: NDArray[np.float32],
    projected: FloatArray,
    predict: Chances,
    arms: tuple[BoolArray, BoolArray],
) -> FloatArray:
    """m(x, send) - m(x, wait), [n, H]; in an arm, actions are mixed as the policy would."""
    total: FloatArray | None = None
    for sign, arm in zip((1.0, -1.0), arms, strict=True):
        share = np.where(arm, projected, 0.0)
        share = share / np.maximum(share.sum(axis=1, keepdims=True), 1e-12)
        for a in np.flatnonzero(arm & (share > 0.0).any(axis=0)):
            rows = np.flatnonzero(share[:, a] > 0.0)
            told = predict(features[rows], np.full(len(rows), a))
            if total is None:
                total = np.zeros((len(features), told.shape[1]))
            total[rows] += sign * share[rows, a : a + 1] * told
    assert total is not None  # some action of an arm was likely in every row
    return total


def _corrections(
    log: Trajectories,
    residual: FloatArray,
    in_arm: list[BoolArray],
    chance: list[FloatArray],
) -> tuple[FloatArray, FloatArray]:
    """Weighted mean residual after sending less that after waiting, and each row's part of it.

    Returns:
        The difference, [H]; parts whose sums over contacts give its error, [N, H].
    """
    means, parts = [], []
    for inside, p in zip(in_arm, chance, strict=True):
        weight = np.where(inside, 1.0 / np.maximum(p, _LEAST_PROPENSITY), 0.0)
        weight = weight / max(float(weight.sum()), 1e-12)
        mean = weight @ residual
        means.append(mean)
        parts.append(weight[:, None] * (residual - mean))
    return np.asarray(means[0] - means[1]), np.asarray(parts[0] - parts[1])


def _estimates(log: Trajectories, value: FloatArray, parts: FloatArray) -> list[Estimate]:
    """Values with the contact-clustered errors of the sums of their parts."""
    stderr = np.sqrt((log.by_contact(parts) ** 2).sum(axis=0))
    return [Estimate(float(v), float(s)) for v, s in zip(value, stderr, strict=True)]


def overall_ratio(
    log: Trajectories, journey: Journey, predicted: FloatArray, margin: float
) -> list[Comparison]:
    """Mean predicted chance against the share that happened, by head, on the logged rows."""
    y = happened(log, journey)
    _, stderr = ratios(log, predicted - y, np.ones(len(y)))
    comparisons = []
    for h, head in enumerate(Heads.of(journey).counts):
        if y[:, h].sum() < _FEWEST:
            continue
        seen = Estimate(float(y[:, h].mean()), float(stderr[h]))
        told = Estimate(float(predicted[:, h].mean()), 0.0)
        gap, error = log_ratio(seen, told, 0.5 / len(y))
        comparisons.append(
            Comparison("one step", head, "all", seen, told, gap, error, margin, "log ratio")
        )
    return comparisons
