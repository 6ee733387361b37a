"""Maximum-likelihood training of a response model, with early stopping on unseen contacts."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nurture_envs.worlds.heads import ResponseModel

Progress = Callable[[int, float], None]  # epoch, tuning loss


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """How the network is trained."""

    epochs: int = 40
    patience: int = 5  # epochs without a better tuning loss
    batch: int = 1024  # rows
    learning_rate: float = 3e-3  # falls to a tenth over the epochs
    prior_precision: float = 40.0  # of weights: what few events cannot outweigh stays near 0
    action_precision: float = 1.0  # of an action's own effect on a head, log-odds**-2


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Training rows as tensors."""

    features: Tensor  # [n, d] f32
    action: Tensor  # [n] i64
    happened: Tensor  # [n, H] f32, 0 or 1
    values: Tensor  # [n, V] f32, on the standard scale
    valued: Tensor  # [n, V] f32, 1 where the value exists

    def take(self, rows: Tensor) -> Rows:
        """Some of the rows."""
        return Rows(*(getattr(self, name)[rows] for name in Rows.__slots__))


def initialise(model: ResponseModel, base_rates: Tensor, generator: torch.Generator) -> None:
    """Start every head at its base rate [H], with nothing known of features and actions."""
    for layer in model.trunk:
        assert isinstance(layer, nn.Linear)
        nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu", generator=generator)
    for layer in (model.left, model.right):
        nn.init.normal_(layer.weight, std=0.2, generator=generator)
    with torch.no_grad():
        model.linear.bias[: len(base_rates)] = torch.logit(base_rates.clamp(1e-6, 1 - 1e-6))


def loss(model: ResponseModel, rows: Rows) -> Tensor:
    """Negative log-likelihood a row: Bernoulli hazards, Gaussian standard values."""
    out = model.raw(rows.features, rows.action)
    logits, means = out[:, : model.sizes.counts], out[:, model.sizes.counts :]
    # A head that cannot fire after an action has hazard 0 there and nothing to learn from it.
    possible = model.possible[rows.action] & model.learned
    hazard = nn.functional.binary_cross_entropy_with_logits(
        logits, rows.happened, weight=possible.to(logits.dtype), reduction="sum"
    )
    value = (0.5 * rows.valued * (means - rows.values) ** 2).sum()
    total: Tensor = (hazard + value) / len(rows.action)
    return total


def penalty(model: ResponseModel, config: TrainingConfig) -> Tensor:
    """Negative log of the Gaussian prior on all weights; intercepts are free.

    What an action does to a head by itself has a wide prior, or rare actions would look harmless.
    """
    own = (model.linear.weight[:, model.sizes.features :] ** 2).sum()
    names = [name for name, _ in model.named_parameters() if name.endswith("weight")]
    squares = torch.stack([(model.get_parameter(name) ** 2).sum() for name in names]).sum()
    return 0.5 * (config.prior_precision * (squares - own) + config.action_precision * own)


def train(
    model: ResponseModel,
    rows: Rows,
    tuning: Rows,
    config: TrainingConfig,
    generator: torch.Generator,
    progress: Progress,
) -> ResponseModel:
    """Train `model` on `rows`; returns the weights that were best on `tuning`.

    The penalty's pull is one over the number of rows, as a prior's is: small logs and rare heads
    stay close to their base rates.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    n = len(rows.action)
    best, best_loss, waited = copy.deepcopy(model.state_dict()), float("inf"), 0
    for epoch in range(config.epochs):
        share = 1.0 - 0.9 * epoch / config.epochs
        optimizer.param_groups[0]["lr"] = config.learning_rate * share
        order = torch.randperm(n, generator=generator)
        for first in range(0, n, config.batch):
            batch = rows.take(order[first : first + config.batch])
            objective = loss(model, batch) + penalty(model, config) / n
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward([objective])
            optimizer.step()
        with torch.no_grad():
            held_out = float(loss(model, tuning))
        progress(epoch, held_out)
        if held_out < best_loss:
            best, best_loss, waited = copy.deepcopy(model.state_dict()), held_out, 0
        else:
            waited += 1
            if waited > config.patience:
                break
    model.load_state_dict(best)
    return model


def recalibrate(logits: Tensor, happened: Tensor, used: Tensor) -> tuple[Tensor, Tensor]:
    """Slope and shift of each head's logits that fit unseen contacts best; each [H].

    Penalised maximum likelihood (Platt scaling) by Newton steps; the Gaussian priors, slope 1
    +- 0.25 and shift 0 +- 0.5 at the mean logit, keep heads with few events as they are.

    Args:
        logits: of unseen contacts, [n, H].
        happened: 0 or 1, [n, H].
        used: 1 where the row counts for the head, [n, H].
    """
    y, w = happened.double(), used.double()
    # About its mean logit a head's slope and base rate are nearly independent.
    middle = (w * logits).sum(0) / w.sum(0).clamp_min(1.0)
    x = logits.double() - middle
    shape = torch.ones(x.shape[1], dtype=torch.float64, device=x.device)
    slope, shift = shape.clone(), middle.clone()
    for _ in range(20):
        p = torch.sigmoid(slope * x + shift)
        off, curve = w * (p - y), w * p * (1.0 - p)
        gradient = torch.stack(
            [(off * x).sum(0) + 16.0 * (slope - 1.0), off.sum(0) + 4.0 * (shift - middle)]
        )
        a = (curve * x * x).sum(0) + 16.0
        b, c = (curve * x).sum(0), curve.sum(0) + 4.0
        determinant = a * c - b * b
        slope = slope - (c * gradient[0] - b * gradient[1]) / determinant
        shift = shift - (a * gradient[1] - b * gradient[0]) / determinant
    return slope.float(), (shift - slope * middle).float()
