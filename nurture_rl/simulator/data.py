"""What a world is fitted to, and the split of its contacts into fit, tuning and judging."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.worlds.learned import StartTable
from nurture_rl.errors import FitError, ShapeError

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]

_FEWEST_CONTACTS = 10  # below, a part of the split would hold a single contact
_ROWS = ("action", "matured", "cluster", "step", "available")
_OPTIONAL_ROWS = ("propensity", "weight", "when", "age", "episode")
_BY_ACTION = ("mask", "probabilities")
_BY_CHANNEL = ("exposure", "event_delay")
_ROW_ARRAYS = ("features", "amounts", *_ROWS, *_OPTIONAL_ROWS, *_BY_ACTION, *_BY_CHANNEL)


@dataclass(frozen=True, slots=True, eq=False)
class WorldData:
    """Logged decisions with what followed in their bin; None where the log cannot say."""

    features: NDArray[np.float32]  # [N, d], the decision's features
    action: IntArray  # [N], position in the catalogue
    amounts: FloatArray  # [N, c], channel sums of the bin, in `journey.channels` order
    matured: BoolArray  # [N], the bin was observed for as long as the journey's delays say
    cluster: IntArray  # [N], contact of each decision, or its account: what is independent
    step: IntArray  # [N], bin of each decision
    available: BoolArray  # [N], the contact could be reached in the bin
    starts: StartTable  # first decisions of the episodes that new contacts are drawn from
    mask: BoolArray | None = None  # [N, a], actions that were legal
    propensity: FloatArray | None = None  # [N], logging policy's chance of the action; NaN: unknown
    probabilities: FloatArray | None = None  # [N, a], the logging policy's; rows of 0: unknown
    weight: FloatArray | None = None  # [N], of the row in the fit; None: 1
    exposure: FloatArray | None = None  # [N, c], chance that an event is known by now; None: 1
    delays: FloatArray | None = None  # [D + 1, c], chance that an event is known d bins late
    when: IntArray | None = None  # [N], calendar day of the decision, days since 1970
    age: IntArray | None = None  # [N], whole bins passed since the decision's; -1: still open
    event_delay: IntArray | None = None  # [N, c], bins until the event was known; -1: no event
    episode: IntArray | None = None  # [N]; None: an episode begins where a step falls

    def take(self, rows: IntArray | BoolArray) -> WorldData:
        """Some of the rows; starts and delays stay."""
        kept = {
            name: getattr(self, name)[rows]
            for name in _ROW_ARRAYS
            if getattr(self, name) is not None
        }
        return replace(self, **kept)

    @property
    def usable(self) -> BoolArray:
        """Rows that a fit may use, [N]: exposure above 0, or matured where there is no exposure."""
        if self.exposure is None:
            return self.matured
        known = np.asarray((self.exposure > 0.0).any(axis=1))
        return known if self.age is None else known & (self.age >= 0)

    @property
    def row_weight(self) -> FloatArray:
        """Weight of every row, [N]."""
        return np.ones(len(self.action)) if self.weight is None else self.weight

    @property
    def row_exposure(self) -> FloatArray:
        """Chance that an event would be known, [N, c]."""
        return np.ones(self.amounts.shape) if self.exposure is None else self.exposure


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
        FitError: an action is outside the catalogue, a weight is negative, or an exposure is no
            chance.
    """
    wanted = _shapes(data, journey)
    got = {name: tuple(getattr(data, name).shape) for name in wanted}
    if got != wanted:
        wrong = {name: (wanted[name], got[name]) for name in wanted if wanted[name] != got[name]}
        raise ShapeError(
            f"world data for journey {journey.name!r} must have (expected, got) equal: {wrong}; "
            "make the decision table with this journey"
        )
    actions = len(ActionCatalog.of(journey))
    if len(data.action) and not (data.action.min() >= 0 and data.action.max() < actions):
        raise FitError(
            f"actions must lie in 0..{actions - 1}, got {data.action.min()}..{data.action.max()}; "
            "look them up in this journey's catalogue"
        )
    if not (np.isfinite(data.features).all() and np.isfinite(data.amounts).all()):
        raise FitError("features and amounts must be finite; mend the decision table")
    if not (np.isfinite(data.row_weight).all() and (data.row_weight >= 0.0).all()):
        raise FitError("weights of rows must be finite and at least 0; compute them again")
    if not ((data.row_exposure >= 0.0) & (data.row_exposure <= 1.0)).all():
        raise FitError("exposures are chances in [0, 1]; estimate the recording delays again")


def _shapes(data: WorldData, journey: Journey) -> dict[str, tuple[int, ...]]:
    """Shape that each array given must have."""
    n, c, a = len(data.action), len(journey.channels), len(ActionCatalog.of(journey))
    wanted: dict[str, tuple[int, ...]] = {
        "features": (n, len(FeatureSpec.of(journey).columns)),
        "amounts": (n, c),
        **dict.fromkeys((*_ROWS, *_OPTIONAL_ROWS), (n,)),
        **dict.fromkeys(_BY_ACTION, (n, a)),
        **dict.fromkeys(_BY_CHANNEL, (n, c)),
    }
    if data.delays is not None:
        wanted["delays"] = (max(len(data.delays), 1), c)
    return {name: shape for name, shape in wanted.items() if getattr(data, name) is not None}


def split_contacts(data: WorldData, rng: np.random.Generator) -> ContactSplit:
    """Usable rows in shares of 70, 15 and 15 % of the contacts.

    Raises:
        FitError: fewer than ten contacts have a usable decision.
    """
    rows = np.flatnonzero(data.usable)
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
