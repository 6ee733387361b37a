"""Colleagues of one account are one piece of evidence: one side of a split, one cluster."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nurture_envs.actions import ActionCatalog
from nurture_rl.decisions import Decisions, load_decisions
from nurture_rl.errors import LogError, ShapeError
from nurture_rl.features.starts import start_states
from nurture_rl.features.table import clusters_of, decision_table
from nurture_rl.ope.estimators import ValueEstimate, ips
from nurture_rl.simulator.data import WorldData
from nurture_rl.simulator.gap.trajectories import whole_episodes
from nurture_rl.workflow.held_out import held_out_log
from nurture_rl.workflow.ingestion import accounts_note
from tests.unit.features.small_journey import shop_journey
from tests.unit.features.small_log import at, contacts_table, decisions_table, events_table
from tests.unit.simulator.lamp_shop import starts

ACCOUNTS, COLLEAGUES, STEPS = 40, 3, 2
JOURNEY = shop_journey()


@lru_cache(maxsize=2)
def tables(known: bool = True) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Events, contacts and decisions; whoever is of an account buys what its colleagues buy."""
    n = len(ActionCatalog.of(JOURNEY))
    contacts, decisions, events = [], [], []
    for account in range(ACCOUNTS):
        for colleague in range(COLLEAGUES):
            name = f"c{account:02d}.{colleague}"
            home = f"a{account:02d}" if known else None
            contacts.append({"contact_id": name, "account_id": home, "time_zone": "UTC"})
            for step in range(STEPS):
                when = at(f"2026-03-0{2 + step} 09:00")
                even = {"probabilities": [1 / n] * n, "mask": [True] * n, "propensity": 1 / n}
                row = {"contact_id": name, "anchor": datetime(2026, 3, 2), "step": step}
                decisions.append({**row, "decided_at": when, **even})
            bought = {"type": "purchase", "value": float(account % 7), "occurred_at": when}
            events.append({"contact_id": name, **bought})
    return events_table(events), contacts_table(contacts), decisions_table(decisions)


def decided(folder: Path, known: bool = True, held_out: float = 0.5) -> Decisions:
    """The log as the workflow reads it, long after."""
    until = int(at("2026-06-01 00:00").timestamp()) * 1_000_000
    made = decision_table(*tables(known), JOURNEY, as_of_us=until).table
    pq.write_table(made, folder / "decision_table.parquet")
    return load_decisions(folder, JOURNEY, held_out)


def test_a_table_is_read_once_while_it_stays_as_it_is(tmp_path: Path) -> None:
    first = decided(tmp_path)
    assert load_decisions(tmp_path, JOURNEY, 0.5) is first
    halved = load_decisions(tmp_path, JOURNEY, 0.25)
    assert halved.held_out.sum() < first.held_out.sum()
    pq.write_table(
        pq.read_table(tmp_path / "decision_table.parquet").slice(0, 6),
        tmp_path / "decision_table.parquet",
    )
    assert len(load_decisions(tmp_path, JOURNEY, 0.25).action) == 6
    assert len(first.action) > 6


def test_the_table_of_another_journey_is_refused(tmp_path: Path) -> None:
    decided(tmp_path)
    other = replace(JOURNEY, features=JOURNEY.features[:1])
    with pytest.raises(ShapeError, match=r"numbers in each row of features"):
        load_decisions(tmp_path, other, 0.5)


def test_a_reward_that_is_no_number_is_refused_at_the_door(tmp_path: Path) -> None:
    decided(tmp_path)
    path = tmp_path / "decision_table.parquet"
    table = pq.read_table(path)
    rewards = pa.array([np.nan] * len(table))
    pq.write_table(table.set_column(table.column_names.index("reward"), "reward", rewards), path)
    with pytest.raises(LogError, match="reward must be finite"):
        load_decisions(tmp_path, JOURNEY, 0.5)


def test_nobody_changes_what_the_next_reader_gets(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="read-only"):
        decided(tmp_path).reward[0] = 1.0


def test_an_account_lies_whole_on_one_side_and_counts_once(tmp_path: Path) -> None:
    found = decided(tmp_path)
    assert len(np.unique(found.contact)) == ACCOUNTS * COLLEAGUES
    assert len(np.unique(found.cluster)) == ACCOUNTS
    sides = {(int(c), bool(h)) for c, h in zip(found.cluster, found.held_out, strict=True)}
    assert len(sides) == ACCOUNTS
    assert {side for _, side in sides} == {False, True}
    log = held_out_log(found, JOURNEY)
    assert log.n_episodes == COLLEAGUES * len(np.unique(log.cluster))


@pytest.mark.parametrize("known", [True, False])
def test_a_log_says_that_colleagues_count_as_one(known: bool) -> None:
    notes = accounts_note(decision_table(*tables(known), JOURNEY).table)
    told = f"{ACCOUNTS * COLLEAGUES} contacts are {ACCOUNTS} that do not depend on each other"
    assert [told in note for note in notes] == ([True] if known else [])


def test_starting_states_are_dealt_by_account_too() -> None:
    events, contacts, decisions = tables()
    made = decision_table(events, contacts, decisions, JOURNEY).table
    found = start_states(events, contacts, made, JOURNEY, "UTC")["cluster"]
    assert len(found) == ACCOUNTS * COLLEAGUES
    assert sorted(set(found)) == [f"account:a{number:02d}" for number in range(ACCOUNTS)]


def test_a_contact_without_account_stands_for_itself_under_its_own_name() -> None:
    contacts = contacts_table(
        [{"contact_id": "ada", "account_id": "x"}, {"contact_id": "bo"}, {"contact_id": "cy"}]
    )
    found = clusters_of(pa.chunked_array([["bo", "cy", "ada", "bo"]]), contacts)
    assert found.to_pylist() == ["bo", "cy", "account:x", "bo"]


@pytest.mark.slow
def test_colleagues_who_do_the_same_do_not_narrow_an_interval(tmp_path: Path) -> None:
    def estimate(known: bool) -> ValueEstimate:
        log = held_out_log(decided(tmp_path, known, held_out=1.0), JOURNEY)
        assert log.n_episodes == ACCOUNTS * COLLEAGUES
        return ips(log, log.propensity)  # the logging policy's own value

    colleagues, strangers = estimate(known=True), estimate(known=False)
    assert colleagues.value == strangers.value == pytest.approx(2.8, abs=0.5)
    assert colleagues.stderr / strangers.stderr == pytest.approx(np.sqrt(COLLEAGUES), rel=0.01)


def test_the_reality_gap_keeps_the_episodes_of_colleagues_apart(tmp_path: Path) -> None:
    found = decided(tmp_path)
    # One leaves at once and the other is first decided for a bin later: no step falls.
    kept = (found.contact == 0) & (found.step == 0) | (found.contact == 1) & (found.step == 1)
    two = found.take(kept)
    assert (two.cluster == two.cluster[0]).all()
    left = two.amounts.copy()
    left[:, JOURNEY.channel_index("left")] = 1.0
    data = WorldData.of(replace(two, amounts=left), starts(JOURNEY, 2))
    assert whole_episodes(data, JOURNEY).episodes == 2
