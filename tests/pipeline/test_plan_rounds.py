"""`nurture plan_rounds`: a dated plan by a log, renewed by what a gate really answered."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from nurture_rl.codec import read_record
from nurture_rl.report.dated_source import DatedPlan
from tests.pipeline.in_process import TINY, nurture

WORDS = (*TINY, "data.contacts=400", "policy=linear_thompson")


def read(out: Path) -> DatedPlan:
    return read_record(out / "plan.json", DatedPlan)


@pytest.mark.timeout(600)
def test_a_plan_is_made_and_renewed_by_the_gates_answer(tmp_path: Path) -> None:
    out, kept = tmp_path / "plan", (*WORDS, f"runs={tmp_path / 'runs'}")
    words = (*kept, f"out={out}")
    lacking = nurture("plan_rounds", *words)
    assert lacking.code == 2
    assert "start: expected the day the first round begins" in lacking.stderr

    asked = ("start=2027-03-01", "weekly=300", "count=3", "exploration=[0.1,0.05]", "worth=0.02")
    made = nurture("plan_rounds", *words, *asked)
    assert made.code == 0, made.stderr[-3000:]
    assert "What can the next round show?" in made.stdout
    plan = read(out)
    assert [one.exploration for one in plan.coming] == [0.1, 0.05, 0.05]
    assert plan.prospects.level == pytest.approx(1 - 0.05 / 3)
    assert plan.prospects.exploration == pytest.approx(0.12, abs=0.02)
    assert plan.prospects.star.worth == 0.02
    prices = {one.share: one for one in plan.prospects.prices}
    assert set(prices) == {0.1, 0.05}
    assert all(one.cost is not None or one.why for one in prices.values())
    assert plan.prospects.effective is not None
    assert 0 < plan.prospects.effective <= plan.prospects.judging
    assert {path.name for path in out.iterdir()} == {"plan.json", "plan.html", "plan.md"}

    gate = tmp_path / "release"
    gate.mkdir()
    told = {"verdict": "released", "candidate": "cql", "exported": "cql", "causes": []}
    (gate / "gate.json").write_text(json.dumps(told), "utf-8")
    undated = nurture("plan_rounds", *words, f"gate={gate}")
    assert undated.code == 2
    assert "decided: expected the day on which the gate answered" in undated.stderr
    for word in ("weekly=0", "count=0", "weeks=1000000", "start=9999-12-01", "start=''"):
        name = word.partition("=")[0]
        wrong = nurture("plan_rounds", *words, word)
        assert wrong.code == 2
        assert f"{name}: expected" in wrong.stderr, wrong.stderr[-500:]
    # An answer is one to the plan as it was asked.
    for word, lacks in (("count=6", "shared out among 3 rounds"), ("start=2027-04-01", "began on")):
        wrong = nurture("plan_rounds", *words, f"gate={gate}", "decided=2027-06-01", word)
        assert wrong.code == 2
        assert lacks in wrong.stderr
    other = nurture("plan_rounds", *words, "data=null_lead")
    assert other.code == 2
    assert "holds the plan of the journey inbound_lead, got a log of null_lead" in other.stderr
    day = plan.coming[0].gate_on
    renewed = nurture("plan_rounds", *words, f"gate={gate}", f"decided={day}")
    assert renewed.code == 0, renewed.stderr[-3000:]
    after = read(out)
    assert after.programme == "cql of round 1"
    (done,) = after.done
    assert (done.decided, done.next_programme, done.early_days) == (day, "cql of round 1", 0)
    assert [one.number for one in after.coming] == [2, 3]
    assert after.coming[0].collect_from == done.served

    moved = nurture("plan_rounds", *words, "start=2027-04-01")
    assert moved.code == 2
    assert "the programme began on 2027-03-01 and the gate of 1 round was asked" in moved.stderr
    longer = nurture("plan_rounds", *words, "count=6")
    assert longer.code == 2
    assert "count: the gates' level was shared out among 3 rounds" in longer.stderr
    assert read(out) == after


@pytest.mark.timeout(600)
def test_a_log_without_propensities_gives_days_and_says_what_is_unknown(tmp_path: Path) -> None:
    from nurture_envs.journey_file import load_journey
    from nurture_envs.simulation import Simulation
    from nurture_envs.worlds.reference import reference_world
    from nurture_rl.logs.adapters.reference_tables import write_reference_log
    from nurture_rl.policies.build import PolicyContext, build_policy

    simulation = Simulation(reference_world(load_journey("inbound_lead")))
    context = PolicyContext(simulation.journey, simulation.catalog, simulation.spec)
    write_reference_log(
        tmp_path / "log", simulation, build_policy("random", context), 60, 0, print, policy_id="a"
    )
    for name in ("decisions",):
        for path in (tmp_path / "log").glob(f"{name}*"):
            path.unlink()
    out = tmp_path / "plan"
    made = nurture(
        *("plan_rounds", "data=folder", f"data.path={tmp_path / 'log'}", f"out={out}"),
        *(f"runs={tmp_path / 'runs'}", "start=2027-03-01", "weekly=300", "exploration=[0.2]"),
    )
    assert made.code == 0, made.stderr[-3000:]
    plan = read(out)
    assert plan.prospects.why.startswith("the log has no decisions")
    assert plan.prospects.star.by_arms is not None
    assert plan.prospects.prices[0].cost is None
    assert plan.weeks == 4
    assert all(one.gain is None for one in plan.coming)
    assert math.isfinite(plan.weekly)
