"""Chances within 7, 14, 30 and 90 days on a log that is long enough, judged on later time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from torch import Tensor

from experiments.common.progress import say
from nurture_envs.clock import DAY_US
from nurture_envs.journey_file import load_journey
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.draws import START, uniforms
from nurture_envs.worlds.re_engagement import ENTRY_DAY, ReEngagementWorld
from nurture_envs.worlds.world import Start
from nurture_rl.codec import read_record
from nurture_rl.logs.adapters.reference_tables import write_reference_log
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.predictions.predicting import PredictionConfig
from nurture_rl.report.told_predictions import ToldPredictions
from nurture_rl.workflow.config import settings
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.predict_stage import PAGE, RECORD, PredictionTask, predict_stage
from nurture_rl.workflow.settings_schema import register_schemas

HERE = Path(__file__).parent
CONFIGS = HERE.parents[1] / "configs"
ENTRY_DAYS = 240  # contacts enter all the time, as they do in a running programme
HORIZONS = (7.0, 14.0, 30.0, 90.0)
LOGGING = {
    "kind": "mixture",
    "share": 0.35,
    "policy": {"kind": "drip"},
    "other": {"kind": "random", "weights": {"send": 0.6, "pause": 0.37, "exit": 0.03}},
}


@dataclass(frozen=True)
class RunningProgramme(ReEngagementWorld):
    """The same contacts and answers; contacts enter over `ENTRY_DAYS` instead of four weeks."""

    def start(self, keys: Tensor) -> Start:
        """Dormant contacts as a campaign finds them."""
        entered = (uniforms(keys, START, 0, 11)[9] * ENTRY_DAYS).long()
        return replace(super().start(keys), anchor_us=(ENTRY_DAY + entered) * DAY_US)


def long_log(seed: int, contacts: int, runs: Path) -> list[dict[str, Any]]:
    """What each horizon of one log is worth."""
    journey = load_journey(HERE / "journey.yaml")
    raw = runs / f"raw-{contacts}-{seed}"
    if not raw.is_dir():
        simulation = Simulation(RunningProgramme(journey), compiled=False)
        context = PolicyContext(journey, simulation.catalog, simulation.spec)
        write_reference_log(raw, simulation, build_policy(LOGGING, context), contacts, seed)
    register_schemas()
    asked = [f"data.journey={HERE / 'journey.yaml'}", f"data.path={raw}", f"runs={runs}"]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        run = settings(compose("predict", overrides=["data=folder", *asked]))
    pipeline = Pipeline(run, partial(say, "[predictions]"))
    config = PredictionConfig(HORIZONS)
    task = PredictionTask(
        pipeline.journey, pipeline.ingested, None, None, run.run.data.default_zone, config
    )
    folder = predict_stage(pipeline.workshop, task)
    say("[predictions]", f"seed {seed}: {folder / PAGE}")
    told = read_record(folder / RECORD, ToldPredictions)
    return [
        {
            "outcome": one.outcome,
            "horizon": one.horizon,
            "verdict": one.verdict,
            "judged": None
            if one.judged is None
            else {
                "n": one.judged.n,
                "events": one.judged.events,
                "ece": one.judged.ece,
                "ece_by_chance": one.judged.ece_by_chance,
                "skill": one.judged.brier_skill,
                "skill_low": one.judged.skill_low,
            },
        }
        for one in told.told
    ]
