"""What operators see of an experiment: over HTTP, in batches, monitors and explanations."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
from litestar.testing import TestClient

from nurture_envs.clock import DAY_US, HOUR_US
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.records import Decision
from nurture_rl.serving.roles import canary
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.upkeep.bulk import DecideOptions, _Batch, decide_batch
from nurture_rl.serving.upkeep.export import export_log
from nurture_rl.serving.upkeep.replaying import ReplayOptions, replay_log
from nurture_rl.serving.watching.monitoring import MonitorOptions, monitor
from tests.unit.serving.contacts import MIDNIGHT, ZONE, Clock, contact
from tests.unit.serving.lives import Client, decision, tell
from tests.unit.serving.trials import (
    EVERYBODY,
    LEARNED,
    NAMES,
    SHARES,
    SPRING,
    decided,
    trial_bundle,
    trial_service,
)

AT = MIDNIGHT + 7 * HOUR_US


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundles")


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Bundle:
    return trial_bundle(folder / "spring")


@pytest.fixture
def clock() -> Clock:
    return Clock(AT)


@pytest.fixture
def client(bundle: Bundle, tmp_path: Path, clock: Clock) -> Iterator[Client]:
    service = trial_service(bundle, tmp_path / "s.db", clock)
    with TestClient(create_app(service)) as found:
        yield found
    service.store.close()


def test_arms_and_shares_are_told_and_the_end_takes_hold_at_once(client: Client) -> None:
    (told,) = client.get("/v1/policies").json()["experiments"].values()
    log = client.get("/v1/policies/log").json()["changes"]
    assert [row["action"] for row in log] == ["start", "begin experiment spring"]
    assert log[1]["to"]["experiment"] == told["experiment"]
    assert log[1]["who"] == "server"
    assert told["plan"] in log[1]["why"]
    assert {name: told[name] for name in ("name", "unit", "shares", "usual", "free", "since")} == {
        "name": "spring",
        "unit": "contact",
        "shares": SHARES,
        "usual": "drip",
        "free": None,
        "since": "2027-03-01T06:00:00Z",
    }
    arms = {decision(client, name)["arm"] for name in NAMES[:30]}
    assert arms == set(SHARES)
    ended = tell(client, "experiment/end")
    assert ended["experiments"] == {}
    assert {decision(client, name)["arm"] for name in NAMES[30:]} == {"policy"}
    tell(client, "experiment/end", status=409)
    tell(client, "experiment/end", status=404, journey="unheard")
    last = client.get("/v1/policies/log").json()["changes"][-1]
    assert (last["action"], last["to"]["experiment"]) == ("end experiment", None)


def test_a_decision_is_explained_with_its_arm_and_its_ghost(client: Client, bundle: Bundle) -> None:
    made = [decision(client, name) for name in NAMES]
    for arm, share in SHARES.items():
        one = next(row for row in made if row["arm"] == arm)
        told = client.get(f"/v1/decisions/{one['decision_id']}/explain").json()
        assert (told["arm"], told["arm_share"]) == (arm, share)
        assert told["replay"]["bit_equal"] is True
        assert told["layer"] == ("policy" if arm == "policy" else "arm")
        assert f"in the arm {arm}, to which {share:.0%}".replace("%", " %") in told["text"][1]
        assert (told["ghost"] is None) == (arm != "holdout")
        assert ("Not held out, it would have been drawn" in told["text"][1]) == (arm == "holdout")


def service_at(bundle: Bundle, store: Store, now_us: int) -> Service:
    return Service(bundle, store, ServerSettings(ZONE, True, lambda: now_us))


def rows_of(path: Path) -> dict[str, Sequence[Any]]:
    """All rows of the tables that decisions fill."""
    with closing(sqlite3.connect(path)) as store:
        tables = ("decisions", "ghosts", "episodes", "chain", "plans", "policy_log")
        return {t: store.execute(f"SELECT * FROM {t} ORDER BY rowid").fetchall() for t in tables}


def test_a_batch_deals_and_decides_as_the_server_bit_for_bit(
    bundle: Bundle, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Batch, "_id_of", lambda _, name: f"first {name}")
    with closing(Store(tmp_path / "empty.db")) as store:
        store.put_contacts(EVERYBODY)
    batch, served = tmp_path / "batch.db", tmp_path / "served.db"
    for path in (batch, served):
        path.write_bytes((tmp_path / "empty.db").read_bytes())
    pc.write_csv(pa.table({"contact_id": list(NAMES)}), tmp_path / "whom.csv")
    at = datetime.fromtimestamp(AT // 1_000_000, UTC).isoformat()
    options = DecideOptions(
        bundle=str(folder / "spring"), out=str(tmp_path / "sent.parquet"), store=str(batch),
        contacts=str(tmp_path / "whom.csv"), at=at, block=7,
    )  # fmt: skip
    decide_batch(options)
    with closing(Store(served)) as store:
        server = service_at(bundle, store, AT)
        made = [server.decide([Ask(name, f"first {name}")])[0] for name in NAMES]
    assert rows_of(batch) == rows_of(served)
    assert len(rows_of(batch)["ghosts"]) > 5
    table = {row["contact_id"]: row for row in pq.read_table(options.out).to_pylist()}
    for one in made:
        assert isinstance(one, Decision)
        row = table[one.contact_id]
        assert (row["arm"], row["propensity"]) == (one.arm, one.propensity)
        if one.arm == "holdout":
            assert (row["message"], row["reason"]) == (None, "holdout")


def test_every_arm_of_an_export_is_made_again_from_the_bundle(
    bundle: Bundle, folder: Path, tmp_path: Path, clock: Clock
) -> None:
    served = trial_service(bundle, tmp_path / "s.db", clock)
    served = Service(bundle, served.store, ServerSettings(ZONE, False, clock))
    for day in range(3):
        decided(served, clock, day)
    export_log(served.store, tmp_path / "out")
    served.store.close()
    made = replay_log(ReplayOptions(str(folder / "spring"), str(tmp_path / "out"))).made
    assert (made["parted"], made["other"]) == (0, 0)
    assert made["same"] > 100


@pytest.mark.parametrize("tried", [False, True])
def test_the_monitor_holds_arms_against_their_shares(
    tried: bool, bundle: Bundle, folder: Path, tmp_path: Path, clock: Clock
) -> None:
    other = trial_bundle(folder / "other", spec={**LEARNED, "share": 0.5})
    people = [contact(f"c{i}") for i in range(500)]
    served = trial_service(bundle, tmp_path / "s.db", clock, folder, people)
    if tried:
        served.policies.load("other", "me", "try")
        change = canary(other.policy_id, 0.5)
        served.policies.change("canary", other.policy_id, change, "me", "try")
    decided(served, clock, 0, [one.contact_id for one in people])
    served.store.close()
    figures, alerts = watched(tmp_path / "s.db", folder / "spring")
    for arm, share in SHARES.items():
        assert figures[f"arm {arm}"][1] == pytest.approx(share, abs=0.1)
    if tried:
        assert figures[f"arm canary:{other.policy_id}"][1] == pytest.approx(0.5, abs=0.15)
    assert not [name for name in alerts if name.startswith("arm")]
    # Of those who were dealt to the random arm most have lost what says so.
    with closing(sqlite3.connect(tmp_path / "s.db")) as store, store:
        store.execute("UPDATE decisions SET arm = 'usual' WHERE arm = 'random' AND rowid % 4")
    _, alerts = watched(tmp_path / "s.db", folder / "spring")
    assert {"arm random", "arm usual"} <= set(alerts)


def watched(store: Path, bundle: Path) -> tuple[dict[str, Any], list[str]]:
    found = monitor(MonitorOptions(str(store), str(bundle))).made
    return found["figures"], found["alerts"]


def test_arms_that_explore_nothing_by_plan_are_no_fault_of_the_policy(
    tmp_path: Path, clock: Clock
) -> None:
    shares = {"policy": 0.2, "usual": 0.4, "holdout": 0.4}
    bundle = trial_bundle(tmp_path / "b", {**SPRING, "shares": shares}, "random")
    served = trial_service(bundle, tmp_path / "s.db", clock)
    for day in range(2):
        decided(served, clock, day)
    clock.now_us += DAY_US
    served.store.close()
    figures, alerts = watched(tmp_path / "s.db", tmp_path / "b")
    assert figures["without exploration"][1] < 0.5
    assert "without exploration" not in alerts
