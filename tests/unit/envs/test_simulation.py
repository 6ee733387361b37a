"""One bin of the simulation, worked out by hand in a world whose answers are written down."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nurture_envs.features import NEVER
from nurture_envs.guardrails import Reason
from nurture_envs.simulation import Simulation, Transition
from nurture_envs.simulation_state import SimulationState, select
from nurture_envs.worlds.draws import contact_keys
from nurture_envs.worlds.reference import reference_world
from tests.unit.envs.scripted_world import MONDAY, contacts, scripted
from tests.unit.envs.toy_journey import toy

# Nothing of the toy's guardrails stands in the way of these plays.
FREE = toy(
    guardrails={"require_consent": True, "conversation": {"called": 1}},
    clock={"period_hours": 24, "slots_hours": [0], "periods": 6},
)


def play(
    simulation: Simulation, *actions: str | list[str], n: int = 1
) -> tuple[list[Transition], SimulationState]:
    """One action a bin, for all contacts or for each; every transition and the last state."""
    state, made = simulation.begin(contacts(n)), []
    for chosen in actions:
        ids = [chosen] * n if isinstance(chosen, str) else chosen
        wanted = torch.as_tensor(simulation.catalog.indices(ids))
        made.append(simulation.step(state, simulation.decision(state), wanted))
        state = made[-1].state
    return made, state


def feature(simulation: Simulation, state: SimulationState, name: str) -> list[float]:
    column = simulation.spec.column(name)
    return [float(v) for v in simulation.decision(state).features[:, column]]


def last_seen(simulation: Simulation, state: SimulationState, channel: str) -> int:
    """Bin in which the toy's stage signal or click is known to have happened last."""
    row = simulation.running.last_row([channel])
    return int(state.past.last[row, 0])


def legal(simulation: Simulation, state: SimulationState, row: int = 0) -> set[str]:
    mask = simulation.decision(state).mask[row].tolist()
    return {id_ for id_, free in zip(simulation.catalog.ids, mask, strict=True) if free}


def amount(simulation: Simulation, made: Transition, channel: str, row: int = 0) -> float:
    return float(made.amounts[row, simulation.journey.channel_index(channel)])


def test_the_effects_of_an_action_come_on_top_of_the_worlds_answer() -> None:
    simulation = scripted({(0, 0): {"clicked": 1.0}}, FREE)
    made, state = play(simulation, "send:red@09", "escalate")
    assert [amount(simulation, t, "sent_red") for t in made] == [1.0, 0.0]
    assert [amount(simulation, t, "called") for t in made] == [0.0, 1.0]
    assert [amount(simulation, t, "clicked") for t in made] == [1.0, 0.0]
    assert feature(simulation, state, "sends_2") == [1.0]


def test_the_reward_is_weights_times_signals_less_the_price_of_the_action() -> None:
    script = {
        (0, 0): {"bought": 2.0, "bought.value": 7.5},  # 2 * 0.25 + 7.5 - 0.5
        (1, 0): {"left": 1.0},  # -4 - 2
        (2, 0): {"hot": 1.0, "clicked": 5.0},  # 10, counted when it happens; clicks are worth 0
    }
    made, _ = play(scripted(script, FREE), ["send:red@now", "escalate", "pause:3"], n=3)
    assert made[0].reward.tolist() == [7.5, -6.0, 10.0]


def test_terminal_signals_and_exit_terminate_and_the_horizon_only_truncates() -> None:
    script = {(0, 0): {"left": 1.0}, (2, 5): {"bounced": 1.0}}
    simulation = scripted(script, FREE)
    made, _ = play(simulation, ["pause:1", "exit", "pause:1", "pause:1"], n=4)
    assert made[0].terminated.tolist() == [True, True, False, False]
    assert not made[0].truncated.any()
    made, state = play(simulation, *["pause:1"] * 6, n=4)
    assert state.bins.tolist() == [6] * 4
    # an episode that ends in its last bin is not cut
    assert made[-1].terminated.tolist() == [False, False, True, False]
    assert made[-1].truncated.tolist() == [True, True, False, True]
    assert not any(t.truncated.any() for t in made[:-1])


def test_a_delayed_terminal_signal_ends_the_episode_when_it_happens() -> None:
    journey = toy(guardrails={}, terminals=["hot"])
    made, _ = play(scripted({(0, 1): {"hot": 1.0}}, journey), "pause:1", "pause:1")
    assert [t.terminated.item() for t in made] == [False, True]


def test_an_action_the_guardrails_forbid_becomes_a_pause_of_one_bin() -> None:
    simulation = scripted()  # now-slots lie in the quiet hours at midnight; nobody showed intent
    made, _ = play(simulation, ["send:red@now", "escalate", "send:red@09"], n=3)
    ids = [simulation.catalog.ids[i] for i in made[0].action.tolist()]
    assert ids == ["pause:1", "pause:1", "send:red@09"]
    assert made[0].reward.tolist() == [0.0, 0.0, -0.5]
    assert float(made[0].amounts[:2].sum()) == 0.0
    assert made[0].state.sends_hours[:, :2].max() == -torch.inf


