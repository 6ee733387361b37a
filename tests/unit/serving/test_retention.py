"""People of whom nothing was heard for long are counted first, and erased when told."""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path

import pytest

from nurture_envs.clock import DAY_US
from nurture_rl.cli.main import main
from nurture_rl.serving.records import Preferences, Quarantined
from nurture_rl.serving.storage.reading import StoreReader
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.upkeep import retention
from nurture_rl.serving.upkeep.verifying import verify_store
from tests.unit.serving.contacts import contact, event


@pytest.fixture
def aged(tmp_path: Path) -> Path:
    """Of ages in days: ada 5, bob 50, cleo 50 and an opt-out, dan never heard of."""
    now_us, path = time.time_ns() // 1000, tmp_path / "store.db"
    with closing(Store(path)) as store:
        store.put_contacts([contact(name) for name in ("ada", "bob", "cleo", "dan")])
        old = now_us - 50 * DAY_US
        store.append_events(
            [
                event("click", now_us - 5 * DAY_US, "ada"),
                event("click", old, "ada"),
                event("click", old, "bob"),
                event("unsubscribe", old, "cleo"),
            ],
            [Quarantined(old, "d", None, "r", "{}"), Quarantined(now_us, "d", None, "r", "{}")],
        )
    return path


def test_a_first_run_counts_and_erases_nothing(
    aged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(Store(aged)):  # the server may be running
        assert main(["retention", f"store={aged}", "older_than_days=30", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    counts = {name: made[name] for name in ("contacts", "events", "decisions", "quarantine")}
    assert counts == {"contacts": 2, "events": 2, "decisions": 0, "quarantine": 1}
    assert made["applied"] is False
    with closing(StoreReader(aged)) as store:
        assert set(store.contacts(["ada", "bob", "cleo", "dan"])) == {"ada", "bob", "cleo", "dan"}
    assert main(["retention", f"store={aged}", "older_than_days=60"]) == 0
    assert "0 contacts with 0 events and 0 decisions, 0 refused rows" in capsys.readouterr().out


def test_who_is_silent_for_long_is_erased_and_a_stop_is_remembered(aged: Path) -> None:
    assert main(["retention", f"store={aged}", "older_than_days=30", "apply=true"]) == 0
    with closing(Store(aged)) as store:
        names = ["ada", "bob", "cleo", "dan"]
        assert set(store.contacts(names)) == {"ada", "dan"}
        assert set(store.events(names)) == {"ada"}
        assert len(store.events(names)["ada"]) == 2  # a contact goes whole or stays whole
        assert len([row for block in store.scan("quarantine") for row in block]) == 1
        store.put_contacts([contact("bob"), contact("cleo")])
        assert {name for name, words in store.events(names).items() if words} == {"ada", "cleo"}
    assert verify_store(aged).broken == 0


def test_who_refused_some_mail_alone_is_remembered_too(aged: Path) -> None:
    with closing(Store(aged)) as store:
        store.put_preferences("bob", Preferences(refused_topics=frozenset({"security"})), [], [])
    assert main(["retention", f"store={aged}", "older_than_days=30", "apply=true"]) == 0
    with closing(Store(aged)) as store:
        assert set(store.erased(["bob", "cleo"])) == {"bob", "cleo"}


def test_who_is_heard_of_before_their_turn_stays(
    aged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_silent", lambda *_: ["ada", "bob"])  # ada clicks meanwhile
    assert main(["retention", f"store={aged}", "older_than_days=30", "apply=true"]) == 0
    with closing(StoreReader(aged)) as store:
        assert set(store.contacts(["ada", "bob"])) == {"ada"}


def test_what_cannot_be_kept_to_is_refused(aged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(Store(aged)):
        assert main(["retention", f"store={aged}", "older_than_days=30", "apply=true"]) == 2
        assert "another server has it" in capsys.readouterr().err
    assert main(["retention", f"store={aged}", "older_than_days=0"]) == 2
    assert "expected at least 1, got 0" in capsys.readouterr().err
    assert main(["retention", f"store={aged}.no", "older_than_days=3"]) == 2
