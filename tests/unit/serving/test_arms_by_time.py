"""Where time is dealt, everybody follows the arm of the block in which they are decided for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from nurture_envs.clock import DAY_US, HOUR_US
from nurture_rl.errors import LogError
from nurture_rl.lift.written_plan import load_plan
from nurture_rl.release.bundle import Bundle, load_bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.decide import replay
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.layers import PAUSED, canary_arm, layer_named
from nurture_rl.serving.policies.arms import begun_in_words, experiment_hash, started_plan
from nurture_rl.serving.records import Decision
from nurture_rl.serving.roles import canary, switched
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.upkeep.export import export_log
from nurture_rl.serving.upkeep.verifying import verify_store
from nurture_rl.serving.watching.monitoring import MonitorOptions, monitor
from tests.postgres import PostgresServer
from tests.unit.serving.contacts import MIDNIGHT, ZONE, Clock
from tests.unit.serving.test_arms import agree, usual_action
from tests.unit.serving.trials import (
    LEARNED,
    NAMES,
    decided,
    trial_bundle,
    trial_service,
)

AUTUMN: dict[str, Any] = {
    "name": "autumn",
    "unit": "time",
    "shares": {"policy": 0.5, "usual": 0.5},
    "first_day": date(2027, 3, 1),  # the Monday of MIDNIGHT
    "zone": ZONE,
    "block_days": 1,
    "washout_days": 0,
    "blocks": 12,
    "salt": "autumn-2027",
}
ORDER = "pupuuppuupup"  # of that salt, as the table of the unit's test has it
ARM = {"p": "policy", "u": "usual"}
SOME = NAMES[:12]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundles")


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Bundle:
    trial_bundle(folder / "autumn", AUTUMN)
    return load_bundle(folder / "autumn")


@pytest.fixture
def clock() -> Clock:
    return Clock(MIDNIGHT - HOUR_US)


@pytest.fixture
def served(bundle: Bundle, tmp_path: Path, clock: Clock) -> Iterator[Service]:
    found = trial_service(bundle, tmp_path / "s.db", clock)
    yield found
    found.store.close()


@pytest.mark.usefixtures("either_database")
def test_everybody_has_the_arm_of_the_block_and_decisions_say_so(
    bundle: Bundle, tmp_path: Path, clock: Clock
) -> None:
    """Also who had another arm in the same episode, and who comes in between."""
    served = trial_service(bundle, tmp_path / "s.db", clock)
    kinds = {"policy": "mixture", "usual": "drip"}
    seen = 0
    for day, letter in enumerate(ORDER):
        made = decided(served, clock, day, SOME[: 6 + day // 2])
        seen += len(made)
        for one in made.values():
            assert (one.arm, one.arm_share) == (ARM[letter], 0.5)
            assert one.experiment == experiment_hash(bundle.journey)
            layer = layer_named(bundle, one.policy_id)
            assert layer is not None
            assert layer.policy.spec()["kind"] == kinds[one.arm]
            assert replay(bundle, one, 11)
            assert one.propensity == one.probabilities[bundle.catalog.index(one.action)]
            stored = served.store.decisions([one.decision_id])[one.decision_id]
            assert replace(stored, next_us=None) == replace(one, next_us=None)
    assert seen > 60
    assert verify_store(tmp_path / "s.db").broken_places == []
    served.store.close()


@pytest.mark.parametrize(
    ("late", "told"),
    [
        (0, ""),
        (1, "after 1 of its 12 blocks did, so 5 of 6 rounds"),
        (DAY_US, "after 1 of its 12 blocks did, so 5 of 6 rounds"),
        (2 * DAY_US + 1, "after 3 of its 12 blocks did, so 4 of 6 rounds"),
        (400 * DAY_US, "after 12 of its 12 blocks did, so 0 of 6 rounds"),
    ],
)
def test_the_log_of_policies_says_which_blocks_an_experiment_misses(
    bundle: Bundle, late: int, told: str
) -> None:
    plan = started_plan(bundle.journey, "e" * 16, MIDNIGHT + late)
    said = begun_in_words(bundle.journey, plan).split("; it begins ")
    assert [part.removesuffix(" can be compared, and 6 are the least") for part in said[1:]] == (
        [told] if told else []
    )


def test_two_servers_and_a_clock_that_goes_back_agree_across_a_border(
    bundle: Bundle, postgres: PostgresServer
) -> None:
    """The moment of a decision says its block, whichever server makes it and in what order."""
    border = MIDNIGHT + DAY_US  # from block 0 to block 1, which has another arm
    clocks = Clock(border - 1), Clock(border)
    url = postgres.fresh_url()
    first = trial_service(bundle, url, clocks[0])
    store = Store(url)
    second = Service(bundle, store, ServerSettings(ZONE, False, clocks[1], seed=11))
    made = [
        one
        for served, at_us, name in (
            (first, border - 1, "c0"),
            (second, border, "c1"),
            (first, border - 1, "c2"),  # its clock is behind
            (first, border, "c3"),
            (second, border - 1, "c4"),  # and here it goes back
            (second, border + 1, "c5"),
        )
        for one in served.decide([Ask(name, f"{name}-x")], at_us)
        if isinstance(one, Decision)
    ]
    assert [one.arm for one in made] == ["policy", "usual", "policy", "usual", "policy", "usual"]
    assert all((one.decided_us < border) == (one.arm == "policy") for one in made)
    plans = [served.policies.plan for served in (first, second)]
    assert plans[0] is not None
    assert plans[0] == plans[1]
    for one in (store, first.store):
        one.close()


def test_a_server_that_starts_again_goes_on_in_the_same_block(
    bundle: Bundle, tmp_path: Path, clock: Clock
) -> None:
    for day in (4, 5):
        served = trial_service(bundle, tmp_path / "s.db", clock)
        made = decided(served, clock, day, NAMES[10 * day : 10 * day + 10])
        assert {one.arm for one in made.values()} == {ARM[ORDER[day]]}
        served.store.close()


def test_who_was_decided_for_before_the_experiment_follows_the_blocks_as_well(
    bundle: Bundle, tmp_path: Path, clock: Clock
) -> None:
    """The sales team is shared by all, so nobody goes on as before."""
    plain = trial_bundle(tmp_path / "plain", None)
    first = trial_service(plain, tmp_path / "s.db", clock)
    before = decided(first, clock, 0, SOME)
    assert {(one.arm, one.experiment) for one in before.values()} == {("policy", None)}
    first.store.close()
    served = trial_service(bundle, tmp_path / "s.db", clock)
    told = str([row for rows in served.store.scan("policy_log") for row in rows])
    assert "it begins after 1 of its 12 blocks did" in told
    made = decided(served, clock, 1, SOME).values()
    assert made
    assert {(one.arm, one.arm_share) for one in made} == {(ARM[ORDER[1]], 0.5)} == {("usual", 0.5)}
    served.store.close()


def test_http_and_process_decide_alike_in_twelve_blocks(bundle: Bundle, tmp_path: Path) -> None:
    clock, other = Clock(MIDNIGHT - HOUR_US), Clock(MIDNIGHT - HOUR_US)
    inside = trial_service(bundle, tmp_path / "a.db", clock)
    behind = trial_service(bundle, tmp_path / "b.db", other)
    with TestClient(create_app(behind)) as client:
        for day in range(12):
            made = decided(inside, clock, day, SOME)
            other.now_us = clock.now_us
            asks = [{"contact_id": name, "request_id": f"{name}-{day:g}"} for name in SOME]
            answer = client.post("/v1/decisions", json={"contacts": asks}).json()["decisions"]
            told = {one["contact_id"]: one for one in answer if one["kind"] == "decision"}
            assert told.keys() == made.keys()
            for name, one in made.items():
                row = told[name]
                assert (row["decision_id"], row["arm"]) == (one.decision_id, one.arm)
                assert (row["action"], row["propensity"]) == (one.action, one.propensity)
        (said,) = client.get("/v1/policies").json()["experiments"].values()
        explained = client.get(f"/v1/decisions/{row['decision_id']}/explain").json()
    assert said["switchback"] == {
        "first_day": "2027-03-01",
        "zone": ZONE,
        "block_days": 1,
        "washout_days": 0,
        "blocks": 12,
    }
    assert explained["replay"]["bit_equal"] is True
    assert (
        f"it was decided in the arm {row['arm']}, to which 50 % are dealt" in explained["text"][1]
    )
    rows = [list(served.store.scan("decisions")) for served in (inside, behind)]
    assert rows[0] == rows[1]
    for served in (inside, behind):
        served.store.close()


def test_in_a_block_of_the_holdout_nobody_is_mailed_and_ghosts_are_drawn(
    tmp_path: Path, clock: Clock
) -> None:
    shares = {"policy": 0.5, "holdout": 0.5}
    bundle = trial_bundle(tmp_path / "b", {**AUTUMN, "shares": shares})
    served = trial_service(bundle, tmp_path / "s.db", clock)
    arms = set()
    for day in range(6):
        for one in decided(served, clock, day).values():
            arms.add(one.arm)
            held = one.arm == "holdout"
            assert (one.ghost is not None) == held
            if held:
                assert (one.action, one.propensity) == ("pause:1", 1.0)
                assert one.ghost is not None
                assert one.ghost.policy_id == bundle.policy_id
    assert arms == set(shares)
    served.store.close()


def test_a_canary_has_its_share_of_the_policys_blocks_alone(
    bundle: Bundle, folder: Path, tmp_path: Path, clock: Clock
) -> None:
    other = trial_bundle(folder / "other", AUTUMN, {**LEARNED, "share": 0.5})
    served = trial_service(bundle, tmp_path / "s.db", clock, folder)
    served.policies.load("other", "me", "try")
    served.policies.change("canary", other.policy_id, canary(other.policy_id, 0.5), "me", "try")
    mine, tried = canary_arm(other.policy_id), dict[str, set[bool]]()
    for day in range(6):
        for name, one in decided(served, clock, day).items():
            assert one.arm == "usual" if ORDER[day] == "u" else one.arm in ("policy", mine)
            if ORDER[day] == "p":
                tried.setdefault(name, set()).add(one.arm == mine)
    assert {len(found) for found in tried.values()} == {1}  # whom it has, it has again
    assert 15 < sum(found == {True} for found in tried.values()) < 45
    served.store.close()


def test_switches_stand_above_blocks(served: Service, bundle: Bundle, clock: Clock) -> None:
    served.policies.change("switch", None, switched("pause"), "me", "a fault")
    for day in (0, 1):
        made = decided(served, clock, day).values()
        assert {one.policy_id for one in made} == {PAUSED}
        assert {one.arm for one in made} == {ARM[ORDER[day]]}
    served.policies.change("switch", None, switched("rules"), "me", "a fault")
    ids = [{one.policy_id for one in decided(served, clock, day).values()} for day in (2, 3)]
    assert ids[0] == {bundle.manifest.rules_id}
    assert bundle.manifest.rules_id not in ids[1]


def test_a_lock_holds_in_blocks_too(tmp_path: Path, clock: Clock) -> None:
    spec = {**AUTUMN, "usual": "rules", "free": "timing"}
    bundle = trial_bundle(tmp_path / "b", spec, "random")
    served = trial_service(bundle, tmp_path / "s.db", clock)
    rules = layer_named(bundle, bundle.manifest.rules_id)
    differing = set()
    for day in range(6):
        for one in decided(served, clock, day).values():
            assert replay(bundle, one, 11)
            usual = usual_action(rules, one, bundle)
            if one.arm == "usual":
                assert one.action == usual
            else:
                differing.add(one.action != usual)
                assert agree(one.action, usual, "timing")
    assert differing == {True, False}
    served.store.close()


def test_the_plan_that_is_frozen_holds_the_design(
    served: Service, bundle: Bundle, tmp_path: Path
) -> None:
    started = served.policies.plan
    assert started is not None
    path = tmp_path / "plan.yaml"
    path.write_text(started.plan, "utf-8")
    found = load_plan(path, bundle.journey)
    experiment = bundle.journey.experiment
    assert experiment is not None
    assert found.switchback == experiment.switchback
    assert (found.unit, found.salt, found.units, found.hash) == (
        "time",
        "autumn-2027",
        12,
        started.digest,
    )
    assert f"north_star: {bundle.journey.north_star.name}" in started.plan
    others = (
        {"block_days": 2},
        {"washout_days": 0, "block_days": 3},
        {"blocks": 14},
        {"zone": "UTC"},
        {"first_day": date(2027, 3, 2)},
        {"salt": "t"},
    )
    own = experiment_hash(bundle.journey)
    for change in others:
        other = trial_bundle(tmp_path / str(change), {**AUTUMN, **change})
        assert experiment_hash(other.journey) != own, change


def test_episodes_are_not_torn_into_arms_for_training(
    served: Service, tmp_path: Path, clock: Clock
) -> None:
    for day in range(2):
        decided(served, clock, day, SOME)
    with pytest.raises(LogError, match="deals time, so an episode has decisions of several arms"):
        export_log(served.store, tmp_path / "out", arms=["policy"])
    assert not (tmp_path / "out").exists()
    export_log(served.store, tmp_path / "out")
    assert len(list((tmp_path / "out").glob("plan-*.yaml"))) == 1


def test_the_monitor_counts_no_contacts_against_shares_of_time(
    bundle: Bundle, folder: Path, tmp_path: Path, clock: Clock
) -> None:
    served = trial_service(bundle, tmp_path / "s.db", clock)
    for day in range(2):
        decided(served, clock, day)
    served.store.close()
    found = monitor(MonitorOptions(str(tmp_path / "s.db"), str(folder / "autumn"))).made
    assert not [name for name in found["figures"] if name.startswith("arm ")]