def test_a_pause_of_three_bins_forces_two_more() -> None:
    simulation = scripted(journey=FREE)
    state = simulation.begin(contacts(1))
    seen = []
    for chosen in ("pause:3", "send:red@09", "exit", "send:red@09"):
        seen.append(legal(simulation, state))
        wanted = torch.as_tensor(simulation.catalog.indices([chosen]))
        made = simulation.step(state, simulation.decision(state), wanted)
        state = made.state
    everything = set(simulation.catalog.ids)
    assert seen == [everything, {"pause:1"}, {"pause:1"}, everything]
    assert simulation.catalog.ids[int(made.action[0])] == "send:red@09"
    reasons = simulation.decision(play(simulation, "pause:3")[1]).reasons[0]
    assert reasons[simulation.catalog.index("exit")] == Reason.PAUSED


def test_a_conversation_with_sales_starts_the_bin_after_the_call() -> None:
    simulation = scripted(journey=FREE)
    _, after_one = play(simulation, "escalate")
    assert legal(simulation, after_one) == {"pause:1", "pause:3"}
    _, after_two = play(simulation, "escalate", "pause:1")
    assert "send:red@09" in legal(simulation, after_two)


def test_intent_opens_the_way_to_sales() -> None:
    simulation = scripted({(0, 0): {"clicked": 1.0}})
    _, state = play(simulation, "pause:1", n=2)
    assert "escalate" in legal(simulation, state, row=0)
    assert "escalate" not in legal(simulation, state, row=1)


def test_a_contact_out_of_reach_gets_nothing_until_it_is_back() -> None:
    simulation = scripted(unreachable=frozenset({(0, 0), (0, 2)}))
    reachable = []
    state = simulation.begin(contacts(1))
    for bins in range(4):
        reachable.append("send:blue@09" in legal(simulation, state))
        _, state = play(simulation, *["pause:1"] * (bins + 1))
    assert reachable == [False, True, False, True]


def test_a_signal_becomes_known_exactly_its_delay_later_and_where_it_happened() -> None:
    happened = {"clicked": 1.0, "warm": 1.0, "hot": 1.0}  # known 0, 1 and 2 bins late
    simulation = scripted({(0, 1): happened}, FREE)
    known = []
    for bins in range(1, 6):
        _, state = play(simulation, *["pause:1"] * bins)
        known.append([last_seen(simulation, state, channel) for channel in happened])
    expected = [
        [NEVER, NEVER, NEVER],  # before it happens
        [1, NEVER, NEVER],
        [1, 1, NEVER],
        [1, 1, 1],
        [1, 1, 1],
    ]
    assert known == expected
    stages = []
    for bins in range(2, 6):
        _, state = play(simulation, *["pause:1"] * bins)
        stages.append([feature(simulation, state, f"stage={s}")[0] for s in ("warm", "hot")])
    assert stages == [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]


def test_signals_of_several_bins_wait_side_by_side() -> None:
    simulation = scripted({(0, 0): {"hot": 1.0}, (0, 1): {"hot": 2.0, "warm": 4.0}}, FREE)
    seen = []
    for bins in range(1, 6):
        _, state = play(simulation, *["pause:1"] * bins)
        seen.append([last_seen(simulation, state, name) for name in ("warm", "hot")])
    # hot of bin 0 is known when bin 2 closes, hot of bin 1 and warm of bin 1 one and two later
    assert seen == [[NEVER, NEVER], [NEVER, NEVER], [1, 0], [1, 1], [1, 1]]


def test_attributes_weekday_and_bin_reach_the_policy() -> None:
    simulation = scripted(journey=FREE)
    _, state = play(simulation, "pause:1", n=3)
    assert feature(simulation, state, "size") == [0.0, 1.0, 2.0]
    assert feature(simulation, state, "bin") == [1.0] * 3
    assert feature(simulation, state, "weekday=tue") == [1.0] * 3


def test_sends_are_remembered_at_their_hour() -> None:
    _, state = play(scripted(journey=FREE), ["send:red@09", "send:blue@now", "pause:1"], n=3)
    expected = [[MONDAY * 24.0 + 9.0, MONDAY * 24.0, -torch.inf]]
    assert state.sends_hours.tolist() == expected


def test_facts_of_several_slots_a_day_stand_on_the_same_clock() -> None:
    clock = {"period_hours": 24, "slots_hours": [5, 14.5], "periods": 3}
    simulation = scripted(journey=toy(clock=clock))
    _, state = play(simulation, "pause:1", "pause:1", "pause:1")
    facts = simulation.facts(state)
    assert facts.now_hours.tolist() == [MONDAY * 24.0 + 24 + 14.5]
    assert facts.midnight_hours.tolist() == [MONDAY * 24.0 + 24]
    assert facts.today.tolist() == [MONDAY + 1]


