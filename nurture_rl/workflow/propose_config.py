"""The typed configuration of the verb that proposes changes of a rule list."""

from __future__ import annotations

from dataclasses import dataclass

from nurture_rl.workflow.run_config import RunConfig


@dataclass
class ProposeConfig(RunConfig):
    """A run's settings, and which rules are to be changed."""

    # What runs: rules (the journey's), expert, drip, or a file of rules that ends in .yaml.
    rules: str = "rules"
    tested: int = 12  # most changes that are tested, >= 1; more of them widen every interval
    out: str = "proposed"  # folder to make; one whose rules nobody edited is replaced
