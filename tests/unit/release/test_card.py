"""What the card of a policy tells its reader."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nurture_rl.release.card import card_data, card_markdown
from nurture_rl.release.gate import (
    BarEvidence,
    CandidateDifference,
    GateConfig,
    GateEvidence,
    WorldJudgement,
    gate,
)
from nurture_rl.simulator.gap.trust import Trust
from tests.unit.release.bundles import card, evidence

BAR = CandidateDifference(1.25, -0.5, 3.0, 0.95)


def page(found: GateEvidence | None) -> list[str]:
    return card_markdown(replace(card(), evidence=found)).splitlines()


def test_a_card_shows_title_data_evidence_gate_and_limits() -> None:
    assert page(evidence()) == [
        "# A test policy",
        "",
        "Data: SYNTHETIC: made for tests.",
        "Data fingerprint: `0123abcd`.",
        "",
        "## Intended use",
        "",
        "- nothing stated",
        "",
        "## Evidence",
        "",
        "core less drip, EUR per episode:",
        "",
        "| judge | difference | interval | confidence |",
        "| --- | --- | --- | --- |",
        "| held-out logs (doubly robust) | +4 | [+1.5, +6.5] | 97.5 % |",
        "| simulator | +5 | [+4, +6] | 97.5 % |",
        "",
        "It was held against no program that may be enough.",
        "",
        "Effective sample size 812.5 among 3000 held-out contacts; verdict `better`.",
        "",
        "Gate: **passed**.",
        "",
        "## What the log supports",
        "",
        "- choice of message",
        "",
        "## Limits",
        "",
        "- nobody outside the test",
        "",
        "## Harms",
        "",
        "- nothing stated",
    ]


def test_a_card_without_evidence_says_so() -> None:
    lines = page(None)
    assert "None: this policy was not compared with anything." in lines
    assert not any(line.startswith("|") for line in lines)


def test_what_must_be_known_first_stands_first_and_what_is_missing_is_left_out() -> None:
    bare = replace(card(), first="Beware.", data_fingerprint="", decision=None, limits=())
    lines = card_markdown(bare).splitlines()
    assert lines[:5] == ["# A test policy", "", "Beware.", "", "Data: SYNTHETIC: made for tests."]
    assert not any("fingerprint" in line or "Gate" in line for line in lines)
    place = lines.index("## Limits")
    assert lines[place : place + 3] == ["## Limits", "", "- nothing stated"]


def test_what_a_policy_is_for_its_data_and_its_harms_have_places_of_their_own() -> None:
    told = replace(
        card(), intended=("to choose mails",), data=("9 contacts",), harms=("none seen",)
    )
    lines = card_markdown(told).splitlines()
    assert lines[lines.index("Data fingerprint: `0123abcd`.") + 1] == "- 9 contacts"
    assert lines[lines.index("## Intended use") + 2] == "- to choose mails"
    assert lines[lines.index("## Harms") + 2] == "- none seen"


def test_a_refusal_comes_with_its_reasons() -> None:
    refused = gate(replace(evidence(), overlap_feasible=False), GateConfig())
    lines = card_markdown(replace(card(), decision=refused)).splitlines()
    place = lines.index("Gate: **refused**.")
    assert lines[place + 1] == f"- {refused.reasons[0]}"


@pytest.mark.parametrize(
    ("logged", "row"),
    [
        (BAR, "| held-out logs | +1.25 | [-0.5, +3] | 95 % |"),
        (None, "| held-out logs | the log cannot judge it | | |"),
    ],
)
def test_the_program_that_may_be_enough_has_a_table_of_its_own(
    logged: CandidateDifference | None, row: str
) -> None:
    worst = replace(BAR, value=0.5)
    found = replace(evidence(), bar=BarEvidence("expert", logged, BAR, worst))
    lines = page(found)
    place = lines.index("core less expert, the program that may be enough:")
    assert lines[place + 4 : place + 7] == [
        row,
        "| simulator | +1.25 | [-0.5, +3] | 95 % |",
        "| worst of its members | +0.5 | [-0.5, +3] | 95 % |",
    ]


def test_the_judgement_of_the_world_is_told_with_its_cause() -> None:
    world = WorldJudgement(Trust.TRAINING, "unproven", "So it is.", BAR)
    lines = page(replace(evidence(), world=world))
    assert "| worst of its members | +1.25 | [-0.5, +3] | 95 % |" in lines
    told = "The simulator against held-out logs: `trust_for_training_with_ensemble`"
    assert f"{told} (unproven)." in lines
    plain = WorldJudgement(Trust.RANKING, None, "", None)
    lines = page(replace(evidence(), world=plain))
    assert "The simulator against held-out logs: `trust_for_ranking`." in lines
    assert not any("worst" in line for line in lines)


def test_the_card_is_plain_data_too() -> None:
    data = card_data(card())
    assert data["title"] == "A test policy"
    assert data["evidence"]["logged"]["lower"] == 1.5
    assert card_data(replace(card(), evidence=None))["evidence"] is None
