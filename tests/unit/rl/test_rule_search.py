"""The search for tuned rules, in a world whose best rules are planted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nurture_envs.rollout import returns
from nurture_envs.simulation import Simulation
from nurture_rl.errors import FitError
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.rl.rule_search import TunedRules, TunedRulesConfig, search_rules
from tests.unit.rl.two_step_shop import TwoStepWorld, silent, two_step_shop
from tests.unit.rl.wishing_shop import BEST, PRICE, SEND_COST, WishingWorld, wishing_shop

CONFIG = TunedRulesConfig(plays=60, contacts=400)


def searched(seed: int = 0, config: TunedRulesConfig = CONFIG, **changes: Any) -> TunedRules:
    return search_rules(Simulation(WishingWorld(wishing_shop(**changes))), config, seed, silent)


@pytest.fixture(scope="module")
def found() -> TunedRules:
    return searched()


def test_the_planted_best_rules_are_found(found: TunedRules) -> None:
    assert found.program == {
        "kind": "rules",
        "rules": [
            {"when": {"day": ">= 3", "was_called": "< 1"}, "do": "escalate"},
            {"when": {"wish=red": ">= 1"}, "do": "send:red@now"},
            {"when": {"wish=blue": ">= 1"}, "do": "send:blue@now"},
        ],
        "otherwise": "pause:1",
    }
    assert (found.base, found.setting) == ("told", {"call": 3})


def test_what_was_found_earns_the_planted_value_on_other_contacts(found: TunedRules) -> None:
    simulation = Simulation(WishingWorld(wishing_shop()))
    context = PolicyContext(simulation.journey, simulation.catalog, simulation.spec)
    value = returns(simulation, build_policy(found.program, context), 4000, seed=1).value
    # The spread of seven fair draws of 10 is 13; a standard error is 0.2.
    assert value.mean() == pytest.approx(BEST, abs=0.8)
    assert found.value == pytest.approx(BEST, abs=4 * found.stderr)


@pytest.mark.slow
def test_the_search_is_a_function_of_world_settings_and_seed(found: TunedRules) -> None:
    assert searched() == found
    assert [t.value for t in searched(seed=1).trials] != [t.value for t in found.trials]


@pytest.mark.slow
def test_a_call_that_costs_more_than_it_brings_is_left_out() -> None:
    dear = wishing_shop().resolved["reward"] | {"escalate_cost": 31.0}
    rules = [{"when": {"day": "== 3"}, "do": "escalate"}]
    found = searched(reward=dear, expert=rules)
    assert all(rule["do"] != "escalate" for rule in found.program["rules"])


@pytest.mark.slow
def test_what_people_wrote_stands_where_nothing_is_better() -> None:
    nothing = {"unit": "EUR", "weights": {}, "send_cost": 0.0}
    found = searched(reward=nothing, expert=[{"when": {"day": "== 1"}, "do": "send:blue@now"}])
    assert (found.base, found.setting) == ("expert", {})
    assert not any(trial.kept for trial in found.trials)


def test_no_more_programs_are_played_than_allowed_and_each_but_once() -> None:
    told: list[tuple[int, dict[str, float]]] = []
    journey = wishing_shop()
    world = Simulation(WishingWorld(journey))
    search_rules(
        world, replace(CONFIG, plays=3), 0, lambda step, values: told.append((step, values))
    )
    assert [step for step, _ in told] == [0, 1, 2]
    assert told[-1][1]["best"] == max(values["value"] for _, values in told)
    with pytest.raises(FitError, match="plays of tuned rules must be at least 1, got 0"):
        TunedRulesConfig(plays=0)
    with pytest.raises(FitError, match="contacts of tuned rules must be at least 2, got 1"):
        TunedRulesConfig(contacts=1)
    assert TunedRulesConfig(plays=1, contacts=2).contacts == 2  # the least that has an error


def test_every_trial_tells_its_gain_on_the_same_contacts(found: TunedRules) -> None:
    call = next(t for t in found.trials if t.dial == "call" and t.setting == {"call": 0})
    # A call on day 0 costs 2 and the mail of that day, whose purchases and price are known.
    assert call.base == "told"
    assert call.gain == pytest.approx(-2.0 - (0.5 * PRICE - SEND_COST), abs=4 * call.gain_stderr)
    assert call.gain_stderr < 0.3  # unpaired it would be above 0.9
    assert not call.kept


def test_where_every_decision_is_judged_by_itself_so_are_the_rules() -> None:
    whole, single = (two_step_shop() for _ in range(2))
    single = replace(single, estimand="per_decision")
    values = [
        search_rules(Simulation(TwoStepWorld(j)), replace(CONFIG, plays=1), 0, silent).value
        for j in (whole, single)
    ]
    assert values[0] == pytest.approx(2 * values[1])  # two decisions an episode
    assert values[0] > 0


def test_luck_within_one_standard_error_turns_nothing() -> None:
    # A day later the same mail earns the same; only the draws of that day differ.
    expert = [{"when": {"day": "== 1"}, "do": "send:red@now"}]
    within = searched(seed=0, config=replace(CONFIG, plays=2), expert=expert)
    (trial,) = within.trials[:1]
    assert 0.0 < trial.gain <= trial.gain_stderr
    assert (trial.base, trial.kept, within.base) == ("drip", False, "expert")
    beyond = searched(seed=11, config=replace(CONFIG, plays=2), expert=expert)
    assert beyond.trials[0].gain > beyond.trials[0].gain_stderr
    assert beyond.base == "drip"
