"""A trust region that the log chose stands on the page, with the figures it was chosen by."""

from __future__ import annotations

from dataclasses import replace

from nurture_rl.report.numbers import MISSING
from nurture_rl.report.page import render
from nurture_rl.report.region_table import chosen_regions
from nurture_rl.report.run_markdown import run_markdown
from nurture_rl.report.source import ReportInput
from tests.unit.report.sample import sample

SOFT = {"max_ratio": 16.0, "temperature": 12.5}
FOUND = {
    "size": SOFT,
    "reason": "ratio 16, temperature 12.5: of it most can be shown",
    "reference": "drip",
    "unit": "EUR",
    "episodes": 1250,
    "release_episodes": 2500,
    "regions": [
        {"size": SOFT, "ess": 300.0, "expected_ess": 600.0, "carried": True, "reason": "met",
         "difference": 12.0, "lower": 4.5},
        {"size": {"max_ratio": 32.0, "temperature": None}, "ess": 3.0, "expected_ess": 6.0,
         "carried": False, "reason": "effective sample size 6.0 is below 100",
         "difference": "nan", "lower": "nan"},
    ],
}  # fmt: skip


def chosen() -> ReportInput:
    return replace(sample(), regions={"cql": FOUND})


def test_every_region_is_told_with_what_it_would_show_or_why_not() -> None:
    (found,) = chosen_regions(chosen())
    assert found.regions.rows == (
        ("16.0 (taken)", "12.5", "600", "+12.0", "+4.50", "yes"),
        ("32.0", MISSING, "6", MISSING, MISSING, "effective sample size 6.0 is below 100"),
    )
    assert found.regions.columns[3] == "Difference to drip"
    assert "1,250 training episodes that the policy was not learned from" in found.sentence
    assert found.sentence.endswith("ratio 16, temperature 12.5: of it most can be shown.")


def test_the_page_and_its_markdown_show_them_and_a_page_without_says_nothing() -> None:
    heading = "The trust region of “cql”"
    for text in (render(chosen()), run_markdown(chosen())):
        assert heading in text
        assert "effective sample size 6.0 is below 100" in text
    for text in (render(sample()), run_markdown(sample())):
        assert "The trust region of" not in text
