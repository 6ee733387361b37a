"""Episodes as the HDF5 file that d3rlpy's `ReplayBuffer.load` reads, and back.

d3rlpy keeps observations, actions, rewards and whether the episode terminated; it has no place
for the observation after the last decision, so it learns nothing from the last decision of a
cut-off episode. What it has no place for (masks, propensities, the final observation) lies beside,
in the group `nurture_rl`, one row per decision.
"""

from __future__ import annotations

import json
import os
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from nurture_rl.interchange.episodes import Episodes, require_package

_VERSION = "2.1"  # of d3rlpy's layout
_COLUMNS = ("observations", "actions", "rewards", "terminated")
GROUP = "nurture_rl"  # ours, beside what d3rlpy reads


def write_d3rlpy(episodes: Episodes, path: Path) -> Path:
    """Write one HDF5 file; a file at `path` is replaced when the new one is whole.

    Actions are [T, 1] int64 and rewards [T, 1] float32, as d3rlpy's discrete algorithms want them.

    Raises:
        ConfigError: h5py is not installed.
    """
    h5py = require_package("h5py")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    os.close(handle)
    try:
        with h5py.File(name, "w") as file:
            _write_episodes(file, episodes)
            _write_group(file.create_group(GROUP), episodes)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return path


def _write_episodes(file: Any, episodes: Episodes) -> None:
    log, bounds = episodes.log, episodes.bounds
    file.create_dataset("columns", data=list(_COLUMNS))
    file.create_dataset("num_episodes", data=log.n_episodes)
    file.create_dataset("version", data=_VERSION)
    rewards = log.reward.astype(np.float32)[:, None]
    for number, (first, end) in enumerate(pairwise(bounds)):
        rows = slice(int(first), int(end))
        file.create_dataset(f"observations_{number}", data=log.features[rows])
        file.create_dataset(f"actions_{number}", data=log.action[rows, None])
        file.create_dataset(f"rewards_{number}", data=rewards[rows])
        file.create_dataset(f"terminated_{number}", data=bool(log.terminal[end - 1]))


def _write_group(group: Any, episodes: Episodes) -> None:
    log, lengths = episodes.log, np.diff(episodes.bounds)
    group.attrs["subject"] = json.dumps(episodes.subject.plain)
    columns = {
        "lengths": lengths,
        "final": episodes.final,
        "mask": log.mask,
        "propensity": log.propensity,
        "probabilities": episodes.logged,
        "reward": log.reward,
        "step": log.step,
        "contact": np.repeat(log.cluster, lengths),
        "terminal": log.terminal,
        "discount": episodes.discounts,
    }
    for name, values in columns.items():
        group.create_dataset(name, data=values)
