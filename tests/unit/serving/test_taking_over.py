"""Who arrives mid-journey goes on; the log of several journeys is read as each of them."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nurture_envs.clock import DAY_US, HOUR_US
from nurture_rl.errors import LogError
from nurture_rl.features import DecisionTable, decision_table
from nurture_rl.logs.ingest import ingest_folder
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.preload import load_log
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.deciding.taking_over import take_over
from nurture_rl.serving.forbidding import Forbidding
from nurture_rl.serving.records import Decision
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.upkeep.export import export_log
from tests.unit.serving.contacts import Clock, contact, event
from tests.unit.serving.enrolled import MONDAY, serving

BOTH = pytest.mark.usefixtures("either_database")
RANDOM = {"kind": "random", "weights": {"send": 0.6, "pause": 0.4}}
PEOPLE = [f"p{i}" for i in range(12)]


def lived(bundle: Bundle, path: Path, clock: Clock, days: int) -> Service:
    """A server of two journeys whose contacts were decided for, got mail and clicked."""
    store = Store(path)
    store.put_contacts([contact(name, time_zone="Europe/Berlin") for name in PEOPLE])
    served = serving(bundle, store, clock, ["base", "low"], RANDOM)
    for name in PEOPLE[::3]:
        served.enrolling.enrol("low", name, "a test", "why")
    for day in range(days):
        clock.now_us = MONDAY + day * DAY_US + 8 * HOUR_US
        for i, name in enumerate(PEOPLE):
            (answer,) = served.decide([Ask(name, f"{name}-{day}")])
            assert isinstance(answer, Decision)
            if answer.scheduled_us is not None:
                sent = replace(
                    event("sent", answer.scheduled_us, name, decision_id=answer.decision_id),
                    topic="blue",
                )
                clock.now_us = max(clock.now_us, answer.scheduled_us)
                served.append_events([sent])
            if (i + day) % 4 == 0:
                clock.now_us += HOUR_US
                served.append_events([event("click", clock.now_us - 5, name)])
    clock.now_us = MONDAY + days * DAY_US + 8 * HOUR_US
    return served


def read(served: Service, journey: str, folder: Path) -> tuple[Path, DecisionTable]:
    """What a training of a journey reads of the server's export."""
    bundle = served.journeys.named(journey).bundle
    export_log(served.store, folder / "raw")
    ids, name = bundle.catalog.ids, bundle.catalog.hash
    out = folder / journey
    ingest_folder(folder / "raw", out, ids, name, lambda _: None, journey=bundle.journey)
    events, contacts, decisions = (
        pq.read_table(out / f"{name}.parquet") for name in ("events", "contacts", "decisions")
    )
    return out, decision_table(events, contacts, decisions, bundle.journey)


@BOTH
def test_the_export_of_two_journeys_is_read_as_each_of_them(bundle: Bundle, tmp_path: Path) -> None:
    clock = Clock(MONDAY)
    served = lived(bundle, tmp_path / "s.db", clock, 3)
    counts = {}
    for name in ("base", "low"):
        out, made = read(served, name, tmp_path)
        decisions = made.table.to_pylist()
        counts[name] = len(decisions)
        assert {row["journey"] for row in decisions} == {name}
        assert made.logged_features_equal == 1.0
        summary = json.loads((out / "summary.json").read_text())
        assert any("of other journeys" in note for note in summary["notes"])
        assert pq.read_table(out / "quarantine.parquet").num_rows == 0
    assert counts == {"base": 24, "low": 12}
    episodes = pq.read_table(tmp_path / "raw" / "episodes.parquet").to_pylist()
    assert {(one["journey"], one["number"], one["reason"]) for one in episodes} == {
        ("base", 1, None),
        ("low", 1, None),
    }
    named = {one["episode_id"] for one in episodes}
    assert {row["episode_id"] for row in made.table.to_pylist()} <= named
    served.store.close()


@BOTH
def test_who_arrives_mid_journey_goes_on_with_the_features_that_training_reads(
    bundle: Bundle, tmp_path: Path
) -> None:
    clock = Clock(MONDAY)
    before = lived(bundle, tmp_path / "before.db", clock, 2)
    log = tmp_path / "log"
    log.mkdir()
    tables = {name: read(before, name, tmp_path)[0] for name in ("base", "low")}
    for name in ("contacts", "events"):
        pq.write_table(pq.read_table(tables["base"] / f"{name}.parquet"), log / f"{name}.parquet")
    parts = [pq.read_table(one / "decisions.parquet") for one in tables.values()]
    pq.write_table(pa.concat_tables(parts), log / "decisions.parquet")
    fresh = Store(tmp_path / "after.db")
    load_log(fresh, log, Forbidding.of_all([one.bundle.journey for one in before.journeys]))
    journeys = [one.bundle.journey for one in before.journeys]
    assert take_over(fresh, log, journeys, clock.now_us, "UTC") == len(PEOPLE)
    assert take_over(fresh, log, journeys, clock.now_us, "UTC") == 0
    after = serving(bundle, fresh, clock, ["base", "low"], RANDOM)
    for name in PEOPLE:
        (here,) = before.decide([Ask(name, f"{name}-2")])
        (there,) = after.decide([Ask(name, f"{name}-2")])
        assert isinstance(here, Decision)
        assert isinstance(there, Decision)
        # The same episode, day, features, mask and reasons; luck is the settings' own seed.
        assert there == here
    for name in ("base", "low"):
        _, made = read(after, name, tmp_path / "again")
        assert made.logged_features_equal == 1.0
        assert set(made.table["step"].to_pylist()) == {2}
    for store in (before.store, fresh):
        store.close()


