"""Maximum-likelihood training of an ensemble's networks, side by side, with early stopping."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nurture_envs.worlds.heads import ResponseModel, outputs, stacked

Progress = Callable[[int, float], None]  # epoch, tuning loss

_FEWEST_STEPS = 32  # an epoch, by smaller batches where there are few rows
_FEWEST_EPOCHS = 4
_SMALLEST = 128  # rows of a batch
_CHUNK = 16384  # rows judged at once
_OWN = ("own", "chain")  # what an action, or an event of the same bin, does by itself


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """How the networks are trained."""

    epochs: int = 40  # passes over the training rows, at most
    steps: int = 6000  # of all epochs together; large logs need fewer epochs
    patience: int = 3  # epochs without a better tuning loss
    batch: int = 2048  # rows at most
    learning_rate: float = 4e-3  # falls to a tenth over the epochs
    prior_precision: float = 40.0  # of weights: what few events cannot outweigh stays near 0
    action_precision: float = 1.0  # of an action's own effect on a head, log-odds**-2


@dataclass(frozen=True, slots=True, eq=False)
class TrainingRows:
    """Training rows as tensors."""

    features: Tensor  # [n, d] f32, standardised
    action: Tensor  # [n] i64
    happened: Tensor  # [n, H] f32, 0 or 1
    used: Tensor  # [n, H] f32, 0 where the head cannot fire or is not learned
    values: Tensor  # [n, V] f32, on the standard scale
    valued: Tensor  # [n, V] f32, 1 where the value exists
    weight: Tensor  # [n] f32, of the row in the likelihood
    exposure: Tensor  # [n, H] f32, chance that an event is known

    def take(self, rows: Tensor | slice) -> TrainingRows:
        """Some of the rows."""
        return TrainingRows(*(getattr(self, name)[rows] for name in TrainingRows.__slots__))


def thinned_nll(logits: Tensor, happened: Tensor, exposure: Tensor) -> Tensor:
    """Negative log-likelihood of what is known, when an event is known with chance F.

    Known events have chance h F, and h = sigmoid(z), so up to the constant log F

        -log(h F) = softplus(z) - z,     -log(1 - h F) = softplus(z) - softplus(z + log(1 - F))

    which is stable for all z and is the cross-entropy at F = 1.

    Args:
        logits: z, [..., n, H].
        happened: whether an event is known, 0 or 1, [n, H].
        exposure: F in (0, 1], [n, H].
    """
    missed = torch.log1p(-exposure)
    unseen = nn.functional.softplus(logits + missed)
    return nn.functional.softplus(logits) - happened * logits - (1.0 - happened) * unseen


def thinned_slope(logits: Tensor, happened: Tensor, exposure: Tensor) -> Tensor:
    """Derivative of `thinned_nll` by the logits."""
    unseen = torch.sigmoid(logits + torch.log1p(-exposure))
    return torch.sigmoid(logits) - happened - (1.0 - happened) * unseen


@torch.no_grad()
def loss(weights: Mapping[str, Tensor], embedding: Tensor, rows: TrainingRows) -> Tensor:
    """Mean negative log-likelihood a row of every member, [E]: hazards and standard values."""
    total = torch.zeros(weights["bias"].shape[0], device=rows.action.device)
    for first in range(0, len(rows.action), _CHUNK):
        part = rows.take(slice(first, first + _CHUNK))
        logits, means = _outputs(weights, embedding, part)
        hazard = (thinned_nll(logits, part.happened, part.exposure) * part.used).sum(dim=2)
        value = (0.5 * part.valued * (means - part.values) ** 2).sum(dim=2)
        total += ((hazard + value) * part.weight).sum(dim=1)
    return total / rows.weight.sum()


def train(
    models: Sequence[ResponseModel],
    rows: TrainingRows,
    drawn: Tensor,
    tuning: TrainingRows,
    config: TrainingConfig,
    generator: torch.Generator,
    progress: Progress,
) -> None:
    """Train the members together; they end with the weights of the best epoch on `tuning`.

    The penalty's weight is one over the effective number of rows, as a prior's is: with small logs
    and rare heads the hazards stay close to their base rates.

    Args:
        models: members with their first weights; the chain is one for all of them.
        rows: training rows.
        drawn: how often each member's bootstrap drew each row, [E, n].
        tuning: rows of other contacts.
        config: how to train.
        generator: orders the batches.
        progress: called after each epoch with its number and the mean tuning loss.
    """
    weights = stacked(models) | {"chain": models[0].chain.clone()}
    embedding = models[0].embedding
    importance = drawn * rows.weight
    importance = importance / importance.mean(dim=1, keepdim=True)
    effective = float(importance.sum() ** 2 / (importance**2).sum() / len(models))
    optimizer = _optimizer(weights, config, effective)
    n = len(rows.action)
    batch = min(config.batch, max(_SMALLEST, n // _FEWEST_STEPS))
    epochs = max(_FEWEST_EPOCHS, config.steps // -(-n // batch))
    epochs = min(config.epochs, epochs)
    thinned = bool((rows.exposure < 1.0).any())
    best, best_loss, waited = _copy(weights), float("inf"), 0
    for epoch in range(epochs):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * (1.0 - 0.9 * epoch / epochs)
        order = torch.randperm(n, generator=generator).to(rows.action.device)
        for chosen in torch.split(order, batch):
            _step(weights, embedding, rows.take(chosen), importance[:, chosen], thinned, optimizer)
        held_out = float(loss(weights, embedding, tuning).mean())
        progress(epoch, held_out)
        if held_out < best_loss:
            best, best_loss, waited = _copy(weights), held_out, 0
        else:
            waited += 1
            if waited >= config.patience:
                break
    _write(models, best)


def _step(
    weights: Mapping[str, Tensor],
    embedding: Tensor,
    rows: TrainingRows,
    importance: Tensor,
    thinned: bool,
    optimizer: torch.optim.Optimizer,
) -> None:
    """One step down the mean negative log-likelihood; its derivative is written out."""
    logits, means = _outputs(weights, embedding, rows)
    share = importance[:, :, None] / len(rows.action)
    with torch.no_grad():
        if thinned:
            slope = thinned_slope(logits, rows.happened, rows.exposure)
        else:
            slope = torch.sigmoid(logits).sub_(rows.happened)
        slope.mul_(rows.used).mul_(share)
        off = (means - rows.values).mul_(rows.valued).mul_(share)
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward([logits, means], [slope, off])
    optimizer.step()


def _outputs(
    weights: Mapping[str, Tensor], embedding: Tensor, rows: TrainingRows
) -> tuple[Tensor, Tensor]:
    """Logits given what happened earlier in the bin, [E, n, H], and value means, [E, n, V]."""
    out = outputs(weights, embedding, rows.features, rows.action)
    heads = rows.happened.shape[1]
    seen = rows.happened @ weights["chain"].tril(-1).T
    return out[..., :heads] + seen, out[..., heads:]


def _optimizer(
    weights: dict[str, Tensor], config: TrainingConfig, rows: float
) -> torch.optim.Optimizer:
    """Adam with the Gaussian prior of each kind of weight; intercepts are free."""
    groups: dict[float, list[Tensor]] = {}
    for name, tensor in weights.items():
        if name.endswith("bias"):
            precision = 0.0
        else:
            precision = config.action_precision if name in _OWN else config.prior_precision
        if tensor.numel():
            groups.setdefault(precision / rows, []).append(tensor.requires_grad_())
    return torch.optim.Adam(
        [{"params": tensors, "weight_decay": pull} for pull, tensors in groups.items()],
        lr=config.learning_rate,
        fused=True,
    )


def _copy(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in weights.items()}


@torch.no_grad()
def _write(models: Sequence[ResponseModel], weights: dict[str, Tensor]) -> None:
    for k, model in enumerate(models):
        for name, parameter in model.weights().items():
            parameter.copy_(weights[name][k])
        model.chain.copy_(weights["chain"].tril(-1))
