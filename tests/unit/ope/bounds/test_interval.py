"""A level is a probability; anything else is refused before a number is made."""

from __future__ import annotations

import pytest

from nurture_rl.errors import ShapeError
from nurture_rl.ope.bounds.interval import Interval, require_level


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, -0.1])
def test_a_level_outside_the_unit_interval_is_refused(level: float) -> None:
    with pytest.raises(ShapeError, match=r"write 95 % as 0\.95"):
        require_level(level)


def test_an_interval_gives_no_reason_unless_it_was_chosen() -> None:
    require_level(0.95)
    assert Interval(0.0, 1.0, 0.95, "clustered-t").reason == ""
