"""The verb `predict`: what contacts will do, and how far the log lets that be said."""

from __future__ import annotations

import itertools
from functools import partial
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from threadpoolctl import threadpool_limits

from nurture_rl.codec import read_record
from nurture_rl.errors import ConfigError
from nurture_rl.predictions.predicting import GOOD, PredictionConfig, column
from nurture_rl.report.told_predictions import ToldPredictions
from nurture_rl.tracking.run import Run
from nurture_rl.verb_result import VerbResult
from nurture_rl.workflow.config import settings
from nurture_rl.workflow.ingestion import complete_until, moment_of
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.predict_config import PredictConfig
from nurture_rl.workflow.predict_stage import (
    PAGE,
    RECORD,
    SCORES,
    PredictionTask,
    predict_stage,
)
from nurture_rl.workflow.ranges import require_each
from nurture_rl.workflow.run_tracking import run_tracking

NOTHING_TOLD = 3  # exit code


def predict(config: DictConfig) -> VerbResult:
    """The verb `predict`; its exit code says whether anything could be told.

    Raises:
        NurtureError: bad settings, or a log without decisions by then.
    """
    checked = settings(config)
    run = checked.run
    if not isinstance(run, PredictConfig):
        raise ConfigError(f"expected a configuration made from predict_schema, got {run!r}")
    days, share = tuple(run.horizons), run.aside
    rising = bool(days) and days[0] > 0 and all(a < b for a, b in itertools.pairwise(days))
    require_each(
        [
            ("horizons", run.horizons, rising, "days above 0, each more than the one before"),
            ("aside", share, 0.0 < share < 1.0, "a share above 0 and below 1, such as 0.3"),
        ]
    )
    if bool(run.what_if) != (run.contact is not None):
        raise ConfigError(
            "what_if: expected both contact=ID and what_if=[signal:number], got one of them"
        )
    at = None if run.at is None else moment_of("at", run.at, run.data.default_zone)
    say = partial(Console(highlight=False, soft_wrap=True).print, markup=False)
    pipeline = Pipeline(checked, say)
    with (
        threadpool_limits(run.threads),
        run_tracking(checked, "predict", f"predict {run.data.name}") as tracked,
    ):
        task = PredictionTask(
            journey=pipeline.journey,
            ingested=pipeline.ingested,
            at_us=None if at is None else round(at.timestamp() * 1e6),
            until_us=complete_until(run.data, say),
            zone=run.data.default_zone,
            config=PredictionConfig(days, share),
            scores=None if run.scores is None else Path(run.scores),
            contact=run.contact,
            what_if=_imagined(run.what_if),
        )
        folder = predict_stage(pipeline.workshop, task)
        told = read_record(folder / RECORD, ToldPredictions)
        _track(tracked, told, folder)
    for one in told.told:
        say(f"{column(one.outcome, one.horizon)}: {one.verdict}")
    if told.what_if is not None:
        for name, before in told.what_if.before.items():
            after = told.what_if.after.get(name)
            say(f"what if, {name}: {before:.4f} -> {'over' if after is None else f'{after:.4f}'}")
    unbound = [one.score for one in told.bindings if not one.bound]
    if unbound:
        say(f"WARNING: nothing is decided by {', '.join(unbound)}")
    if not isinstance(told.surrogate, str):
        say(f"surrogate index: {told.surrogate.verdict}")
    made = {"scores": folder / SCORES, "contacts": told.contacts, "report": folder / PAGE}
    made["calibrated"] = sum(one.verdict == GOOD for one in told.told)
    for key, value in made.items():
        say(f"  {key}: {value}")
    return VerbResult(made, 0 if any(one.told for one in told.told) else NOTHING_TOLD)


def _imagined(words: list[str]) -> dict[str, int]:
    """Events by signal, of words such as `viewed_pricing:2`."""
    added = {}
    for word in words:
        name, _, number = word.partition(":")
        if not number.strip().isdecimal():
            raise ConfigError(f"what_if: expected words such as viewed_pricing:2, got {word!r}")
        added[name.strip()] = int(number)
    return added


def _track(tracked: Run, told: ToldPredictions, folder: Path) -> None:
    numbers: dict[str, float] = {"predict.contacts": told.contacts}
    for one in told.told:
        if one.judged is not None:
            name = f"predict.{column(one.outcome, one.horizon)}"
            numbers |= {f"{name}.ece": one.judged.ece, f"{name}.skill": one.judged.brier_skill}
            numbers[f"{name}.skill.lower"] = one.judged.skill_low
    tracked.metrics(0, numbers)
    for name in (PAGE, "predictions.md", RECORD):
        tracked.artifact(folder / name, "predict")
