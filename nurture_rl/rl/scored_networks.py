"""Networks that score actions, and the policies made of them once they are trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from nurture_rl.learned.choice_rules import Rule
from nurture_rl.learned.remembering import RememberingTrunk
from nurture_rl.learned.scored import ScoredModule, ScoredPolicy, split_network
from nurture_rl.learned.training_log import TrainingLog
from nurture_rl.rl.actor import perceptron
from nurture_rl.rl.transitions import Transitions

_SMALL = 0.01  # gain of the last layer: scores begin at about 0, none ahead of the others
Layers = Sequence[tuple[Tensor, Tensor]]  # weight and bias of each hidden layer


class Dueling(nn.Module):
    """What a state is worth and what each action adds to it, from one network of 1 + a outputs.

    q(x, a) = v(x) + g(x, a) - mean_b g(x, b)

    Linear in the last layer, so the two fold into a plain network: see `folded`.

    Source: Wang et al. (2016), Dueling Network Architectures for Deep Reinforcement Learning.
    """

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, features: Tensor) -> Tensor:
        """Values of every action, [n, a]."""
        outputs: Tensor = self.layers(features)
        return outputs[:, :1] + outputs[:, 1:] - outputs[:, 1:].mean(dim=1, keepdim=True)


def score_network(
    data: Transitions, outputs: int, hidden: tuple[int, ...], luck: torch.Generator
) -> nn.Sequential:
    """A network from standardised features to scores that begin at about 0."""
    return relu_network((data.shape[0], *hidden, outputs), luck).to(data.features.device)


def relu_network(widths: tuple[int, ...], luck: torch.Generator) -> nn.Sequential:
    """A network of ReLU layers, which cost less than tanh; its scores begin at about 0."""
    return perceptron(widths, _SMALL, luck, nn.ReLU)


def folded(network: nn.Module) -> tuple[Layers, Tensor]:
    """Hidden layers and last map [1, a, h + 1] of a trained network, dueling or plain."""
    if not isinstance(network, Dueling):
        assert isinstance(network, nn.Sequential)
        return split_network(network)
    layers, maps = split_network(network.layers)
    state, added = maps[:, :1], maps[:, 1:]
    return layers, state + added - added.mean(dim=1, keepdim=True)


def side_by_side(one: nn.Module, other: nn.Module) -> tuple[Layers, Tensor]:
    """Two networks of equal depth as one with two scores of each action, [2, a, h + h' + 1]."""
    (left, first), (right, second) = folded(one), folded(other)
    layers = [
        # Both read the features; further in, each reads its own half.
        (_diagonal(w, v) if depth else torch.cat([w, v]), torch.cat([b, c]))
        for depth, ((w, b), (v, c)) in enumerate(zip(left, right, strict=True))
    ]
    behind, before = torch.zeros_like(second[:, :, 1:]), torch.zeros_like(first[:, :, 1:])
    upper = torch.cat([first, behind], dim=2)
    lower = torch.cat([second[:, :, :1], before, second[:, :, 1:]], dim=2)
    return layers, torch.cat([upper, lower])


def policy_of(
    log: TrainingLog,
    data: Transitions,
    parts: tuple[Layers, Tensor],
    rule: Rule,
    fit: Mapping[str, float],
    trunk: RememberingTrunk | None = None,
) -> ScoredPolicy:
    """What was trained on a log, ready to act, on the CPU.

    Args:
        log: the decisions.
        data: the same on the device of the training.
        parts: hidden layers and last map, on standardised features.
        rule: from scores to probabilities.
        fit: what the training tells; the log's size and the unit of the training are added.
        trunk: reads the features before the layers; None: the layers do.
    """
    layers, maps = parts
    cpu = [(weight.detach().cpu(), bias.detach().cpu()) for weight, bias in layers]
    trunk = None if trunk is None else trunk.cpu()
    module = ScoredModule(data.moments, cpu, maps.detach().cpu(), rule, unit="relu", trunk=trunk)
    told = {
        "rows": float(len(data)),
        "clusters": float(log.code.max()) + 1.0,
        "return_scale": data.scale,
        **fit,
    }
    return ScoredPolicy(log.catalog.hash, log.columns, module, told)


def _diagonal(one: Tensor, other: Tensor) -> Tensor:
    """Two maps that know nothing of each other, as one."""
    found: Tensor = torch.block_diag(one, other)  # type: ignore[no-untyped-call]
    return found
