"""The verb `lift`: what an experiment in a log says, as a report and an exit code."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from omegaconf import DictConfig
from rich.console import Console
from threadpoolctl import threadpool_limits

from nurture_envs.journey import Journey
from nurture_rl.codec import write_record
from nurture_rl.errors import ConfigError
from nurture_rl.lift.decision_journal import (
    JOURNAL,
    JournalEntry,
    ReadEvidence,
    journal_figures,
    last_read,
    latest_read,
)
from nurture_rl.lift.first_mail import first_mailed
from nurture_rl.lift.judged_arms import LiftReport
from nurture_rl.lift.next_blocks import next_blocks
from nurture_rl.lift.next_experiment import NextExperiment, next_experiment
from nurture_rl.lift.written_plan import load_plan
from nurture_rl.logs.atomic import atomic_folder
from nurture_rl.logs.schema import is_plan_file
from nurture_rl.report.lift_first_screen import first_screen
from nurture_rl.report.lift_page import ToldLift, lift_markdown, lift_page
from nurture_rl.tracking.run import Run
from nurture_rl.verb_result import VerbResult
from nurture_rl.workflow.config import settings
from nurture_rl.workflow.ingestion import complete_until
from nurture_rl.workflow.lift_config import LiftConfig
from nurture_rl.workflow.lift_log import lift_tables, read_arms, weekly_reads
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.run_tracking import run_tracking, runs_folder

BETTER, NOT_BETTER, CANNOT_TELL = 0, 3, 4  # exit codes
AMONG = ("everybody", "mailed")
NEXT = "next.yaml"
_PACKAGES = ("nurture-rl", "numpy", "scipy", "pyarrow")  # whose versions an entry names


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
    if run.among == "mailed" and plan.switchback is not None:
        raise ConfigError(
            "among: expected everybody, for the plan deals time, and a contact has decisions of "
            "several arms; leave `among` out"
        )
    root = runs_folder(checked) / "lift"
    with (
        threadpool_limits(run.threads),
        run_tracking(checked, "lift", f"lift {plan.name}") as tracked,
    ):
        ingested = pipeline.ingested
        log = lift_tables(ingested, complete_until(run.data, say), run.data.default_zone)
        evidence = _evidence(ingested, plan.hash, log.as_of_us, run.among)
        if run.among == "mailed":
            log, plan = first_mailed(log, _ghosts(exported), plan)
        report, details = read_arms(log, plan, journey)
        following = _following(report) if run.among == "everybody" else None
        told = ToldLift(
            report=report,
            reads=weekly_reads(report, log, plan, journey, run.reads),
            details=details,
            journal=journal_entry(
                report, evidence, following.why if following else "", run.last, root
            ),
            following=following,
        )
        folder = root / _hash(ingested.name, plan.hash, str(log.as_of_us), run.among)
        with atomic_folder(folder) as partial_folder:
            write_told(told, partial_folder)
        _track(tracked, report, folder)
    first = first_screen(report)
    for question, answer in first.lines():
        say(f"{question} {answer}")
    say(f"  report: {folder / 'lift.html'}")
    return VerbResult({"verdict": first.kind, "report": folder / "lift.html"}, exit_code(report))


def _following(report: LiftReport) -> NextExperiment:
    return next_experiment(report) if report.blocks is None else next_blocks(report)


def _evidence(ingested: Path, plan: str, as_of_us: int, among: str) -> ReadEvidence:
    summary = json.loads((ingested / "tables" / "summary.json").read_text("utf-8"))
    return ReadEvidence(
        plan=plan,
        log=summary["fingerprint"],
        as_of_us=as_of_us,
        among=among,
        versions={name: version(name) for name in _PACKAGES},
    )


def journal_entry(
    report: LiftReport, evidence: ReadEvidence, suggested: str, last: str | None, root: Path
) -> JournalEntry:
    """What is decided by this read.

    Args:
        report: what was judged.
        evidence: what it stands on.
        suggested: what comes next.
        last: folder of the read before; None: the latest one in `root`.
        root: folder of the reads' folders.
    """
    before = latest_read(root, report, evidence) if last is None else Path(last)
    figures = journal_figures(report)
    arm = report.main_arm
    return JournalEntry(
        experiment=report.plan.name,
        journey=report.journey,
        evidence=evidence,
        verdict="cannot tell yet" if arm is None else report.lifts[arm][0].verdict,
        exit_code=exit_code(report),
        answers=dict(first_screen(report).lines()),
        figures=figures,
        next=suggested,
        last=None if before is None else last_read(before, report, evidence, figures),
    )


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


def write_told(told: ToldLift, folder: Path) -> None:
    """Write the files of a read that has its entry in the journal."""
    assert told.journal is not None, "each read has an entry"
    report = {one.name: getattr(told.report, one.name) for one in fields(told.report)}
    beside = {
        "among": told.journal.evidence.among,
        "main_arm": told.report.main_arm,
        "answers": told.journal.answers,
        "details": told.details,
        "next": told.following,
    }
    write_record({**report, **beside}, folder / "lift.json")
    write_record(told.journal, folder / JOURNAL)
    if told.following is not None and told.following.block is not None:
        (folder / NEXT).write_text(told.following.block, "utf-8")
    (folder / "lift.html").write_text(lift_page(told), "utf-8")
    (folder / "lift.md").write_text(lift_markdown(told), "utf-8")


def _track(tracked: Run, report: LiftReport, folder: Path) -> None:
    numbers: dict[str, float] = {}
    for arm, lifts in report.lifts.items():
        for one in lifts:
            key = f"lift.{arm}.{one.name.replace(' ', '_')}"
            numbers |= {key: one.difference, f"{key}.lower": one.lower, f"{key}.upper": one.upper}
    tracked.metrics(0, {key: value for key, value in numbers.items() if abs(value) < float("inf")})
    tracked.tag("verdict", first_screen(report).kind)
    tracked.artifact(folder, "lift")


def _hash(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def exit_code(report: LiftReport) -> int:
    """With which code the verb ends: a gain that does harm is no gain."""
    arm = report.main_arm
    if arm is None:
        return CANNOT_TELL
    if any(one.verdict == "worse" for one in report.harms):
        return NOT_BETTER
    verdict: Any = report.lifts[arm][0].verdict
    return {"better": BETTER, "cannot tell yet": CANNOT_TELL}.get(verdict, NOT_BETTER)
