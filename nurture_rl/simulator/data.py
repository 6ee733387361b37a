"""What a world is fitted to, and the split of its contacts into fit, tuning and judging."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from nurture_envs.worlds.learned import StartTable
from nurture_rl.decisions import BoolArray, Decisions, FloatArray, IntArray, picked
from nurture_rl.errors import FitError, ShapeError

_FEWEST_CONTACTS = 10  # below, a part of the split would hold a single contact


@dataclass(frozen=True, slots=True, eq=False)
class WorldData(Decisions):
    """Logged decisions, and what of them a world is fitted to."""

    starts: StartTable  # first decisions of the episodes that new contacts are drawn from
    weight: FloatArray | None = None  # [N], of the row in the fit; None: 1
    exposure: FloatArray | None = None  # [N, c], chance that an event is known by now; None: 1
    delays: FloatArray | None = None  # [D + 1, c], chance that an event is known d bins late

    @classmethod
    def of(cls, log: Decisions, starts: StartTable) -> WorldData:
        """The same decisions, each of them fully observed and counted once."""
        return cls(**{one.name: getattr(log, one.name) for one in fields(Decisions)}, starts=starts)

    def take(self, rows: IntArray | BoolArray) -> WorldData:
        """Some of the rows; starts and delays stay."""
        return replace(Decisions.take(self, rows), **picked(self, ("weight", "exposure"), rows))

    @property
    def usable(self) -> BoolArray:
        """Rows that a fit may use, [N]: exposure above 0, or matured where there is no exposure."""
        if self.exposure is None:
            return self.matured
        return np.asarray((self.exposure > 0.0).any(axis=1) & (self.age >= 0))

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


def require_world_data(data: WorldData) -> None:
    """Check what a fit adds to a log.

    Raises:
        ShapeError: an array does not fit the log.
        FitError: a weight is negative, or an exposure is no chance.
    """
    got = (data.row_weight.shape, data.row_exposure.shape)
    if got != (data.action.shape, data.amounts.shape):
        raise ShapeError(
            f"weight and exposure must be {data.action.shape} and {data.amounts.shape} as the log "
            f"is, got {got[0]} and {got[1]}; compute them again"
        )
    if not (np.isfinite(data.row_weight).all() and (data.row_weight >= 0.0).all()):
        raise FitError("weights of rows must be finite and at least 0; compute them again")
    if not ((data.row_exposure >= 0.0) & (data.row_exposure <= 1.0)).all():
        raise FitError("exposures are chances in [0, 1]; estimate the recording delays again")


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
