"""What a fit may believe of a log: late records, the policy's taste, and days kept for judging."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.errors import ConfigError
from nurture_rl.simulator.data import WorldData, require_world_data
from nurture_rl.simulator.later_days import split_days, unseen_rows
from nurture_rl.simulator.training_data import training_data
from tests.unit.simulator.lamp_shop import lamp_log, lamp_shop
from tests.unit.simulator.test_recording_delays import BOUGHT, log_read_early

JOURNEY = lamp_shop()


def log() -> WorldData:
    """6,000 decisions read early, of a policy whose propensities are logged."""
    data = log_read_early(6_000, seed=0)
    propensity = np.array([0.4, 0.5, 0.05, 0.05])[data.action]
    return replace(data, propensity=propensity)


def test_by_default_words_every_bin_that_is_over_counts_with_weight_and_exposure() -> None:
    made = training_data(log(), JOURNEY, "propensity", "fitted")
    require_world_data(made.data)
    assert made.data.usable.all()
    assert made.data.row_exposure[:, BOUGHT].min() < 0.5
    assert made.data.row_weight.std() > 0.0
    assert made.data.delays is not None
    assert made.data.delays[0, BOUGHT] < 0.5


def test_declared_delays_leave_out_what_is_not_matured() -> None:
    made = training_data(log(), JOURNEY, "none", "declared")
    assert made.data.usable.tolist() == log().matured.tolist()
    assert made.weights is None
    assert made.data.weight is None
    assert made.data.delays is not None
    assert made.data.delays.tolist() == [[1.0] * len(JOURNEY.channels)]


def test_the_summary_is_plain_data_that_names_what_was_estimated() -> None:
    made = training_data(log(), JOURNEY, "propensity", "fitted")
    told = json.loads(json.dumps(made.summary(JOURNEY)))
    assert told["rows"] == 6_000
    assert told["not_matured"] == int((~log().matured).sum())
    assert 5_000 < told["effective_rows"] <= 6_000
    assert 1.0 < told["delays"]["bought"]["mean_bins"] < 2.5
    assert "sent" not in told["delays"]
    assert told["warnings"] == []


@pytest.mark.parametrize("words", [("inverse", "fitted"), ("none", "guessed")])
def test_a_word_that_means_nothing_is_refused(words: tuple[str, str]) -> None:
    with pytest.raises(ConfigError, match="expected one of"):
        training_data(log(), JOURNEY, *words)


def by_day(days: int) -> WorldData:
    """600 decisions of 100 contacts; every contact is decided for on two neighbouring days."""
    data = lamp_log(100, seed=1)
    entry = np.random.default_rng(1).integers(0, days, 100)
    return replace(data, when=20_000 + np.repeat(entry, 6) + (data.step >= 3))


def test_the_first_four_fifths_of_the_days_are_early() -> None:
    split = split_days(by_day(19))  # twenty days with the last contacts' second
    assert split is not None
    assert split.from_day == 20_016
    when = by_day(19).when
    assert when[split.early].max() == 20_015
    assert when[split.late].min() == 20_016
    assert len(split.early) + len(split.late) == 600


def test_contacts_that_were_fitted_to_are_not_judged_on() -> None:
    data = by_day(19)
    split = split_days(data)
    assert split is not None
    rows = unseen_rows(data, split.late, split.early)
    assert 0 < len(rows) < len(split.late)
    assert not set(data.cluster[rows]) & set(data.cluster[split.early])


def test_a_campaign_of_one_day_has_no_later_days() -> None:
    assert split_days(replace(lamp_log(100, seed=2), when=np.full(600, 20_000))) is None


def test_a_log_without_days_has_no_later_days() -> None:
    assert split_days(lamp_log(100, seed=2)) is None


def test_a_last_day_of_few_contacts_judges_nothing() -> None:
    data = lamp_log(100, seed=3)
    when = np.where(data.cluster < 95, 20_000 + data.cluster % 8, 20_009)
    assert split_days(replace(data, when=when)) is None
