"""Impressions of the Open Bandit Dataset keep their propensities, positions and page views."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from experiments.real_logs.open_bandit import (
    CAMPAIGNS,
    POLICIES,
    read_impressions,
    shares_by_position,
)
from nurture_rl.errors import LogError
from tests.data.adapted import without, write_csv
from tests.shared_data import shared_data

SHOWN: dict[str, Sequence[object]] = {
    "timestamp": ["t1", "t1", "t1", "t2"],
    "item_id": [2, 0, 1, 2],
    "position": [1, 2, 1, 3],
    "click": [0, 1, 0, 0],
    "propensity_score": [0.25, 0.5, 0.125, 0.2],
    "user_feature_0": ["a", "a", "b", "b"],
    **{f"user_feature_{i}": ["x"] * 4 for i in (1, 2, 3)},
}
ITEMS: dict[str, Sequence[object]] = {"item_id": [1, 0, 2], "item_feature_0": [0.5, -1.0, 2.0]}


def folder(
    root: Path,
    shown: dict[str, Sequence[object]] = SHOWN,
    items: dict[str, Sequence[object]] = ITEMS,
) -> Path:
    place = root / "bts" / "men"
    place.mkdir(parents=True)
    write_csv(place / "men.csv.gz", shown)
    write_csv(place / "item_context.csv", items)
    return root


def test_four_impressions_by_hand(tmp_path: Path) -> None:
    found = read_impressions(folder(tmp_path), "bts", "men")
    assert found.n_items == 3
    assert found.item.tolist() == [2, 0, 1, 2]
    assert found.position.tolist() == [0, 1, 0, 2]
    assert found.click.tolist() == [False, True, False, False]
    assert found.propensity.tolist() == [0.25, 0.5, 0.125, 0.2]
    assert found.item_factor.tolist() == [-1.0, 0.5, 2.0]  # by item, whatever the file's order
    # Three positions, two kinds of the first user feature, one of each other.
    assert found.features.shape == (4, 3 + 2 + 3)
    assert found.features[1].tolist() == [0, 1, 0, 1, 0, 1, 1, 1]
    # One page view: the first two share moment and user, the third another user's moment.
    assert found.page[0] == found.page[1]
    assert len(set(found.page.tolist())) == 3


def test_shares_are_those_of_each_position(tmp_path: Path) -> None:
    shares = shares_by_position(read_impressions(folder(tmp_path), "bts", "men"))
    assert shares.tolist() == [[0, 0.5, 0.5], [1, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"item_id": [3, 0, 1, 2]}, "item_id of 3 kinds, got 0 to 3"),
        ({"position": [0, 2, 1, 3]}, "position of 3 kinds, got -1 to 2"),
    ],
)
def test_what_is_out_of_range_is_refused(
    tmp_path: Path, change: dict[str, Sequence[object]], message: str
) -> None:
    with pytest.raises(LogError, match=message):
        read_impressions(folder(tmp_path, {**SHOWN, **change}), "bts", "men")


def test_missing_columns_items_and_names_are_refused(tmp_path: Path) -> None:
    source = folder(tmp_path / "a", without(SHOWN, "click"))
    with pytest.raises(LogError, match="click missing"):
        read_impressions(source, "bts", "men")
    twice = folder(tmp_path / "b", items={"item_id": [1, 1, 2], "item_feature_0": [0.5, 1.0, 2.0]})
    with pytest.raises(LogError, match="items 0 to 2"):
        read_impressions(twice, "bts", "men")
    with pytest.raises(LogError, match="'ucb' and 'men'"):
        read_impressions(source, "ucb", "men")
    with pytest.raises(LogError, match=r"men\.csv\.gz|item_context"):
        read_impressions(source, "random", "men")


CLICKS = {"random": (38, 46, 46), "bts": (42, 69, 46)}


@pytest.mark.parametrize("policy", POLICIES)
def test_the_sample_has_the_published_counts(policy: str) -> None:
    source = shared_data("open_bandit_sample")
    found = [read_impressions(source, policy, campaign) for campaign in CAMPAIGNS]
    assert tuple(int(one.click.sum()) for one in found) == CLICKS[policy]
    assert [one.n_items for one in found] == [80, 34, 46]
    for one in found:
        assert one.item.size == 10_000
        if policy == "random":
            np.testing.assert_allclose(one.propensity, 1.0 / one.n_items)
        else:
            # Each logged propensity is that of the item at its position: weights average to 1.
            weight = 1.0 / one.n_items / one.propensity
            assert abs(weight.mean() - 1.0) < 4.0 * weight.std() / 100.0
