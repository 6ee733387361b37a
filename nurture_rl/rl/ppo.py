"""Proximal policy optimisation over masked actions, in a vectorised world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

import torch
from torch import Tensor, nn

from nurture_envs.simulation import Simulation
from nurture_rl.errors import FitError
from nurture_rl.learned.checkpoints import checkpoints_of
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.setting_ranges import LEAST, require_layers, require_settings
from nurture_rl.learned.training_log import Progress
from nurture_rl.policies.composition import Region
from nurture_rl.rl.actor import Actor, Critic
from nurture_rl.rl.advantages import generalised_advantages
from nurture_rl.rl.held_actor import held
from nurture_rl.rl.training_rollout import Rollout, begin, collect, put_aside, taken_up

_SPARE_KL = 1.5  # an iteration stops at this multiple of the target


@dataclass(frozen=True, slots=True)
class PPOConfig:
    """How the actor is trained; a rollout is one horizon of every contact."""

    iterations: int = 60  # rounds of playing and learning
    n_contacts: int = 2048  # played side by side
    epochs: int = 4  # passes over a rollout
    minibatches: int = 8  # of a pass
    hidden: tuple[int, ...] = (64, 64)  # of actor and critic, one layer at least
    learning_rate: float = 1e-3  # falls linearly to 0
    clip: float = 0.2  # largest change of a probability ratio that still earns gradient
    entropy: float = 0.01  # weight of the entropy over legal actions
    trace: float = 0.95  # lambda of the advantage estimates
    max_grad_norm: float = 0.5  # gradients that are longer are cut to it
    target_kl: float = 0.02  # nats; further steps of an iteration are skipped beyond 1.5 times this
    discount: float | None = None  # per bin; None: the journey's

    def __post_init__(self) -> None:
        require_settings(
            self,
            n_contacts=(1, inf),
            minibatches=(1, inf),
            clip=(LEAST, inf),
            entropy=(0.0, inf),
            trace=(0.0, 1.0),
            max_grad_norm=(LEAST, inf),
            target_kl=(LEAST, inf),
            discount=(0.0, 1.0),
        )
        require_layers(self)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Decisions to learn from, with what the rollout says about them."""

    features: Tensor  # [m, d]
    mask: Tensor  # [m, a]
    anchor: Tensor  # probabilities of the region's anchor, [m, a]; [m, 0] without a region
    action: Tensor  # [m]
    log_probability: Tensor  # [m], when it was taken
    advantage: Tensor  # [m], standardised over decisions with a choice
    target: Tensor  # [m], value target in standardised reward
    free: Tensor  # [m] bool, more than one action was legal

    def take(self, rows: Tensor) -> Batch:
        """Some of the decisions."""
        return Batch(*(getattr(self, name).index_select(0, rows) for name in Batch.__slots__))


class RewardScale:
    """Running spread of discounted returns, which makes rewards of any unit comparable.

    Source: Engstrom et al. (2020), Implementation Matters in Deep Policy Gradients.
    """

    def __init__(self) -> None:
        self._n, self._mean, self._squares = 0.0, 0.0, 0.0

    def update(self, running: Tensor) -> float:
        """Add accumulated rewards of any shape; returns the standard deviation of all so far."""
        values = running.double()
        n, mean = float(values.numel()), float(values.mean())
        squares = float(((values - mean) ** 2).sum())
        total, gap = self._n + n, mean - self._mean
        self._squares += squares + gap**2 * self._n * n / total
        self._mean += gap * n / total
        self._n = total
        return max(float((self._squares / self._n) ** 0.5), 1e-6)


