"""What a world is fitted to, and the split of its contacts into fit, tuning and judging."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.worlds.learned import StartTable
from nurture_rl.errors import FitError, ShapeError

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_FEWEST_CONTACTS = 10  # below, a part of the split would hold a single contact


@dataclass(frozen=True, slots=True, eq=False)
class WorldData:
    """Logged decisions with what followed in their bin."""

    features: NDArray[np.float32]  # [N, d], the decision's features
    action: IntArray  # [N], position in the catalogue
    amounts: NDArray[np.float64]  # [N, c], channel sums of the bin, in `journey.channels` order
    matured: BoolArray  # [N], the bin was fully observed; others are censored and left out
    cluster: IntArray  # [N], contact of each decision
    step: IntArray  # [N], bin of each decision
    available: BoolArray  # [N], the contact could be reached in the bin
    starts: StartTable  # first decisions of the episodes that new contacts are drawn from


@dataclass(frozen=True, slots=True, eq=False)
class ContactSplit:
    """Rows by purpose; no contact has rows in two of them."""

    train: IntArray  # the network's weights
    tuning: IntArray  # early stopping and recalibration
    judging: IntArray  # the published calibration, and nothing else


def require_world_data(data: WorldData, journey: Journey) -> None:
    """Check shapes and ranges against the journey.

    Raises:
        ShapeError: an array does not fit the journey or the others.
        FitError: no row is matured, or an action is outside the catalogue.
    """
    n = len(data.action)
    wanted = {
        "features": (n, len(FeatureSpec.of(journey).columns)),
        "amounts": (n, len(journey.channels)),
        **dict.fromkeys(("action", "matured", "cluster", "step", "available"), (n,)),
    }
    got = {name: tuple(getattr(data, name).shape) for name in wanted}
    if got != wanted:
        wrong = {name: (wanted[name], got[name]) for name in wanted if wanted[name] != got[name]}
        raise ShapeError(
            f"world data for journey {journey.name!r} must have (expected, got) equal: {wrong}; "
            "make the decision table with this journey"
        )
    actions = len(ActionCatalog.of(journey))
    if n and not (data.action.min() >= 0 and data.action.max() < actions):
        raise FitError(
            f"actions must lie in 0..{actions - 1}, got {data.action.min()}..{data.action.max()}; "
            "look them up in this journey's catalogue"
        )
    if not (np.isfinite(data.features).all() and np.isfinite(data.amounts).all()):
        raise FitError("features and amounts must be finite; mend the decision table")


def split_contacts(data: WorldData, rng: np.random.Generator) -> ContactSplit:
    """Matured rows in shares of 70, 15 and 15 % of the contacts.

    Raises:
        FitError: fewer than ten contacts have a matured decision.
    """
    rows = np.flatnonzero(data.matured)
    contacts = np.unique(data.cluster[rows])
    if len(contacts) < _FEWEST_CONTACTS:
        raise FitError(
            f"a world needs matured decisions of at least {_FEWEST_CONTACTS} contacts to be fitted "
            f"and judged on different ones, got {len(contacts)}; log more or wait longer"
        )
    shuffled = rng.permutation(contacts)
    ends = [round(0.70 * len(contacts)), round(0.85 * len(contacts))]
    parts = [np.isin(data.cluster[rows], part) for part in np.split(shuffled, ends)]
    train, tuning, judging = (rows[part] for part in parts)
    return ContactSplit(train, tuning, judging)
