"""Nothing that differs between two journeys or bundles is left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nurture_envs.errors import NurtureError
from nurture_envs.journey_file import load_journey, parse_journey
from nurture_rl.papers.comparing import ComparedSide, JourneyDifference, difference
from nurture_rl.release.bundle import write_bundle
from nurture_rl.workflow.diff_verb import DiffOptions, diff
from tests.unit.release.bundles import CREATED, content, journey

OWN: dict[str, Any] = dict(journey().resolved)


def changed(**keys: Any) -> JourneyDifference:
    return difference(ComparedSide(journey()), ComparedSide(parse_journey({**OWN, **keys})))


def section(found: JourneyDifference, title: str) -> tuple[str, ...]:
    return dict(found.sections)[title]


def test_messages_rules_and_worth_are_told_in_words() -> None:
    messages = {k: v for k, v in OWN["messages"].items() if k != "integration_story"}
    messages["welcome"] = {**messages["welcome"], "offer": "none"}
    messages["thanks"] = {"job": "activate", "approval": "approved"}
    rules = [OWN["rules"][1], OWN["rules"][0], {"when": {"day": ">= 5"}, "do": "exit"}]
    kept = [rule for rule in OWN["expert"] if "integration" not in str(rule)]
    reward = {**OWN["reward"], "send_cost": 0.75}
    reward["weights"] = {**reward["weights"], "meeting_booked": 250}
    found = changed(messages=messages, rules=rules, expert=kept, reward=reward)
    assert section(found, "Messages") == (
        "integration_story is gone",
        "welcome: its offer was tour, is none",
        "thanks is new (approved): job activate, topic none, proof none, offer none, call to "
        "action none, channel email, blocks none",
    )
    told = section(found, "Rules")
    assert told[2] == "the rules, new as number 3: Where `day` is at least 5: end the journey"
    assert told[3].startswith(
        "the rules: in another order, and the first that holds wins: Where `un"
    )
    assert section(found, "What it is worth") == (
        "meeting booked was worth 300, is worth 250 EUR",
        "send cost was 0.5, is 0.75",
    )
    assert found.loosened == ()


@pytest.mark.parametrize("key", [key for key in OWN if key != "journey"])
def test_every_key_of_a_journey_that_differs_is_told(key: str) -> None:
    changes: dict[str, Any] = {
        "title": "Another title",
        "provenance": "another",
        "clock": {**OWN["clock"], "periods": 15},
        "estimand": "per_decision",
        "signals": {**OWN["signals"], "called": {"type": "call_held"}},
        "stages": {"mql": "became_mql"},
        "terminals": OWN["terminals"][:-1],
        "messages": {**OWN["messages"], "thanks": {"job": "activate"}},
        "actions": {**OWN["actions"], "exit": False},
        "features": {**OWN["features"], "country": {"kind": "attribute", "levels": ["de", "fr"]}},
        "reward": {**OWN["reward"], "escalate_cost": 21},
        "guardrails": {**OWN["guardrails"], "min_gap_hours": 41},
        "kpis": {**OWN["kpis"], "north_star": {"name": "meetings", "of": ["meeting_booked"]}},
        "limits": {},
        "drip": {0: "send:welcome@09"},
        "rules": OWN["rules"][1:],
        "expert": OWN["expert"][1:],
    }
    found = changed(**{key: changes[key]})
    assert found.guardrails or found.sections


def test_a_change_of_who_comes_in_is_told_beside_a_guardrail() -> None:
    guardrails = {**OWN["guardrails"], "min_gap_hours": 41}
    found = changed(guardrails=guardrails, enrolment={"enter": {"on": ["form_submitted"]}})
    assert any("enrolment" in line for line in section(found, "Also"))


def test_what_is_only_written_otherwise_is_said_to_mean_the_same() -> None:
    found = changed(guardrails={**OWN["guardrails"], "require_consent": True})
    assert section(found, "Also") == ("`guardrails` is written otherwise and means the same",)


def test_no_difference_is_none() -> None:
    assert difference(ComparedSide(journey()), ComparedSide(journey())).sections == ()


def test_policies_of_bundles_are_compared_with_their_shares(tmp_path: Path) -> None:
    shared = {"kind": "mixture", "policy": "drip", "other": "random"}
    sides = [
        ComparedSide(
            journey(),
            write_bundle(tmp_path / str(share), content({**shared, "share": share}), CREATED),
        )
        for share in (0.1, 0.25)
    ]
    told = section(difference(*sides), "Policy")
    assert told[0].endswith(
        "In 90 %: the fixed program of the journey. In 10 %: an allowed action by lot."
    )
    assert told[1].endswith(
        "In 75 %: the fixed program of the journey. In 25 %: an allowed action by lot."
    )
    assert told[2].startswith("the policy id was ")


def test_the_verb_prints_what_is_loosened_first_and_says_so_by_its_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loose = {
        **OWN,
        "guardrails": {**OWN["guardrails"], "min_gap_hours": 10, "quiet_hours": [19, 8]},
    }
    for name, own in (("may", OWN), ("june", loose)):
        made = replace(content(), journey=parse_journey(own))
        write_bundle(tmp_path / name, made, CREATED)
    options = DiffOptions(before=str(tmp_path / "may"), after=str(tmp_path / "june"))
    result = diff(options)
    assert result.code == 3
    assert result.made["loosened"] == 1
    assert capsys.readouterr().out.splitlines()[:4] == [
        "Guardrails that forbid LESS:",
        "  minimum gap: was 40 hours, is 10 hours",
        "Guardrails that forbid more:",
        "  quiet hours: new: 19:00",
    ]
    back = diff(replace(options, before=options.after, after=options.before))
    assert (back.code, back.made["loosened"]) == (3, 1)
    same = diff(replace(options, after=options.before))
    assert (same.code, same.made["sections"]) == (0, {})


def test_journeys_are_compared_by_name_and_what_is_neither_is_refused() -> None:
    assert diff(DiffOptions("inbound_lead", "inbound_lead")).code == 0
    assert load_journey("renewal").name == "renewal"
    with pytest.raises(NurtureError, match="no such file"):
        diff(DiffOptions("inbound_lead", "inbound_led"))
