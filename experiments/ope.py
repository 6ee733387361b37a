"""Say what a log tells about target policies: a report, and an exit code for scripts."""

import sys
from functools import partial
from pathlib import Path

import hydra
from omegaconf import DictConfig

from nurture_rl.workflow.app import exit_code, job
from nurture_rl.workflow.ope_config import register_ope_schema
from nurture_rl.workflow.ope_verb import REFUSED, run_ope

register_ope_schema()


@hydra.main(
    version_base="1.3",
    config_path=str(Path(__file__).resolve().parents[1] / "configs"),
    config_name="ope",
)
def main(config: DictConfig) -> None:
    """Entry point of Hydra; ends with the worst code of its jobs, of `EXIT_CODES` or `REFUSED`."""
    job("ope", partial(run_ope, config), lambda made: made.exit_code, REFUSED)


if __name__ == "__main__":
    sys.exit(exit_code(main))
