"""The verb `map` knows the files of senders, CRMs and page streams by their rows, and asks else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nurture_rl.cli.main import main
from nurture_rl.errors import LogError
from nurture_rl.logs.mapped.mapping_file import load_mapping
from tests.unit.logs.mapped_files import ingested
from tests.unit.reported_rows import ADDRESS, CASES, documented

AT = 1_803_855_600.0
CONTACT = "0031x00000XyZaB"


def lines(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def drafted(folder: Path, name: str, text: str, *words: str) -> tuple[int, Path]:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text, "utf-8")
    mapping = folder / f"{name.partition('.')[0]}.map.yaml"
    return main(["map", f"file={folder / name}", *words]), mapping


@pytest.mark.parametrize("name", CASES)
def test_files_of_senders_are_known_by_their_rows(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row for row, _ in documented(name, AT)]
    code, mapping = drafted(tmp_path / "log", "rows.jsonl", lines(*rows))
    assert code == 0
    assert load_mapping(mapping).format == name
    told = capsys.readouterr().out
    assert f"format {name}: {len(rows)} of {len(rows)} rows read as {name} (" in told


def test_a_recognised_file_goes_in_as_it_is_drafted(tmp_path: Path) -> None:
    views = "id;campaign_id;subscriber_id;created_at\n1;3;7;2027-03-01 09:00:00+00\n"
    code, mapping = drafted(tmp_path / "log", "campaign_views.csv", views)
    assert code == 0
    assert load_mapping(mapping).separator == ";"
    assert [row["type"] for row in ingested(tmp_path / "log")["events"]] == ["open"]


def test_columns_that_files_of_others_have_too_are_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f"email,event,timestamp\n{ADDRESS},click,2027-03-01T09:00:00Z\n"
    code, mapping = drafted(tmp_path / "log", "clicks.csv", text)
    assert code == 3
    assert "Is it a file of sendgrid?" in capsys.readouterr().out
    with pytest.raises(LogError, match="format=none"):
        load_mapping(mapping)
    mapping.unlink()
    assert drafted(tmp_path / "log", "clicks.csv", text, "format=sendgrid")[0] == 0
    assert load_mapping(mapping).format == "sendgrid"
    mapping.unlink()
    assert drafted(tmp_path / "log", "clicks.csv", text, "format=none")[0] == 0
    assert load_mapping(mapping).format is None


def test_where_two_formats_fit_both_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [documented(name, AT)[0][0] for name in ("sendgrid", "mailgun")]
    code, mapping = drafted(tmp_path / "log", "rows.jsonl", lines(*rows))
    assert code == 3
    assert (
        "several fit (1 of 2 rows read as mailgun (1 sent); 1 of 2 rows read as sendgrid"
        in capsys.readouterr().out
    )
    with pytest.raises(LogError, match="Keep the one whose file it is"):
        load_mapping(mapping)


def test_stages_of_a_crm_that_the_journey_does_not_have_are_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "ContactId,StageName,CreatedDate\n" + "".join(
        f"{CONTACT},{stage},2027-03-0{day}T09:00:00.000+0000\n"
        for day, stage in enumerate(("Discovery", "Closed Won"), 1)
    )
    code, mapping = drafted(tmp_path / "log", "history.csv", text)
    assert code == 3
    assert "the file says 'Discovery'" in capsys.readouterr().out
    mapping.unlink()
    assert drafted(tmp_path / "log", "history.csv", text, "stages=[Discovery=sql]")[0] == 0
    assert load_mapping(mapping).stages == {"discovery": "sql", "closed won": "won"}


def test_a_format_that_no_row_has_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "contact_id,occurred_at,type\nc1,2027-03-01T09:00:00Z,click\n"
    for name, told in (("mailgun", "no row of own.csv can be read"), ("mailgum", "expected one")):
        assert drafted(tmp_path / "log", "own.csv", text, f"format={name}")[0] == 2
        assert told in capsys.readouterr().err
    code, mapping = drafted(tmp_path / "log", "own.csv", text)
    assert code == 0
    assert load_mapping(mapping).format is None
