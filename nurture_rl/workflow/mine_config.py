"""The typed configuration of mining journeys."""

from __future__ import annotations

from dataclasses import dataclass

from nurture_rl.workflow.run_config import RunConfig


@dataclass
class MineConfig(RunConfig):
    """A run's settings, and what is looked for in the journeys of which log."""

    # ISO-8601: the log is read as it stood then; a day is its start in `data.default_zone`; null:
    # the end of the log
    at: str | None = None
    share: float = 0.02  # of the episodes that go a path, at least, in (0, 1)
    false: float = 0.1  # share of the told findings that may be false, in the mean, in (0, 1)
    days: float = 7.0  # in which something follows an act, or contacts stay there, > 0
    early: float = 7.0  # first days of an episode by which contacts are grouped, > 0
    # attribute of the contacts by which their readiness is told; null: the kinds that are found
    by: str | None = None
