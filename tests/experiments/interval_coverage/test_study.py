"""The coverage study: its logs are the real ones, its counts are right, its work is resumed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from experiments.interval_coverage.run import main
from experiments.interval_coverage.study import (
    DIFFERENCE,
    LOG_SEED,
    Finding,
    Truth,
    findings,
    fixed_policies,
    reference_log,
    true_values,
)
from experiments.interval_coverage.tables import (
    Coverage,
    Truths,
    claim_table,
    coverage,
    ess_table,
    feasible_table,
    miss_table,
    share_table,
    value_table,
)
from nurture_envs.simulation import Simulation
from nurture_rl.appraisal.estimation import EvaluationConfig, evaluate_policies
from nurture_rl.decisions import load_decisions
from nurture_rl.ope.log import EvaluationLog
from nurture_rl.ope.value_model import ValueModelConfig
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.policies.policy import Policy
from nurture_rl.workflow.collect import reference_simulation
from nurture_rl.workflow.config import settings
from nurture_rl.workflow.held_out import held_out_log
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.settings_schema import register_schemas

CONFIGS = Path(__file__).parents[3] / "configs"
FINDING = Finding(
    contacts=10,
    log=1,
    policy="a",
    against=None,
    estimator="dr",
    value=2.0,
    stderr=0.5,
    lower=1.0,
    upper=3.0,
    ess=8.0,
    max_weight_share=0.2,
    feasible=True,
)
QUICK = EvaluationConfig(value_model=ValueModelConfig(n_folds=3, penalties=(0.1,)))
PAIR = replace(FINDING, against="b", estimator=DIFFERENCE)


def pipeline(runs: Path, *overrides: str) -> Pipeline:
    register_schemas()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("ingest", overrides=[f"runs={runs}", *overrides])
    return Pipeline(settings(config), lambda line: None)


@dataclass(frozen=True, slots=True)
class Made:
    """One small log, three policies that learn nothing, and what was found."""

    simulation: Simulation
    policies: dict[str, Policy]
    log: EvaluationLog
    rows: list[Finding]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    source = pipeline(tmp_path_factory.mktemp("runs"), "seed=0")
    data, simulation = source.settings.run.data, reference_simulation(source.journey)
    fixed = fixed_policies(data, simulation, {}, ())
    policies = {name: fixed[name] for name in ("drip", "logging policy", "no_contact")}
    log = reference_log(simulation, fixed["logging policy"], 120, LOG_SEED)
    return Made(simulation, policies, log, findings(log, policies, 7, QUICK))


def test_a_played_log_is_the_log_that_the_tables_give(tmp_path: Path) -> None:
    source = pipeline(tmp_path, "data.contacts=250", "seed=3")
    tables = held_out_log(load_decisions(source.ingested, source.journey, 1.0), source.journey)
    simulation = reference_simulation(source.journey)
    context = PolicyContext(source.journey, simulation.catalog, simulation.spec)
    logging = build_policy(source.settings.run.data.logging, context)
    played = reference_log(simulation, logging, 250, 3)
    for name in EvaluationLog.__slots__:
        np.testing.assert_array_equal(getattr(played, name), getattr(tables, name), name)


def test_claims_are_the_verdicts_of_the_evaluation(made: Made) -> None:
    rng = np.random.default_rng(7)
    found = evaluate_policies(made.log, made.policies, "drip", rng, QUICK).policies
    pairs = [row for row in made.rows if row.against == "drip"]
    assert [row.policy for row in pairs] == ["logging policy", "no_contact"]
    for row in pairs:
        difference, judgement = found[row.policy].difference, found[row.policy].judgement
        assert difference is not None
        assert judgement is not None
        assert (row.lower, row.upper) == (difference.interval.lower, difference.interval.upper)
        assert (row.claim == 1) == (judgement.verdict == "better")
        both = found[row.policy].overlap.feasible and found["drip"].overlap.feasible
        assert row.feasible == both


def test_a_pair_is_the_second_policy_minus_the_first_in_log_and_truth(made: Made) -> None:
    value = {row.policy: row.value for row in made.rows if row.estimator == "dr"}
    for row in made.rows:
        if row.against is not None:
            assert row.value == pytest.approx(value[row.policy] - value[row.against])
    truths = true_values(made.simulation, made.policies, 200, 5)
    assert {(row.policy, row.against) for row in made.rows} == set(truths)
    for (policy, against), truth in truths.items():
        if against is not None:
            gap = truths[policy, None].value - truths[against, None].value
            assert truth.value == pytest.approx(gap)


def test_misses_are_counted_on_their_side() -> None:
    truths: Truths = {("a", None): Truth(2.5, 0.0)}
    rows = [
        FINDING,  # 1 to 3 holds 2.5
        replace(FINDING, upper=2.4),  # wholly below
        replace(FINDING, upper=2.5),  # an end belongs to the interval
        replace(FINDING, lower=2.6),  # wholly above
        replace(FINDING, lower=2.7),
    ]
    assert coverage(rows, truths) == Coverage(5, 2, 1, 2)
    assert coverage(rows, truths).text.startswith("40% (5% to 85%)")
    assert coverage([], truths).text == "none"


def test_bias_is_counted_in_standard_errors_and_spread_over_logs() -> None:
    # Values 2 and 4: mean 3, spread sqrt(2); truth 2.5, s.e. 0.5: bias +1 s.e., ratio 0.35.
    rows = [FINDING, replace(FINDING, log=2, value=4.0, feasible=False)]
    table = value_table(rows, {("a", None): Truth(2.5, 0.0)})
    cells = [cell.strip() for cell in table.splitlines()[2].split("|")[1:-1]]
    assert cells[:7] == ["a", "dr", "2.50", "3.00", "+1.00", "0.35", "100% (16% to 100%)"]
    assert cells[7:-1] == ["0", "0", "1.00", "8", "20.0%", "1 of 2"]


def test_a_claim_needs_overlap_and_is_wrong_on_the_other_side_of_zero() -> None:
    truths: Truths = {("a", "b"): Truth(0.5, 0.0), ("c", "a"): Truth(0.5, 0.0)}
    rows = [
        PAIR,  # claims better: right
        replace(PAIR, lower=-1.0),  # no claim
        replace(PAIR, lower=-3.0, upper=-1.0),  # claims worse: wrong
        replace(PAIR, lower=-3.0, upper=-1.0, feasible=False),
    ]
    assert [row.claim for row in rows] == [1, 0, -1, 0]
    other = replace(PAIR, policy="c", lower=-3.0, upper=-1.0)
    table = claim_table([*rows, replace(other, against="a")], truths, "b")
    with_b, feasible, infeasible = table.splitlines()[2:]
    assert with_b.startswith("| with b, both feasible | 3 | 2 | 1 | 33%")
    assert with_b.endswith("| 1 | 1 |")  # one too low, one too high
    assert feasible.startswith("| all, both feasible | 4 | 3 | 2 | 25%")
    assert "| 1 | 1 | 1 | 0%" in infeasible


def test_bands_hold_each_interval_once_by_overlap_ess_and_weight_share() -> None:
    truths: Truths = {("a", None): Truth(3.5, 0.0)}
    rows = [
        FINDING,  # misses low
        replace(FINDING, feasible=False, upper=4.0, ess=100.0, max_weight_share=0.1),
    ]
    passed, refused = feasible_table(rows, truths).splitlines()[2:]
    assert passed.startswith("| feasible, 10 contacts | none | 0, 0 of 0 |")
    assert "| 0% (0% to 98%) | 1, 0 of 1 |" in passed
    assert "| 0, 0 of 1 |" in refused
    by_ess = ess_table(rows, truths).splitlines()[2:]
    assert ["of 1 |" in line for line in by_ess] == [True, False, False, True] + 4 * [False]
    by_share = share_table(rows, truths).splitlines()[2:]
    assert ["of 1 |" in line for line in by_share] == [False, False, False, True, True]


def test_the_misses_listed_are_those_of_feasible_weighted_intervals() -> None:
    truths = {
        ("a", None): Truth(3.5, 0.0),
        ("a", "b"): Truth(3.5, 0.0),
        ("a", "c"): Truth(9.0, 0.0),
    }
    rows = [
        FINDING,
        replace(FINDING, feasible=False),
        replace(FINDING, estimator="dm"),
        replace(FINDING, upper=4.0),
        PAIR,
        replace(PAIR, against="c"),
    ]
    lines = miss_table(rows, truths, "b").splitlines()[2:]
    assert lines == [
        "| 10 | 1 | a | dr | 1.00 to 3.00 | 3.50 | 8 | 20.0% |",
        "| 10 | 1 | a | difference | 1.00 to 3.00 | 3.50 | 8 | 20.0% |",
    ]


def test_a_tiny_study_prints_every_policy_and_is_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = "+evaluation={value_model: {n_folds: 3, penalties: [0.1]}}"
    size = ["--logs", "1", "--contacts", "80", "--truth-contacts", "100"]
    small = ["experiment=small", "data.contacts=250", "policies.ppo.fit.iterations=1", "seed=0"]
    tiny = [*small, quick, f"runs={tmp_path}"]
    main([*size, *tiny])
    first = capsys.readouterr()
    assert "coverage-log: working" in first.err
    assert "## 1 logs of 80 contacts" in first.out
    for policy in ("drip", "rules, ratio 3", "Thompson, ratio 3", "PPO, ratio 4", "no_contact"):
        for estimator in ("ips", "dm", "dr"):  # SNIPS has no answer where no weight is left
            assert f"| {policy} | {estimator} |" in first.out
    main([*size, *tiny])
    again = capsys.readouterr()
    assert again.out == first.out
    assert "unchanged" in again.err
    assert "working" not in again.err
