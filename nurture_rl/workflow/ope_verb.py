"""The verb `ope`: what a log says about target policies, as a report and an exit code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from omegaconf import DictConfig
from pyarrow import csv
from rich.console import Console
from threadpoolctl import threadpool_limits

from nurture_rl.appraisal.appraise import appraise
from nurture_rl.appraisal.estimation import EvaluationConfig
from nurture_rl.appraisal.evaluation import plain
from nurture_rl.appraisal.record import Appraisal
from nurture_rl.appraisal.verdict import Verdict
from nurture_rl.logs.atomic import atomic_folder
from nurture_rl.progress import PROGRESS
from nurture_rl.report.headline import ope_headline
from nurture_rl.report.ope_page import write_ope_report
from nurture_rl.report.ope_source import OpeSource
from nurture_rl.tracking.run import Run
from nurture_rl.verb_result import VerbResult
from nurture_rl.wording import counted, plural
from nurture_rl.workflow.about_run import about_run
from nurture_rl.workflow.complexity import with_simplest
from nurture_rl.workflow.ope_config import OpeConfig, estimators_of, ope_settings
from nurture_rl.workflow.ope_data import opened_log, quarantine_table, require_policies
from nurture_rl.workflow.ope_journeys import Journeys
from nurture_rl.workflow.ope_log import OpenedLog
from nurture_rl.workflow.ope_sample import Sampled, streams
from nurture_rl.workflow.ope_stream import appraised_stream, opened_stream
from nurture_rl.workflow.run_tracking import run_tracking, runs_folder
from nurture_rl.workflow.stages import code_hash

if TYPE_CHECKING:
    from nurture_rl.workflow.config import Settings
    from nurture_rl.workflow.pipeline import Pipeline
    from nurture_rl.workflow.stages import Say

EXIT_CODES = {
    Verdict.BETTER: 0,
    Verdict.NOT_BETTER: 3,
    Verdict.CANNOT_TELL_YET: 4,
    Verdict.RULES_ARE_ENOUGH: 5,
}
_PACKAGES = ("nurture-rl", "numpy", "scipy", "pyarrow", "mlflow")


@dataclass(frozen=True, slots=True)
class Finished:
    """What the verb made."""

    verdict: Verdict
    folder: Path  # ope.html, ope.md, ope.json and quarantine.csv
    exit_code: int


def run_ope(config: DictConfig) -> Finished:
    """Evaluate the target policies of a configuration and write the report.

    Raises:
        NurtureError: bad settings, bad data, or a log that no policy can be evaluated on.
    """
    checked, run = ope_settings(config)
    torch.set_num_threads(run.threads)
    console = Console(highlight=False, soft_wrap=True)
    say = partial(console.print, markup=False)
    root = runs_folder(checked)
    with threadpool_limits(run.threads):
        sampled: Sampled | Journeys | None = None
        if streams(run):
            opened, sampled = opened_stream(run)
        else:
            opened = opened_log(partial(_pipeline, checked, say), run)
        require_policies(opened, run.ask.candidate)
        PROGRESS.info("opening the store of runs")
        name = f"ope {run.data.name} seed {run.seed}"
        with run_tracking(checked, "ope", name) as tracked:
            if sampled is None:
                _tell_read(say, opened)
                appraisal = appraised(opened, run, checked.evaluation)
            else:
                how = asked_of(opened, run, checked.evaluation)
                opened, appraisal = appraised_stream(opened, sampled, run, how)
                _tell_read(say, opened)
            document = _document(opened, appraisal, checked.plain, run)
            PROGRESS.info("drawing the report")
            folder = root / "ope" / str(document["run"]["settings_hash"])
            with atomic_folder(folder) as partial_folder:
                write_ope_report(document, partial_folder)
                csv.write_csv(quarantine_table(opened), partial_folder / "quarantine.csv")
            _track(tracked, opened, appraisal, folder)
    _tell(say, document, folder)
    return Finished(appraisal.verdict, folder, EXIT_CODES[appraisal.verdict])


def _pipeline(checked: Settings, say: Say) -> Pipeline:
    # Loaded where it is asked for: it takes long, and other programs' logs need none of it.
    from nurture_rl.workflow.pipeline import Pipeline

    return Pipeline(checked, say)


def ope(config: DictConfig) -> VerbResult:
    """The verb `ope`, whose exit code says the verdict."""
    result = run_ope(config)
    report = result.folder / "ope.html"
    return VerbResult({"verdict": result.verdict.value, "report": report}, result.exit_code)


def appraised(opened: OpenedLog, run: OpeConfig, base: EvaluationConfig) -> Appraisal:
    """What the judge says of an opened log."""
    config = asked_of(opened, run, base)
    beside = replace(opened.beside, values=tuple(run.data.values))
    rng = np.random.default_rng(run.seeds.evaluation)
    found = appraise(
        opened.log, opened.policies, opened.reference, rng, config, beside, run.ask.candidate
    )
    asked = run.ask.tolerance
    tolerance = (config.margin or None) if asked is None else asked
    return with_simplest(found, opened.policies, tolerance, run.seeds.evaluation)


def asked_of(opened: OpenedLog, run: OpeConfig, base: EvaluationConfig) -> EvaluationConfig:
    """How the log's policies are evaluated."""
    ask, release = run.ask, run.release
    return replace(
        base,
        level=release.level if ask.level is None else ask.level,
        estimators=estimators_of(ask),
        candidates=opened.candidates,
        rules=opened.rules,
        margin=release.margin if ask.margin is None else ask.margin,
        preferred=ask.basis,
    )


