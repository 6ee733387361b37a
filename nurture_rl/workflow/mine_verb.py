"""The verb `mine`: paths that contacts go, where they stay, and kinds of contacts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console
from threadpoolctl import threadpool_limits

from nurture_envs.journey import Journey
from nurture_rl.codec import read_record, write_record
from nurture_rl.errors import ConfigError
from nurture_rl.predictions.contact_groups import groups_by_attribute
from nurture_rl.predictions.episode_acts import episode_acts
from nurture_rl.predictions.log_episodes import episodes_of
from nurture_rl.predictions.mined_journeys import (
    MinedJourneys,
    MiningConfig,
    feature_text,
    mined,
)
from nurture_rl.predictions.stage_waits import stage_waits
from nurture_rl.report.mined_page import mined_markdown, mined_page
from nurture_rl.tracking.run import Run
from nurture_rl.verb_result import VerbResult
from nurture_rl.workflow.config import settings
from nurture_rl.workflow.ingestion import complete_until, moment_of
from nurture_rl.workflow.known_log import KnownLog, known_log, moment_text
from nurture_rl.workflow.mine_config import MineConfig
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.ranges import require_each
from nurture_rl.workflow.run_tracking import run_tracking

NOTHING_FOUND = 3  # exit code
PAGE, RECORD, FEATURES = "mined.html", "mined.json", "mined.yaml"


def mine(config: DictConfig) -> VerbResult:
    """The verb `mine`; its exit code says whether anything was found.

    Raises:
        NurtureError: bad settings, or a log without decisions by then.
    """
    checked = settings(config)
    run = checked.run
    if not isinstance(run, MineConfig):
        raise ConfigError(f"expected a configuration made from mine_schema, got {run!r}")
    between = "a share above 0 and below 1, such as 0.1"
    require_each(
        [
            ("share", run.share, 0.0 < run.share < 1.0, between),
            ("false", run.false, 0.0 < run.false < 1.0, between),
            ("days", run.days, run.days > 0.0, "days above 0"),
            ("early", run.early, run.early > 0.0, "days above 0"),
        ]
    )
    at = None if run.at is None else moment_of("at", run.at, run.data.default_zone)
    at_us = None if at is None else round(at.timestamp() * 1e6)
    say = partial(Console(highlight=False, soft_wrap=True).print, markup=False)
    pipeline = Pipeline(checked, say)
    wanted = MiningConfig(run.share, run.false, run.days, run.early, run.seeds.evaluation)
    with (
        threadpool_limits(run.threads),
        run_tracking(checked, "mine", f"mine {run.data.name}") as tracked,
    ):
        journey, ingested = pipeline.journey, pipeline.ingested
        until, zone = complete_until(run.data, say), run.data.default_zone
        inputs: dict[str, Any] = {
            "ingest": ingested.name,
            "journey": journey.resolved,
            "log": [at_us, until, zone],
            "wanted": asdict(wanted),
            "by": run.by,
        }
        read = partial(known_log, ingested, journey, at_us, until, zone)
        work = partial(_written, read, journey, ingested.name, wanted, run.by)
        folder = pipeline.workshop.stage("mine", inputs, work)
        record = read_record(folder / RECORD, MinedJourneys)
        _track(tracked, record, folder)
    found = record.findings
    for path in found.told_paths:
        say(f"path: {', then '.join(path.steps)}: {path.ratio:.2f} times as often afterwards")
    for stall in (one for one in found.stalls if one.told):
        say(f"stall: after {stall.act} {stall.stays:.0%} stay, {stall.others:.0%} elsewhere")
    for stage in (one for one in found.readiness if one.told):
        say(f"readiness: in {stage.stage} contacts differ by {found.by}")
    say(f"segments: {len(found.segments.segments) or 'none that are stable'}")
    made: dict[str, Any] = {"features": folder / FEATURES, "report": folder / PAGE}
    made["paths"] = len(found.told_paths)
    for key, value in made.items():
        say(f"  {key}: {value}")
    told = [one.told for one in found.stalls] + [one.told for one in found.readiness]
    anything = found.told_paths or any(told) or found.segments.segments
    return VerbResult(made, 0 if anything else NOTHING_FOUND)


def _written(
    read: Callable[[], KnownLog],
    journey: Journey,
    name: str,
    wanted: MiningConfig,
    by: str | None,
    out: Path,
) -> None:
    log = read()
    episodes = episodes_of(log.binned, log.clusters, log.wide, log.as_of_us)
    asked = None if by is None else groups_by_attribute(by, log.binned.contacts, episodes)
    acts = episode_acts(log.binned, episodes, log.wide)
    waits = partial(stage_waits, log.binned, episodes, log.wide)
    found = MinedJourneys(
        title=journey.title,
        journey=journey.name,
        provenance=journey.provenance,
        log=name,
        as_of=moment_text(log.as_of_us),
        episodes=len(acts),
        reached=int((acts.reached <= acts.watched).sum()),
        acts=acts.names,
        findings=mined(acts, wanted, waits, asked),
        false=wanted.false,
        days=wanted.days,
        length=acts.length,
    )
    write_record(found, out / RECORD)
    (out / FEATURES).write_text(feature_text(found), "utf-8")
    (out / PAGE).write_text(mined_page(found), "utf-8")
    (out / "mined.md").write_text(mined_markdown(found), "utf-8")


def _track(tracked: Run, found: MinedJourneys, folder: Path) -> None:
    numbers: dict[str, float] = {
        "mine.episodes": found.episodes,
        "mine.paths": len(found.findings.told_paths),
        "mine.stalls": sum(one.told for one in found.findings.stalls),
        "mine.segments": len(found.findings.segments.segments),
        "mine.stability": found.findings.segments.stability,
        "mine.readiness": sum(one.told for one in found.findings.readiness),
    }
    tracked.metrics(0, numbers)
    for name in (PAGE, "mined.md", RECORD, FEATURES):
        tracked.artifact(folder / name, "mine")
