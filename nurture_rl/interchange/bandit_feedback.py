"""The bandit feedback dictionary of the Open Bandit Pipeline, as a dict or as an .npz file.

Its keys: `n_rounds`, `n_actions`, `context` [n, d], `action_context` [a, k], `action` [n],
`position` [n] or None, `reward` [n], `pscore` [n]. We also read `contact` [n], which it has no
name for, and in files `action_dist` or `action_dist_NAME` for target policies, [n, a] or
[n, a, positions].

Source: Saito, Aihara, Matsutani & Narita (2021), Open Bandit Dataset and Pipeline.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nurture_envs.fields import hint
from nurture_rl.errors import ConfigError, LogError, PropensityError, ShapeError
from nurture_rl.interchange.containers import npz_arrays
from nurture_rl.interchange.logged_rows import LoggedRows, Meaning
from nurture_rl.interchange.missing import labels, numbered_ids
from nurture_rl.interchange.row_checks import set_fault

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
NEEDED = ("n_actions", "context", "action", "reward", "pscore")
POSITIONS = ("refuse", "context")
TARGET = "action_dist"


@dataclass(frozen=True, slots=True)
class FeedbackMeaning:
    """What bandit feedback does not say about itself."""

    # What to do where several positions were shown: `refuse`, or `context`, which makes each shown
    # item a decision of its own that knows its position.
    positions: str = "refuse"
    position: int | None = None  # keep the decisions of this position alone
    unit: str = "reward"
    actions: tuple[str, ...] = field(default=())  # names; empty: 0, 1, 2, ...
    missing: tuple[float, ...] = field(default=())  # numbers that stand for missing, such as -999


def read_feedback(
    feedback: Mapping[str, Any],
    meaning: FeedbackMeaning,
    targets: Mapping[str, ArrayLike] | None = None,
    source: str = "the bandit feedback",
) -> LoggedRows:
    """Turn a bandit feedback dictionary into rows for `admit`.

    Args:
        feedback: the dictionary.
        meaning: how positions are read, and names.
        targets: `action_dist` of target policies by name, [n, a] or [n, a, positions].
        source: what to call it in messages.

    Raises:
        LogError: a missing key, or several positions where they are to be refused.
        PropensityError: no `pscore`, which nothing can stand in for.
        ShapeError: arrays that do not fit together.
        ConfigError: an unknown way to read positions.
    """
    _require_keys(feedback, source)
    action, a = _numbered(feedback, source)
    n = action.size
    reward = _column(feedback, "reward", n)
    pscore = _column(feedback, "pscore", n)
    context = _floats(feedback["context"], "context")
    if context.ndim != 2 or context.shape[0] != n:
        raise ShapeError(f"context of {source} must be [{n}, d], got {context.shape}")
    position, faults = _positions(feedback, n)
    tables = {name: _distribution(table, name, n, a, position) for name, table in _all(targets)}
    keep, context, notes = _shown(position, context, meaning, source)
    who = _contacts(feedback, n, notes, meaning.missing)
    whole = (action >= 0) & (action < a) & (action == np.floor(action))
    width = context.shape[1] - int(np.asarray(feedback["context"]).shape[1])
    names = [f"context_{k}" for k in range(context.shape[1] - width)]
    names += [f"position_{k}" for k in np.unique(position)] if width else []
    return LoggedRows(
        source=source,
        place="round",
        line=np.flatnonzero(keep) + 1,
        meaning=Meaning(
            meaning.actions or tuple(str(k) for k in range(a)),
            tuple(names),
            _action_context(feedback, a, source),
            meaning.unit,
            missing=meaning.missing,
        ),
        action=np.where(whole, action, -1).astype(np.int64)[keep],
        propensity=pscore[keep],
        reward=reward[keep],
        contact=who[keep],
        episode=np.arange(n, dtype=np.int64)[keep],
        step=np.zeros(n, dtype=np.int64)[keep],
        features=context[keep],
        mask=np.ones((n, a), dtype=np.bool_)[keep],
        targets={name: table[keep] for name, table in tables.items()},
        segments={"position": position[keep].astype(str).astype(object)} if width else {},
        faults=faults[keep],
        notes=tuple(notes),
    )


def _numbered(feedback: Mapping[str, Any], source: str) -> tuple[NDArray[Any], int]:
    """The logged actions, [n], and how many there are to choose from."""
    action, sizes = np.asarray(feedback["action"]).reshape(-1), np.asarray(feedback["n_actions"])
    if sizes.size != 1 or sizes.dtype.kind not in "iuf" or action.dtype.kind not in "iuf":
        raise LogError(
            f"expected one number of actions, and actions by number, in {source}, got n_actions "
            f"{sizes.tolist()!r} and action of {action.dtype}; number the actions from 0"
        )
    if not sizes.item() >= 1:
        raise LogError(f"expected at least one action in {source}, got n_actions {sizes.item()}")
    return action, int(sizes.item())


def read_feedback_file(path: Path, meaning: FeedbackMeaning) -> LoggedRows:
    """Read bandit feedback from an .npz file; nothing pickled is opened.

    Raises:
        LogError: no such file, no .npz file, or arrays of Python objects in it.
    """
    arrays = npz_arrays(path, "bandit feedback")
    targets = {
        name.removeprefix(TARGET).lstrip("_") or "target": table
        for name, table in arrays.items()
        if name.startswith(TARGET)
    }
    feedback = {name: value for name, value in arrays.items() if not name.startswith(TARGET)}
    return read_feedback(feedback, meaning, targets, path.name)


def _require_keys(feedback: Mapping[str, Any], source: str) -> None:
    if feedback.get("pscore") is None:
        raise PropensityError(
            f"{source} has no 'pscore', the probability with which each action was chosen: give "
            "it from the system that chose, or fit propensities and evaluate them as such; "
            "1 is no stand-in"
        )
    for name in NEEDED:
        if feedback.get(name) is None:
            raise LogError(
                f"{source} has no key {name!r}{hint(name, list(feedback))}; it has "
                f"{', '.join(map(str, feedback))}"
            )


def _contacts(
    feedback: Mapping[str, Any], n: int, notes: list[str], missing: tuple[float, ...]
) -> IntArray:
    """The contact of each round, -1 where it is missing, [n]; notes where each counts as one."""
    if feedback.get("contact") is None:
        notes.append(
            "bandit feedback names no contact: rounds count as independent, so intervals are too "
            "narrow where one person was seen several times; add the key 'contact'"
        )
        return np.arange(n, dtype=np.int64)
    names = labels(np.asarray(feedback["contact"]).reshape(-1))
    if names.size != n:
        raise ShapeError(f"'contact' must be [{n}] like 'action', got [{names.size}]")
    return numbered_ids(names, missing)


def _column(feedback: Mapping[str, Any], name: str, n: int) -> FloatArray:
    values = _floats(feedback[name], name)
    if values.shape != (n,):
        raise ShapeError(f"{name!r} must be [{n}] like 'action', got {values.shape}")
    return values


def _positions(feedback: Mapping[str, Any], n: int) -> tuple[IntArray, NDArray[np.object_]]:
    """The position of each round, and why a round's cannot be read, "" where it can, [n] each."""
    given, faults = feedback.get("position"), np.full(n, "", dtype=object)
    if given is None:
        return np.zeros(n, dtype=np.int64), faults
    position = _floats(given, "position")
    if position.shape != (n,):
        raise ShapeError(f"'position' must be [{n}] like 'action', got {position.shape}")
    good = (position >= 0.0) & (position == np.floor(position)) & (position < np.inf)
    if not good.any():
        raise LogError(
            "expected whole numbers from 0 in 'position'; leave it out if there are none"
        )
    set_fault(faults, ~good, "bad position: {} is no whole number from 0", position)
    return np.where(good, position, position[good][0]).astype(np.int64), faults


