"""Drafted mappings: what a file tells is written, what it does not is asked, nothing is guessed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from nurture_rl.errors import LogError
from nurture_rl.logs.mapped.looking import look_at
from tests.unit.logs.mapped_files import drafted, ingested, reasons


def asked(questions: tuple[str, ...]) -> list[str]:
    """What the questions are about."""
    return [one.split(":")[0] for one in questions]


def test_a_clear_file_needs_no_word_and_goes_in_as_it_is_drafted(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.mkdir()
    text = (
        "Email,Event,Timestamp,Campaign,First Name\n"
        "ada@x.example,Opened,2026-03-05T08:30:00Z,welcome,Ada\n"
        "bob@x.example,clicked,2026-03-06T09:00:00+01:00,welcome,Bob\n"
    )
    made = drafted(log / "mail.csv", text)
    assert made.questions == ()
    assert made.left == ("First Name",)
    (log / "mail.map.yaml").write_text(made.text, "utf-8")
    (log / "contacts.csv").write_text("contact_id\nx\n", "utf-8")
    found = ingested(log)
    assert {(row["type"], row["message_id"]) for row in found["events"]} == {
        ("open", "welcome"),
        ("click", "welcome"),
    }
    assert "Ada" not in str(found)


@pytest.mark.parametrize(
    ("cells", "ways"),
    [
        (("01/02/2026", "03/04/2026"), {"%d/%m/%Y", "%m/%d/%Y"}),
        (("01/02/2026", "13/04/2026"), {"%d/%m/%Y"}),
        (("01/02/2026", "03/14/2026"), {"%m/%d/%Y"}),
        (("05.03.2026 09:30", "31.12.2025 23:59"), {"%d.%m.%Y %H:%M"}),
        (("3/5/26 1:05 PM", "12/31/25 12:00 AM"), {"%m/%d/%y %I:%M %p"}),
        (("1772700000", "1772800000"), {"seconds"}),
        (("1772700000000", "1772800000123"), {"milliseconds"}),
        (("2026-03-05", "2026-03-06 10:00:00"), {"iso"}),
        (("soon", "later"), set()),
    ],
)
def test_every_way_to_read_times_that_fits_is_found(
    tmp_path: Path, cells: tuple[str, str], ways: set[str]
) -> None:
    path = tmp_path / "clicks.csv"
    path.write_text("id;clicked_at\n" + "".join(f"a;{cell}\n" for cell in cells), "utf-8")
    assert set(look_at(path).columns[1].times) == ways


def test_days_that_may_be_months_are_asked_and_an_answer_settles_them(tmp_path: Path) -> None:
    text = "email,clicked_at\nada@x.example,01/02/2026\nbob@x.example,03/04/2026\n"
    made = drafted(tmp_path / "a.csv", text, zone="UTC")
    assert asked(made.questions) == ["times"]
    assert "'%d/%m/%Y' or '%m/%d/%Y'" in made.questions[0]
    settled = drafted(tmp_path / "a.csv", text, zone="UTC", times="%d/%m/%Y")
    assert settled.questions == ()
    assert yaml.safe_load(settled.text)["times"] == "%d/%m/%Y"


def test_times_without_a_zone_and_unclear_words_are_asked(tmp_path: Path) -> None:
    rows = [f"a@x.example,{word},2026-03-05 10:00" for word in ("bounced", "weird")]
    text = "\n".join(["email,event,time", *rows, ""])
    made = drafted(tmp_path / "a.csv", text)
    assert sorted(asked(made.questions)) == ["type", "type", "zone"]
    assert any("hard_bounce" in one and "soft_bounce" in one for one in made.questions)


def test_a_draft_with_questions_is_not_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.mkdir()
    made = drafted(log / "clicks.csv", "email,time\na@x.example,2026-03-05 10:00\n")
    (log / "clicks.map.yaml").write_text(made.text, "utf-8")
    with pytest.raises(LogError, match="By which clock"):
        ingested(log)


def test_stages_of_a_crm_become_changes_of_stage(tmp_path: Path) -> None:
    text = (
        "Record ID,Email,Company name,Lifecycle Stage,Change date\n"
        "1,ada@x.example,Acme,Lead,2026-03-02T10:00Z\n"
        "2,ada@x.example,Acme,Marketing Qualified Lead,2026-03-04T10:00Z\n"
        "3,ada@x.example,Acme,Prospect,2026-03-05T10:00Z\n"
    )
    made = drafted(tmp_path / "crm.csv", text)
    assert asked(made.questions) == ["stage"]
    assert "'Prospect'" in made.questions[0]
    said = drafted(tmp_path / "crm.csv", text, stages={"Prospect": "sql"})
    (events,) = yaml.safe_load(said.text)["tables"]["events"]
    assert said.questions == ()
    assert events["event_id"] == "Record ID"  # each row has its own, and the address says who
    assert events["stage"]["values"] == {
        "Lead": "lead",
        "Marketing Qualified Lead": "mql",
        "Prospect": "sql",
    }


def test_columns_of_moments_that_name_what_happened_are_events_each(tmp_path: Path) -> None:
    text = (
        "Contact ID,Became a Marketing Qualified Lead date,Sent at,Opened at,Industry\n"
        "1,2026-03-01,2026-03-02,2026-03-03,retail\n2,,2026-03-02,,health\n"
    )
    made = drafted(tmp_path / "hub.csv", text, zone="UTC")
    tables = yaml.safe_load(made.text)["tables"]
    told = {(row["occurred_at"], row["type"]["is"], row["if_given"]) for row in tables["events"]}
    became = "Became a Marketing Qualified Lead date"
    assert told == {
        (became, "stage_changed", became),
        ("Sent at", "sent", "Sent at"),
        ("Opened at", "open", "Opened at"),
    }
    assert tables["events"][0]["stage"] == {"is": "mql"}
    assert tables["contacts"] == [{"contact_id": "Contact ID", "keep": ["Industry"]}]


@pytest.mark.parametrize(
    ("cells", "decimal", "questions"),
    [
        (("1.234,50", "2,00"), ",", []),
        (("1,234.50", "2.00"), ".", []),
        (("1,200", "3,500"), None, ["decimal"]),
        (("12", "40"), ".", []),
    ],
)
def test_decimal_signs_are_told_apart_or_asked(
    tmp_path: Path, cells: tuple[str, str], decimal: str | None, questions: list[str]
) -> None:
    rows = "".join(f'a@x.example;2026-03-0{i}T10:00Z;"{cell}"\n' for i, cell in enumerate(cells, 1))
    made = drafted(tmp_path / "orders.csv", f"email;ordered_on;revenue\n{rows}")
    assert asked(made.questions) == questions
    if decimal is not None:
        assert yaml.safe_load(made.text)["decimal"] == decimal


def test_a_file_that_is_not_utf8_shows_how_it_would_read(tmp_path: Path) -> None:
    made = drafted(tmp_path / "a.csv", "id,ort\n1,Köln\n".encode("cp1252"))
    assert "encoding" in asked(made.questions)
    assert "Köln" in made.questions[0]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators_are_told_apart(tmp_path: Path, separator: str) -> None:
    rows = ["id", "note", "at"], ["1", "one, two; three", "2026-01-01"], ["2", "x", "2026-01-02"]
    text = "".join(separator.join(f'"{cell}"' for cell in row) + "\n" for row in rows)
    path = tmp_path / "a.csv"
    path.write_text(text, "utf-8")
    look = look_at(path)
    assert look.separator == separator
    assert [column.name for column in look.columns] == ["id", "note", "at"]


def test_one_row_in_a_hundred_that_is_no_time_hides_no_column_of_times(tmp_path: Path) -> None:
    rows = [f"c{i},2026-03-{i % 28 + 1:02d}T10:{i % 60:02d}Z" for i in range(99)] + ["c,unknown"]
    log = tmp_path / "log"
    log.mkdir()
    made = drafted(log / "clicks.csv", "id,clicked_on\n" + "\n".join(rows) + "\n")
    assert made.questions == ()
    (log / "clicks.map.yaml").write_text(made.text, "utf-8")
    (log / "contacts.csv").write_text("contact_id\nx\n", "utf-8")
    assert reasons(ingested(log)["quarantine"]) == [(101, "wrong time")]


def test_a_column_of_yes_and_no_names_nobody(tmp_path: Path) -> None:
    rows = "".join(f"{'Ja' if i % 3 else 'Nein'};a{i}@x.example\n" for i in range(12))
    made = drafted(tmp_path / "crm.csv", f"Kunde;E-Mail\n{rows}")
    assert "key:email: E-Mail" in made.text
    assert "contact_id" not in made.text
    assert "keep: [Kunde]" in made.text


def test_the_one_column_of_times_beside_stages_says_when_by_the_clock_that_was_named(
    tmp_path: Path,
) -> None:
    rows = "".join(f"a{i % 4}@x.example;MQL;2026-03-0{1 + i % 8}\n" for i in range(12))
    text = f"E-Mail;Stage;Verändert\n{rows}"
    made = drafted(tmp_path / "crm.csv", text)
    assert asked(made.questions) == ["zone"]
    assert "occurred_at: Verändert" in made.text
    assert "times: iso" in made.text
    two = "E-Mail;Stage;Verändert;Nochmal\n" + rows.replace("\n", ";2026-03-01\n")
    (question,) = drafted(tmp_path / "two.csv", two).questions
    assert "'Verändert' can be read as times (iso); 'Nochmal' can be read as times" in question


@pytest.mark.parametrize("later", [300, 30])
def test_times_that_are_written_in_another_way_later_are_asked_about(
    tmp_path: Path, later: int
) -> None:
    clock = [f"{i // 60:02d}:{i % 60:02d}" for i in range(700)]
    first = [f"a@x.example,click,2026-03-01T{one}:00Z" for one in clock]
    last = [f"b@x.example,click,05.04.2026 {one}" for one in clock[:later]]
    text = "\n".join(["email,event,time", *first, *last]) + "\n"
    (question,) = drafted(tmp_path / "clicks.csv", text, zone="UTC").questions
    if later == 300:
        assert "written in more than one way (700 of 1000 iso, 300 of 1000 %d.%m.%Y" in question
    else:
        assert f"{later} of 730 different cells of 'time' are not written as iso" in question
        assert "'05.04.2026 00:00'" in question


def test_seconds_and_milliseconds_in_one_column_are_told(tmp_path: Path) -> None:
    seconds = [1_767_600_000 + 100 * i for i in range(40)]
    cells = [*seconds, *(1000 * (one + 7) for one in seconds)]
    rows = "".join(f"a{i % 9}@x.example,click,{cell}\n" for i, cell in enumerate(cells))
    (question,) = drafted(tmp_path / "clicks.csv", f"email,event,time\n{rows}").questions
    assert "(40 of 80 milliseconds, 40 of 80 seconds)" in question
