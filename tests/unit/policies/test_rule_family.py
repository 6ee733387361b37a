"""The family of tuned rules: which dials a journey has, and what each does to a program."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nurture_envs.actions import ActionCatalog
from nurture_envs.features.spec import FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.journey_file import load_journey, shipped_journeys
from nurture_rl.policies.build import build_policy
from nurture_rl.policies.rule_family import RuleFamily
from tests.unit.envs.toy_journey import toy
from tests.unit.policies.planted_journeys import INBOUND, changed, context_of

CALL = {"when": {"ever_asked": ">= 1", "days_since_escalation": ">= 14"}, "do": "escalate"}
STOP = {"when": {"ever_objected": ">= 1"}, "do": "pause:3"}
PRICING = {"when": {"form_topic=pricing": ">= 1"}, "do": "send:pricing_guide@15"}
CAREFUL = changed(expert=[STOP, CALL, PRICING])


def family(journey: Journey) -> RuleFamily:
    return RuleFamily(journey, ActionCatalog.of(journey), FeatureSpec.of(journey))


def rules(journey: Journey, base: str, **setting: Any) -> list[Any]:
    """The rules of a program, and that it waits where none matches."""
    program = family(journey).program(base, {k.replace("__", ":"): v for k, v in setting.items()})
    assert program["otherwise"] == "pause:1"
    return list(program["rules"])


@pytest.mark.parametrize("base", ["expert", "rules", "drip"])
def test_with_every_dial_off_a_base_is_the_program_of_its_name(base: str) -> None:
    context = context_of(INBOUND)
    rng = np.random.default_rng(4)
    x = rng.integers(0, 14, (400, len(context.feature_spec.columns))).astype(np.float32)
    mask = rng.random((400, len(context.catalog))) < 0.5
    mask[:, context.catalog.wait] = True
    made = build_policy(family(INBOUND).program(base, {}), context)
    named = build_policy(base, context)
    found = made.action_probabilities(x, mask)
    assert np.array_equal(found, named.action_probabilities(x, mask))
    assert found[:, context.catalog.wait].mean() < 0.95  # it does something


def test_a_call_from_a_bin_takes_the_place_of_the_calls_of_the_base() -> None:
    once = {"when": {"day": ">= 5", "days_since_escalation": ">= 14"}, "do": "escalate"}
    assert rules(CAREFUL, "expert", call=5) == [STOP, once, PRICING]
    assert rules(CAREFUL, "expert", call="never") == [STOP, PRICING]
    assert rules(CAREFUL, "expert", call=None) == [STOP, CALL, PRICING]
    assert rules(CAREFUL, "told", call=5)[0] == once


def test_a_call_is_made_in_its_bin_alone_where_nobody_can_know_of_it_later() -> None:
    assert rules(toy(), "drip", call=2)[0] == {"when": {"bin": "== 2"}, "do": "escalate"}


def test_a_call_is_made_once_for_good_where_a_feature_never_forgets_it() -> None:
    features = {**INBOUND.resolved["features"], "was_called": {"kind": "ever", "of": ["escalated"]}}
    once = {"when": {"day": ">= 5", "was_called": "< 1"}, "do": "escalate"}
    assert rules(changed(features=features), "told", call=5)[0] == once


def test_breaks_stand_before_the_first_mail_and_behind_what_comes_earlier() -> None:
    gap = {"when": {"days_since_send": "< 3"}, "do": "pause:1"}
    patience = {"when": {"unanswered_sends": ">= 2"}, "do": "pause:3"}
    assert rules(CAREFUL, "expert", gap=3, patience=2) == [STOP, CALL, patience, gap, PRICING]


def test_the_hour_is_that_of_every_mail() -> None:
    assert [rule["do"] for rule in rules(INBOUND, "drip", hour=15)] == [
        "send:welcome@15",
        "send:security_brief@15",
        "send:integration_story@15",
        "send:book_a_call@15",
    ]


def test_told_mails_on_the_topic_that_was_named_and_rest_to_everybody_else() -> None:
    found = rules(INBOUND, "told", rest="welcome", mail__product="book_a_call")
    assert found == [
        {"when": {"form_topic=security": ">= 1"}, "do": "send:security_brief@09"},
        {"when": {"form_topic=integration": ">= 1"}, "do": "send:integration_story@09"},
        {"when": {"form_topic=pricing": ">= 1"}, "do": "send:pricing_guide@09"},
        {"when": {"form_topic=product": ">= 1"}, "do": "send:book_a_call@09"},
        {"when": {}, "do": "send:welcome@09"},
    ]


def test_a_flag_named_like_a_topic_tells_it_too() -> None:
    found = rules(load_journey("hillstrom"), "told")
    assert found == [
        {"when": {"mens": ">= 1"}, "do": "send:mens_email@now"},
        {"when": {"womens": ">= 1"}, "do": "send:womens_email@now"},
    ]


def test_a_journey_of_ones_own_without_rules_expert_or_topics_has_a_family() -> None:
    plain = family(toy(rules=[], drip={}))
    assert plain.bases == ("told",)
    assert [dial.name for dial in plain.dials] == ["call", "rest", "patience", "hour"]
    assert plain.program("told", {"rest": "blue"})["rules"] == [
        {"when": {}, "do": "send:blue@09"},
    ]
    assert plain.program("told", {})["rules"] == []


def test_the_dials_of_a_journey_and_their_choices() -> None:
    # 14 bins of a day: calls from eighths of them, breaks of a seventh and more of them.
    approved = ("welcome", "security_brief", "integration_story", "pricing_guide", "book_a_call")
    assert [(dial.name, dial.choices) for dial in family(INBOUND).dials] == [
        ("call", (None, "never", 0, 1, 3, 5, 7, 10)),
        ("rest", (None, *approved)),
        ("mail:product", ("welcome", "book_a_call")),
        ("gap", (None, 2, 3, 7)),
        ("patience", (None, 1, 2, 3)),
        ("hour", (None, 9, 15)),
    ]


def test_nothing_stands_behind_a_pause_or_the_drip_for_everybody() -> None:
    send = {"when": {}, "do": "send:welcome@09"}
    for last in ({"when": {}, "do": "pause:1"}, {"when": {}, "do": "drip"}):
        written = changed(expert=[STOP, last, PRICING])
        assert rules(written, "expert", rest="welcome") == [STOP, last]
    # A mail for everybody may be forbidden: the next rule then takes its place.
    assert rules(changed(expert=[send, PRICING]), "expert") == [send, PRICING]


def test_without_a_bin_only_what_follows_no_drip_can_be_a_base() -> None:
    features = {k: v for k, v in INBOUND.resolved["features"].items() if k != "day"}
    drip = {"when": {}, "do": "drip"}

    def bases(**changes: Any) -> tuple[str, ...]:
        return family(changed(**changes)).bases

    with_both = {"expert": [STOP, PRICING], "rules": [STOP, drip]}
    assert bases(**with_both) == ("expert", "rules", "drip", "told")
    assert bases(features=features, **with_both) == ("expert", "told")
    once = {**INBOUND.resolved["clock"], "periods": 1}
    first = {"drip": {0: "send:welcome@09"}, **with_both}
    assert bases(features=features, clock=once, **first) == ("expert", "rules", "drip", "told")


def test_messages_that_nobody_approved_and_single_choices_are_no_choice() -> None:
    messages = {**INBOUND.resolved["messages"]}
    messages["book_a_call"] = {**messages["book_a_call"], "approval": "withdrawn"}
    found = {dial.name: dial.choices for dial in family(changed(messages=messages)).dials}
    assert "book_a_call" not in found["rest"]
    assert "mail:product" not in found


@pytest.mark.parametrize("name", shipped_journeys())
def test_every_choice_of_every_shipped_journey_is_a_policy_and_no_dial_idle(
    name: str,
) -> None:
    journey = load_journey(name)
    made, context = family(journey), context_of(journey)
    for dial in made.dials:
        assert dial.choices[0] is None or dial.name.startswith("mail:")
        turned = [
            made.program(base, {dial.name: choice})
            for choice in dial.choices[1:]
            for base in made.bases
        ]
        for program in turned:
            assert build_policy(program, context).spec() == program
        asis = [made.program(base, {}) for base in made.bases]
        assert any(program not in asis for program in turned)
