"""A batch leaves a store bit for bit as a server that is asked for one contact after another."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from nurture_envs.guardrails import Reason
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.records import Decision
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.upkeep.bulk import DecideOptions, _Batch, decide_batch
from tests.unit.serving.busy_store import (
    ENTERED,
    NOW,
    PEOPLE,
    bundle_of,
    busy_store,
    journeys,
    service_at,
)

AT = datetime.fromtimestamp(NOW // 1_000_000, UTC).isoformat()
# All messages are approved, and a batch is told of nobody whether they are in reach.
NEVER = {Reason.NOT_APPROVED, Reason.UNAVAILABLE}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Bundle]]:
    """The store, and the bundles beside it."""
    folder = tmp_path_factory.mktemp("busy")
    bundles = [bundle_of(folder / own.name, own) for own in journeys()]
    busy_store(folder / "store.db", bundles)
    return folder, bundles


@pytest.mark.parametrize("block", [1, 64, 10_000])
def test_the_store_is_the_same_bit_for_bit(
    made: tuple[Path, list[Bundle]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    block: int,
) -> None:
    folder, bundles = made
    batch, served, spent = (
        Path(shutil.copy(folder / "store.db", tmp_path / f"{name}.db")) for name in "bso"
    )
    monkeypatch.setattr(_Batch, "_id_of", lambda _, name: f"second {name}")
    whom = in_order(spent, bundles)
    pc.write_csv(pa.table({"contact_id": whom}), tmp_path / "whom.csv")
    options = DecideOptions(
        bundle=str(folder / bundles[0].journey.name),
        out=str(tmp_path / "sent.parquet"),
        store=str(batch),
        contacts=str(tmp_path / "whom.csv"),
        at=AT,
        block=block,
        journeys=(str(folder / bundles[1].journey.name),),
    )
    result = decide_batch(options).made
    with closing(Store(served)) as store:
        server = service_at(bundles, store, NOW)
        answers = [server.decide([Ask(name, f"second {name}")])[0] for name in whom]
    assert rows_of(batch) == rows_of(served)
    decisions = [one for one in answers if isinstance(one, Decision)]
    assert result["decisions"] == len(decisions)
    assert sum(result["refused"].values()) == len(whom) - len(decisions)
    table = pq.read_table(tmp_path / "sent.parquet").to_pylist()
    told = [(r["contact_id"], r["action"], r["propensity"], r["decision_id"]) for r in table]
    assert told == [(d.contact_id, d.action, d.propensity, d.decision_id) for d in decisions]
    require_busy(decisions, result["refused"])


def in_order(path: Path, bundles: Sequence[Bundle]) -> list[str]:
    """Everybody, those of the first journey first: a block is decided journey by journey.

    The store is spent on asking in which they are.
    """
    everybody = [*PEOPLE, "back", "nobody", *ENTERED]
    with closing(Store(path)) as store:
        answers = service_at(bundles, store, NOW).decide([Ask(name) for name in everybody])
    second = bundles[1].journey.name
    is_later = [isinstance(one, Decision) and one.journey == second for one in answers]
    return [everybody[place] for place in np.argsort(is_later, kind="stable")]


def rows_of(path: Path) -> dict[str, Sequence[Any]]:
    """All rows of all tables, in their order, without what differs between two files anyway."""
    with closing(sqlite3.connect(path)) as store:
        asked = "SELECT name FROM sqlite_master WHERE type = 'table'"
        names = [name for (name,) in store.execute(asked)]
        return {
            name: store.execute(f"SELECT * FROM {name} ORDER BY rowid").fetchall()
            for name in names
            if name != "meta"
        }


def require_busy(decisions: Sequence[Decision], refused: dict[str, int]) -> None:
    """The store is one in which guardrails, limits and refusals matter."""
    against = {
        reason for d in decisions for bits in d.reasons for reason in Reason if bits & reason
    }
    assert against == set(Reason) - NEVER
    kinds = {decision.action.partition(":")[0] for decision in decisions}
    assert kinds == {"send", "pause", "escalate", "exit"}
    assert {"unknown_contact", "fail_closed", "episode_over"} <= refused.keys()
    assert len({decision.journey for decision in decisions}) == 2