def train_ppo(
    simulation: Simulation,
    config: PPOConfig,
    seed: int,
    progress: Progress,
    region: Region | None = None,
) -> ScoredPolicy:
    """Train a policy in a world, inside the trust region that it will be released with.

    Args:
        simulation: the compiled world; training runs on its device.
        config: see there.
        seed: of contacts, first weights and minibatches; evaluate on another one.
        progress: called after each iteration with its number and mean episode return (journey's
            unit), entropy and KL (nats), clip share, explained variance. Where it keeps
            checkpoints, a killed training goes on from the last one, to the same policy.
        region: where it is held; None: it may do what it likes.

    Returns:
        The policy of the last iteration, on the CPU; it acts freely, the region goes around it.

    Raises:
        FitError: the training diverges.

    Source: Schulman et al. (2017), Proximal Policy Optimization Algorithms; masking as in Huang
        & Ontanon (2022), A Closer Look at Invalid Action Masking.
    """
    learning, checkpoints = _Learning(simulation, config, seed), checkpoints_of(progress)
    discount, horizon = learning.discount, simulation.spec.clock.horizon
    stood = checkpoints.begin()
    learning.warm_up() if stood is None else learning.go_on(stood)
    actor, critic, optimizer = learning.actor, learning.critic, learning.optimizer
    for iteration in range(learning.done, config.iterations):
        share = 1.0 - iteration / config.iterations
        optimizer.param_groups[0]["lr"] = config.learning_rate * share
        rollout = collect(actor, critic, learning.cursor, horizon, discount, region)
        unit = learning.scale.update(rollout.running)
        batch = prepare(rollout, unit, discount, config.trace)
        learned = _improve(actor, critic, optimizer, batch, config, region, learning.generator)
        told = _metrics(rollout, batch) | learned
        _require_sound(told, [*actor.parameters(), *critic.parameters()], iteration, config)
        progress(iteration, told)
        learning.done = iteration + 1
        checkpoints.keep(iteration, learning.state)
    return actor.to("cpu").policy(simulation.catalog.hash, simulation.spec.columns)


class _Learning:
    """What is trained, and where the training stands between two iterations."""

    def __init__(self, simulation: Simulation, config: PPOConfig, seed: int) -> None:
        self._simulation = simulation
        self.generator = torch.Generator().manual_seed(seed)
        width = len(simulation.spec.columns)
        self.actor = Actor(width, len(simulation.catalog), config.hidden, self.generator)
        self.critic = Critic(width, config.hidden, self.generator)
        self.actor.to(simulation.device), self.critic.to(simulation.device)
        self.cursor = begin(simulation, config.n_contacts, seed)
        self.optimizer = torch.optim.Adam(
            [*self.actor.parameters(), *self.critic.parameters()], lr=config.learning_rate, eps=1e-5
        )
        own = simulation.journey.reward.discount
        self.discount = own if config.discount is None else config.discount
        self.scale, self.done = RewardScale(), 0

    def warm_up(self) -> None:
        """Learn the scale of inputs by a first rollout.

        The untrained actor is almost uniform over legal actions.
        """
        horizon = self._simulation.spec.clock.horizon
        seen = collect(self.actor, self.critic, self.cursor, horizon, self.discount)
        for module in (self.actor, self.critic):
            module.standardise.learn(seen.features.flatten(0, 1))

    def state(self) -> dict[str, Any]:
        """All that the iterations to come depend on."""
        return {
            "actor": self.actor.state_dict(),
            "critic": self.critic.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "scale": vars(self.scale),
            "done": self.done,
            "contacts": put_aside(self.cursor, self._simulation),
        }

    def go_on(self, state: Mapping[str, Any]) -> None:
        """Take up a training where it stood."""
        for name in ("actor", "critic", "optimizer"):
            getattr(self, name).load_state_dict(state[name])
        self.generator.set_state(state["generator"])
        vars(self.scale).update(state["scale"])
        self.done = state["done"]
        self.cursor = taken_up(state["contacts"], self._simulation)


