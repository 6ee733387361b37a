"""What a sweep asks of a run: how much more its policy is shown to earn, or why nobody can say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from nurture_envs.errors import NurtureError
from nurture_envs.journey import Journey
from nurture_rl.appraisal.evaluation import LOGGED
from nurture_rl.appraisal.record import REFUSE, Appraisal
from nurture_rl.codec import read_record, write_record
from nurture_rl.decisions import load_decisions
from nurture_rl.workflow.journey_log import appraised_by_log, field_on, held_out
from nurture_rl.workflow.learn import load_policy

if TYPE_CHECKING:
    from nurture_rl.workflow.config import Settings
    from nurture_rl.workflow.stages import Workshop

_FILE = "objective.json"


@dataclass(frozen=True, slots=True)
class RunObjective:
    """The number that a sweep makes as large as it can, or why it is withheld."""

    policy: str  # whose it is
    # Lower bound of what the policy earns beyond the reference, on the same held-out contacts, the
    # journey's unit per episode; None where it is withheld.
    value: float | None
    sentence: str  # what it is a bound of, or why there is none


def objective_of(appraisal: Appraisal, name: str | None = None) -> RunObjective:
    """The one judge's lower bound of a policy less the reference, unless a check withholds it.

    Args:
        appraisal: by the held-out log.
        name: of the policy; None: the judge's candidate, the best of those that learned. Bounds of
            one appraisal hold together, so the best may be picked.
    """
    evaluation = appraisal.evaluation
    if name is None and not appraisal.candidates:
        # The judge puts a program forward then.
        why = "no policy of the run learned to act otherwise than the log or a program does"
        return RunObjective(appraisal.candidate, None, f"withheld: {why}")
    name, reference = name or appraisal.candidate, evaluation.reference
    if name == reference:
        return RunObjective(name, 0.0, f"{name} is the reference itself")
    why = _withheld(appraisal, name)
    if why:
        return RunObjective(name, None, f"withheld: {why}")
    policy = evaluation.policies[name]
    assert policy.difference is not None
    interval = policy.difference.interval
    if not isfinite(interval.lower):
        return RunObjective(name, None, "withheld: the interval of the difference has no lower end")
    return RunObjective(
        name,
        interval.lower,
        f"lower end of the {interval.level:.4g} interval of {name} less {reference} on "
        f"{evaluation.n_clusters} held-out contacts by {policy.basis}, {evaluation.unit} per "
        f"episode; the estimate is {policy.difference.value:.4g}",
    )


def _withheld(appraisal: Appraisal, name: str) -> str:
    """Why the log may not speak about a policy; empty where it may."""
    evaluation = appraisal.evaluation
    if name not in evaluation.policies:
        return f"the run has no policy {name!r}"
    reference = evaluation.reference
    found = list(appraisal.refusals(name))
    if reference != LOGGED:
        found += appraisal.target_checks[reference].of(REFUSE)
    if found:
        return "; ".join(dict.fromkeys(one.sentence for one in found))
    for one in (name, reference):
        judged = evaluation.policies.get(one)  # none for what was logged
        if judged is not None and not judged.overlap.feasible:
            return f"the log does not carry {one}: {judged.overlap.reason}"
    if evaluation.policies[name].difference is None:
        return f"no estimator has an answer for {name} less {reference}"
    return ""


def log_objective(
    workshop: Workshop,
    journey: Journey,
    run: Settings,
    ingested: Path,
    policies: Mapping[str, Path],
) -> RunObjective:
    """The objective of a training: the policy before the log's held-out contacts, in no world.

    Checks, level and estimators are those of the verb `evaluate`.

    Args:
        workshop: where the stages lie.
        journey: of the log.
        run: the settings; `policy` is judged, else the best of those that learned.
        ingested: the log.
        policies: every policy's folder, the reference's among them unless it is `logged`.
    """
    inputs = {
        "ingest": ingested.name,
        "policies": {name: folder.name for name, folder in policies.items()},
        "policy": None if run.run.policy is None else run.run.policy.name,
        "held_out": run.run.data.held_out,
        "evaluation": asdict(run.evaluation),
        "release": run.run.release.judging(),
        "seed": run.run.seeds.evaluation,
        "journey": journey.resolved,
    }
    build = partial(_judge, journey, run, ingested, policies)
    folder = workshop.stage("objective", inputs, build)
    return read_record(folder / _FILE, RunObjective)


def _judge(
    journey: Journey, run: Settings, ingested: Path, policies: Mapping[str, Path], out: Path
) -> None:
    name = None if run.run.policy is None else run.run.policy.name
    loaded = {one: load_policy(folder, journey) for one, folder in policies.items()}
    learned = [one for one in policies if run.run.policies[one].learner != "none"]
    try:
        held = held_out(load_decisions(ingested, journey, run.run.data.held_out), journey)
        field = field_on(held, loaded, learned, run.run.release.reference)
        found = objective_of(appraised_by_log(held, loaded, field, run), name)
    except NurtureError as error:  # the log cannot be judged; what was trained on it stays
        found = RunObjective(name or "", None, f"withheld: {error}")
    write_record(found, out / _FILE)
