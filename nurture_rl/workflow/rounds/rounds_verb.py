"""The verb `rounds`: log, learn, ask the gate, serve what it let through, and log again."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from threadpoolctl import threadpool_limits

from nurture_rl.codec import read_record, write_record
from nurture_rl.errors import ConfigError
from nurture_rl.progress import PROGRESS
from nurture_rl.report.rounds_page import rounds_markdown, rounds_page
from nurture_rl.report.rounds_source import RoundRecord, RoundsRecord
from nurture_rl.tracking.run import Run
from nurture_rl.verb_result import VerbResult
from nurture_rl.workflow.config import Settings, settings
from nurture_rl.workflow.logging_policy import OWN, is_own
from nurture_rl.workflow.pipeline import Pipeline, ready
from nurture_rl.workflow.rounds.one_round import RoundPipeline, judged_round
from nurture_rl.workflow.rounds.played_world import REFERENCE, PlayedWorld
from nurture_rl.workflow.rounds.pooled_log import pooled_log
from nurture_rl.workflow.rounds.round_log import logged_round
from nurture_rl.workflow.rounds.round_verdict import CHAMPION, Ran, next_programme, read_round
from nurture_rl.workflow.rounds.rounds_config import RoundsConfig, settings_of_round, start_of
from nurture_rl.workflow.rounds.rounds_of_log import fitted_world, start_in
from nurture_rl.workflow.run_tracking import run_tracking
from nurture_rl.workflow.side_by_side import Crew, workers_of

PAGE, RECORD = "rounds.html", "rounds.json"


def rounds(config: DictConfig) -> VerbResult:
    """The verb `rounds`.

    Raises:
        NurtureError: bad settings, with what to do.
    """
    checked, logging = checked_rounds(config)
    run = checked.run
    torch.set_num_threads(run.threads)
    say = partial(Console(highlight=False, soft_wrap=True).print, markup=False)
    tracking = run_tracking(checked, "rounds", f"rounds {run.data.name} seed {run.seed}")
    with (
        threadpool_limits(run.threads),
        Crew(workers_of(run.workers), say) as crew,
        tracking as tracked,
    ):
        crew.begin("imports", ready)
        folder = all_rounds(checked, logging, crew)
        record = read_record(folder / RECORD, RoundsRecord)
        _track(tracked, record, folder)
    say("")
    for one in record.rounds:
        say(f"round {one.number}: {in_a_line(one, record.unit)}")
    made: dict[str, Any] = {
        "programme": record.rounds[-1].next_programme,
        "report": folder / PAGE,
        "mlflow_run": tracked.id,
    }
    say(f"  report: {folder / PAGE}")
    return VerbResult(made)


def checked_rounds(config: DictConfig) -> tuple[Settings, Any]:
    """The settings, in which `logged` stands for the policy that ran last, and `data.logging`.

    Args:
        config: composed by Hydra from `rounds_schema`; its `data.logging` is changed.

    Raises:
        ConfigError: a setting that rounds cannot use.
    """
    logging = OmegaConf.to_container(config, resolve=True)["data"]["logging"]  # type: ignore[index,call-overload]
    OmegaConf.update(config, "data.logging", OWN, force_add=True)
    checked = settings(config)
    run = checked.run
    if not isinstance(run, RoundsConfig):
        raise ConfigError(f"expected a configuration made from rounds_schema, got {run!r}")
    if run.release.policy is not None or CHAMPION in run.policies:
        raise ConfigError(
            f"release.policy, policies.{CHAMPION}: rounds say themselves what runs; leave them out"
        )
    plain = {**checked.plain, "data": {**checked.plain["data"], "logging": logging}}
    return replace(checked, plain=plain), logging


def all_rounds(checked: Settings, logging: Any, crew: Crew) -> Path:
    """The folder with `rounds.html`, `rounds.md` and `rounds.json`; steps are resumed if they can.

    Args:
        checked: of the whole programme; `logged` stands for the policy that ran last.
        logging: the policy that logs the first round.
        crew: does side by side what can be.
    """
    run = checked.run
    assert isinstance(run, RoundsConfig)
    asked = run.rounds
    base = Pipeline(checked, crew.say, crew=crew)
    shop, journey = base.workshop, base.journey
    world, trusted = PlayedWorld(), None
    if run.data.source != REFERENCE:
        own = replace(run, data=replace(run.data, logging=logging))
        base = Pipeline(replace(checked, run=own), crew.say, crew=crew)
        world, trusted = PlayedWorld(base.world), fitted_world(base)
        crew.say(f"played in a world fitted to the log, a plan and no proof: {trusted.sentence}")
        if is_own(logging):
            logging = start_in(base.logging.description, asked.exploration)
    start = start_of(asked, logging)
    programme, logs, judged, began = start.programme, [], [], time.monotonic()
    for number in range(1, asked.count + 1):
        share = start.shares[number - 1]
        tried = None if (one := start.tried(programme)) is None else one.name
        trial = "" if tried is None else f", {asked.challenger_share:.0%} of them to {tried}"
        crew.say(
            f"round {number} of {asked.count}: {programme.name}, {share:.0%} of the decisions "
            f"left to chance{trial}, {asked.contacts} contacts{_left(number, asked.count, began)}"
        )
        PROGRESS.info("round %d of %d", number, asked.count)
        ran = start.explored(programme.spec, number - 1, programme)
        given = (number, asked.contacts, ran, run.seeds.log)
        logs.append(logged_round(shop, run.data, journey, *given, world))
        pooled = pooled_log(shop, journey, logs, asked.earlier, run.data.held_out)
        of_round = settings_of_round(checked, start, number - 1, programme)
        pipeline = RoundPipeline(of_round, crew.say, crew=crew, pooled=pooled, world_played=world)
        pipeline.begin()
        folder = judged_round(pipeline, Ran(number, programme, share, tuple(logs), tried))
        judged.append(folder)
        programme = next_programme(folder)
        crew.say(f"round {number} of {asked.count}: {in_a_line(read_round(folder))}")
    record = RoundsRecord(
        journey=journey.name,
        title=journey.title,
        unit=journey.reward.unit,
        level=run.release.level,
        earlier=asked.earlier,
        start=logging,
        rounds=tuple(read_round(one) for one in judged),
        challenger_share=asked.challenger_share,
        world=trusted,
    )
    inputs: dict[str, Any] = {"rounds": [one.name for one in judged], "start": logging}
    inputs |= {"level": run.release.level, "earlier": asked.earlier, "journey": journey.resolved}
    inputs["challenger_share"] = asked.challenger_share
    inputs |= {} if trusted is None else {"gap": base.gap.name}
    return shop.stage("rounds", inputs, partial(_written, record), rounds_page)


def _left(number: int, count: int, began: float) -> str:
    """How long the rounds that are left take if they take as long as those before, by contact."""
    done, seconds = number * (number - 1) / 2, time.monotonic() - began
    if not done or seconds < 1.0:
        return ""
    left = count * (count + 1) / 2 - done
    return f"; about {max(1, round(seconds / done * left / 60.0))} min left"


def _written(record: RoundsRecord, out: Path) -> None:
    write_record(record, out / RECORD)
    (out / PAGE).write_text(rounds_page(record), "utf-8")
    (out / "rounds.md").write_text(rounds_markdown(record), "utf-8")


def in_a_line(one: RoundRecord, unit: str = "") -> str:
    """What became of a round."""
    gain = ""
    if one.gain is not None:
        gain = f" ({one.gain.value:+.2f}, at least {one.gain.lower:+.2f} {unit}".rstrip() + ")"
    what = f"{one.challenger}{gain}: {one.verdict}" if one.challenger else "no challenger"
    earned = f"{one.programme} earned {one.earned.value:.2f} a contact"
    return f"{earned}; {what}; next runs {one.next_programme}"


def _track(tracked: Run, record: RoundsRecord, folder: Path) -> None:
    for one in record.rounds:
        numbers = {"earned": one.earned.value, "exploration": one.exploration}
        if one.gain is not None:
            numbers |= {"gain": one.gain.value, "gain.lower": one.gain.lower}
        if one.truth is not None:
            numbers["truth"] = one.truth.programme.value
            numbers["truth.next"] = one.truth.next_programme.value
            numbers["exploration.cost"] = one.truth.exploration_cost.value
        known = {f"rounds.{key}": value for key, value in numbers.items() if isfinite(value)}
        tracked.metrics(one.number, known)
    tracked.tag("programme", record.rounds[-1].next_programme)
    for name in (PAGE, "rounds.md", RECORD):
        tracked.artifact(folder / name, "rounds")
