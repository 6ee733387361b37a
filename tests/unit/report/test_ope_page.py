"""The off-policy report says its verdict first, hides nothing, and asks nothing from outside."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from nurture_rl.report.headline import ope_headline
from nurture_rl.report.ope_page import ope_markdown, ope_page, write_ope_report
from nurture_rl.report.ope_source import OpeSource
from nurture_rl.report.ope_tables import values
from tests.unit.report.ope_sample import document

SECTIONS = [
    "kpis",
    "values",
    "checks",
    "comparison",
    "estimators",
    "overlap",
    "weeks",
    "segments",
    "lift",
    "risk",
    "refused",
    "intervals",
    "log",
]


@cache
def page() -> str:
    """The page of the document."""
    return ope_page(document())


def judged(verdict: str, **judgement: Any) -> dict[str, Any]:
    """The document with another verdict on its candidate."""
    found = deepcopy(document())
    found["appraisal"]["verdict"] = verdict
    candidate = found["appraisal"]["candidate"]
    policy = found["appraisal"]["evaluation"]["policies"][candidate]
    policy["judgement"] |= {"verdict": verdict} | judgement
    return found


@pytest.mark.slow
def test_the_page_holds_every_section_in_the_order_a_sceptic_reads() -> None:
    assert re.findall(r'<h2 id="([a-z]+)"', page()) == ["verdict", *SECTIONS, "run"]
    assert page().index('class="badge"') < page().index('<h2 id="values"')


def test_the_page_asks_nothing_from_outside_and_escapes_names() -> None:
    text = re.sub(r"<svg.*?</svg>", "", page(), flags=re.DOTALL)
    assert not re.findall(r'(?:src|href)="(?!#|data:)', text)
    assert "late_<b>" not in text
    assert "SYNTHETIC" in page()


@pytest.mark.slow
def test_the_same_document_gives_the_same_page() -> None:
    assert ope_page(document()) == page()


def test_figures_do_not_share_identifiers() -> None:
    names = re.findall(r' id="([^"]+)"', page())
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("verdict", "badge", "words"),
    [
        ("better", "Better", "earns more than what was logged: +"),
        ("not_better", "Not better", "does not earn more than what was logged"),
        ("cannot_tell_yet", "Cannot tell yet", "does not say whether"),
        ("rules_are_enough", "Rules are enough", "“plain” is enough: over it “late_<b>” gains"),
    ],
)
def test_each_verdict_has_its_badge_and_sentence(verdict: str, badge: str, words: str) -> None:
    found = ope_headline(OpeSource(judged(verdict)))
    assert found.badge == badge
    assert words in found.sentence


@pytest.mark.slow
def test_what_would_settle_it_is_said_where_it_is_open() -> None:
    open_ = judged("cannot_tell_yet", contacts_needed=5000)
    open_["appraisal"]["settling"] = ["Explore: log 3 contacts."]
    found = ope_headline(OpeSource(open_))
    assert found.settles == (
        "About 5,000 contacts in all would show such a difference with 80 % power; "
        "this log has 900.",
        "Explore: log 3 contacts.",
    )
    assert "What would settle it" in ope_page(open_)
    assert "What would settle it" not in page()


@pytest.mark.slow
def test_the_head_counts_one_as_one() -> None:
    found = deepcopy(document())
    assert "1,800 decisions of 900 contacts · 4 target policies" in ope_page(found)
    judged = found["appraisal"]["evaluation"]
    judged |= {"n_decisions": 1, "n_clusters": 1}
    judged["policies"] = {"early": judged["policies"]["early"]}
    assert "1 decision of 1 contact · 1 target policy" in ope_page(found)


def test_a_candidate_that_the_log_does_not_carry_gets_no_number() -> None:
    found = ope_headline(OpeSource(document("wild")))
    assert found.badge == "Cannot tell yet"
    assert "too few logged contacts" in found.sentence
    assert found.settles


def test_what_was_refused_is_named_with_its_reason() -> None:
    text = ope_markdown(document())
    part = text[text.index("## What was refused") : text.index("## How the intervals")]
    assert "| wild | overlap | effective sample size" in part
    assert "| bad propensity | 3 | 17 | bad propensity: 0 is outside (0, 1] |" in part


def test_markdown_tells_the_same_without_pictures() -> None:
    text = ope_markdown(document())
    assert text.startswith("# What the log says about “late_<b>”")
    assert "**Better.**" in text
    assert "svg" not in text
    tables = [line for line in text.splitlines() if line.startswith("| ---") or "| :---" in line]
    assert len(tables) >= 12
    for head, ruled in zip(text.splitlines(), text.splitlines()[1:], strict=False):
        if ruled.startswith("| :---"):
            assert head.count("|") == ruled.count("|")


def test_lift_shares_add_up_in_the_table() -> None:
    lift = document()["appraisal"]["lift"]
    total = sum(share["value"] for share in lift["shares"])
    assert total == pytest.approx(lift["total"]["value"])
    assert "| routing |" in ope_markdown(document())


@pytest.mark.slow
def test_parts_that_were_not_made_are_left_out_and_named() -> None:
    bare = deepcopy(document())
    bare["appraisal"] |= {"weeks": {}, "segments": {}, "lift": None, "harms": {}, "tails": {}}
    bare["appraisal"]["skipped"] = {"weeks": "the log does not say when"}
    found = ope_page(bare)
    left = [one for one in SECTIONS if one not in ("weeks", "segments", "lift", "risk")]
    assert re.findall(r'<h2 id="([a-z]+)"', found) == ["verdict", *left, "run"]
    assert "weeks: the log does not say when" in found


def test_an_almost_empty_document_is_still_a_page() -> None:
    found = {"title": "Nothing", "appraisal": {}, "log": {}, "run": {}}
    assert "Cannot tell yet" in ope_page(found)
    assert ope_markdown(found).startswith("# Nothing")


@pytest.mark.slow
def test_the_files_are_written_whole(tmp_path: Path) -> None:
    made = write_ope_report(document(), tmp_path / "out")
    assert [path.name for path in made] == ["ope.html", "ope.md", "ope.json"]
    assert json.loads(made[2].read_text("utf-8")) == document()
    assert made[0].read_text("utf-8") == page()
    assert not list((tmp_path / "out").glob(".*"))


def test_numbers_that_are_not_to_be_believed_stand_in_brackets() -> None:
    text = ope_markdown(document())
    part = text[text.index("## What every estimator says") : text.index("## Whether the log")]
    header = next(line for line in part.splitlines() if line.startswith("| Estimator |"))
    place = [cell.strip() for cell in header.split("|")].index("wild")
    lines = [line for line in part.splitlines() if line.startswith("| weighting |")]
    cells = [cell.strip() for cell in lines[0].split("|")]
    assert cells[place].startswith("(")
    assert not any(cell.startswith("(") for cell in cells[1:place])


def test_a_check_that_refuses_takes_the_number_from_headline_table_and_figure() -> None:
    found = judged("cannot_tell_yet")
    bad = {"code": "propensity-likelihood", "severity": "refuse", "sentence": "wrong", "advice": ""}
    found["appraisal"]["checks"]["findings"].append(bad)
    source = OpeSource(found)
    assert "cannot be believed" in ope_headline(source).sentence
    rows = {row[0].split(" ")[0]: row for row in values(source).rows}
    assert rows["late_<b>"][1] == "withheld"
    assert rows["wild"][1] == "not carried"


def test_a_policy_that_is_the_reference_is_said_to_be_no_other() -> None:
    same = judged("not_better")
    policies = same["appraisal"]["evaluation"]["policies"]
    policies["late_<b>"]["difference"]["interval"]["method"] = "same-policy"
    found = ope_headline(OpeSource(same))
    assert (
        found.sentence == "“late_<b>” is no other policy than what was logged: the two act alike."
    )
    assert not [reason for reason in found.reasons if "estimator" in reason]


def test_what_a_check_withholds_rests_on_no_estimator() -> None:
    refused = judged("cannot_tell_yet")
    assert [one for one in ope_headline(OpeSource(refused)).reasons if "estimator" in one]
    finding = {"code": "balance", "severity": "refuse", "sentence": "'leak'", "advice": ""}
    refused["appraisal"]["checks"]["findings"].append(finding)
    assert not [one for one in ope_headline(OpeSource(refused)).reasons if "estimator" in one]
