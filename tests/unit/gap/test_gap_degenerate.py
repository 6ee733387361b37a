"""Logs and settings that no gap can be measured with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from nurture_rl.errors import ConfigError, FitError
from nurture_rl.simulator.gap.fatigue import half_lives
from nurture_rl.simulator.gap.rates import Margins
from nurture_rl.simulator.gap.settings import GapConfig
from nurture_rl.simulator.gap.trajectories import whole_episodes
from tests.unit.gap.gap_logs import JOURNEY, episodes
from tests.unit.simulator.lamp_shop import SEND, WAIT, lamp_log, lamp_shop


def test_a_log_without_decisions_is_refused_with_what_to_do() -> None:
    empty = lamp_log(3, 0).take(np.zeros(0, np.int64))
    with pytest.raises(FitError, match="hold out more contacts"):
        whole_episodes(empty, lamp_shop())


def test_without_sends_on_either_side_there_is_no_half_life() -> None:
    mailed = episodes([3], [SEND, SEND, WAIT], clicked=[1, 0, 0])
    silent = episodes([3], [WAIT] * 3)
    assert half_lives(silent, mailed, JOURNEY, ("click",)) is None
    assert half_lives(mailed, silent, JOURNEY, ("click",)) is None


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (lambda: GapConfig(margins=Margins(rate=-1.0)), "margins.rate"),
        (lambda: GapConfig(margins=Margins(lag=float("nan"))), "margins.lag"),
        (lambda: GapConfig(fewest_episodes=0), "fewest_episodes"),
        (lambda: GapConfig(most_episodes=0), "most_episodes"),
        (lambda: GapConfig(false_discoveries=0.0), "false_discoveries"),
        (lambda: GapConfig(false_curves=1.0), "false_curves"),
        (lambda: GapConfig(ratio=0.0), "ratio"),
    ],
)
def test_settings_without_a_meaning_are_refused_by_name(
    build: Callable[[], GapConfig], named: str
) -> None:
    with pytest.raises(ConfigError, match=rf"gap\.{named}: expected"):
        build()
