"""The verb `ope` and the gate say the same on one log, and broken logs release nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nurture_envs.actions import ActionCatalog
from nurture_envs.journey_file import parse_journey
from nurture_rl.appraisal.evaluation import plain
from nurture_rl.appraisal.record import Appraisal
from nurture_rl.appraisal.risk.harm_limits import broken
from nurture_rl.appraisal.verdict import Verdict
from nurture_rl.errors import OverlapError
from nurture_rl.workflow.journey_opened import opened_journey
from nurture_rl.workflow.judges import evaluation, read_evaluated
from nurture_rl.workflow.ope_config import AskConfig, OpeConfig, OpeDataConfig
from nurture_rl.workflow.ope_verb import appraised
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.release import release
from nurture_rl.workflow.side_by_side import Crew
from nurture_rl.workflow.stages import Workshop
from tests.pipeline.two_mails import CANDIDATE

MENS, WOMENS = "send:mens_email@now", "send:womens_email@now"
Columns = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """What everybody says of the candidate on one log."""

    ope: Appraisal
    run: Appraisal
    gate: dict[str, Any]
    bundled: bool


def ope_on(loop: Pipeline, ingested: Path) -> Appraisal:
    """What the verb `ope` says of a log; policies are the loop's."""
    run = loop.resolved.run
    given = {one.name: getattr(run, one.name) for one in fields(run)}
    asked = OpeConfig(
        **given
        | {"data": OpeDataConfig(**vars(run.data)), "ask": AskConfig(estimators=["dr", "snips"])}
    )
    stand_in = SimpleNamespace(journey=loop.journey, ingested=ingested, policies=loop.policies)
    opened = opened_journey(stand_in, asked)  # type: ignore[arg-type]
    return appraised(opened, asked, loop.resolved.evaluation)


def gate_on(loop: Pipeline, ingested: Path, runs: Path) -> tuple[Appraisal, Path]:
    """What the run's evaluation and its gate say; world and policies are the loop's."""
    workshop, settings = Workshop(runs, lambda line: None), loop.resolved
    given = (ingested, loop.world, loop.policies, Crew())
    judged = evaluation(workshop, loop.journey, settings, *given)
    made = release(workshop, loop.journey, settings, ingested, loop.gap, judged, loop.policies)
    return read_evaluated(judged).appraisal, made


def log_of(loop: Pipeline, folder: Path, change: Callable[[Pipeline, Columns], None]) -> Path:
    """The loop's checked log with its decisions changed, column by column."""
    ingested = folder / "ingest-changed"
    shutil.copytree(loop.ingested, ingested)
    path = ingested / "decision_table.parquet"
    table = pq.read_table(path)
    columns = {name: table[name].to_pylist() for name in table.column_names}
    change(loop, columns)
    pq.write_table(pa.table(columns, schema=table.schema), path)
    return ingested


def said_on(loop: Pipeline, folder: Path, change: Callable[[Pipeline, Columns], None]) -> Said:
    ingested = log_of(loop, folder, change)
    ope = ope_on(loop, ingested)
    run, made = gate_on(loop, ingested, folder / "runs")
    gate = json.loads((made / "gate.json").read_text("utf-8"))
    return Said(ope, run, gate, (made / "bundle").exists())


def require_one_voice(said: Said) -> None:
    """The same verdict, reason, number and refusals of every policy."""
    ope, run = said.ope.evaluation, said.run.evaluation
    assert said.ope.candidates == said.run.candidates == (CANDIDATE,)
    for name, policy in ope.policies.items():
        assert plain(policy.judgement) == plain(run.policies[name].judgement)
        assert policy.difference == run.policies[name].difference
        assert policy.against_rules == run.policies[name].against_rules
        refused = [[one.code for one in judge.refusals(name)] for judge in (said.ope, said.run)]
        assert refused[0] == refused[1]
    assert said.ope.kpis == said.run.kpis


def restated(columns: Columns, chances: list[float], ids: tuple[str, ...]) -> None:
    """Say that every decision was drawn with other chances than it was."""
    n = len(columns["action"])
    columns["probabilities"] = [chances] * n
    columns["propensity"] = [chances[ids.index(action)] for action in columns["action"]]


def wrong_propensities(loop: Pipeline, columns: Columns) -> None:
    ids = ActionCatalog.of(loop.journey).ids
    restated(columns, [0.5 if name == WOMENS else 0.25 for name in ids], ids)


def leaking_feature(loop: Pipeline, columns: Columns) -> None:
    # Who "last bought" is written after the mail: it is the visit that the mail brought.
    for features, reward in zip(columns["features"], columns["reward"], strict=True):
        features[0] = 12.0 * reward


