"""d3rlpy in its own environment: its learners on the replay buffer of its own online DQN.

python d3rlpy_cartpole.py FOLDER LOGS STEPS EPISODES

The published CartPole replay must be downloaded; this makes one alike: a DQN is trained online in
CartPole-v1 and explores in a third of its decisions; all episodes that ended by a fall are the log.
Writes it to FOLDER and prints {"values": [{learner: mean episode length}]}, one a log.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import d3rlpy
import gymnasium
import numpy as np
import torch
from d3rlpy.models.encoders import VectorEncoderFactory
from d3rlpy.preprocessing import StandardObservationScaler

HIDDEN, BATCH, LEARNING_RATE, DISCOUNT = [64, 64], 64, 1e-3, 0.99
PLAYED = 6_000  # online steps
EXPLORED = 1 / 3
LIMIT = 500  # steps after which an episode is cut short


def main(folder: str, logs: int, steps: int, episodes: int) -> None:
    torch.set_num_threads(1)
    values = []
    for seed in range(logs):
        d3rlpy.seed(seed)
        replay = [one for one in online(seed).episodes if one.terminated and one.size() < LIMIT]
        rows = [one.size() for one in replay]
        features = np.concatenate([one.observations for one in replay])
        action = np.concatenate([one.actions for one in replay])[:, 0]
        reward = np.concatenate([one.rewards for one in replay])[:, 0]
        episode = np.repeat(np.arange(len(rows)), rows)
        step = np.concatenate([np.arange(size) for size in rows])
        np.savez(
            Path(folder) / f"{seed}.npz",
            features=features,
            action=action,
            reward=reward,
            episode=episode,
            step=step,
        )
        terminal = np.append(episode[1:] != episode[:-1], True).astype("f4")
        data = d3rlpy.dataset.MDPDataset(
            features.astype("f4"), action, reward.astype("f4"), terminal, action_size=2
        )
        found = {"the log": float(np.mean(rows))}
        made = {
            "dqn": d3rlpy.algos.DQNConfig(**settings()),
            "double dqn": d3rlpy.algos.DoubleDQNConfig(**settings()),
            "cql": d3rlpy.algos.DiscreteCQLConfig(**settings()),
        }
        for name, config in made.items():
            learner = config.create(device="cpu")
            learner.fit(
                data,
                n_steps=steps,
                n_steps_per_epoch=steps,
                show_progress=False,
                logger_adapter=d3rlpy.logging.NoopAdapterFactory(),
            )
            found[f"d3rlpy, {name}"] = played(learner, episodes)
        values.append(found)
    print(json.dumps({"values": values}))


def settings():
    return {
        "encoder_factory": VectorEncoderFactory(HIDDEN),
        "batch_size": BATCH,
        "learning_rate": LEARNING_RATE,
        "gamma": DISCOUNT,
        "observation_scaler": StandardObservationScaler(),
        "target_update_interval": 100,
    }


def online(seed):
    """What an online DQN has seen, episode by episode."""
    env = gymnasium.make("CartPole-v1")
    env.reset(seed=seed)
    given = settings() | {"observation_scaler": None}
    learner = d3rlpy.algos.DQNConfig(**given).create(device="cpu")
    buffer = d3rlpy.dataset.create_fifo_replay_buffer(limit=PLAYED, env=env)
    learner.fit_online(
        env,
        buffer,
        d3rlpy.algos.ConstantEpsilonGreedy(EXPLORED),
        n_steps=PLAYED,
        n_steps_per_epoch=PLAYED,
        update_start_step=500,
        show_progress=False,
        logger_adapter=d3rlpy.logging.NoopAdapterFactory(),
    )
    return buffer


def played(learner, episodes):
    """Mean return of the best actions over the first episodes of as many poles."""
    poles = gymnasium.vector.SyncVectorEnv(
        [lambda: gymnasium.make("CartPole-v1") for _ in range(episodes)]
    )
    seen, _ = poles.reset(seed=1_000)
    lengths, running = np.zeros(episodes), np.ones(episodes, bool)
    while running.any():
        seen, _, terminated, truncated, _ = poles.step(learner.predict(seen))
        lengths += running
        running &= ~(terminated | truncated)
    return float(lengths.mean())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
