"""The page says what the run showed, degrades in words, and trusts no text it is given."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest

from nurture_rl.report.drawing import inline
from nurture_rl.report.figures import figures
from nurture_rl.report.headline import headline
from nurture_rl.report.page import render, write_report
from nurture_rl.report.source import ReportInput
from nurture_rl.report.value_tables import values
from tests.unit.report.sample import (
    REASONS,
    long_trial,
    nothing,
    sample,
    single_step,
    undecided,
)

SECTIONS = [
    "verdict",
    "kpis",
    "data",
    "values",
    "overlap",
    "calibration",
    "mix",
    "guardrails",
    "run",
]
HOSTILE = "<script>alert(1)</script>&\"'$x_{1}$"
MAKERS = [sample, undecided, single_step, long_trial, nothing]


class Page(HTMLParser):
    """Tags, attributes and text of a page; the drawings' insides left out of the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "wbr"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"svg", "style"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))

    def ids(self) -> list[str]:
        return [value for _, attrs in self.tags if (value := attrs.get("id"))]


@cache
def page_of(make: Callable[[], ReportInput]) -> Page:
    return Page(render(make()))


@pytest.mark.slow
@pytest.mark.parametrize("make", MAKERS)
def test_a_page_is_well_formed_complete_and_asks_for_nothing(
    make: Callable[[], ReportInput],
) -> None:
    page = page_of(make)
    assert page.open == []
    assert [name for name in page.ids() if name in SECTIONS] == SECTIONS
    assert len(page.ids()) == len(set(page.ids()))
    addresses = [
        attrs[key] or ""
        for _, attrs in page.tags
        for key in ("src", "href", "xlink:href")
        if key in attrs
    ]
    assert not [at for at in addresses if not at.startswith(("#", "data:"))]
    assert "@import" not in page.html
    assert not re.findall(r"url\((?!#)", page.html)
    assert "script" not in {tag for tag, _ in page.tags}


@pytest.mark.slow
def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    first = write_report(sample(), tmp_path / "new" / "a.html").read_bytes()
    assert write_report(sample(), tmp_path / "b.html").read_bytes() == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.html", "b.md", "figures", "new"]


@pytest.mark.slow
def test_every_figure_of_the_page_lies_beside_it(tmp_path: Path) -> None:
    html = write_report(sample(), tmp_path / "report.html").read_text("utf-8")
    written = {path.name: path.read_bytes() for path in (tmp_path / "figures").iterdir()}
    assert {f"{name}.svg": svg for name, svg in figures(sample()).items()} == written
    assert all(inline(svg) in html for svg in written.values())


def test_each_seed_of_the_run_is_told() -> None:
    text = page_of(sample).text
    assert "Seed 0 Seed of the log 0 Seed of the world 0 Seed of the learner 41" in text


def test_a_released_policy_is_named_with_both_differences() -> None:
    text = page_of(sample).text
    assert "Verdict Released" in text
    assert (
        "Use “linear_thompson” in place of “drip”: for each contact's journey it earns "
        "+4.6 [+2.4, +6.8] EUR by the held-out contact log and +4.10 [+3.85, +4.34] EUR "
        "in the simulator."
    ) in text


def test_an_open_question_says_so_and_what_would_settle_it() -> None:
    text = page_of(undecided).text
    assert "Verdict Cannot tell yet" in text
    assert "too few logged contacts were treated the way it would treat them" in text
    assert "about 61,000 contacts would settle it" in text
    assert "one episode carries 7.2% of all weight" in text


@pytest.mark.slow
def test_a_candidate_that_is_not_better_is_refused_with_every_reason() -> None:
    source = sample()
    source = replace(
        source,
        evaluation={**source.evaluation, "candidate": "no_contact"},
        gate={
            "passed": False,
            "causes": [{"sentence": "The lower bound is -5.5."}, {"sentence": "So is the other."}],
        },
    )
    text = Page(render(source)).text
    assert "Verdict Refused" in text
    assert "does not show that “no_contact” earns more" in text
    assert "The lower bound is -5.5." in text
    assert "So is the other." in text


def test_a_refusal_does_not_hide_what_speaks_for_the_candidate() -> None:
    refused = replace(
        sample(), gate={"passed": False, "causes": [{"sentence": "The simulator disagrees."}]}
    )
    found = headline(refused)
    assert found.kind == "refused"
    assert (
        "the log speaks for “linear_thompson” (difference +4.6 [+2.4, +6.8] EUR" in found.sentence
    )
    assert found.reasons == ("The simulator disagrees.",)


