"""Every real set that tells of events goes in by a mapping: each row is an event or set aside."""

from __future__ import annotations

import csv
import gzip
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from nurture_rl.logs.ingest import ingest_folder
from tests.shared_data import shared_data

# Set, file, what its columns mean, and how many rows cannot be events.
SETS = {
    "deals": (
        "olist_marketing_funnel",
        "olist_closed_deals_dataset.csv.gz",
        "{contact_id: mql_id, occurred_at: won_date, type: {is: opportunity_closed}, "
        "value: declared_monthly_revenue, keep: [business_segment, lead_type]}",
        0,
    ),
    "leads": (
        "olist_marketing_funnel",
        "olist_marketing_qualified_leads_dataset.csv.gz",
        "{contact_id: mql_id, occurred_at: first_contact_date, type: {is: form_submitted}, "
        "keep: [origin, landing_page_id]}",
        0,
    ),
    "redemptions": (
        "complete_journey",
        "coupon_redemptions.parquet",
        "{contact_id: household_id, occurred_at: redemption_date, type: {is: offer_completed}, "
        "keep: [campaign_id, coupon_upc]}",
        0,
    ),
    "impressions": (
        "open_bandit_sample/random/all",
        "all.csv.gz",
        "{contact_id: user_feature_0, occurred_at: timestamp, "
        "type: {column: click, values: {'0': visit, '1': click}}, keep: [item_id, position]}",
        0,
    ),
    "suggestions": (
        "heartsteps_v1",
        "suggestions.csv.gz",
        "{contact_id: user.index, occurred_at: sugg.decision.utime, "
        "type: {column: send, values: {'TRUE': sent, 'FALSE': activity}}, "
        "keep: [decision.index, response]}",
        None,
    ),
}


def rows_of(path: Path) -> int:
    if path.suffix == ".parquet":
        return int(pq.read_metadata(path).num_rows)
    with gzip.open(path, "rt", encoding="utf-8", newline="") as text:
        return sum(1 for record in csv.reader(text) if record) - 1


@pytest.mark.parametrize("name", SETS)
def test_every_row_of_a_real_set_is_an_event_or_set_aside(name: str, tmp_path: Path) -> None:
    place, file, columns, unusable = SETS[name]
    source = shared_data(place) / file
    folder, out = tmp_path / "log", tmp_path / "tables"
    folder.mkdir()
    shutil.copy(source, folder / file)
    times = "times: '%Y/%m/%d %H:%M'\n" if name == "suggestions" else ""
    mapping = f"file: {file}\n{times}tables:\n  events: {columns}\n"
    (folder / "set.map.yaml").write_text(mapping, "utf-8")
    summary = ingest_folder(folder, out, None, None, lambda line: None)
    events, quarantine = pq.read_table(out / "events.parquet"), out / "quarantine.parquet"
    count = summary.tables[0]
    assert count.read == rows_of(source) == len(events) + pq.read_metadata(quarantine).num_rows
    assert count.kept == len(events) > 0.9 * count.read
    assert set(count.reasons) <= {"redelivered", "missing required field", "wrong time"}
    if unusable is not None:
        assert sum(rows for why, rows in count.reasons.items() if why != "redelivered") == unusable
