"""How large a first experiment must be: held against simulated experiments."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.appraisal.first_look import units_needed
from nurture_rl.ope.bounds.planned_looks import looks_width

_SHARES = (0.35, 0.45)


@pytest.mark.parametrize(("rate", "worth"), [(0.05, 0.0125), (0.3, 0.075), (0.5, 0.1)])
def test_the_difference_is_found_four_times_of_five(rate: float, worth: float) -> None:
    units = units_needed(rate, worth, _SHARES)
    rng, runs = np.random.default_rng(3), 4000
    few, many = (round(units * share) for share in _SHARES)
    usual, policy = (
        rng.binomial(few, rate, runs) / few,
        rng.binomial(many, rate + worth, runs) / many,
    )
    spread = usual * (1 - usual) / few + policy * (1 - policy) / many
    found = (policy - usual) / np.sqrt(spread) > looks_width(1.0, 0.95)
    # Four binomial standard deviations are 0.025.
    assert abs(found.mean() - 0.8) < 0.03


def test_twice_the_gain_needs_a_quarter_of_the_contacts_or_a_little_more() -> None:
    assert 0.2 < units_needed(0.1, 0.05, _SHARES) / units_needed(0.1, 0.025, _SHARES) < 0.35
