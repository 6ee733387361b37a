"""The page of a programme in rounds says what ran, what the gate did and what it cost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nurture_rl.report.rounds_page import answers, rounds_markdown, rounds_page
from nurture_rl.report.rounds_source import (
    PlayedFit,
    RoundRecord,
    RoundsRecord,
    RoundTruth,
    ValueBand,
)


def band(value: float, half: float = 1.0) -> ValueBand:
    return ValueBand(value, value - half, value + half)


TRUTH = RoundTruth(band(40.0), band(38.0), band(2.0), band(60.0), band(60.0), band(20.0))
FIRST = RoundRecord(
    number=1,
    programme="drip",
    exploration=0.35,
    contacts=500,
    earned=band(38.5),
    amounts={"sends": 1.8, "complaints": 0.002},
    pooled=500,
    held_out=250,
    programme_value=band(38.4),
    challenger="cql",
    challenger_value=band(58.0),
    gain=ValueBand(19.6, 10.0, 30.0),
    level=0.975,
    effective_sample=120.0,
    verdict="released",
    reasons=(),
    drift=(),
    next_programme="cql of round 1",
    truth=TRUTH,
)
SECOND = replace(
    FIRST,
    number=2,
    programme="cql of round 1",
    pooled=1000,
    verdict="refused",
    reasons=("cql is not shown to earn more <than> champion.",),
    drift=("company_size in round 2 is +0.50 standard deviations from other rounds",),
    truth=replace(TRUTH, programme=band(60.0), exploration_cost=band(6.0), change=band(0.0)),
)
BOTH = RoundsRecord("shop", "Shop", "EUR", 0.95, "mixture", {"kind": "mixture"}, (FIRST, SECOND))


def test_the_first_screen_answers_in_words() -> None:
    told = dict(answers(BOTH))
    assert told["What runs now?"] == "cql of round 1, after 2 rounds."
    assert told["What did the gate do?"] == "round 1: cql of round 1."
    assert told["What did exploration cost?"].startswith("4,000 EUR in truth, 4.00 a contact")
    stayed = replace(BOTH, rounds=(replace(FIRST, next_programme="drip"),))
    assert "It let nothing through: drip" in dict(answers(stayed))["What did the gate do?"]


def test_one_more_round_narrows_the_gain_by_its_contacts() -> None:
    # Half of the width, 10, with 1,500 contacts instead of 1,000.
    assert SECOND.next_gain == pytest.approx(10.0 * (1000 / 1500) ** 0.5)
    assert replace(SECOND, gain=None).next_gain is None


def test_page_and_markdown_hold_every_round_its_reasons_and_drift() -> None:
    page, text = rounds_page(BOTH), rounds_markdown(BOTH)
    assert page == rounds_page(BOTH)
    for said in ("cql of round 1", "120", "4,000 EUR", "company_size in round 2"):
        assert said in page
        assert said in text
    assert "more &lt;than&gt; champion" in page
    assert "| 2 (1) | cql is not shown to earn more <than> champion. |" in text


def test_without_the_truth_the_page_says_so() -> None:
    blind = replace(BOTH, rounds=tuple(replace(one, truth=None) for one in BOTH.rounds))
    assert dict(answers(blind))["What did exploration cost?"].startswith("Nobody can say")
    assert "The truth that nobody was shown" not in rounds_page(blind)


def test_a_challenger_that_was_tried_is_named_beside_what_ran() -> None:
    tried = replace(BOTH, rounds=(FIRST, replace(SECOND, tried="cql of round 1b")))
    told = rounds_markdown(replace(tried, challenger_share=0.5))
    assert "a challenger takes 50.0 % of the exploration" in told
    assert "| 2 | cql of round 1 | 35.0 % | cql of round 1b |" in told
    assert "a challenger takes" not in rounds_markdown(BOTH)


def test_rounds_in_a_fitted_world_are_a_plan_and_say_how_far_it_is_trusted() -> None:
    world = PlayedFit("exported", "do_not_trust", "Do not use this world.", ("Rates are wrong.",))
    planned = replace(BOTH, world=world)
    first, *_ = answers(planned)
    assert first[0] == "How far is the fitted world to be trusted?"
    assert first[1].startswith(
        "`do_not_trust`: Do not use this world. Against it: Rates are wrong."
    )
    text = rounds_markdown(planned)
    assert "A PLAN AND NO PROOF: played in a world fitted to the log `exported`" in text
    assert "SYNTHETIC" not in text
    assert "truth" not in text.lower().replace("in truth", "")
    assert "What is it worth in the fitted world?" in text
