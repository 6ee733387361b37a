"""What each verb of the loop does: run its part, track it, say what it made."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from omegaconf import DictConfig
from rich.console import Console
from threadpoolctl import threadpool_limits

from nurture_envs.journey import Journey
from nurture_rl.appraisal.first_look import FirstLook
from nurture_rl.appraisal.health.finding import LOOK, STOP
from nurture_rl.appraisal.source_values import SourcesReport
from nurture_rl.codec import read_record
from nurture_rl.errors import PropensityError
from nurture_rl.release.gate import RULES
from nurture_rl.release.signing import SIGNATURE, signatures
from nurture_rl.report.page import FIGURES
from nurture_rl.report.sources_page import answers
from nurture_rl.tracking.run import Run
from nurture_rl.verb_result import OBJECTIVE, OBJECTIVE_IS, VerbResult
from nurture_rl.wording import counted, plural
from nurture_rl.workflow.config import settings
from nurture_rl.workflow.doctor_stage import PAGE as DIAGNOSIS
from nurture_rl.workflow.first_look_stage import PAGE as FIRST_LOOK
from nurture_rl.workflow.gap import read_gap
from nurture_rl.workflow.judges import read_evaluated
from nurture_rl.workflow.learners import plays_in_world
from nurture_rl.workflow.objective import RunObjective, log_objective, objective_of
from nurture_rl.workflow.pipeline import Pipeline, ready
from nurture_rl.workflow.prices_verb import priced_part, require_prices
from nurture_rl.workflow.release import AS_IT_IS, REFUSED, RELEASED
from nurture_rl.workflow.run_page import PAGE
from nurture_rl.workflow.run_tracking import run_tracking
from nurture_rl.workflow.side_by_side import Crew, workers_of
from nurture_rl.workflow.sources_stage import PAGE as SOURCES_PAGE

NO_BUNDLE = 3  # exit code
NOT_ENOUGH = 3  # exit code of `doctor`
UNDECIDED_LOG = 4  # exit code: the log has no decisions, and the page says what it tells


def run_verb(config: DictConfig, verb: str) -> dict[str, Any]:
    """Run a verb with a composed configuration.

    Args:
        config: composed by Hydra from `run_schema`.
        verb: one of `_PARTS`.

    Returns:
        What was made: folders, files, and for `export` and `pipeline` the gate's record.

    Raises:
        NurtureError: bad settings or bad data, with what to do.
    """
    checked = settings(config)
    run = checked.run
    torch.set_num_threads(run.threads)
    console = Console(highlight=False, soft_wrap=True)
    say = partial(console.print, markup=False)
    tracking = run_tracking(checked, verb, f"{verb} {run.data.name} seed {run.seed}")
    workers = workers_of(run.workers) if verb not in ("ingest", "doctor") else 1
    with threadpool_limits(run.threads), Crew(workers, say) as crew, tracking as tracked:
        pipeline = Pipeline(checked, crew.say, crew=crew)
        crew.begin("imports", ready)
        made: dict[str, Any] = {"verb": verb, "mlflow_run": tracked.id, "mlflow_uri": tracked.uri}
        parts = _PARTS[verb]
        if verb == "pipeline" and not pipeline.is_decided:
            parts = (_ingest, _first_look)
        for part in parts:
            made |= part(pipeline, tracked)
    console.print(f"\n{verb} is done. What it made:", markup=False)
    for key, value in made.items():
        console.print(f"  {key}: {value}", markup=False)
    return made


def _ingest(pipeline: Pipeline, tracked: Run) -> dict[str, Any]:
    summary = _read(pipeline.checked / "tables" / "summary.json")
    decisions = _read(pipeline.checked / "decisions.json")["decisions"]
    data = pipeline.settings.run.data
    tracked.dataset(data.name, summary["fingerprint"], decisions, data.path or data.source)
    tracked.artifact(pipeline.checked / "tables" / "summary.json", "ingest")
    return {"ingested": pipeline.checked}


def _first_look(pipeline: Pipeline, tracked: Run) -> dict[str, Any]:
    """What a log without decisions tells."""
    found = read_record(pipeline.first_look / "first_look.json", FirstLook)
    plan = found.experiment
    for name in (FIRST_LOOK, "first_look.md", "first_look.json"):
        tracked.artifact(pipeline.first_look / name, "first_look")
    return {
        "verdict": "cannot tell: the log has no decisions, so it shows no effect of any mail",
        "missing": ", ".join(one.what for one in found.missing),
        "first experiment": f"{plan.units} contacts, {plan.weeks} weeks as contacts come now",
        "report": pipeline.first_look / FIRST_LOOK,
    }


def _diagnose(pipeline: Pipeline, tracked: Run) -> dict[str, Any]:
    """What is wrong with the log, and what to mend first."""
    found = _read(pipeline.diagnosed / "doctor.json")
    for name in (DIAGNOSIS, "doctor.md", "doctor.json"):
        tracked.artifact(pipeline.diagnosed / name, "doctor")
    words = {STOP: "forbids learning", LOOK: "look"}
    made: dict[str, Any] = {
        f"{words[one['severity']]} ({place}), {one['kind']}": f"{one['says']}. Mend: {one['mend']}"
        for place, one in enumerate(found, 1)
    }
    made["stops"] = sum(one["severity"] == STOP for one in found)
    return made | {"findings": len(found), "report": pipeline.diagnosed / DIAGNOSIS}


def _value_sources(pipeline: Pipeline, tracked: Run) -> dict[str, Any]:
    """What each source is worth, and which features change no action."""
    found = read_record(pipeline.sources / "sources.json", SourcesReport)
    for name in (SOURCES_PAGE, "sources.md", "sources.json"):
        tracked.artifact(pipeline.sources / name, "sources")
    for one in found.sources:
        numbers = {"changed": one.sensitivity.changed}
        for judge, loss in (("log", one.loss), ("truth", one.true_loss)):
            if loss is not None and isfinite(loss.value):
                numbers[judge] = loss.value
        tracked.metrics(0, {f"sources.{one.source}.{key}": to for key, to in numbers.items()})
    made: dict[str, Any] = dict(answers(found))
    return made | {"unbound": list(found.unbound), "report": pipeline.sources / SOURCES_PAGE}


def _propensities(pipeline: Pipeline, tracked: Run) -> dict[str, Any]:
    """Refuse before any training what could not be judged after it.

    Raises:
        PropensityError: the log does not say how likely some of its actions were.
    """
    table = pq.read_table(
        pipeline.ingested / "decision_table.parquet", columns=["decision_id", "propensity"]
    )
    missing = table.filter(pc.is_null(table["propensity"]))["decision_id"].to_pylist()
    if missing:
        shown = ", ".join(missing[:3])
        raise PropensityError(
            f"{len(missing)} of {len(table)} decisions {plural(len(missing), 'has', 'have')} no "
            f"propensity ({shown}, ...), so no "
            "policy can be judged on this log; log the propensity of every decision, or leave "
            "those contacts out"
        )
    return {}


def _fit_world_to_play(pipeline: Pipeline, tracked: Run) -> dict[str, Any]:
    """The world where a policy is learned by playing in it."""
    policies = pipeline.settings.run.policies.values()
    played = any(plays_in_world(policy.learner) for policy in policies)
    return _fit_world(pipeline, tracked) if played else {}


def _fit_world(pipeline: Pipeline, tracked: Run) -> dict[str, Any]:
    heads = _read(pipeline.world / "calibration.json")["heads"]
    tracked.metrics(0, {f"world.ece.{head['head']}": head["ece"] for head in heads})
    tracked.artifact(pipeline.world / "calibration.json", "world")
    return {"world": pipeline.world}


def _begin(pipeline: Pipeline, tracked: Run) -> dict[str, Any]:
    pipeline.begin()
    return {}


def _gap(pipeline: Pipeline, tracked: Run) -> dict[str, Any]:
    report = read_gap(pipeline.gap)
    verdict = report["verdict"]
    tracked.tag("world", verdict["trust"])
    numbers = {"auc": report["evidence"]["two_sample"]["auc"], "causes": len(verdict["causes"])}
    tracked.metrics(0, {f"gap.{key}": value for key, value in numbers.items() if value is not None})
    for name in ("gap.html", "gap.md", "gap.json"):
        tracked.artifact(pipeline.gap_page / name, "gap")
    made = {"the world's verdict": verdict["trust"]}
    made |= {
        f"  against it ({i + 1})": f"{one['cause']}: {one['sentence']}"
        for i, one in enumerate(verdict["causes"])
    }
    return made | {"reality gap": pipeline.gap_page / "gap.html"}


def _train(pipeline: Pipeline, tracked: Run) -> dict[str, Any]:
    for name, folder in pipeline.policies.items():
        for step, values in _read(folder / "metrics.json"):
            tracked.metrics(step, {f"{name}.{key}": value for key, value in values.items()})
        tracked.artifact(folder, f"policies/{name}")
    return {f"policy {name}": folder for name, folder in pipeline.policies.items()}


def _evaluate(pipeline: Pipeline, tracked: Run) -> dict[str, Any]:
    evaluated = read_evaluated(pipeline.evaluated)
    for name, policy in evaluated.appraisal.evaluation.policies.items():
        numbers = {"ess": policy.overlap.ess}
        numbers["simulator.worst"] = evaluated.simulator.policies[name].worst.value
        for kind, told in policy.estimates.items():
            numbers[kind] = told.estimate.value
            numbers |= {f"{kind}.lower": told.interval.lower, f"{kind}.upper": told.interval.upper}
        for judge, world in (("simulator", evaluated.simulator), ("truth", evaluated.truth)):
            if world is not None:
                played = world.policies[name]
                numbers |= {
                    f"{judge}.{end}": getattr(played, end) for end in ("value", "lower", "upper")
                }
        known = {key: value for key, value in numbers.items() if isfinite(value)}
        tracked.metrics(0, {f"value.{name}.{key}": value for key, value in known.items()})
    tracked.artifact(pipeline.evaluated / "evaluation.json", "evaluation")
    asked = pipeline.settings.run.policy
    found = objective_of(evaluated.appraisal, None if asked is None else asked.name)
    made = {"evaluation": pipeline.evaluated / "evaluation.json"}
    return made | _objective(found, tracked)


def _judge_on_log(pipeline: Pipeline, tracked: Run) -> dict[str, Any]:
    run, policies = pipeline.resolved, pipeline.policies
    given = (pipeline.workshop, pipeline.journey, run, pipeline.ingested, policies)
    return _objective(log_objective(*given), tracked)


def _objective(found: RunObjective, tracked: Run) -> dict[str, Any]:
    """What a sweep is told: a number, or none and why."""
    if found.value is not None:
        tracked.metrics(0, {OBJECTIVE: found.value})
    tracked.tag(OBJECTIVE, found.sentence)
    return {OBJECTIVE: found.value, OBJECTIVE_IS: found.sentence}


_GATE_ANSWERS = {
    RELEASED: "passed",
    REFUSED: "refused",
    RULES: "refused, rules are enough",
    AS_IT_IS: "not asked",
}


def _export(pipeline: Pipeline, tracked: Run) -> dict[str, Any]:
    decided = _read(pipeline.released / "gate.json")
    tracked.artifact(pipeline.released / "gate.json", "release")
    answer = _GATE_ANSWERS[decided["verdict"]]
    tracked.tag("gate", answer)
    made: dict[str, Any] = {"gate": answer}
    made |= {"verdict": decided["sentence"]} if "sentence" in decided else {}
    for place, cause in enumerate(decided["causes"], 1):
        made[f"  because ({place})"] = cause["sentence"]
    made |= {f"  left out, {name}": reason for name, reason in decided["left_out"].items()}
    bundle = pipeline.released / "bundle"
    if bundle.is_dir():
        made["mlflow_model"] = tracked.bundle(bundle, "policy")
        made["bundle"] = bundle
        made["serve it with"] = serve_line(pipeline, bundle)
        made |= _unsigned(pipeline.journey, bundle)
    return made


def _unsigned(journey: Journey, bundle: Path) -> dict[str, Any]:
    """What a bundle still needs before it is served, where several people must sign."""
    given = (
        len(signatures((bundle / SIGNATURE).read_bytes())) if (bundle / SIGNATURE).is_file() else 0
    )
    missing = journey.signers - given
    if journey.signers == 1 or missing <= 0:
        return {}
    who = counted(missing, "more person must sign it", "more people must sign it")
    return {"sign it": f"{who} before it is served: nurture sign bundle={bundle} key=FILE"}


def serve_line(pipeline: Pipeline, bundle: Path) -> str:
    """The command that serves a bundle over the contacts of this run's log."""
    run = pipeline.settings.run
    words = {
        "bundle": bundle,
        "store": Path(run.runs).resolve() / "store.db",
        "logs": pipeline.ingested / "tables",
        "default_zone": run.data.default_zone,
    }
    return shlex.join(["nurture", "serve", *(f"{key}={value}" for key, value in words.items())])


