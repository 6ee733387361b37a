"""Where the truth is known the report says what rounds came to there, as recorded, and marks it."""

from __future__ import annotations

from dataclasses import replace

from experiments.rounds.cell import CellRecord
from experiments.rounds.run import HERE
from experiments.rounds.shipped import FILE, shipped
from nurture_rl.codec import read_record
from nurture_rl.report import recorded_rounds
from nurture_rl.report.page import render
from nurture_rl.report.run_markdown import run_markdown
from nurture_rl.report.source import ReportInput
from tests.unit.report.sample import sample


def records() -> list[CellRecord]:
    return [read_record(one, CellRecord) for one in sorted((HERE / "records").glob("*.json"))]


def test_what_is_shipped_is_what_is_recorded() -> None:
    """Renewed by `python -m experiments.rounds.run --report`."""
    assert FILE.read_text("utf-8") == shipped(records())


def test_the_report_of_a_reference_world_tells_of_rounds() -> None:
    cells = [one for one in records() if one.data == "reference"]
    ends = [
        one.record.rounds[-1].truth.next_programme.value
        for one in cells
        if one.arm == "rounds" and one.record.rounds[-1].truth is not None
    ]
    said = recorded_rounds.sentence(sample())
    assert f"to between {min(ends):.1f} and {max(ends):.1f} EUR a contact in truth" in said
    assert "not played in this run" in said
    shown = recorded_rounds.table(sample())
    assert len(shown.rows) == sum(one.arm in ("rounds", "one_log") for one in cells)
    assert {len(row) for row in shown.rows} == {len(shown.columns)}
    page, text = render(sample()), run_markdown(sample())
    for made in (page, text):
        assert said in made
        assert "What several logs reach" in made
    assert 'href="#rounds"' in page


def test_other_logs_are_told_nothing_of_it() -> None:
    truth_unknown = replace(
        sample(), evaluation={k: v for k, v in sample().evaluation.items() if k != "truth"}
    )
    other = replace(sample(), journey={**sample().journey, "name": "null_lead"})
    for source in (truth_unknown, other):
        assert _nothing(source)


def _nothing(source: ReportInput) -> bool:
    return (
        recorded_rounds.sentence(source) == ""
        and not recorded_rounds.table(source).rows
        and recorded_rounds.picture(source) is None
        and "What several logs reach" not in render(source) + run_markdown(source)
        and 'href="#rounds"' not in render(source)
    )
