"""The page says first whether a program that learned nothing is enough, and advises nothing."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from nurture_rl.report.bar_table import about_bar, against_bar
from nurture_rl.report.headline import headline
from nurture_rl.report.page import render
from nurture_rl.report.run_markdown import run_markdown
from nurture_rl.report.source import ReportInput
from nurture_rl.report.templates import coded
from nurture_rl.report.value_tables import judgements
from tests.unit.report.sample import sample, undecided

OVER = {
    "value": -3.0,
    "lower": -4.0,
    "upper": -2.0,
    "worst": {"value": -5, "lower": -6, "upper": -4},
}


def held(carried: bool = True) -> ReportInput:
    """The sample's candidate, refused because the rules earn more in the world."""
    found = sample()
    evaluation: dict[str, Any] = deepcopy(dict(found.evaluation))
    policies = evaluation["appraisal"]["evaluation"]["policies"]
    policies["rules"]["overlap"]["feasible"] = carried
    policies["linear_thompson"]["against_rules"] = {
        "value": 2.0,
        "interval": {"lower": 0.5, "upper": 3.5},
    }
    for world in ("simulator", "truth"):
        evaluation[world]["policies"]["linear_thompson"]["over_bar"] = OVER
    evaluation |= {
        "bar": {"name": "rules", "reason": "the run asks for `rules` (release.rules)"},
    }
    evaluation["appraisal"]["candidates"] = ["linear_thompson"]
    gate = {
        "verdict": "rules_are_enough",
        "passed": False,
        "exported": "rules",
        "causes": [{"sentence": "linear_thompson less rules in the simulator is -3 EUR."}],
        "judged": [{"name": "linear_thompson", "passed": False, "causes": []}],
        "left_out": {"ppo": "it acts as `drip` does"},
    }
    return replace(found, evaluation=evaluation, gate=gate)


def test_rules_that_are_enough_are_the_first_thing_said_with_what_is_served() -> None:
    found = headline(held())
    assert (found.kind, found.badge) == ("refused", "Rules are enough")
    assert found.sentence == (
        "Rules are enough: no learned policy is shown to earn more than “rules”, a program that "
        "learned nothing. The bundle holds “rules”."
    )
    assert found.reasons == ("linear_thompson less rules in the simulator is -3 EUR.",)


def test_what_nobody_can_bound_of_the_bar_is_said_with_what_is_served() -> None:
    source = held()
    kept = {"limit": "bounces", "kept": True, "sentence": "bounces: at most 0.01"}
    unknown = {"limit": "complaints", "kept": None, "sentence": "nobody can bound complaints"}
    told = replace(source, gate={**(source.gate or {}), "bar_limits": [kept, unknown]})
    assert headline(told).sentence.endswith(
        "The bundle holds “rules”. Of its limits on harm: nobody can bound complaints."
    )
    broken = unknown | {"kept": False, "sentence": "complaints: at most 0.3, 0.1 is the limit"}
    told = replace(told, gate={**(told.gate or {}), "exported": None, "bar_limits": [broken]})
    assert headline(told).sentence.endswith(
        "A limit on harm keeps it out of a bundle. Of its limits on harm: complaints: at most 0.3, "
        "0.1 is the limit."
    )


def test_each_candidate_is_shown_against_the_bar_by_every_judge() -> None:
    table = against_bar(held())
    assert table.columns == (
        "Policy",
        "By the log",
        "In the simulator",
        "In its worst member",
        "In truth",
        "Gate",
    )
    assert table.rows == (
        (
            "linear_thompson",
            "+2.0 [+0.5, +3.5]",
            "−3.0 [−4.0, −2.0]",
            "−5.0 [−6.0, −4.0]",
            "−3.0 [−4.0, −2.0]",
            "refused",
        ),
    )


def test_a_bar_that_the_log_does_not_carry_is_called_so() -> None:
    assert "both judges must put a policy above it" in about_bar(held())
    assert "The log does not carry it" in about_bar(held(carried=False))
    assert against_bar(held(carried=False)).rows[0][1] == "not carried"


def test_without_a_bar_the_page_says_why_and_shows_no_table() -> None:
    bar = {"name": None, "reason": "no bar is asked for (release.rules)"}
    found = replace(held(), evaluation={**held().evaluation, "bar": bar})
    assert about_bar(found) == "No program stands as a bar: no bar is asked for (release.rules)."
    assert against_bar(found).rows == ()


@pytest.mark.slow
def test_the_bar_stands_on_the_page_before_the_data() -> None:
    page = render(held())
    assert page.index("Each candidate less “rules”") < page.index('id="data"')
    assert page.index("it acts as <code>drip</code> does") < page.index('id="data"')


@pytest.mark.slow
def test_names_are_code_on_the_page_and_stand_in_backticks_in_its_markdown() -> None:
    page, text = render(held()), run_markdown(held())
    assert "the run asks for <code>rules</code> (release.rules)" in page
    assert "`" not in page
    assert "The bar is “rules”: the run asks for `rules` (release.rules)." in text
    assert "- ppo: it acts as `drip` does" in text
    assert "| linear_thompson | +2.0 [+0.5, +3.5] |" in text


def test_what_stands_in_backticks_is_no_way_to_write_on_the_page() -> None:
    assert coded("`<b>` & `a`b`") == "<code>&lt;b&gt;</code> &amp; <code>a</code>b`"


@pytest.mark.parametrize("trust, shown", [("trust_for_ranking", True), ("do_not_trust", False)])
def test_how_many_contacts_would_settle_it_is_not_said_where_they_would_not(
    trust: str, shown: bool
) -> None:
    found = replace(undecided(), gap={"verdict": {"trust": trust}})
    assert ("would settle it" in headline(found).sentence) is shown
    assert any("contacts in all" in line for line in judgements(found)) is shown


def test_contacts_settle_nothing_where_the_world_speaks_against_the_candidate() -> None:
    found = undecided()
    evaluation: dict[str, Any] = deepcopy(dict(found.evaluation))
    evaluation["simulator"]["policies"][found.candidate]["difference_lower"] = -0.1
    _advises_nothing(replace(found, evaluation=evaluation))


def test_contacts_settle_nothing_where_the_world_puts_the_bar_above_the_candidate() -> None:
    found = undecided()
    evaluation: dict[str, Any] = deepcopy(dict(found.evaluation))
    evaluation["simulator"]["policies"][found.candidate]["over_bar"] = OVER
    _advises_nothing(replace(found, evaluation=evaluation))


def _advises_nothing(found: ReportInput) -> None:
    assert "would settle it" not in headline(found).sentence
    (line,) = (line for line in judgements(found) if line.startswith(f"{found.candidate}: "))
    assert "difference to the reference" in line
    assert "contacts in all" not in line


def held_against(found: ReportInput, over: dict[str, Any]) -> ReportInput:
    appraisal = {**found.appraisal, "over_programs": over}
    return replace(found, evaluation={**found.evaluation, "appraisal": appraisal})


def test_a_program_that_the_log_puts_above_the_candidate_is_what_the_page_says_first() -> None:
    found = undecided()
    more = {"value": -2.0, "interval": {"lower": -3.0, "upper": -1.0}}
    assert found.candidate is not None
    over = {found.candidate: {"no_contact": more}}
    beaten = held_against(found, over)
    _advises_nothing(beaten)
    told = headline(beaten)
    assert told.badge == "Refused"
    assert "the log shows that a program that learned nothing earns more" in told.sentence
    open_ = {found.candidate: {"no_contact": more | {"interval": {"lower": -3.0, "upper": 1.0}}}}
    other = held_against(found, open_)
    assert headline(other) == headline(found)
