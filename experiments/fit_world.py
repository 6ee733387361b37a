"""Fit a simulated world to the log and judge its calibration."""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from nurture_rl.errors import NurtureError
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
    try:
        run_verb(config, "fit_world")
    except (NurtureError, OSError) as error:
        sys.exit(f"fit_world: {error}")


if __name__ == "__main__":
    main()
