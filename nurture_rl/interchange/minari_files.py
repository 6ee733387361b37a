"""Episodes as a Minari data set, and back.

An episode of T decisions has T + 1 observations. Its infos have T + 1 rows too, row t beside
observation t: `action_mask`, `propensity` and `probabilities` of the decision taken there, `step`,
`contact`, `discount`. Nothing is decided at the last observation: its mask is all false, its
propensity NaN, its discount 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

from nurture_rl.errors import LogError, ShapeError
from nurture_rl.interchange.episodes import Episodes, require_package
from nurture_rl.logs.atomic import atomic_folder

_KEY = "nurture_rl"  # our part of the metadata
_INFOS = ("action_mask", "propensity", "probabilities", "step", "contact", "discount")


def write_minari(
    episodes: Episodes, root: Path, dataset_id: str, env_id: str | None = None
) -> Path:
    """Write a data set; Minari finds it by its id where MINARI_DATASETS_PATH is `root`.

    Args:
        episodes: what to write.
        root: folder of Minari data sets; an older data set of that id is replaced.
        dataset_id: Minari's name for it, such as "inbound_lead-v0".
        env_id: registered environment the episodes came from, for `recover_environment`.

    Returns:
        The folder of the data, which `minari.MinariDataset` reads as well.

    Raises:
        ConfigError: minari is not installed.
        LogError: the id is not one Minari knows how to read.
        ShapeError: the environment has other observations or actions than the episodes.
    """
    minari = require_package("minari")
    buffers = require_package("minari.data_collector.episode_buffer")
    storages = require_package("minari.dataset.minari_storage")
    _require_id(dataset_id)
    spaces = _spaces(episodes, env_id)
    with atomic_folder(root / dataset_id) as partial:
        require_package("h5py")
        (partial / "data").mkdir()
        storage = storages.MinariStorage.new(
            partial / "data",
            observation_space=spaces[0],
            action_space=spaces[1],
            env_spec=None if env_id is None else gymnasium.spec(env_id),
            data_format="hdf5",
        )
        storage.update_metadata(
            {
                "dataset_id": dataset_id,
                "minari_version": minari.__version__,
                "description": f"decisions of the journey {episodes.subject.journey}",
                _KEY: episodes.subject.plain,
            }
        )
        storage.update_episodes(buffers.EpisodeBuffer(**record) for record in _records(episodes))
    return root / dataset_id / "data"


def _require_id(dataset_id: str) -> None:
    name, _, version = dataset_id.rpartition("-v")
    if not name.replace("-", "_").isidentifier() or not version.isdigit():
        raise LogError(
            f"expected a data set id such as 'inbound_lead-v0', got {dataset_id!r}: letters, "
            "digits, '-' and '_', then -v and a number"
        )


def _spaces(episodes: Episodes, env_id: str | None) -> tuple[gymnasium.Space[Any], Discrete]:
    width, n_actions = episodes.log.features.shape[1], episodes.log.n_actions
    if env_id is None:
        return Box(-np.inf, np.inf, (width,), np.float32), Discrete(n_actions)
    env = gymnasium.make(env_id)
    observation, action = env.observation_space, env.action_space
    env.close()
    if observation.shape != (width,) or action != Discrete(n_actions):
        raise ShapeError(
            f"{env_id} has observations {observation.shape} and actions {action}, the episodes "
            f"have {(width,)} and {n_actions}; name the environment they came from, or none"
        )
    return observation, Discrete(n_actions)


def _records(episodes: Episodes) -> Iterator[dict[str, Any]]:
    """The fields of one Minari episode buffer after the other."""
    log, bounds = episodes.log, episodes.bounds
    logged, discounts = episodes.logged, episodes.discounts
    n_actions = log.n_actions
    none, unknown = np.zeros((1, n_actions), bool), np.full((1, n_actions), np.nan)
    for number, (first, end) in enumerate(pairwise(bounds)):
        rows = slice(int(first), int(end))
        length = int(end - first)
        ends = np.arange(length) == length - 1
        yield {
            "observations": np.concatenate([log.features[rows], episodes.final[[number]]]),
            "actions": log.action[rows],
            "rewards": log.reward[rows],
            "terminations": log.terminal[rows],
            "truncations": ends & ~log.terminal[rows],
            "infos": {
                "action_mask": np.concatenate([log.mask[rows], none]),
                "propensity": np.append(log.propensity[rows], np.nan),
                "probabilities": np.concatenate([logged[rows], unknown]),
                "step": np.append(log.step[rows], log.step[end - 1] + 1),
                "contact": np.full(length + 1, log.cluster[number]),
                "discount": np.append(discounts[rows], 0.0),
            },
        }
