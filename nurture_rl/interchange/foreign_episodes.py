"""Episodes that another library recorded, as rows for `admit`.

Minari keeps infos, so propensities can lie there; d3rlpy keeps none, so they come beside. Where
they are nowhere, nothing stands in for them and the log is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nurture_rl.errors import LogError, NurtureError, PropensityError, ShapeError
from nurture_rl.interchange.containers import hdf5_file, minari_records
from nurture_rl.interchange.d3rlpy_files import GROUP as OURS
from nurture_rl.interchange.logged_rows import LoggedRows, Meaning, RefusedRow
from nurture_rl.interchange.missing import labels, numbered_ids

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ForeignEpisode:
    """One episode of T decisions as another library keeps it."""

    observations: ArrayLike  # [T, d], or [T + 1, d] with what came after the last decision
    actions: ArrayLike  # discrete, [T]
    rewards: ArrayLike  # [T]
    terminated: bool  # the world ended it; False: it was cut off
    infos: Mapping[str, ArrayLike] = field(default_factory=dict)  # [T, ...] or [T + 1, ...] each


@dataclass(frozen=True, slots=True)
class EpisodesMeaning:
    """What foreign episodes do not say about themselves."""

    propensity: str = "propensity"  # info with the logging probability of the action taken
    mask: str = "action_mask"  # info with the legal actions; all are where it is missing
    probabilities: str = "probabilities"  # info with the logging policy's distribution
    contact: str = "contact"  # info that names the person; an episode each where it is missing
    actions: tuple[str, ...] = ()  # names; empty: 0, 1, 2, ...
    unit: str = "reward"
    discount: float = 1.0  # per decision
    missing: tuple[float, ...] = ()  # numbers that stand for missing, such as -999


def read_episodes(
    episodes: Iterable[ForeignEpisode], meaning: EpisodesMeaning, source: str
) -> LoggedRows:
    """Turn episodes into rows; an episode that cannot be read is set aside with its decisions.

    Args:
        episodes: the recorded episodes.
        meaning: names of infos, actions and the unit.
        source: what to call them in messages.

    Raises:
        LogError: no episode.
        PropensityError: no episode can be read, the first for want of propensities.
        ShapeError: likewise, for arrays that do not fit together or actions that are not discrete.
    """
    read = _Read()
    for number, one in enumerate(episodes):
        read.take(one, number, meaning, source)
    if not read.ends:
        raise read.first_error or LogError(f"{source} holds no episode")
    parts, ends = read.parts, read.ends
    lengths = np.array([len(one) for one in parts["action"]], dtype=np.int64)
    columns = {name: np.concatenate(values) for name, values in parts.items()}
    n = int(lengths.sum())
    a = _n_actions(columns, meaning)
    mask = columns["mask"] if len(parts.get("mask", ())) == len(ends) else np.ones((n, a), np.bool_)
    logged = columns["logged"] if len(parts.get("logged", ())) == len(ends) else None
    episode = np.repeat(np.arange(lengths.size, dtype=np.int64), lengths)
    last = np.cumsum(lengths) - 1
    terminal = np.zeros(n, dtype=np.bool_)
    terminal[last] = ends
    names = [f"observation_{k}" for k in range(columns["features"].shape[1])]
    action = columns["action"]
    return LoggedRows(
        source=source,
        place="decision",
        line=np.concatenate(
            [first + np.arange(length) for first, length in zip(read.lines, lengths, strict=True)]
        ),
        meaning=Meaning(
            meaning.actions or tuple(map(str, range(a))),
            tuple(names),
            np.eye(a),
            meaning.unit,
            meaning.discount,
            meaning.missing,
        ),
        action=np.where((action >= 0) & (action < a), action, -1),
        propensity=columns["propensity"],
        reward=columns["reward"],
        contact=numbered_ids(columns["contact"], meaning.missing),
        episode=episode,
        step=np.concatenate([np.arange(length) for length in lengths]).astype(np.int64),
        features=columns["features"],
        mask=mask,
        logged=logged,
        terminal=terminal,
        broken=tuple(read.broken),
        notes=_notes(parts, len(ends)),
    )


def minari_episodes(data: Path) -> list[ForeignEpisode]:
    """The episodes of any Minari data set, from its `data` folder.

    Raises:
        ConfigError: minari is not installed.
        LogError: there is no data set, or it is damaged.
    """
    _, records = minari_records(data)
    return [
        ForeignEpisode(
            observations=one["observations"],
            actions=one["actions"],
            rewards=one["rewards"],
            terminated=bool(np.asarray(one["terminations"]).reshape(-1)[-1:].any()),
            infos=one.get("infos") or {},
        )
        for one in records
    ]


def d3rlpy_episodes(path: Path, beside: Mapping[str, ArrayLike]) -> list[ForeignEpisode]:
    """The episodes of an HDF5 file of d3rlpy, with infos that lie beside it.

    A file that `write_d3rlpy` made holds them itself.

    Args:
        path: what `ReplayBuffer.dump` wrote, or `write_d3rlpy`.
        beside: propensity [N], and others by the name of their info, decision by decision.

    Raises:
        ConfigError: h5py is not installed.
        LogError: there is no such file, or it is none of d3rlpy's.
        ShapeError: what lies beside has another number of decisions.
    """
    with hdf5_file(path) as file:
        if "num_episodes" not in file:
            raise LogError(f"{path.name} has no 'num_episodes'; expected what d3rlpy dumps")
        own = {name: file[OURS][name][()] for name in _OURS if OURS in file}
        episodes = [
            {name: file[f"{name}_{k}"][()] for name in ("observations", "actions", "rewards")}
            | {"terminated": bool(file[f"terminated_{k}"][()])}
            for k in range(int(file["num_episodes"][()]))
        ]
    inside = {_OURS[name]: values for name, values in own.items()}
    return dataset_episodes(episodes, {**inside, **beside})


def dataset_episodes(
    episodes: Sequence[Any], beside: Mapping[str, ArrayLike]
) -> list[ForeignEpisode]:
    """Episodes of a d3rlpy data set in memory (`dataset.episodes`), or mappings of its fields.

    Raises:
        ShapeError: what lies beside has another number of decisions.
    """
    fields = [
        one if isinstance(one, Mapping) else {name: getattr(one, name) for name in _FIELDS}
        for one in episodes
    ]
    lengths = [len(np.asarray(one["actions"])) for one in fields]
    for name, values in beside.items():
        shape = np.shape(values)
        if shape[:1] != (sum(lengths),):
            raise ShapeError(
                f"{name!r} beside the episodes must have one row for each of their {sum(lengths)} "
                f"decisions, got {shape[0] if shape else 'a single value'}"
            )
    read, first = [], 0
    for one, length in zip(fields, lengths, strict=True):
        infos = {
            name: np.asarray(values)[first : first + length] for name, values in beside.items()
        }
        read.append(ForeignEpisode(**{name: one[name] for name in _FIELDS}, infos=infos))
        first += length
    return read


# What our own files keep beside d3rlpy's arrays, and the infos it stands for.
_OURS = {
    "propensity": "propensity",
    "mask": "action_mask",
    "probabilities": "probabilities",
    "contact": "contact",
}
_FIELDS = ("observations", "actions", "rewards", "terminated")


class _Read:
    """What was read of the episodes so far, column by column, and what had to be set aside."""

    def __init__(self) -> None:
        self.parts: dict[str, list[NDArray[Any]]] = {}
        self.ends: list[bool] = []
        self.lines: list[int] = []  # of each good episode's first decision, 1-based
        self.broken: list[RefusedRow] = []
        self.first_error: NurtureError | None = None
        self._next = 1
        self._widths: dict[str, tuple[int, ...]] = {}

    def take(self, one: ForeignEpisode, number: int, meaning: EpisodesMeaning, source: str) -> None:
        """Add an episode, or set all of its decisions aside with the reason."""
        size = max(1, len(np.atleast_1d(np.asarray(one.actions))))
        first, self._next = self._next, self._next + size
        try:
            columns = _rows_of(one, number, meaning, source)
            self._require_alike(columns, number, source)
        except (PropensityError, ShapeError) as error:
            self.first_error = self.first_error or error
            kind = "missing propensity" if isinstance(error, PropensityError) else "bad episode"
            reason = f"{kind}: {error}"
            self.broken += [RefusedRow(source, first + k, reason) for k in range(size)]
            return
        for name, values in columns.items():
            self.parts.setdefault(name, []).append(values)
        self.ends.append(bool(one.terminated))
        self.lines.append(first)

    def _require_alike(self, columns: Mapping[str, NDArray[Any]], number: int, source: str) -> None:
        """Columns as wide as those of the episodes before."""
        for name, values in columns.items():
            known = self._widths.setdefault(name, values.shape[1:])
            if known != values.shape[1:]:
                raise ShapeError(
                    f"episode {number} of {source} has {name} [T, {_told(values.shape[1:])}] where "
                    f"others have [T, {_told(known)}]; record all episodes alike"
                )


def _told(width: tuple[int, ...]) -> str:
    return ", ".join(map(str, width))


def _rows_of(
    one: ForeignEpisode, number: int, meaning: EpisodesMeaning, source: str
) -> dict[str, NDArray[Any]]:
    """The columns of one episode, [T, ...] each."""
    action = np.asarray(one.actions)
    action = action.reshape(len(action), -1) if action.size else action.reshape(0, 1)
    if action.size == 0:
        raise ShapeError(f"episode {number} of {source} has no decision; leave it out")
    numeric = action.dtype.kind in "biuf"
    if action.shape[1] != 1 or not numeric or not np.array_equal(action, np.round(action)):
        raise ShapeError(
            f"episode {number} of {source} has actions {np.asarray(one.actions).shape} that are "
            "not one whole number per decision; off-policy evaluation here needs discrete actions"
        )
    action = action[:, 0].astype(np.int64)
    length = action.size
    try:
        observations = np.asarray(one.observations, dtype=np.float64)
        rewards = np.asarray(one.rewards, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError) as error:
        raise ShapeError(
            f"episode {number} of {source} has observations or rewards that are no arrays of "
            f"numbers ({error}); flatten them into one array"
        ) from error
    if (
        observations.shape[:1] == ()
        or observations.shape[0] not in (length, length + 1)
        or rewards.size != length
    ):
        raise ShapeError(
            f"episode {number} of {source} has {length} actions, {observations.shape[0]} "
            f"observations and {rewards.size} rewards; expected as many, or one observation more"
        )
    columns: dict[str, NDArray[Any]] = {
        "action": action,
        "reward": rewards,
        "features": observations[:length].reshape(length, -1),
        "contact": np.full(length, f"episode {number}", dtype=object),
    }
    infos = {name: np.asarray(values)[:length] for name, values in one.infos.items()}
    if meaning.mask in infos:
        columns["mask"] = _numbers(infos, meaning.mask, number, source) > 0.0
    if meaning.probabilities in infos:
        logged = _numbers(infos, meaning.probabilities, number, source)
        if not np.isnan(logged).all():
            columns["logged"] = logged
    if meaning.contact in infos:
        columns["contact"] = labels(infos[meaning.contact].reshape(-1))
    if meaning.propensity in infos:
        columns["propensity"] = _numbers(infos, meaning.propensity, number, source).reshape(-1)
    elif "logged" in columns:
        columns["propensity"] = columns["logged"][np.arange(length), action]
    else:
        raise PropensityError(
            f"episode {number} of {source} has no info {meaning.propensity!r} "
            f"(it has {', '.join(infos) or 'none'}), so nobody knows how likely its actions were: "
            "record the probability of every action in the infos, name the info that holds it, or "
            "give the propensities beside the file (data.beside); 1 is no stand-in"
        )
    return columns


def _numbers(infos: Mapping[str, NDArray[Any]], name: str, number: int, source: str) -> FloatArray:
    try:
        return infos[name].astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ShapeError(
            f"episode {number} of {source} has an info {name!r} that holds no numbers ({error}); "
            "record numbers"
        ) from error


def _n_actions(columns: Mapping[str, NDArray[Any]], meaning: EpisodesMeaning) -> int:
    if meaning.actions:
        return len(meaning.actions)
    for name in ("mask", "logged"):
        if name in columns:
            return int(columns[name].shape[1])
    return int(columns["action"].max()) + 1


def _notes(parts: Mapping[str, Sequence[Any]], episodes: int) -> tuple[str, ...]:
    notes = []
    if len(parts.get("mask", ())) < episodes:
        notes.append("no mask was recorded: every action counts as legal in every decision")
    told = len(parts.get("logged", ()))
    if 0 < told < episodes:
        notes.append(
            f"{told} of {episodes} episodes hold the logging policy's distribution, so none of "
            "them is used"
        )
    if told < episodes:
        notes.append(
            "the log holds the propensity of the logged action alone: a target's mass on actions "
            "the log gave no chance cannot be measured"
        )
    return tuple(notes)
