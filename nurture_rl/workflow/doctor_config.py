"""The typed configuration of the look at a log's health."""

from __future__ import annotations

from dataclasses import dataclass

from nurture_rl.workflow.run_config import RunConfig


@dataclass
class DoctorConfig(RunConfig):
    """A run's settings, and the scores that are to change decisions."""

    # YAML file of groups of features, intent, flags, and what reads each score, as for `predict`;
    # null: scores are looked for among the contacts' attributes and the journey's features alone
    scores: str | None = None