def _require_sound(
    told: Mapping[str, float], parameters: Sequence[Tensor], iteration: int, config: PPOConfig
) -> None:
    """Stop a training whose numbers are none any more.

    Raises:
        FitError: a number that is told, or a weight, is not finite.
    """
    wrong = [f"{name} is {value:g}" for name, value in told.items() if not isfinite(value)]
    if not all(bool(torch.isfinite(part).all()) for part in parameters):
        wrong.append("a weight is not finite")
    if wrong:
        raise FitError(
            f"{', '.join(wrong)} in iteration {iteration + 1} of {config.iterations}, expected "
            f"finite numbers: the training diverges, and no policy of it is kept; lower "
            f"learning_rate ({config.learning_rate:g}) or clip ({config.clip:g}), or look for "
            "rewards and features far out of range"
        )


def prepare(rollout: Rollout, unit: float, discount: float, trace: float) -> Batch:
    """Flatten a rollout; rewards are divided by `unit` first, [T n] decisions."""
    advantage = generalised_advantages(
        rollout.reward / unit, rollout.value, rollout.after, rollout.done, discount, trace
    )
    free = rollout.mask.sum(dim=2) > 1
    chosen = advantage[free] if bool(free.any()) else advantage.flatten()
    centred = (advantage - chosen.mean()) / (chosen.std(correction=0) + 1e-8)
    parts = (
        rollout.features,
        rollout.mask,
        rollout.anchor,
        rollout.action,
        rollout.log_probability,
        centred,
        advantage + rollout.value,
        free,
    )
    return Batch(*(part.flatten(0, 1) for part in parts))


def clipped_loss(
    log_table: Tensor, batch: Batch, clip: float, entropy: float
) -> tuple[Tensor, dict[str, float]]:
    """Clipped surrogate less the entropy bonus, over decisions that had a choice.

    Args:
        log_table: the actor's log-probabilities now, [m, a].
        batch: the decisions.
        clip: half-width of the ratio's trust interval.
        entropy: weight of the entropy.

    Returns:
        The loss, and entropy (nats), KL from the rollout's policy (nats), clip share.
    """
    weight = batch.free / batch.free.sum().clamp_min(1)
    log_ratio = log_table.gather(1, batch.action[:, None])[:, 0] - batch.log_probability
    ratio = log_ratio.exp()
    gain = torch.minimum(
        ratio * batch.advantage, ratio.clamp(1.0 - clip, 1.0 + clip) * batch.advantage
    )
    spread = -(log_table.exp() * log_table).sum(dim=1)
    loss = -(weight * (gain + entropy * spread)).sum()
    with torch.no_grad():
        kl = (weight * (ratio - 1.0 - log_ratio)).sum()
        outside = (weight * ((ratio - 1.0).abs() > clip)).sum()
    return loss, {
        "entropy": float((weight * spread).detach().sum()),
        "kl": float(kl),
        "clip_share": float(outside),
    }


def _improve(
    actor: Actor,
    critic: Critic,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    config: PPOConfig,
    region: Region | None,
    generator: torch.Generator,
) -> dict[str, float]:
    """Several passes over a rollout; stops early when the policy has moved far enough."""
    n = len(batch.action)
    size = -(-n // config.minibatches)
    parameters = [*actor.parameters(), *critic.parameters()]
    seen: dict[str, float] = {}
    for _ in range(config.epochs):
        order = torch.randperm(n, generator=generator).to(batch.action.device)
        for first in range(0, n, size):
            part = batch.take(order[first : first + size])
            table = actor.log_probabilities(part.features, part.mask)
            if region is not None:
                table = held(table, part.anchor, region)
            loss, seen = clipped_loss(table, part, config.clip, config.entropy)
            if seen["kl"] > _SPARE_KL * config.target_kl:
                return seen
            loss = loss + 0.5 * ((critic(part.features) - part.target) ** 2).mean()
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward([loss])
            nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)
            optimizer.step()
    return seen


def _metrics(rollout: Rollout, batch: Batch) -> dict[str, float]:
    returns = rollout.finished
    residual = batch.target - rollout.value.flatten()
    spread = float(batch.target.var(correction=0))
    explained = 1.0 - float(residual.var(correction=0)) / spread if spread > 0 else 0.0
    return {
        "mean_episode_return": float(returns.mean()) if len(returns) else 0.0,
        "explained_variance": explained,
    }
