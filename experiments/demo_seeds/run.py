"""Run the demo over several seeds of log and learners, and tell how often its gate was right."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from threadpoolctl import threadpool_limits

from experiments.common.progress import say
from experiments.demo_seeds.study import recorded, run_of_seed
from experiments.demo_seeds.tables import report
from nurture_rl.errors import NurtureError
from nurture_rl.workflow.config import Settings, settings
from nurture_rl.workflow.settings_schema import register_schemas

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
RECORDS = Path(__file__).with_name("records")


def seed_settings(overrides: list[str]) -> Settings:
    """The pipeline's settings with some changed."""
    register_schemas()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return settings(compose("pipeline", overrides=overrides))


def main(arguments: list[str]) -> None:
    """Read the command line, run what is not recorded yet, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    parser.add_argument("--small", action="store_true", help="a small form, to try it out")
    parser.add_argument("--out", type=Path, help="folder of records; runs/... with --small")
    parser.add_argument("--runs", type=Path, default=Path("runs/demo_seeds"), help="of the loops")
    parser.add_argument("overrides", nargs="*", help="settings of the pipeline, as in Hydra")
    given = parser.parse_intermixed_args(arguments)
    changed = [*(["experiment=small"] if given.small else []), *given.overrides]
    out = given.out or (given.runs / "small" if given.small else RECORDS)
    torch.set_num_threads(1)
    records = []
    with threadpool_limits(1):
        for place, seed in enumerate(given.seeds, 1):
            checked = seed_settings([*changed, f"seed={seed}", f"runs={given.runs}"])
            told = partial(say, f"[{place} of {len(given.seeds)}]")
            records.append(recorded(out, checked, told, run_of_seed))
    print(report(records))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except NurtureError as error:
        sys.exit(f"demo_seeds: {error}")
