"""A programme that is run in rounds: what each round is told, logs, and leaves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey_file import load_journey
from nurture_rl.decisions import held_out_share
from nurture_rl.errors import ConfigError, LogError
from nurture_rl.learned.choice_rules import Greedy
from nurture_rl.learned.scored import CORE, ScoredModule, ScoredPolicy
from nurture_rl.learned.scored_files import save_scored
from nurture_rl.policies.build import build_policy
from nurture_rl.policies.composition import TrustRegion
from nurture_rl.policies.policy import PolicyError
from nurture_rl.workflow.learn import context_beside
from nurture_rl.workflow.release_region import region_of
from nurture_rl.workflow.rounds.played_world import PlayedWorld, played_data
from nurture_rl.workflow.rounds.pooled_log import LoggedRound, pooled_log, with_mixture
from nurture_rl.workflow.rounds.round_counts import counted_round, drift_between
from nurture_rl.workflow.rounds.round_log import logged_round
from nurture_rl.workflow.rounds.round_verdict import Programme
from nurture_rl.workflow.rounds.rounds_config import RoundsSettings, start_of
from nurture_rl.workflow.rounds.rounds_of_log import start_in
from nurture_rl.workflow.run_config import DataConfig
from nurture_rl.workflow.stages import Workshop

JOURNEY = load_journey("inbound_lead")
CATALOG = ActionCatalog.of(JOURNEY)
DATA = DataConfig(name="reference", source="reference", default_zone="Europe/Berlin")
RANDOM = {"kind": "random"}


def mixed(policy: Any, share: float = 0.35) -> dict[str, Any]:
    return {"kind": "mixture", "policy": policy, "other": RANDOM, "share": share}


LOGGING = (mixed({"kind": "drip"}), mixed({"kind": "rules"}, 0.5))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("runs"), lambda line: None)


@pytest.fixture(scope="module")
def rounds(shop: Workshop) -> list[LoggedRound]:
    sizes = zip(LOGGING, (30, 60), strict=True)
    return [
        logged_round(shop, DATA, JOURNEY, number, contacts, logging, seed=0)
        for number, (logging, contacts) in enumerate(sizes, 1)
    ]


def decisions(folder: Path) -> pa.Table:
    return pq.read_table(folder / "decision_table.parquet")


def test_rounds_have_contacts_of_their_own_and_say_which_policy_decided(
    rounds: list[LoggedRound],
) -> None:
    first, second = (decisions(one.ingested) for one in rounds)
    assert set(first["policy_id"].to_pylist()) == {"round-1"}
    assert set(second["policy_id"].to_pylist()) == {"round-2"}
    people = [set(one["contact_id"].to_pylist()) for one in (first, second)]
    assert [len(one) for one in people] == [30, 60]
    assert not people[0] & people[1]


def test_a_first_decision_of_the_pooled_log_has_the_mixture_of_both_policies(
    shop: Workshop, rounds: list[LoggedRound]
) -> None:
    held_out = 1.0  # everybody judges, so the shares are 30 and 60 of 90
    table = decisions(pooled_log(shop, JOURNEY, rounds, "mixture", held_out))
    first = table.filter(pa.array(np.asarray(table["step"]) == 0))
    features = np.array(first["features"].to_pylist(), np.float32)
    mask = np.array(first["mask"].to_pylist(), bool)
    context = context_beside(shop.root, JOURNEY)
    asked = [build_policy(one, context).action_probabilities(features, mask) for one in LOGGING]
    expected = asked[0] / 3.0 + 2.0 * asked[1] / 3.0
    assert np.array(first["probabilities"].to_pylist()) == pytest.approx(expected)
    taken = expected[np.arange(len(first)), CATALOG.indices(first["action"].to_pylist())]
    assert np.asarray(first["propensity"]) == pytest.approx(taken)


def test_earlier_rounds_count_as_they_are_asked_to(
    shop: Workshop, rounds: list[LoggedRound]
) -> None:
    logged = pa.concat_tables([decisions(one.ingested) for one in rounds])
    assert decisions(pooled_log(shop, JOURNEY, rounds, "own", 0.5)).equals(logged)
    alone = decisions(pooled_log(shop, JOURNEY, rounds, "none", 0.5))
    assert alone.equals(decisions(rounds[1].ingested))
    pooled = decisions(pooled_log(shop, JOURNEY, rounds, "mixture", 0.5))
    kept = [name for name in logged.column_names if name not in ("probabilities", "propensity")]
    assert pooled.select(kept).equals(logged.select(kept))
    starts = np.load(pooled_log(shop, JOURNEY, rounds, "mixture", 0.5) / "starts.npz")
    assert len(starts["held_out"]) == 90


def test_rounds_that_ran_alike_keep_their_own_propensities(
    shop: Workshop, rounds: list[LoggedRound]
) -> None:
    again = logged_round(shop, DATA, JOURNEY, 3, 30, LOGGING[0], seed=0)
    both = [rounds[0], again]
    logged = pa.concat_tables([decisions(one.ingested) for one in both])
    pooled = decisions(pooled_log(shop, JOURNEY, both, "mixture", 0.5))
    told, kept = (np.asarray(one["propensity"]) for one in (pooled, logged))
    assert told == pytest.approx(kept)


def test_a_policy_that_did_not_make_its_round_is_refused(
    shop: Workshop, rounds: list[LoggedRound]
) -> None:
    table = pa.concat_tables([decisions(one.ingested) for one in rounds])
    context = context_beside(shop.root, JOURNEY)
    swapped = {f"round-{place}": build_policy(LOGGING[2 - place], context) for place in (1, 2)}
    with pytest.raises(LogError, match=r"of round-\d: its policy gives probabilities that are"):
        with_mixture(table, swapped, CATALOG, 0.5)


def test_what_a_round_earned_is_the_mean_of_its_own_contacts(rounds: list[LoggedRound]) -> None:
    counts = counted_round(rounds[1].ingested, JOURNEY, 0.5)
    table = decisions(rounds[1].ingested)
    worth = np.asarray(table["reward"]) * JOURNEY.reward.discount ** np.asarray(table["step"])
    assert counts.earned.value == pytest.approx(worth.sum() / 60)
    assert counts.earned.lower < counts.earned.value < counts.earned.upper
    sends = sum(one.startswith("send:") for one in table["action"].to_pylist())
    assert counts.amounts["sends"] == pytest.approx(sends / 60)
    assert set(counts.amounts) == {"sends", "unsubscribes", "complaints", "hard bounces"}


def test_drift_is_told_of_who_comes_and_of_what_one_policy_earns(
    rounds: list[LoggedRound],
) -> None:
    counts = [counted_round(one.ingested, JOURNEY, 0.5) for one in rounds]
    assert drift_between(counts[:1], LOGGING[:1], JOURNEY) == ()
    assert drift_between(counts, LOGGING, JOURNEY) == ()
    same = [counts[1], replace(counts[1], value=counts[1].value + 1000.0)]
    (richer,) = drift_between(same, [LOGGING[1]] * 2, JOURNEY)
    assert richer.startswith("the same policy earned +1000.00 a contact against round 1")
    entry = counts[1].entry
    grown = entry.features.copy()
    grown[:, FeatureSpec.of(JOURNEY).columns.index("company_size")] += 3.0
    others = [counts[1], replace(counts[1], entry=replace(entry, features=grown))]
    (bigger,) = drift_between(others, LOGGING, JOURNEY)
    assert "company_size in round" in bigger


def greedy_core(name: str) -> ScoredPolicy:
    columns = FeatureSpec.of(JOURNEY).columns
    maps = np.random.default_rng(0).normal(size=(1, len(CATALOG), len(columns) + 1))
    moments = (np.zeros(len(columns)), np.ones(len(columns)))
    return ScoredPolicy(CATALOG.hash, columns, ScoredModule(moments, [], maps, Greedy()), {}, name)


def test_a_policy_may_rest_on_what_an_earlier_round_learned(
    tmp_path: Path, rounds: list[LoggedRound]
) -> None:
    save_scored(greedy_core(CORE), tmp_path / "policy-cql-1" / CORE)
    learned = {"kind": "model", "name": "policy-cql-1"}
    region = {"kind": "trust_region", "policy": {"kind": "model", "name": CORE}}
    spec = region | {"anchor": mixed(learned), "max_ratio": 2.0, "explore": 0.0}
    held = build_policy(spec, context_beside(tmp_path, JOURNEY, greedy_core(CORE)))
    assert isinstance(held, TrustRegion)
    table = decisions(rounds[0].ingested)
    features = np.array(table["features"].to_pylist(), np.float32)
    mask = np.array(table["mask"].to_pylist(), bool)
    told = held.anchor.action_probabilities(features, mask)
    chance = build_policy(RANDOM, context_beside(tmp_path, JOURNEY))
    best = greedy_core(CORE).action_probabilities(features, mask)
    assert told == pytest.approx(0.65 * best + 0.35 * chance.action_probabilities(features, mask))
    found = region_of(spec, JOURNEY, tmp_path)
    assert found is not None
    assert dict(found.anchor.spec())["policy"] == learned
    with pytest.raises(PolicyError, match=r"'policy-gone-1' in .*, it is not there"):
        build_policy({"kind": "model", "name": "policy-gone-1"}, context_beside(tmp_path, JOURNEY))


def test_the_start_is_what_logs_and_its_exploration_goes_on() -> None:
    start = start_of(RoundsSettings(count=3, exploration=[0.4, 0.2]), LOGGING[0])
    assert start.programme == Programme("drip", {"kind": "drip"})
    assert start.shares == (0.4, 0.2, 0.2)
    rules = Programme("rules", {"kind": "rules"})
    assert start.explored(rules.spec, 2, rules) == mixed({"kind": "rules"}, 0.2)
    assert start_of(RoundsSettings(count=2), LOGGING[0]).shares == (0.35, 0.35)


@pytest.mark.parametrize(
    ("asked", "logging", "says"),
    [
        ({"count": 0}, LOGGING[0], "count >= 1"),
        ({"contacts": 0}, LOGGING[0], "contacts >= 1"),
        ({"earlier": "all"}, LOGGING[0], "mixture, own, none"),
        ({"exploration": []}, LOGGING[0], "shares in"),
        ({"exploration": [0.0]}, LOGGING[0], "shares in"),
        ({"exploration": [0.2, 1.5]}, LOGGING[0], "shares in"),
        ({}, {"kind": "drip"}, "mixed with what explores"),
        ({}, "logged", "mixed with what explores"),
    ],
)
def test_settings_that_no_round_can_use_are_refused(
    asked: dict[str, Any], logging: Any, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        start_of(RoundsSettings(**asked), logging)


def test_the_order_of_the_rows_does_not_matter(shop: Workshop, rounds: list[LoggedRound]) -> None:
    table = pa.concat_tables([decisions(one.ingested) for one in rounds])
    context = context_beside(shop.root, JOURNEY)
    policies = {f"round-{k}": build_policy(one, context) for k, one in enumerate(LOGGING, 1)}
    other = pa.array(np.random.default_rng(0).permutation(len(table)))
    straight = with_mixture(table, policies, CATALOG, 0.5).take(other)
    shuffled = with_mixture(table.take(other), policies, CATALOG, 0.5)
    assert np.asarray(shuffled["propensity"]) == pytest.approx(np.asarray(straight["propensity"]))
    told = np.array(shuffled["probabilities"].to_pylist())
    assert told == pytest.approx(np.array(straight["probabilities"].to_pylist()))


def test_each_side_has_the_shares_of_its_own_contacts(
    shop: Workshop, rounds: list[LoggedRound]
) -> None:
    table = decisions(pooled_log(shop, JOURNEY, rounds, "mixture", 0.5))
    first = table.filter(pa.array(np.asarray(table["step"]) == 0))
    judges = np.array([held_out_share(one) < 0.5 for one in first["cluster"].to_pylist()])
    late = np.array(first["policy_id"].to_pylist()) == "round-2"
    features = np.array(first["features"].to_pylist(), np.float32)
    mask = np.array(first["mask"].to_pylist(), bool)
    context = context_beside(shop.root, JOURNEY)
    asked = [build_policy(one, context).action_probabilities(features, mask) for one in LOGGING]
    share = np.where(judges, late[judges].mean(), late[~judges].mean())[:, None]
    assert late[judges].mean() != late[~judges].mean()
    expected = (1.0 - share) * asked[0] + share * asked[1]
    assert np.array(first["probabilities"].to_pylist()) == pytest.approx(expected)


def test_rounds_of_a_log_begin_with_the_program_that_it_follows() -> None:
    softmax = {"kind": "softmax"}
    fitted = {"kind": "mixture", "policy": softmax, "other": {"kind": "drip"}, "share": 0.65}
    begun = start_in(fitted, None)
    assert begun["policy"] == {"kind": "drip"}
    assert begun["other"] == softmax  # what is not the program explores
    assert begun["share"] == pytest.approx(0.35)
    assert start_of(RoundsSettings(count=1), begun).programme.name == "drip"
    alone = start_in(softmax, [0.2, 0.1])
    assert (alone["policy"], alone["other"], alone["share"]) == (softmax, RANDOM, 0.2)
    with pytest.raises(ConfigError, match="nobody can say what of it is chance"):
        start_in(softmax, None)


def test_a_played_round_is_ingested_by_nothing_that_was_said_of_the_users_log() -> None:
    own = DataConfig(
        name="mine",
        source="folder",
        path="exported",
        default_zone="America/New_York",
        complete_until="2020-01-01",
        decisions="from_sends",
    )
    told = played_data(own)
    assert (told.source, told.path, told.complete_until) == ("reference", None, None)
    assert (told.decisions, told.default_zone) == ("logged", "Europe/Berlin")
    assert told.held_out == own.held_out


def test_stages_of_a_fitted_world_are_named_by_it_and_others_as_before(tmp_path: Path) -> None:
    assert PlayedWorld().inputs == {}
    assert PlayedWorld(tmp_path / "world-1").inputs == {"world": "world-1"}
