"""Recover from real logs what other policies are known to have earned."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_dir
from threadpoolctl import threadpool_limits

from experiments.real_logs.figure import known_values
from experiments.real_logs.sources import (
    first_offer_cases,
    journey_cases,
    open_bandit_cases,
    upworthy_cases,
    voter_cases,
)
from experiments.real_logs.study import (
    RealCase,
    RealResult,
    answer_table,
    ask,
    figure_rows,
    summary_table,
)
from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_rl.decisions import load_decisions
from nurture_rl.errors import NurtureError
from nurture_rl.ope.named_estimators import ESTIMATORS
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.workflow.config import settings
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.settings_schema import register_schemas

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
DATA = Path(os.environ.get("NURTURE_DATA", "../shared/data"))
SOURCES = ("hillstrom", "heartsteps", "starbucks", "open_bandit", "upworthy", "new_haven")
KNOWN_SHARE = 0.5  # of contacts: their outcomes are what is known
ARMS = {
    "hillstrom": {
        "men's e-mail to all": "always:send:mens_email@now",
        "women's e-mail to all": "always:send:womens_email@now",
        "no e-mail": "no_contact",
        "by what was bought": "rules",
    },
    "heartsteps": {
        "always a walk": "always:send:active_suggestion@now",
        "always stand up": "always:send:sedentary_suggestion@now",
        "silence": "no_contact",
    },
}
OFFERS = {
    "first 2 off 10, 10 days": "send:discount_10_2_10d@now",
    "first buy one of 5, 7 days": "send:bogo_5_5_7d@now",
    "first no offer": "pause:1",
}


def cases(source: str, seed: int) -> list[RealCase]:
    """The cases of one data set."""
    rng = np.random.default_rng(seed)
    if source == "open_bandit":
        return open_bandit_cases(DATA / "open_bandit_sample")
    if source == "upworthy":
        return upworthy_cases(DATA / "upworthy_headlines", rng)
    if source == "new_haven":
        return voter_cases(DATA / "gerber_green_1998", rng)
    return _of_journey("starbucks_offers" if source == "starbucks" else source)


def _of_journey(source: str) -> list[RealCase]:
    """Cases of a log that goes through the pipeline: adapter, ingestion, decision table."""
    register_schemas()
    with tempfile.TemporaryDirectory() as runs:
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            config = compose("ingest", [f"data={source}", f"runs={runs}", "seed=0"])
        pipeline = Pipeline(settings(config), lambda line: None)
        journey = pipeline.journey
        decisions = load_decisions(pipeline.ingested, journey, KNOWN_SHARE)
    catalog = ActionCatalog.of(journey)
    context = PolicyContext(journey, catalog, FeatureSpec.of(journey))
    title = source.split("_")[0].capitalize()
    if source not in ARMS:
        offers = {name: catalog.index(action) for name, action in OFFERS.items()}
        return first_offer_cases(title, decisions, journey, offers)
    policies = {name: build_policy(spec, context) for name, spec in ARMS[source].items()}
    return journey_cases(title, decisions, journey, policies)


def main(arguments: list[str]) -> None:
    """Read the command line, ask every case, print the tables and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", nargs="+", choices=SOURCES, default=SOURCES)
    parser.add_argument("--shown", nargs="+", default=["ips", "snips", "dm", "dr"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--figure", type=Path, help="PNG of estimates against known values")
    given = parser.parse_args(arguments)
    results: list[RealResult] = []
    with threadpool_limits(1):
        for source in given.sources:
            print(f"{source}: asking", file=sys.stderr, flush=True)
            for case in cases(source, given.seed):
                results.append(ask(case, np.random.default_rng(given.seed), ESTIMATORS))
    print("## All cases\n\n" + summary_table(results, given.shown))
    print("\n## Case by case")
    for one in results:
        print(f"\n### {one.data}: {one.logging} → {one.target}\n\n{one.verdict}: {one.reason}\n")
        print(answer_table(one))
    if given.figure is not None:
        given.figure.parent.mkdir(parents=True, exist_ok=True)
        given.figure.write_bytes(known_values(figure_rows(results, given.shown)))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except NurtureError as error:
        sys.exit(f"real_logs: {error}")
