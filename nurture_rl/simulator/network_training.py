"""Maximum-likelihood training of an ensemble's networks, side by side, with early stopping."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from nurture_envs.player_protocol import BlockThreads
from nurture_envs.worlds.heads import (
    ResponseModel,
    first_layer,
    outputs,
    outputs_after,
    stacked,
)

Part = TypeVar("Part")
Job = TypeVar("Job")
Progress = Callable[[int, float], None]  # epoch, tuning loss

_FEWEST_STEPS = 32  # an epoch, by smaller batches where there are few rows
_FEWEST_EPOCHS = 4
_SMALLEST = 128  # rows of a batch
_CHUNK = 16384  # rows judged at once
_FIRST = ("trunk_0", "trunk_0_bias", "trunk_own", "linear", "own", "bias", "left", "right")
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
        parts = (getattr(self, name) for name in TrainingRows.__slots__)
        if isinstance(rows, slice):
            return TrainingRows(*(part[rows] for part in parts))
        return TrainingRows(*(part.index_select(0, rows) for part in parts))


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


class MemberThreads:
    """Threads that members are dealt to; torch holds no lock of the interpreter meanwhile.

    Each member is worked on by itself, for a product of matrices is rounded by where they lie in
    memory: so no bit depends on who works on which member.
    """

    def __init__(self, members: int, threads: int) -> None:
        self._parts = [slice(k, k + 1) for k in range(members)]
        self._crew = BlockThreads(min(threads, members))

    def each(self, work: Callable[..., Part], *of_member: Sequence[Any]) -> list[Part]:
        """What the work makes of each member, as a slice, and of what goes with the member."""
        return self.map(lambda given: work(*given), list(zip(self._parts, *of_member, strict=True)))

    def map(self, work: Callable[[Job], Part], jobs: Sequence[Job]) -> list[Part]:
        """What the work makes of each job, in order."""
        return self._crew.map(work, jobs)

    def close(self) -> None:
        """Let the threads go."""
        self._crew.leave()


def loss(
    weights: Mapping[str, Tensor], embedding: Tensor, rows: TrainingRows, threads: MemberThreads
) -> Tensor:
    """Mean negative log-likelihood a row of every member, [E]: hazards and standard values."""
    own = {name: tensor for name, tensor in weights.items() if name != "chain"}
    chain = weights["chain"].detach().tril(-1)

    @torch.no_grad()  # a thread starts with gradients on
    def of(start: int) -> Tensor:
        part = rows.take(slice(start, start + _CHUNK))
        out = outputs(own, embedding, part.features, part.action)
        logits, means = _given_before(out, part.happened @ chain.T)
        hazard = (thinned_nll(logits, part.happened, part.exposure) * part.used).sum(dim=2)
        value = (0.5 * part.valued * (means - part.values) ** 2).sum(dim=2)
        return ((hazard + value) * part.weight).sum(dim=1)

    total = torch.zeros(weights["bias"].shape[0], device=rows.action.device)
    for part in threads.map(of, range(0, len(rows.action), _CHUNK)):
        total += part
    return total / rows.weight.sum()


def train(
    models: Sequence[ResponseModel],
    rows: TrainingRows,
    drawn: Tensor,
    tuning: TrainingRows,
    config: TrainingConfig,
    generator: torch.Generator,
    progress: Progress,
    threads: MemberThreads,
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
        threads: that members are dealt to; their number changes no bit of the weights.
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
            part, counted = rows.take(chosen), importance.index_select(1, chosen)
            _write_slopes(weights, embedding, part, counted, thinned, threads)
            optimizer.step()
        held_out = float(loss(weights, embedding, tuning, threads).mean())
        progress(epoch, held_out)
        if held_out < best_loss:
            best, best_loss, waited = _copy(weights), held_out, 0
        else:
            waited += 1
            if waited >= config.patience:
                break
    _write(models, best)


def _write_slopes(
    weights: Mapping[str, Tensor],
    embedding: Tensor,
    rows: TrainingRows,
    importance: Tensor,
    thinned: bool,
    threads: MemberThreads,
) -> None:
    """Derivatives of the mean negative log-likelihood, kept at the weights.

    What adds up over members or actions is added for all members at once: no rounding depends on
    who works on which member.
    """
    of_features, table, sizes = first_layer(weights, embedding)
    before = rows.happened @ weights["chain"].tril(-1).T
    own = {name: tensor.detach() for name, tensor in weights.items() if name != "chain"}
    later = [name for name in own if name not in _FIRST and own[name].numel()]

    def ahead(members: slice) -> tuple[Tensor, list[Tensor]]:
        entered, moved = of_features.detach()[members], table.detach()[members]
        mine = {name: tensor[members] for name, tensor in own.items()}
        some = [entered, moved, *(mine[name] for name in later)]
        for tensor in some:
            tensor.requires_grad_()
        first = (entered, moved, sizes)
        return outputs_after(first, mine, rows.features, rows.action), some

    out, of_member = zip(*threads.each(ahead), strict=True)
    logits, means = _given_before(torch.cat(out).detach(), before.detach())
    off = _off(logits, means, rows, importance, thinned)

    def back(members: slice, out: Tensor, some: list[Tensor]) -> tuple[Tensor, ...]:
        return torch.autograd.grad([out], some, [off[members]])

    slopes = threads.each(back, out, of_member)
    by_features, by_table, *others = zip(*slopes, strict=True)
    # Gradients of the table lie action by action; so do sums over actions.
    moves = torch.cat([part.permute(2, 0, 1) for part in by_table], dim=1).permute(1, 2, 0)
    for tensor in weights.values():
        tensor.grad = None
    torch.autograd.backward(
        [of_features, table, before],
        [torch.cat(by_features), moves, off[..., : before.shape[1]].sum(dim=0)],
    )
    for name, parts in zip(later, others, strict=True):
        weights[name].grad = torch.cat(parts)


@torch.no_grad()
def _off(
    logits: Tensor, means: Tensor, rows: TrainingRows, importance: Tensor, thinned: bool
) -> Tensor:
    """Derivatives of the mean loss by logits and then means, [E, n, H + V]."""
    share = importance[:, :, None] / len(rows.action)
    if thinned:
        slope = thinned_slope(logits, rows.happened, rows.exposure)
    else:
        slope = torch.sigmoid(logits).sub_(rows.happened)
    slope.mul_(rows.used).mul_(share)
    return torch.cat([slope, (means - rows.values).mul_(rows.valued).mul_(share)], dim=2)


def _given_before(out: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
    """Logits given what happened earlier in the bin, [E, n, H], and value means, [E, n, V]."""
    heads = before.shape[1]
    return out[..., :heads] + before, out[..., heads:]


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
