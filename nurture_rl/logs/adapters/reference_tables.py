"""What a reference world would have logged: raw tables in the real schema, all synthetic."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from torch import Tensor

from nurture_envs.clock import utc_microseconds
from nurture_envs.features import NEVER
from nurture_envs.rollout import ActsOnArrays, Step, play
from nurture_envs.simulation import Simulation
from nurture_envs.simulation_state import SimulationState, Standing
from nurture_envs.worlds.draws import population_keys, uniforms
from nurture_envs.worlds.zones import DEFAULT_ZONE, ZONES, drawn_zones
from nurture_rl.logs.adapters.reference_events import (
    NO_ACTION,
    EventWriter,
    FloatArray,
    Happened,
    IntArray,
)
from nurture_rl.logs.atomic import atomic_folder
from nurture_rl.logs.schema import UTC_TIME, WALL_TIME

_BLOCK = 4096


@dataclass(frozen=True)
class Emitter:
    """Turns what happened in a simulation into raw events, contacts and decisions."""

    simulation: Simulation
    default_zone: str = DEFAULT_ZONE

    @cached_property
    def _writer(self) -> EventWriter:
        return EventWriter(self.simulation.journey, self.simulation.catalog)

    def zones(self, keys: Tensor) -> NDArray[np.str_]:
        """The true zone of each contact, [n]."""
        return np.asarray(np.array(ZONES)[drawn_zones(keys).cpu().numpy()], str)

    def _clock_zones(self, state: SimulationState | Standing) -> NDArray[np.str_]:
        """The zone the sender works with: the default where it is not known, [n]."""
        known = state.zone_known.cpu().numpy()
        return np.where(known, self.zones(state.keys), self.default_zone)

    def contacts(
        self,
        state: SimulationState,
        ids: NDArray[np.str_],
        accounts: NDArray[np.str_] | None = None,
    ) -> pa.Table:
        """Raw contact rows of contacts at the start of their first bin.

        Whoever came by a form is known on web pages from then on, everybody else from the start.
        """
        names = self.simulation.spec.attribute_columns
        values = state.attributes.T.cpu().numpy()
        known = state.zone_known.cpu().numpy()
        zones = self.zones(state.keys)
        return pa.table(
            {
                "contact_id": pa.array(ids),
                "account_id": pa.array(
                    [None] * len(ids) if accounts is None else accounts.tolist(), pa.string()
                ),
                "keys": pa.array(
                    [
                        [f"email:{name}@example.com", *([] if form else [f"cookie:{name}"])]
                        for name, form in zip(ids, self._came_by_form(state), strict=True)
                    ]
                ),
                "time_zone": pa.array(zones, mask=~known),
                "zone_confidence": pa.array(known.astype(float)),
                "consent": pa.array(state.consent.cpu().numpy()),
                "attributes": pa.array([_attributes(names, row) for row in values]),
            }
        )

    def _came_by_form(self, state: SimulationState) -> NDArray[np.bool_]:
        forms = [s.type == "form_submitted" for s in self.simulation.journey.signals]
        last = self.simulation.world.start(state.keys).past.last.cpu().numpy()
        return np.asarray((last[: len(forms)][forms] > NEVER).any(axis=0))

    def past_events(self, state: SimulationState, ids: NDArray[np.str_]) -> pa.Table:
        """Events of the bins before entry, as the world left them in the starting state.

        Args:
            state: contacts at the start of their first bin, [n].
            ids: their names, [n].
        """
        past = self.simulation.world.start(state.keys).past
        ring, last = past.ring.cpu().numpy(), past.last.T.cpu().numpy()
        sums = {-1 - lag: amounts.T for lag, amounts in enumerate(ring) if amounts.any()}
        older = np.unique(last[(last < -len(ring)) & (last > NEVER)])
        sums |= {int(bin_): (last == bin_).astype(np.float32) for bin_ in older}
        none, nothing = np.full(len(ids), "", object), np.full(len(ids), NO_ACTION)
        parts = [
            self._writer.table(
                self._happened(state, amounts, nothing, ids, none, 0 * amounts, bin_)
            )
            for bin_, amounts in sums.items()
        ]
        return pa.concat_tables(parts) if parts else self._writer.empty()

    def bin_events(
        self,
        state: SimulationState | Standing,
        action: IntArray,
        amounts: FloatArray,
        ids: NDArray[np.str_],
        decision_ids: NDArray[Any],
        delays: IntArray | None = None,
    ) -> pa.Table:
        """Events of one bin.

        Args:
            state: the contacts at its start.
            action: what was done, [m].
            amounts: channel sums, [m, c].
            ids, decision_ids: names, [m].
            delays: bins until each channel is known, [m, c]; None: as the journey declares.
        """
        if delays is None:
            declared = np.array(self.simulation.journey.delays, np.int64)
            delays = np.broadcast_to(declared, amounts.shape)
        return self._writer.table(
            self._happened(state, amounts, action, ids, decision_ids, delays, None)
        )

    def _happened(
        self,
        state: SimulationState | Standing,
        amounts: FloatArray,
        action: IntArray,
        ids: NDArray[np.str_],
        decision_ids: NDArray[Any],
        delays: NDArray[Any],
        past_bin: int | None,
    ) -> Happened:
        now = state.bins.cpu().numpy()
        bins = now if past_bin is None else np.full_like(now, past_bin)
        step: Tensor | int = state.bins if past_bin is None else past_bin
        width = len(self.simulation.journey.signals)
        return Happened(
            ids=ids,
            zones=self._clock_zones(state),
            anchor_us=state.anchor_us.cpu().numpy(),
            bins=bins,
            action=action,
            decision_ids=decision_ids,
            amounts=amounts,
            delays=delays.astype(np.int64),
            luck=uniforms(state.keys, step, 11, width).T.cpu().numpy(),
        )

    def decisions(self, step: Step, ids: NDArray[np.str_], policy_id: str, arm: str) -> pa.Table:
        """Raw decision rows of one bin."""
        bins = step.state.bins.cpu().numpy()
        names = ids[step.contact.cpu().numpy()]
        anchor = step.state.anchor_us.cpu().numpy()
        decided = anchor + self.simulation.spec.clock.start_us(bins)
        action = step.action.cpu().numpy()
        chosen = step.probabilities.gather(1, step.action[:, None])[:, 0].cpu().numpy()
        n = len(names)
        return pa.table(
            {
                "decision_id": pa.array(_decision_ids(names, bins)),
                "contact_id": pa.array(names),
                "journey": pa.repeat(self.simulation.journey.name, n),
                "episode_id": pa.array([f"{name}.0" for name in names]),
                "anchor": pa.array(anchor, WALL_TIME),
                "step": pa.array(bins.astype(np.int32)),
                "decided_at": pa.array(
                    utc_microseconds(decided, self._clock_zones(step.state)), UTC_TIME
                ),
                "action": pa.array(np.array(self.simulation.catalog.ids)[action]),
                "propensity": pa.array(chosen),
                "probabilities": _lists(step.probabilities.cpu().numpy()),
                "mask": _lists(step.mask.cpu().numpy()),
                "policy_id": pa.repeat(policy_id, n),
                "arm": pa.repeat(arm, n),
                "deferred": pa.array(np.zeros(n, bool)),
                "features": _lists(step.features.cpu().numpy()),
                "catalog": pa.repeat(self.simulation.catalog.hash, n),
            }
        )


def write_reference_log(
    out: Path,
    simulation: Simulation,
    policy: ActsOnArrays,
    n: int,
    seed: int,
    progress: Callable[[int], None] | None = None,
    account_size: int = 1,
    policy_id: str = "drip with exploration",
) -> None:
    """Let `policy` nurture n synthetic contacts and write what a sender would have logged.

    Args:
        out: folder that gets `events.parquet`, `contacts.parquet` and `decisions.parquet`.
        simulation: the reference world, compiled.
        policy: the logging policy.
        n: contacts.
        seed: fixes contacts, answers and choices.
        progress: told how many contacts are done.
        account_size: so many contacts in a row share an account; 1 for contacts without one.
        policy_id: what the log calls the policy.
    """
    emitter = Emitter(simulation)
    ids = np.array([f"lead-{seed:03d}-{row:06d}" for row in range(n)])
    accounts = np.array([f"account-{seed:03d}-{row // account_size:06d}" for row in range(n)])
    keys = population_keys(seed, n, simulation.device)
    contacts, events, decisions = [], [], []
    for start in range(0, n, _BLOCK):
        block = slice(start, start + _BLOCK)
        first = simulation.begin(keys[block])
        shared = accounts[block] if account_size > 1 else None
        contacts.append(emitter.contacts(first, ids[block], shared))
        events.append(emitter.past_events(first, ids[block]))
        for step in play(simulation, policy, keys[block], start):
            decisions.append(emitter.decisions(step, ids, policy_id, "logged"))
            names = ids[step.contact.cpu().numpy()]
            amounts, action = step.amounts.cpu().numpy(), step.action.cpu().numpy()
            made = _decision_ids(names, step.state.bins.cpu().numpy())
            delays = simulation.delays(step.state.keys, step.state.bins).cpu().numpy()
            events.append(emitter.bin_events(step.state, action, amounts, names, made, delays))
        if progress is not None:
            progress(min(start + _BLOCK, n))
    with atomic_folder(out) as folder:
        pq.write_table(pa.concat_tables(contacts), folder / "contacts.parquet")
        pq.write_table(pa.concat_tables(events), folder / "events.parquet")
        pq.write_table(pa.concat_tables(decisions), folder / "decisions.parquet")


def _decision_ids(names: NDArray[np.str_], bins: NDArray[np.int64]) -> NDArray[Any]:
    return np.array([f"{n}.{b}" for n, b in zip(names, bins, strict=True)], object)


def _attributes(names: tuple[str, ...], row: NDArray[np.float32]) -> str:
    """The attributes as a source system would hold them: numbers, and names of levels."""
    attributes: dict[str, Any] = {}
    for name, value in zip(names, row, strict=True):
        attribute, is_level, level = name.partition("=")
        if is_level and value:
            attributes[attribute] = level
        elif not is_level:
            attributes[attribute] = float(value)
    return json.dumps(attributes)


def _lists(values: NDArray[Any]) -> pa.ListArray:
    n, width = values.shape
    offsets = pa.array(np.arange(n + 1, dtype=np.int32) * width)
    return pa.ListArray.from_arrays(offsets, pa.array(values.reshape(-1)))
