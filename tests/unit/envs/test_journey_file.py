"""Journey files: what is accepted, what is inherited, and every mistake told at once."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from nurture_envs.actions import ActionCatalog
from nurture_envs.errors import JourneyError
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import HarmLimit
from nurture_envs.journey_file import load_journey, parse_journey, shipped_journeys
from nurture_envs.worlds.reference import REFERENCE_WORLDS
from tests.unit.envs.toy_journey import TOY, toy, toy_data

KPI = {"name": "clicks", "of": ["clicked"]}
SECOND_JOURNEY = """\
extends: inbound_lead
journey: trial_nudge
title: A trial that went quiet
clock: {periods: 7}
messages:
  nudge: {job: re_engage, topic: product, approval: approved, blocks: intro}
  welcome: {approval: withdrawn}
features:
  nudges_3d: {kind: count, of: [sent_product], window: 3}
drip: {0: "send:nudge@09", 7: "pause:1"}
rules: []
"""


def problems(**changes: Any) -> tuple[str, ...]:
    with pytest.raises(JourneyError) as refused:
        toy(**changes)
    return refused.value.problems


def only(**changes: Any) -> str:
    """The single problem that a change makes."""
    found = problems(**changes)
    assert len(found) == 1, found
    return found[0]


def written(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("name", shipped_journeys())
def test_every_shipped_journey_loads_and_can_be_played(name: str) -> None:
    journey = load_journey(name)
    assert journey.name == name
    assert "pause:1" in ActionCatalog.of(journey).ids
    assert len(FeatureSpec.of(journey).columns) == len(set(FeatureSpec.of(journey).columns))
    assert all(bin_ < journey.clock.horizon for bin_, _ in journey.drip)


def test_the_shipped_journeys_are_those_of_the_public_logs_and_of_the_reference_worlds() -> None:
    public = {"heartsteps", "hillstrom", "starbucks_offers"}
    assert set(shipped_journeys()) == public | set(REFERENCE_WORLDS)


def test_three_mistakes_are_told_in_one_error_with_keys_and_hints(tmp_path: Path) -> None:
    mistaken = """\
