"""Contacts are dealt to arms, stay there, and are decided for by whom the arm names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nurture_envs.experiment import dealt_arm
from nurture_rl.errors import BundleError
from nurture_rl.lift.written_plan import load_plan
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving import roles as changes
from nurture_rl.serving.deciding.decide import replay
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.layers import PAUSED, arm_layers, canary_arm, layer_named
from nurture_rl.serving.policies.arms import experiment_hash, started_plan
from nurture_rl.serving.policies.bundle_folder import require_fit
from nurture_rl.serving.records import Decision
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.upkeep.verifying import verify_store
from tests.unit.serving.contacts import MIDNIGHT, ZONE, Clock, contact
from tests.unit.serving.trials import (
    LEARNED,
    NAMES,
    SHARES,
    SPRING,
    decided,
    trial_bundle,
    trial_journey,
    trial_service,
)

DAYS = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundles")


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Bundle:
    return trial_bundle(folder / "spring")


@pytest.fixture(scope="module")
def other(folder: Path, bundle: Bundle) -> Bundle:
    """Another policy of the same journey and experiment."""
    return trial_bundle(folder / "other", spec={**LEARNED, "share": 0.5})


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def served(bundle: Bundle, tmp_path: Path, clock: Clock) -> Iterator[Service]:
    found = trial_service(bundle, tmp_path / "s.db", clock)
    yield found
    found.store.close()


@pytest.mark.usefixtures("either_database")
def test_everybody_stays_in_the_arm_of_their_hash_and_decisions_say_so(
    bundle: Bundle, tmp_path: Path, clock: Clock
) -> None:
    served = trial_service(bundle, tmp_path / "s.db", clock)
    experiment = bundle.journey.experiment
    assert experiment is not None
    expected = {name: dealt_arm(experiment, name) for name in NAMES}
    assert set(expected.values()) == set(SHARES)
    lives = [decided(served, clock, day) for day in range(DAYS)]
    running = served.policies.lineup.roles.experiment
    stored = served.store.decisions([one.decision_id for day in lives for one in day.values()])
    for made in lives:
        for name, one in made.items():
            assert one.arm == expected[name]
            assert (one.experiment, one.arm_share) == (running, SHARES[one.arm])
            assert replace(stored[one.decision_id], next_us=None) == replace(one, next_us=None)
    assert verify_store(tmp_path / "s.db").broken_places == []
    served.store.close()


def test_each_arm_is_decided_for_by_its_own_and_replays_bit_for_bit(
    served: Service, clock: Clock, bundle: Bundle
) -> None:
    made = [one for day in range(DAYS) for one in decided(served, clock, day).values()]
    ids: dict[str, set[str]] = {}
    for one in made:
        ids.setdefault(one.arm, set()).add(one.policy_id)
        assert replay(bundle, one, 11)
    names = {arm: next(iter(found)) for arm, found in ids.items() if len(found) == 1}
    assert names.keys() == SHARES.keys()
    assert names["policy"] == bundle.policy_id
    specs = {
        arm: found.policy.spec()["kind"]
        for arm in names
        if (found := layer_named(bundle, names[arm]))
    }
    assert specs == {
        "policy": "mixture",
        "random": "random",
        "usual": "drip",
        "holdout": "no_contact",
    }


def test_an_arm_has_the_id_of_a_bundle_of_it_alone(bundle: Bundle, tmp_path: Path) -> None:
    for arm in ("random", "usual", "holdout"):
        (layer, *_) = arm_layers(bundle)[arm]
        alone = trial_bundle(tmp_path / arm, spec=dict(layer.policy.spec()))
        assert alone.policy_id == layer.policy_id


def test_nobody_who_is_held_out_is_mailed_or_called(served: Service, clock: Clock) -> None:
    made = [one for day in range(DAYS) for one in decided(served, clock, day).values()]
    held = [one for one in made if one.arm == "holdout"]
    assert len(held) > 40
    assert {(one.action, one.propensity, one.scheduled_us) for one in held} == {
        ("pause:1", 1.0, None)
    }
    assert {one.action.partition(":")[0] for one in made} > {"send", "escalate"}


def test_accounts_are_dealt_whole(tmp_path: Path, clock: Clock) -> None:
    bundle = trial_bundle(tmp_path / "b", {**SPRING, "unit": "account"})
    people = [contact(f"p{i}", account_id=f"A{i % 12}" if i < 48 else None) for i in range(60)]
    served = trial_service(bundle, tmp_path / "s.db", clock, people=people)
    made = decided(served, clock, 0, [one.contact_id for one in people])
    arms: dict[int, set[str]] = {}
    for name, one in made.items():
        if int(name[1:]) < 48:
            arms.setdefault(int(name[1:]) % 12, set()).add(one.arm)
    assert all(len(found) == 1 for found in arms.values())
    assert len(set.union(*arms.values())) > 1
    served.store.close()


def test_an_episode_keeps_its_arm_when_its_account_changes(tmp_path: Path, clock: Clock) -> None:
    bundle = trial_bundle(tmp_path / "b", {**SPRING, "unit": "account"})
    served = trial_service(bundle, tmp_path / "s.db", clock)
    before = {name: one.arm for name, one in decided(served, clock, 0).items()}
    served.put_contacts([contact(name, account_id="ONE") for name in NAMES])
    after = {name: one.arm for name, one in decided(served, clock, 1).items()}
    assert len(set(after.values())) == 4
    assert all(before[name] == arm for name, arm in after.items())
    served.store.close()


@pytest.mark.usefixtures("either_database")
def test_who_was_decided_for_before_the_experiment_is_not_dealt(
    folder: Path, bundle: Bundle, tmp_path: Path, clock: Clock
) -> None:
    """Their episodes go on with the policy; those that begin are dealt."""
    plain = trial_bundle(tmp_path / "plain", None)
    first = trial_service(plain, tmp_path / "s.db", clock)
    assert {one.arm for one in decided(first, clock, 0, NAMES[:30]).values()} == {"policy"}
    first.store.close()
    served = trial_service(bundle, tmp_path / "s.db", clock)
    made = decided(served, clock, 1)
    for name in NAMES[:30]:
        if name in made:
            assert (made[name].arm, made[name].experiment, made[name].arm_share) == (
                "policy",
                None,
                None,
            )
    assert {made[name].arm for name in NAMES[30:]} == set(SHARES)
    served.store.close()


def test_a_second_experiment_deals_whoever_begins_anew(tmp_path: Path, clock: Clock) -> None:
    """With the same salt nobody changes sides but from the policy to an arm that grows."""
    first = trial_bundle(tmp_path / "b", SPRING)
    shares = {**SHARES, "policy": 0.2, "holdout": 0.4}
    second = trial_bundle(tmp_path / "c", {**SPRING, "name": "summer", "shares": shares})
    arms = {}
    for name, made in (("one", first), ("two", second)):
        served = trial_service(made, tmp_path / f"{name}.db", clock)
        arms[name] = {who: one.arm for who, one in decided(served, clock, 0).items()}
        served.store.close()
    moved = {
        (arms["one"][who], arms["two"][who])
        for who in NAMES
        if arms["one"][who] != arms["two"][who]
    }
    assert moved == {("policy", "holdout")}


def test_the_switch_at_rules_leaves_out_what_is_learned_or_random(
    served: Service, bundle: Bundle, clock: Clock
) -> None:
    usual = {one.policy_id for one in decided(served, clock, 0).values() if one.arm == "usual"}
    served.policies.change("switch", None, changes.switched("rules"), "me", "a fault")
    made = decided(served, clock, 1).values()
    rules = bundle.manifest.rules_id
    by_arm = {arm: {one.policy_id for one in made if one.arm == arm} for arm in SHARES}
    assert by_arm["policy"] == by_arm["random"] == {rules}
    assert by_arm["usual"] == usual
    assert rules not in by_arm["holdout"] | usual
    assert all(one.ghost and one.ghost.policy_id == rules for one in made if one.arm == "holdout")


def test_a_pause_holds_in_every_arm_and_the_arms_come_back(served: Service, clock: Clock) -> None:
    before = {name: one.arm for name, one in decided(served, clock, 0).items()}
    served.policies.change("switch", None, changes.switched("pause"), "me", "a fault")
    made = decided(served, clock, 1)
    assert {one.policy_id for one in made.values()} == {PAUSED}
    assert {one.action for one in made.values()} == {"pause:1"}
    served.policies.change("switch", None, changes.switched("learned"), "me", "mended")
    after = decided(served, clock, 2)
    for found in (made, after):
        assert all(one.arm == before[name] for name, one in found.items())


def test_a_stage_at_rules_holds_for_the_policy_and_the_random_arm(
    served: Service, bundle: Bundle, clock: Clock
) -> None:
    stages = ("mql", "sql", "none")
    for stage in stages:
        change = changes.switched_in(stage, "rules", stages)
        served.policies.change("switch", None, change, "me", "a fault")
    made = decided(served, clock, 0).values()
    for arm in ("policy", "random"):
        assert {one.policy_id for one in made if one.arm == arm} == {bundle.manifest.rules_id}
    assert all(one.arm_share == SHARES[one.arm] for one in made)
    assert bundle.manifest.rules_id not in {one.policy_id for one in made if one.arm == "usual"}


def test_a_canary_takes_its_share_of_the_policys_contacts_alone(
    bundle: Bundle, other: Bundle, folder: Path, tmp_path: Path, clock: Clock
) -> None:
    people = [contact(f"c{i}") for i in range(400)]
    served = trial_service(bundle, tmp_path / "s.db", clock, folder, people)
    served.policies.load("other", "me", "try")
    served.policies.change(
        "canary", other.policy_id, changes.canary(other.policy_id, 0.5), "me", "try"
    )
    made = decided(served, clock, 0, [one.contact_id for one in people])
    arm, experiment = canary_arm(other.policy_id), bundle.journey.experiment
    assert experiment is not None
    dealt = {name: dealt_arm(experiment, name) for name in made}
    assert {dealt[name] for name, one in made.items() if one.arm == arm} == {"policy"}
    counted = Counter(one.arm for one in made.values() if dealt[one.contact_id] == "policy")
    assert counted.keys() == {arm, "policy"}
    assert 40 < counted[arm] < 120  # half of some 160
    for name, one in made.items():
        assert one.arm == dealt[name] or dealt[name] == "policy"
        assert one.arm_share == SHARES[dealt[name]]
        assert (one.policy_id == other.policy_id) == (one.arm == arm)
    # Whom it had it keeps, and a rollback gives them back to the policy, in their arm.
    later = decided(served, clock, 1, list(made))
    assert all(made[name].arm == one.arm for name, one in later.items())
    served.policies.change(
        "rollback", other.policy_id, changes.rolled_back(other.policy_id), "m", ""
    )
    last = decided(served, clock, 2, list(made))
    assert {one.arm for one in last.values()} == set(SHARES)
    assert all(one.arm == dealt[name] for name, one in last.items())
    served.store.close()


def test_what_an_experiment_compares_by_is_part_of_it(bundle: Bundle) -> None:
    own = bundle.journey
    figure = {**own.resolved["kpis"], "north_star": {"name": "mqls", "of": ["became_mql"]}}
    others = {
        "kpis": figure,
        "drip": {0: "send:pricing_guide@09"},
        "rules": [{"when": {"sends_7d": ">= 1"}, "do": "pause:1"}],
        "expert": [{"when": {"sends_7d": ">= 1"}, "do": "pause:1"}],
    }
    for name, value in others.items():
        assert experiment_hash(trial_journey(SPRING, **{name: value})) != experiment_hash(own), name
    assert experiment_hash(trial_journey(SPRING, title="Another")) == experiment_hash(own)


def test_where_a_policy_fails_the_arm_goes_on_by_what_is_left_of_it(tmp_path: Path) -> None:
    """A locked one by business as usual, a random one by rules; those who get nothing, by none."""
    bundle = trial_bundle(tmp_path / "b", {**SPRING, "usual": "expert", "free": "timing"})
    layers = arm_layers(bundle)
    after = {arm: [one.policy.spec()["kind"] for one in found[1:]] for arm, found in layers.items()}
    assert after == {"policy": ["expert", "rules"], "random": ["rules"], "usual": [], "holdout": []}


def test_a_bundle_of_another_experiment_is_not_loaded_beside(
    bundle: Bundle, tmp_path: Path
) -> None:
    for name, (experiment, more) in {
        "other": ({**SPRING, "salt": "t"}, {}),
        "none": (None, {}),
        "usual": (SPRING, {"drip": {0: "send:pricing_guide@09"}}),
    }.items():
        with pytest.raises(BundleError, match=r"with another (experiment|drip)"):
            require_fit(bundle, trial_bundle(tmp_path / name, experiment, **more))
    require_fit(bundle, trial_bundle(tmp_path / "fits", spec={"kind": "drip"}, title="Another"))


@pytest.mark.parametrize("free", ["timing", "content", "offer", "routing"])
def test_a_lock_holds_in_a_served_life(free: str, tmp_path: Path, clock: Clock) -> None:
    """What each decision of the policy locks is what business as usual would do just then."""
    bundle = trial_bundle(tmp_path / "b", {**SPRING, "usual": "rules", "free": free}, "random")
    served = trial_service(bundle, tmp_path / "s.db", clock)
    rules = layer_named(bundle, bundle.manifest.rules_id)
    assert rules is not None
    differing = Counter[bool]()
    for day in range(DAYS):
        for one in decided(served, clock, day).values():
            assert replay(bundle, one, 11)
            if one.arm != "policy":
                continue
            assert one.policy_id not in (bundle.policy_id, rules.policy_id)
            usual = usual_action(rules, one, bundle)
            differing[one.action != usual] += 1
            assert agree(one.action, usual, free), (one.action, usual)
    assert differing[False]
    assert differing[True] or free == "offer"
    served.store.close()


def usual_action(rules: Any, one: Decision, bundle: Bundle) -> str:
    """What business as usual does in a decision's place."""
    features = np.array([one.features], np.float32)
    table = rules.policy.action_probabilities(features, np.array([one.mask]))
    return bundle.catalog.ids[int(table[0].argmax())]


