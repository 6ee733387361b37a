"""Functions of loops against numpy's, to a few units in the last place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nurture_envs.loops import maths

Floats = NDArray[np.float32]


@numba.njit
def applied(function: Any, x: Floats, out: Floats) -> None:
    """Write the function of every number."""
    for i in range(len(x)):
        out[i] = function(x[i])


def of(function: Any, x: Floats) -> Floats:
    out = np.empty_like(x)
    applied(function, x, out)
    return out


GRID = np.linspace(-30.0, 30.0, 20_001, dtype=np.float32)


@pytest.mark.parametrize(
    ("function", "exact"),
    [
        (maths.exp, np.exp),
        (maths.exp2, np.exp2),
        (maths.sigmoid, lambda x: 1.0 / (1.0 + np.exp(-x))),
    ],
)
def test_exponentials_are_right_to_two_parts_in_ten_million(
    function: Any, exact: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> None:
    wanted = exact(GRID.astype(np.float64))
    np.testing.assert_allclose(of(function, GRID), wanted, rtol=2e-7)


def test_the_cosine_is_right_over_several_turns() -> None:
    np.testing.assert_allclose(of(maths.cos, GRID), np.cos(GRID.astype(np.float64)), atol=6e-7)


def test_exponentials_stay_finite_however_far_out() -> None:
    far = np.array([-1e4, -200.0, 200.0, 1e4], np.float32)
    for function in (maths.exp, maths.exp2):
        assert np.isfinite(of(function, far)).all()
    np.testing.assert_allclose(of(maths.sigmoid, far), [0.0, 0.0, 1.0, 1.0], atol=1e-30)


def test_a_number_has_one_value_wherever_it_stands_in_a_loop() -> None:
    for function in (maths.exp, maths.exp2, maths.cos, maths.sigmoid):
        whole = of(function, GRID[:1003])
        parts = [of(function, GRID[at : at + 7]) for at in range(0, 1003, 7)]
        assert whole.tobytes() == np.concatenate(parts)[:1003].tobytes()


def test_normal_quantiles_are_torchs_over_the_whole_grid_of_draws() -> None:
    u = np.concatenate([np.arange(40), np.arange(0, 2**24, 9973), 2**24 - 1 - np.arange(40)])
    u = u * 2.0**-24 + 2.0**-25
    wanted = torch.special.ndtri(torch.from_numpy(u)).numpy()
    np.testing.assert_allclose([maths.ndtri(one) for one in u], wanted, rtol=1e-13, atol=1e-14)


def test_whole_quotients_round_down_and_choices_need_no_branch() -> None:
    @numba.njit
    def both(x: int, y: int) -> Any:
        return maths.whole_quotient(x, y), maths.pick(x > y, x, y)

    day = 86_400_000_000
    assert both(20_500 * day - 1, day) == (20_499, 20_500 * day - 1)
    assert both(20_500 * day, day)[0] == 20_500
    assert both(-1, 7) == (-1, 7)
