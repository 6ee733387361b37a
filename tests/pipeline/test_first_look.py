"""From two files as people have them to a report: what a log without decisions tells."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from nurture_rl.cli.verb_record import DONE, REFUSED
from tests.pipeline.in_process import Ended, nurture

_FILES = {
    "clicks.csv": "E-Mail;Datum\nada@x.example;05.03.2026 09:30\nbob@x.example;06.03.2026 10:00\n",
    "stages.csv": (
        "E-Mail;Phase;Datum\n"
        "ada@x.example;Lead;01.03.2026 08:00\nada@x.example;MQL;09.03.2026 08:00\n"
        "bob@x.example;Lead;02.03.2026 08:00\ncyd@x.example;Lead;25.03.2026 08:00\n"
    ),
}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in _FILES.items():
        Path(name).write_text(text, "utf-8")
    return tmp_path


def began(*words: str) -> Ended:
    return nurture("init", "out=spring", "files=[clicks.csv,stages.csv]", *words)


def typed_next(ended: Ended) -> list[str]:
    """The line that the verb says to type."""
    (line,) = re.findall(r"^  nurture (pipeline .*)$", ended.stdout, re.MULTILINE)
    return str(line).split()


def test_two_files_of_a_mail_program_and_a_crm_become_a_report(files: Path) -> None:
    first = began("zone=Europe/Berlin")
    assert first.code == DONE, first.stdout + first.stderr
    ended = nurture(*typed_next(first))
    assert ended.code == 4, ended.stderr
    (folder,) = files.glob("runs/stages/first_look-*")
    look = json.loads((folder / "first_look.json").read_text("utf-8"))
    assert (look["contacts"], look["with_events"], look["with_consent"]) == (3, 3, 0)
    assert {one["type"]: one["events"] for one in look["types"]} == {"click": 2, "stage_changed": 4}
    # 1 March 08:00 to 9 March 08:00, and nobody became more.
    assert look["stages"] == [
        {"stage": "mql", "contacts": 1, "median_days": 8.0},
        {"stage": "sql", "contacts": 0, "median_days": None},
    ]
    # Two weeks passed for the first two; the third came on the last day.
    assert [(one["reached"], one["watched"]) for one in look["figures"]] == [(0, 2)] * 3
    missing = [one["what"] for one in look["missing"]]
    assert missing[:2] == ["decisions with propensities", "sends"]
    page = (folder / "first_look.html").read_text("utf-8")
    asked = re.findall(r"<dt>(.*?)</dt>", page)
    assert asked == ["What is known?", "What is not?", "What next?"]
    assert "experiment:" in (folder / "first_look.md").read_text("utf-8")


def test_other_verbs_say_that_the_log_has_no_decisions(files: Path) -> None:
    words = typed_next(began("zone=Europe/Berlin"))[1:]
    assert nurture("ingest", *words).code == DONE
    for verb in ("fit_world", "train", "export", "lift"):
        ended = nurture(verb, *words)
        assert ended.code == REFUSED
        assert "the log has no decisions" in ended.stderr or "plan" in ended.stderr


def test_questions_end_with_a_code_of_their_own_and_the_pipeline_repeats_them(files: Path) -> None:
    first = began()
    assert first.code == 3
    assert "By which clock were they written?" in first.stdout
    ended = nurture(*typed_next(first))
    assert ended.code == REFUSED
    assert "By which clock were they written?" in ended.stderr


def test_the_sample_goes_through_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = nurture("init", "out=spring")
    assert first.code == DONE
    assert nurture(*typed_next(first)).code == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("files=[gone.csv]",), "there is no gone.csv"),
        (("platform=abacus",), "platform: expected one of"),
        (("journey=nowhere",), "no such file"),
        (("stages=[mql]",), "expected words such as Prospect=mql"),
    ],
)
def test_what_cannot_be_meant_leaves_no_folder(
    files: Path, words: tuple[str, ...], said: str
) -> None:
    ended = nurture("init", "out=spring", *words)
    assert ended.code == REFUSED
    assert said in ended.stderr
    assert not (files / "spring").exists()


def test_a_mapping_is_never_written_over(files: Path) -> None:
    assert nurture("map", "file=clicks.csv", "zone=UTC").code == DONE
    again = nurture("map", "file=clicks.csv", "zone=UTC")
    assert again.code == REFUSED
    assert "clicks.map.yaml is there already" in again.stderr
