"""Long tests stand first, tests of the sources in the middle, and everything else as collected."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.long_first import limit_of, ordered


def test_the_longest_come_first_and_the_sources_where_the_second_worker_begins() -> None:
    given = {"tests/contract/a": 0.0, "tests/contract/b": 0.0, "tests/c": 0.0}
    given |= {"tests/d": 600.0, "tests/e": 0.0, "tests/f": 900.0, "tests/g": 600.0, "tests/h": 0.0}
    found = ordered(given)
    assert sorted(found, key=found.__getitem__) == [
        "tests/f", "tests/d", "tests/g", "tests/c", "tests/contract/a", "tests/contract/b",
        "tests/e", "tests/h",
    ]  # fmt: skip


@pytest.mark.parametrize("marked, limit", [(None, 0.0), (200, 0.0), (300, 0.0), (900, 900.0)])
def test_a_test_is_long_that_may_take_longer_than_usual(marked: int | None, limit: float) -> None:
    mark = None if marked is None else SimpleNamespace(args=(marked,))
    item: Any = SimpleNamespace(get_closest_marker=lambda name: mark)
    assert limit_of(item, 300.0) == limit
