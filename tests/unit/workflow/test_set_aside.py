"""What one row of a journey's log spoils is set aside: itself, its episode or its contact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from nurture_envs.journey_file import load_journey
from nurture_rl.errors import ConfigError, LogError
from nurture_rl.workflow.collect import raw_log
from nurture_rl.workflow.ingestion import complete_until, ingest
from nurture_rl.workflow.refusals import refused_facts
from nurture_rl.workflow.run_config import DataConfig
from nurture_rl.workflow.stages import Workshop
from tests.unit.features.small_journey import shop_journey

pytestmark = pytest.mark.slow

BINS = 5
Row = dict[str, Any]


def decision(contact: str, step: int, **changes: Any) -> Row:
    return {
        "decision_id": f"{contact}.{step}",
        "contact_id": contact,
        "episode_id": contact,
        "anchor": "2026-03-02T00:00:00",
        "step": step,
        "decided_at": f"2026-03-0{2 + step}T08:00:00Z",
        "action": "pause:1",
        "propensity": 0.5,
        "probabilities": {"pause:1": 0.5, "send:hello@now": 0.5},
    } | changes


def happened(contact: str, kind: str, day: str, **changes: Any) -> Row:
    event = {"event_id": f"{contact} {kind} {day}", "contact_id": contact, "type": kind}
    return event | {"occurred_at": f"{day}T12:00:00Z"} | changes


class Shop:
    """The log of twenty contacts, five bins each, that a test may spoil."""

    def __init__(self) -> None:
        names = [f"c{k:02}" for k in range(20)]
        self.contacts: dict[str, Row] = {
            name: {"contact_id": name, "time_zone": "UTC", "consent": True} for name in names
        }
        self.decisions = {
            (name, step): decision(name, step) for name in names for step in range(BINS)
        }
        self.more: list[Row] = []
        self.events = [happened(name, "purchase", "2026-03-04", value=2.0) for name in names]

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True)
        tables = {
            "contacts": list(self.contacts.values()),
            "decisions": [*self.decisions.values(), *self.more],
            "events": self.events,
        }
        for name, rows in tables.items():
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (folder / f"{name}.jsonl").write_text(text)
        return folder


class Read:
    """What is left of a log, and why the rest is not."""

    def __init__(self, home: Path, folder: Path, **settings: Any) -> None:
        path = home / "shop.yaml"
        path.write_text(yaml.safe_dump(dict(shop_journey().resolved)))
        self.said: list[str] = []
        journey = load_journey(path)
        data = DataConfig(
            name="shop", source="folder", journey=str(path), path=str(folder), **settings
        )
        workshop = Workshop(home / "runs", self.said.append)
        self.out = ingest(workshop, data, journey, raw_log(workshop, data, journey, 0))
        table = pq.read_table(self.out / "decision_table.parquet")
        self.ids = set(table["decision_id"].to_pylist())
        self.reward = sum(table["reward"].to_pylist())
        self.quarantine = pq.read_table(self.out / "tables" / "quarantine.parquet").to_pylist()

    @property
    def kinds(self) -> dict[str, int]:
        kinds = [row["reason"].split(":")[0] for row in self.quarantine]
        return {kind: kinds.count(kind) for kind in kinds}


def of(contact: str, *steps: int) -> set[str]:
    return {f"{contact}.{step}" for step in steps or range(BINS)}


EVERYTHING = set().union(*(of(f"c{k:02}") for k in range(20)))


def read(tmp_path: Path, shop: Shop, **settings: Any) -> Read:
    return Read(tmp_path, shop.write(tmp_path / "log"), **settings)


def test_a_refused_decision_takes_its_episode_with_it(tmp_path: Path) -> None:
    shop = Shop()
    shop.decisions["c03", 2]["action"] = "send:retired@now"
    found = read(tmp_path, shop)
    assert found.ids == EVERYTHING - of("c03")
    assert found.kinds == {"broken episode": 4, "unknown action": 1}
    places = {(row["file"], row["line"]) for row in found.quarantine}
    assert places == {("decisions.jsonl", line) for line in range(16, 21)}


def test_a_decision_whose_cells_cannot_be_read_takes_its_episode_with_it(tmp_path: Path) -> None:
    shop = Shop()
    shop.decisions["c03", 2]["decided_at"] = "yesterday"
    del shop.decisions["c03", 2]["episode_id"]
    found = read(tmp_path, shop)
    assert found.ids == EVERYTHING - of("c03")


def test_a_few_decisions_without_a_propensity_are_set_aside_with_their_episodes(
    tmp_path: Path,
) -> None:
    shop = Shop()
    shop.decisions["c03", 2]["propensity"] = None
    found = read(tmp_path, shop)
    assert found.ids == EVERYTHING - of("c03")
    assert found.kinds == {"missing propensity": 5}


def test_a_log_without_propensities_is_kept_for_what_it_is_good_for(tmp_path: Path) -> None:
    shop = Shop()
    for row in shop.decisions.values():
        row["propensity"] = None
    assert read(tmp_path, shop).ids == EVERYTHING


def test_a_contact_whose_row_is_refused_is_not_judged_in_the_default_zone(tmp_path: Path) -> None:
    shop = Shop()
    shop.contacts["c03"]["time_zone"] = "Europe/Berln"
    found = read(tmp_path, shop)
    assert found.ids == EVERYTHING - of("c03")
    assert found.kinds == {"unknown time zone": 1, "bad contact": 5}


def test_an_episode_of_two_contacts_is_set_aside_whole(tmp_path: Path) -> None:
    shop = Shop()
    shop.decisions["c03", 2]["contact_id"] = "c04"
    found = read(tmp_path, shop)
    assert found.ids == EVERYTHING - of("c03")
    assert found.kinds == {"torn episode": 5}


def test_an_early_decision_takes_every_episode_of_its_contact(tmp_path: Path) -> None:
    shop = Shop()
    shop.decisions["c03", 2]["decided_at"] = "2026-03-03T23:59:00Z"
    shop.more = [decision("c03", 0, decision_id="x", episode_id="x", anchor="2026-04-02T00:00:00",
                          decided_at="2026-04-02T01:00:00Z")]  # fmt: skip
    found = read(tmp_path, shop)
    assert found.ids == EVERYTHING - of("c03")
    assert found.kinds == {"early decisions": 6}


def test_a_second_decision_of_a_bin_is_set_aside_alone(tmp_path: Path) -> None:
    shop = Shop()
    shop.more = [decision("c03", 2, decision_id="a", decided_at="2026-03-04T09:00:00Z")]
    found = read(tmp_path, shop)
    assert found.ids == EVERYTHING
    assert [row["reason"] for row in found.quarantine] == [
        "decided twice: decision 'a' of contact 'c03' is for bin 2, which 'c03.2' decided"
    ]


def test_of_two_decisions_of_a_bin_the_one_that_was_carried_out_stands(tmp_path: Path) -> None:
    shop = Shop()
    shop.decisions["c03", 2]["deferred"] = True
    other = {"action": "send:hello@now", "decided_at": "2026-03-04T09:00:00Z"}
    shop.more = [decision("c03", 2, decision_id="a", **other)]
    found = read(tmp_path, shop)
    assert found.ids == EVERYTHING - of("c03", 2) | {"a"}


def test_two_different_decisions_of_a_bin_spoil_the_episode(tmp_path: Path) -> None:
    shop = Shop()
    other = {"action": "send:hello@now", "decided_at": "2026-03-04T09:00:00Z"}
    shop.more = [decision("c03", 2, decision_id="a", **other)]
    found = read(tmp_path, shop)
    assert found.ids == EVERYTHING - of("c03")
    assert found.kinds == {"conflicting decisions": 2, "broken episode": 4}


def test_decisions_after_a_late_known_end_are_cut_off(tmp_path: Path) -> None:
    shop = Shop()
    left = {"occurred_at": "2026-03-03T12:00:00Z", "recorded_at": "2026-03-09T00:00:00Z"}
    shop.events.append(happened("c03", "unsubscribe", "left", **left))
    found = read(tmp_path, shop)
    assert found.ids == EVERYTHING - of("c03", 2, 3, 4)
    assert found.kinds == {"after the end": 3}


def test_a_decision_of_another_journey_ends_no_log(tmp_path: Path) -> None:
    shop = Shop()
    shop.more = [decision("c03", 0, decision_id="x", episode_id="x", journey="renewal")]
    found = read(tmp_path, shop)
    assert found.ids == EVERYTHING
    assert found.kinds == {}
    notes = json.loads((found.out / "tables" / "summary.json").read_text())["notes"]
    told = "1 decision of other journeys (renewal) left out; give data.journey to read them"
    assert told in notes


def test_reports_say_how_much_was_set_aside(tmp_path: Path) -> None:
    shop = Shop()
    shop.decisions["c03", 2]["action"] = "send:retired@now"
    shop.events.append(happened("c04", "purchase", "2099-01-01"))
    tables = read(tmp_path, shop).out / "tables"
    facts = refused_facts(tables)
    assert (facts["read"], facts["refused"]) == (100, 5)
    assert [(one["kind"], one["rows"]) for one in facts["reasons"]] == [
        ("unknown action", 1),
        ("broken episode", 4),
    ]
    assert facts["notes"][0].startswith("1 of 21 events was set aside: 1 with stray time")
    summary = json.loads((tables / "summary.json").read_text())
    counted = {table["table"]: table["kept"] for table in summary["tables"]}
    stored = pq.read_table(tables / "decisions.parquet")
    assert counted["decisions"] == len(stored) == 95


def test_more_than_the_allowed_share_refuses_the_log(tmp_path: Path) -> None:
    shop = Shop()
    shop.decisions["c03", 2]["action"] = shop.decisions["c04", 2]["action"] = "send:retired@now"
    folder = shop.write(tmp_path / "log")
    assert Read(tmp_path, folder, max_refused=0.1).ids == EVERYTHING - of("c03") - of("c04")
    with pytest.raises(LogError, match=r"10 of 100 decisions cannot be used, more than 9%") as told:
        Read(tmp_path, folder, max_refused=0.09)
    kept = Path(str(told.value).rsplit(" ", 1)[1])
    assert len(pq.read_table(kept)) == 10


def test_events_of_a_log_count_as_well(tmp_path: Path) -> None:
    shop = Shop()
    for row in shop.events[:3]:
        row["occurred_at"] = "soon"
    with pytest.raises(LogError, match="3 of 20 events cannot be used, more than 10%"):
        read(tmp_path, shop)


def test_events_of_types_that_mean_nothing_here_refuse_no_log(tmp_path: Path) -> None:
    shop = Shop()
    shop.events += [happened(f"c{k:02}", "heartbeat", "2026-03-05") for k in range(20)]
    found = read(tmp_path, shop)
    assert (found.ids, found.kinds) == (EVERYTHING, {"unknown event type": 20})


def test_what_rules_of_privacy_leave_out_refuses_no_log(tmp_path: Path) -> None:
    shop = Shop()
    shop.events[0]["properties"] = {"consent": True}
    (shop.write(tmp_path / "log") / "privacy.yaml").write_text("purposes: {purchase: web}")
    found = Read(tmp_path, tmp_path / "log")
    assert (found.ids, found.kinds) == (EVERYTHING, {"no consent": 19})


def test_a_decision_that_was_set_aside_is_not_said_to_end_the_log(tmp_path: Path) -> None:
    shop = Shop()
    shop.decisions["c03", 2]["decided_at"] = "2030-01-01T00:00:00Z"
    found = read(tmp_path, shop)
    assert found.kinds["late decision"] == 1
    notes = json.loads((found.out / "decisions.json").read_text())
    assert not [note for note in notes["notes"] if "taken to be complete" in note]


def test_a_folder_is_read_where_it_is_now(tmp_path: Path) -> None:
    shop = Shop()
    old = shop.write(tmp_path / "old")
    assert Read(tmp_path, old).reward == 40.0
    shop.events.append(happened("c03", "purchase", "2026-03-05", value=100.0))
    new = shop.write(tmp_path / "new")
    assert Read(tmp_path, new).reward == 140.0
    moved = old.rename(tmp_path / "moved")
    (tmp_path / "new").rename(old)  # what lies at the old place is another log now
    assert Read(tmp_path, moved, max_refused=0.2).reward == 40.0
    assert Read(tmp_path, old, max_refused=0.3).reward == 140.0


def test_a_day_is_its_start_in_the_zone_of_the_journey() -> None:
    said: list[str] = []

    def until(text: str | None) -> int | None:
        data = DataConfig(complete_until=text, default_zone="Europe/Berlin")
        return complete_until(data, said.append)

    assert until(None) is None
    assert until("2026-06-01T00:00:00+02:00") == 1_780_264_800_000_000
    assert said == []
    assert until("2026-06-01") == until("2026-06-01T00:00") == 1_780_264_800_000_000
    assert "2026-06-01T00:00:00+02:00 (Europe/Berlin)" in said[0]
    with pytest.raises(ConfigError, match="expected an instant such as"):
        until("June")


def test_an_attribute_at_none_of_its_levels_is_said(tmp_path: Path) -> None:
    shop = Shop()
    for row in shop.contacts.values():
        row["attributes"] = {"plan": "gold"}
    assert any("'plan' of 20 contacts is at none of its levels free, team" in line
               for line in read(tmp_path, shop).said)  # fmt: skip


def test_columns_that_no_decision_has_are_named_on_the_screen(tmp_path: Path) -> None:
    shop = Shop()
    for row in shop.decisions.values():
        del row["step"], row["probabilities"]
    with pytest.raises(LogError, match=r"100 with missing required field .*: step, probabilities"):
        read(tmp_path, shop)


def test_a_folder_that_changes_while_it_is_read_makes_no_stage(tmp_path: Path) -> None:
    journey = shop_journey()
    folder = Shop().write(tmp_path / "log")
    data = DataConfig(name="shop", source="folder", journey="shop", path=str(folder))

    def meddle(line: str) -> None:
        if "decisions: 100 rows" in line:
            (folder / "events_2.jsonl").write_text("")

    workshop = Workshop(tmp_path / "runs", meddle)
    raw = raw_log(workshop, data, journey, 0)
    with pytest.raises(LogError, match="changed while it was read"):
        ingest(workshop, data, journey, raw)
    assert not list((tmp_path / "runs" / "stages").glob("ingest-*"))


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"decided_at": "9999-12-31T23:59:00Z"}, "impossible time"),
        ({"decided_at": "2030-01-01T00:00:00Z"}, "late decision"),
        ({"probabilities": {"pause:1": "half"}}, "wrong type"),
    ],
)
def test_one_absurd_cell_of_a_decision_costs_its_episode(
    tmp_path: Path, changes: Row, kind: str
) -> None:
    shop = Shop()
    shop.decisions["c03", 2] |= changes
    shop.contacts["c03"]["time_zone"] = "Asia/Tokyo"
    found = read(tmp_path, shop)
    assert found.ids == EVERYTHING - of("c03")
    assert found.kinds[kind] == 1


def test_an_id_given_twice_costs_the_episode_whose_decision_is_dropped(tmp_path: Path) -> None:
    shop = Shop()
    shop.decisions["c03", 2]["decision_id"] = "c04.2"
    found = read(tmp_path, shop)
    assert found.ids == EVERYTHING - of("c03", 2) - of("c04") | {"c04.2"}


def test_a_line_that_says_nothing_costs_the_episode_that_lacks_a_bin(tmp_path: Path) -> None:
    folder = Shop().write(tmp_path / "log")
    path = folder / "decisions.jsonl"
    lines = path.read_text().splitlines()
    lines[17] = "### c03.2"
    path.write_text("\n".join(lines))
    assert Read(tmp_path, folder).ids == EVERYTHING - of("c03")


def test_a_bin_that_nobody_decided_is_no_fault_of_a_whole_log(tmp_path: Path) -> None:
    shop = Shop()
    del shop.decisions["c03", 2]
    assert read(tmp_path, shop).ids == EVERYTHING - of("c03", 2)


def test_a_decision_beyond_the_horizon_is_cut_off(tmp_path: Path) -> None:
    shop = Shop()
    shop.more = [decision("c03", BINS, decided_at="2026-03-07T08:00:00Z")]
    found = read(tmp_path, shop)
    assert (found.ids, found.kinds) == (EVERYTHING, {"after the end": 1})


def test_an_absurd_value_of_an_event_spoils_no_feature(tmp_path: Path) -> None:
    shop = Shop()
    shop.events[3]["value"] = 1e39
    found = read(tmp_path, shop)
    assert (found.ids, found.kinds) == (EVERYTHING, {"absurd value": 1})
    assert found.reward == 38.0


def test_logged_features_of_another_width_are_not_equal(tmp_path: Path) -> None:
    shop = Shop()
    shop.decisions["c03", 2]["features"] = [1.0]
    out = read(tmp_path, shop).out
    assert json.loads((out / "decisions.json").read_text())["logged_features_equal"] == 0.0
