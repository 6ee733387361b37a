"""What was served is a log that ingest reads without a hand in between."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from nurture_envs.clock import DAY_US
from nurture_rl.cli.main import main
from nurture_rl.errors import LogError
from nurture_rl.logs.ingest import ingest_folder
from nurture_rl.logs.schema import DECISIONS
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.preload import load_log
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.forbidding import Forbidding
from nurture_rl.serving.layers import line_of
from nurture_rl.serving.records import Decision
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.upkeep.export import SHADOWS, export_log
from tests.unit.serving.contacts import MIDNIGHT, Clock, contact, event, service
from tests.unit.serving.lives import until
from tests.unit.serving.test_no_mail_after_no import Server


@pytest.fixture
def served(bundle: Bundle, tmp_path: Path) -> Service:
    """Two contacts, two days, a click and a sale."""
    clock = Clock()
    found = service(bundle, tmp_path / "store.db", clock)
    found.store.put_contacts([contact("zoë", time_zone=None, zone_confidence=0.0, consent=False)])
    found.decide([Ask("ada"), Ask("bob"), Ask("zoë")])
    click = event("click", MIDNIGHT + 5_000_001, topic="pricing")
    found.store.append_events([click, event("purchase", MIDNIGHT + 7, "bob", value=0.1)])
    clock.now_us += DAY_US
    found.decide([Ask("ada"), Ask("bob")])
    return found


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_ingest_reads_every_exported_row(
    served: Service, bundle: Bundle, tmp_path: Path, form: str
) -> None:
    summary = export_log(served.store, tmp_path / "raw", form)
    counts = {"events": 2, "contacts": 3, "decisions": 5, "shadows": 0, "episodes": 3, "ghosts": 0}
    assert summary.counts == counts
    catalog = bundle.catalog
    ingest_folder(tmp_path / "raw", tmp_path / "log", catalog.ids, catalog.hash, lambda line: None)
    assert pq.read_table(tmp_path / "log" / "quarantine.parquet").num_rows == 0
    table = pq.read_table(tmp_path / "log" / "decisions.parquet")
    assert table.schema.remove_metadata() == DECISIONS
    rows = {row["decision_id"]: row for row in table.to_pylist()}
    assert len(rows) == 5
    for name, stored in served.store.decisions(list(rows)).items():
        row = rows[name]
        assert tuple(row["probabilities"]) == stored.probabilities
        assert tuple(row["mask"]) == stored.mask
        assert tuple(np.array(row["features"], np.float32).tolist()) == stored.features
        assert (row["action"], row["propensity"]) == (stored.action, stored.propensity)
        assert row["anchor"].isoformat() == "2027-03-01T00:00:00"
    events = pq.read_table(tmp_path / "log" / "events.parquet")
    assert sorted(events["type"].to_pylist()) == ["click", "purchase"]
    assert 0.1 in events["value"].to_pylist()


@pytest.mark.usefixtures("either_database")
def test_an_export_is_its_owners_alone(served: Service, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        export_log(served.store, tmp_path / "raw")
    finally:
        os.umask(before)
    assert (tmp_path / "raw").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "raw").iterdir()} == {0o600}


def test_an_exported_and_ingested_log_loads_into_a_fresh_store(
    served: Service, bundle: Bundle, tmp_path: Path
) -> None:
    export_log(served.store, tmp_path / "raw")
    ids, catalog_hash = bundle.catalog.ids, bundle.catalog.hash
    ingest_folder(tmp_path / "raw", tmp_path / "log", ids, catalog_hash, lambda line: None)
    fresh = Store(tmp_path / "fresh.db")
    assert load_log(fresh, tmp_path / "log", Forbidding()) == (3, 2)
    names = ["ada", "bob", "zoë"]
    assert fresh.events(names) == served.store.events(names)
    assert fresh.contacts(names) == served.store.contacts(names)
    assert load_log(fresh, tmp_path / "log", Forbidding()) == (0, 0)
    with pytest.raises(LogError, match=r"expected contacts\.parquet"):
        load_log(fresh, tmp_path / "raw" / "nothing", Forbidding())
    fresh.close()


def test_an_export_replaces_nothing_but_an_export(
    served: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, notes = tmp_path / "store.db", tmp_path / "work"
    notes.mkdir()
    (notes / "events.csv").write_text("mine")
    for out in (store, tmp_path, notes):
        assert main(["export_log", f"store={store}", f"out={out}"]) == 2
        assert "it stays as it is" in capsys.readouterr().err
    assert (notes / "events.csv").read_text() == "mine"
    assert main(["export_log", f"store={store}", f"out={tmp_path / 'out'}"]) == 0
    assert main(["export_log", f"store={store}", f"out={tmp_path / 'out'}", "format=csv"]) == 0
    assert not (tmp_path / "out" / "events.parquet").exists()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    assert main(["export_log", f"store={store}", f"out={tmp_path / 'out'}"]) == 2
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
    assert len(served.store.contacts(["ada"])) == 1


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_what_was_taken_back_is_exported_as_not_carried_out(
    bundle: Bundle, tmp_path: Path, form: str
) -> None:
    server = Server(bundle, tmp_path / "store.db")
    for name in ("away", "gone", "kept", "late", "told"):
        server.put(contact_id=name)
        assert server.sends(name, request_id=f"{name}-1")
    server.say("consent_withdrawn", contact_id="away")
    assert server.ask("away", request_id="away-1") == "withdrawn"
    server.say("consent_given", contact_id="away", at_us=1)
    assert server.ask("away", request_id="away-1") == "withdrawn"  # for good
    server.say("unsubscribe", contact_id="gone")  # before its hour: taken back at once
    server.say("sent", contact_id="told", topic="product", decision_id="told-1")
    assert server.ask("told", request_id="told-1") == "withdrawn"  # it went before
    server.clock.now_us += DAY_US
    assert server.ask("late", request_id="late-1") in ("expired", "withdrawn")
    export_log(server.service.store, tmp_path / "raw", form)
    ids, name = server.service.bundle.catalog.ids, server.service.bundle.catalog.hash
    ingest_folder(tmp_path / "raw", tmp_path / "log", ids, name, lambda line: None)
    rows = pq.read_table(tmp_path / "log" / "decisions.parquet").to_pylist()
    assert {row["decision_id"]: row["deferred"] for row in rows} == {
        "away-1": True,
        "gone-1": True,
        "kept-1": False,
        "late-1": True,
        "told-1": False,
    }


@pytest.mark.usefixtures("either_database")
def test_exported_ids_are_spelled_as_they_came(served: Service, tmp_path: Path) -> None:
    served.store.put_contacts([contact("Eve")])
    served.store.append_events([event("click", MIDNIGHT, "EVE ")])
    served.decide([Ask("eve")])
    export_log(served.store, tmp_path / "raw")
    for name in ("contacts", "events", "decisions"):
        ids = pq.read_table(tmp_path / "raw" / f"{name}.parquet")["contact_id"].to_pylist()
        assert [found for found in ids if found.lower() == "eve"] == ["Eve"]


def test_the_command_writes_the_folder_or_says_what_is_wrong(
    served: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(
            [
                "export_log",
                f"store={tmp_path / 'store.db'}",
                f"out={tmp_path / 'out'}",
                "format=csv",
            ]
        )
        == 0
    )
    assert "5 decisions" in capsys.readouterr().out
    assert (tmp_path / "out" / "decisions.csv").is_file()
    assert main(["export_log", f"store={tmp_path / 'absent.db'}", f"out={tmp_path / 'out'}"]) == 2
    assert "no store" in capsys.readouterr().err
    with pytest.raises(LogError, match="expected a format"):
        export_log(served.store, tmp_path / "out", "xlsx")


def test_what_a_shadow_said_lies_beside_the_decisions_and_weighs_them(
    served: Service, bundle: Bundle, tmp_path: Path
) -> None:
    names = [f"c{i}" for i in range(60)]
    served.store.put_contacts([contact(name) for name in names])
    made = [one for one in served.decide([Ask(name) for name in names])
            if isinstance(one, Decision)]  # fmt: skip
    (rules,) = line_of(bundle, "rules").layers
    served.shadowing.see(rules, bundle.catalog, made)
    until(lambda: sum(len(block) for block in served.store.scan("shadows")) == 60)
    assert export_log(served.store, tmp_path / "raw").counts["shadows"] == 60
    table = pq.read_table(tmp_path / "raw" / "shadows.parquet")
    assert table.schema.remove_metadata() == SHADOWS
    said = {row["decision_id"]: row for row in table.to_pylist()}
    weights = []
    for one in made:
        row = said[one.decision_id]
        assert (row["policy_id"], row["note"]) == (rules.policy_id, None)
        assert row["probability"] == row["probabilities"][bundle.catalog.index(one.action)]
        weights.append(row["probability"] / one.propensity)
    # The weights of a policy's actions are 1 on average, those of no policy are not.
    assert abs(np.mean(weights) - 1.0) < 4 * np.std(weights) / len(weights) ** 0.5
    assert 0.0 in weights