def test_without_a_gate_or_a_candidate_nothing_is_released() -> None:
    ungated = headline(replace(sample(), gate=None))
    assert "“linear_thompson” has not been put before the gate" in ungated.sentence
    source = sample()
    without = replace(source, evaluation={**source.evaluation, "candidate": None})
    assert "this run proposes no policy in its place" in headline(without).sentence
    assert {ungated.kind, headline(without).kind} == {"open"}


def test_a_synthetic_log_is_called_so_and_a_real_one_is_not() -> None:
    banner = "These contacts are not people"
    assert banner in page_of(sample).text
    real = page_of(undecided).text
    assert banner not in real
    assert "SYNTHETIC" not in real
    assert "Provenance: Logged by a CRM, March to May" in real


def test_missing_parts_are_replaced_by_a_sentence() -> None:
    page = page_of(nothing)
    for sentence in (
        "No summary of the contact log was handed to this report.",
        "The source came without notes on what it supports.",
        "No key figures were estimated from the log.",
        "No policy was given a value, so there is nothing to draw.",
        "No overlap was measured.",
        "No learned world was judged on held-out contacts",
        "The action mix is not known for this run.",
        "The simulator reported no guardrail, or none was met.",
        "The command of this run was not recorded.",
    ):
        assert sentence in page.text
    assert not {"svg", "table"} & {tag for tag, _ in page.tags}


@pytest.mark.slow
def test_hostile_names_are_shown_as_text_everywhere() -> None:
    source = sample()
    evaluation, ope = dict(source.evaluation), {**source.ope, "reference": HOSTILE}
    for found in (evaluation["simulator"], evaluation["truth"], ope):
        policies = dict(found["policies"])  # type: ignore[index]
        policies[HOSTILE] = policies.pop("linear_thompson")
        found["policies"] = policies  # type: ignore[index]
    hostile_kpi = {"name": HOSTILE, "role": HOSTILE, "policies": {HOSTILE: {"value": 1.0}}}
    evaluation["appraisal"] = {"evaluation": ope, "kpis": [hostile_kpi]}
    evaluation["candidate"] = HOSTILE
    html = render(
        replace(
            source,
            title=HOSTILE,
            journey={**source.journey, "title": HOSTILE, "provenance": HOSTILE, "unit": HOSTILE},
            run={"command": HOSTILE, "config": HOSTILE, "versions": {HOSTILE: HOSTILE}},
            data={"notes": {"supports": [HOSTILE], "excluded": {HOSTILE: 1}}},
            calibration=[{**source.calibration[0], "head": HOSTILE}],
            evaluation=evaluation,
            gate={"passed": False, "causes": [{"sentence": HOSTILE}]},
        )
    )
    page = Page(html)
    assert "script" not in {tag for tag, _ in page.tags}
    assert "<script" not in html
    assert page.text.count(HOSTILE) >= 12


def test_undefined_numbers_become_a_dash() -> None:
    text = page_of(single_step).text
    assert not re.findall(r"\b(nan|NaN|None|inf)\b", text)
    # Values as given are 0.1, NaN and null; the north star, second, stands first.
    assert "drip (reference) – 0.100 –" in text


def test_the_north_star_stands_before_the_supporting_figures() -> None:
    text = page_of(sample).text
    assert text.index("meetings booked (north star") < text.index("positive replies (supporting")
    # Values of played policies move with their columns.
    assert "drip (reference) 0.0500 0.0800 0.0300" in text


def test_truth_stands_beside_the_estimate_only_where_it_is_known() -> None:
    known = page_of(sample).text
    assert "14.4, inside" in known
    assert "In truth" in known
    assert "In truth" not in page_of(undecided).text


def test_a_truth_outside_the_interval_is_called_so() -> None:
    source = sample()
    truth = {"policies": {"linear_thompson": {"value": 30.0}}}
    table = values(replace(source, evaluation={**source.evaluation, "truth": truth}))
    assert table.rows[5][0] == "linear_thompson (candidate)"
    assert table.rows[5][5] == "30.0, outside"


def test_quarantine_limits_and_refusals_are_told() -> None:
    text = page_of(sample).text
    for told in (
        "time stamp without a zone events 3",
        "Effects later than two weeks after the form.",
        "no consent at entry: 131",
        "They know what came after the decision: closed_won_at.",
        "2027-01-04 08:12 UTC",
        "every importance weight is 0",
    ):
        assert told in text
    assert "EXPIRED" in REASONS


def test_notes_of_an_adapter_are_read_in_their_own_form() -> None:
    notes = {
        "limits": ["Six weeks only."],
        "excluded": [{"reason": "not available", "rows": 1577}],
        "refused_columns": [],
    }
    text = Page(render(replace(nothing(), data={"notes": notes}))).text
    assert "Six weeks only." in text
    assert "not available: 1,577" in text
