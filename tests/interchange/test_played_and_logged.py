"""Episodes from a world and from a log are what really happened."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from nurture_envs.contact_env import ContactEnv
from nurture_envs.journey_file import load_journey
from nurture_envs.worlds.draws import population_keys
from nurture_rl.errors import FitError, PropensityError, ShapeError
from nurture_rl.interchange.episodes import Episodes
from nurture_rl.interchange.played import played_episodes
from nurture_rl.policies.references import Random
from nurture_rl.workflow.collect import reference_simulation
from nurture_rl.workflow.interchange import logged_episodes
from tests.interchange.small_episodes import HELD_OUT, ingested_log

CONTACTS, SEED = 60, 3
JOURNEY = load_journey("inbound_lead")


@cache
def played() -> Episodes:
    simulation = reference_simulation(JOURNEY)
    weights = (("pause", 0.4), ("send", 0.5), ("escalate", 0.05), ("exit", 0.05))
    return played_episodes(simulation.world, Random(simulation.catalog, weights), CONTACTS, SEED)


def test_played_episodes_are_what_one_contact_alone_goes_through() -> None:
    episodes, bounds = played(), played().bounds
    first = int(np.random.default_rng(SEED).integers(0, 2**31))
    for number in range(0, CONTACTS, 7):
        env = ContactEnv(reference_simulation(JOURNEY).world)
        seen, info = env.reset(seed=first + number)
        for row in range(bounds[number], bounds[number + 1]):
            np.testing.assert_array_equal(episodes.log.features[row], seen)
            np.testing.assert_array_equal(episodes.log.mask[row], info["action_mask"])
            seen, reward, terminated, truncated, info = env.step(episodes.log.action[row])
            assert (reward, terminated) == (episodes.log.reward[row], episodes.log.terminal[row])
        assert terminated or truncated
        np.testing.assert_array_equal(episodes.final[number], seen)


def test_some_played_episodes_terminate_and_some_are_cut_off() -> None:
    log, last = played().log, played().bounds[1:] - 1
    assert 0 < log.terminal[last].sum() < CONTACTS
    assert (log.step[last] == JOURNEY.clock.horizon - 1)[~log.terminal[last]].all()


def test_a_world_without_contacts_is_refused() -> None:
    simulation = reference_simulation(JOURNEY)
    with pytest.raises(ShapeError, match="at least one contact"):
        played_episodes(simulation.world, Random(simulation.catalog, (("pause", 1.0),)), 0, SEED)


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ingested_log(tmp_path_factory.mktemp("runs"), JOURNEY, CONTACTS, SEED)


def logged(ingested: Path, contacts: str) -> Episodes:
    return logged_episodes(ingested, JOURNEY, HELD_OUT, "Europe/Berlin", contacts)


def test_a_logs_final_observations_are_those_of_the_world_that_made_it(ingested: Path) -> None:
    episodes = logged(ingested, "all")
    simulation = reference_simulation(JOURNEY)
    state = simulation.begin(population_keys(SEED, CONTACTS))
    assert episodes.log.n_episodes == CONTACTS
    for bin_ in range(JOURNEY.clock.horizon):
        rows = np.flatnonzero(episodes.log.step == bin_)
        action = np.full(CONTACTS, simulation.catalog.wait)
        action[episodes.log.episode[rows]] = episodes.log.action[rows]
        after = simulation.step(state, simulation.decision(state), torch.as_tensor(action))
        state = after.state
        last = rows[np.isin(rows + 1, episodes.bounds)]
        ended = episodes.log.episode[last]
        known = simulation.decision(state).features.cpu().numpy()
        np.testing.assert_array_equal(episodes.final[ended], known[ended])


def test_training_and_held_out_contacts_share_nothing_and_miss_nobody(ingested: Path) -> None:
    sides = [set(logged(ingested, side).log.cluster) for side in ("training", "held_out", "all")]
    assert not sides[0] & sides[1]
    assert sides[0] | sides[1] == sides[2]


def table_with(ingested: Path, folder: Path, name: str, values: pa.Array) -> Path:
    copied = folder / "ingested"
    shutil.copytree(ingested, copied)
    path = copied / "decision_table.parquet"
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.column_names.index(name), name, values), path)
    return copied


def test_an_episode_with_one_open_decision_is_left_out_whole(
    ingested: Path, tmp_path: Path
) -> None:
    whole = logged(ingested, "all")
    complete = np.ones(whole.log.n_rows, bool)
    complete[0] = False  # the table is sorted by episode, then step
    some = logged(table_with(ingested, tmp_path, "complete", pa.array(complete)), "all")
    assert some.log.n_episodes == whole.log.n_episodes - 1
    np.testing.assert_array_equal(some.log.features, whole.log.features[whole.bounds[1] :])
    np.testing.assert_array_equal(some.final, whole.final[1:])


def test_a_log_in_which_nothing_is_over_is_refused(ingested: Path, tmp_path: Path) -> None:
    open_ = pa.array(np.zeros(logged(ingested, "all").log.n_rows, bool))
    running = table_with(ingested, tmp_path, "complete", open_)
    with pytest.raises(FitError, match="no episode of the training contacts is over"):
        logged(running, "training")


def test_a_log_without_propensities_is_refused(ingested: Path, tmp_path: Path) -> None:
    unknown = pa.array(np.full(logged(ingested, "all").log.n_rows, np.nan))
    with pytest.raises(PropensityError, match="propensities are missing"):
        logged(table_with(ingested, tmp_path, "propensity", unknown), "all")


def test_where_decisions_are_judged_one_by_one_each_is_an_episode(ingested: Path) -> None:
    single = replace(JOURNEY, estimand="per_decision")
    apart = logged_episodes(ingested, single, HELD_OUT, "Europe/Berlin", "all")
    whole = logged(ingested, "all")
    assert apart.log.n_episodes == apart.log.n_rows == whole.log.n_rows
    assert apart.log.terminal.all()
    np.testing.assert_array_equal(apart.final[:1], whole.log.features[1:2])
    np.testing.assert_array_equal(apart.final[whole.bounds[1:] - 1], whole.final)
