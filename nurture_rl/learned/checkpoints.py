"""Where a training stands, kept on disk, so that a killed one goes on to the same result."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nurture_rl.learned.training_log import Progress
from nurture_rl.logs.atomic import atomic_write_bytes

Told = list[tuple[int, dict[str, float]]]  # what a training has told, by step
State = Mapping[str, Any]  # all that the steps to come depend on, generators' states among it


class Checkpoints:
    """The last checkpoint of a policy that is trained.

    A policy may take several trainings, one after the other: each begins with `begin`, and they
    are told apart by their order. The file is whole or not there; it is read by nobody but the
    code that wrote it, for it stands beside a stage that is named by its code.

    Args:
        path: the file; None: nothing is kept.
        every: iterations between two checkpoints, >= 1.
        told: what was told until the checkpoint is put in here, and kept with the next one.
    """

    def __init__(self, path: Path | None = None, every: int = 1, told: Told | None = None) -> None:
        self._path, self._every = path, every
        self._told: Told = [] if told is None else told
        self._states: list[bytes] = []  # of each training; as bytes, for training changes weights
        self._training = -1
        if path is not None and path.is_file():
            self._states, self._told[:] = pickle.loads(path.read_bytes())

    def begin(self) -> State | None:
        """Begin the next training; where it stood at its checkpoint, or None."""
        self._training += 1
        if self._training < len(self._states):
            state: State = pickle.loads(self._states[self._training])
            return state
        return None

    def keep(self, iteration: int, state: Callable[[], State], last: bool = False) -> None:
        """Keep where the training stands, if it is time to.

        Args:
            iteration: of the training, done.
            state: says where it stands.
            last: the training is over: where it ended is kept for the trainings after it.

        Raises:
            OSError: the disk refuses.
        """
        over = self._training < len(self._states) - 1  # a later training has begun: keep that
        due = last or iteration % self._every == self._every - 1
        if self._path is None or over or not due:
            return
        self._states[self._training :] = [pickle.dumps(state())]
        atomic_write_bytes(self._path, pickle.dumps((self._states, self._told)))


class Resumable:
    """Progress of a training that keeps where it stands.

    Args:
        tell: the progress itself.
        checkpoints: of the policy.
    """

    def __init__(self, tell: Progress, checkpoints: Checkpoints) -> None:
        self._tell, self.checkpoints = tell, checkpoints

    def __call__(self, step: int, values: dict[str, float]) -> None:
        """Tell what an iteration brought."""
        self._tell(step, values)


def checkpoints_of(progress: Progress) -> Checkpoints:
    """Where whoever is told keeps checkpoints; nowhere, unless it is `Resumable`."""
    return progress.checkpoints if isinstance(progress, Resumable) else Checkpoints()


def checkpoint_beside(unfinished: Path) -> Path:
    """The checkpoint of the stage whose unfinished folder this is: hidden, and named by the stage.

    The folder is gone with the process that fills it; the checkpoint stays.
    """
    stage = unfinished.name.rsplit(".", 2)[0]  # of `.STAGE.RANDOM.partial`
    return unfinished.with_name(f"{stage}.checkpoint")
