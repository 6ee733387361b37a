"""The verb `ope` as scripts use it: a report, a tracked run, and an exit code for each verdict."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException
from mlflow import MlflowClient

from nurture_rl.appraisal.verdict import Verdict
from nurture_rl.errors import ConfigError, LogError, OverlapError
from nurture_rl.workflow.ope_verb import Finished, run_ope
from nurture_rl.workflow.settings_schema import register_schemas
from tests.pipeline.in_process import nurture

ROOT = Path(__file__).parents[2]
register_schemas()
EVEN = "weights={b: 2, a: 1, none: 2}"  # earns what chance does, by another mix


def rows(n: int = 1500, seed: int = 0) -> dict[str, Any]:
    """Contacts who are sent nothing, a or b, at random; b pays 1 on average, a half, nothing 0."""
    rng = np.random.default_rng(seed)
    arm = rng.integers(0, 3, n)
    return {
        "who": [f"c{k}" for k in range(n)],
        "arm": np.array(["none", "a", "b"])[arm],
        "p": np.full(n, 1.0 / 3.0),
        "paid": rng.normal(0.5 * arm, 1.0),
        "size": rng.integers(0, 2, n).astype(float),
        "day": np.datetime64("2026-03-02") + (np.arange(n) % 21).astype("timedelta64[D]"),
    }


def asked(folder: Path, columns: dict[str, Any], *overrides: str) -> list[str]:
    """Settings that name a log of these columns, and two target policies."""
    pq.write_table(pa.table(columns), folder / "log.parquet")
    return [
        "data=frame",
        f"data.path={folder / 'log.parquet'}",
        f"runs={folder / 'runs'}",
        "data.columns.action=arm",
        "data.columns.propensity=p",
        "data.columns.reward=paid",
        "data.columns.contact=who",
        "data.columns.when=day",
        "data.columns.features=[size]",
        "+targets.bold.weights={b: 3, a: 1, none: 1}",
        "+targets.plain.weights={b: 2.9, a: 1.1, none: 1}",
        *overrides,
    ]


def evaluated(overrides: Sequence[str]) -> Finished:
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        return run_ope(compose("ope", list(overrides)))


def test_a_better_policy_leaves_a_report_a_tracked_run_and_zero(tmp_path: Path) -> None:
    found = evaluated(asked(tmp_path, rows(), "ask.candidate=bold"))
    assert (found.verdict, found.exit_code) == (Verdict.BETTER, 0)
    names = {path.name for path in found.folder.iterdir()}
    assert names == {"ope.html", "ope.md", "ope.json", "quarantine.csv"}
    told = json.loads((found.folder / "ope.json").read_text("utf-8"))
    assert told["appraisal"]["verdict"] == "better"
    assert len(told["appraisal"]["weeks"]["bold"]) == 3
    client = MlflowClient(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("nurture_rl")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.tags["verdict"] == "better"
    assert "ope.bold.dr" in run.data.metrics
    assert {file.path for file in client.list_artifacts(run.info.run_id, "ope")} >= {"ope/ope.html"}


@pytest.mark.parametrize(
    ("settings", "verdict", "code"),
    [
        (["ask.candidate=shy", "+targets.shy=none"], Verdict.NOT_BETTER, 3),
        (["ask.candidate=even", f"+targets.even.{EVEN}"], Verdict.CANNOT_TELL_YET, 4),
        (["ask.candidate=bold", "ask.rules=plain", "ask.margin=0.3"], Verdict.RULES_ARE_ENOUGH, 5),
    ],
)
def test_each_verdict_has_its_exit_code(
    tmp_path: Path, settings: list[str], verdict: Verdict, code: int
) -> None:
    found = evaluated(asked(tmp_path, rows(), "ask.estimators=[dr]", *settings))
    assert (found.verdict, found.exit_code) == (verdict, code)


def test_a_script_sees_the_verdict_first_and_the_code(tmp_path: Path) -> None:
    good = asked(tmp_path, rows(), "ask.candidate=bold", "ask.estimators=[dr]")
    done = nurture("ope", *good)
    assert done.code == 0, done.stderr[-2000:]
    assert "BETTER: “bold” earns more than what was logged" in done.stdout
    bad = [*good, "data.columns.reward=piad"]
    done = nurture("ope", *bad)
    assert done.code == 2
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("ope: log.parquet has no column 'piad' (columns.reward); did you mean")


def test_bad_rows_are_listed_beside_the_report(tmp_path: Path) -> None:
    columns = rows()
    columns["p"][4] = np.nan
    columns["p"][9] = 0.0
    found = evaluated(asked(tmp_path, columns, "ask.candidate=bold", "ask.estimators=[dr]"))
    with (found.folder / "quarantine.csv").open(encoding="utf-8") as file:
        listed = list(csv.DictReader(file))
    assert [(row["file"], row["line"], row["reason"].split(":")[0]) for row in listed] == [
        ("log.parquet", "5", "missing propensity"),
        ("log.parquet", "10", "bad propensity"),
    ]
    assert "Rows set aside" in (found.folder / "ope.md").read_text("utf-8")


def test_a_deterministic_log_is_refused_with_a_plan(tmp_path: Path) -> None:
    columns = rows() | {"p": np.ones(1500)}
    with pytest.raises(OverlapError, match=r"deterministic.*uniform exploration"):
        evaluated(asked(tmp_path, columns))


def test_propensities_that_are_wrong_withhold_the_verdict(tmp_path: Path) -> None:
    columns = rows() | {"p": np.where(rows()["arm"] == "b", 0.6, 0.2)}
    found = evaluated(asked(tmp_path, columns, "ask.candidate=bold", "ask.estimators=[dr]"))
    assert found.exit_code == 4
    assert "Checks refuse a verdict" in (found.folder / "ope.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("ask.candidate=bald", r"ask.candidate: expected one of bold, plain, got 'bald'"),
        ("ask={candidate: bold, reference: bold}", r"nothing beats itself"),
        ("ask.estimators=[guess]", r"ask.estimators: expected dr and others of ips"),
        ("ask.level=1.5", r"ask.level: expected a confidence level above 0 and below 1"),
        ("data.max_refused=1.5", r"data.max_refused: expected a share from 0 to 1"),
        ("+data.columns.rewrad=x", r"data.columns.rewrad: no such setting; did you mean 'reward'"),
        ("+targets.odd.alwyas=a", r"targets.odd: expected exactly one of columns, always"),
        ("+targets.odd.always=c", r"targets.odd: 'c' is none of the log's actions a, b, none"),
        ("+targets.odd.columns=null", r"targets.odd.columns: expected a column of each action's"),
        ("+data.factors={a: 1, b: 2, none: 3}", r"data.factors.a: expected a list of numbers"),
        ("+data.levels={content: x}", r"data.levels.content: expected the level of each action"),
        ("data.columns.features=size", r"data.columns.features=size"),
        ("data.columns.features=[size,size]", r"columns.features: expected each column once"),
        ("data.columns.action=null", r"data.columns.action=null"),
        ("seed=-1", r"seed: expected a whole number from 0 to 2\^63 - 1, got -1"),
        ("+targets.odd.probabilities={a: much}", r"weight of 'a' must be a number, got 'much'"),
        ("+targets.odd.toward={policy: bold, share: half}", r"the share must be a number"),
        ("+targets.odd.file=x.onnx", r"targets.odd.file: expected an ONNX file"),
        ("+targets.odd.toward={policy: bold, share: 0.5}", r"needs its whole distribution"),
        ("+data.levels.content={a: x}", r"data.levels.content: expected a level of b, none too"),
    ],
)
def test_settings_that_cannot_be_followed_are_named(
    tmp_path: Path, setting: str, words: str
) -> None:
    with pytest.raises((ConfigError, ConfigCompositionException), match=words):
        evaluated(asked(tmp_path, rows(60), setting))


def test_a_log_without_targets_is_asked_nothing(tmp_path: Path) -> None:
    settings = asked(tmp_path, rows(60))
    kept = [one for one in settings if not one.startswith("+targets")]
    with pytest.raises(ConfigError, match="a log without a journey needs target policies"):
        evaluated(kept)


def test_a_step_toward_a_policy_is_a_policy(tmp_path: Path) -> None:
    columns = rows(600) | {name: np.full(600, 1.0 / 3.0) for name in ("p_a", "p_b", "p_none")}
    settings = asked(
        tmp_path,
        columns,
        "data.columns.logged_probabilities=[p_a,p_b,p_none]",
        "data.actions=[a,b,none]",
        "+targets.step.toward={policy: bold, share: 0.5}",
        "ask.candidate=step",
        "ask.estimators=[ips,dr]",
        "ask.basis=ips",
    )
    told = json.loads((evaluated(settings).folder / "ope.json").read_text("utf-8"))
    policies = told["appraisal"]["evaluation"]["policies"]
    half = policies["bold"]["difference"]["value"] / 2.0
    assert policies["step"]["difference"]["value"] == pytest.approx(half)


def test_bandit_feedback_goes_the_same_way(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    action = rng.integers(0, 3, 900)
    np.savez(
        tmp_path / "log.npz",
        n_rounds=900,
        n_actions=3,
        context=rng.normal(size=(900, 2)),
        action=action,
        reward=rng.normal(action, 1.0),
        pscore=np.full(900, 1.0 / 3.0),
        action_dist_last=np.tile([0.1, 0.2, 0.7], (900, 1)),
    )
    settings = ["data=obp", f"data.path={tmp_path / 'log.npz'}", f"runs={tmp_path / 'runs'}"]
    with pytest.raises(ConfigError, match="nothing is left to judge"):
        evaluated([*settings, "+targets.same=uniform", "ask.reference=same", "ask.rules=last"])
    assert evaluated([*settings, "+targets.same=uniform", "ask.candidate=last"]).exit_code == 0


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    settings = asked(tmp_path, rows(60))
    (tmp_path / "log.parquet").unlink()
    with pytest.raises(LogError, match=r"there is no such file; check data\.path"):
        evaluated(settings)


def test_a_journeys_log_brings_its_policies_segments_harms_and_factors(tmp_path: Path) -> None:
    found = evaluated(
        [
            "experiment=small",
            "data.contacts=600",
            f"runs={tmp_path / 'runs'}",
            "ask.candidate=linear_thompson",
            "ask.estimators=[dr]",
            "data.trust.max_ratio=1.2",  # so near that these few contacts carry the candidate
            "+policy=logging",
            "ask.reference=logging",
        ]
    )
    told = json.loads((found.folder / "ope.json").read_text("utf-8"))
    appraisal, log = told["appraisal"], told["log"]
    assert set(appraisal["evaluation"]["policies"]) >= {
        "drip",
        "linear_thompson",
        "rules",
        "logging",
    }
    assert appraisal["rules"] == "expert"
    assert appraisal["harms"].keys() >= {"unsubscribes", "complaints"}
    assert log["provenance"].startswith("SYNTHETIC")
    assert "SYNTHETIC" in (found.folder / "ope.html").read_text("utf-8")
    assert "linear_thompson" in appraisal["tails"]
    assert appraisal["segments"].keys() == {"industry", "form_topic"}
    assert [one["name"] for one in appraisal["lift"]["shares"]] == [
        "routing",
        "offer",
        "content",
        "timing",
    ]
