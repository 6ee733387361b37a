"""The mechanisms that reference worlds share, worked by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from math import exp

import pytest
import torch

from nurture_envs.errors import WorldError
from nurture_envs.journey_file import load_journey, parse_journey
from nurture_envs.population import HasReputation
from nurture_envs.worlds.draws import population_keys
from nurture_envs.worlds.effects import (
    AccountParams,
    MailParams,
    channel_sums,
    fatigue_of_weekly_send,
    hour_fit,
    mail_traits,
    mark_shown,
    shifted_interest,
    staleness,
    talk_effect,
)
from nurture_envs.worlds.inbound_lead import TOPICS, InboundLeadParams, InboundLeadWorld
from nurture_envs.worlds.mailings import MailActions
from nurture_envs.worlds.recording import Lateness, recorded_late
from nurture_envs.worlds.reference import REFERENCE_WORLDS, reference_world
from nurture_envs.worlds.reputation import (
    MailTotals,
    ReputationParams,
    mail_sums,
    next_inbox_share,
)
from nurture_envs.worlds.world import declared_delays
from nurture_envs.worlds.zones import (
    DEFAULT_ZONE,
    ZONE_SHARES,
    ZONES,
    by_weekday,
    drawn_zones,
    hidden_zones,
    table_day,
    zone_gap,
    zone_gaps,
)

JOURNEY = load_journey("inbound_lead")
NEW_YORK, SINGAPORE = ZONES.index("America/New_York"), ZONES.index("Asia/Singapore")


def local_us(day: date) -> torch.Tensor:
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return torch.tensor([int(noon.timestamp()) * 1_000_000])


@pytest.mark.parametrize(
    "day, zone, hours",
    [
        (date(2026, 1, 15), NEW_YORK, -6.0),
        (date(2026, 3, 15), NEW_YORK, -5.0),  # America has changed its clocks, Europe has not
        (date(2026, 4, 15), NEW_YORK, -6.0),
        (date(2026, 1, 15), SINGAPORE, 7.0),
        (date(2026, 7, 15), SINGAPORE, 6.0),
        (date(2026, 7, 15), ZONES.index(DEFAULT_ZONE), 0.0),
        (date(1999, 7, 15), SINGAPORE, 7.0),  # before the table: as on its first day
    ],
)
def test_clocks_gap_by_zone_and_daylight_saving(day: date, zone: int, hours: float) -> None:
    found = zone_gap(torch.tensor([zone]), table_day(local_us(day)), zone_gaps())
    assert found.tolist() == [hours]


def test_zones_come_in_their_shares_and_hide_only_where_the_sender_does_not_know_them() -> None:
    keys = population_keys(1, 40_000)
    zones = drawn_zones(keys)
    found = torch.bincount(zones, minlength=len(ZONES)) / len(keys)
    torch.testing.assert_close(found, torch.tensor(ZONE_SHARES), atol=0.01, rtol=0.0)
    known = torch.arange(len(keys)) % 2 == 0
    hidden = hidden_zones(keys, known)
    assert (hidden[known] == ZONES.index(DEFAULT_ZONE)).all()
    assert torch.equal(hidden[~known], zones[~known])


def test_weekday_tables_know_their_mondays() -> None:
    table = by_weekday((1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 7.0), "cpu")
    assert table[table_day(local_us(date(2026, 4, 6)))].item() == 1.0  # a Monday
    assert table[table_day(local_us(date(2027, 4, 4)))].item() == 7.0  # a Sunday


def test_the_best_hour_fits_and_midnight_is_no_border() -> None:
    hours = torch.tensor([9.0, 10.0, 8.0, 33.0, 21.0])
    fit = hour_fit(hours, torch.full((5,), 9.0), width=1.0)
    torch.testing.assert_close(fit[0], torch.tensor(1.0))
    assert fit[1].item() == pytest.approx(exp(-0.5), abs=0.01)
    torch.testing.assert_close(fit[1], fit[2])
    torch.testing.assert_close(fit[3], torch.tensor(1.0))
    assert fit[4] < 1e-6
    across = hour_fit(torch.tensor([23.5, 0.5]), torch.zeros(2), width=1.0)
    torch.testing.assert_close(across[0], across[1])


def test_each_message_recovers_on_its_own_and_the_last_showing_counts() -> None:
    shown, everybody = torch.zeros(1, dtype=torch.int64), torch.ones(1, dtype=torch.bool)
    for message, bin_ in ((7, 0), (2, 1), (7, 253)):
        shown = mark_shown(shown, torch.tensor([message]), torch.tensor([bin_]), everybody)
    asleep = [
        staleness(shown, torch.tensor([message]), torch.tensor([254]), 2.0, half_life=4.0).item()
        for message in (7, 2, 3)
    ]
    assert asleep == pytest.approx([0.5**0.5, 0.5 ** (253 * 2 / 4), 0.0])
    nobody = mark_shown(shown, torch.tensor([3]), torch.tensor([5]), ~everybody)
    assert torch.equal(nobody, shown)


def test_one_send_a_week_keeps_up_the_fatigue_that_tolerance_is_measured_in() -> None:
    params = MailParams(fatigue_half_life=5.0)
    fatigue, levels = 0.0, []
    for day in range(700):
        levels.append(fatigue)
        fatigue = fatigue * 0.5 ** (1 / 5.0) + (day % 7 == 0)
    assert sum(levels[350:]) / 350 == pytest.approx(fatigue_of_weekly_send(params), rel=0.15)


def test_traits_without_spread_are_alike_and_tolerance_can_be_none() -> None:
    params = MailParams(best_hours=(9.0, 9.0), hour_spread=0.0, tolerance_spread=0.0, tolerance=0.0)
    keys = population_keys(3, 100)
    traits = mail_traits(params, keys, torch.ones(100, dtype=torch.bool))
    assert set(traits["best_hour"].tolist()) == {9.0}
    assert set(traits["bears"].tolist()) == {0.0}


def test_interest_is_drawn_anew_evenly_and_only_where_it_shifts() -> None:
    u = (torch.arange(8000) + 0.5) / 8000
    moved = shifted_interest(torch.full((8000,), 3), 0.1, 4, u)
    assert torch.bincount(moved, minlength=4).tolist() == [200, 200, 200, 7400]
    same = torch.full((8000,), 3)
    assert shifted_interest(same, 0.0, 4, u) is same


def test_talks_of_colleagues_help_unless_a_conversation_is_open() -> None:
    params = AccountParams(talk_gain=0.3, talk_damp=0.1)
    found = talk_effect(params, torch.tensor([2.0, 2.0, 0.0]), torch.tensor([False, True, True]))
    assert found.tolist() == pytest.approx([0.6, -0.2, 0.0])


def test_channel_sums_name_their_rows() -> None:
    sums = channel_sums(("a", "b", "c"), {"c": torch.tensor([True, False])})
    assert sums.tolist() == [[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]]


def test_geometric_lateness_falls_by_the_same_factor_a_bin() -> None:
    chances = Lateness(mean=1.0, latest=3).chances()  # 1/2, 1/4, 1/8, 1/16 of what is in time
    assert chances == pytest.approx([8 / 15, 4 / 15, 2 / 15, 1 / 15])
    bunched = Lateness(mean=3.0, shape=50.0, latest=12).chances()
    assert bunched[3] > bunched[0] * 2
    assert sum(d * chance for d, chance in enumerate(bunched)) == pytest.approx(3.0, abs=0.01)
    assert Lateness(mean=0.0, latest=2).chances() == [1.0, 0.0, 0.0]


def test_channels_that_are_not_named_keep_their_declared_delay() -> None:
    table = recorded_late(JOURNEY, {"became_mql": Lateness(mean=1.0, latest=3)})
    mql, sql = (JOURNEY.channel_index(f"became_{stage}") for stage in ("mql", "sql"))
    assert table.shape == (5, len(JOURNEY.channels))
    assert table[:, mql].tolist() == pytest.approx([8 / 15, 4 / 15, 2 / 15, 1 / 15, 0.0])
    assert table[:, sql].tolist() == [0.0, 0.0, 0.0, 0.0, 1.0]
    assert torch.equal(recorded_late(JOURNEY, {}), declared_delays(JOURNEY))
    late = InboundLeadWorld(JOURNEY).delays
    torch.testing.assert_close(late.sum(dim=0), torch.ones(len(JOURNEY.channels)))
    assert late[:, JOURNEY.channel_index("opened")].tolist()[0] == 1.0


def test_lateness_of_an_unknown_channel_is_refused() -> None:
    with pytest.raises(WorldError, match=r"got \['signed'\]"):
        recorded_late(JOURNEY, {"signed": Lateness(1.0)})


@pytest.mark.parametrize("journey", REFERENCE_WORLDS)
def test_no_reference_world_records_an_event_later_than_its_journey_declares(journey: str) -> None:
    world = reference_world(journey)
    bins = torch.arange(world.delays.shape[0])[:, None]
    latest = torch.where(world.delays > 0.0, bins, 0).max(dim=0).values
    declared = torch.tensor(world.journey.delays)
    late = [
        name for name, more in zip(world.journey.channels, latest > declared, strict=True) if more
    ]
    assert late == []


def test_a_journey_that_declares_less_than_the_world_takes_is_refused() -> None:
    signals = JOURNEY.resolved["signals"]
    booked = signals["meeting_booked"] | {"delay_bins": 1}
    hasty = parse_journey({**JOURNEY.resolved, "signals": signals | {"meeting_booked": booked}})
    with pytest.raises(WorldError, match=r"'meeting_booked' is known at most 1 .* up to 4 bins"):
        _ = InboundLeadWorld(hasty).delays
    at_once = replace(InboundLeadParams(), meetings_late=Lateness())
    assert InboundLeadWorld(hasty, at_once).delays[0, hasty.channel_index("meeting_booked")] == 1.0


def totals(**counts: float) -> MailTotals:
    names = ("sent", "bounced", "trapped", "complained", "engaged")
    return MailTotals(*(torch.tensor(counts.get(name, 0.0)) for name in names))


PLAIN = ReputationParams(
    bounce_loss=1.0,
    trap_loss=4.0,
    complaint_loss=20.0,
    healing=0.1,
    engagement_healing=0.5,
    floor=0.05,
)


@pytest.mark.parametrize(
    "share, counts, expected",
    [
        (0.8, {}, 0.8 + 0.1 * 0.2),
        (0.8, {"sent": 100.0, "bounced": 10.0}, 0.8 + 0.1 * 0.2 - 0.1 * 0.8),
        (0.8, {"sent": 100.0, "trapped": 5.0}, 0.8 + 0.1 * 0.2 - 0.2 * 0.8),
        (0.8, {"sent": 100.0, "complained": 1.0}, 0.8 + 0.1 * 0.2 - 0.2 * 0.8),
        (0.8, {"sent": 100.0, "engaged": 40.0}, 0.8 + 0.3 * 0.2),
        (1.0, {"sent": 100.0, "engaged": 100.0}, 1.0),
        (0.1, {"sent": 10.0, "complained": 10.0}, 0.05),
    ],
)
def test_the_inbox_share_falls_by_harm_and_heals_by_engagement(
    share: float, counts: dict[str, float], expected: float
) -> None:
    found = next_inbox_share(torch.tensor(share), totals(**counts), PLAIN)
    assert found.item() == pytest.approx(expected)


def test_without_its_losses_a_reputation_never_falls() -> None:
    off = ReputationParams(bounce_loss=0.0, trap_loss=0.0, complaint_loss=0.0, healing=0.0)
    harm = totals(sent=10.0, bounced=5.0, trapped=5.0, complained=5.0)
    assert next_inbox_share(torch.tensor(0.6), harm, off).item() == pytest.approx(0.6)


def test_totals_tell_humans_from_machines_and_traps_from_mail() -> None:
    amounts = torch.zeros(len(JOURNEY.channels))
    for channel, count in {
        "sent_pricing": 7.0,
        "sent_security": 3.0,
        "bounced": 2.0,
        "complained": 1.0,
        "opened": 4.0,
        "opened_by_machine": 50.0,
        "gateway_clicked": 60.0,
        "clicked_pricing": 2.0,
        "replied_question": 1.0,
    }.items():
        amounts[JOURNEY.channel_index(channel)] = count
    found = MailTotals.of(amounts, mail_sums(JOURNEY))
    assert [found.sent, found.bounced, found.complained, found.engaged] == [10.0, 2.0, 1.0, 7.0]
    assert found.trapped == 0.0


def test_a_journey_with_more_messages_than_a_contact_remembers_is_refused() -> None:
    messages = JOURNEY.resolved["messages"]
    more = messages | {f"extra_{i}": messages["welcome"] for i in range(4)}
    large = parse_journey({**JOURNEY.resolved, "messages": more})
    with pytest.raises(WorldError, match="remembers 8 messages"):
        MailActions.of(large, TOPICS, MailParams(), "cpu")


@pytest.mark.parametrize("journey", REFERENCE_WORLDS)
def test_every_worlds_sender_pays_for_bounces_and_complaints(journey: str) -> None:
    world = reference_world(journey)
    assert isinstance(world, HasReputation)
    channels = world.journey.channels
    sent = [s.name for s in world.journey.signals if s.type == "sent"]

    def share_after(**counts: float) -> float:
        totals = torch.zeros(len(channels))
        totals[channels.index(sent[0])] = 100.0
        for name, count in counts.items():
            totals[channels.index(name)] = count
        return float(world.next_inbox_share(torch.tensor(0.8), totals))

    clean = share_after()
    assert share_after(bounced=5.0) == pytest.approx(clean - 0.8 * 5.0 / 100.0)
    assert share_after(complained=1.0) == pytest.approx(clean - 0.8 * 20.0 / 100.0)
    assert share_after(opened=10.0) == pytest.approx(clean + 0.2 * 0.3 * 10.0 / 100.0)
    assert share_after(opened_by_machine=10.0) == clean
