"""Features found by a network, and a posterior on them that is the linear one's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nurture_rl.bandits.action_design import ActionDesign, ContextMoments
from nurture_rl.bandits.linear_posterior import Sample, fit_posterior
from nurture_rl.bandits.linear_thompson import LinearThompsonConfig, fit_linear_thompson
from nurture_rl.bandits.neural_linear_thompson import (
    NeuralLinearThompsonConfig,
    fit_neural_linear_thompson,
)
from nurture_rl.errors import FitError
from nurture_rl.learned.scored import ScoredPolicy
from tests.unit.bandits.planted_log import FOUR, crossing, exclusive, planted, silent


@pytest.fixture(scope="module")
def learned() -> ScoredPolicy:
    log = planted(8000, seed=1, truth=exclusive, noise=2.0).log
    return fit_neural_linear_thompson(log, NeuralLinearThompsonConfig(), 0, silent)


@pytest.mark.slow
def test_a_truth_that_is_not_linear_is_learned_where_a_linear_model_fails(
    learned: ScoredPolicy,
) -> None:
    rows = planted(8000, seed=1, truth=exclusive, noise=2.0)
    assert rows.value(learned) > 0.9
    linear = fit_linear_thompson(rows.log, LinearThompsonConfig(draws=32), 0, silent)
    assert rows.value(linear) < 0.3  # negative control


@pytest.mark.slow
def test_a_linear_truth_is_learned_too() -> None:
    rows = planted(4000, seed=2, truth=crossing)
    config = NeuralLinearThompsonConfig(hidden=(16,), epochs=30)
    assert rows.value(fit_neural_linear_thompson(rows.log, config, 0, silent)) > 0.9


@pytest.mark.slow
def test_what_the_network_leaves_is_the_noise(learned: ScoredPolicy) -> None:
    assert learned.fit["noise"] == pytest.approx(4.0, rel=0.25)  # planted: 2^2
    share = 4.0 / planted(8000, seed=1, truth=exclusive, noise=2.0).log.returns.var()
    assert share < learned.fit["set_aside_error"] < 1.25 * share


@pytest.mark.slow
def test_draws_are_the_posterior_of_the_last_hidden_layer(learned: ScoredPolicy) -> None:
    rows = planted(8000, seed=1, truth=exclusive, noise=2.0).log
    rows = rows.take(rows.choice)
    module = learned.module
    x = (torch.tensor(rows.features).double() - module.mean) / module.scale
    hidden = x.clamp(-10.0, 10.0).float()
    for index in range(module.depth):
        weight = getattr(module, f"weight_{index}")
        hidden = torch.tanh(hidden @ weight.T + getattr(module, f"bias_{index}"))
    sample = Sample(hidden.numpy(), rows.action, rows.returns, rows.code)
    moments, design = ContextMoments.of(sample.features), ActionDesign(FOUR.factors)
    posterior = fit_posterior(sample, moments, design, np.random.default_rng(0), None, 256)
    some = torch.tensor(rows.features[:200])
    draws = module.scores(some).numpy()  # [n, a, draws]
    context = moments.extended(sample.features[:200])
    spread = posterior.maps(posterior.axes * posterior.stderr)
    spread = spread - posterior.maps(np.zeros((posterior.mean.size, 1)))
    mean = context @ posterior.mean_map().T
    error = np.sqrt((np.einsum("nh,ahp->nap", context, spread) ** 2).sum(axis=2))
    off = (draws.mean(axis=2) - mean) / error
    assert np.abs(off).mean() < 3.0 / np.sqrt(128)
    assert (draws.std(axis=2) / error).mean() == pytest.approx(1.0, abs=0.15)


def test_every_pass_is_told_and_training_ends_when_nothing_improves() -> None:
    noise = planted(600, seed=3, truth=lambda x: np.zeros((len(x), 4)))
    seen: list[float] = []
    config = NeuralLinearThompsonConfig(epochs=50, patience=3)
    fit_neural_linear_thompson(
        noise.log, config, 0, lambda _, told: seen.append(told["set_aside_error"])
    )
    assert 4 <= len(seen) < 50
    assert min(seen) == min(seen[:-3])


def test_another_seed_gives_another_network_and_the_global_generator_is_left_alone() -> None:
    log = planted(400, seed=4).log
    config = NeuralLinearThompsonConfig(hidden=(4,), epochs=1)
    before = torch.random.get_rng_state()
    one, other = (fit_neural_linear_thompson(log, config, seed, silent) for seed in (1, 2))
    assert not torch.equal(one.module.weight_0, other.module.weight_0)  # type: ignore[arg-type]
    assert torch.equal(torch.random.get_rng_state(), before)


def test_layers_without_units_are_refused() -> None:
    for hidden in ((), (8, 0)):
        with pytest.raises(FitError, match="hidden of NeuralLinearThompson must be "):
            NeuralLinearThompsonConfig(hidden=hidden)
