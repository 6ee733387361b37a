"""What a feature column is said to mean."""

from __future__ import annotations

from dataclasses import replace
from math import inf

from nurture_envs.features import Column, FeatureSpec, Scale, described_columns
from nurture_envs.journey_file import load_journey
from tests.unit.envs.toy_journey import toy

SPEC = FeatureSpec.of(load_journey("inbound_lead"))


def said(name: str, *scales: Scale) -> Column:
    (found,) = (column for column in described_columns(SPEC, scales) if column.name == name)
    return found


def test_columns_come_in_the_order_of_the_spec() -> None:
    assert tuple(column.name for column in described_columns(SPEC)) == SPEC.columns


def test_a_recency_is_told_with_its_ends() -> None:
    assert said("days_since_escalation") == Column(
        "days_since_escalation",
        "bins since the last of `escalated`; 14 where it is longer ago, or never",
        "bins",
        1.0,
        14.0,
    )


def test_channels_that_all_begin_alike_are_named_together() -> None:
    assert said("sends_7d").meaning == "`sent_*` in the last 7 bins"
    assert said("sent_pricing_14d").meaning == "`sent_pricing` in the last 14 bins"


def test_a_number_without_a_scale_is_as_in_the_log() -> None:
    column = said("company_size")
    assert (column.unit, column.low, column.high) == ("as in the log", -inf, inf)


def test_a_scale_gives_unit_and_range_and_the_default_lies_within() -> None:
    column = said("company_size", Scale("company_size", "people", 5.0, 9.0))
    assert (column.unit, column.low, column.high) == ("people", 4.0, 9.0)


def test_sums_of_values_may_be_negative() -> None:
    values = FeatureSpec.of(load_journey("starbucks_offers"))
    (spent,) = (c for c in described_columns(values) if c.name == "net_spend_so_far")
    assert (spent.unit, spent.low) == ("sum of values", -inf)


def test_newer_kinds_say_how_they_weigh_and_tell_apart() -> None:
    kinds = {
        "heat": {"kind": "decayed", "of": ["clicked"], "window": 9, "half_life": 2.5},
        "rising": {"kind": "trend", "of": ["clicked"], "window": 3},
        "topics": {"kind": "distinct", "of": ["sent_*"], "by": "topic", "window": 1},
        "topic": {"kind": "affinity", "of": ["sent_*"], "by": "topic", "window": 3},
        "hour": {"kind": "affinity", "of": ["clicked"], "by": "slot", "window": 4, "prior": 3},
    }
    clock = {"period_hours": 24, "slots_hours": [0, 12], "periods": 4}
    spec = FeatureSpec.of(toy(features=kinds, clock=clock, rules=[], drip={}))
    told = {c.name: (c.meaning, c.unit, c.low, c.high) for c in described_columns(spec)}
    assert told == {
        "heat": (
            "`clicked` in the last 9 bins; one in the last bin counts 1, half as much every 2.5 "
            "bins",
            "events",
            0.0,
            inf,
        ),
        "rising": (
            "`clicked` in the last 3 bins, less those in the 3 bins before",
            "events",
            -inf,
            inf,
        ),
        "topics": ("different topics among `sent_*` in the last bin", "topics", 0.0, 2.0),
        **{
            f"topic={topic}": (
                f"share of topic `{topic}` among `sent_*` in the last 3 bins, after 2 more events "
                "spread evenly",
                "share",
                0.0,
                1.0,
            )
            for topic in ("red", "blue")
        },
        **{
            f"hour={slot}": (
                f"share of slot {slot} among `clicked` in the last 4 bins, after 3 more events "
                "spread evenly",
                "share",
                0.0,
                1.0,
            )
            for slot in (0, 1)
        },
    }


def test_one_bin_is_the_last_bin() -> None:
    (one,) = (f for f in SPEC.features if f.name == "views_3d")
    spec = replace(SPEC, features=(replace(one, window=1),))
    assert described_columns(spec)[0].meaning == "`viewed_*` in the last bin"
