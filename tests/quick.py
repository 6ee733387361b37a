"""A pytest plugin: with --quick, slow tests are left out, and a test that is slow unawares fails.

Slow is what is marked so: more than a third of a second of processor time. A test that takes much
longer without the mark would creep into everybody's `make quick`. Processor time is counted, since
that of other programs is nobody's fault, and without what numba compiles, once after a change of a
loop, for whichever test is first.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.compiler_time import CompilerTime

LIMIT = 10.0  # processor seconds with fixtures; the first user of a library pays for its import
_BEGAN = pytest.StashKey[float]()
_COMPILERS: list[CompilerTime] = []  # one, where time counts


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option."""
    parser.addoption("--quick", action="store_true", help="leave out what is marked slow")


def pytest_configure(config: pytest.Config) -> None:
    """The mark, and a clock at numba's compiler where time counts."""
    config.addinivalue_line("markers", "slow: left out by --quick")
    if config.getoption("quick"):
        from tests.compiler_time import CompilerTime

        _COMPILERS[:] = [CompilerTime()]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the slow ones out."""
    if not config.getoption("quick"):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in set(slow)]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Note when a test began."""
    item.stash[_BEGAN] = used()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that took too long without being marked, once its fixtures are put away."""
    report = yield
    took = used() - item.stash[_BEGAN]
    if call.when == "teardown" and item.config.getoption("quick") and took > LIMIT:
        report.outcome = "failed"
        report.longrepr = (
            f"{item.nodeid} took {took:.1f} s of processor time and is not marked: mark it "
            "`@pytest.mark.slow`, or make it faster"
        )
    return report


def used() -> float:
    """Processor seconds of this process and of those it waited for, without compiling."""
    times = os.times()
    all_of_it = times.user + times.system + times.children_user + times.children_system
    return all_of_it - sum(compiler.seconds for compiler in _COMPILERS)
