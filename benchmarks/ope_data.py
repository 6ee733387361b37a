"""Logged decisions for the benchmark of off-policy evaluation, the same for every library."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

ROW_GROUP = 1_000_000
PER_CONTACT = 4  # decisions of one contact
_BYTES_A_ROW = 50  # on disk, at most


@dataclass(frozen=True, slots=True, eq=False)
class Logged:
    """One-step decisions in memory."""

    target: FloatArray  # [n, a]
    q: FloatArray  # a model's rewards, [n, a]
    action: NDArray[np.int64]  # [n]
    propensity: FloatArray  # [n]
    reward: FloatArray  # 0 or 1, [n]
    contact: NDArray[np.int64]  # [n]


def logged(n: int, n_actions: int, seed: int) -> Logged:
    """Softmax policies over random scores, rewards of about one in seven, a model that errs."""
    rng = np.random.default_rng(seed)
    scores = 0.7 * rng.standard_normal((n, n_actions))
    logging, target = _softmax(scores), _softmax(0.5 - scores)
    action = (rng.random((n, 1)) > logging.cumsum(axis=1)).sum(axis=1).clip(max=n_actions - 1)
    chance = 1.0 / (1.0 + np.exp(2.0 - 0.5 * scores))
    every = np.arange(n)
    return Logged(
        target=target,
        q=np.clip(chance + 0.05 * rng.standard_normal(chance.shape), 0.0, 1.0),
        action=action,
        propensity=logging[every, action],
        reward=(rng.random(n) < chance[every, action]).astype(np.float64),
        contact=every // PER_CONTACT,
    )


def write_table(path: Path, rows: int, say: Callable[[str], None]) -> None:
    """A decision table with the target's probability and a model's answers, as pyarrow writes it.

    Raises:
        OSError: the disk has too little room.
    """
    free = shutil.disk_usage(path.parent).free
    if free < 2 * rows * _BYTES_A_ROW:
        raise OSError(f"{rows:,} decisions need {2 * rows * _BYTES_A_ROW:,} bytes, {free:,} free")
    writer = None
    for first in range(0, rows, ROW_GROUP):
        table = _some_rows(first, min(ROW_GROUP, rows - first))
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table, row_group_size=ROW_GROUP)
        if first % (10 * ROW_GROUP) == 0:
            say(f"wrote {first + len(table):,} of {rows:,} decisions")
    if writer is not None:
        writer.close()


def _some_rows(first: int, n: int) -> pa.Table:
    """Rows from `first` on; every million is another draw."""
    rng = np.random.default_rng(first)
    propensity = 0.05 + 0.9 * rng.random(n)
    taken, q = rng.random(n), 0.02 * rng.random(n)
    return pa.table(
        {
            "contact_id": (np.arange(first, first + n) // PER_CONTACT),
            "reward": (rng.random(n) < q).astype(np.float64),
            "propensity": propensity,
            "target_probability": taken,
            "q_logged": q,
            "q_target": 0.02 * rng.random(n),
        }
    )


def _softmax(scores: FloatArray) -> FloatArray:
    raw = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(raw / raw.sum(axis=1, keepdims=True), dtype=np.float64)