def no_overlap(loop: Pipeline, columns: Columns) -> None:
    # Of what is not the men's mail one decision in 40 is left, as rarely as it is said to be drawn.
    ids = ActionCatalog.of(loop.journey).ids
    kept = [k for k, name in enumerate(columns["action"]) if name == MENS or k % 40 == 0]
    for name, values in columns.items():
        columns[name] = [values[k] for k in kept]
    restated(columns, [1.0 / 1.05 if name == MENS else 0.025 / 1.05 for name in ids], ids)


def deterministic(loop: Pipeline, columns: Columns) -> None:
    ids = ActionCatalog.of(loop.journey).ids
    columns["propensity"] = [1.0] * len(columns["action"])
    columns["probabilities"] = [
        [float(name == action) for name in ids] for action in columns["action"]
    ]


def duplicated(loop: Pipeline, columns: Columns) -> None:
    for k, features in enumerate(columns["features"]):
        features[1] = 4.0 + k % 1000 / 500.0  # what was spent, so that hardly two are alike
    for name, values in columns.items():
        again = values
        if name in ("decision_id", "contact_id", "episode_id", "cluster"):
            again = [f"{value} again" for value in values]
        columns[name] = [*values, *again]


def healthy(loop: Pipeline, columns: Columns) -> None:
    """As it was logged."""


def a_part_of_it(loop: Pipeline, columns: Columns) -> None:
    """Other contacts are missing: every seventh."""
    for name, values in columns.items():
        columns[name] = [value for k, value in enumerate(values) if k % 7]


@pytest.mark.parametrize(
    "change, code",
    [
        (wrong_propensities, "mean-weight"),
        (leaking_feature, "balance"),
        (no_overlap, "ess"),
        (duplicated, "copies"),
    ],
)
def test_what_a_check_refuses_is_withheld_and_not_released(
    loop: Pipeline, tmp_path: Path, change: Callable[[Pipeline, Columns], None], code: str
) -> None:
    said = said_on(loop, tmp_path, change)
    require_one_voice(said)
    assert code in {one.code for one in said.run.refusals(CANDIDATE)}
    assert said.ope.verdict_on(CANDIDATE) is Verdict.CANNOT_TELL_YET
    assert (said.gate["passed"], said.gate["exported"], said.bundled) == (False, None, False)
    assert any(reason.startswith(f"The check {code!r} refuses") for reason in said.gate["reasons"])
    assert all(kpi.policies[CANDIDATE] is None for kpi in said.run.kpis)


def test_a_deterministic_log_is_refused_by_both_in_the_same_words(
    loop: Pipeline, tmp_path: Path
) -> None:
    ingested = log_of(loop, tmp_path, deterministic)
    told = []
    for judge in (
        lambda: ope_on(loop, ingested),
        lambda: gate_on(loop, ingested, tmp_path / "runs"),
    ):
        with pytest.raises(OverlapError) as refusal:
            judge()
        told.append(str(refusal.value))
    assert told[0] == told[1]


def limited(loop: Pipeline, at_most: float) -> Pipeline:
    """The same loop on a journey in which a visit is a harm."""
    limits = {"visits": {"of": ["visited"], "at_most": at_most}}
    changed = replace(loop)
    for name in ("raw", "ingested", "world", "gap", "policies", "resolved"):
        changed.__dict__[name] = getattr(loop, name)
    changed.__dict__["journey"] = parse_journey({**loop.journey.resolved, "limits": limits})
    return changed


@pytest.mark.parametrize("at_most, keeps", [(0.5, False), (0.99, True)])
def test_a_policy_that_may_break_a_limit_on_harm_is_not_released(
    loop: Pipeline, tmp_path: Path, at_most: float, keeps: bool
) -> None:
    said = said_on(limited(loop, at_most), tmp_path, healthy)
    require_one_voice(said)
    assert said.run.refusals(CANDIDATE) == ()
    assert (broken(said.run.limits, CANDIDATE) == ()) is keeps
    assert (said.ope.verdict_on(CANDIDATE) is Verdict.BETTER) is keeps
    assert (said.gate["passed"], said.bundled) == (keeps, keeps)
    told = [reason for reason in said.gate["reasons"] if "A limit on harm is not kept" in reason]
    assert len(told) == (0 if keeps else 1)


@pytest.mark.parametrize("change", [healthy, a_part_of_it])
def test_a_healthy_log_releases_what_both_call_better(
    loop: Pipeline, tmp_path: Path, change: Callable[[Pipeline, Columns], None]
) -> None:
    said = said_on(loop, tmp_path, change)
    require_one_voice(said)
    assert said.run.refusals(CANDIDATE) == ()
    assert said.ope.verdict_on(CANDIDATE) is Verdict.BETTER
    assert (said.gate["verdict"], said.gate["exported"]) == ("released", CANDIDATE)
    assert said.bundled
    assert all(kpi.policies[CANDIDATE] is not None for kpi in said.run.kpis)