def test_what_is_over_or_known_already_is_not_taken_over(bundle: Bundle, tmp_path: Path) -> None:
    clock = Clock(MONDAY)
    before = lived(bundle, tmp_path / "before.db", clock, 2)
    out, _ = read(before, "base", tmp_path)
    own = before.first.bundle.journey
    with closing(Store(tmp_path / "after.db")) as fresh:
        load_log(fresh, out, Forbidding.of(own))
        fresh.append_events([event("purchase", clock.now_us, "p4")])  # which ended the episode
        assert take_over(fresh, out, [own], MONDAY + 6 * DAY_US, "UTC") == 0
        fresh.put_contacts([contact("p1")])
        after = serving(bundle, fresh, clock, ["base"], RANDOM)
        (anew,) = after.decide([Ask("p1")])
        assert isinstance(anew, Decision)
        assert anew.step == 0
        base = {name for i, name in enumerate(PEOPLE) if i % 3}
        assert take_over(fresh, out, [own], clock.now_us, "UTC") == len(base) - 2
        assert fresh.passes(["p4"]) == {}
        # A bin that was decided there is not decided again.
        clock.now_us -= DAY_US
        (twice,) = after.decide([Ask("p2")])
        assert getattr(twice, "code", None) == "already_decided"
    with closing(Store(tmp_path / "none.db")) as none, pytest.raises(LogError, match="take_over"):
        take_over(none, tmp_path, [own], 0, "UTC")
    before.store.close()


def test_what_ended_or_was_paused_by_a_person_elsewhere_is_so_here(
    bundle: Bundle, tmp_path: Path
) -> None:
    clock = Clock(MONDAY)
    before = lived(bundle, tmp_path / "before.db", clock, 2)
    before.enrolling.leave("base", "p1", "a test", "asked by phone")
    before.enrolling.hold("base", "p2", "a test", "on holiday", True)
    own = before.first.bundle.journey
    out, _ = read(before, "base", tmp_path)
    with closing(Store(tmp_path / "after.db")) as fresh:
        load_log(fresh, out, Forbidding.of(own))
        assert take_over(fresh, out, [own], clock.now_us, "UTC") == len(PEOPLE) * 2 // 3 - 1
        assert fresh.passes(["p1"]) == {}
        after = serving(bundle, fresh, clock, ["base"], RANDOM)
        assert after.enrolling.standing("base", "p2")[1:] == ("paused", clock.now_us)
        (waits,) = after.decide([Ask("p2")])
        assert isinstance(waits, Decision)
        assert (waits.step, waits.action) == (2, "pause:1")
    before.store.close()


def test_what_follows_an_end_without_a_signal_is_not_the_episodes(
    bundle: Bundle, tmp_path: Path
) -> None:
    clock = Clock(MONDAY + 8 * HOUR_US)
    with closing(Store(tmp_path / "s.db")) as store:
        store.put_contacts([contact("ada", time_zone="America/New_York")])
        served = serving(bundle, store, clock, ["low", "high"], RANDOM)
        for number in (1, 2):  # low has three bins, and its contacts rest two days
            served.enrolling.enrol("low", "ada", "a test", "why")
            for day in range(2):
                served.decide([Ask("ada", f"{number}-{day}")])
                served.append_events([event("click", clock.now_us + 5)])
                clock.now_us += 5 if day else DAY_US
            served.enrolling.leave("low", "ada", "a test", "why")
            clock.now_us += 60
            served.append_events([event("click", clock.now_us)])
            clock.now_us += 2 * DAY_US
        clock.now_us += 9 * DAY_US
        served.append_events([event("open", clock.now_us)])  # the log goes on until here
        _, made = read(served, "low", tmp_path)
        rows = made.table.to_pylist()
        clicks = served.journeys.named("low").bundle.journey.channel_index("clicked")
        count = {row["decision_id"]: row["outcomes"][clicks] for row in rows}
        # One click each; what came after the call that ended a pass is of none.
        assert count == {"1-0": 1.0, "1-1": 1.0, "2-0": 1.0, "2-1": 1.0}
        # A pass that was cut short is no world that ended, and it is known whole.
        assert not any(row["terminal"] for row in rows)
        assert all(row["complete"] for row in rows)
        told = {row["episode_id"]: row["ended_at"] for row in rows}
        assert all(told.values())
        assert len(told) == 2
