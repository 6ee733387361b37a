"""How late events become known, by the log and by a world, by hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import pytest
import torch

from nurture_envs.worlds.world import World
from nurture_rl.simulator.gap.lateness import late_records, logged_delays
from nurture_rl.simulator.gap.rates import Margins
from nurture_rl.simulator.gap.trajectories import IntArray, Trajectories
from tests.unit.gap.gap_logs import JOURNEY, episodes
from tests.unit.simulator.lamp_shop import WAIT

VIEWED = JOURNEY.channel_index("viewed")


@dataclass(frozen=True)
class Late:
    """A world in which views are known on time, one and two bins late at a chance of each."""

    chances: tuple[float, ...]

    @property
    def delays(self) -> torch.Tensor:
        table = torch.zeros(len(self.chances), len(JOURNEY.channels))
        table[0] = 1.0
        table[:, VIEWED] = torch.tensor(self.chances)
        return table


def log(delays: list[int]) -> Trajectories:
    """Views of one contact each, known so many bins late; -1: none."""
    n = len(delays)
    event_delay: IntArray = np.full((n, len(JOURNEY.channels)), -1)
    event_delay[:, VIEWED] = delays
    return replace(episodes([1] * n, [WAIT] * n), event_delay=event_delay)


def test_shares_by_lateness_put_the_latest_in_the_last_bin() -> None:
    found = logged_delays(log([0, 0, 1, 4, 7, -1, -1, -1]), longest=3)
    assert found[:, VIEWED].tolist() == pytest.approx([0.4, 0.2, 0.0, 0.4])
    others = np.delete(found, VIEWED, axis=1)
    assert np.isnan(others).all()
    assert np.isnan(logged_delays(replace(log([0]), event_delay=None), longest=3)).all()


def test_lateness_is_compared_as_a_share_and_in_bins() -> None:
    # 20 views: 10 on time, 4 one bin late, 6 three bins late.
    given = log([0] * 10 + [1] * 4 + [3] * 6 + [-1] * 5)
    margins = Margins(share=0.1, lag=0.25)
    share, bins = late_records(given, cast(World, Late((0.7, 0.1, 0.2))), JOURNEY, margins)
    assert (share.head, share.group, share.margin) == ("viewed", "known late", 0.1)
    assert [share.real.value, share.simulated.value] == pytest.approx([0.5, 0.3])
    assert share.gap == pytest.approx(-0.2)
    assert share.stderr == pytest.approx(np.sqrt(20 * 0.25 * 25 / 24) / 20)
    assert (bins.group, bins.margin) == ("bins late", 0.25)
    assert [bins.real.value, bins.simulated.value] == pytest.approx([1.1, 0.5])
    assert bins.gap == pytest.approx(-0.6)


def test_all_on_time_leaves_one_event_of_doubt_and_fewer_than_20_say_nothing() -> None:
    punctual = cast(World, Late((1.0,)))
    for one in late_records(log([0] * 20), punctual, JOURNEY, Margins()):
        assert (one.gap, one.stderr) == (0.0, 1.0 / 20)
    assert late_records(log([0] * 19), punctual, JOURNEY, Margins()) == []
    assert late_records(episodes([1], [WAIT]), punctual, JOURNEY, Margins()) == []
