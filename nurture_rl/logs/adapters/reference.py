"""What the reference world would have logged: raw tables in the real schema, all synthetic."""

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

from nurture_envs.actions import NOW
from nurture_envs.clock import DAY_US, HOUR_US, utc_microseconds
from nurture_envs.journey import Signal
from nurture_envs.rollout import ActsOnArrays, Step, play
from nurture_envs.simulation import Simulation, SimulationState
from nurture_envs.worlds.draws import START, population_keys, uniforms
from nurture_rl.logs.atomic import atomic_folder
from nurture_rl.logs.schema import UTC_TIME, WALL_TIME

ZONES = (
    "Europe/Berlin",
    "Europe/London",
    "America/New_York",
    "America/Los_Angeles",
    "Asia/Singapore",
)
_ZONE_SHARES = np.array([0.35, 0.2, 0.25, 0.12, 0.08])
_SECOND = 1_000_000
_MAIL = ("sent", "delivered", "hard_bounce", "open", "click", "reply", "unsubscribe", "complaint")
_BOT_SHARE = 0.2  # contacts whose mail gateway follows every link
_BLOCK = 4096

# Event type -> (after the send? , earliest, spread): microseconds into the send or the local day.
_TIMES: dict[str, tuple[bool, int, int]] = {
    "sent": (True, 0, 0),
    "delivered": (True, 30 * _SECOND, 0),
    "hard_bounce": (True, 60 * _SECOND, 0),
    "open": (True, 120 * _SECOND, 4 * HOUR_US),
    "click": (True, 600 * _SECOND, 6 * HOUR_US),
    "reply": (True, HOUR_US, 7 * HOUR_US),
    "unsubscribe": (True, 1200 * _SECOND, 6 * HOUR_US),
    "complaint": (True, 1200 * _SECOND, 6 * HOUR_US),
    "page_view": (False, 8 * HOUR_US, 13 * HOUR_US),
    "form_submitted": (False, 21 * HOUR_US, HOUR_US),
    "escalated": (False, 9 * HOUR_US, 0),
    "meeting_booked": (False, 9 * HOUR_US, 9 * HOUR_US),
    "stage_changed": (False, 17 * HOUR_US, 0),
}

