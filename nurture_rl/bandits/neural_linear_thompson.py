"""Neural-linear Thompson sampling: a network finds features, linear regression knows its doubt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import inf

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nurture_rl.bandits.action_design import ActionDesign, ContextMoments
from nurture_rl.bandits.linear_posterior import Sample, fit_posterior
from nurture_rl.learned.choice_rules import Vote
from nurture_rl.learned.scored import REACH, ScoredModule, ScoredPolicy
from nurture_rl.learned.setting_ranges import require_layers, require_settings
from nurture_rl.learned.training_log import Progress, TrainingLog

FloatArray = NDArray[np.float64]


Layers = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class NeuralLinearThompsonConfig:
    """How to train the network, to fit its last layer and to explore."""

    hidden: tuple[int, ...] = (64, 32)  # tanh units of each layer; the last are the features
    epochs: int = 80  # passes over the rows, at most
    patience: int = 10  # passes without a better error on contacts set aside, then training ends
    batch: int = 256  # rows of a gradient step
    learning_rate: float = 3e-3  # of Adam, > 0
    weight_decay: float = 1e-4  # of Adam, >= 0
    draws: int = 128  # posterior draws that vote on the best action
    floor: float = 0.002  # least probability of a legal action
    ridge: float | None = None  # prior precision over noise precision; None: by evidence
    multipliers: int = 256  # sign vectors that measure the clustering by contact

    def __post_init__(self) -> None:
        require_settings(
            self,
            patience=(1, inf),
            weight_decay=(0.0, inf),
        )
        require_layers(self)


def fit_neural_linear_thompson(
    log: TrainingLog, config: NeuralLinearThompsonConfig, seed: int, progress: Progress
) -> ScoredPolicy:
    """Learn features by a small network, then do linear Thompson sampling on them.

        h(x) = last hidden layer,    R = phi(h(x), a)^T theta + noise,    theta ~ posterior

    The network predicts the return of every action from the context and is trained on the logged
    one. Its last layer is then thrown away and replaced by exact Bayesian linear regression on the
    features h, the same as `linear_thompson` does on the context itself: shared over the actions'
    factors, clustered by contact. Draws of the posterior vote for the best legal action.

    It finds what no linear model can, and needs more rows for it. The doubt is that of the last
    layer alone: the features are taken as given, although they came from the same rows, so with a
    small log it is too sure. Training ends where the error on a tenth of the contacts stops
    falling.

    A return is what the logging policy made of the rest of the episode, so this improves one
    decision at a time. Rows with one legal action show no choice and are left out.

    Args:
        log: the decisions.
        config: how to train, to fit and to explore.
        seed: of the contacts set aside, of weights and batches, of the signs of the clustering
            measure, then of the draws.
        progress: is told the error on contacts set aside, as a share of the variance of a return,
            after each pass.

    Returns:
        The policy; its `fit` tells rows with a choice, contacts, the variance of a return around
        the model (`noise`, unit^2), `design_effect` and `effective_parameters` as that of
        `linear_thompson`, and the smallest error on contacts set aside (`set_aside_error`, a share
        of the variance).

    Raises:
        FitError: `fit_posterior` cannot work with so little.

    Source: Riquelme et al. (2018), Deep Bayesian Bandits Showdown; Snoek et al. (2015).
    """
    rng = np.random.default_rng(seed)
    rows = log.take(log.choice)
    moments = ContextMoments.of(rows.features)
    layers, error = _trained(rows, moments, config, rng, progress)
    hidden = _features(layers, moments, rows)
    sample = Sample(hidden, rows.action, rows.returns, rows.code)
    scaled = ContextMoments.of(hidden)
    design = ActionDesign(log.catalog.factors)
    posterior = fit_posterior(sample, scaled, design, rng, config.ridge, config.multipliers)
    maps = _unscaled(posterior.maps(posterior.coefficients(config.draws, rng)), scaled)
    module = ScoredModule((moments.mean, moments.scale), layers, maps, Vote(), config.floor)
    fit = {
        "rows": float(rows.action.size),
        "clusters": float(rows.code.max()) + 1.0,
        "noise": posterior.noise,
        "design_effect": posterior.design_effect,
        "effective_parameters": posterior.effective_parameters,
        "set_aside_error": error,
    }
    return ScoredPolicy(log.catalog.hash, log.columns, module, fit)


def _trained(
    rows: TrainingLog,
    moments: ContextMoments,
    config: NeuralLinearThompsonConfig,
    rng: np.random.Generator,
    progress: Progress,
) -> tuple[Layers, float]:
    """Hidden layers of the pass with the smallest error on contacts set aside, and that error."""
    x = torch.tensor(moments.extended(rows.features)[:, 1:], dtype=torch.float32)
    x = x.clamp(-REACH, REACH)
    spread = max(float(rows.returns.std()), 1e-12)
    y = torch.tensor((rows.returns - rows.returns.mean()) / spread, dtype=torch.float32)
    action = torch.tensor(rows.action)
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    network = _network((x.shape[1], *config.hidden, len(rows.catalog)), generator)
    adam = torch.optim.Adam(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    aside = torch.tensor((rng.random(int(rows.code.max()) + 1) < 0.1)[rows.code])
    if not aside.any() or aside.all():
        aside = torch.arange(len(y)) % 10 == 0
    train, test = (~aside).nonzero()[:, 0], aside.nonzero()[:, 0]
    best, kept, since = inf, _hidden(network), 0
    for epoch in range(config.epochs):
        for batch in _batches(train, config.batch, generator):
            adam.zero_grad()
            _error(network, x[batch], action[batch], y[batch]).backward()  # type: ignore[no-untyped-call]
            adam.step()
        with torch.no_grad():
            error = float(_error(network, x[test], action[test], y[test]))
        progress(epoch, {"set_aside_error": error})
        since += 1
        if error < best:
            best, kept, since = error, _hidden(network), 0
        if since >= config.patience:
            break
    return kept, best


def _error(network: nn.Sequential, x: Tensor, action: Tensor, y: Tensor) -> Tensor:
    predicted: Tensor = network(x).gather(1, action[:, None])[:, 0]
    return ((predicted - y) ** 2).mean()


def _batches(rows: Tensor, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    order = rows[torch.randperm(len(rows), generator=generator)]
    yield from torch.split(order, size)


def _network(widths: tuple[int, ...], generator: torch.Generator) -> nn.Sequential:
    """Linear and tanh layers in turn; weights are drawn, the global generator is left alone."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layer = nn.Linear(inputs, outputs, device="meta").to_empty(device="cpu")
        nn.init.xavier_uniform_(layer.weight, generator=generator)
        nn.init.zeros_(layer.bias)
        layers += [layer, nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def _hidden(network: nn.Sequential) -> Layers:
    linear = [layer for layer in network if isinstance(layer, nn.Linear)][:-1]
    return [(layer.weight.detach().clone(), layer.bias.detach().clone()) for layer in linear]


def _features(layers: Layers, moments: ContextMoments, rows: TrainingLog) -> NDArray[np.float32]:
    """The last hidden layer, as the policy will work it out, [n, h]."""
    width = len(layers[-1][1])
    units = np.eye(width, width + 1, k=1)[None]  # the score of each "action" is one unit
    module = ScoredModule((moments.mean, moments.scale), layers, units, Vote())
    return module.scores(torch.tensor(rows.features))[:, :, 0].float().numpy()


def _unscaled(maps: FloatArray, scaled: ContextMoments) -> FloatArray:
    """Maps of [1, (h - mean) / scale] [a, h + 1, m] as maps of [1, h], [m, a, h + 1]."""
    slopes = maps[:, 1:] / scaled.scale[:, None]
    offset = maps[:, 0] - np.einsum("ahm,h->am", slopes, scaled.mean)
    return np.concatenate([offset[:, None], slopes], axis=1).transpose(2, 0, 1)
