"""The page shows how far the members of the learned world part, and what its judge says of it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from nurture_rl.report.ensemble import member_values, members, worst_quantile
from nurture_rl.report.page import render
from nurture_rl.report.source import ReportInput, mapping
from tests.unit.report.sample import sample
from tests.unit.report.test_page import Page

GAP: dict[str, Any] = {
    "journey": "inbound_lead",
    "verdict": {
        "trust": "do_not_trust",
        "sentence": "Do not use this world: it was fitted to 60 episodes.",
        "causes": [
            {
                "cause": "too_few_data",
                "number": 60.0,
                "threshold": 200.0,
                "sentence": "The world was fitted to 60 episodes, fewer than 200.",
                "fatal": True,
                "symptom": False,
            }
        ],
    },
    "evidence": {},
}


@cache
def with_members() -> ReportInput:
    """The sample run in a world of three members; every value parts by 2 EUR either way."""
    found = sample()
    policies = {}
    for name, row in mapping(found.evaluation, "simulator", "policies").items():
        assert isinstance(row, dict)
        value, gap = row["value"], row["difference"]
        apart = 0.0 if name == "drip" else 2.0
        policies[name] = {
            **row,
            "between": 2.0,
            "difference_between": apart,
            "by_member": {
                "value": [value - 2.0, value, value + 2.0],
                "difference": [gap - apart, gap, gap + apart],
            },
            "worst": {
                "value": value - 2.0,
                "difference": gap - apart,
                "difference_lower": gap - apart - 0.5,
                "difference_upper": gap - apart + 0.5,
            },
        }
    simulator: dict[str, Any] = {**mapping(found.evaluation, "simulator"), "policies": policies}
    simulator |= {"members": 3, "worst_quantile": 0.1}
    return replace(found, evaluation={**found.evaluation, "simulator": simulator}, gap=GAP)


@cache
def page() -> Page:
    return Page(render(with_members()))


def test_a_row_tells_the_members_range_and_the_worst_of_them() -> None:
    row = {row[0]: row for row in members(with_members()).rows}["linear_thompson (candidate)"]
    # 14.1 EUR and 4.1 more than drip; members part by 2 EUR
    assert row[2:4] == ("12.1 to 16.1", "12.1")
    assert row[5:] == ("2.00", "+2.1 [+1.6, +2.6]")


def test_the_reference_is_not_compared_with_itself() -> None:
    row = {row[0]: row for row in members(with_members()).rows}["drip (reference)"]
    assert row[4:] == ("–", "–", "–")


@pytest.mark.slow
def test_a_single_world_has_no_members_to_part() -> None:
    assert members(sample()).rows == ()
    assert member_values(sample()) is None
    assert "How far the members" not in render(sample())
    assert "count that chance alone, not how far" in render(sample())


@pytest.mark.slow
def test_the_page_says_what_the_simulators_intervals_count() -> None:
    assert "count that chance and how far the 3 members of the learned world part" in page().text
    assert worst_quantile(with_members()) == "10 % quantile over members (of up to ten, the lowest)"


def test_the_gap_stands_on_the_page_with_its_verdict_before_its_causes() -> None:
    text = page().text
    order = ["Do not trust it", "Do not use this world", "too few data", "fewer than 200"]
    places = [text.index(words, text.index("What this world may be used for")) for words in order]
    assert places == sorted(places)
    assert "gap-verdict" in page().ids()
    assert len(page().ids()) == len(set(page().ids()))
    assert page().open == []


@pytest.mark.slow
def test_a_run_without_a_gap_report_does_not_speak_of_one() -> None:
    assert "gap-verdict" not in Page(render(sample())).ids()
