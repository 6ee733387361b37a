"""The typed configuration of a report on lift."""

from __future__ import annotations

from dataclasses import dataclass

from nurture_rl.workflow.run_config import RunConfig


@dataclass
class LiftConfig(RunConfig):
    """A run's settings, and the plan of the experiment."""

    # YAML file, written before the experiment began; null: the one that a server left beside the
    # log, in the folder data.path.
    plan: str | None = None
    # `everybody`, or `mailed`: whom the policy mailed first of all, or would have, had they not
    # been held out (arms policy and holdout of a server's export).
    among: str = "everybody"
    reads: int = 26  # weeks before the last day whose answers are drawn beside it, >= 0
    # Folder of an earlier read, which the page tells the differences to; null: the latest earlier
    # one of this experiment under `runs`, if there is one.
    last: str | None = None
