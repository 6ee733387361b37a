from __future__ import annotations

import numpy as np
import pytest
import torch

from nurture_envs.actions import ActionCatalog
from nurture_rl.errors import ShapeError
from nurture_rl.simulator.calibration import head_calibration, wilson
from nurture_rl.simulator.counted_tables import (
    availability,
    class_rates,
    count_by_routing,
    possible_events,
    price_lists,
    repeats,
    standard_values,
    value_scales,
)
from nurture_rl.simulator.recalibration import recalibrate
from tests.unit.policies.planted_journeys import INBOUND
from tests.unit.simulator.lamp_shop import ESCALATE, EXIT, SEND, WAIT, lamp_shop

CATALOG = ActionCatalog.of(lamp_shop())


def test_rates_are_counted_by_routing() -> None:
    action = np.array([SEND, SEND, WAIT, WAIT, WAIT, EXIT])
    happened = np.array([[1], [0], [0], [1], [0], [0]], bool)
    rates = class_rates(count_by_routing(action, happened, CATALOG))
    np.testing.assert_allclose(rates[[SEND, WAIT, EXIT], 0], [1 / 2, 1 / 3, 0.0])


def test_a_bin_of_which_half_would_be_known_counts_as_half_a_bin() -> None:
    action = np.array([SEND, SEND, WAIT, WAIT])
    happened = np.array([[1], [0], [1], [0]], bool)
    exposure = np.array([[1.0], [0.5], [0.25], [1.0]])
    rates = class_rates(count_by_routing(action, happened, CATALOG, exposure))
    np.testing.assert_allclose(rates[[SEND, WAIT], 0], [1 / 1.5, 1 / 1.25])


def test_rates_are_shares_of_weight() -> None:
    action = np.array([SEND, SEND, WAIT])
    happened = np.array([[1], [0], [0]], bool)
    weight = np.array([3.0, 1.0, 9.0])
    rates = class_rates(count_by_routing(action, happened, CATALOG, weight=weight))
    np.testing.assert_allclose(rates[[SEND, WAIT], 0], [3 / 4, 0.0])


def test_a_routing_never_taken_borrows_from_waiting() -> None:
    action = np.array([WAIT, WAIT, SEND])
    happened = np.array([[1], [0], [1]], bool)
    rates = class_rates(count_by_routing(action, happened, CATALOG))
    assert rates[ESCALATE, 0] == rates[EXIT, 0] == 0.5


@pytest.mark.parametrize("bins, possible", [(9, True), (10, False)])
def test_an_action_loses_an_event_only_when_ten_were_expected(bins: int, possible: bool) -> None:
    # Two sends: one always followed by the event, the other never. With equal numbers of bins the
    # routing's rate is 1/2, so 2 * bins bins of the second make `bins` events expected.
    catalog = ActionCatalog.of(INBOUND)
    action = np.repeat([0, 1], 2 * bins)
    happened = (action == 0)[:, None]
    table = possible_events(count_by_routing(action, happened, catalog))
    assert table[0, 0]
    assert bool(table[1, 0]) is possible
    assert bool(table[2, 0]) is True  # a send never taken keeps what its routing can bring


def test_repeats_follow_the_geometric_mean_and_stop_below_the_threshold() -> None:
    counts = np.array([[0, 1], [1, 1], [2, 1], [3, 1], [0, 1], [2, 1]], float)
    repeat, most = repeats(counts)  # mean of 1, 2, 3, 2 is 2: (2 - 1) / 2
    np.testing.assert_allclose(repeat, [0.5, 0.0])
    np.testing.assert_allclose(most, [3.0, 1.0])


