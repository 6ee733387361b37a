"""Hold the order that learned worlds put policies in against that of the true worlds."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
import yaml
from threadpoolctl import threadpool_limits

from experiments.world_ranking.scores import Standings
from experiments.world_ranking.study import Cell, RankingStudy, contenders
from experiments.world_ranking.tables import ranking_figure, report
from nurture_envs.journey_file import load_journey
from nurture_rl.errors import NurtureError
from nurture_rl.simulator.fit import WorldConfig
from nurture_rl.simulator.training_data import WEIGHTINGS
from nurture_rl.workflow.collect import reference_simulation

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
CONFIG = Path(__file__).with_name("config.yaml")  # of this experiment


def studies(
    journeys: list[str] | None, members: int, folder: Path, weighting: str | None = None
) -> dict[str, RankingStudy]:
    """The study of each journey, all of them where none is named.

    Args:
        journeys: names.
        members: of each ensemble.
        folder: of finished work.
        weighting: of decisions in the fit; None: as the journey's data are configured.
    """
    described = yaml.safe_load(CONFIG.read_text("utf-8"))
    found = {}
    for name in journeys or list(described):
        entry, simulation = described[name], reference_simulation(load_journey(name))
        data = yaml.safe_load((CONFIGS / "data" / f"{entry['data']}.yaml").read_text("utf-8"))
        weighted = weighting or data.get("weighting", WorldConfig().weighting)
        found[name] = RankingStudy(
            simulation=simulation,
            policies=contenders(entry["policies"], data["logging"], simulation),
            config=WorldConfig(members=members, weighting=weighted),
            folder=folder,
            say=lambda line: print(line, file=sys.stderr, flush=True),
        )
    return found


def run(given: argparse.Namespace) -> tuple[dict[str, Standings], list[Cell]]:
    """The truth of every journey, and every cell; first one log of each size, then the others."""
    found = studies(given.journeys, given.members, given.out, given.weighting)
    truths = {name: study.truth(given.truth_contacts) for name, study in found.items()}
    cells = []
    for seed in range(1, max(given.logs) + 1):
        for contacts, logs in zip(given.contacts, given.logs, strict=True):
            if seed <= logs:
                cells += [s.cell(contacts, seed, given.played) for s in found.values()]
    return truths, cells


def main(arguments: list[str]) -> None:
    """Read the command line, run the study, print its tables and draw its figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--journeys", nargs="+", help="all where none is named")
    parser.add_argument("--contacts", type=int, nargs="+", default=[500, 5000, 50_000])
    parser.add_argument("--logs", type=int, nargs="+", default=[3, 3, 1], help="of each size")
    parser.add_argument("--members", type=int, default=WorldConfig().members, help="of ensembles")
    parser.add_argument("--weighting", choices=WEIGHTINGS, help="other than the data's own")
    parser.add_argument("--played", type=int, default=32_768, help="contacts in learned worlds")
    parser.add_argument("--truth-contacts", type=int, default=65_536)
    parser.add_argument("--out", type=Path, default=Path("runs/ranking"), help="finished work")
    parser.add_argument("--figure", type=Path, help="PNG of true against believed values")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with threadpool_limits(1):
        truths, cells = run(given)
    print(report(truths, cells))
    if given.figure is not None:
        given.figure.parent.mkdir(parents=True, exist_ok=True)
        given.figure.write_bytes(ranking_figure(truths, cells))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except NurtureError as error:
        sys.exit(f"world_ranking: {error}")
