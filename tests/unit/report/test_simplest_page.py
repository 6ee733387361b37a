"""The first screen of a report says which policy is enough, and a table what that rests on."""

from __future__ import annotations

import copy
from typing import Any

from nurture_rl.report.headline import ope_headline
from nurture_rl.report.ope_page import ope_markdown, ope_page
from nurture_rl.report.ope_source import OpeSource
from tests.unit.report.ope_sample import document

SENTENCE = "The simplest policy that is enough is “plain” (3 rules): 0.2 is tolerated."


def with_choice() -> dict[str, Any]:
    made = copy.deepcopy(document())
    rows = [
        ("plain", "3 rules", -0.01, 0.15),
        ("late_<b>", "a network", 0.4, 0.9),
        ("wild", "", 2.0, 3.0),
    ]
    made["appraisal"]["simplest"] = {
        "tolerance": 0.2,
        "level": 0.95,
        "name": "plain",
        "shown": True,
        "policies": [
            {"name": name, "says": says, "estimate": gap, "at_least": gap - 0.5, "at_most": most}
            for name, says, gap, most in rows
        ],
        "sentence": SENTENCE,
    }
    return made


def test_the_sentence_stands_before_what_would_settle_the_verdict() -> None:
    made = with_choice()
    assert ope_headline(OpeSource(made)).simplest == SENTENCE
    page, text = ope_page(made), ope_markdown(made)
    assert SENTENCE in text
    assert SENTENCE in page
    assert page.index(SENTENCE) < page.index('aria-label="Contents"')


def test_the_table_tells_each_policy_from_the_simplest_on() -> None:
    text = ope_markdown(with_choice())
    assert "| plain | 3 rules | \u22120.0100 | +0.150 | yes |" in text
    assert "none to recommend" in text
    assert "not shown" in text


def test_without_a_choice_nothing_is_said() -> None:
    made = document()
    assert ope_headline(OpeSource(made)).simplest == ""
    assert "Behind the best" not in ope_markdown(made)
