"""Write episodes for other libraries: a Minari data set, or a file that d3rlpy reads."""

import sys
from functools import partial
from pathlib import Path

import hydra
from omegaconf import DictConfig

from nurture_rl.workflow.app import exit_code, job
from nurture_rl.workflow.interchange import register_interchange_schema, run_interchange

register_interchange_schema()


@hydra.main(
    version_base="1.3",
    config_path=str(Path(__file__).resolve().parents[1] / "configs"),
    config_name="interchange",
)
def main(config: DictConfig) -> None:
    """Entry point of Hydra."""
    job("interchange", partial(run_interchange, config))


if __name__ == "__main__":
    sys.exit(exit_code(main))
