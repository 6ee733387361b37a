"""Both judges at work on a small log and a small world: which contacts, which levels, which bar."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nurture_envs.rollout import returns
from nurture_rl.policies.build import build_policy
from nurture_rl.policies.policy import Policy
from nurture_rl.workflow.collect import reference_simulation
from nurture_rl.workflow.config import PolicyConfig, Settings
from nurture_rl.workflow.decisions import Decisions
from nurture_rl.workflow.evaluate import Worlds, judgements
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
def found() -> dict[str, Any]:
    world = reference_simulation(JOURNEY)
    worlds = Worlds([world], [world])
    return judgements(log(), JOURNEY, policies(), worlds, run(), lambda line: None)


def test_the_judging_contacts_are_those_of_the_seeds_asked_for(found: dict[str, Any]) -> None:
    simulation = reference_simulation(JOURNEY)
    for name in ("drip", "call"):
        policy = policies()[name]
        alone = [returns(simulation, policy, 6, 500_000 + seed).value.mean() for seed in (3, 8)]
        assert alone[0] != alone[1]
        assert found["simulator"]["policies"][name]["by_seed"] == pytest.approx(alone)
    assert (found["simulator"]["seeds"], found["simulator"]["contacts"]) == ([3, 8], 6)


def test_the_truth_is_asked_on_contacts_of_its_own(found: dict[str, Any]) -> None:
    told = found["truth"]["policies"]["drip"]["by_seed"]
    fresh = returns(reference_simulation(JOURNEY), policies()["drip"], 7, 500_000 + 900_001)
    assert told == pytest.approx([fresh.value.mean()])
    assert found["truth"]["policies"]["drip"]["level"] == 0.95


def test_every_bound_holds_for_all_candidates_together(found: dict[str, Any]) -> None:
    assert found["candidates"] == ["mail", "call"]
    both = pytest.approx(1.0 - 0.05 / 2)
    assert found["ope"]["level"] == both
    for name in ("mail", "call"):
        row = found["simulator"]["policies"][name]
        assert (row["level"], row["over_bar"]["level"]) == (both, both)


def test_a_learned_policy_that_acts_as_the_log_does_is_judged_and_no_candidate(
    found: dict[str, Any],
) -> None:
    assert "the logging policy" in found["left_out"]["double"]
    assert "double" in found["ope"]["policies"]


def test_the_bar_is_what_the_learned_world_and_not_the_truth_values_more(
    found: dict[str, Any],
) -> None:
    worth = {world: found[world]["policies"] for world in ("simulator", "truth")}
    assert worth["simulator"]["rules"]["value"] > worth["simulator"]["expert"]["value"]
    assert worth["truth"]["rules"]["value"] < worth["truth"]["expert"]["value"]
    assert found["bar"] == {
        "name": "rules",
        "reason": "the learned world values `rules` above `expert`",
    }


def test_both_judges_compare_with_the_bar(found: dict[str, Any]) -> None:
    by_log = found["ope"]["policies"]
    for name in ("mail", "expert"):
        mine, bar = (by_log[one]["estimates"]["dr"]["estimate"]["value"] for one in (name, "rules"))
        assert by_log[name]["against_rules"]["value"] == pytest.approx(mine - bar)
    assert by_log["rules"]["against_rules"] is None
    for world in ("simulator", "truth"):
        rows = found[world]["policies"]
        over = rows["mail"]["over_bar"]
        assert over["value"] == pytest.approx(rows["mail"]["value"] - rows["rules"]["value"])
        assert over["lower"] <= over["value"] <= over["upper"]
        assert rows["rules"]["over_bar"] is None


def test_candidates_are_held_against_every_program_that_is_neither_reference_nor_bar(
    found: dict[str, Any],
) -> None:
    over = found["over_programs"]
    # Neither the reference `drip` nor the bar `rules`: the gate asks for more of them.
    assert {name: list(programs) for name, programs in over.items()} == {
        "mail": ["expert"],
        "call": ["expert"],
    }
    by_log = found["ope"]["policies"]
    mine, other = (
        by_log[one]["estimates"]["dr"]["estimate"]["value"] for one in ("mail", "expert")
    )
    assert over["mail"]["expert"]["value"] == pytest.approx(mine - other)
    # Two pairs share the error of 5 %; that two candidates share theirs is counted once.
    assert over["mail"]["expert"]["interval"]["level"] == pytest.approx(0.975)


def test_without_a_bar_nothing_is_compared_with_it() -> None:
    some = {name: policy for name, policy in policies().items() if name in ("drip", "mail")}
    world = reference_simulation(JOURNEY)
    told = judgements(log(), JOURNEY, some, Worlds([world], None), run(), lambda line: None)
    assert told["bar"]["name"] is None
    assert told["simulator"]["policies"]["mail"]["over_bar"] is None
    assert told["truth"] is None
    assert told["ope"]["level"] == 0.95  # one candidate
