"""Where the members of an ensemble start: their bootstrap, and what actions do on average."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nurture_envs.worlds.heads import ResponseModel
from nurture_rl.simulator.network_training import TrainingRows

_STEPS = 12
_WIDEST = 12.0  # log-odds


def bootstrap(cluster: Tensor, members: int, generator: torch.Generator) -> Tensor:
    """How often each member draws each row, [E, n] f32: contacts are drawn, with all their rows.

    Poisson counts with mean 1 stand for drawing as many contacts as there are with replacement. An
    ensemble of one is fitted to the log itself.

    Source: Efron (1979), Bootstrap Methods; Oza & Russell (2001), Online Bagging and Boosting.
    """
    contacts, row = torch.unique(cluster, return_inverse=True)
    if members == 1:
        return torch.ones((1, len(cluster)))
    drawn = torch.poisson(torch.ones((members, len(contacts))), generator=generator)
    # Only with very few contacts can a draw be empty.
    drawn[drawn.sum(dim=1) == 0] = 1.0
    return drawn[:, row]


@torch.no_grad()
def initialise(
    model: ResponseModel,
    rows: TrainingRows,
    drawn: Tensor,
    precision: float,
    generator: torch.Generator,
) -> None:
    """Start every head at what each action does on average, with nothing known of features.

    Args:
        model: to be written to.
        rows: training rows.
        drawn: times each row counts, [n].
        precision: of an action's effect, log-odds**-2.
        generator: draws the trunk's first weights.
    """
    entering = model.sizes.features + model.sizes.embedding
    for name, parameter in model.weights().items():
        if name.startswith("trunk_") and not name.endswith("bias"):
            fan = entering if name in ("trunk_0", "trunk_own") else parameter.shape[1]
            bound = math.sqrt(6.0 / fan)
            even = torch.rand(parameter.shape, generator=generator)
            parameter.copy_(bound * (2.0 * even - 1.0))
        elif name in ("left", "right"):
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    weight = (drawn * rows.weight)[:, None]
    shape = (model.sizes.actions, model.sizes.counts)
    bins = torch.zeros(shape, device=weight.device)
    bins.index_add_(0, rows.action, weight * rows.used * rows.exposure)
    events = torch.zeros(shape, device=weight.device)
    events.index_add_(0, rows.action, weight * rows.used * rows.happened)
    own, bias = action_effects(model.embedding, bins, events, precision)
    model.own[: shape[1]] = own
    model.bias[: shape[1]] = bias


def action_effects(
    embedding: Tensor, bins: Tensor, events: Tensor, precision: float
) -> tuple[Tensor, Tensor]:
    """Log-odds of each head by action columns alone: effects [H, k] and intercepts [H].

    Ridge-penalised logistic regression on counts, by damped Newton steps.

    Args:
        embedding: columns of each action, [a, k].
        bins: bins after each action, [a, H].
        events: bins with the event, [a, H], at most `bins`.
        precision: of an effect's Gaussian prior.
    """
    z = torch.cat([embedding, torch.ones_like(embedding[:, :1])], dim=1).double()
    n, y = bins.T.double(), torch.minimum(events, bins).T.double()
    base = (y.sum(1) + 0.5) / (n.sum(1) + 1.0)  # never 0 or 1
    beta = torch.zeros((len(n), z.shape[1]), dtype=torch.float64, device=z.device)
    beta[:, -1] = torch.logit(base)
    prior = torch.full((z.shape[1],), precision, dtype=torch.float64, device=z.device)
    prior[-1] = 1e-3
    for _ in range(_STEPS):
        p = torch.sigmoid((beta @ z.T).clamp(-_WIDEST, _WIDEST))
        slope = (n * p - y) @ z + prior * beta
        curve = torch.einsum("ha,ak,al->hkl", n * p * (1.0 - p), z, z) + torch.diag(prior)
        beta = beta - torch.linalg.solve(curve, slope).clamp(-1.0, 1.0)
    return beta[:, :-1].float(), beta[:, -1].float()