def agree(taken: str, usual: str, free: str) -> bool:
    """Whether two actions of the inbound-lead journey agree in all factors but one."""
    if taken == usual:
        return True
    if free == "routing":
        return not taken.startswith("send:")
    if not (taken.startswith("send:") and usual.startswith("send:")):
        return False
    (message, _, slot), (meant, _, at) = taken.rpartition("@"), usual.rpartition("@")
    return message == meant if free == "timing" else slot == at


def test_experiments_of_two_journeys_know_nothing_of_each_other(
    tmp_path: Path, clock: Clock
) -> None:
    first = trial_bundle(tmp_path / "a", {**SPRING, "shares": {"policy": 0.5, "usual": 0.5}})
    second = trial_bundle(
        tmp_path / "b",
        {**SPRING, "name": "other", "shares": {"policy": 0.5, "holdout": 0.5}},
        journey="second",
        enrolment={"priority": 2},
    )
    with closing(Store(tmp_path / "s.db")) as store:
        store.put_contacts([contact(name) for name in NAMES])
        served = Service(first, store, ServerSettings(ZONE, False, clock), further=[second])
        for name in NAMES[:30]:
            served.enrolling.enrol("second", name, "me", "a test")
        made = decided(served, clock, 0)
        arms: dict[str, set[str]] = {}
        for one in made.values():
            arms.setdefault(one.journey, set()).add(one.arm)
        assert arms == {"inbound_lead": {"policy", "usual"}, "second": {"policy", "holdout"}}
        names = {plan.journey: plan.name for plan in store.plans()}
        assert names == {"inbound_lead": "spring", "second": "other"}
        served.journeys.named("second").policies.change(
            "end experiment", None, changes.ended(), "me", "done"
        )
        later = decided(served, clock, 1).values()
        assert {one.arm for one in later if one.journey == "second"} == {"policy"}
        assert {one.arm for one in later if one.journey != "second"} == {"policy", "usual"}


@pytest.mark.parametrize("free", ["timing", None])
def test_the_plan_names_the_free_factor_and_the_program(tmp_path: Path, free: str | None) -> None:
    """By them `lift` knows the stage, and writes the next one."""
    staged = {} if free is None else {"free": free}
    journey = trial_journey({**SPRING, "usual": "rules", **staged})
    started = started_plan(journey, str(experiment_hash(journey)), MIDNIGHT)
    path = tmp_path / "plan.yaml"
    path.write_text(started.plan, "utf-8")
    found = load_plan(path, journey)
    assert (found.free, found.program, found.hash) == (free, "rules", started.digest)