def _floats(given: ArrayLike, name: str) -> FloatArray:
    try:
        return np.asarray(given, dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise LogError(f"expected numbers in {name!r}: {error}") from error


def _shown(
    position: IntArray, context: FloatArray, meaning: FeedbackMeaning, source: str
) -> tuple[NDArray[np.bool_], FloatArray, list[str]]:
    """Which rounds are kept, their contexts, and what was assumed."""
    levels = np.unique(position)
    if meaning.positions not in POSITIONS:
        raise ConfigError(
            f"positions: expected one of {', '.join(POSITIONS)}, got {meaning.positions!r}"
        )
    if meaning.position is not None:
        keep = position == meaning.position
        if not keep.any():
            raise LogError(f"{source} has positions {levels.tolist()}, not {meaning.position}")
        return keep, context, [f"only decisions of position {meaning.position} are kept"]
    keep = np.ones(position.size, dtype=np.bool_)
    if levels.size == 1:
        return keep, context, []
    if meaning.positions == "refuse":
        raise LogError(
            f"{source} has decisions in {levels.size} positions {levels.tolist()}, and one policy "
            "chose them together: keep one with position=K, or say positions=context to make each "
            "shown item a decision that knows its position"
        )
    one_hot = (position[:, None] == levels).astype(np.float64)
    note = (
        "each shown item is a decision of its own that knows its position; what the items of one "
        "page do to each other is not seen"
    )
    return keep, np.hstack([context, one_hot]), [note]


def _distribution(table: ArrayLike, name: str, n: int, a: int, position: IntArray) -> FloatArray:
    """A target's probabilities at each round's own position, [n, a]."""
    probabilities = _floats(table, f"the distribution of policy {name!r}")
    if probabilities.shape == (n, a):
        return probabilities
    if probabilities.ndim == 3 and probabilities.shape[:2] == (n, a):
        if probabilities.shape[2] == 1:
            return np.asarray(probabilities[:, :, 0])
        if probabilities.shape[2] > position.max():
            return np.asarray(probabilities[np.arange(n), :, position])
    raise ShapeError(
        f"the distribution of policy {name!r} must be [{n}, {a}] or [{n}, {a}, positions], got "
        f"{probabilities.shape}"
    )


def _all(targets: Mapping[str, ArrayLike] | None) -> list[tuple[str, ArrayLike]]:
    return list((targets or {}).items())


def _action_context(feedback: Mapping[str, Any], a: int, source: str) -> FloatArray:
    given = feedback.get("action_context")
    if given is None:
        return np.eye(a)
    factors = _floats(given, "action_context")
    if factors.ndim != 2 or factors.shape[0] != a:
        raise ShapeError(f"action_context of {source} must be [{a}, k], got {factors.shape}")
    return factors
