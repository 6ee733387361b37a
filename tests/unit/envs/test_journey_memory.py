"""Memory of every signal, added to any journey."""

from __future__ import annotations

import pytest

from nurture_envs.errors import JourneyError
from nurture_envs.features import FeatureSpec
from nurture_envs.journey_file import load_journey, parse_journey, shipped_journeys
from nurture_envs.journey_memory import with_memory


def columns(name: str, bins: int) -> tuple[str, ...]:
    return FeatureSpec.of(with_memory(load_journey(name), bins)).columns


@pytest.mark.parametrize("name", shipped_journeys())
def test_what_is_remembered_stands_behind_the_features_of_the_journey(name: str) -> None:
    plain, one = columns(name, 0), columns(name, 1)
    assert one[: len(plain)] == plain
    journey = load_journey(name)
    ends = {*journey.terminals, *(f"{end}.value" for end in journey.terminals)}
    lasting = [channel for channel in journey.channels if channel not in ends]
    assert one[len(plain) :] == tuple(f"recent_{channel}@1" for channel in lasting)


def test_every_bin_of_what_was_done_and_seen_has_a_column_of_its_own() -> None:
    made = columns("inbound_lead", 3)
    for signal in ("sent_pricing", "clicked_pricing", "opened", "escalated", "became_mql"):
        assert [name for name in made if name.startswith(f"recent_{signal}@")] == [
            f"recent_{signal}@{ago}" for ago in (1, 2, 3)
        ]


def test_what_ends_an_episode_is_never_seen_in_it_and_takes_no_column() -> None:
    journey = load_journey("inbound_lead")
    made = columns("inbound_lead", 2)
    assert journey.terminals
    assert not any(name.startswith(f"recent_{end}@") for end in journey.terminals for name in made)


def test_no_memory_is_the_journey_itself() -> None:
    journey = load_journey("inbound_lead")
    assert with_memory(journey, 0) is journey


def test_a_longer_memory_looks_back_farther() -> None:
    journey = load_journey("re_engagement")
    spec = FeatureSpec.of(with_memory(journey, journey.clock.horizon))
    assert spec.window >= journey.clock.horizon


@pytest.mark.parametrize("bins", [-1, 15])
def test_bins_that_no_episode_has_are_refused(bins: int) -> None:
    with pytest.raises(JourneyError, match=f"memory: expected 0 to 14 bins.* got {bins}"):
        with_memory(load_journey("inbound_lead"), bins)


def test_a_feature_of_the_same_name_is_refused_not_lost() -> None:
    data = load_journey("inbound_lead").resolved
    own = {"recent_opened": {"kind": "count", "of": ["opened"], "window": 2}}
    journey = parse_journey({**data, "features": {**data["features"], **own}})
    with pytest.raises(JourneyError, match=r"features\.recent_opened: memory makes a feature of"):
        with_memory(journey, 2)
    assert with_memory(journey, 0) is journey