EventColumns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Emitter:
    """Turns what happened in a simulation into raw events, contacts and decisions."""

    simulation: Simulation
    default_zone: str = "Europe/Berlin"

    @cached_property
    def _delays(self) -> NDArray[np.int64]:
        return np.array(self.simulation.journey.delays, np.int64)

    def zones(self, keys: Tensor) -> NDArray[np.str_]:
        """The true zone of each contact, [n]."""
        u = uniforms(keys, START, 12, 1)[0].cpu().numpy()
        index = np.searchsorted(np.cumsum(_ZONE_SHARES), u, side="right")
        return np.array(ZONES)[np.minimum(index, len(ZONES) - 1)]

    def _clock_zones(self, state: SimulationState) -> NDArray[np.str_]:
        """The zone the sender works with: the default where it is not known, [n]."""
        known = state.zone_known.cpu().numpy()
        return np.where(known, self.zones(state.keys), self.default_zone)

    def contacts(self, state: SimulationState, ids: NDArray[np.str_]) -> pa.Table:
        """Raw contact rows of contacts at the start of their first bin."""
        names = self.simulation.spec.attribute_columns
        values = state.attributes.cpu().numpy()
        known = state.zone_known.cpu().numpy()
        zones = self.zones(state.keys)
        return pa.table(
            {
                "contact_id": pa.array(ids),
                "keys": pa.array([[f"email:{name}@example.com"] for name in ids]),
                "time_zone": pa.array(zones, mask=~known),
                "zone_confidence": pa.array(known.astype(float)),
                "consent": pa.array(state.consent.cpu().numpy()),
                "attributes": pa.array([_attributes(names, row) for row in values]),
            }
        )

    def past_events(self, state: SimulationState, ids: NDArray[np.str_]) -> pa.Table:
        """Events of the bin before entry, as the world left them in the starting state."""
        amounts = state.past.ring[:, 0].cpu().numpy()
        bins = np.full(len(ids), -1, np.int64)
        none = np.full(len(ids), -1, np.int64)
        return self._events(state, amounts, bins, none, ids, np.full(len(ids), "", object))

    def bin_events(
        self,
        state: SimulationState,
        action: NDArray[np.int64],
        amounts: NDArray[np.float32],
        ids: NDArray[np.str_],
        decision_ids: NDArray[Any],
    ) -> pa.Table:
        """Events of one bin, from the state at its start, the action and the channel sums."""
        return self._events(state, amounts, state.bins.cpu().numpy(), action, ids, decision_ids)

    def _events(
        self,
        state: SimulationState,
        amounts: NDArray[np.float32],
        bins: NDArray[np.int64],
        action: NDArray[np.int64],
        ids: NDArray[np.str_],
        decision_ids: NDArray[Any],
    ) -> pa.Table:
        journey = self.simulation.journey
        luck = uniforms(state.keys, state.bins, 11, len(journey.signals) + 5).T.cpu().numpy()
        midnight = state.anchor_us.cpu().numpy() + self.simulation.spec.clock.start_us(bins)
        slot = np.where(action >= 0, self.simulation.catalog.slots[action], 0)
        sent_at = midnight + np.where(slot == NOW, 0, slot * HOUR_US)
        zones = self._clock_zones(state)
        parts: list[EventColumns] = []
        for column, signal in enumerate(journey.signals):
            rows = np.flatnonzero(amounts[:, column] > 0)
            after_send, earliest, spread = _TIMES[signal.type]
            start = sent_at if after_send else midnight
            local = start[rows] + earliest + (luck[rows, column] * spread).astype(np.int64)
            delay = signal.delay_bins * DAY_US
            parts.append(
                self._rows(signal, rows, local, delay, ids, bins, action, decision_ids, zones)
            )
        clicked = amounts[:, journey.channel_index("delivered")] > 0
        bots = np.flatnonzero(
            clicked & (uniforms(state.keys, START, 13, 1)[0].cpu().numpy() < _BOT_SHARE)
        )
        robot = Signal("clicked_by_machine", "click", is_machine=True)
        local = sent_at[bots] + 33 * _SECOND
        parts.append(self._rows(robot, bots, local, 0, ids, bins, action, decision_ids, zones))
        return _event_table(parts)

    def _rows(
        self,
        signal: Signal,
        rows: NDArray[np.int64],
        local: NDArray[np.int64],
        delay: int,
        ids: NDArray[np.str_],
        bins: NDArray[np.int64],
        action: NDArray[np.int64],
        decision_ids: NDArray[Any],
        zones: NDArray[np.str_],
    ) -> EventColumns:
        mail = signal.type in _MAIL
        nothing = np.full(len(rows), None, object)
        about = [self.simulation.catalog.actions[a].message for a in action[rows]] if mail else []
        message = np.array([m.id if m else None for m in about], object) if mail else nothing
        topic = np.array([m.topic if m else None for m in about], object) if mail else nothing
        anonymous = signal.type in ("page_view",)
        keys = [
            f"cookie:{name}" if anonymous else f"email:{name}@example.com" for name in ids[rows]
        ]
        form = signal.type == "form_submitted"
        return {
            "event_id": np.array(
                [f"{n}.{b}.{signal.name}" for n, b in zip(ids[rows], bins[rows], strict=True)],
                object,
            ),
            "keys": np.array(
                [
                    [key, f"cookie:{n}"] if form else [key]
                    for key, n in zip(keys, ids[rows], strict=True)
                ]
                + [None],
                object,
            )[:-1],
            "occurred_at": utc_microseconds(local, zones[rows]),
            "recorded_at": utc_microseconds(local + delay, zones[rows]),
            "type": np.full(len(rows), signal.type, object),
            "source": np.full(len(rows), _source(signal.type), object),
            "message_id": message,
            "decision_id": decision_ids[rows] if mail else nothing,
            "topic": topic,
            "page_category": np.full(len(rows), signal.page_category, object),
            "reply_class": np.full(len(rows), signal.reply_class, object),
            "stage": np.full(len(rows), signal.stage, object),
            "is_machine": np.full(len(rows), bool(signal.is_machine)),
        }

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
) -> None:
    """Let `policy` nurture n synthetic contacts and write what a sender would have logged.

    Args:
        out: folder that gets `events.parquet`, `contacts.parquet` and `decisions.parquet`.
        simulation: the reference world, compiled.
        policy: the logging policy.
        n: contacts.
        seed: fixes contacts, answers and choices.
        progress: told how many contacts are done.
    """
    emitter = Emitter(simulation)
    ids = np.array([f"lead-{seed:03d}-{row:06d}" for row in range(n)])
    keys = population_keys(seed, n, simulation.device)
    contacts, events, decisions = [], [], []
    for start in range(0, n, _BLOCK):
        block = keys[start : start + _BLOCK]
        first = simulation.begin(block)
        contacts.append(emitter.contacts(first, ids[start : start + _BLOCK]))
        events.append(emitter.past_events(first, ids[start : start + _BLOCK]))
        for step in play(simulation, policy, block, start):
            decisions.append(emitter.decisions(step, ids, "drip with exploration", "logged"))
            names = ids[step.contact.cpu().numpy()]
            amounts, action = step.amounts.cpu().numpy(), step.action.cpu().numpy()
            made = _decision_ids(names, step.state.bins.cpu().numpy())
            events.append(emitter.bin_events(step.state, action, amounts, names, made))
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
    found: dict[str, Any] = {}
    for name, value in zip(names, row, strict=True):
        attribute, is_level, level = name.partition("=")
        if is_level and value:
            found[attribute] = level
        elif not is_level:
            found[attribute] = float(value)
    return json.dumps(found)


def _source(event_type: str) -> str:
    if event_type in ("page_view", "form_submitted"):
        return "web"
    return "email" if event_type in _MAIL else "crm"


def _lists(values: NDArray[Any]) -> pa.ListArray:
    n, width = values.shape
    offsets = pa.array(np.arange(n + 1, dtype=np.int32) * width)
    return pa.ListArray.from_arrays(offsets, pa.array(values.reshape(-1)))


def _event_table(parts: list[EventColumns]) -> pa.Table:
    columns: dict[str, pa.Array] = {}
    for name in parts[0]:
        values = np.concatenate([part[name] for part in parts])
        if name in ("occurred_at", "recorded_at"):
            columns[name] = pa.array(values, UTC_TIME)
        elif name == "is_machine":
            columns[name] = pa.array(values.astype(bool))
        elif name == "keys":
            columns[name] = pa.array(values.tolist(), pa.list_(pa.string()))
        else:
            columns[name] = pa.array(values.tolist(), pa.string())
    return pa.table(columns)
