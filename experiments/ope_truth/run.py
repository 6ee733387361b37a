"""Hold every off-policy estimator against the true values of policies in the reference worlds."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import yaml
from omegaconf import OmegaConf
from threadpoolctl import threadpool_limits

from experiments.ope_truth.figures import truth_scores, truth_values
from experiments.ope_truth.policies import target_policies, targets
from experiments.ope_truth.study import Suite, TrueValues, TruthCell, TruthStudy
from experiments.ope_truth.tables import all_scores, report, score_panels, value_panels
from nurture_envs.journey_file import load_journey
from nurture_rl.errors import NurtureError
from nurture_rl.ope.diagnostics import OverlapThresholds
from nurture_rl.ope.named_estimators import ESTIMATORS
from nurture_rl.ope.value_model import ValueModelConfig
from nurture_rl.workflow.collect import reference_simulation
from nurture_rl.workflow.run_config import DataConfig

HERE = Path(__file__).resolve().parent
CONFIGS = HERE.parents[1] / "configs"


def studies(worlds: list[str] | None, folds: int, folder: Path) -> dict[str, TruthStudy]:
    """The study of each world, all of them where none is named.

    Args:
        worlds: names of journeys.
        folds: of contacts, in the value model.
        folder: of finished work.
    """
    study = _read(HERE / "config.yaml")
    described = _read(HERE.with_name("world_ranking") / "config.yaml")
    suite = Suite(ESTIMATORS, ValueModelConfig(n_folds=folds), OverlapThresholds())
    found = {}
    for name in worlds or list(study["worlds"]):
        policies = described[name]["policies"]
        own = _read(CONFIGS / "data" / f"{described[name]['data']}.yaml")
        data = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(DataConfig), own))
        assert isinstance(data, DataConfig)
        simulation = reference_simulation(load_journey(name))
        chosen = targets(study, name)
        found[name] = TruthStudy(
            simulation=simulation,
            data=data,
            policies=target_policies(chosen, policies, data.logging, simulation),
            described={"targets": asdict(chosen), "known": policies, "logging": data.logging},
            suite=suite,
            folder=folder,
            say=lambda line: print(line, file=sys.stderr, flush=True),
        )
    return found


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return found


def run(given: argparse.Namespace) -> tuple[dict[str, TrueValues], list[TruthCell]]:
    """The truth of every world and every log: first one of each size, then the others."""
    found = studies(given.worlds, given.folds, given.out)
    truths = {name: study.truth(given.truth_contacts) for name, study in found.items()}
    cells = []
    for replicate in range(1, max(given.logs) + 1):
        for size, logs in zip(given.sizes, given.logs, strict=True):
            if replicate <= logs:
                cells += [one.cell(size, replicate, truths[name]) for name, one in found.items()]
    return truths, cells


def keep(given: argparse.Namespace, truths: dict[str, TrueValues], cells: list[TruthCell]) -> None:
    """Write the figures, and every number that the tables come from."""
    if given.figures is not None:
        given.figures.mkdir(parents=True, exist_ok=True)
        scored = score_panels(all_scores(truths, cells))
        (given.figures / "ope-truth-scores.png").write_bytes(truth_scores(scored))
        panels = value_panels(truths, cells, given.drawn)
        (given.figures / "ope-truth-values.png").write_bytes(truth_values(panels, given.drawn))
    if given.json is not None:
        numbers = {
            "truth": {name: asdict(one) for name, one in truths.items()},
            "scores": [asdict(one) for one in all_scores(truths, cells)],
        }
        given.json.write_text(json.dumps(numbers, indent=1) + "\n", "utf-8")


def main(arguments: list[str]) -> None:
    """Read the command line, run the study, print its tables, draw its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", nargs="+", help="all where none is named")
    parser.add_argument("--sizes", type=int, nargs="+", default=[5_000, 50_000, 500_000])
    parser.add_argument("--logs", type=int, nargs="+", default=[4, 2, 1], help="of each size")
    parser.add_argument("--folds", type=int, default=3, help="of the value model")
    parser.add_argument("--truth-contacts", type=int, default=65_536)
    parser.add_argument("--out", type=Path, default=Path("runs/ope_truth"), help="finished work")
    parser.add_argument("--figures", type=Path, help="folder of the figures")
    parser.add_argument("--drawn", default="dr", help="estimator whose values are drawn")
    parser.add_argument("--json", type=Path, help="file of all scores and true values")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with threadpool_limits(1):
        truths, cells = run(given)
    print(report(truths, cells))
    keep(given, truths, cells)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except NurtureError as error:
        sys.exit(f"ope_truth: {error}")
