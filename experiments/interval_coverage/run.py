"""Hold the intervals of off-policy evaluation against the truth, over many fresh logs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from threadpoolctl import threadpool_limits

from experiments.interval_coverage.study import Study, fixed_policies
from experiments.interval_coverage.tables import report
from nurture_rl.errors import NurtureError
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.workflow.collect import reference_simulation
from nurture_rl.workflow.config import settings
from nurture_rl.workflow.learn import load_core
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.settings_schema import register_schemas

CORES = {"Thompson": "linear_thompson", "PPO": "ppo"}
MAX_RATIOS = (3.0, 4.0)


def study(pipeline: Pipeline) -> Study:
    """The study of the pipeline's journey, with policies learned from the pipeline's own log."""
    data, simulation = pipeline.settings.run.data, reference_simulation(pipeline.journey)
    folders = {name: pipeline.policies[policy] for name, policy in CORES.items()}
    cores = {name: load_core(folder, pipeline.journey) for name, folder in folders.items()}
    learned = {name: core for name, core in cores.items() if core is not None}
    return Study(
        workshop=pipeline.workshop,
        simulation=simulation,
        logging=build_policy(
            data.logging, PolicyContext(pipeline.journey, simulation.catalog, simulation.spec)
        ),
        policies=fixed_policies(data, simulation, learned, MAX_RATIOS),
        learned_from={name: folder.name for name, folder in folders.items()},
        config=pipeline.settings.evaluation,
    )


def run(pipeline: Pipeline, sizes: list[tuple[int, int]], truth_contacts: int) -> str:
    """The study's tables in Markdown, for logs of several sizes: (contacts, how many logs)."""
    fixed = study(pipeline)
    rows = [
        row
        for place, (contacts, logs) in enumerate(sizes)
        for number in range(logs)
        for row in fixed.findings(contacts, 1000 * place + number + 1)
    ]
    return report(rows, fixed.truth(truth_contacts))


def main(arguments: list[str]) -> None:
    """Read the command line, run the study and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", type=int, nargs="+", default=[20], help="how many of each size")
    parser.add_argument("--contacts", type=int, nargs="+", default=[10_000], help="sizes of a log")
    parser.add_argument("--truth-contacts", type=int, default=200_000)
    parser.add_argument("overrides", nargs="*", help="of the pipeline, such as seed=1000")
    given = parser.parse_args(arguments)
    register_schemas()
    configs = str(Path(__file__).resolve().parents[2] / "configs")
    with initialize_config_dir(configs, version_base="1.3"):
        checked = settings(compose("pipeline", overrides=given.overrides))
    torch.set_num_threads(checked.run.threads)
    pipeline = Pipeline(checked, lambda line: print(line, file=sys.stderr, flush=True))
    sizes = list(zip(given.contacts, given.logs, strict=True))
    with threadpool_limits(checked.run.threads):
        print(run(pipeline, sizes, given.truth_contacts))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except NurtureError as error:
        sys.exit(f"interval_coverage: {error}")
