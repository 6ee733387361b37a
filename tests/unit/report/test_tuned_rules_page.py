"""The rules that a search found stand on the page, with the numbers they were found by."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nurture_rl.report.page import render
from nurture_rl.report.run_markdown import run_markdown
from nurture_rl.report.source import ReportInput
from nurture_rl.report.tuned_table import tuned_rules
from tests.unit.report.sample import sample

DIALS = [
    {"name": "call", "meaning": "from which bin to call", "choices": [None, "never", 3]},
    {"name": "gap", "meaning": "bins between two mails", "choices": [None, 2, 7]},
]
FOUND = {
    "program": {
        "kind": "rules",
        "rules": [
            {"when": {"day": ">= 3", "ever_called": "< 1"}, "do": "escalate"},
            {"when": {}, "do": "send:welcome@09"},
        ],
        "otherwise": "pause:1",
    },
    "base": "told",
    "setting": {"call": 3, "gap": None},
    "value": 31.4,
    "stderr": 1.25,
    "dials": DIALS,
    "trials": [
        {"base": "told", "dial": "call", "setting": {"call": "never"}, "gain": -4.0, "kept": False},
        {
            "base": "told",
            "dial": "call",
            "setting": {"call": 3},
            "gain": 2.25,
            "gain_stderr": 0.5,
            "kept": True,
        },
        # Tried again in the second round.
        {"base": "told", "dial": "call", "setting": {"call": "never"}, "gain": -6.0, "kept": False},
    ],
    "spec": {"kind": "trust_region", "max_ratio": 3.0},
}


def searched() -> ReportInput:
    return replace(sample(), tuned={"tuned_rules": FOUND})


def test_the_rules_are_told_in_their_order_with_what_else_is_done() -> None:
    (found,) = tuned_rules(searched())
    assert found.rules.rows == (
        ("1", "`day >= 3` and `ever_called < 1`", "`escalate`"),
        ("2", "always", "`send:welcome@09`"),
        ("else", "no rule above matches", "`pause:1`"),
    )


def test_the_dials_are_told_with_what_turning_them_gained() -> None:
    (found,) = tuned_rules(searched())
    assert found.dials.rows == (
        ("call", "from which bin to call", "3", "+2.25 ± 0.500"),
        ("gap", "bins between two mails", "as in the base", "–"),
    )
    assert found.sentence == (
        "The base `told` with 1 of 2 dials turned: what was left after 2 changes were tried in the "
        "learned world. There the rules below earn 31.4 ± 1.25 EUR per episode, a little too much: "
        "they were chosen by it. The policy follows them within a ratio of 3 to the logging "
        "policy, so that the log can judge it."
    )


@pytest.mark.slow
def test_page_and_markdown_hold_the_rules_and_without_them_no_word() -> None:
    page, text = render(searched()), run_markdown(searched())
    title = "The rules that were found for “tuned_rules”"
    assert title in page
    assert title in text
    assert "<code>day &gt;= 3</code> and <code>ever_called &lt; 1</code>" in page
    assert "| 1 | `day >= 3` and `ever_called < 1` | `escalate` |" in text
    assert title not in render(sample())
    assert title not in run_markdown(sample())