def _report(pipeline: Pipeline, tracked: Run) -> dict[str, Any]:
    page = pipeline.report / PAGE
    for written in (page, page.with_suffix(".md")):
        tracked.artifact(written, "report")
    tracked.artifact(pipeline.report / FIGURES, "figures")
    return {"report": page}


def _read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


Part = Callable[[Pipeline, Run], dict[str, Any]]
_PARTS: dict[str, tuple[Part, ...]] = {
    "ingest": (_ingest,),
    "doctor": (_ingest, _diagnose),
    "fit_world": (_ingest, _fit_world),
    "gap": (_ingest, _fit_world, _gap),
    "train": (_ingest, _fit_world_to_play, _train, _judge_on_log),
    "prices": (_ingest, _propensities, _fit_world, priced_part),
    "sources": (_ingest, _propensities, _train, _value_sources),
    "evaluate": (_ingest, _propensities, _fit_world, _train, _evaluate),
    "export": (_ingest, _propensities, _fit_world, _begin, _train, _evaluate, _gap, _export),
    "pipeline": (
        _ingest,
        _propensities,
        _fit_world,
        _begin,
        _train,
        _evaluate,
        _gap,
        _export,
        _report,
    ),
}


def _of(verb: str) -> Callable[[DictConfig], VerbResult]:
    return lambda config: VerbResult(run_verb(config, verb))


ingest, fit_world, gap = _of("ingest"), _of("fit_world"), _of("gap")
train, evaluate, sources = _of("train"), _of("evaluate"), _of("sources")


def prices(config: DictConfig) -> VerbResult:
    """The verb `prices`; its own settings are looked at before any work."""
    require_prices(settings(config))
    return VerbResult(run_verb(config, "prices"))


def doctor(config: DictConfig) -> VerbResult:
    """The verb `doctor`, whose exit code says whether something forbids learning."""
    made = run_verb(config, "doctor")
    return VerbResult(made, NOT_ENOUGH if made["stops"] else 0)


def pipeline(config: DictConfig) -> VerbResult:
    """The verb `pipeline`, whose exit code says whether there was anything to learn from."""
    made = run_verb(config, "pipeline")
    return VerbResult(made, 0 if "evaluation" in made else UNDECIDED_LOG)


def export(config: DictConfig) -> VerbResult:
    """The verb `export`, whose exit code says whether there is a bundle."""
    made = run_verb(config, "export")
    return VerbResult(made, 0 if "bundle" in made else NO_BUNDLE)
