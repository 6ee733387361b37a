"""An experiment begins once, does not change while it runs, and ends by a word."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from nurture_envs.clock import HOUR_US
from nurture_rl.errors import BundleError
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving import roles as changes
from nurture_rl.serving.roles import RoleError
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.store_errors import StoreUnavailable
from nurture_rl.serving.upkeep.verifying import verify_store
from tests.postgres import PostgresServer
from tests.unit.serving.contacts import MIDNIGHT, Clock
from tests.unit.serving.trials import (
    LEARNED,
    NAMES,
    SHARES,
    SPRING,
    decided,
    trial_bundle,
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


@pytest.mark.usefixtures("either_database")
def test_an_experiment_is_written_down_when_it_begins_and_not_again(
    bundle: Bundle, tmp_path: Path, clock: Clock
) -> None:
    first = trial_service(bundle, tmp_path / "s.db", clock)
    plan, log = first.policies.plan, first.policies.changes
    assert [one.action for one in log] == ["start", "begin experiment spring"]
    assert plan is not None
    assert plan.digest in log[1].why
    assert (plan.began_us, plan.name, plan.journey) == (MIDNIGHT, "spring", "inbound_lead")
    first.store.close()
    clock.now_us += HOUR_US
    again = trial_service(bundle, tmp_path / "s.db", clock)
    assert again.policies.plan == plan
    assert again.policies.changes == log
    again.store.close()


@pytest.mark.parametrize(
    "changed",
    [
        {"shares": {"policy": 0.5, "usual": 0.5}},
        {"salt": "t"},
        {"unit": "account"},
        {"usual": "rules"},
        {"free": "timing"},
        {"units": 500},
        None,
    ],
)
def test_another_experiment_waits_until_the_one_that_runs_is_ended(
    changed: dict[str, Any] | None, bundle: Bundle, tmp_path: Path, clock: Clock
) -> None:
    first = trial_service(bundle, tmp_path / "s.db", clock)
    assert len({one.arm for one in decided(first, clock, 0).values()}) == 4
    summer = None if changed is None else {**SPRING, "name": "summer", **changed}
    other = trial_bundle(tmp_path / "other", summer)
    first.store.close()
    with pytest.raises(BundleError, match=r"experiment \w{16} runs.*POST /v1/experiment/end"):
        trial_service(other, tmp_path / "s.db", clock)
    # Nothing of that start is left, and its first owner goes on.
    Store(tmp_path / "s.db").close()
    first = trial_service(bundle, tmp_path / "s.db", clock)
    assert [one.action for one in first.policies.changes] == ["start", "begin experiment spring"]
    first.policies.change("end experiment", None, changes.ended(), "me", "done")
    first.store.close()
    second = trial_service(other, tmp_path / "s.db", clock)
    made = decided(second, clock, 1)
    assert {(one.arm, one.experiment) for one in made.values()} == {("policy", None)}
    second.store.close()


def test_a_changed_business_as_usual_is_a_changed_experiment(
    bundle: Bundle, tmp_path: Path, clock: Clock
) -> None:
    trial_service(bundle, tmp_path / "s.db", clock).store.close()
    other = trial_bundle(tmp_path / "other", drip={0: "send:pricing_guide@09"})
    with pytest.raises(BundleError, match="runs, and this server's bundle has"):
        trial_service(other, tmp_path / "s.db", clock)


def test_when_it_is_ended_the_policy_decides_for_all_and_it_does_not_begin_again(
    bundle: Bundle, tmp_path: Path, clock: Clock
) -> None:
    served = trial_service(bundle, tmp_path / "s.db", clock)
    decided(served, clock, 0)
    served.policies.change("end experiment", None, changes.ended(), "me", "done")
    made = decided(served, clock, 1)
    assert {(one.arm, one.policy_id, one.experiment) for one in made.values()} == {
        ("policy", bundle.policy_id, None)
    }
    with pytest.raises(RoleError, match="no experiment runs"):
        served.policies.change("end experiment", None, changes.ended(), "me", "again")
    served.store.close()
    again = trial_service(bundle, tmp_path / "s.db", clock)
    assert again.policies.lineup.arms is None
    assert {one.arm for one in decided(again, clock, 2).values()} == {"policy"}
    again.store.close()


def test_stores_of_version_10_are_brought_up_to_date(
    bundle: Bundle, tmp_path: Path, clock: Clock, postgres: PostgresServer
) -> None:
    plain = trial_bundle(tmp_path / "plain", None)
    url = postgres.fresh_url()
    for location in (tmp_path / "s.db", url):
        old = trial_service(plain, location, clock)
        decided(old, clock, 0, NAMES[:10])
        old.store.close()
        back = (
            "ALTER TABLE decisions DROP COLUMN experiment; "
            "ALTER TABLE decisions DROP COLUMN arm_share; DROP TABLE ghosts; DROP TABLE plans; "
            "UPDATE meta SET value = '10' WHERE name = 'version';"
        )
        if location == url:
            with closing(psycopg.connect(url, autocommit=True)) as store:
                store.execute(back.encode())
        else:
            with closing(sqlite3.connect(location)) as file:
                file.executescript(back)
        served = trial_service(bundle, location, clock)
        made = decided(served, clock, 1)
        assert {one.arm for one in made.values()} == set(SHARES)
        assert all(made[n].experiment is None for n in NAMES[:10] if n in made)
        assert verify_store(location).broken_places == []
        served.store.close()


def test_servers_of_one_store_deal_alike_and_follow_the_end(
    bundle: Bundle, tmp_path: Path, clock: Clock, postgres: PostgresServer
) -> None:
    """One that has another experiment, or none, decides nothing while this one runs."""
    url, plain = postgres.fresh_url(), trial_bundle(tmp_path / "plain", None)
    idle = trial_service(plain, url, clock)
    one, other = (trial_service(bundle, url, clock) for _ in range(2))
    begun = [row.action for row in one.policies.changes if "experiment" in row.action]
    assert begun == ["begin experiment spring"]
    assert one.policies.plan == other.policies.plan
    first, second = decided(one, clock, 0, NAMES[:30]), decided(other, clock, 0, NAMES[30:])
    assert {made.arm for made in first.values()} == {made.arm for made in second.values()}
    with pytest.raises(StoreUnavailable, match="this server's bundle has none"):
        decided(idle, clock, 1)
    one.policies.change("end experiment", None, changes.ended(), "me", "done")
    assert {made.arm for made in decided(other, clock, 1).values()} == {"policy"}
    assert {made.arm for made in decided(idle, clock, 2).values()} == {"policy"}
    for found in (idle, one, other):
        found.store.close()
