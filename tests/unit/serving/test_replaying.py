"""What an export holds is enough to make every decision in it again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nurture_envs.clock import DAY_US
from nurture_envs.guardrails import reason_names
from nurture_rl.cli.main import main
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.decide import replay
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.upkeep.export import export_log
from nurture_rl.serving.upkeep.exported_rows import exported_decisions
from tests.unit.release.bundles import small_bundle
from tests.unit.serving.contacts import MIDNIGHT, ZONE, Clock, contact


@pytest.fixture
def exported(bundle: Bundle, tmp_path: Path) -> Path:
    """Three days of 40 contacts, on the store's own seed; the store is gone."""
    clock, store = Clock(), Store(tmp_path / "store.db")
    names = [f"c{i}" for i in range(40)]
    store.put_contacts([contact(name) for name in names])
    served = Service(bundle, store, ServerSettings(ZONE, False, clock))
    for day in range(3):
        clock.now_us = MIDNIGHT + day * DAY_US
        served.decide([Ask(name, f"{name}-{day}") for name in names])
    export_log(store, tmp_path / "out")
    store.close()
    (tmp_path / "store.db").unlink()
    return tmp_path / "out"


def test_every_decision_comes_out_again_from_the_export_alone(
    exported: Path, bundle: Bundle
) -> None:
    found = list(exported_decisions(exported))
    assert len(found) == 120
    assert len({decision.action for decision, _ in found}) > 3
    assert all(replay(bundle, decision, seed) for decision, seed in found)
    # The luck is in it: with another seed some decisions differ.
    assert not all(replay(bundle, decision, seed + 1) for decision, seed in found)


def test_the_schedule_and_the_reasons_are_in_the_export(exported: Path, bundle: Bundle) -> None:
    decisions = [decision for decision, _ in exported_decisions(exported)]
    sends = [found for found in decisions if found.action.startswith("send:")]
    nine = [found for found in sends if found.action.endswith("@09")]
    assert {(found.scheduled_us or 0) % DAY_US for found in nine} == {8 * 3_600_000_000}  # UTC
    assert {found.scheduled_us for found in decisions if found not in sends} == {None}
    blocked = [dict(zip(bundle.catalog.ids, found.reasons, strict=True)) for found in decisions]
    sent = next(iter(sends)).action
    assert "minimum_gap" in {name for row in blocked for name in reason_names(row[sent])}
    for found in decisions:
        assert [not bits for bits in found.reasons] == list(found.mask)


def test_the_command_counts_what_came_out_again(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_bundle(tmp_path / "bundle")
    assert main(["replay", f"bundle={tmp_path / 'bundle'}", f"log={exported}"]) == 0
    assert "120 decisions came out again bit for bit, 0 did not" in capsys.readouterr().out
    table = pq.read_table(exported / "decisions.parquet")
    place = table.schema.get_field_index("seed")
    other = pa.array([seed + 1 for seed in table["seed"].to_pylist()])
    changed = tmp_path / "changed"
    shutil.copytree(exported, changed)
    pq.write_table(table.set_column(place, "seed", other), changed / "decisions.parquet")
    assert main(["replay", f"bundle={tmp_path / 'bundle'}", f"log={changed}"]) == 3
    told = capsys.readouterr()
    parted = len(told.err.splitlines())  # each is named
    assert 0 < parted < 120
    assert told.out == (
        f"{120 - parted} decisions came out again bit for bit, {parted} did not, 0 were another "
        "policy's\n"
    )
    strangers = pa.array(["another"] * 120)
    place = table.schema.get_field_index("policy_id")
    pq.write_table(table.set_column(place, "policy_id", strangers), changed / "decisions.parquet")
    assert main(["replay", f"bundle={tmp_path / 'bundle'}", f"log={changed}"]) == 0
    assert "0 did not, 120 were another policy's" in capsys.readouterr().out
    pq.write_table(table.drop_columns(["seed"]), changed / "decisions.parquet")
    assert main(["replay", f"bundle={tmp_path / 'bundle'}", f"log={changed}"]) == 2
    assert "expected seed; export the store again" in capsys.readouterr().err
    assert main(["replay", f"bundle={tmp_path / 'bundle'}", f"log={tmp_path}"]) == 2
