"""Zones are inferred where the hours of people say them, and left open where they do not."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks.zone_accuracy import LEAST, planted, same_clock
from nurture_envs.clock import HOUR_US, utc_microseconds
from nurture_rl.errors import LogError
from nurture_rl.logs.ingest import ingest_folder
from nurture_rl.logs.zone_inference import ActiveHours, infer_zones


@pytest.mark.parametrize("spread", [1.0, 2.5])
def test_what_is_sure_is_right_and_what_is_likely_is_right_as_often(spread: float) -> None:
    rng = np.random.default_rng(11)
    people = planted(3000, spread, rng)
    has = rng.random(3000) < 0.3
    stated = [zone if one else None for zone, one in zip(people.zone, has, strict=True)]
    country = [code if rng.random() < 0.5 else None for code in people.country()]
    found = infer_zones(people.active, stated, country)
    right = np.array([same_clock(*pair) for pair in zip(found.zone, people.zone, strict=True)])
    ask = ~has & (people.hours > 0)
    sure = ask & (found.confidence >= LEAST)
    assert sure.sum() > 500
    assert right[sure].mean() >= LEAST
    for low, high in ((0.3, 0.5), (0.5, 0.7), (0.7, 0.9)):
        rows = ask & (found.confidence >= low) & (found.confidence < high)
        # Cautious on purpose: no less often right than said, four binomial deviations aside.
        said = found.confidence[rows].mean()
        assert right[rows].mean() >= said - 4 * np.sqrt(said * (1 - said) / rows.sum())


def test_nothing_is_sure_without_any_stated_zone_or_country() -> None:
    people = planted(2000, 2.5, np.random.default_rng(3))
    found = infer_zones(people.active, [None] * 2000, [None] * 2000)
    assert found.confidence.max() < LEAST
    assert (found.spread, found.weight) == (3.0, 0.35)


def test_who_does_nothing_and_says_no_country_has_no_zone() -> None:
    hours = ActiveHours(np.array([1, 1]), np.array([490_000, 490_020]))
    found = infer_zones(hours, ["Europe/Berlin", None, None], [None, None, "nowhere"])
    assert [zone is None for zone in found.zone] == [True, False, True]
    assert found.confidence[0] == found.confidence[2] == 0.0


def test_a_country_with_one_clock_is_believed_and_hours_may_speak_against_it() -> None:
    nobody = ActiveHours(np.zeros(0, np.int64), np.zeros(0, np.int64))
    found = infer_zones(nobody, [None, None], ["DE", "US"])
    assert same_clock(found.zone[0], "Europe/Berlin")
    assert found.confidence[0] >= 0.95
    assert found.confidence[1] < 0.9  # several clocks
    moments = [datetime(2026, 3, 2, hour) + timedelta(d) for d in range(60) for hour in (9, 13, 17)]
    local = np.array(moments, "datetime64[us]").astype(np.int64)
    tokyo = np.unique(utc_microseconds(local, np.full(180, "Asia/Tokyo")))
    against = infer_zones(ActiveHours(np.zeros(180, np.int64), tokyo // HOUR_US), [None], ["DE"])
    assert against.confidence[0] < 0.95


def contact(name: str, **cells: Any) -> str:
    return json.dumps({"contact_id": name, "consent": True, **cells})


def ingested(folder: Path, rules: str | None, decided: bool = False) -> Any:
    """Berliners whose zone is stated, and Ada and Bob who state none; Ada says her country."""
    raw = folder / "raw"
    raw.mkdir(parents=True)
    people = [contact(f"p{n}", time_zone="Europe/Berlin") for n in range(20)]
    people += [contact("ada", country="de "), contact("bob")]
    (raw / "contacts.jsonl").write_text("\n".join(people) + "\n", "utf-8")
    rows = [
        {"event_id": f"{who}-{n}", "contact_id": who, "type": "page_view"}
        | {"occurred_at": f"2026-05-{n + 4:02d}T{8 + n % 9:02d}:10:00Z"}
        for who in ("ada", "p1")
        for n in range(9)
    ]
    (raw / "events.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    if decided:
        row = {"decision_id": "d", "contact_id": "ada", "anchor": "2026-05-04T00:00:00", "step": 0}
        row |= {"decided_at": "2026-05-04T00:00:00Z", "action": "a", "probabilities": [1.0]}
        row |= {"mask": [True], "journey": "j", "episode_id": "e", "policy_id": "p", "arm": "m"}
        row |= {"catalog": "c", "propensity": 1.0}
        (raw / "decisions.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    if rules is not None:
        (raw / "zones.yaml").write_text(rules, "utf-8")
    summary = ingest_folder(raw, folder / "out", None, None, lambda line: None)
    people = pq.read_table(folder / "out" / "contacts.parquet").to_pylist()
    return {row["contact_id"]: row for row in people}, "\n".join(summary.notes)


def test_a_log_gets_zones_where_it_asks_for_them_and_they_are_sure(tmp_path: Path) -> None:
    people, notes = ingested(tmp_path / "asked", "least: 0.9\n")
    assert people["ada"]["time_zone"] == "Europe/Berlin"
    assert 0.9 <= people["ada"]["zone_confidence"] < 1.0
    assert json.loads(people["ada"]["attributes"])["time_zone_source"] == "inferred"
    assert (people["bob"]["time_zone"], people["bob"]["zone_confidence"]) == (None, 0.0)
    assert "time_zone_source" not in people["p1"]["attributes"]
    assert people["p1"]["zone_confidence"] == 1.0
    assert "zones: 1 of 2 contacts without one got it" in notes
    plain, notes = ingested(tmp_path / "not", None)
    assert plain["ada"]["time_zone"] is None
    assert "zones:" not in notes


def test_who_was_decided_about_keeps_the_clock_of_then(tmp_path: Path) -> None:
    people, notes = ingested(tmp_path, "{}\n", decided=True)
    assert people["ada"]["time_zone"] is None
    assert "1 keep the clock by which their decisions were made" in notes


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("least: 0.2", "least"),
        ("least: 2", r"expected a probability in \[0.5, 1\]"),
        ("candidates: [Europe/Nowhere]", "expected IANA names of zones, got Europe/Nowhere"),
        ("lest: 0.9", "lest: no such key"),
        ("[", "expected rules of zones"),
    ],
)
def test_wrong_rules_are_told(tmp_path: Path, rules: str, said: str) -> None:
    with pytest.raises(LogError, match=said):
        ingested(tmp_path, rules)
