"""What members are trained by: likelihood, bootstrap, first weights, requirements."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nurture_envs.worlds.heads import Heads
from nurture_rl.errors import FitError
from nurture_rl.simulator.chains import hard_requirements
from nurture_rl.simulator.fit import fit_world
from nurture_rl.simulator.initial import action_effects, bootstrap
from nurture_rl.simulator.network_training import TrainingConfig, thinned_nll, thinned_slope
from tests.unit.simulator.lamp_shop import QUICK, SEND, lamp_log, lamp_shop, silent

Z = torch.linspace(-30.0, 30.0, 41, dtype=torch.float64)[:, None]


@pytest.mark.parametrize("y", [0.0, 1.0])
def test_full_exposure_gives_the_plain_cross_entropy(y: float) -> None:
    happened = torch.full_like(Z, y)
    plain = torch.nn.functional.binary_cross_entropy_with_logits(Z, happened, reduction="none")
    torch.testing.assert_close(thinned_nll(Z, happened, torch.ones_like(Z)), plain)
    slope = thinned_slope(Z, happened, torch.ones_like(Z))
    torch.testing.assert_close(slope, torch.sigmoid(Z) - y)


def test_thinned_likelihood_matches_hand_calculation() -> None:
    # hazard 1/2, known with chance 0.4: -log(1 - 0.2) where nothing is known; a known event
    # costs -log(0.5) up to the constant -log(0.4)
    z, exposure = torch.zeros(2, 1), torch.full((2, 1), 0.4)
    found = thinned_nll(z, torch.tensor([[0.0], [1.0]]), exposure)
    np.testing.assert_allclose(found[:, 0], [-np.log(0.8), -np.log(0.5)], rtol=1e-6)


@pytest.mark.parametrize("exposure", [0.01, 0.5, 0.999])
def test_the_written_slope_is_the_derivative(exposure: float) -> None:
    for y in (0.0, 1.0):
        z = Z.clone().requires_grad_()
        known, happened = torch.full_like(Z, exposure), torch.full_like(Z, y)
        (slope,) = torch.autograd.grad(thinned_nll(z, happened, known).sum(), z)
        torch.testing.assert_close(thinned_slope(Z, happened, known), slope)


def test_bootstrap_draws_contacts_with_all_their_rows() -> None:
    cluster = torch.arange(4000).repeat_interleave(3)
    drawn = bootstrap(cluster, 4, torch.Generator().manual_seed(0)).view(4, 4000, 3)
    assert torch.equal(drawn[..., 0], drawn[..., 1])
    assert torch.equal(drawn[..., 0], drawn[..., 2])
    # Poisson with mean 1: e^-1 of the contacts are left out, by every member others
    np.testing.assert_allclose((drawn[..., 0] == 0).double().mean(1), np.exp(-1), atol=0.03)
    assert not torch.equal(drawn[0], drawn[1])


def test_an_ensemble_of_one_is_fitted_to_the_log_itself() -> None:
    assert bool((bootstrap(torch.arange(9), 1, torch.Generator()) == 1.0).all())


def test_action_effects_are_the_counted_odds_where_counts_are_many() -> None:
    bins = torch.full((2, 1), 1e6)
    own, bias = action_effects(torch.eye(2), bins, torch.tensor([[1e5], [5e5]]), 1.0)
    odds = (own @ torch.eye(2) + bias[:, None])[0]
    np.testing.assert_allclose(odds, [np.log(1 / 9), 0.0], atol=1e-3)


def test_action_effects_of_few_counts_stay_near_the_others() -> None:
    bins, events = torch.tensor([[1e5], [4.0]]), torch.tensor([[2e4], [0.0]])
    own, bias = action_effects(torch.eye(2), bins, events, 1.0)
    chance = torch.sigmoid((own + bias)[0])
    assert float(chance[0]) == pytest.approx(0.2, abs=0.002)
    assert 0.05 < float(chance[1]) < 0.2


def test_what_always_or_never_happened_has_effects_that_are_finite() -> None:
    bins = torch.full((2, 2), 100.0)
    events = torch.tensor([[100.0, 0.0], [100.0, 0.0]])
    own, bias = action_effects(torch.eye(2), bins, events, 1.0)
    always, never = torch.sigmoid(own + bias[:, None])
    assert bool((always > 0.98).all() & (always < 1.0).all())
    np.testing.assert_allclose(never, 1.0 - always, atol=1e-4)  # the two mirror each other


@pytest.mark.parametrize("without, required", [(24, False), (26, True)])
def test_a_requirement_needs_ten_expected_events_without_it(without: int, required: bool) -> None:
    # 40 % of all bins have the later head: 26 bins without the earlier one lack 10.4 events
    n = 1000
    earlier = np.arange(n) >= without
    later = np.zeros(n, bool)
    later[-400:] = True
    table = hard_requirements(np.stack([earlier, later], axis=1), np.zeros(n, np.int64), 1)
    assert bool(table[1, 0]) is required
    assert not table[0].any()
    later[0] = True  # one event alone refutes it
    once = hard_requirements(np.stack([earlier, later], axis=1), np.zeros(n, np.int64), 1)
    assert not once.any()


def test_what_an_action_never_brings_is_no_requirement() -> None:
    # clicks follow sends only, as deliveries do; waits expect neither
    action = np.repeat([0, 1], 500)
    delivered = (action == 0) & (np.arange(1000) % 100 != 0)
    clicked = (action == 0) & (np.arange(1000) % 10 == 5)
    table = hard_requirements(np.stack([delivered, clicked], axis=1), action, 2)
    assert not table.any()


@pytest.mark.slow
def test_rates_are_of_what_happened_not_of_what_is_known_yet() -> None:
    journey, data = lamp_shop(), lamp_log(1500, seed=3)
    channel = journey.channel_index("bought")
    young = data.cluster % 2 == 0
    unknown = young & (np.random.default_rng(0).random(len(young)) < 0.6)
    amounts = data.amounts.copy()
    amounts[unknown, channel] = amounts[unknown, journey.channel_index("bought.value")] = 0.0
    exposure = np.ones_like(amounts)
    exposure[young, channel] = 0.4
    late = replace(data, amounts=amounts, exposure=exposure)
    config = replace(QUICK, training=replace(QUICK.training, epochs=8))

    def mean_hazard(log: object) -> float:
        world = fit_world(log, journey, config, 0, silent).world  # type: ignore[arg-type]
        features = torch.tensor([[1.0], [0.0], [1.0]])
        chance = world.hazards(features, torch.tensor([SEND]))
        return float(chance[:, Heads.of(journey).counts.index("bought"), 0].mean())

    # 0.04: two standard deviations of a fit to 1,500 contacts
    assert mean_hazard(late) == pytest.approx(0.2, abs=0.04)
    assert mean_hazard(replace(late, exposure=None)) < 0.165  # negative control: 0.2 * 0.7


@pytest.mark.slow
def test_a_row_of_weight_two_counts_as_two_rows() -> None:
    journey, data = lamp_shop(), lamp_log(1500, seed=4)
    bought = data.amounts[:, journey.channel_index("bought")] > 0
    weighted = replace(data, weight=np.where(bought, 3.0, 1.0))

    def odds(log: object) -> float:
        world = fit_world(log, journey, QUICK, 0, silent).world  # type: ignore[arg-type]
        chance = world.hazards(torch.tensor([[1.0], [0.0], [1.0]]), torch.tensor([SEND]))
        p = float(chance[:, Heads.of(journey).counts.index("bought"), 0].mean())
        return p / (1 - p)

    assert odds(weighted) / odds(data) == pytest.approx(3.0, rel=0.15)


def test_bins_that_are_not_matured_count_for_nothing() -> None:
    data = lamp_log(60, seed=2)
    late = data.step >= 4
    censored = replace(data, matured=~late)
    amounts = data.amounts.copy()
    amounts[late] = 1.0
    clean = fit_world(censored, lamp_shop(), QUICK, 0, silent)
    dirty = fit_world(replace(censored, amounts=amounts), lamp_shop(), QUICK, 0, silent)
    blind = fit_world(replace(data, amounts=amounts), lamp_shop(), QUICK, 0, silent)
    assert clean.calibration == dirty.calibration
    assert clean.calibration != blind.calibration  # negative control: the rows do matter


@pytest.mark.slow
def test_a_small_log_of_chance_stays_close_to_its_base_rate() -> None:
    journey, data = lamp_shop(), lamp_log(60, seed=5)
    clicked, sent = journey.channel_index("clicked"), data.action == SEND
    amounts = data.amounts.copy()
    amounts[:, clicked] = sent & (np.random.default_rng(0).random(len(sent)) < 0.4)
    data = replace(data, amounts=amounts)

    def span(precision: float) -> float:
        """Log-odds of a click by which sizes of -2 to 2 differ."""
        training = TrainingConfig(learning_rate=1e-2, patience=40, prior_precision=precision)
        config = replace(QUICK, members=1, training=training)
        world = fit_world(data, journey, config, 0, silent).world
        features = torch.tensor([[1.0, 1.0], [-2.0, 2.0], [1.0, 1.0]])
        chance = world.hazards(features, torch.tensor([SEND, SEND]))
        low, high = torch.logit(chance[0, Heads.of(journey).counts.index("clicked")])
        return abs(float(high - low))

    assert span(40.0) < 0.25
    assert span(0.1) > 0.5  # negative control


def test_training_stops_after_so_many_epochs_without_a_better_loss() -> None:
    losses: list[float] = []
    training = TrainingConfig(epochs=100, steps=100_000, learning_rate=3e-2, patience=3)
    config = replace(QUICK, members=1, training=training)
    data = lamp_log(60, seed=5)
    fit_world(data, lamp_shop(), config, 0, lambda _, loss: losses.append(loss))
    best = [int(np.argmin(losses[: epoch + 1])) for epoch in range(len(losses))]
    waited = [epoch - place for epoch, place in enumerate(best)]
    assert waited[-1] == 3
    assert max(waited[:-1]) == 2  # it went on after two epochs in vain
    assert 10 < len(losses) < 100


def test_training_ends_after_the_epochs_that_are_asked_for() -> None:
    epochs: list[int] = []
    training = TrainingConfig(epochs=5, steps=100_000, patience=100)
    config = replace(QUICK, members=1, training=training)
    fit_world(lamp_log(60, seed=5), lamp_shop(), config, 0, lambda epoch, _: epochs.append(epoch))
    assert epochs == [0, 1, 2, 3, 4]


def test_a_world_without_members_is_refused() -> None:
    with pytest.raises(FitError, match="at least 1 member, got 0"):
        fit_world(lamp_log(20, seed=0), lamp_shop(), replace(QUICK, members=0), 0, silent)
