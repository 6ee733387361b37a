"""The loop in which networks learn from a log, shared by every learner that has one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from nurture_rl.errors import FitError
from nurture_rl.learned.checkpoints import Resumable, checkpoints_of
from nurture_rl.learned.setting_ranges import LEAST, require_layers, require_settings
from nurture_rl.learned.training_log import Progress, TrainingLog

Networks = TypeVar("Networks", bound=nn.Module)
_TILE = 1024  # rows that go through a CPU's layers together: they stay in its cache
_WIDE = 65_536  # the same on other devices, which need much to do at once
DIVERGED = 1e8  # squared deviations of returns; a loss beyond is no longer about the log
_LEAST_CLUSTERS = 10  # fewer are too few to keep some aside
_JUDGED = 8192  # rows that a look judges by at most
_COUNTED = ("best", "least", "calm", "taken", "look", "mean")  # of a training, see `_Learning`


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """A network and how it is trained."""

    hidden: tuple[int, ...] = (64, 64)  # ReLU units of each hidden layer, one layer at least
    steps: int = 10_000  # gradient steps
    batch: int = 256  # decisions per gradient step
    learning_rate: float = 1e-3  # of Adam; falls to 0 over the second half of the steps
    refresh: int = 50  # gradient steps between looks, at which goals are worked out anew
    device: str = "cpu"  # or "cuda"

    def __post_init__(self) -> None:
        self.require()

    def require(self, **ranges: tuple[float, float]) -> None:
        """Guard the settings.

        Args:
            ranges: least and largest value of a learner's own numbers.

        Raises:
            FitError: names the first setting out of its range.
        """
        require_settings(self, refresh=(1, inf), follow=(LEAST, 1.0), **ranges)
        require_layers(self)


@dataclass(frozen=True, slots=True)
class BootstrapConfig(NetworkConfig):
    """The same for networks whose goals come from a copy that follows them."""

    follow: float = 0.5  # share of the way to the trained network the copy goes at a look, (0, 1]


class Objective(Protocol):
    """What a learner wants its networks to do."""

    def goals(self, rows: Tensor) -> Tensor:
        """What the networks aim at on some rows, [r, ...]; asked once a look, without gradient."""
        ...

    def loss(self, rows: Tensor, goals: Tensor) -> Tensor:
        """Loss of a batch of rows [b] whose goals are [b, ...], one number."""
        ...


@dataclass(frozen=True, slots=True)
class Trainee:
    """What is trained, on which rows, and what comes with it."""

    networks: nn.Module  # every parameter of it is trained
    rows: Tensor  # to draw batches from, [r]
    following: nn.Module | None = None  # a copy that follows; see `follower`
    held_out: Callable[[], Tensor] | None = None  # loss of contacts kept aside; the least counts
    patience: int = 10  # looks without a smaller one that end the training


def follower(networks: Networks) -> Networks:
    """A copy of networks that nothing trains, for goals."""
    return copy.deepcopy(networks).requires_grad_(False)


def train(
    objective: Objective,
    trainee: Trainee,
    config: NetworkConfig,
    luck: torch.Generator,
    progress: Progress,
) -> dict[str, float]:
    """Take gradient steps; the networks are changed in place.

    At every look the goals of the next batches are worked out at once, the numbers are told, and
    the copy that follows goes its share of the way. Between looks a step gathers its rows by
    index, goes forward and back and takes one fused Adam step. Equal seeds give equal networks on
    one device, also where a killed training goes on from a checkpoint (`learned/checkpoints`).

    Args:
        objective: goals and loss.
        trainee: networks and rows.
        config: see there.
        luck: draws the batches, on the CPU.
        progress: called at each look with its number and the mean loss since the last one.

    Returns:
        Gradient steps taken, and the last loss; the least held-out loss where there is one.

    Raises:
        FitError: the loss is not finite or grows beyond all bounds.
    """
    learning = _Learning(trainee, config.learning_rate, luck)
    checkpoints = checkpoints_of(progress)
    learning.go_on(checkpoints.begin())
    while learning.taken < config.steps and learning.calm < trainee.patience:
        size = (min(config.refresh, config.steps - learning.taken), config.batch)
        places = torch.randint(len(trainee.rows), size, generator=luck)
        drawn = trainee.rows[places.to(trainee.rows.device)]
        share = min(1.0, 2.0 - 2.0 * learning.taken / config.steps)
        learning.optimiser.param_groups[0]["lr"] = config.learning_rate * share
        learning.mean = descend(objective, learning.optimiser, drawn)
        learning.taken += len(drawn)
        require_sound(learning.mean, learning.taken, config.steps)
        if trainee.following is not None:
            assert isinstance(config, BootstrapConfig)
            move(trainee.following, trainee.networks, config.follow)
        told = {"loss": learning.mean}
        if trainee.held_out is not None:
            with torch.no_grad():
                told["held_out_loss"] = now = float(trainee.held_out())
            learning.judge(now)
        progress(learning.look, told)
        learning.look += 1
        checkpoints.keep(learning.look - 1, learning.state)
    checkpoints.keep(learning.look, learning.state, last=True)
    if trainee.held_out is None:
        return {"steps": float(learning.taken), "loss": learning.mean}
    learning.take_best()
    least = learning.least
    return {"steps": float(learning.taken), "loss": learning.mean, "held_out_loss": least}


class _Learning:
    """Where a training stands between two looks."""

    def __init__(self, trainee: Trainee, rate: float, luck: torch.Generator) -> None:
        self._trainee, self._luck = trainee, luck
        self._parameters = list(trainee.networks.parameters())
        self.optimiser = torch.optim.Adam(self._parameters, lr=rate, fused=True)
        self.best, self.least, self.calm = _weights(self._parameters), inf, 0
        self.taken, self.look, self.mean = 0, 0, 0.0

    def judge(self, now: float) -> None:
        """Keep the weights whose held-out loss is the least so far."""
        self.calm = 0 if now < self.least else self.calm + 1
        if now < self.least:
            self.best, self.least = _weights(self._parameters), now

    def take_best(self) -> None:
        """Go back to the weights with the least held-out loss."""
        for parameter, kept in zip(self._parameters, self.best, strict=True):
            parameter.data.copy_(kept)

    def state(self) -> dict[str, Any]:
        """All that the steps to come depend on."""
        following = self._trainee.following
        return {
            "networks": self._trainee.networks.state_dict(),
            "following": None if following is None else following.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "luck": self._luck.get_state(),
            **{name: getattr(self, name) for name in _COUNTED},
        }

    def go_on(self, state: Mapping[str, Any] | None) -> None:
        """Take up a training where it stood; None: it has not begun."""
        if state is None:
            return
        self._trainee.networks.load_state_dict(state["networks"])
        if self._trainee.following is not None:
            self._trainee.following.load_state_dict(state["following"])
        self.optimiser.load_state_dict(state["optimiser"])
        self._luck.set_state(state["luck"])
        for name in _COUNTED:
            setattr(self, name, state[name])


def descend(objective: Objective, optimiser: torch.optim.Optimizer, batches: Tensor) -> float:
    """One gradient step for each batch of rows; the mean loss.

    Args:
        objective: goals, worked out once for all batches, and loss.
        optimiser: of the networks' parameters.
        batches: rows, [k, b].
    """
    total = torch.zeros((), device=batches.device)
    for batch, goal in zip(batches, goals_of(objective, batches), strict=True):
        loss = objective.loss(batch, goal)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward([loss])
        optimiser.step()
        total += loss.detach()
    return float(total) / len(batches)


@torch.no_grad()
def goals_of(objective: Objective, batches: Tensor) -> Tensor:
    """Goals of batches of rows [k, b], [k, b, ...]; a row that comes up twice is asked once."""
    rows, places = torch.unique(batches, return_inverse=True)
    return in_tiles(objective.goals, rows)[places]


@torch.no_grad()
def in_tiles(values: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """Values of rows [r], worked out for some of them at a time, [r, ...]."""
    tile = _TILE if rows.device.type == "cpu" else _WIDE
    return torch.cat([values(part) for part in torch.split(rows, tile)])


@torch.no_grad()
def move(following: nn.Module, networks: nn.Module, share: float) -> None:
    """Take a copy a share of the way to what it follows; 1 makes it equal."""
    ahead = [parameter.data for parameter in networks.parameters()]
    torch._foreach_lerp_([parameter.data for parameter in following.parameters()], ahead, share)


def apart(log: TrainingLog, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Rows with a choice, to learn from and to judge by: a tenth of the contacts is kept aside.

    With fewer than ten contacts none is, and the rows to judge by are those to learn from. Of many
    rows some are drawn to judge by.

    Args:
        log: the decisions.
        rng: deals the contacts.
    """
    code = log.code
    names = int(code.max()) + 1
    kept = np.zeros(names, np.bool_)
    kept[rng.permutation(names)[: names // _LEAST_CLUSTERS]] = True
    aside = kept[code]
    if not (log.choice & aside).any() or not (log.choice & ~aside).any():
        aside = np.zeros_like(aside)
    learned = torch.from_numpy(np.flatnonzero(log.choice & ~aside))
    judged = torch.from_numpy(np.flatnonzero(log.choice & aside))
    if not len(judged):
        judged = learned
    if len(judged) > _JUDGED:
        judged = judged[torch.from_numpy(rng.choice(len(judged), _JUDGED, replace=False))]
    return learned, judged


def later(progress: Progress, config: NetworkConfig) -> Progress:
    """The progress of a second training, its looks numbered behind those of the first."""
    looks = -(-config.steps // config.refresh)

    def tell(look: int, told: dict[str, float]) -> None:
        progress(looks + look, told)

    return Resumable(tell, checkpoints_of(progress))


def require_sound(loss: float, taken: int, steps: int) -> None:
    """Guard a training against divergence.

    Args:
        loss: mean loss of the latest steps, squared deviations of returns.
        taken: steps so far.
        steps: steps that are planned.

    Raises:
        FitError: the loss is no number or beyond all bounds.
    """
    if not loss < DIVERGED:  # also when it is no number
        raise FitError(
            f"the loss is {loss:g} by step {taken} of {steps}, expected less than "
            f"{DIVERGED:g}: the training diverges; lower the learning rate, or look for rewards "
            "and features far out of range"
        )


def _weights(parameters: list[nn.Parameter]) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in parameters]
