"""A run of the served weeks: what it checks it would also find."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.served_weeks.doors import in_process
from experiments.served_weeks.lives import Lives, arrivals
from experiments.served_weeks.programme import FIRST_DAY, served_journey, write_served
from experiments.served_weeks.readings import read_weekly
from experiments.served_weeks.served import Nurtured, checked, rows_of
from experiments.served_weeks.truth import figures_of, truths
from nurture_envs.clock import DAY_US
from nurture_envs.experiment import dealt_arm
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.reference import reference_world
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.layers import arm_layers
from nurture_rl.serving.storage import opening
from nurture_rl.serving.storage.reading import StoreReader
from nurture_rl.serving.storage.store import Store

WORLD = "inbound_lead"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_served(tmp_path_factory.mktemp("b") / "bundle", served_journey(WORLD))


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    return Simulation(reference_world(served_journey(WORLD)))


def played(simulation: Simulation, folder: Path, name: str, seed: int) -> Path:
    """Four days of arrivals, played in this process."""
    write_served(folder / name, served_journey(WORLD))
    store = folder / f"{name}.db"
    opening.make(store, fresh_seed=seed)
    with in_process(folder / name, store) as door:
        start = arrivals(simulation, 5, 200, days=4)
        assert Nurtured(simulation, start, "lead").play(door) == 0
    return store


def alone(bundle: Bundle, simulation: Simulation) -> dict[str, float]:
    """What nobody mailed has less than the drip, where the world plays both without a server."""
    experiment, start = bundle.journey.experiment, arrivals(simulation, 5, 200, days=4)
    assert experiment is not None
    arm = np.array([dealt_arm(experiment, f"lead-{row}") for row in range(200)])
    held, usual = (
        figures_of(simulation, start, arm_layers(bundle)[name][0].policy, "became_mql")
        for name in ("holdout", "usual")
    )
    return {k: held[k][arm == "holdout"].mean() - usual[k][arm == "usual"].mean() for k in held}


def test_a_run_tells_what_the_world_did_and_other_decisions_are_seen(
    bundle: Bundle, simulation: Simulation, tmp_path: Path
) -> None:
    first, again = (played(simulation, tmp_path, name, 3) for name in ("first", "again"))
    assert rows_of(first) == rows_of(again) != []
    with closing(Store(first)) as store:
        found = checked(bundle, store, 0)
    assert (found.usual_differs, found.held_out_acts, found.held_out_capped) == (0, 0, 0)
    assert min(found.usual, found.held_out, found.ghost_mails) > 100
    with closing(StoreReader(first)) as reader:
        told = read_weekly(reader, served_journey(WORLD), tmp_path / "read")
    assert {(one.arm, one.role) for one in told} >= {
        ("policy", "north star"),
        ("policy", "velocity"),
    }
    assert all(one.days[-1] == 104 and len(one.days) == len(one.half) for one in told)
    expected = alone(bundle, simulation)
    held = {one.figure: one.difference[-1] for one in told if one.arm == "holdout"}
    assert held == pytest.approx(expected, rel=1e-4)
    assert expected["meetings booked"] != 0.0
    # One decision of either arm is another one: the check says so.
    with closing(sqlite3.connect(first)) as rows, rows:
        for arm in ("usual", "holdout"):
            rows.execute(
                "UPDATE decisions SET action = 'exit' WHERE decision_id = "
                "(SELECT min(decision_id) FROM decisions WHERE arm = ?)",
                (arm,),
            )
    assert rows_of(first) != rows_of(again)
    with closing(Store(first)) as store:
        broken = checked(bundle, store, 0)
    assert (broken.usual_differs, broken.held_out_acts) == (1, 1)


def test_day_by_day_contacts_live_as_they_do_side_by_side(simulation: Simulation) -> None:
    start = arrivals(simulation, 2, 60)
    lives, action = Lives(simulation, start), simulation.catalog.index("send:welcome@09")
    amounts = np.zeros((60, len(simulation.journey.channels)))
    for morning in lives.days():
        day = (morning.state.anchor_us // DAY_US + morning.state.bins).numpy()
        assert (day == day[:1]).all()  # one day of the calendar
        after = lives.act(morning, np.full(morning.who.size, action))
        amounts[morning.who] += after.amounts.numpy()
    state, alive, expected = start, torch.ones(60, dtype=torch.bool), np.zeros_like(amounts)
    for _ in range(simulation.spec.clock.horizon):
        after = simulation.step(state, simulation.decision(state), torch.full((60,), action))
        expected[alive.numpy()] += after.amounts.numpy()[alive.numpy()]
        state, alive = after.state, alive & ~after.terminated
    assert (amounts == expected).all()
    days = start.anchor_us.numpy() // DAY_US - FIRST_DAY
    assert days.min() >= 0
    assert 60 < days.max() < 84


def test_business_as_usual_has_no_lift_and_nobody_mailed_has_no_opt_out(tmp_path: Path) -> None:
    bundle = write_served(tmp_path / "drip", served_journey(WORLD), {"kind": "drip"})
    found = {(one.arm, one.figure): one for one in truths(WORLD, bundle, 4_000)}
    assert len(found) == 8
    for (arm, _), one in found.items():
        assert arm == "holdout" or (one.difference, one.stderr) == (0.0, 0.0)
    gone = found["holdout", "opt-outs"]
    assert gone.difference == -gone.usual < 0.0
