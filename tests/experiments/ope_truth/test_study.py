"""The truth study: targets by description, logs of the pipeline, resumed work, tables, figures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.interval_coverage.study import reference_log
from experiments.ope_truth import run
from experiments.ope_truth.policies import Targets, target_policies, targets
from experiments.ope_truth.study import TruthStudy
from experiments.world_ranking.study import LOGGING
from nurture_rl.errors import ConfigError
from nurture_rl.ope.log import EvaluationLog
from nurture_rl.ope.named_estimators import ESTIMATORS, Question
from nurture_rl.policies.composition import TrustRegion
from nurture_rl.policies.policy import Policy

WORLDS = ("inbound_lead", "stalled_opportunity", "trial_onboarding", "re_engagement")
QUICK = {name: ESTIMATORS[name] for name in ("ips", "dr")}
SOME = (LOGGING, "rules, ratio 1.25", "no contact")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> TruthStudy:
    found = run.studies(["inbound_lead"], 3, tmp_path_factory.mktemp("truth"))["inbound_lead"]
    return replace(
        found,
        policies={name: found.policies[name] for name in SOME},
        suite=replace(found.suite, estimators=QUICK),
    )


def test_every_world_has_twenty_targets_and_more(tmp_path: Path) -> None:
    found = run.studies(None, 3, tmp_path)
    assert tuple(found) == WORLDS
    for one in found.values():
        assert len(one.policies) >= 20
        assert next(iter(one.policies)) == LOGGING
        log = reference_log(one.simulation, one.policies[LOGGING], 40, 5)
        logged = log.logged_probabilities
        assert logged is not None
        for name, policy in one.policies.items():
            chosen = policy.action_probabilities(log.features, log.mask)
            assert isinstance(policy, TrustRegion) == ("ratio" in name)
            if "ratio" in name:
                ratio = float(name.split()[-1])
                assert (chosen <= ratio * logged + 1e-9).all(), name


def test_a_world_without_its_keys_and_a_policy_nobody_described_are_refused(
    study: TruthStudy,
) -> None:
    entry: dict[str, object] = {"near": {}, "as_described": [], "far": []}
    with pytest.raises(ConfigError, match="expected the keys as_described, near"):
        targets({"worlds": {"w": entry}, "thompson": {}, "explore": 0.0}, "w")
    with pytest.raises(ConfigError, match="got nobody"):
        target_policies(
            Targets({"nobody": (2.0,)}, (), 0.0, 1, 1), {}, {"kind": "drip"}, study.simulation
        )


def test_logs_of_the_study_are_those_that_emission_and_ingestion_give(study: TruthStudy) -> None:
    tables = study.log(90, 3)
    played = reference_log(study.simulation, study.policies[LOGGING], 90, 3)
    for name in EvaluationLog.__slots__:
        np.testing.assert_array_equal(getattr(played, name), getattr(tables, name), name)


def test_a_cell_asks_every_policy_and_estimator_and_is_resumed(study: TruthStudy) -> None:
    said: list[str] = []
    one = replace(study, say=said.append)
    truth = one.truth(200)
    assert set(truth.value) == set(SOME)
    assert 5.0 < truth.decisions_per_contact < 14.0
    cell = one.cell(1500, 2, truth)
    assert abs(cell.decisions - 1500) < 300
    assert [(f.policy, f.estimator) for f in cell.findings] == [
        (policy, name) for policy in SOME for name in ("ips", "dr")
    ]
    for found in cell.findings:
        assert found.lower <= found.value <= found.upper
    own = next(f for f in cell.findings if f.policy == LOGGING and f.estimator == "ips")
    log = one.log(cell.contacts, cell.seed)
    assert own.value == pytest.approx(log.reward.sum() / log.n_episodes)
    assert own.feasible
    assert own.ess == pytest.approx(cell.contacts)
    said.clear()
    again = one.cell(1500, 2, one.truth(200))
    assert again == cell
    assert said == []
    assert one.cell(1500, 3, truth).seed != cell.seed


def test_an_estimator_that_refuses_is_told_with_its_reason(study: TruthStudy) -> None:
    def refuses(asked: Question) -> object:
        return ESTIMATORS["snips"](replace(asked, target=replace(asked.target, taken=zero(asked))))

    def zero(asked: Question) -> np.ndarray:
        return np.zeros(asked.log.n_rows)

    suite = replace(study.suite, estimators={**QUICK, "none": refuses})  # type: ignore[dict-item]
    one = replace(study, suite=suite, policies={LOGGING: study.policies[LOGGING]}, described={})
    cell = one.cell(600, 1, one.truth(60))
    assert [(r.policy, r.estimator) for r in cell.refusals] == [(LOGGING, "none")]
    assert "weights are 0" in cell.refusals[0].reason
    assert {f.estimator for f in cell.findings} == {"ips", "dr"}


def test_a_tiny_study_prints_its_tables_draws_its_figures_and_is_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    size = ["--sizes", "1500", "--logs", "1", "--truth-contacts", "300"]
    where = ["--out", str(tmp_path), "--figures", str(tmp_path), "--json", str(tmp_path / "j.json")]
    some = ("rules, ratio 2", "thompson, ratio 1.5", LOGGING)
    whole = target_policies

    def fewer(*given: Any) -> dict[str, Policy]:
        return {name: one for name, one in whole(*given).items() if name in some}

    monkeypatch.setattr(run, "target_policies", fewer)
    run.main(["--worlds", "inbound_lead", *size, *where])
    first = capsys.readouterr()
    assert "in the decision table" in first.err
    several = set(ESTIMATORS) - {"sndr"}  # which is wdr where there are several decisions
    for name in several:
        assert f"| 1,500 | 1 | {name} |" in first.out
    for policy in some:
        assert f"| {policy} |" in first.out
    for figure in ("ope-truth-scores.png", "ope-truth-values.png"):
        assert (tmp_path / figure).read_bytes()[:4] == b"\x89PNG"
    numbers = json.loads((tmp_path / "j.json").read_text("utf-8"))
    assert several <= {one["estimator"] for one in numbers["scores"]}
    run.main(["--worlds", "inbound_lead", *size, *where])
    again = capsys.readouterr()
    assert again.err == ""
    assert again.out == first.out
