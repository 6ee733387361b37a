"""A pytest plugin: with NURTURE_SKIPS, a run fails on every skip that a short list does not name.

NURTURE_SKIPS names the list, a text file: one pattern of test ids a line (`*` stands for anything),
then ` - ` and why it may skip. Empty lines and lines that begin with # say nothing. A line that no
test needed is told but fails nothing, since what must skip differs from machine to machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

SETTING = "NURTURE_SKIPS"


@dataclass(frozen=True, slots=True)
class Skip:
    """One test, or one file whose tests were never collected."""

    test: str  # node id
    reason: str


def allowed_patterns(text: str) -> tuple[str, ...]:
    """The patterns of a list.

    Raises:
        ValueError: a line gives no reason.
    """
    patterns = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        pattern, dash, reason = line.partition(" - ")
        if not dash or not reason.strip():
            raise ValueError(f"line {number}: expected 'test id - reason', got {line!r}")
        patterns.append(pattern.strip().replace("[", "[[]"))  # ids of parameters are no classes
    return tuple(patterns)


def unlisted(skips: Iterable[Skip], patterns: Sequence[str]) -> list[Skip]:
    """The skips that no pattern names."""
    return [
        skip for skip in skips if not any(fnmatchcase(skip.test, pattern) for pattern in patterns)
    ]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when something skipped that may not; workers leave it to the controller."""
    listed = os.environ.get(SETTING)
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if not listed or terminal is None or hasattr(session.config, "workerinput"):
        return
    skips = [_skip_of(report) for report in terminal.stats.get("skipped", [])]
    wrong = unlisted(skips, allowed_patterns(Path(listed).read_text("utf-8")))
    for skip in wrong:
        terminal.write_line(f"SKIPPED, and not in {listed}: {skip.test} ({skip.reason})", red=True)
    if wrong:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _skip_of(report: pytest.TestReport | pytest.CollectReport) -> Skip:
    told = report.longrepr
    return Skip(report.nodeid, str(told[2] if isinstance(told, tuple) else told))
