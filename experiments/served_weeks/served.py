"""One run: twelve weeks of contacts whom a server nurtures, and what is told of their lift."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.served_weeks.doors import Door, Made, in_process, over_http
from experiments.served_weeks.lives import Lives, Morning, arrivals
from experiments.served_weeks.programme import WORLDS, served_journey, write_served
from experiments.served_weeks.readings import Told, read_weekly
from nurture_envs.clock import utc_microseconds
from nurture_envs.guardrails import Reason
from nurture_envs.journey import Journey
from nurture_envs.simulation import Simulation
from nurture_rl.logs.adapters.reference_tables import Emitter
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.layers import arm_layers
from nurture_rl.serving.storage import opening
from nurture_rl.serving.storage.reading import StoreReader
from nurture_rl.serving.storage.store import Store
from nurture_rl.workflow.collect import reference_simulation
from tests.pipeline.world_player import contact_row, event_row

Opened = Callable[[Path, Path], AbstractContextManager[Door]]
_CAPS = Reason.FREQUENCY_CAP | Reason.MINIMUM_GAP


@dataclass(frozen=True, slots=True)
class Checks:
    """What has to be 0 beside the counts that say it could have been otherwise."""

    decisions: int
    masks_differ: int  # decisions whose legal actions are not those of the world
    usual: int
    usual_differs: int  # decisions of the usual arm that are not the drip's
    held_out: int
    held_out_acts: int  # decisions for who is held out other than to wait a day
    ghost_mails: int  # ghosts that would have mailed
    held_out_capped: int  # decisions for who is held out in which a cap or a gap forbids mail


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run."""

    world: str
    number: int
    same_over_http: bool | None  # decisions and ghosts, row for row; None: in process alone
    checks: Checks
    told: list[Told]
    seconds: float  # of this process' processor


class Nurtured:
    """Contacts of a world, told to a server and decided for by it."""

    def __init__(self, simulation: Simulation, start: Any, name: str) -> None:
        self._simulation, self._emitter = simulation, Emitter(simulation)
        self._ids = np.array([f"{name}-{row}" for row in range(len(start.keys))])
        self._start, self._lives = start, Lives(simulation, start)

    def play(self, door: Door) -> int:
        """Live through all days; how many decisions had other legal actions than the world's."""
        contacts = self._emitter.contacts(self._start, self._ids).drop_columns(["keys"])
        door.put([contact_row(row) for row in contacts.to_pylist()])
        past = self._emitter.past_events(self._start, self._ids)
        door.tell([event_row(row) for row in past.to_pylist()])
        return sum(self._day(door, morning) for morning in self._lives.days() if morning.who.size)

    def _day(self, door: Door, morning: Morning) -> int:
        catalog, ids = self._simulation.catalog, self._ids[morning.who]
        made = self._asked(door, morning, ids)
        names, mask = np.array(catalog.ids), morning.decision.mask.numpy()
        differ = sum(
            one.blocked != set(names[~legal]) for one, legal in zip(made, mask, strict=True)
        )
        action = catalog.indices([one.action for one in made])
        after, state = self._lives.act(morning, action), morning.state
        told = self._emitter.bin_events(
            state,
            action,
            after.amounts.numpy(),
            ids,
            np.array([one.decision_id for one in made], object),
            self._simulation.delays(state.keys, state.bins).numpy(),
        )
        door.tell([event_row(row) for row in told.to_pylist()])
        return differ

    def _asked(self, door: Door, morning: Morning, ids: NDArray[np.str_]) -> list[Made]:
        """Decisions at the midnight of each contact, the earliest first."""
        state, emitter = morning.state, self._emitter
        local = (state.anchor_us + self._simulation.spec.clock.start_us(state.bins)).numpy()
        zones = np.where(state.zone_known.numpy(), emitter.zones(state.keys), emitter.default_zone)
        moments, steps = utc_microseconds(local, zones), state.bins.tolist()
        made: dict[int, Made] = {}
        for moment in np.unique(moments):
            rows = np.flatnonzero(moments == moment).tolist()
            asks = [(str(ids[row]), f"{ids[row]}.{steps[row]}") for row in rows]
            made |= zip(rows, door.ask(asks, int(moment)), strict=True)
        return [made[row] for row in range(len(ids))]


def run(world: str, number: int, is_over_http: bool, folder: Path) -> Run:
    """Play a run in this process, and once more over HTTP where that is asked for.

    Args:
        world: one of WORLDS.
        number: of the run; fixes contacts, arms and luck.
        is_over_http: whether a server of its own has to come to the same.
        folder: for bundle, stores and logs.
    """
    torch.set_num_threads(1)
    began, journey = time.process_time(), served_journey(world)
    bundle = write_served(folder / "bundle", journey)
    doors: dict[str, Opened] = {"process": in_process}
    doors |= {"http": over_http} if is_over_http else {}
    differ = dict[str, int]()
    for name, door in doors.items():
        opening.make(folder / f"{name}.db", fresh_seed=number)
        with door(folder / "bundle", folder / f"{name}.db") as opened:
            differ[name] = contacts_of(journey, world, number).play(opened)
    same = rows_of(folder / "process.db") == rows_of(folder / "http.db") if is_over_http else None
    with closing(Store(folder / "process.db")) as store:
        checks = checked(bundle, store, sum(differ.values()))
    with closing(StoreReader(folder / "process.db")) as reader:
        told = read_weekly(reader, journey, folder)
    return Run(world, number, same, checks, told, round(time.process_time() - began, 1))


def contacts_of(journey: Journey, world: str, number: int) -> Nurtured:
    """The contacts of a run."""
    simulation = reference_simulation(replace(journey, experiment=None))
    start = arrivals(simulation, 1_000 + number, WORLDS[world].contacts)
    return Nurtured(simulation, start, f"{world}-{number}")


def rows_of(path: Path) -> list[Sequence[Any]]:
    """All decisions and ghosts of a store, with all that is logged of them."""
    with closing(sqlite3.connect(path)) as store:
        tables = ("decisions", "ghosts")
        return [
            row
            for table in tables
            for row in store.execute(f"SELECT * FROM {table} ORDER BY decision_id")
        ]


def checked(bundle: Bundle, store: Store, differ: int) -> Checks:
    """Look at every decision in the store.

    Args:
        bundle: what decided.
        store: where it was logged.
        differ: decisions whose legal actions were not those of the world.
    """
    usual = arm_layers(bundle)["usual"][0].policy
    decisions = list(store.decisions(_names(store)).values())
    ghosts = store.ghosts([one.decision_id for one in decisions])
    plain = [one for one in decisions if one.arm == "usual"]
    held = [one for one in decisions if one.arm == "holdout"]
    table = usual.action_probabilities(
        np.array([one.features for one in plain], np.float32),
        np.array([one.mask for one in plain], np.bool_),
    )
    meant = np.array(bundle.catalog.ids)[table.argmax(axis=1)]
    return Checks(
        decisions=len(decisions),
        masks_differ=differ,
        usual=len(plain),
        usual_differs=int((meant != [one.action for one in plain]).sum()),
        held_out=len(held),
        held_out_acts=sum(one.action != "pause:1" for one in held),
        ghost_mails=sum(ghost.action.startswith("send:") for ghost in ghosts.values()),
        held_out_capped=sum(any(bits & _CAPS for bits in one.reasons) for one in held),
    )


def _names(store: Store) -> list[str]:
    return [str(row[0]) for block in store.scan("decisions") for row in block]
