"""One pass gives what four functions give, compiled or not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.errors import OverlapError, ShapeError
from nurture_rl.ope.estimators import ValueEstimate, dm, dr, ips
from nurture_rl.ope.sequential import fused
from nurture_rl.ope.sequential.trajectory import tis
from nurture_rl.ope.value_model import ValuePredictions
from tests.unit.ope.log_makers import random_log
from tests.unit.ope.sequential.small_logs import random_target, taken_of

LENGTHS = [3, 1, 4, 2, 4]


def without_numba() -> None:
    """What is found of numba where it cannot be had."""


@pytest.fixture(params=["compiled", "plain"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name = str(request.param)
    if name == "plain":
        monkeypatch.setattr(fused, "_compiled", without_numba)
    return name


@pytest.mark.slow
@pytest.mark.parametrize("lengths", [LENGTHS, [1] * 6])
def test_each_is_the_estimator_of_its_name(engine: str, lengths: list[int]) -> None:
    log = random_log(0, lengths, cluster=np.arange(len(lengths)) // 2)
    log = replace(log, step=log.step * 2 + 3)
    target, q = random_target(1, log), np.random.default_rng(2).normal(size=log.mask.shape)
    taken, rows = taken_of(log, target), np.arange(log.n_rows)
    model = ValuePredictions(q[rows, log.action], (q * target).sum(axis=1))
    expected: dict[str, ValueEstimate] = {
        "dm": dm(log, model),
        "tis": tis(log, taken),
        "ips": ips(log, taken),
        "dr": dr(log, taken, model),
    }
    found = fused.four_estimates(log, target, q)
    assert list(found) == list(expected)
    for name, estimate in expected.items():
        assert found[name].value == pytest.approx(estimate.value, rel=1e-12)
        assert found[name].stderr == pytest.approx(estimate.stderr, rel=1e-12)
        assert found[name].influence == pytest.approx(estimate.influence, rel=1e-12)
        assert found[name].ess == pytest.approx(estimate.ess, rel=1e-12)
        assert found[name].n_episodes == estimate.n_episodes
        assert found[name].n_clusters == estimate.n_clusters


def test_arrays_of_another_log_are_refused(engine: str) -> None:
    log = random_log(3, LENGTHS)
    target = random_target(4, log)
    with pytest.raises(ShapeError, match=r"target and q must be \(14, 3\)"):
        fused.four_estimates(log, target[:3], target)
    with pytest.raises(ShapeError, match=r"got \(14, 3\) and \(3, 3\)"):
        fused.four_estimates(log, target, target[:3])


def test_weights_beyond_floating_point_are_refused(engine: str) -> None:
    log = replace(random_log(5, [60, 60]), propensity=np.full(120, 1e-6))
    target = np.eye(3)[log.action]
    with pytest.raises(OverlapError, match="exceed floating point"):
        fused.four_estimates(log, target, np.ones((120, 3)))
