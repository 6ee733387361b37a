"""Fit a simulated world to the log and judge its calibration."""

import sys
from functools import partial
from pathlib import Path

import hydra
from omegaconf import DictConfig

from nurture_rl.workflow.app import exit_code, job
from nurture_rl.workflow.config import register_schema
from nurture_rl.workflow.verbs import run_verb

register_schema()


@hydra.main(
    version_base="1.3",
    config_path=str(Path(__file__).resolve().parents[1] / "configs"),
    config_name="fit_world",
)
def main(config: DictConfig) -> None:
    """Entry point of Hydra."""
    job("fit_world", partial(run_verb, config, "fit_world"))


if __name__ == "__main__":
    sys.exit(exit_code(main))
