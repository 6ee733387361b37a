"""The typed configuration of the verb that turns a policy into rules."""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import DictConfig

from nurture_rl.errors import ConfigError
from nurture_rl.workflow.config import Settings, settings
from nurture_rl.workflow.ranges import require_each
from nurture_rl.workflow.run_config import RunConfig


@dataclass
class DistilConfig(RunConfig):
    """A run's settings, which policy becomes rules, and how many."""

    # Folder of a bundle of the same journey, whose policy is taken; null: `policy` is trained.
    bundle: str | None = None
    rules: int = 8  # at most, >= 1
    conditions: int = 2  # of a rule, at most, >= 1
    # A rule or a condition is written only where it wins this share of all decisions, in [0, 1];
    # half of a decision's weight is what is at stake in it.
    least: float = 0.003
    out: str = "distilled"  # folder to make; one whose rules nobody edited is replaced


def distil_settings(config: DictConfig) -> tuple[Settings, DistilConfig]:
    """Check a composed configuration before any work starts.

    Raises:
        ConfigError: a value is missing, misspelt or of the wrong kind; names the key.
    """
    checked = settings(config)
    run = checked.run
    if not isinstance(run, DistilConfig):
        raise ConfigError(f"expected a configuration made from distil_schema, got {type(run)}")
    require_each(
        [
            ("rules", run.rules, run.rules >= 1, "1 or more"),
            ("conditions", run.conditions, run.conditions >= 1, "1 or more"),
            ("least", run.least, 0.0 <= run.least <= 1.0, "a share from 0 to 1"),
            ("policy", run.policy, run.policy is not None, "a policy, such as policy=ppo"),
        ]
    )
    return checked, run
