"""The typed configuration of predictions."""

from __future__ import annotations

from dataclasses import dataclass, field

from nurture_rl.workflow.run_config import RunConfig


@dataclass
class PredictConfig(RunConfig):
    """A run's settings, and what is predicted of whom as of when."""

    # ISO-8601: contacts are scored as of then, by what was known then; a day is its start in
    # `data.default_zone`; null: the end of the log
    at: str | None = None
    horizons: list[float] = field(default_factory=lambda: [7.0, 14.0, 30.0, 90.0])  # days, each > 0
    # YAML file of groups of features, intent, flags, and what reads each score; null: the journey's
    # own groups and nothing else
    scores: str | None = None
    contact: str | None = None  # for whom `what_if` is asked
    # Events that the contact is imagined to have had in the bin before `at`: [signal:number, ...]
    what_if: list[str] = field(default_factory=list)
    # Share of accounts left aside: they say how far features are to be believed, in (0, 1).
    aside: float = 0.3