def _document(
    opened: OpenedLog, appraisal: Appraisal, settings: Mapping[str, Any], run: OpeConfig
) -> dict[str, Any]:
    """Everything the report shows, as JSON values."""
    text = json.dumps([settings, opened.facts["fingerprint"]], sort_keys=True, default=str)
    log = opened.log
    return {
        "title": f"What the log says about “{appraisal.candidate}”",
        "appraisal": appraisal.to_dict(),
        "log": {
            **{key: plain(value) for key, value in opened.facts.items()},
            "actions": list(opened.beside.actions),
            "features": list(opened.beside.features),
            "discount": log.discount,
            "logged_probabilities": log.logged_probabilities is not None,
        },
        "run": {
            **about_run(run, settings, _PACKAGES),
            "settings_hash": hashlib.sha256(text.encode()).hexdigest()[:16],
            "code_hash": code_hash(),
        },
    }


def _track(tracked: Run, opened: OpenedLog, appraisal: Appraisal, folder: Path) -> None:
    tracked.tag("verdict", appraisal.verdict.value)
    tracked.tag("candidate", appraisal.candidate)
    facts = opened.facts
    tracked.dataset("log", str(facts["fingerprint"]), facts["kept"], str(facts["source"]))
    for name, policy in appraisal.evaluation.policies.items():
        numbers = {"ess": policy.overlap.ess}
        for kind, estimated in policy.estimates.items():
            numbers[kind] = estimated.estimate.value
            numbers[f"{kind}.lower"] = estimated.interval.lower
            numbers[f"{kind}.upper"] = estimated.interval.upper
        if policy.difference is not None:
            numbers["difference"] = policy.difference.value
        known = {key: value for key, value in numbers.items() if np.isfinite(value)}
        tracked.metrics(0, {f"ope.{name}.{key}": value for key, value in known.items()})
    tracked.artifact(folder, "ope")


def _tell_read(say: Any, opened: OpenedLog) -> None:
    read, source = opened.facts["kept"], opened.facts["source"]
    say(f"{counted(read, 'decision')} of {source} {plural(read, 'is', 'are')} read")


def _tell(say: Any, document: Mapping[str, Any], folder: Path) -> None:
    """The verdict first."""
    headline = ope_headline(OpeSource(document))
    say(f"\n{headline.badge.upper()}: {headline.sentence}")
    for reason in headline.reasons:
        say(f"  {reason}")
    if headline.simplest:
        say(f"  {headline.simplest}")
    for line in headline.settles:
        say(f"  to settle it: {line}")
    refused = document["log"]["refused"]
    if refused:
        say(
            f"  {refused} of {document['log']['read']} rows {plural(refused, 'was', 'were')} set "
            "aside: quarantine.csv says why"
        )
    say(f"  report: {folder / 'ope.html'}")
