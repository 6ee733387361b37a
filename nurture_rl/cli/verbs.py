"""What the command can be told to do: each verb, what it reads and makes, and how it may end."""

from __future__ import annotations

from collections.abc import Mapping

from nurture_rl.cli.intake_verbs import INTAKE_VERBS
from nurture_rl.cli.paper_verbs import PAPER_VERBS
from nurture_rl.cli.planning_verbs import PLANNING_VERBS
from nurture_rl.cli.prediction_verbs import PREDICTION_VERBS
from nurture_rl.cli.serving_verbs import SERVING_VERBS
from nurture_rl.cli.verb_record import DONE, Verb

_OPE_CODES = {
    DONE: "better",
    3: "not better",
    4: "cannot tell yet",
    5: "rules are enough",
}
_LIFT_CODES = {DONE: "better", 3: "not better", 4: "cannot tell yet"}
_BUNDLE_CODES = {3: "the gate wrote no bundle; its reasons are printed"}


_RUN = "nurture_rl.workflow.run_config:RunConfig"
_KEY = "nurture_rl.workflow.run_key:run_key"
_STEPS = "nurture_rl.workflow.verb_runs"

_ALL = (
    Verb(
        name="pipeline",
        summary="the whole loop: a log becomes a judged policy, a bundle and a report",
        reads="a log (`data=...`)",
        makes="what every verb from `ingest` to `export` makes, and a report (HTML)",
        examples=(
            "nurture pipeline experiment=small",
            "nurture pipeline data=folder data.path=exported seed=1",
        ),
        settings=_RUN,
        keyed=_KEY,
        work=f"{_STEPS}:pipeline",
        codes={4: "the log has no decisions: a first look says what it tells, and what to try"},
    ),
    Verb(
        name="ingest",
        summary="checks raw logs, resolves identities, builds the decision table",
        reads="a log (`data=...`)",
        makes="checked tables, a quarantine with file, line and reason, the decision table",
        examples=(
            "nurture ingest experiment=small",
            "nurture ingest data=folder data.path=exported data.max_refused=0.02",
        ),
        settings=_RUN,
        keyed=_KEY,
        work=f"{_STEPS}:ingest",
    ),
    Verb(
        name="doctor",
        summary="tells whether a log is enough to learn from, and what is wrong with it",
        reads="what `ingest` made, which it makes where it is missing; a log without decisions too",
        makes="findings, each with evidence and mend: a page (HTML), Markdown and JSON",
        examples=(
            "nurture doctor experiment=small",
            "nurture doctor data=folder data.path=exported",
        ),
        settings=_RUN,
        keyed=_KEY,
        work=f"{_STEPS}:doctor",
        codes={3: "something forbids learning from this log"},
    ),
    Verb(
        name="fit_world",
        summary="fits a simulated world to the training contacts",
        reads="what `ingest` made, which it makes where it is missing",
        makes="an ensemble of fitted worlds and its calibration on other contacts",
        examples=(
            "nurture fit_world experiment=small",
            "nurture fit_world data=renewal world.members=5 seeds.world=3",
        ),
        settings=_RUN,
        keyed=_KEY,
        work=f"{_STEPS}:fit_world",
    ),
    Verb(
        name="gap",
        summary="holds the fitted world against contacts it never saw",
        reads="what `fit_world` made, which it makes where it is missing",
        makes="a verdict with named causes, and a report (HTML, Markdown, JSON)",
        examples=(
            "nurture gap experiment=small",
            "nurture gap data=trial_onboarding gap.ratio=1.5",
        ),
        settings=_RUN,
        keyed=_KEY,
        work=f"{_STEPS}:gap",
    ),
    Verb(
        name="train",
        summary="trains policies; `--multirun` sweeps over policies and seeds",
        reads="the decision table and, for learners that play, the fitted world",
        makes="a trained policy with its metrics",
        examples=(
            "nurture train experiment=small policy=linear_thompson",
            "nurture train --multirun policy=ppo,linear_thompson seed=0,1",
        ),
        settings=_RUN,
        keyed=_KEY,
        work=f"{_STEPS}:train",
    ),
    Verb(
        name="evaluate",
        summary="judges every policy on held-out contacts and in the fitted world",
        reads="the decision table, the fitted world and the policies",
        makes="evaluation.json",
        examples=(
            "nurture evaluate experiment=small",
            "nurture evaluate data=re_engagement release.reference=rules",
        ),
        settings=_RUN,
        keyed=_KEY,
        work=f"{_STEPS}:evaluate",
    ),
    Verb(
        name="ope",
        summary="what a log says about target policies: a verdict and a report",
        reads="any log with propensities (`data=...`), and target policies",
        makes="a report (HTML, Markdown, JSON) and the rows that were set aside (CSV)",
        examples=(
            "nurture ope experiment=small",
            "nurture ope data=frame data.path=log.parquet +targets.new.columns=[p_none,p_offer]",
        ),
        settings="nurture_rl.workflow.ope_config:OpeConfig",
        work="nurture_rl.workflow.ope_verb:ope",
        codes=_OPE_CODES,
    ),
    Verb(
        name="export",
        summary="asks the gate; writes a bundle or says why not",
        reads="what `evaluate` and `gap` made, which it makes where it is missing",
        makes="a bundle (ONNX, hashes, policy card), if the gate is passed",
        examples=(
            "nurture export experiment=small release.policy=rules",
            "nurture export release.level=0.99",
        ),
        settings=_RUN,
        keyed=_KEY,
        work=f"{_STEPS}:export",
        codes=_BUNDLE_CODES,
    ),
    *PLANNING_VERBS,
    *PAPER_VERBS,
    *INTAKE_VERBS,
    *PREDICTION_VERBS,
    Verb(
        name="lift",
        summary="what an experiment with people says: arms held against business as usual",
        reads="a log whose decisions name their arms (`data=folder`), and a plan (YAML)",
        makes="a report (HTML, Markdown, JSON), a journal, and the next experiment (YAML)",
        examples=(
            "nurture lift data.path=exported plan=spring.yaml",
            "nurture lift data.path=exported plan=spring.yaml data.complete_until=2026-06-29",
        ),
        settings="nurture_rl.workflow.lift_config:LiftConfig",
        work="nurture_rl.workflow.lift_verb:lift",
        codes=_LIFT_CODES,
    ),
    Verb(
        name="interchange",
        summary="writes episodes for other libraries",
        reads="a log (`data=...`), or a world in which `policy` plays",
        makes="a Minari data set or a file that d3rlpy reads",
        examples=(
            "nurture interchange format=minari out=episodes",
            "nurture interchange episodes=reference policy=drip format=d3rlpy out=episodes",
        ),
        settings="nurture_rl.workflow.interchange_config:InterchangeConfig",
        work="nurture_rl.workflow.interchange:interchange",
    ),
    *SERVING_VERBS,
)
VERBS: Mapping[str, Verb] = {verb.name: verb for verb in _ALL}
