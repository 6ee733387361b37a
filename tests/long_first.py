"""A pytest plugin: long tests run first, so that no worker is left alone with one at the end.

Long is what has a longer time limit than others. Of two workers, the second begins in the middle
of the list; there stand the tests of the sources, most of which play no contacts, while the first
one compiles the loops.
"""

from __future__ import annotations

import pytest

SOURCES = "tests/contract/"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order what was collected."""
    limits = {item.nodeid: limit_of(item, float(config.getini("timeout"))) for item in items}
    order = ordered(limits)
    items.sort(key=lambda item: order[item.nodeid])


def limit_of(item: pytest.Item, usual: float) -> float:
    """How long a test may take, seconds; 0 where that is no longer than usual."""
    mark = item.get_closest_marker("timeout")
    limit = float(mark.args[0]) if mark is not None and mark.args else usual
    return limit if limit > usual else 0.0


def ordered(limits: dict[str, float]) -> dict[str, int]:
    """Each test's place.

    Args:
        limits: of each test in the order of collection, see `limit_of`.
    """
    first = sorted((test for test in limits if limits[test]), key=limits.__getitem__, reverse=True)
    others = [test for test in limits if not limits[test]]
    sources = [test for test in others if test.startswith(SOURCES)]
    rest = [test for test in others if not test.startswith(SOURCES)]
    middle = max(0, len(limits) // 2 - len(first))
    order = [*first, *rest[:middle], *sources, *rest[middle:]]
    return {test: place for place, test in enumerate(order)}
