"""What losing each source of a log costs, by the log and in the true world, over several seeds."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from threadpoolctl import threadpool_limits

from experiments.common.markdown import markdown_table
from experiments.common.progress import say
from nurture_rl.appraisal.source_values import Loss, SourcesReport
from nurture_rl.codec import read_record
from nurture_rl.errors import NurtureError
from nurture_rl.workflow.config import settings
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.settings_schema import register_schemas

HERE = Path(__file__).parent
CONFIGS = HERE.parents[1] / "configs"
JOURNEYS = {"inbound_lead": "reference", "trial_onboarding": "trial_onboarding"}


def main(arguments: list[str]) -> None:
    """Work out what is not recorded yet and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--journeys", nargs="+", default=list(JOURNEYS), choices=JOURNEYS)
    parser.add_argument("--contacts", type=int, default=3000, help="in each log")
    parser.add_argument("--seeds", type=int, default=3, help="of log and learner")
    parser.add_argument("--report", action="store_true", help="work out nothing, print the table")
    parser.add_argument("--out", type=Path, default=HERE / "records", help="folder of records")
    parser.add_argument("--runs", type=Path, default=Path("runs/sources"), help="of the stages")
    given = parser.parse_args(arguments)
    if not given.report:
        torch.set_num_threads(1)
        with threadpool_limits(1):
            for seed in range(given.seeds):
                for journey in given.journeys:
                    recorded(given, journey, seed)
    found = {
        path.stem: read_record(path, SourcesReport) for path in sorted(given.out.glob("*.json"))
    }
    print(report(found))


def recorded(given: argparse.Namespace, journey: str, seed: int) -> None:
    """One log, unless it has a record."""
    path = given.out / f"{journey}-{given.contacts}-{seed}.json"
    if path.is_file():
        return
    say("[sources]", f"{path.stem}: working")
    register_schemas()
    asked = [f"data={JOURNEYS[journey]}", f"data.contacts={given.contacts}", f"seed={seed}"]
    asked += ["simulation.truth_contacts=10000", f"runs={given.runs}"]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        pipeline = Pipeline(
            settings(compose("sources", overrides=asked)), partial(say, "[sources]")
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(pipeline.sources / "sources.json", path)


def report(found: dict[str, SourcesReport]) -> str:
    """The table of the page."""
    heads = [
        "log (journey, contacts, seed)",
        "source",
        "actions that change",
        "loss by the log, EUR",
    ]
    return markdown_table([*heads, "true loss, EUR", "held"], list(_rows(found)))


def _rows(found: dict[str, SourcesReport]) -> Iterator[Sequence[str]]:
    for name, one in found.items():
        for source in one.sources:
            assert source.true_loss is not None, f"{name} is no log of a reference world"
            yield [
                name,
                source.source,
                f"{100 * source.sensitivity.changed:.1f} %",
                _told(source.loss),
                _told(source.true_loss),
                _held(source.loss, source.true_loss.value),
            ]


def _told(loss: Loss | None) -> str:
    return "–" if loss is None else f"{loss.value:+.1f} [{loss.lower:+.1f}, {loss.upper:+.1f}]"


def _held(loss: Loss | None, truth: float) -> str:
    if loss is None:
        return "–"
    return "yes" if loss.lower <= truth <= loss.upper else "no"


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except NurtureError as error:
        sys.exit(f"sources: {error}")
