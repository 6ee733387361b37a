"""torchrl and tianshou in an environment of their own: gradient steps a second from a log.

python torchrl_offline.py RUNS THREADS

Prints {"torchrl, DQN, batch 256": [[seconds, processor seconds] of a step, for each run]}; a step
draws its batch, works out its goals, goes forward and back, steps Adam and keeps the following
copy. Neither ships a fitted-Q evaluation: that row is torchrl's buffer, network and value loss.
tianshou's CQL has quantiles; it is given two, its least.
"""

from __future__ import annotations

import copy
import json
import sys
import time
import warnings

import gymnasium
import numpy as np
import torch
from tensordict import TensorDict
from tianshou.algorithm import DQN, DiscreteCQL
from tianshou.algorithm.modelfree.dqn import DiscreteQLearningPolicy
from tianshou.algorithm.modelfree.qrdqn import QRDQNPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import ReplayBuffer
from tianshou.utils.net.common import Net
from tianshou.utils.torch_utils import policy_within_training_step
from torchrl.data import LazyTensorStorage, OneHot, TensorDictReplayBuffer
from torchrl.modules import MLP, QValueActor
from torchrl.objectives import DiscreteCQLLoss, DQNLoss, HardUpdate, distance_loss

FEATURES, ACTIONS, LENGTH, EPISODES = 64, 12, 30, 3334
ROWS, HIDDEN, DISCOUNT = EPISODES * LENGTH, [256, 256], 0.99
STEPS = {256: 20, 4096: 3}  # of each run
COPIED = 1000  # steps between copies of the trained network


def main(runs: int, threads: int) -> None:
    warnings.filterwarnings("ignore")
    torch.set_num_threads(threads)
    found = {}
    for batch, steps in STEPS.items():
        for name, step in (torchrl_steps(batch) | tianshou_steps(batch)).items():
            found[f"{name}, batch {batch}"] = timed(step, steps, runs)
    print(json.dumps(found))


def timed(step, steps, runs):
    found = []
    for run in range(runs + 1):
        began, cpu = time.perf_counter(), time.process_time()
        for _ in range(steps):
            step()
        spent = (time.perf_counter() - began, time.process_time() - cpu)
        if run:  # the first one warms up
            found.append([part / steps for part in spent])
    return found


def torchrl_steps(batch):
    seen = torch.randn(ROWS + 1, FEATURES)
    done = (torch.arange(1, ROWS + 1) % LENGTH == 0)[:, None]
    after = {
        "observation": seen[1:],
        "reward": torch.randn(ROWS, 1),
        "done": done,
        "terminated": done,
    }
    one_hot = torch.nn.functional.one_hot(torch.randint(0, ACTIONS, (ROWS,)), ACTIONS)
    buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(ROWS), batch_size=batch)
    buffer.extend(TensorDict({"observation": seen[:-1], "action": one_hot, "next": after}, [ROWS]))
    made = {"DQN": DQNLoss, "CQL": DiscreteCQLLoss}
    steps = {f"torchrl, {name}": torchrl_step(buffer, kind) for name, kind in made.items()}
    return steps | {"torchrl, FQE": torchrl_evaluation(buffer)}


def network():
    return MLP(
        in_features=FEATURES,
        out_features=ACTIONS,
        num_cells=HIDDEN,
        activation_class=torch.nn.ReLU,
    )


def torchrl_step(buffer, kind):
    spec = OneHot(ACTIONS)
    actor = QValueActor(network(), in_keys=["observation"], spec=spec)
    loss = kind(actor, action_space=spec, delay_value=True)
    loss.make_value_estimator(gamma=DISCOUNT)
    following = HardUpdate(loss, value_network_update_interval=COPIED)
    optimiser = torch.optim.Adam(loss.parameters(), lr=1e-3, fused=True)

    def step():
        parts = loss(buffer.sample())
        optimiser.zero_grad()
        sum(part for name, part in parts.items() if name.startswith("loss")).backward()
        optimiser.step()
        following.step()

    return step


def torchrl_evaluation(buffer):
    trained = network()
    following = copy.deepcopy(trained)
    optimiser = torch.optim.Adam(trained.parameters(), lr=1e-3, fused=True)
    taken = 0

    def step():
        nonlocal taken
        rows = buffer.sample()
        with torch.no_grad():  # the target policy draws every action alike
            ahead = following(rows["next", "observation"]).mean(dim=1, keepdim=True)
            goal = rows["next", "reward"] + DISCOUNT * ~rows["next", "terminated"] * ahead
        q = (trained(rows["observation"]) * rows["action"]).sum(dim=1, keepdim=True)
        optimiser.zero_grad()
        distance_loss(q, goal, "l2").mean().backward()
        optimiser.step()
        taken += 1
        if taken % COPIED == 0:
            following.load_state_dict(trained.state_dict())

    return step


def tianshou_steps(batch):
    luck = np.random.default_rng(0)
    seen = luck.standard_normal((ROWS + 1, FEATURES)).astype("f4")
    done = np.arange(1, ROWS + 1) % LENGTH == 0
    buffer = ReplayBuffer.from_data(
        obs=seen[:-1],
        act=luck.integers(0, ACTIONS, ROWS),
        rew=luck.standard_normal(ROWS),
        terminated=done,
        truncated=np.zeros(ROWS, bool),
        done=done,
        obs_next=seen[1:],
    )
    spaces = {
        "action_space": gymnasium.spaces.Discrete(ACTIONS),
        "observation_space": gymnasium.spaces.Box(-9, 9, (FEATURES,)),
    }

    def plain(quantiles=1):
        return Net(
            state_shape=FEATURES,
            action_shape=ACTIONS,
            hidden_sizes=HIDDEN,
            num_atoms=quantiles,
        )

    given = {"optim": AdamOptimizerFactory(lr=1e-3), "gamma": DISCOUNT}
    dqn = DQN(
        policy=DiscreteQLearningPolicy(model=plain(), **spaces), target_update_freq=COPIED, **given
    )
    cql = DiscreteCQL(
        policy=QRDQNPolicy(model=plain(2), **spaces),
        num_quantiles=2,
        target_update_freq=COPIED,
        min_q_weight=1.0,
        **given,
    )

    def step_of(learner):
        def step():
            with policy_within_training_step(learner.policy):
                learner.update(buffer=buffer, sample_size=batch)

        return step

    return {"tianshou, DQN": step_of(dqn), "tianshou, CQL": step_of(cql)}


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
