"""Errors, layers and units of the network behind neural-linear Thompson sampling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from nurture_rl.bandits.action_design import ContextMoments
from nurture_rl.bandits.neural_linear_thompson import (
    NeuralLinearThompsonConfig,
    _error,
    _features,
    _network,
    _unscaled,
    fit_neural_linear_thompson,
)
from nurture_rl.learned.training_log import TrainingLog
from tests.unit.bandits.planted_log import planted, silent

LOG = planted(600, seed=4).log
CONFIG = NeuralLinearThompsonConfig(hidden=(4,), epochs=3, draws=8)


def errors(log: TrainingLog, config: NeuralLinearThompsonConfig = CONFIG) -> list[float]:
    """The error on contacts set aside after each pass."""
    seen: list[float] = []
    fit_neural_linear_thompson(log, config, 0, lambda _, told: seen.append(told["set_aside_error"]))
    return seen


def test_the_error_is_the_mean_square_of_the_logged_actions() -> None:
    layer = nn.Linear(2, 3)
    nn.init.zeros_(layer.weight)
    with torch.no_grad():
        layer.bias.copy_(torch.tensor([1.0, 5.0, -2.0]))
    network = nn.Sequential(layer)
    x, action, y = torch.zeros(2, 2), torch.tensor([1, 2]), torch.tensor([2.0, -1.0])
    assert float(_error(network, x, action, y).detach()) == (3.0**2 + 1.0**2) / 2


def test_level_and_unit_of_returns_do_not_matter_to_the_network() -> None:
    moved = replace(LOG, returns=3.0 * LOG.returns - 200.0)
    assert errors(moved) == pytest.approx(errors(LOG), rel=1e-3)


def test_a_tenth_of_the_contacts_is_set_aside_and_the_rest_is_learned_from() -> None:
    # Of 300 contacts; a batch larger than all rows makes a pass one step.
    config = replace(CONFIG, batch=10_000)
    sizes: list[int] = []
    forward: Callable[..., torch.Tensor] = nn.Sequential.forward

    def watched(self: nn.Sequential, given: torch.Tensor) -> torch.Tensor:
        sizes.append(len(given))
        return forward(self, given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.Sequential, "forward", watched)
        fit = fit_neural_linear_thompson(LOG, config, 0, silent).fit
    learned, judged = sizes[:2]
    assert learned + judged == fit["rows"]
    assert 0.04 < judged / fit["rows"] < 0.18
    assert fit["clusters"] == 300.0


def test_layers_end_without_a_unit() -> None:
    kinds = [type(layer) for layer in _network((3, 4, 2), torch.Generator().manual_seed(0))]
    assert kinds == [nn.Linear, nn.Tanh, nn.Linear]


def test_features_are_the_last_hidden_units() -> None:
    moments = ContextMoments.of(LOG.features)
    layers = [(torch.tensor([[1.0, 0.0, -2.0]]), torch.tensor([0.25]))]
    x = ((LOG.features - moments.mean) / moments.scale).astype(np.float64)
    expected = np.tanh(x[:, 0] - 2.0 * x[:, 2] + 0.25)
    assert _features(layers, moments, LOG)[:, 0] == pytest.approx(expected, abs=1e-5)


def test_maps_of_standardised_units_say_the_same_of_raw_ones() -> None:
    rng = np.random.default_rng(0)
    hidden = rng.normal(3.0, 2.0, (50, 2)).astype(np.float32)
    scaled = ContextMoments.of(hidden)
    maps = rng.normal(size=(4, 3, 5))  # [a, h + 1, m]
    raw = np.column_stack([np.ones(50), hidden])
    found = np.einsum("nh,mah->nam", raw, _unscaled(maps, scaled))
    assert found == pytest.approx(np.einsum("nh,ahm->nam", scaled.extended(hidden), maps))
