"""Both judges at work on a small log and a small world: which contacts, which levels, which bar."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nurture_envs.rollout import returns
from nurture_rl.codec import write_record
from nurture_rl.decisions import Decisions
from nurture_rl.policies.build import build_policy
from nurture_rl.policies.policy import Policy
from nurture_rl.workflow import judges
from nurture_rl.workflow.bar import Bar
from nurture_rl.workflow.collect import reference_simulation
from nurture_rl.workflow.config import Settings
from nurture_rl.workflow.judges import Evaluated, Worlds, judgements, read_evaluated
from nurture_rl.workflow.run_config import PolicyConfig
from nurture_rl.workflow.side_by_side import Crew
from nurture_rl.workflow.stages import Workshop
from tests.unit.workflow.judged_by_hand import settings_of
from tests.unit.workflow.small_log import CONTEXT, logged_by
from tests.unit.workflow.small_log import JOURNEY as WHOLE

# Four days instead of fourteen: what is judged is the same, played in a third of the time.
JOURNEY = replace(WHOLE, clock=replace(WHOLE.clock, periods=4))
MAIL = {"kind": "fixed", "probabilities": {"send:welcome@09": 0.5, "pause:1": 0.5}}
CALL = {"kind": "fixed", "probabilities": {"escalate": 0.2, "pause:1": 0.8}}
SPECS: dict[str, Any] = {
    "drip": {"kind": "drip"},
    "rules": {"kind": "rules"},
    "expert": {"kind": "always", "action": "pause:1"},
    "mail": {"kind": "mixture", "policy": {"kind": "random"}, "other": MAIL, "share": 0.2},
    "call": {"kind": "mixture", "policy": {"kind": "random"}, "other": CALL, "share": 0.2},
    "double": {"kind": "random"},
}


def policies() -> dict[str, Policy]:
    return {name: build_policy(spec, CONTEXT) for name, spec in SPECS.items()}


def run() -> Settings:
    """Three that learned, one of which acts as the log does; played for two seeds."""
    played = ("simulation.contacts=6", "simulation.seeds=[3,8]", "data.logging=random")
    any_log = "evaluation.thresholds={min_ess: 1.0, max_weight_share: 1.0, max_mean_weight_z: 9.0}"
    model = "evaluation.value_model={n_folds: 3, penalties: [0.01]}"
    base = settings_of(*played, model, any_log)
    learned = {"mail", "call", "double"}
    named = {
        name: PolicyConfig(name, "linear_thompson" if name in learned else "none", spec)
        for name, spec in SPECS.items()
    }
    fewer = replace(base.run.simulation, truth_contacts=7)
    changed = replace(base.run, policies=named, simulation=fewer)
    return replace(base, run=changed)


def log() -> Decisions:
    """The first day of thirty contacts mailed at random."""
    return logged_by(build_policy("random", CONTEXT), contacts=30, bins=1)


@pytest.fixture(scope="module")
def found() -> Evaluated:
    world = reference_simulation(JOURNEY)
    worlds = Worlds([world], [world])
    return judgements(log(), JOURNEY, policies(), worlds, run(), lambda line: None, Crew())


@pytest.mark.slow
def test_the_judging_contacts_are_those_of_the_seeds_asked_for(found: Evaluated) -> None:
    simulation = reference_simulation(JOURNEY)
    for name in ("drip", "call"):
        policy = policies()[name]
        alone = [returns(simulation, policy, 6, 500_000 + seed).value.mean() for seed in (3, 8)]
        assert alone[0] != alone[1]
        assert found.simulator.policies[name].by_seed == pytest.approx(alone)
    assert (found.simulator.seeds, found.simulator.contacts) == ((3, 8), 6)


def test_the_truth_is_asked_on_contacts_of_its_own(found: Evaluated) -> None:
    assert found.truth is not None
    told = found.truth.policies["drip"].by_seed
    fresh = returns(reference_simulation(JOURNEY), policies()["drip"], 7, 500_000 + 900_001)
    assert told == pytest.approx([fresh.value.mean()])
    assert found.truth.policies["drip"].level == 0.95


def test_every_bound_holds_for_all_candidates_together(found: Evaluated) -> None:
    assert found.appraisal.candidates == ("mail", "call")
    both = pytest.approx(1.0 - 0.05 / 2)
    assert found.appraisal.evaluation.level == both
    for name in ("mail", "call"):
        row = found.simulator.policies[name]
        assert row.over_bar is not None
        assert row.level == row.over_bar.level == both


def test_a_learned_policy_that_acts_as_the_log_does_is_judged_and_no_candidate(
    found: Evaluated,
) -> None:
    assert "the logging policy" in found.left_out["double"]
    assert "double" in found.appraisal.evaluation.policies


def test_the_bar_is_what_the_learned_world_and_not_the_truth_values_more(
    found: Evaluated,
) -> None:
    assert found.truth is not None
    world, truth = found.simulator.policies, found.truth.policies
    assert world["rules"].value > world["expert"].value
    assert truth["rules"].value < truth["expert"].value
    assert found.bar == Bar("rules", "the learned world values `rules` above `expert`")


def by_log(found: Evaluated, name: str) -> float:
    return found.appraisal.evaluation.policies[name].estimates["dr"].estimate.value


def test_the_log_is_asked_about_the_rules_named_and_the_world_about_the_bar(
    found: Evaluated,
) -> None:
    assert found.appraisal.rules == "expert"
    policies = found.appraisal.evaluation.policies
    over = policies["mail"].against_rules
    assert over is not None
    assert over.value == pytest.approx(by_log(found, "mail") - by_log(found, "expert"))
    assert policies["expert"].against_rules is None
    for world in (found.simulator, found.truth):
        assert world is not None
        rows = world.policies
        gap = rows["mail"].over_bar
        assert gap is not None
        assert gap.value == pytest.approx(rows["mail"].value - rows["rules"].value)
        assert gap.lower <= gap.value <= gap.upper
        assert rows["rules"].over_bar is None


def test_candidates_are_held_against_every_program_that_is_neither_reference_nor_rules(
    found: Evaluated,
) -> None:
    over = found.appraisal.over_programs
    # Neither the reference `drip` nor the rules `expert`: the gate asks for more of them.
    assert {name: list(programs) for name, programs in over.items()} == {
        "mail": ["double"],
        "call": ["double"],
    }
    assert not found.appraisal.believed("rules")  # nor against what the log does not carry
    told = over["mail"]["double"]
    assert told.value == pytest.approx(by_log(found, "mail") - by_log(found, "double"))
    # Two pairs share the error of 5 %; that two candidates share theirs is counted once.
    assert told.interval.level == pytest.approx(0.975)


def test_the_record_comes_back_from_its_file(found: Evaluated, tmp_path: Path) -> None:
    write_record(found, tmp_path / "evaluation.json")
    again = read_evaluated(tmp_path)
    write_record(again, tmp_path / "again.json")
    texts = [(tmp_path / f"{name}.json").read_text("utf-8") for name in ("evaluation", "again")]
    assert texts[0] == texts[1]
    assert again.appraisal.evaluation.policies["mail"].difference == (
        found.appraisal.evaluation.policies["mail"].difference
    )


@pytest.mark.parametrize("source, known", [("reference", True), ("folder", False)])
def test_the_truth_is_known_where_the_log_is_the_reference_worlds(
    source: str, known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Worlds] = []

    def worlds_of(decisions: Any, journey: Any, loaded: Any, worlds: Worlds, *rest: Any) -> None:
        asked.append(worlds)

    monkeypatch.setattr(judges, "judgements", worlds_of)
    monkeypatch.setattr(judges, "load_decisions", lambda *given: log())
    monkeypatch.setattr(judges, "load_learned_world", lambda *given: SimpleNamespace(members=()))
    monkeypatch.setattr(judges, "write_record", lambda record, path: path.write_text("{}"))
    base = run()
    changed = replace(base, run=replace(base.run, data=replace(base.run.data, source=source)))
    workshop = Workshop(tmp_path, lambda line: None)
    judges.evaluation(workshop, WHOLE, changed, tmp_path / "i", tmp_path / "w", {}, Crew())
    (worlds,) = asked
    assert (worlds.truth is not None) == known


@pytest.mark.slow
def test_without_a_bar_nothing_is_compared_with_it() -> None:
    some = {name: policy for name, policy in policies().items() if name in ("drip", "mail")}
    world = reference_simulation(JOURNEY)
    told = judgements(log(), JOURNEY, some, Worlds([world], None), run(), lambda line: None, Crew())
    assert told.bar.name is None
    assert told.simulator.policies["mail"].over_bar is None
    assert told.truth is None
    assert told.appraisal.evaluation.level == 0.95  # one candidate
