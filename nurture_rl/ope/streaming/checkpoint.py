"""What a stream has summed so far, on disk: whole or not there, and good for one stream only."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nurture_rl.errors import LogError
from nurture_rl.logs.atomic import atomic_write_bytes
from nurture_rl.ope.log import IntArray
from nurture_rl.ope.streaming.decision_columns import FaultArray
from nurture_rl.ope.streaming.moments import Moments, MomentsConfig

_BY = "by:"


@dataclass(frozen=True, slots=True, eq=False)
class Progress:
    """Sums over the row groups before `next_group`, and what was set aside there."""

    moments: Moments
    next_group: int
    rows_read: int  # those set aside included
    bad_row: IntArray  # their numbers in the whole table, from 0, [m]
    bad_fault: FaultArray  # positions in FAULTS, [m]


def save_progress(path: Path, progress: Progress, fingerprint: str) -> None:
    """Write progress for the stream that the fingerprint names; a crash leaves the last one.

    Raises:
        OSError: the disk refuses.
    """
    moments, buffer = progress.moments, io.BytesIO()
    head = {
        "fingerprint": fingerprint,
        "next_group": progress.next_group,
        "rows_read": progress.rows_read,
        "matched": moments.matched,
    }
    arrays: dict[str, Any] = {_BY + name: table for name, table in moments.by.items()}
    arrays["head"] = np.frombuffer(json.dumps(head).encode(), np.uint8)
    arrays |= {"sums": moments.sums, "bounds": moments.bounds}
    arrays |= {"bad_row": progress.bad_row, "bad_fault": progress.bad_fault}
    np.savez(buffer, **arrays)
    atomic_write_bytes(path, buffer.getvalue())


def load_progress(path: Path, config: MomentsConfig, fingerprint: str) -> Progress | None:
    """Progress of the stream that the fingerprint names, None if there is none yet.

    Raises:
        LogError: the file is another stream's.
    """
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as stored:
        head = json.loads(stored["head"].tobytes())
        if head["fingerprint"] != fingerprint:
            raise LogError(
                f"{path} holds the progress of another table, reader or configuration; expected "
                f"{fingerprint}, got {head['fingerprint']}; name another file or remove this one"
            )
        by = {name.removeprefix(_BY): stored[name] for name in stored.files if name.startswith(_BY)}
        moments = Moments(config, stored["sums"], stored["bounds"], head["matched"], by)
        return Progress(
            moments, head["next_group"], head["rows_read"], stored["bad_row"], stored["bad_fault"]
        )
