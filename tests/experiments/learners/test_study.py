"""What is recorded of a cell, and how the tables tell it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments.learners import study
from experiments.learners.oracle import Oracle
from experiments.learners.run import Clock
from experiments.learners.study import (
    Bench,
    LearnerRecord,
    recorded,
    records_in,
    sees_region,
    worked_out,
)
from experiments.learners.tables import report
from experiments.learners.truth import context_of, measured, true_returns
from nurture_envs.journey_file import load_journey
from nurture_rl.policies.build import build_policy
from nurture_rl.workflow.config import Settings
from tests.experiments.learners.recorded import (
    BROKEN,
    CQL,
    PPO,
    PROGRAMMES,
    learner,
    outcome,
    standard,
)

INBOUND = load_journey("inbound_lead")


def bench(digest: str = "one", contacts: int = 500) -> Bench:
    oracle = Oracle(replace(standard().oracle, digest=digest), np.full(50, 130.0))
    return Bench("reference", contacts, 0, Path("nowhere"), oracle)


def say(line: str) -> None:
    """Nobody is told."""


def test_a_cell_is_worked_out_once_for_an_oracle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def made(name: str, on: Bench) -> LearnerRecord:
        asked.append(f"{name} {on.oracle.record.digest}")
        return replace({"cql": CQL, "bcq": BROKEN}[name], oracle=on.oracle.record.digest)

    monkeypatch.setattr(study, "worked_out", made)
    for name in ("cql", "bcq", "cql", "bcq"):
        recorded(tmp_path, name, bench(), say)
    assert asked == ["cql one", "bcq one"]
    assert records_in(tmp_path) == [BROKEN, CQL]
    assert recorded(tmp_path, "cql", bench("two"), say).oracle == "two"
    assert asked[2:] == ["cql two"]


def test_a_cell_that_fails_is_recorded_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(self: Bench, name: str, free: bool = False) -> None:
        raise ArithmeticError(f"{name} cannot be trained")

    monkeypatch.setattr(Bench, "trained", refuses)
    made = worked_out("cql", bench())
    assert made.failed == "ArithmeticError: cql cannot be trained"
    assert (made.released, made.alone) == (None, None)


def test_a_programme_is_recorded_once_whatever_the_log(tmp_path: Path) -> None:
    first = recorded(tmp_path, "drip", bench(), say)
    assert recorded(tmp_path, "drip", bench(contacts=5000), say) == first
    assert [path.name for path in tmp_path.iterdir()] == ["reference-programme-drip.json"]
    assert first.programme is not None
    assert (first.contacts, first.programme.over_drip) == (0, 0.0)
    assert first.programme.amounts["sends"] > 1.0


def test_differences_are_paired_with_drip_and_oracle() -> None:
    rules = true_returns(INBOUND, build_policy("rules", context_of(INBOUND)), 50)
    drip = true_returns(INBOUND, build_policy("drip", context_of(INBOUND)), 50)
    found = measured(INBOUND, rules, oracle=rules.value + 3.0)
    assert found.over_drip == pytest.approx((rules.value - drip.value).mean())
    assert found.under_oracle == pytest.approx(3.0)
    assert found.under_oracle_stderr == pytest.approx(0.0)


def test_a_free_training_knows_no_trust_region() -> None:
    assert sees_region("ppo")
    assert sees_region("tuned_rules")
    assert not sees_region("linear_thompson")

    def spec(found: Settings) -> object:
        return found.run.policies["ppo"].spec

    assert spec(bench().settings("ppo", free=True)) == {"kind": "model", "name": "core"}
    held = spec(bench().settings("ppo"))
    assert isinstance(held, dict)
    assert held["kind"] == "trust_region"


def test_the_report_names_shares_choices_losses_and_failures() -> None:
    text = report([*PROGRAMMES, CQL, PPO, BROKEN], {"reference": standard()})
    lines = text.splitlines()
    oracle = "| reference, EUR | 30.0 | 60.0 | 130.0 | 100.0 | 0.5 |  | 129.0, 131.0 |"
    assert oracle in lines
    chosen = (
        "| `ppo` | +6.0 | 40.0 | 10% | 10.0 (`cql`) | `ppo` | 100.0 | 70.0 | 40% | 10.0 (`cql`) |"
    )
    assert f"| reference | 0 {chosen}" in lines
    lost = "| `ppo` | 100.0 | 10% | 30% | 10% | 50% | +50% | +30% |  |"
    assert f"| reference | 0 {lost}" in lines
    assert "| `expert` |  | 60.0 | 30% | 0% | 2.00 | 0.0100 0.0010 |  |  |  |  |  |" in lines
    assert "- `bcq`, reference, 500 contacts, seed 0: FitError: too few" in lines


def test_a_programme_that_failed_is_told() -> None:
    drip, expert = PROGRAMMES
    broken = replace(expert, programme=None, failed="PolicyError: no such action")
    text = report([drip, broken, CQL], {"reference": standard()})
    assert "- `expert`, reference, a programme: PolicyError: no such action" in text.splitlines()


def test_a_beaten_oracle_is_told_in_place_of_shares() -> None:
    winner = learner("iql", outcome(140.0, 70.0, lower=1.0), outcome(80.0, 70.0))
    text = report([*PROGRAMMES, CQL, winner], {"reference": standard()})
    assert "VOID: the oracle is not above iql released (500 contacts, seed 0)" in text
    assert "| `cql` | 1 | 50.0 |  |  | 2.00 |" in text


def test_the_clock_tells_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(3, began=0.0)
    assert clock.told() == "[0 done, 3 left]"
    clock.finished()
    monkeypatch.setattr("experiments.learners.run.time.monotonic", lambda: 300.0)
    assert clock.told() == "[1 done, 2 left, about 10 min]"
