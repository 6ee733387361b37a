"""One bad row ends no log of a journey: it is set aside with its reason, and the rest is judged."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from nurture_envs.journey import Journey
from nurture_envs.journey_file import load_journey, parse_journey
from nurture_rl.decisions import load_decisions
from nurture_rl.errors import LogError
from nurture_rl.workflow.collect import raw_log
from nurture_rl.workflow.held_out import held_out_log
from nurture_rl.workflow.ingestion import ingest
from nurture_rl.workflow.run_config import DataConfig
from nurture_rl.workflow.stages import Workshop
from tests.shared_faults import faulty_folder

pytestmark = pytest.mark.slow

DELAYS = {"became_mql": 1, "became_sql": 1}  # bins, under which the values below were worked out


def with_delays(journey: Journey) -> Journey:
    """The journey that waits for these signals alone before it calls an episode complete."""
    data = dict(journey.resolved)
    data["signals"] = {
        name: dict(signal) | {"delay_bins": DELAYS.get(name, 0)}
        for name, signal in data["signals"].items()
    }
    return parse_journey(data)


JOURNEY = with_delays(load_journey("inbound_lead"))


@dataclass(frozen=True)
class Read:
    """What a folder gave."""

    decisions: int
    reward: float  # EUR, of all decisions
    complete: int  # decisions of complete episodes
    episodes: int  # held out and complete
    mean: float  # EUR per episode, of those
    reasons: list[str]  # of the quarantine
    said: list[str]
    features: Any


def read(folder: Path, runs: Path, max_refused: float = 0.1) -> Read:
    said: list[str] = []
    data = DataConfig(
        name="folder",
        source="folder",
        journey="inbound_lead",
        path=str(folder),
        default_zone="Europe/Berlin",
        max_refused=max_refused,
    )
    workshop = Workshop(runs, said.append)
    out = ingest(workshop, data, JOURNEY, raw_log(workshop, data, JOURNEY, 0))
    found = load_decisions(out, JOURNEY, 0.5)
    log = held_out_log(found, JOURNEY)
    quarantine = pq.read_table(out / "tables" / "quarantine.parquet")
    summary = json.loads((out / "tables" / "summary.json").read_text())
    assert sum(table["quarantined"] for table in summary["tables"]) == len(quarantine)
    return Read(
        decisions=len(found.action),
        reward=float(found.reward.sum()),
        complete=int(found.complete.sum()),
        episodes=log.n_episodes,
        mean=float(log.reward.sum() / log.n_episodes),
        reasons=quarantine["reason"].to_pylist(),
        said=said,
        features=found.features,
    )


BASE: tuple[Any, ...] = (2525, 6931.0, 2411, 105, pytest.approx(39.6714, abs=5e-5))


def test_the_unharmed_log_is_read_whole(tmp_path: Path) -> None:
    found = read(faulty_folder("base"), tmp_path)
    assert (
        found.decisions,
        found.reward,
        found.complete,
        found.episodes,
        found.mean,
    ) == BASE
    assert found.reasons == []


def test_a_log_does_not_end_where_one_stamp_in_2099_says(tmp_path: Path) -> None:
    found = read(faulty_folder("one_event_in_2099"), tmp_path)
    assert (found.complete, found.mean) == (2411, BASE[4])
    assert [reason.split(":")[0] for reason in found.reasons] == ["stray time"]


def test_a_log_of_which_two_fifths_are_unusable_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LogError) as told:
        read(faulty_folder("two_fifths_refused"), tmp_path)
    assert str(told.value).startswith(
        "2515 of 2525 decisions cannot be used, more than 10%: 1026 with unknown action (first "
        "decisions.parquet, line 2: 'send:retired@09' is not in the catalogue); 1489 with broken "
        "episode (first decisions.parquet, line 1: "
    )
    assert "data.max_refused" in str(told.value)


def test_no_episode_is_left_with_a_hole(tmp_path: Path) -> None:
    found = read(faulty_folder("two_fifths_refused"), tmp_path, max_refused=1.0)
    assert found.decisions + len(found.reasons) == 2525
    whole = pq.read_table(faulty_folder("two_fifths_refused") / "decisions.parquet")
    broken = whole.filter(pc.starts_with(whole["action"], "send:retired"))
    ends = pc.is_in(whole["episode_id"], value_set=pc.unique(broken["episode_id"]))
    assert found.decisions == pc.sum(pc.invert(ends)).as_py()


def test_a_contact_that_moved_is_set_aside_with_its_reason(tmp_path: Path) -> None:
    found = read(faulty_folder("contact_moved_zone"), tmp_path)
    assert found.decisions == 2525 - 14
    assert len(found.reasons) == 14
    assert all("of contact 'lead-000-000000'" in reason for reason in found.reasons)
    assert all("America/Los_Angeles" in reason for reason in found.reasons)


def test_the_second_decision_of_a_bin_is_set_aside(tmp_path: Path) -> None:
    found = read(faulty_folder("decision_retried_new_id"), tmp_path)
    assert (found.decisions, found.reward, found.complete, found.episodes, found.mean) == BASE
    assert [reason.split(":")[0] for reason in found.reasons] == ["decided twice"]


def test_a_contact_with_an_absurd_attribute_is_set_aside(tmp_path: Path) -> None:
    found = read(faulty_folder("one_absurd_attribute"), tmp_path)
    assert found.decisions == 2525 - 14
    assert all("'company_size' of contact 'lead-000-000000' is 1e+39" in r for r in found.reasons)


def test_a_served_log_with_a_late_unsubscribe_is_cut_where_the_episode_ended(
    tmp_path: Path,
) -> None:
    folder = faulty_folder("served_late_unsubscribe")
    served = pq.read_table(folder / "decisions.parquet")
    found = read(folder, tmp_path)
    late = served.filter(
        pc.and_(pc.equal(served["contact_id"], "p1"), pc.greater(served["step"], 2))
    )
    assert len(late) > 0
    assert [reason.split(":")[0] for reason in found.reasons] == ["after the end"] * len(late)
    assert found.decisions == len(served) - len(late)
    assert any("on the word of one record" in line for line in found.said)


def as_csv(folder: Path, out: Path) -> Path:
    """The log as CSV files, the company size as a column of its own."""
    out.mkdir()
    for name in ("events", "decisions", "contacts"):
        rows = pq.read_table(folder / f"{name}.parquet").to_pylist()
        for row in rows:
            for key, value in row.items():
                if isinstance(value, list):
                    row[key] = json.dumps(value)
                elif hasattr(value, "isoformat"):
                    row[key] = value.isoformat()
            if name == "contacts":
                attributes = json.loads(row["attributes"])
                row["company_size"] = str(attributes.pop("company_size"))
                row["attributes"] = json.dumps(attributes)
        pa.csv.write_csv(pa.Table.from_pylist(rows), out / f"{name}.csv")
    return out


def test_numbers_given_as_text_make_the_same_features(tmp_path: Path) -> None:
    folder = faulty_folder("base")
    plain = read(folder, tmp_path / "plain")
    text = read(as_csv(folder, tmp_path / "csv"), tmp_path / "text")
    assert (text.features == plain.features).all()
    assert text.reward == 6931.0


def test_half_of_the_events_in_a_table_parted_by_tabs_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    shutil.copytree(faulty_folder("base"), folder)
    events = pq.read_table(folder / "events.parquet")
    half = len(events) // 2
    rows = events.slice(half).to_pylist()
    for row in rows:
        row |= {"keys": json.dumps(row["keys"])}
        row |= {key: row[key].isoformat() for key in ("occurred_at", "recorded_at")}
    table = pa.Table.from_pylist(rows)
    options = pa.csv.WriteOptions(delimiter="\t")
    pa.csv.write_csv(table, folder / "events_2.tsv", write_options=options)
    pq.write_table(events.slice(0, half), folder / "events.parquet")
    assert read(folder, tmp_path / "runs").reward == 6931.0
