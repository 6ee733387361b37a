"""Real files, and rubbish, through a mapping: every row is an event or is set aside."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nurture_rl.errors import LogError
from nurture_rl.logs.mapped.drafting import GivenAnswers, draft
from nurture_rl.logs.mapped.looking import look_at
from nurture_rl.logs.mapped.mapped_rows import read_mapped
from nurture_rl.logs.mapped.mapping_file import load_mapping
from nurture_rl.logs.schema import EVENT_TYPES, TableKind
from tests.shared_data import shared_data

_OLIST = "olist_marketing_funnel"
# Data set, file, what somebody who knows it answers, rows of the file, events.
_REAL = [
    (_OLIST, "olist_closed_deals_dataset.csv.gz", "America/Sao_Paulo", None, 842),
    (_OLIST, "olist_marketing_qualified_leads_dataset.csv.gz", "America/Sao_Paulo", "visit", 8000),
    ("complete_journey", "coupon_redemptions.parquet", "America/New_York", "purchase", 2102),
]


@pytest.mark.parametrize(("folder", "file", "zone", "kind", "rows"), _REAL)
def test_a_real_file_goes_in_by_its_draft_to_the_row(
    tmp_path: Path, folder: str, file: str, zone: str, kind: str | None, rows: int
) -> None:
    path = tmp_path / file
    shutil.copyfile(shared_data(folder) / file, path)
    made = draft(look_at(path), sorted(EVENT_TYPES), ["mql"], GivenAnswers(zone))
    asked = {question.split(":")[0] for question in made.questions}
    assert asked == ({"type"} if kind else set())
    data = yaml.safe_load(made.text) | {"questions": []}
    if kind:
        data["tables"]["events"][0]["type"] = {"is": kind}
    (tmp_path / "real.map.yaml").write_text(yaml.safe_dump(data), "utf-8")
    found = read_mapped(load_mapping(tmp_path / "real.map.yaml"), path, set())[TableKind.EVENTS]
    assert len(found.rows) + len(found.quarantine) == rows
    assert len(found.rows) > 0.99 * rows
    assert found.rows["occurred_at"].null_count == 0


def test_moments_of_a_real_file_are_those_of_its_cells(tmp_path: Path) -> None:
    path = tmp_path / "redeemed.parquet"
    shutil.copyfile(shared_data("complete_journey") / "coupon_redemptions.parquet", path)
    mapping = "file: redeemed.parquet\nzone: UTC\ntables:\n  events: {contact_id: household_id, "
    mapping += "occurred_at: redemption_date, type: {is: purchase}}\n"
    (tmp_path / "redeemed.map.yaml").write_text(mapping, "utf-8")
    found = read_mapped(load_mapping(tmp_path / "redeemed.map.yaml"), path, set())[TableKind.EVENTS]
    given_days = pq.read_table(path)["redemption_date"].to_pylist()
    read_days = [moment.date() for moment in found.rows["occurred_at"].to_pylist()]
    assert read_days == [getattr(day, "date", lambda day=day: day)() for day in given_days]


_CELL = st.text(
    st.sampled_from('ab@. ;,"\n\r\t0123456789-:TZ+%é\x00\u2028'), max_size=12
) | st.sampled_from(["2026-03-05T10:00Z", "2026-03-05 10:00", "click", "open", "a@x.example"])
_MAPPING = """file: wild.csv
zone: Europe/Berlin
decimal: ","
tables:
  events:
    contact_id: who
    occurred_at: at
    type: {column: what, values: {click: click, open: ""}}
    value: amount
    is_machine: bot
    keep: [who]
"""


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(st.lists(_CELL, min_size=4, max_size=6), max_size=8), zipped=st.booleans())
def test_whatever_stands_in_a_file_no_record_is_lost(
    tmp_path: Path, rows: list[list[str]], zipped: bool
) -> None:
    lines = [["who", "at", "what", "amount", "bot"], *rows]
    quoted = ['"' + '","'.join(cell.replace('"', '""') for cell in row) + '"' for row in lines]
    data = ("\n".join(quoted) + "\n").encode()
    name = "wild.csv.gz" if zipped else "wild.csv"
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if zipped else data)
    (tmp_path / "wild.map.yaml").write_text(_MAPPING.replace("wild.csv", name), "utf-8")
    found = read_mapped(load_mapping(tmp_path / "wild.map.yaml"), path, set())[TableKind.EVENTS]
    assert len(found.rows) + len(found.quarantine) == len(rows)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_looking_at_rubbish_ends_in_a_draft_or_in_one_error(tmp_path: Path, data: bytes) -> None:
    for name in ("a.csv", "a.jsonl", "a.csv.gz", "a.parquet"):
        path = tmp_path / name
        path.write_bytes(data)
        try:
            made = draft(look_at(path), sorted(EVENT_TYPES), ["mql"])
        except LogError:
            continue  # told in one line
        assert yaml.safe_load(made.text)["file"] == name


_NAMES = st.text(max_size=8) | st.sampled_from(["email", "time", "event", "stage", "amount", "at"])


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    names=st.lists(_NAMES, min_size=1, max_size=5, unique=True),
    cells=st.lists(st.lists(_CELL, min_size=5, max_size=5), min_size=1, max_size=4),
)
def test_a_draft_names_the_columns_and_words_of_its_file_whatever_they_are(
    tmp_path: Path, names: list[str], cells: list[list[str]]
) -> None:
    path = tmp_path / "odd.parquet"
    columns = zip(*cells, strict=True)
    pq.write_table(pa.table(dict(zip(names, map(list, columns), strict=False))), path)
    try:
        made = draft(look_at(path), sorted(EVENT_TYPES), ["mql"], GivenAnswers("UTC"))
    except LogError:
        return
    asked = yaml.safe_load(made.text).get("questions", [])
    assert len(asked) == len(made.questions)
    if not asked:
        (tmp_path / "odd.map.yaml").write_text(made.text, "utf-8")
        for kind, found in read_mapped(
            load_mapping(tmp_path / "odd.map.yaml"), path, set()
        ).items():
            assert len(found.rows) + len(found.quarantine) >= len(cells) or kind == "events"
