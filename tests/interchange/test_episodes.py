"""What an episode must be before it is written for others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.errors import ConfigError, LogError, ShapeError
from nurture_rl.interchange.episodes import episodes_of, require_package
from tests.interchange.reading_back import subject_of
from tests.interchange.small_episodes import FINAL, SUBJECT, small_episodes, small_log


def test_a_terminal_decision_has_no_future_and_a_cut_off_one_has() -> None:
    np.testing.assert_array_equal(small_episodes().discounts, [0.5, 0.0, 0.5, 0.5, 0.5])


def test_what_the_columns_mean_survives_json() -> None:
    assert subject_of(SUBJECT.plain) == SUBJECT


def test_bins_left_out_are_refused_where_the_future_is_discounted() -> None:
    with pytest.raises(LogError, match="goes from bin 1 to bin 3"):
        episodes_of(small_log(step=(0, 1, 0, 1, 3)), FINAL, SUBJECT)


def test_bins_left_out_are_kept_where_time_costs_nothing() -> None:
    log = small_log(step=(0, 1, 0, 1, 3), discount=1.0)
    assert episodes_of(log, FINAL, SUBJECT).log.step[-1] == 3


def test_an_unknown_final_observation_is_refused() -> None:
    unknown = FINAL.copy()
    unknown[1, 0] = np.nan
    with pytest.raises(LogError, match="final observation of episode 1 is not finite"):
        episodes_of(small_log(), unknown, SUBJECT)


def test_final_observations_must_be_one_per_episode() -> None:
    with pytest.raises(ShapeError, match="expected one final observation per episode"):
        episodes_of(small_log(), FINAL[:1], SUBJECT)


def test_another_journeys_actions_are_refused() -> None:
    other = replace(SUBJECT, action_ids=("pause:1", "exit"))
    with pytest.raises(ShapeError, match="use the journey that made the log"):
        episodes_of(small_log(), FINAL, other)


def test_a_missing_library_is_named_with_its_extra() -> None:
    with pytest.raises(ConfigError, match=r"nurture-rl\[interop\]"):
        require_package("a_library_that_nobody_wrote")