def test_only_positive_skewed_values_become_logarithms() -> None:
    money = np.exp(np.random.default_rng(0).normal(size=500))
    values = np.stack([money, -money, np.linspace(1, 2, 500)], axis=1)
    scales = value_scales(values, np.ones((500, 3), bool))
    assert scales.logarithmic.tolist() == [True, False, False]
    standard = standard_values(values, scales)
    np.testing.assert_allclose(standard.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(standard.std(axis=0), 1.0)
    assert (scales.low[0], scales.high[0]) == (money.min(), money.max())


def test_prices_are_found_by_what_was_offered_and_drawn_as_logged() -> None:
    catalog = ActionCatalog.of(lamp_shop())
    action = np.repeat([SEND, ESCALATE], 40)
    listed = np.where(action == SEND, 4.0, np.tile([15.0, 15.0, 15.0, 23.0], 20))
    unrelated = np.tile([5.0, 20.0], 40)  # two amounts, but no offer decides which
    many = np.arange(80.0)  # decided by the offer, but no list
    values = np.stack([listed, unrelated, many], axis=1)
    found = price_lists(values, np.ones((80, 3), bool), action, catalog, 8)
    assert found.listed.tolist() == [True, False, False]
    assert found.prices[SEND, 0].tolist() == [4.0] * 8
    assert found.prices[ESCALATE, 0].tolist() == [15.0] * 6 + [23.0] * 2


def test_an_action_with_few_events_borrows_the_prices_of_all() -> None:
    catalog = ActionCatalog.of(lamp_shop())
    action = np.repeat([SEND, ESCALATE, EXIT], [30, 30, 1])
    values = np.repeat([4.0, 8.0, 9.0], [30, 30, 1])[:, None]
    found = price_lists(values, np.ones((61, 1), bool), action, catalog, 4)
    assert found.prices[EXIT, 0].tolist() == [4.0, 4.0, 8.0, 8.0]


def test_availability_of_a_slot_never_logged_is_certain() -> None:
    shares = availability(np.array([True, False, True]), np.array([0, 0, 3]), 3)
    np.testing.assert_allclose(shares, [2 / 3, 1.0, 1.0])


def test_recalibration_undoes_a_planted_distortion() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(-1.0, 1.5, 40_000)
    happened = rng.random(40_000) < 1 / (1 + np.exp(-true))
    logits = torch.tensor(2.0 * true + 0.7)[:, None]  # overconfident and too high
    slope, shift = recalibrate(
        logits, torch.tensor(happened)[:, None], torch.ones(40_000, 1, dtype=torch.bool)
    )
    assert float(slope) == pytest.approx(0.5, abs=0.02)
    assert float(shift) == pytest.approx(-0.35, abs=0.04)


def test_recalibration_on_a_handful_of_rows_stays_near_the_fit() -> None:
    logits = torch.tensor([[-2.0], [-1.0], [0.0], [1.0]])
    against = torch.tensor([[1.0], [1.0], [0.0], [0.0]])  # the opposite of what was predicted
    slope, _ = recalibrate(logits, against, torch.ones(4, 1))
    assert 0.75 < float(slope) < 1.0


def test_recalibration_leaves_a_head_without_rows_alone() -> None:
    slope, shift = recalibrate(torch.full((9, 1), 2.0), torch.ones(9, 1), torch.zeros(9, 1))
    assert (float(slope), float(shift)) == (1.0, 0.0)


def test_calibration_matches_hand_calculation() -> None:
    chance = np.array([0.2] * 5 + [0.6] * 5)
    happened = np.array([1, 0, 0, 0, 0, 1, 1, 1, 1, 0], bool)
    result = head_calibration("clicked", chance, happened, 0.5, learned=True)
    # each of the ten bins holds one decision: |0.2 - y| and |0.6 - y| averaged
    assert result.ece == pytest.approx((0.8 + 4 * 0.2 + 4 * 0.4 + 0.6) / 10)
    assert result.brier == pytest.approx((0.64 + 4 * 0.04 + 4 * 0.16 + 0.36) / 10)
    assert result.constant_log_loss == pytest.approx(np.log(2))
    assert (result.events, result.base_rate, result.n) == (5, 0.5, 10)


def test_wilson_interval_matches_the_published_formula() -> None:
    # 0 of 10: upper end z^2 / (n + z^2) = 3.8415 / 13.8415
    low, high = wilson(0.0, 10)
    assert low == 0.0
    assert high == pytest.approx(0.27753, abs=1e-5)
    assert wilson(10.0, 10) == pytest.approx((1.0 - 0.27753, 1.0), abs=1e-5)
    # 3 of 10: centre (0.3 + 0.19207) / 1.38415, half 1.96 sqrt(0.021 + 0.0096) / 1.38415
    assert wilson(3.0, 10) == pytest.approx((0.10779, 0.60322), abs=1e-5)


def test_heads_that_were_not_learned_are_listed() -> None:
    heads = tuple(
        head_calibration(name, np.full(2, 0.5), np.array([True, False]), 0.5, name != "left")
        for name in ("clicked", "left", "viewed")
    )
    assert [one.head for one in heads if not one.learned] == ["left"]


def test_calibration_without_decisions_is_refused() -> None:
    with pytest.raises(ShapeError, match="n > 0"):
        head_calibration("clicked", np.zeros(0), np.zeros(0, bool), 0.1, learned=True)


def test_a_row_of_weight_2_counts_as_two_rows() -> None:
    rng = np.random.default_rng(0)
    chance = np.sort(rng.random(200))
    happened = rng.random(200) < chance
    weight = np.where(np.arange(200) < 100, 2.0, 1.0)
    weighted = head_calibration("clicked", chance, happened, 0.5, True, weight)
    twice = np.repeat(np.arange(200), weight.astype(int))
    repeated = head_calibration("clicked", chance[twice], happened[twice], 0.5, True)
    for name in ("predicted_rate", "base_rate", "brier", "log_loss", "constant_log_loss"):
        assert getattr(weighted, name) == pytest.approx(getattr(repeated, name)), name
    assert (weighted.n, weighted.events) == (200, happened.sum())
    scaled = head_calibration("clicked", chance, happened, 0.5, True, weight / 1000.0)
    assert scaled.log_loss == pytest.approx(weighted.log_loss)  # the size of weights is nothing


def test_weights_let_a_confounded_head_look_calibrated() -> None:
    # Half the rows are eager (chance 0.6, else 0.2) and were chosen with propensity 0.8, else 0.2.
    rng = np.random.default_rng(1)
    eager = rng.random(40_000) < 0.5
    chosen = rng.random(40_000) < np.where(eager, 0.8, 0.2)
    happened = (rng.random(40_000) < np.where(eager, 0.6, 0.2))[chosen]
    weight = (0.5 / np.where(eager, 0.8, 0.2))[chosen]
    truth = np.full(len(happened), 0.4)  # what choosing at random would bring
    assert head_calibration("a", truth, happened, 0.4, True, weight).ece < 0.02
    assert head_calibration("a", truth, happened, 0.4, True).ece > 0.1


def test_weights_that_are_all_0_are_refused() -> None:
    with pytest.raises(ShapeError, match="not all 0"):
        head_calibration("a", np.ones(3), np.ones(3, bool), 0.1, True, np.zeros(3))
