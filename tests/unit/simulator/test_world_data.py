"""What a fit may use of a log that was read in the middle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.decisions import IntArray
from nurture_rl.errors import FitError, ShapeError
from nurture_rl.simulator.data import ContactSplit, require_world_data, split_contacts
from tests.unit.simulator.lamp_shop import lamp_log, lamp_shop

CHANNELS = len(lamp_shop().channels)


def test_only_matured_rows_count_where_no_exposure_is_stated() -> None:
    data = replace(lamp_log(20, seed=0), matured=np.arange(120) % 2 == 0)
    assert data.usable.tolist() == data.matured.tolist()
    assert data.row_exposure.min() == data.row_weight.min() == 1.0


def test_a_bin_that_is_over_counts_with_its_exposure_and_an_open_one_does_not() -> None:
    age = np.tile([1, 0, -1], 40)
    exposure = np.repeat(np.array([0.0, 0.9, 0.5])[age][:, None], CHANNELS, axis=1)
    exposure[age == 0, 0] = 0.3  # one channel may be known of
    data = replace(lamp_log(20, seed=0), matured=age == 9, exposure=exposure, age=age)
    assert data.usable.tolist() == (age >= 0).tolist()
    assert len(np.concatenate([*_parts(split_contacts(data, np.random.default_rng(0)))])) == 80


def _parts(split: ContactSplit) -> list[IntArray]:
    return [split.train, split.tuning, split.judging]


def test_taking_rows_keeps_every_array_in_step() -> None:
    data = replace(lamp_log(20, seed=0), weight=np.arange(120.0), when=np.arange(120))
    taken = data.take(np.array([5, 7]))
    assert taken.weight is not None
    assert taken.weight.tolist() == [5.0, 7.0]
    assert taken.when.tolist() == [5, 7]
    assert taken.features.tolist() == data.features[[5, 7]].tolist()
    assert taken.starts is data.starts
    assert taken.exposure is None


def test_a_weight_for_every_row_is_required() -> None:
    data = replace(lamp_log(20, seed=0), weight=np.ones(119))
    with pytest.raises(ShapeError, match=r"must be \(120,\) .* got \(119,\)"):
        require_world_data(data)


def test_a_negative_weight_is_refused() -> None:
    data = replace(lamp_log(20, seed=0), weight=np.full(120, -1.0))
    with pytest.raises(FitError, match="finite and at least 0"):
        require_world_data(data)


def test_an_exposure_above_1_is_refused() -> None:
    data = replace(lamp_log(20, seed=0), exposure=np.full((120, CHANNELS), 1.5))
    with pytest.raises(FitError, match=r"chances in \[0, 1\]"):
        require_world_data(data)
