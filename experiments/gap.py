"""Hold the learned world against contacts it never saw: what may it be trusted for?"""

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
    config_name="gap",
)
def main(config: DictConfig) -> None:
    """Entry point of Hydra."""
    job("gap", partial(run_verb, config, "gap"))


if __name__ == "__main__":
    sys.exit(exit_code(main))
