"""The verb `lift`: what an experiment in a log says, as a report and an exit code."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml
from omegaconf import DictConfig
from rich.console import Console
from threadpoolctl import threadpool_limits

from nurture_envs.clock import DAY_US
from nurture_envs.journey import Journey
from nurture_rl.codec import write_record
from nurture_rl.errors import ConfigError, LogError
from nurture_rl.lift.enrolled import LogTables, enrolled
from nurture_rl.lift.first_mail import first_mailed
from nurture_rl.lift.judged_arms import LiftReport, judged
from nurture_rl.lift.written_plan import Plan, load_plan
from nurture_rl.logs.atomic import atomic_folder
from nurture_rl.logs.schema import is_plan_file
from nurture_rl.report.lift_answers import answers, harms, main_arm
from nurture_rl.report.lift_page import Read, lift_markdown, lift_page
from nurture_rl.tracking.run import Run, tracked_run
from nurture_rl.verb_result import VerbResult
from nurture_rl.workflow.config import settings
from nurture_rl.workflow.ingestion import complete_until
from nurture_rl.workflow.lift_config import LiftConfig
from nurture_rl.workflow.pipeline import Pipeline

BETTER, NOT_BETTER, CANNOT_TELL = 0, 3, 4  # exit codes
AMONG = ("everybody", "mailed")
_WEEK_US = 7 * DAY_US


def lift(config: DictConfig) -> VerbResult:
    """The verb `lift`.

    Raises:
        NurtureError: bad settings, a bad plan, or a log without decisions of the plan's arms.
    """
    checked = settings(config)
    run = checked.run
    if not isinstance(run, LiftConfig):
        raise ConfigError(f"expected a configuration made from lift_schema, got {run!r}")
    if run.reads < 0 or run.among not in AMONG:
        raise ConfigError(
            f"expected reads >= 0 and among one of {', '.join(AMONG)}, got reads={run.reads} "
            f"among={run.among}"
        )
    say = partial(Console(highlight=False, soft_wrap=True).print, markup=False)
    pipeline = Pipeline(checked, say)
    journey = pipeline.journey
    exported = Path(run.data.path or ".")
    plan = load_plan(
        _plan_beside(exported, journey) if run.plan is None else Path(run.plan), journey
    )
    root = Path(run.runs).resolve()
    root.mkdir(parents=True, exist_ok=True)
    uri = run.tracking_uri or f"sqlite:///{root / 'mlflow.db'}"
    tags = {"verb": "lift", "data": run.data.name, "journey": journey.name}
    name = f"lift {plan.name}"
    with (
        threadpool_limits(run.threads),
        tracked_run(uri, run.experiment_name, name, checked.plain, tags) as tracked,
    ):
        ingested = pipeline.ingested
        log = log_tables(ingested, complete_until(run.data, say), run.data.default_zone)
        if run.among == "mailed":
            log, plan = first_mailed(log, _ghosts(exported), plan)
        report = judged_at(log, plan, journey, log.as_of_us)
        assert report is not None, "the whole log is never before the experiment"
        folder = root / "lift" / _hash(ingested.name, plan.hash, str(log.as_of_us), run.among)
        with atomic_folder(folder) as partial_folder:
            _write(report, _reads(report, log, plan, journey, run.reads), partial_folder)
        _track(tracked, report, folder)
    told = answers(report)
    for question, answer in told.lines():
        say(f"{question} {answer}")
    say(f"  report: {folder / 'lift.html'}")
    return VerbResult({"verdict": told.kind, "report": folder / "lift.html"}, exit_code(report))


def log_tables(ingested: Path, as_of_us: int | None, zone: str) -> LogTables:
    tables = ingested / "tables"
    events, contacts, decisions = (
        pq.read_table(tables / f"{kind}.parquet") for kind in ("events", "contacts", "decisions")
    )
    features = pq.read_table(
        ingested / "decision_table.parquet", columns=["decision_id", "features"]
    )
    if as_of_us is None:
        as_of_us = max(_last(events["recorded_at"]), _last(decisions["decided_at"]))
    return LogTables(events, contacts, decisions, features, as_of_us, zone)


def _plan_beside(folder: Path, journey: Journey) -> Path:
    """The plan of the journey's experiment that a server left in an export."""
    found = sorted(path for path in folder.glob("plan-*.yaml") if is_plan_file(path.name))
    own = [path for path in found if yaml.safe_load(path.read_bytes())["journey"] == journey.name]
    if len(own) == 1:
        return own[0]
    what = (
        f"{len(own)} of them in {folder}: {', '.join(path.name for path in own)}"
        if own
        else (f"none of journey {journey.name} in {folder}")
    )
    raise ConfigError(
        "plan: expected the plan of the experiment, such as plan=spring.yaml (see "
        f"docs/measuring-lift.md), or one that a server left beside its log, got {what}"
    )