def columns_of(state: SimulationState) -> dict[str, torch.Tensor]:
    """Every array of a state by name; contacts are the last dimension."""
    flat = {f.name: getattr(state, f.name) for f in fields(state)}
    past, latent, late = flat.pop("past"), flat.pop("latent"), flat.pop("late")
    assert flat.pop("company") is None
    flat |= {"last": past.last, "since": past.since}
    rings = {"due": late.due, "late": late.amounts}
    rings |= {f"ring {ago}": bin_ for ago, bin_ in enumerate(past.ring)} | {
        f"sums {at}": (sums,) for at, sums in enumerate(past.sums)
    }
    return {**flat, **{name: torch.stack(parts) for name, parts in rings.items()}, **latent}


@pytest.fixture(scope="module")
def two_states() -> tuple[SimulationState, SimulationState]:
    simulation = Simulation(reference_world("inbound_lead"))
    state = simulation.begin(contact_keys(0, 40))
    for _ in range(3):
        chosen = torch.zeros(40, dtype=torch.int64)
        state = simulation.step(state, simulation.decision(state), chosen).state
    return state, simulation.begin(contact_keys(900, 40))


def test_selecting_rows_takes_every_part_of_them(
    two_states: tuple[SimulationState, SimulationState],
) -> None:
    old, _ = two_states
    rows = torch.tensor([3, 30, 7])
    for name, part in columns_of(select(old, rows)).items():
        assert torch.equal(part, columns_of(old)[name][..., rows]), name


def test_renewed_contacts_are_as_new_and_the_others_go_on() -> None:
    simulation, sends = Simulation(reference_world("inbound_lead")), torch.arange(40) % 8
    lasting = simulation.begin(contact_keys(0, 40))
    renewed = simulation.begin(contact_keys(0, 40))
    for _ in range(3):
        lasting = simulation.step(lasting, simulation.decision(lasting), sends).state
        renewed = simulation.step(renewed, simulation.decision(renewed), sends).state
    rows = torch.tensor([0, 5, 33])
    fresh = simulation.begin(contact_keys(900, 3))
    renewed = simulation.renew(renewed, fresh, rows)
    alone, others = simulation.begin(contact_keys(900, 3)), torch.ones(40, dtype=torch.bool)
    others[rows] = False
    for _ in range(9):
        here, there, new = (simulation.decision(s) for s in (renewed, lasting, alone))
        assert torch.equal(here.features[others], there.features[others])
        assert torch.equal(here.features[rows], new.features)
        assert torch.equal(here.mask[rows], new.mask)
        renewed = simulation.step(renewed, here, sends).state
        lasting = simulation.step(lasting, there, sends).state
        alone = simulation.step(alone, new, sends[rows]).state


def sends_of_random_play(n: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Hours of every send [n, bins], NaN for none, and whether each contact's zone is known.

    The policy picks any send with probability 0.9, legal or not; episodes never end.
    """
    simulation = Simulation(reference_world("inbound_lead"))
    state = simulation.begin(contact_keys(seed, n))
    known = state.zone_known.numpy()
    rng, sends = np.random.default_rng(seed), int(simulation.catalog.routed("send").sum())
    midnight = state.anchor_us.numpy() / 3.6e9
    times = []
    for bin_ in range(60):
        wanted = np.where(rng.random(n) < 0.9, rng.integers(0, sends, n), simulation.catalog.wait)
        made = simulation.step(state, simulation.decision(state), torch.as_tensor(wanted))
        counted = sum(
            made.amounts[:, i].numpy()
            for i, name in enumerate(simulation.journey.channels)
            if name.startswith("sent_")
        )
        slot = simulation.catalog.slots[made.action.numpy()]
        np.testing.assert_array_equal(counted, slot > 0)  # what is counted is what was done
        times.append(np.where(slot > 0, midnight + 24 * bin_ + slot, np.nan))
        state = made.state
    return np.stack(times, axis=1), known


@pytest.mark.slow
def test_two_thousand_contacts_of_a_reckless_policy_see_no_limit_broken() -> None:
    times, known = sends_of_random_play(2000, seed=11)
    per_contact = [row[~np.isnan(row)] for row in times]
    assert sum(map(len, per_contact)) > 10_000
    gaps = np.concatenate([np.diff(row) for row in per_contact])
    assert gaps.min() >= 120  # one in 120 hours, which is stricter than the gap of 40
    thirds = np.concatenate([row[2:] - row[:-2] for row in per_contact])
    assert thirds.min() >= 336  # two in 336 hours
    assert thirds.min() < 336 + 48  # and the cap is used, not stayed away from
    hours = times % 24
    assert set(np.unique(hours[known & ~np.isnan(hours).all(axis=1)])[:2]) == {9.0, 15.0}
    # quiet from 20; an unknown zone may be six hours ahead of the default
    assert np.nanmax(hours[~known]) == 9.0
