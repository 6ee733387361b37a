"""The verb `plan_rounds`: a dated plan for a live programme, renewed after each real round."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path

import torch
from omegaconf import DictConfig
from rich.console import Console
from threadpoolctl import threadpool_limits

from nurture_rl.codec import write_record
from nurture_rl.errors import ConfigError
from nurture_rl.logs.atomic import atomic_folder
from nurture_rl.ope.intervals import simultaneous_level
from nurture_rl.report.dated_page import dated_answers, dated_markdown, dated_page
from nurture_rl.report.dated_source import DatedPlan, LogProspects
from nurture_rl.verb_result import VerbResult
from nurture_rl.workflow.config import settings
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.rounds.dated_rounds import (
    Cadence,
    coming_rounds,
    days_until_known,
    weeks_of_a_round,
)
from nurture_rl.workflow.rounds.done_rounds import done_round
from nurture_rl.workflow.rounds.log_prospects import ProspectsAsked, log_prospects
from nurture_rl.workflow.rounds.plan_config import (
    RECORD,
    PlanAsked,
    RoundPlanConfig,
    day_of,
    require_plan,
)

_RUNS = "the present programme"  # until a gate names another


def plan_rounds(config: DictConfig) -> VerbResult:
    """The verb `plan_rounds`.

    Raises:
        NurtureError: bad settings or data, or a gate's answer that is none of the plan's next
            round.
    """
    checked = settings(config)
    run, asked = require_plan(checked)
    torch.set_num_threads(run.threads)
    say = partial(Console(highlight=False, soft_wrap=True).print, markup=False)
    level = simultaneous_level(run.release.level, asked.count)
    with threadpool_limits(run.threads):
        pipeline = Pipeline(checked, say)
        _require_its_journey(pipeline, asked, run.out)
        question = ProspectsAsked(asked.shares, run.worth, level)
        prospects = log_prospects(pipeline, question)
    plan = _planned(pipeline, run, asked, prospects)
    if run.gate is not None:
        plan = _with_answer(plan, pipeline, run, asked)
    out = Path(run.out)
    with atomic_folder(out) as partial_folder:
        write_record(plan, partial_folder / RECORD)
        (partial_folder / "plan.html").write_text(dated_page(plan), "utf-8")
        (partial_folder / "plan.md").write_text(dated_markdown(plan), "utf-8")
    for question_told, answer in dated_answers(plan):
        say(f"{question_told} {answer}")
    return VerbResult(
        {"programme": plan.programme, "done": len(plan.done), "report": out / "plan.html"}
    )


def _require_its_journey(pipeline: Pipeline, asked: PlanAsked, out: str) -> None:
    name, before = pipeline.journey.name, asked.before
    if before is not None and before.journey != name:
        raise ConfigError(
            f"out: {out} holds the plan of the journey {before.journey}, got a log of {name}; name "
            "another folder"
        )


def _planned(
    pipeline: Pipeline, run: RoundPlanConfig, asked: PlanAsked, prospects: LogProspects
) -> DatedPlan:
    """The plan by the log as it is now."""
    journey, before = pipeline.journey, asked.before
    horizon, late = days_until_known(journey)
    held_out = run.data.held_out
    least = pipeline.settings.evaluation.thresholds.min_ess
    weeks, why = run.weeks, "asked for by `weeks`"
    if weeks is None:
        weeks, why = weeks_of_a_round(prospects, asked.weekly, held_out, least)
    plan = DatedPlan(
        journey=journey.name,
        title=journey.title,
        unit=journey.reward.unit,
        level=run.release.level,
        max_ratio=str(run.data.trust.max_ratio),
        start=asked.start.isoformat(),
        weekly=asked.weekly,
        count=asked.count,
        weeks=weeks,
        weeks_why=why,
        horizon_days=horizon,
        late_days=late,
        programme=_RUNS if before is None else before.programme,
        prospects=prospects,
        done=() if before is None else before.done,
        coming=(),
    )
    # An answer is one to the round as it stood in the plan before.
    if run.gate is not None and before is not None:
        return replace(plan, coming=before.coming)
    return _with_coming(plan, run, asked)


def _with_coming(plan: DatedPlan, run: RoundPlanConfig, asked: PlanAsked) -> DatedPlan:
    """The rounds that are left, from the day on which the last one that is done ended."""
    done = len(plan.done)
    shares = asked.shares or (plan.prospects.exploration,) * asked.count
    days = plan.horizon_days + plan.late_days
    cadence = Cadence(asked.weekly, plan.weeks, days, run.gate_days, run.serve_days)
    begin = date.fromisoformat(plan.done[-1].served) if done else asked.start
    given = (shares[done:], cadence, plan.prospects, run.data.held_out)
    return replace(plan, coming=coming_rounds(done + 1, begin, *given))


def _with_answer(
    plan: DatedPlan, pipeline: Pipeline, run: RoundPlanConfig, asked: PlanAsked
) -> DatedPlan:
    assert run.gate is not None
    assert run.decided is not None
    served = None if run.served is None else day_of("served", run.served)
    decided = day_of("decided", run.decided)
    given = (served, run.serve_days, plan.prospects.contacts)
    done = done_round(plan, Path(run.gate), decided, *given)
    pipeline.say(f"round {done.number}: {done.verdict}; next runs {done.next_programme}")
    moved = replace(plan, done=(*plan.done, done), programme=done.next_programme)
    return _with_coming(moved, run, asked)