def _ghosts(folder: Path) -> pa.Table:
    """What the policy would have decided for who was held out."""
    path = folder / "ghosts.parquet"
    if not path.is_file():
        raise ConfigError(
            f"among: expected {path.name} in {folder}; export the store as parquet, or leave "
            "`among` out"
        )
    return pq.read_table(path, columns=["decision_id", "action"])


def _last(column: pa.ChunkedArray) -> int:
    last = pc.max(pc.cast(column, pa.int64())).as_py()
    return 0 if last is None else int(last)


def judged_at(log: LogTables, plan: Plan, journey: Journey, as_of_us: int) -> LiftReport | None:
    """The report as it was on an earlier day; None where the experiment had nobody then."""
    until = pa.scalar(as_of_us, pa.int64())
    known = pc.less_equal(pc.cast(log.decisions["decided_at"], pa.int64()), until)
    past = replace(log, decisions=log.decisions.filter(known), as_of_us=as_of_us)
    try:
        people, notes = enrolled(past, plan, journey)
    except LogError:
        if as_of_us == log.as_of_us:
            raise
        return None
    return judged(people, notes, plan, journey, as_of_us)


def _reads(
    report: LiftReport, log: LogTables, plan: Plan, journey: Journey, weeks: int
) -> list[Read]:
    """The north star of the main arm as it was read each week, the earliest first."""
    arm = main_arm(report)
    if arm is None:
        return []
    days = [log.as_of_us - week * _WEEK_US for week in range(weeks, 0, -1)]
    reports = [*(judged_at(log, plan, journey, day) for day in days), report]
    told = [then for then in reports if then is not None and arm in then.lifts]
    return [Read(then.as_of_us, then.lifts[arm][0]) for then in told]


def _write(report: LiftReport, reads: list[Read], folder: Path) -> None:
    write_record(report, folder / "lift.json")
    (folder / "lift.html").write_text(lift_page(report, reads), "utf-8")
    (folder / "lift.md").write_text(lift_markdown(report), "utf-8")


def _track(tracked: Run, report: LiftReport, folder: Path) -> None:
    numbers: dict[str, float] = {}
    for arm, lifts in report.lifts.items():
        for one in lifts:
            key = f"lift.{arm}.{one.name.replace(' ', '_')}"
            numbers |= {key: one.difference, f"{key}.lower": one.lower, f"{key}.upper": one.upper}
    tracked.metrics(0, {key: value for key, value in numbers.items() if abs(value) < float("inf")})
    tracked.tag("verdict", answers(report).kind)
    tracked.artifact(folder, "lift")


def _hash(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def exit_code(report: LiftReport) -> int:
    """With which code the verb ends: a gain that does harm is no gain."""
    arm = main_arm(report)
    if arm is None:
        return CANNOT_TELL
    if any(one.verdict == "worse" for one in harms(report, arm)):
        return NOT_BETTER
    verdict: Any = report.lifts[arm][0].verdict
    return {"better": BETTER, "cannot tell yet": CANNOT_TELL}.get(verdict, NOT_BETTER)
