"""The typed configuration of a report on lift."""

from __future__ import annotations

from dataclasses import dataclass

from nurture_rl.workflow.run_config import RunConfig


@dataclass
class LiftConfig(RunConfig):
    """A run's settings, and the plan of the experiment."""

    plan: str | None = None  # YAML file, written before the experiment began
    reads: int = 26  # weeks before the last day whose answers are drawn beside it, >= 0
