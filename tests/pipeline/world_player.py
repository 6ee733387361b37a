"""Real requests to a real server, and the reference world's answers as events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nurture_envs.clock import utc_microseconds
from nurture_envs.simulation import Simulation
from nurture_envs.simulation_state import SimulationState, select
from nurture_envs.worlds.draws import population_keys
from nurture_rl.logs.adapters.reference_tables import Emitter

Send = Callable[[str, str, Any], Any]  # method, path, body -> decoded answer


# What the shipped journeys leave to servers, which no simulation knows.
SERVED = {
    *("message_cap", "block_cap", "claim_cap", "unanswered", "cool_off", "inactive"),
    *("account_cap", "account_conversation", "volume_ramp"),
}


HANDED = {"sales_conversation"}


class WorldPlayer:
    """n synthetic leads whom a server nurtures; the world plays what follows each decision."""

    def __init__(self, simulation: Simulation, n: int, seed: int) -> None:
        self.simulation = simulation
        self.emitter = Emitter(simulation)
        self.ids = np.array([f"lead-{seed}-{row}" for row in range(n)])
        self.start = simulation.begin(population_keys(seed, n))
        self.talked: set[str] = set()  # who replied or was passed on to a salesperson
        self.masks_agree = 0
        self.decisions = 0

    def play(self, send: Send) -> None:
        """Register the leads, then ask for a decision each morning and report the day's events."""
        contacts = self.emitter.contacts(self.start, self.ids).drop_columns(["keys"])
        send(
            "PUT", "/v1/contacts", {"contacts": [contact_row(row) for row in contacts.to_pylist()]}
        )
        self._report(send, self.emitter.past_events(self.start, self.ids))
        state, ids = self.start, self.ids
        while len(ids):
            state, ids = self._day(send, state, ids)

    def _day(
        self, send: Send, state: SimulationState, ids: NDArray[np.str_]
    ) -> tuple[SimulationState, NDArray[np.str_]]:
        import torch

        decision = self.simulation.decision(state)
        answers = self._ask(send, state, ids)
        action = self.simulation.catalog.indices([answer["action"] for answer in answers])
        for row, answer in enumerate(answers):
            index = self.simulation.catalog.index
            blocked = {
                index(name): set(why) - SERVED
                for name, why in answer["blocked"].items()
                if set(why) - SERVED
            }
            expected = set(np.flatnonzero(~decision.mask[row].numpy()).tolist())
            more = blocked.keys() - expected
            # Hand-offs of replies, and the rest after one, are a server's too; they alone may add.
            handed = str(ids[row]) in self.talked and all(blocked[one] == HANDED for one in more)
            self.masks_agree += expected <= blocked.keys() and (not more or handed)
            self.decisions += 1
        after = self.simulation.step(state, decision, torch.as_tensor(action))
        made = np.array([answer["decision_id"] for answer in answers], object)
        delays = self.simulation.delays(state.keys, state.bins).numpy()
        amounts = after.amounts.numpy()
        self._report(send, self.emitter.bin_events(state, action, amounts, ids, made, delays))
        alive = torch.nonzero(~(after.terminated | after.truncated))[:, 0]
        return select(after.state, alive), ids[alive.numpy()]

    def _ask(self, send: Send, state: SimulationState, ids: NDArray[np.str_]) -> list[Any]:
        local = (state.anchor_us + self.simulation.spec.clock.start_us(state.bins)).numpy()
        known = state.zone_known.numpy()
        zones = np.where(known, self.emitter.zones(state.keys), self.emitter.default_zone)
        moments = utc_microseconds(local, zones)
        answers: dict[int, Any] = {}
        for moment in np.unique(moments):
            rows = np.flatnonzero(moments == moment)
            asks = [{"contact_id": str(ids[row])} for row in rows]
            now = str(np.datetime64(int(moment), "us")) + "Z"
            found = send("POST", "/v1/decisions", {"contacts": asks, "now": now})["decisions"]
            answers |= dict(zip(rows.tolist(), found, strict=True))
        return [answers[row] for row in range(len(ids))]

    def _report(self, send: Send, events: pa.Table) -> None:
        rows = [event_row(row) for row in events.to_pylist()]
        self.talked |= {row["contact_id"] for row in rows if row["type"] in ("reply", "escalated")}
        for start in range(0, len(rows), 5000):
            answer = send("POST", "/v1/events", {"events": rows[start : start + 5000]})
            assert not answer["rejected"], answer["rejected"][:3]


def contact_row(row: dict[str, Any]) -> dict[str, Any]:
    import json

    return {**row, "attributes": json.loads(row["attributes"])}


def event_row(row: dict[str, Any]) -> dict[str, Any]:
    key = row.pop("keys")[0]
    given = {name: value for name, value in row.items() if value is not None}
    for name in ("occurred_at", "recorded_at"):
        given[name] = given[name].isoformat()
    given["contact_id"] = key.partition(":")[2].removesuffix("@example.com")
    return given
