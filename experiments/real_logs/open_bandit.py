"""The Open Bandit Dataset: clothes shown on a page by one of two policies, clicked or not.

It has no journeys: an impression is a decision by itself, so this reads arrays, not raw tables.

Source: Saito, Aihara, Matsutani & Narita (2021), Open Bandit Dataset and Pipeline, NeurIPS
    Datasets and Benchmarks; arXiv 2008.07146.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nurture_rl.errors import LogError
from nurture_rl.logs.adapters.common import BoolArray, FloatArray, IntArray, cells, read_csv

POLICIES = ("random", "bts")
CAMPAIGNS = ("all", "men", "women")
POSITIONS = 3  # on a page
ITEMS_FILE = "item_context.csv"

_USER_FEATURES = tuple(f"user_feature_{i}" for i in range(4))
_TYPES = {
    "timestamp": pa.string(),
    "item_id": pa.int64(),
    "position": pa.int64(),
    "click": pa.int64(),
    "propensity_score": pa.float64(),
    **dict.fromkeys(_USER_FEATURES, pa.string()),
}


@dataclass(frozen=True, slots=True, eq=False)
class Impressions:
    """What one policy showed in one campaign, n impressions of K items."""

    item: IntArray  # shown, 0 .. K-1, [n]
    position: IntArray  # on the page, 0 .. POSITIONS-1, [n]
    click: BoolArray  # [n]
    propensity: FloatArray  # of the item at its position, as logged, [n]
    features: FloatArray  # one-hot of the position and of each user feature, [n, d]
    page: IntArray  # page view; impressions of one moment and user share it, [n]
    item_factor: FloatArray  # `item_feature_0` of each item, [K]

    @property
    def n_items(self) -> int:
        """Items that could be shown, K."""
        return self.item_factor.size


def read_impressions(source: Path, policy: str, campaign: str) -> Impressions:
    """Read one policy's impressions of one campaign.

    Args:
        source: folder that holds `random/` and `bts/`.
        policy: one of POLICIES.
        campaign: one of CAMPAIGNS.

    Raises:
        LogError: no such policy or campaign, a file or column is missing, or an item or a
            position is outside its range.
    """
    if policy not in POLICIES or campaign not in CAMPAIGNS:
        raise LogError(
            f"expected a policy of {', '.join(POLICIES)} and a campaign of "
            f"{', '.join(CAMPAIGNS)}, got {policy!r} and {campaign!r}"
        )
    folder = source / policy / campaign
    items = read_csv(
        folder / ITEMS_FILE, {"item_id": pa.int64(), "item_feature_0": pa.float64()}
    ).sort_by("item_id")
    shown = read_csv(folder / f"{campaign}.csv.gz", _TYPES)
    item, position = cells(shown, "item_id"), cells(shown, "position") - 1
    if not np.array_equal(cells(items, "item_id"), np.arange(len(items))):
        raise LogError(f"expected items 0 to {len(items) - 1} in {ITEMS_FILE}, one line each")
    for name, values, end in (("item_id", item, len(items)), ("position", position, POSITIONS)):
        if values.min() < 0 or values.max() >= end:
            raise LogError(
                f"expected {name} of {end} kinds, got {values.min()} to {values.max()} counted "
                "from 0; use the files of one campaign together"
            )
    codes = [_codes(cells(shown, name)) for name in _USER_FEATURES]
    moment = _codes(cells(shown, "timestamp"))
    return Impressions(
        item=item,
        position=position,
        click=cells(shown, "click") == 1,
        propensity=cells(shown, "propensity_score"),
        features=np.hstack([_one_hot(position, POSITIONS), *(_one_hot(c) for c in codes)]),
        page=_codes(np.stack([moment, *codes], axis=1)),
        item_factor=cells(items, "item_feature_0"),
    )


def shares_by_position(shown: Impressions) -> FloatArray:
    """How often each item stood at each position, rows sum to 1, [POSITIONS, K].

    The policy `bts` learned on during the week it was logged; these shares are its average.
    """
    count = np.zeros((POSITIONS, shown.n_items))
    np.add.at(count, (shown.position, shown.item), 1.0)
    return np.asarray(count / count.sum(axis=1, keepdims=True), np.float64)


def _codes(values: NDArray[Any]) -> IntArray:
    """Distinct rows numbered from 0 in ascending order, [n]."""
    found = np.unique(values, axis=0, return_inverse=True)[1]
    return np.asarray(found.reshape(-1), np.int64)


def _one_hot(code: IntArray, kinds: int | None = None) -> FloatArray:
    return np.eye(int(code.max()) + 1 if kinds is None else kinds)[code]
