"""Ghost decisions: what the policy would have done for who is held out. They take nothing."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nurture_envs.clock import DAY_US
from nurture_envs.experiment import dealt_arm
from nurture_rl.policies.policy import sample_actions
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.arm_records import Ghost
from nurture_rl.serving.deciding.array_pass import uniforms
from nurture_rl.serving.layers import arm_layers, canary_arm
from nurture_rl.serving.records import Decision
from nurture_rl.serving.roles import SwitchTo, canary, switched
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.upkeep.erasing import erase_contacts
from tests.postgres import PostgresServer
from tests.unit.release.bundles import GUARDRAILS
from tests.unit.serving.contacts import MIDNIGHT, Clock, contact
from tests.unit.serving.trials import (
    NAMES,
    SPRING,
    decided,
    trial_bundle,
    trial_service,
)

HALF = {**SPRING, "shares": {"policy": 0.5, "holdout": 0.5}}
DAYS = 5


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return trial_bundle(tmp_path_factory.mktemp("b") / "half", HALF)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def held(bundle: Bundle, names: tuple[str, ...] = NAMES) -> list[str]:
    """Those whom the experiment holds out."""
    experiment = bundle.journey.experiment
    assert experiment is not None
    return [name for name in names if dealt_arm(experiment, name) == "holdout"]


@pytest.mark.usefixtures("either_database")
def test_everybody_who_is_held_out_has_a_ghost_with_its_own_propensity(
    bundle: Bundle, tmp_path: Path, clock: Clock
) -> None:
    served = trial_service(bundle, tmp_path / "s.db", clock)
    made = decided(served, clock, 0)
    stored = served.store.ghosts([one.decision_id for one in made.values()])
    assert sorted(one.partition("-")[0] for one in stored) == sorted(held(bundle))
    for one in made.values():
        assert (one.ghost is None) == (one.arm == "policy")
        if one.ghost is None:
            continue
        assert stored[one.decision_id] == one.ghost
        features, mask = np.array([one.features], np.float32), np.array([one.ghost.mask])
        table = bundle.policy.action_probabilities(features, mask)
        drawn = int(sample_actions(table, uniforms(11, [one.decision_id]))[0])
        assert one.ghost.probabilities == tuple(table[0].tolist())
        assert one.ghost.action == bundle.catalog.ids[drawn]
        assert one.ghost.propensity == table[0, drawn]
        assert one.ghost.policy_id == bundle.policy_id
        assert (one.ghost.episode_id, one.ghost.step) == (one.episode_id, one.step)
    assert len({ghost.action for ghost in stored.values()}) > 3
    served.store.close()


def test_a_ghost_is_what_the_policy_does_for_the_same_contact(
    bundle: Bundle, tmp_path: Path, clock: Clock
) -> None:
    """On the first day both worlds are one: the ghost is the decision of a server without arms."""
    plain = trial_bundle(tmp_path / "plain", None)
    made = {}
    for name, one in (("arms", bundle), ("plain", plain)):
        served = trial_service(one, tmp_path / f"{name}.db", clock)
        made[name] = decided(served, clock, 0)
        served.store.close()
    for name in held(bundle):
        ghost, real = made["arms"][name].ghost, made["plain"][name]
        assert ghost is not None
        assert (ghost.action, ghost.propensity, ghost.probabilities, ghost.mask) == (
            *(real.action, real.propensity, real.probabilities),
            real.mask,
        )


LIMITS: dict[str, Any] = {
    **GUARDRAILS,
    "frequency_caps": [{"max": 1, "hours": 72}],
    "account": {"caps": [{"max": 1, "hours": 72}]},
    "volume": {"warm_up": [12, 12, 12, 12, 12]},
    "seller_capacity": {"per_day": 4},
}
OFFERS = {"tour": {"inventory": 9}}
# Half of all decisions mail an offer of which there are few, a tenth call a salesperson.
GREEDY = {
    "kind": "fixed",
    "probabilities": {"send:welcome@09": 0.5, "escalate": 0.1, "pause:1": 0.4},
}
COLLEAGUES = tuple(contact(f"c{i}", account_id=f"A{i // 2}") for i in range(60))


def lives(bundle: Bundle, path: Path, names: list[str], clock: Clock) -> list[dict[str, Decision]]:
    """Days of some people, who are asked for in this order."""
    served = trial_service(bundle, path, clock, people=COLLEAGUES)
    found = [decided(served, clock, day, names) for day in range(DAYS)]
    served.store.close()
    return found


@pytest.mark.usefixtures("either_database")
@pytest.mark.parametrize(
    ("limit", "reason"),
    [("account", 1 << 20), ("offers", 1 << 14), ("volume", 1 << 16), ("seller_capacity", 1 << 15)],
)
def test_ghosts_reserve_nothing_of_any_limit(
    limit: str, reason: int, tmp_path: Path, clock: Clock
) -> None:
    """Whom the policy has get what they get where nobody is held out beside them."""
    rails = {**GUARDRAILS, "frequency_caps": LIMITS["frequency_caps"]}
    rails |= {limit: LIMITS[limit]} if limit in LIMITS else {}
    own: dict[str, Any] = {"guardrails": rails, "offers": OFFERS if limit == "offers" else {}}
    bundle = trial_bundle(tmp_path / "arms", HALF, GREEDY, **own)
    out = held(bundle)
    mine = [name for name in NAMES if name not in out]
    beside = lives(bundle, tmp_path / "beside.db", [*out, *mine], clock)
    alone = lives(bundle, tmp_path / "alone.db", mine, clock)
    for together, apart in zip(beside, alone, strict=True):
        assert {name: together[name] for name in together if name in mine} == apart
    ghosts = [one.ghost for day in beside for one in day.values() if one.ghost]
    wanted = "escalate" if limit == "seller_capacity" else "send:welcome@09"
    assert sum(ghost.action == wanted for ghost in ghosts) > 9
    # Were ghosts decisions, they would have used it up: so they do where nobody is held out.
    everybody = trial_bundle(tmp_path / "plain", None, GREEDY, **own)
    crowded = lives(everybody, tmp_path / "crowded.db", [*out, *mine], clock)

    def kept_from(days: list[dict[str, Decision]]) -> int:
        found = (one for day in days for name, one in day.items() if name in mine)
        return sum(any(bits & reason for bits in one.reasons) for one in found)

    assert kept_from(crowded) > kept_from(beside) == kept_from(alone)


def test_a_person_who_is_held_out_has_no_mails_that_count(
    bundle: Bundle, tmp_path: Path, clock: Clock
) -> None:
    made = lives(bundle, tmp_path / "s.db", list(NAMES), clock)
    ghosts = Counter[str]()
    for day in made:
        for name, one in day.items():
            ghosts[name] += bool(one.ghost and one.ghost.action.startswith("send:"))
            if one.arm == "holdout":
                assert not any(bits & (16 | 32) for bits in one.reasons)  # no cap, no gap
    assert max(ghosts.values()) > 2  # more than the cap of two a week would let go


def test_no_ghost_comes_while_an_earlier_one_pauses_or_after_it_left(
    tmp_path: Path, clock: Clock
) -> None:
    spec = {"kind": "fixed", "probabilities": {"pause:3": 0.5, "exit": 0.2, "pause:1": 0.3}}
    bundle = trial_bundle(tmp_path / "b", HALF, spec)
    served = trial_service(bundle, tmp_path / "s.db", clock)
    made = [decided(served, clock, day) for day in range(8)]
    served.store.close()
    seen = Counter[str]()
    for name in held(bundle):
        until, gone = 0, False
        for step, day in enumerate(made):
            one = day[name]  # held out, and never left: a decision every day
            assert one.action == "pause:1"
            if gone:
                assert one.ghost is None
                continue
            assert one.ghost is not None
            seen[one.ghost.action] += 1
            if step < until:
                assert (one.ghost.action, one.ghost.propensity) == ("pause:1", 1.0)
                assert sum(one.ghost.mask) == 1
                assert sum(one.mask) > 1
            else:
                until = step + 3 if one.ghost.action == "pause:3" else until
                gone = one.ghost.action == "exit"
    assert seen.keys() == {"pause:3", "exit", "pause:1"}


def test_a_ghost_is_confirmed_by_nobody_and_its_decision_sends_nothing(
    bundle: Bundle, tmp_path: Path, clock: Clock
) -> None:
    served = trial_service(bundle, tmp_path / "s.db", clock)
    made = decided(served, clock, 0)
    sends = [n for n, one in made.items() if one.ghost and one.ghost.action.startswith("send:")]
    assert sends
    clock.now_us += DAY_US // 8
    for name in sends:
        (answer,) = served.confirm([made[name].decision_id])
        assert answer is not None
        assert answer.status == "no_send"
    assert served.store.sends_since(MIDNIGHT, sends) == []
    assert served.store.planned(sends) == ({}, {})
    served.store.close()


def test_the_same_request_has_no_second_ghost(bundle: Bundle, tmp_path: Path, clock: Clock) -> None:
    served = trial_service(bundle, tmp_path / "s.db", clock)
    first, again = (decided(served, clock, 0) for _ in range(2))
    assert {name: replace(one, next_us=None) for name, one in again.items()} == {
        name: replace(one, next_us=None) for name, one in first.items()
    }
    assert sum(len(block) for block in served.store.scan("ghosts")) == len(held(bundle))
    served.store.close()


def test_a_ghost_goes_with_its_person(
    bundle: Bundle, tmp_path: Path, clock: Clock, postgres: PostgresServer
) -> None:
    name, other = held(bundle)[:2]
    for location in (tmp_path / "s.db", postgres.fresh_url()):
        served = trial_service(bundle, location, clock)
        decided(served, clock, 0)
        served.store.close()
        assert erase_contacts(location, [name], "asked for")["ghosts"] == 1
        with closing(Store(location)) as store:
            assert store.ghosts([f"{name}-0", f"{other}-0"]).keys() == {f"{other}-0"}


def test_a_policy_that_fails_leaves_the_ghost_to_the_rules(
    bundle: Bundle, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = trial_service(bundle, tmp_path / "s.db", clock)
    (first, *_) = arm_layers(bundle)["policy"]

    def fail(*_: object) -> None:
        raise ValueError("broken")

    monkeypatch.setattr(type(first.policy), "action_probabilities", fail)
    made = decided(served, clock, 0)
    served.store.close()
    for name in held(bundle):
        ghost = made[name].ghost
        assert isinstance(ghost, Ghost)
        assert ghost.policy_id == bundle.manifest.rules_id
        assert "ValueError: broken" in (ghost.note or "")
        assert made[name].note is None


def test_a_canary_has_its_share_of_the_ghosts_too(tmp_path: Path, clock: Clock) -> None:
    """Else those whom it mails would be held against ghosts of another policy."""
    folder = tmp_path / "bundles"
    champion = trial_bundle(folder / "half", HALF)
    other = trial_bundle(folder / "other", HALF, {"kind": "random"})
    people = [contact(f"c{i}") for i in range(200)]
    names, early = [one.contact_id for one in people], [f"c{i}" for i in range(60)]
    served = trial_service(champion, tmp_path / "s.db", clock, folder, people)
    before = decided(served, clock, 0, early)
    served.policies.load("other", "me", "try")
    change = canary(other.policy_id, 0.4)
    served.policies.change("canary", other.policy_id, change, "me", "try")
    arm, whose = canary_arm(other.policy_id), dict[str, bool]()
    days: list[SwitchTo] = ["learned", "rules", "learned"]
    for day, switch in enumerate(days, 1):
        served.policies.change("switch", None, switched(switch), "me", "a test")
        made = decided(served, clock, day, names)
        for name, one in made.items():
            asked = one.arm if one.arm != "holdout" else one.ghost and one.ghost.policy_id
            if switch == "rules" or asked is None:  # the rules' ghost, or the episode is over
                continue
            tried = asked in (arm, other.policy_id)
            assert whose.setdefault(name, tried) is tried
    assert not any(whose[name] for name in before)  # episodes stay with whom they began
    out = set(held(champion, tuple(names)))
    for mine in (out, set(names) - out):
        new = [tried for name, tried in whose.items() if name in mine - before.keys()]
        assert len(new) > 50
        assert 0.2 < sum(new) / len(new) < 0.6
    served.store.close()
