"""Run the whole loop, from a log to a gated bundle and its report."""

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
    config_name="pipeline",
)
def main(config: DictConfig) -> None:
    """Entry point of Hydra."""
    try:
        run_verb(config, "pipeline")
    except (NurtureError, OSError) as error:
        sys.exit(f"pipeline: {error}")


if __name__ == "__main__":
    main()
