"""Episodes from the files that `nurture interchange` writes, every column as it lies there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nurture_rl.interchange.containers import hdf5_file, minari_records
from nurture_rl.interchange.d3rlpy_files import GROUP
from nurture_rl.interchange.episodes import Episodes, Subject, rebuilt

_INFOS = ("action_mask", "propensity", "probabilities", "step", "contact", "discount")


def subject_of(plain: dict[str, Any]) -> Subject:
    """The subject that `Subject.plain` put down as JSON."""
    lists = {name: tuple(plain[name]) for name in ("feature_names", "action_ids")}
    factors = tuple(tuple(row) for row in plain["action_factors"])
    return Subject(**{**plain, **lists, "action_factors": factors})


def read_minari(data: Path) -> Episodes:
    """The episodes of a data set, from its `data` folder."""
    metadata, records = minari_records(data)
    parts: dict[str, list[NDArray[Any]]] = {}
    final, lengths = [], []
    for one in records:
        infos, length = one["infos"], len(one["rewards"])
        found = {name: infos[name][:length] for name in _INFOS}
        found["features"] = one["observations"][:length]
        found |= {"action": one["actions"], "reward": one["rewards"]}
        found["terminal"] = one["terminations"]
        for name, values in found.items():
            parts.setdefault(name, []).append(values)
        final.append(one["observations"][length])
        lengths.append(length)
    columns = {name: np.concatenate(values) for name, values in parts.items()}
    columns["mask"] = columns.pop("action_mask")
    return rebuilt(subject_of(metadata["nurture_rl"]), columns, np.array(lengths), np.stack(final))


def read_d3rlpy(path: Path) -> Episodes:
    """The episodes of an HDF5 file."""
    with hdf5_file(path) as file:
        columns: dict[str, NDArray[Any]] = {key: value[()] for key, value in file[GROUP].items()}
        subject = subject_of(json.loads(file[GROUP].attrs["subject"]))
        episodes = range(int(file["num_episodes"][()]))
        features = [file[f"observations_{number}"][()] for number in episodes]
        actions = [file[f"actions_{number}"][:, 0] for number in episodes]
    lengths, final = columns.pop("lengths"), columns.pop("final")
    columns |= {"features": np.concatenate(features), "action": np.concatenate(actions)}
    return rebuilt(subject, columns, lengths, final)
