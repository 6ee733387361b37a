"""Which logged decisions train, which are kept for evaluation, and what each is worth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nurture_envs.worlds.learned import StartTable
from nurture_rl.decisions import Decisions, held_out_share, training_rows, world_rows
from nurture_rl.errors import FitError
from nurture_rl.rl.online_dqn import OnlineDQNConfig
from nurture_rl.rl.ppo import PPOConfig
from nurture_rl.workflow import learned_from_log, policy_stage
from nurture_rl.workflow.held_out import held_out_log, running_log
from nurture_rl.workflow.journey_log import held_out
from nurture_rl.workflow.run_config import PolicyConfig
from nurture_rl.workflow.training import Training
from nurture_rl.workflow.world_stage import start_table
from tests.unit.simulator.lamp_shop import starts
from tests.unit.workflow.eight_decisions import eight_decisions, shop

KINDS = ("per_episode", "per_decision")


def test_only_matured_decisions_of_training_contacts_are_learned_from() -> None:
    found = training_rows(eight_decisions())
    assert found.reward.tolist() == [1.0, 2.0, 16.0]
    assert found.episode.tolist() == [0, 0, 1]  # numbered anew
    assert found.contact.tolist() == [0, 0, 2]


def test_a_world_is_also_fitted_to_bins_whose_records_may_be_late() -> None:
    late = replace(eight_decisions(), matured=np.zeros(8, bool))
    assert world_rows(late).reward.tolist() == [1.0, 2.0, 16.0]  # 32 is of a bin still open


def test_a_log_whose_bins_are_all_open_makes_no_world() -> None:
    with pytest.raises(FitError, match=r"data\.complete_until"):
        world_rows(replace(eight_decisions(), age=np.full(8, -1)))


def test_a_log_without_training_contacts_is_refused() -> None:
    everybody = replace(eight_decisions(), held_out=np.ones(8, bool))
    with pytest.raises(FitError, match=r"data\.held_out"):
        training_rows(everybody)


def test_only_whole_episodes_of_held_out_contacts_are_evaluated() -> None:
    log = held_out_log(eight_decisions(), shop())
    assert log.reward.tolist() == [4.0, 8.0]  # contact 3 has an open bin and is left out whole
    assert log.episode.tolist() == [0, 0]
    assert log.n_episodes == 1


def test_where_every_decision_is_judged_by_itself_each_is_its_own_episode() -> None:
    log = held_out_log(eight_decisions(), shop("per_decision"))
    assert log.reward.tolist() == [4.0, 8.0, 64.0]  # only the open bin is left out
    assert log.episode.tolist() == [0, 1, 2]
    assert log.cluster.tolist() == [0, 0, 1]  # and the contact stays the cluster
    assert log.terminal.all()


def test_a_kpi_is_not_discounted_and_takes_the_rows_of_its_log() -> None:
    log = held_out_log(eight_decisions(), shop(), np.arange(0.0, 80.0, 10.0))
    assert log.reward.tolist() == [20.0, 30.0]
    assert (log.discount, held_out_log(eight_decisions(), shop()).discount) == (1.0, 0.5)


def test_the_side_of_a_contact_follows_from_its_id_and_shares_are_kept() -> None:
    shares = np.array([held_out_share(f"c{i}") for i in range(2000)])
    assert held_out_share("c7") == shares[7]
    assert (shares >= 0).all()
    assert (shares < 1).all()
    # 5 standard errors of a share of 2,000 fair draws
    assert abs((shares < 0.3).mean() - 0.3) < 5 * np.sqrt(0.21 / 2000)


def test_worlds_start_from_training_contacts_and_are_judged_from_the_others(tmp_path: Path) -> None:
    table = starts(shop(), 4)
    columns = {name: getattr(table, name).numpy() for name in StartTable.__slots__}
    share = np.array([0.1, 0.5, 0.49, 0.9])
    np.savez(tmp_path / "starts.npz", held_out=share, **columns)
    assert start_table(tmp_path, 0.5).attributes[:, 0].tolist() == [1.0, 3.0]
    assert start_table(tmp_path, 0.5, held_out=True).attributes[:, 0].tolist() == [0.0, 2.0]


@pytest.mark.parametrize("config", [PPOConfig(discount=0.9), OnlineDQNConfig(discount=0.9)])
def test_what_comes_after_a_decision_counts_in_a_world_only_where_episodes_are_judged(
    config: PPOConfig | OnlineDQNConfig,
) -> None:
    found = {kind: policy_stage._for_estimand(config, shop(kind)) for kind in KINDS}
    assert found["per_episode"] == config
    assert found["per_decision"] == replace(config, discount=0.0)


@pytest.mark.parametrize(
    "estimand, worth",
    # per episode: 1 + 0.5**2 * 2, and contact 2 is not over; per decision: what was earned at once
    [("per_episode", [1.5, 2.0]), ("per_decision", [1.0, 2.0, 16.0])],
)
def test_learners_get_returns_to_go_unless_decisions_stand_alone(
    monkeypatch: pytest.MonkeyPatch, estimand: str, worth: list[float]
) -> None:
    monkeypatch.setattr(learned_from_log, "load_decisions", lambda *_: eight_decisions())
    task = Training(PolicyConfig("lin"), shop(estimand), Path(), None, 0.5, 0, print)
    log = learned_from_log.training_log(task)
    assert log.returns.tolist() == worth
    assert log.discount == (0.5 if estimand == "per_episode" else 0.0)


def still_running() -> Decisions:
    """The eight decisions, read as contact 3's second bin has just begun."""
    late = np.array([0, 0, 0, 0, 0, 0, 1, 1], bool)
    table = eight_decisions()
    age = np.where(late, [9, 9, 9, 9, 9, 9, 0, -1], 9)
    return replace(table, complete=~late, matured=~late, age=age)


def test_a_running_log_holds_open_episodes_as_far_as_their_bins_are_over() -> None:
    found = running_log(still_running(), shop())
    assert found is not None
    running, rows = found
    assert running.log.reward.tolist() == [4.0, 8.0, 64.0]  # the open bin itself is left out
    assert running.log.episode.tolist() == [0, 0, 1]
    assert rows.tolist() == [False, False, True, True, False, False, True, False]
    assert running.followed.age.tolist() == [11, 1]  # the bin of the first decision counts
    assert running.followed.observed.tolist() == [True, False]


def test_a_send_that_was_never_carried_out_is_as_old_as_its_episode() -> None:
    table = still_running()
    deferred = replace(table, age=np.where(np.arange(8) == 2, -1, table.age))
    found = running_log(deferred, shop())
    assert found is not None
    assert found[0].log.reward.tolist() == [4.0, 8.0, 64.0]
    assert found[0].followed.age.tolist() == [11, 1]


def test_nothing_runs_where_all_is_over_or_decisions_stand_alone() -> None:
    assert running_log(replace(still_running(), complete=np.ones(8, bool)), shop()) is None
    assert running_log(still_running(), shop("per_decision")) is None


def test_the_judges_get_the_open_episodes_with_their_key_figures() -> None:
    found = held_out(still_running(), shop())
    assert found.log.reward.tolist() == [4.0, 8.0]
    assert found.beside.running is not None
    assert found.beside.running.of.log.reward.tolist() == [4.0, 8.0, 64.0]
    assert [len(one) for one in found.beside.running.kpis] == [3] * len(found.beside.kpis)
