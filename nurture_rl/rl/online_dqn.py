"""Deep Q-learning in a world: values learned from a memory of what was played with them."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from nurture_envs.simulation import Simulation
from nurture_rl.errors import FitError
from nurture_rl.learned.choice_rules import Greedy
from nurture_rl.learned.scored import ScoredModule, ScoredPolicy
from nurture_rl.learned.setting_ranges import LEAST, require_layers, require_settings
from nurture_rl.learned.training_log import Progress, moments_of
from nurture_rl.policies.composition import Region
from nurture_rl.rl.dqn import QLearning, in_units, value_network
from nurture_rl.rl.offline_training import descend, follower, move, require_sound
from nurture_rl.rl.replay_memory import PlayedContacts, ReplayMemory


@dataclass(frozen=True, slots=True)
class OnlineDQNConfig:
    """How the values are learned, and what is played meanwhile."""

    iterations: int = 200  # rounds of playing and learning
    n_contacts: int = 512  # played side by side
    bins: int = 4  # played by every contact in a round
    steps: int = 50  # gradient steps of a round
    batch: int = 256  # decisions per gradient step
    memory: int = 200_000  # latest decisions that are learned from, n_contacts at least
    hidden: tuple[int, ...] = (64, 64)  # ReLU units of each hidden layer, one layer at least
    learning_rate: float = 1e-3  # of Adam; falls to 0 over the second half of the rounds
    # Share of the way to the trained network that the network behind the goals goes in a round, in
    # (0, 1].
    follow: float = 0.5
    epsilon: float = 0.05  # share of actions drawn evenly among the legal ones in the end, [0, 1]
    exploring: float = 0.5  # share of the rounds in which epsilon falls from 1, in [0, 1]
    double: bool = True  # the trained network chooses what follows, the following one values it
    dueling: bool = True  # the worth of a state and what each action adds are told apart
    discount: float | None = None  # per bin, in [0, 1]; None: the journey's

    def __post_init__(self) -> None:
        require_settings(
            self,
            n_contacts=(1, inf),
            bins=(1, inf),
            memory=(1, inf),
            follow=(LEAST, 1.0),
            epsilon=(0.0, 1.0),
            exploring=(0.0, 1.0),
            discount=(0.0, 1.0),
        )
        require_layers(self)
        if self.memory < self.n_contacts:
            raise FitError(
                f"memory of OnlineDQN must be at least n_contacts = {self.n_contacts}, got "
                f"{self.memory}: what one bin brings must fit in"
            )

    def epsilon_of(self, iteration: int) -> float:
        """Share of actions drawn evenly in a round: it falls in a line, then stays."""
        falling = self.exploring * self.iterations
        done = min(1.0, iteration / falling) if falling else 1.0
        return 1.0 + done * (self.epsilon - 1.0)


def train_online_dqn(
    simulation: Simulation,
    config: OnlineDQNConfig,
    seed: int,
    progress: Progress,
    region: Region | None = None,
) -> ScoredPolicy:
    """Learn what every action is worth by Q-learning on what is played in a world.

        minimise mean (r + discount^(bins between) sum_b p(b|x') q-(x', b) - q(x, a))^2
        p = the best that the release lets be done in x' by q (double) or by q-:
            without a trust region the best legal action, inside one see `best_inside`
        play (1 - epsilon) p + epsilon evenly among the legal actions

    over decisions drawn from a memory of the latest, with q- a copy that follows q. A bin in which
    one action alone is legal is no decision: `pause:3` is one decision that is discounted over its
    three bins, as in a log. Nothing is bootstrapped across an ended episode. The horizon is such
    an end: nothing after it counts towards the value of an episode, and the bin is one of the
    features. Where a round ends nothing is cut: decisions stay open until their next one comes.

    Args:
        simulation: the compiled world; training runs on its device. Its `pessimism` takes the
            disagreement of a learned world's members off the rewards.
        config: see there.
        seed: of contacts, first weights and batches; evaluate on another one.
        progress: told after each round: the mean squared error in squared deviations of returns,
            the mean return of the episodes that ended (journey's unit), and epsilon.
        region: where the policy will be held, so that its own release is played and valued; None:
            it may do what it likes.

    Returns:
        The policy that takes the best legal action, on the CPU; its scores are in the journey's
        unit.

    Raises:
        FitError: the training diverges.

    Source: Mnih et al. (2015), Human-level control through deep reinforcement learning; van
        Hasselt et al. (2016), Deep Reinforcement Learning with Double Q-learning; Wang et al.
        (2016), Dueling Network Architectures for Deep Reinforcement Learning; Yu et al. (2020),
        MOPO: Model-based Offline Policy Optimization, for the pessimism.
    """
    luck = torch.Generator().manual_seed(seed)
    journey = simulation.journey
    discount = journey.reward.discount if config.discount is None else config.discount
    played = PlayedContacts(simulation, config.n_contacts, seed, discount, region)
    replay = _begun(played, simulation.spec.clock.horizon, config.memory)
    network = value_network(replay.data, config.hidden, config.dueling, luck)
    objective = QLearning(replay.data, network, follower(network), config.double)
    loss = _play_and_learn(played, replay, objective, config, luck, progress)
    layers, maps = in_units(network, replay.data)
    cpu = [(weight.detach().cpu(), bias.detach().cpu()) for weight, bias in layers]
    module = ScoredModule(replay.data.moments, cpu, maps.detach().cpu(), Greedy(), unit="relu")
    fit = {"loss": loss, "return_scale": replay.data.scale}
    return ScoredPolicy(simulation.catalog.hash, simulation.spec.columns, module, fit)


def _play_and_learn(
    played: PlayedContacts,
    replay: ReplayMemory,
    objective: QLearning,
    config: OnlineDQNConfig,
    luck: torch.Generator,
    progress: Progress,
) -> float:
    """Rounds of playing with the network of an objective and training it; the last mean loss."""
    optimiser = torch.optim.Adam(
        objective.network.parameters(), lr=config.learning_rate, fused=True
    )
    loss = 0.0
    for iteration in range(config.iterations):
        epsilon, finished = config.epsilon_of(iteration), []
        for _ in range(config.bins):
            passed = played.step(_acts(objective, replay, played, epsilon))
            replay.add(passed)
            finished.append(passed.returns)
        share = min(1.0, 2.0 - 2.0 * iteration / config.iterations)
        optimiser.param_groups[0]["lr"] = config.learning_rate * share
        loss = descend(objective, optimiser, replay.draw((config.steps, config.batch), luck))
        require_sound(loss, iteration + 1, config.iterations)
        move(objective.following, objective.network, config.follow)
        returns = torch.cat(finished)
        mean = float(returns.mean()) if len(returns) else 0.0
        progress(iteration, {"loss": loss, "mean_episode_return": mean, "epsilon": epsilon})
    return loss


def _begun(played: PlayedContacts, horizon: int, size: int) -> ReplayMemory:
    """A memory of one horizon of even draws, whose contexts and returns set its units."""
    shown, passed = [], []
    for _ in range(horizon):
        shown.append(played.decision.features)
        passed.append(played.step(_even(played.decision.mask)))
    moments = moments_of(torch.cat(shown).cpu().numpy())
    scale = float(torch.cat([one.returns for one in passed]).std(correction=0)) or 1.0
    replay = ReplayMemory(size, passed[0], moments, scale, played.region)
    for one in passed:
        replay.add(one)
    return replay


@torch.no_grad()
def _acts(
    objective: QLearning, replay: ReplayMemory, played: PlayedContacts, epsilon: float
) -> Tensor:
    """Probabilities of what is played next, [n, a]."""
    shown = played.decision
    best = played.best(objective.network(replay.standardised(shown.features)))
    return epsilon * _even(shown.mask) + (1.0 - epsilon) * best


def _even(mask: Tensor) -> Tensor:
    """Equal shares of the legal actions, [n, a]."""
    allowed = mask.float()
    return allowed / allowed.sum(dim=1, keepdim=True)
