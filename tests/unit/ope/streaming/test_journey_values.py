"""A value model from blocks of contacts is that of the whole log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nurture_rl.ope.log import EvaluationLog, FloatArray, evaluation_log
from nurture_rl.ope.streaming.contact_blocks import ContactBlock, joined_blocks
from nurture_rl.ope.streaming.journey_totals import journey_models
from nurture_rl.ope.value_model import ValueModelConfig, fit_value, value_design

CONFIG = ValueModelConfig()


def journeys(contacts: int = 60, bins: int = 4) -> tuple[EvaluationLog, FloatArray]:
    """Two episodes of each contact, and a target policy on them."""
    rng = np.random.default_rng(0)
    episodes = 2 * contacts
    n = episodes * bins
    log = evaluation_log(
        features=rng.normal(size=(n, 2)),
        mask=np.ones((n, 3), dtype=np.bool_),
        action=rng.integers(0, 3, n),
        propensity=np.full(n, 1.0 / 3.0),
        reward=rng.random(n),
        episode=np.arange(n) // bins,
        step=3 * (np.arange(n) % bins),
        cluster=np.arange(episodes) // 2,
        terminal=np.arange(n) % bins == bins - 1,
        action_factors=np.eye(3),
        discount=0.95,
        unit="EUR",
    )
    return log, rng.dirichlet(np.ones(3), n)


class Blocks:
    """Contacts in blocks, in memory."""

    def __init__(self, log: EvaluationLog, target: FloatArray, ends: list[int]) -> None:
        self.parts = [
            (_block(log, target, first, last), first)
            for first, last in zip([0, *ends[:-1]], ends, strict=True)
        ]

    def over(
        self, work: Callable[[ContactBlock, int], Any], names: tuple[str, ...], what: str
    ) -> Iterator[Any]:
        for block, first in self.parts:
            yield work(block, first)


def _block(log: EvaluationLog, target: FloatArray, first: int, last: int) -> ContactBlock:
    held = (log.cluster >= first) & (log.cluster < last)
    rows = held[log.episode]
    part = replace(
        log,
        **{
            name: getattr(log, name)[rows]
            for name in ("features", "mask", "action", "propensity", "reward", "step", "terminal")
        },
        episode=log.episode[rows] - np.flatnonzero(held)[0],
        cluster=log.cluster[held] - first,
    )
    ids = np.flatnonzero(held).astype(np.uint64)
    return ContactBlock(part, np.arange(first, last, dtype=np.uint64), ids, {"new": target[rows]})


@pytest.mark.parametrize("ends", [[60], [7, 30, 60], [1, 59, 60]])
def test_models_do_not_depend_on_the_blocks(ends: list[int]) -> None:
    log, target = journeys()
    design = value_design(log, np.random.default_rng(1), CONFIG)
    whole = fit_value(design, target)
    blocks = Blocks(log, target, ends)
    models = journey_models(blocks, ("new",), log.action_factors, np.random.default_rng(1), CONFIG)
    found = [models.predictions(block, first, "new") for block, first in blocks.parts]
    for name in ("value", "q_logged"):
        parts = np.concatenate([getattr(one, name) for one in found])
        np.testing.assert_allclose(parts, getattr(whole, name), rtol=1e-10)


def test_joined_blocks_are_the_log_again() -> None:
    log, target = journeys()
    joined = joined_blocks([block for block, _ in Blocks(log, target, [7, 30, 60]).parts])
    for name in ("features", "action", "reward", "episode", "step", "cluster", "terminal"):
        np.testing.assert_array_equal(getattr(joined.log, name), getattr(log, name))
    np.testing.assert_array_equal(joined.targets["new"], target)