extends: inbound_lead
messages: {welcome: {job: actvate}}
reward: {weights: {meeting_bookt: 1}}
drip: {0: "send:welcom@09"}
guardrail: {require_consent: false}
"""
    with pytest.raises(JourneyError) as refused:
        load_journey(written(tmp_path, mistaken))
    assert len(refused.value.problems) == 3
    text = str(refused.value)
    assert "mine.yaml: 3 problems; mend each and load again" in text
    assert "  - messages.welcome.job: expected one of" in text
    assert "got 'actvate'; did you mean 'activate'?" in text
    assert "  - reward.weights.meeting_bookt: no signal is called 'meeting_bookt'; " in text
    assert "did you mean 'meeting_booked'?" in text
    assert "  - guardrail: no such key; did you mean 'guardrails'?" in text


def test_what_depends_on_the_parts_is_judged_once_the_parts_are_right() -> None:
    found = problems(drip={0: "send:rde@09"}, rules=[{"when": {"bni": "> 1"}, "do": "pause:2"}])
    assert found == (
        "drip.0: no action is called 'send:rde@09'; did you mean 'send:red@09'?",
        "rules[0].do: no action is called 'pause:2'; did you mean 'pause:3'?",
        "rules[0].when.bni: no feature column is called that; did you mean 'bin'?",
    )


def test_a_second_journey_takes_under_fifty_lines(tmp_path: Path) -> None:
    assert len(SECOND_JOURNEY.splitlines()) < 50
    parent, child = load_journey("inbound_lead"), load_journey(written(tmp_path, SECOND_JOURNEY))
    assert (child.name, child.clock.horizon, parent.clock.horizon) == ("trial_nudge", 7, 14)
    assert child.clock.period_hours == parent.clock.period_hours
    assert child.signals == parent.signals
    assert child.guardrails.simulated == parent.guardrails.simulated  # but for its own message
    assert [m.id for m in child.messages] == [*(m.id for m in parent.messages), "nudge"]


def test_a_child_merges_mappings_deeply_and_replaces_lists(tmp_path: Path) -> None:
    child = load_journey(written(tmp_path, SECOND_JOURNEY))
    welcome = child.messages[0]
    assert (welcome.id, welcome.approval, welcome.offer) == ("welcome", "withdrawn", "tour")
    assert child.messages[-1].blocks == ("intro",)
    assert child.rules == ()
    assert child.drip == ((0, "send:nudge@09"), (7, "pause:1"))
    assert "extends" not in child.resolved


def test_inheritance_goes_through_files_beside_the_child(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    written(tmp_path, "extends: inbound_lead\ntitle: Middle\nclock: {periods: 3}\n", "middle.yaml")
    leaf = written(tmp_path / "deep", "extends: ../middle.yaml\njourney: leaf\n")
    journey = load_journey(leaf)
    assert (journey.name, journey.title, journey.clock.periods) == ("leaf", "Middle", 3)


@pytest.mark.parametrize(
    "text, told",
    [
        ("a: [1", "not readable as YAML"),
        ("- a\n- b\n", "expected a mapping of keys, got list"),
        ("", "expected a mapping of keys, got NoneType"),
        ("extends: nowhere\n", "nowhere: 1 problem.*\n.*no such file; .*inbound_lead"),
        ("extends: mine.yaml\n", "it inherits from itself"),
    ],
)
def test_a_file_that_is_no_journey_is_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(JourneyError, match=told):
        load_journey(written(tmp_path, text))


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("title: Grüße".encode("latin-1"))
    with pytest.raises(JourneyError, match="not readable as YAML"):
        load_journey(tmp_path / "latin.yaml")


def test_a_missing_file_names_the_shipped_journeys(tmp_path: Path) -> None:
    with pytest.raises(JourneyError, match="no such file; give a path or one of heartsteps, hill"):
        load_journey(tmp_path / "none.yaml")


def test_an_unknown_key_deep_inside_is_named() -> None:
    assert only(messages__red__topik="red") == (
        "messages.red.topik: no such key; did you mean 'topic'?"
    )


def test_signals_that_one_event_could_match_are_refused() -> None:
    # a click without a topic is any click
    told = only(signals__clicked_red={"type": "click", "topic": "red"})
    assert told.startswith("signals.clicked_red: an event could be both this and 'clicked'")
    assert toy(signals__bot={"type": "click", "is_machine": True}).channel_index("bot")


def test_opens_enter_a_reward_only_when_insisted_upon() -> None:
    opened = {"type": "open", "is_machine": False}
    told = only(signals__opened=opened, reward__weights={"opened": 1})
    assert told.startswith("reward.weights.opened: opens are made by mail proxies")
    data = toy_data(signals__opened=opened, reward__weights={"opened": 1})
    data["reward"]["opens_count"] = True
    assert parse_journey(data).reward.weights == (("opened", 1.0),)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_there_are_exactly_two_supporting_kpis(count: int) -> None:
    told = only(kpis__supporting=[KPI] * count)
    assert told == f"kpis.supporting: expected exactly 2 supporting KPIs, got {count}"


def test_limits_on_harms_are_read_and_are_none_where_nobody_wrote_them() -> None:
    assert toy().limits == ()
    held = toy(limits={"harm": {"of": ["clicked"], "per": "send", "at_most": 0.01}}).limits
    assert held == (HarmLimit("harm", ("clicked",), "send", 0.01, None),)
    (relative,) = toy(limits={"harm": {"of": ["clicked"], "above_reference": 0.02}}).limits
    assert (relative.per, relative.at_most, relative.above_reference) == ("contact", None, 0.02)


def test_every_mistake_in_a_limit_is_told_at_once() -> None:
    bad = {"of": ["clickd"], "per": "mail", "at_most": -1}
    told = problems(limits={"harm": bad, "none": {"of": ["clicked"]}})
    assert len(told) == 4
    assert told[0].startswith("limits.harm.of: no signal is called 'clickd'; did you mean")
    assert told[1].startswith("limits.harm.per: expected one of contact, decision")
    assert told[2] == "limits.harm.at_most: expected a number in [0.0, inf], got -1"
    assert told[3].startswith("limits.none.at_most: expected a number, or above_reference")


@pytest.mark.parametrize("name", REFERENCE_WORLDS)
def test_the_shipped_journeys_limit_complaints_opt_outs_and_bounces(name: str) -> None:
    limits = {limit.name: limit for limit in load_journey(name).limits}
    assert list(limits) == ["complaints", "opt-outs", "hard bounces"]
    assert limits["hard bounces"].at_most == 0.05


def test_wildcards_stand_for_signals_and_for_values_apart() -> None:
    journey = toy(
        features__all_sends={"kind": "count", "of": ["sent_*"], "window": 1},
        features__all={"kind": "count", "of": ["*"], "window": 1},
        features__money={"kind": "count", "of": ["*.value"], "window": 1},
        features__once={"kind": "count", "of": ["clicked", "click*"], "window": 1},
    )
    of = {feature.name: feature.of for feature in journey.features}
    assert of["all_sends"] == ("sent_red", "sent_blue")
    assert of["all"] == tuple(signal.name for signal in journey.signals)
    assert of["money"] == ("bought.value",)
    assert of["once"] == ("clicked",)


def test_a_pattern_that_matches_nothing_is_a_mistake() -> None:
    told = only(features__sends_2={"kind": "count", "of": ["snet_*"], "window": 2})
    assert told.startswith("features.sends_2.of: no signal is called 'snet_*'")


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"features__sends_2__window": 0}, "features.sends_2.window: expected a whole number >= 1"),
        ({"features__sends_2__window": 2.5}, "features.sends_2.window: expected a whole number"),
        ({"features__sends_2__window": True}, "features.sends_2.window: expected a whole number"),
        ({"features__sends_2__kind": "cuont"}, "features.sends_2.kind: expected one of count, "),
        ({"features__bin__part": "hour"}, "features.bin.part: expected one of bin, weekday, slot"),
        ({"features__bin__window": 3}, "features.bin.window: no such key"),
        (
            {"features__since_click__of": ["bought.value"]},
            "features.since_click.of: values can be counted or divided",
        ),
        ({"features": {}, "rules": []}, "features: expected at least one"),
        ({"stages": {"warm": "wram"}}, "stages.warm: no signal is called 'wram'; did you mean"),
        ({"clock__slots_hours": [0, 30]}, "clock.slots_hours: expected increasing hours in [0, 24"),
        ({"clock__slots_hours": [9, 5]}, "clock.slots_hours: expected increasing hours"),
        ({"clock__slots_hours": [0, "noon"]}, "clock.slots_hours: expected increasing hours"),
        ({"clock__periods": 0}, "clock.periods: expected a whole number >= 1, got 0"),
        ({"actions__pauses": [1, "3"]}, "actions.pauses: expected whole numbers, got '3' among"),
        ({"actions__pauses": [2, 3]}, "actions.pauses: expected increasing whole numbers"),
        ({"actions__slots": ["now", 24]}, "actions.slots: expected local hours 0..23 or now"),
        ({"actions__slots": [9, 9]}, "actions.slots: expected each hour once"),
        ({"messages__red__expires": "10.4.2026"}, "messages.red.expires: expected a day such as"),
        ({"messages__red__approval": "yes"}, "messages.red.approval: expected one of draft, "),
        ({"reward__discount": 1.5}, "reward.discount: expected a number in [0.01, 1.0], got 1.5"),
        ({"reward__weights": {"bought": "much"}}, "reward.weights.bought: expected a number"),
        ({"guardrails__quiet_hours": [20]}, "guardrails.quiet_hours: expected [from, to]"),
        ({"guardrails__quiet_hours": [20, 8, "x"]}, "guardrails.quiet_hours: expected whole"),
        ({"guardrails__quiet_hours": [20, 25]}, "guardrails.quiet_hours: expected [from, to]"),
        ({"guardrails__unknown_zone_slack": [1, 3]}, "guardrails.unknown_zone_slack: expected"),
        ({"guardrails__conversation": {"caled": 1}}, "guardrails.conversation.caled: no signal"),
        (
            {"guardrails__conversation_until": {"worm": ["hot"]}},
            "guardrails.conversation_until.worm: no signal is called 'worm'; did you mean 'warm'",
        ),
        (
            {"guardrails__conversation_until": {"warm": ["hut"]}},
            "guardrails.conversation_until.warm.until: no signal is called 'hut'",
        ),
        (
            {"guardrails__conversation_until": {"warm": {"bins": 3}}},
            "guardrails.conversation_until.warm.until: expected a list, it is missing",
        ),
        (
            {"guardrails__conversation_until": {"warm": {"until": "hot", "bins": 0}}},
            "guardrails.conversation_until.warm.bins: expected a whole number >= 1, got 0",
        ),
        (
            {"guardrails__conversation_until": {"warm": "warm"}},
            "guardrails.conversation_until.warm.until: expected other signals to close it",
        ),
        (
            {"guardrails__events": {"warm": {"type": "visit"}}},
            "guardrails.events.warm: a signal has this name; take it out",
        ),
        (
            {"guardrails__events": {"a": {"type": "visit"}, "b": {"type": "visit"}}},
            "guardrails.events.b: an event could be both this and 'a'; pin a column",
        ),
        (
            {"guardrails__events": {"met": {"type": "visit", "valued": True}}},
            "guardrails.events.met.valued: no such key",
        ),
        (
            {"guardrails__events": {"met": {"type": "visit"}}, "terminals": ["met"]},
            "terminals: no signal is called 'met'",
        ),
        (
            {"guardrails__blackout": [{"from": "2026-12-26", "to": "2026-12-24"}]},
            "guardrails.blackout[0]: expected a day, or {from: day, to: the same or later}",
        ),
        ({"guardrails__frequency_caps": [{"max": 1}]}, "guardrails.frequency_caps[0].hours: exp"),
        (
            {"guardrails__conversation_until": {"warm": {"until": "hot", "x": 1}}},
            "guardrails.conversation_until.warm.x: no such key; known are ['bins', 'until']",
        ),
        (
            {"guardrails__conversation_until": {"warm": []}},
            "guardrails.conversation_until.warm.until: expected at least one signal",
        ),
        (
            {"guardrails__events": {"met": {"type": "visit", "x": True}}},
            "guardrails.events.met.x: no such key; known are ['is_machine', 'page_category', 'rep",
        ),
        ({"guardrails__events": {"met": {"type": ""}}}, "guardrails.events.met.type: expected te"),
        ({"guardrails__events": {"met": "visit"}}, "guardrails.events.met: expected a mapping"),
        (
            {"guardrails__frequency_caps": [{"max": 1, "hours": 24, "topic": ""}]},
            "guardrails.frequency_caps[0].topic: expected text, got ''; leave the key out",
        ),
        ({"guardrails__frequency_caps": [1]}, "guardrails.frequency_caps[0]: expected a mapping"),
        ({"guardrails__account": {}}, "guardrails.account: expected caps, or conversation: true"),
        ({"guardrails__account": {"caps": None}}, "guardrails.account: expected caps, or conver"),
        ({"guardrails__account": {"caps": [1]}}, "guardrails.account.caps[0]: expected a mapping"),
        ({"guardrails__account": "x"}, "guardrails.account: expected a mapping, got 'x'"),
        (
            {"guardrails__account": {"conversation": "yes"}},
            "guardrails.account.conversation: expected true or false, got 'yes'",
        ),
        ({"guardrails__blackout": ["24.12."]}, "guardrails.blackout[0]: expected a day such as"),
        ({"kpis__supporting": [1, KPI]}, "kpis.supporting[0]: expected a mapping, got 1"),
        ({"rules": ["drip"]}, "rules[0]: expected a mapping, got 'drip'"),
        ({"signals__clicked__by_action": True}, "signals.clicked.by_action: only sent, escal"),
        ({"terminals": ["gone"]}, "terminals: no signal is called 'gone'"),
        ({"estimand": "per_click"}, "estimand: expected one of per_episode, per_decision"),
        ({"title": None}, "title: expected text, it is missing"),
        ({"drip": {"first": "pause:1"}}, "drip.first: expected `bin: action id`"),
        ({"drip": {0: "drip"}}, "drip.0: no action is called 'drip'"),
        ({"rules": [{"when": {"bin": "2"}, "do": "drip"}]}, "rules[0].when.bin: expected a comp"),
        ({"rules": [{"when": {"bin": ">= x"}, "do": "drip"}]}, "rules[0].when.bin: expected a co"),
        ({"rules": [{"when": {"bin": "> 1"}}]}, "rules[0].do: expected text, it is missing"),
    ],
)
def test_one_mistake_is_one_problem_under_its_key(changes: dict[str, Any], told: str) -> None:
    assert only(**changes).startswith(told)


def test_a_moment_is_not_a_last_day() -> None:
    told = only(messages__red__expires=datetime(2026, 4, 10, 12))
    assert told.startswith("messages.red.expires: expected a day such as 2027-12-31, got the mom")
    as_date, as_text = toy(messages__red__expires=date(2026, 4, 10)), toy()
    assert as_date.messages == as_text.messages


def test_an_empty_key_is_a_missing_one() -> None:
    journey = toy(rules=None, guardrails__quiet_hours=None, terminals=None)
    assert (journey.rules, journey.guardrails.quiet_hours, journey.terminals) == ((), None, ())


def test_rules_may_fall_back_to_the_drip_and_compare_one_hot_columns() -> None:
    rules = [{"when": {"plan=team": "== 1", "bin": "< 2.5"}, "do": "drip"}]
    rule = toy(rules=rules).rules[0]
    assert [(c.column, c.operator, c.threshold) for c in rule.when] == [
        ("plan=team", "==", 1.0),
        ("bin", "<", 2.5),
    ]
    assert rule.action == "drip"


def test_channels_are_counts_then_values_with_the_delay_of_their_signal() -> None:
    journey = toy(signals__bought__delay_bins=3)
    assert journey.channels == (*TOY["signals"], "bought.value")
    delays = dict(zip(journey.channels, journey.delays, strict=True))
    assert (delays["bought"], delays["bought.value"]) == (3, 3)
    assert (delays["warm"], delays["hot"], delays["clicked"]) == (1, 2, 0)


def test_a_journey_may_demand_confirmation_of_its_sends() -> None:
    assert toy().guardrails.confirm is False
    assert toy(guardrails__confirm=True).guardrails.confirm is True
