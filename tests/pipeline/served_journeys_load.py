"""Several journeys on real servers: bundles on disk, clients who race, and what must hold after."""

from __future__ import annotations

import random
import urllib.error
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_rl.release.bundle import write_bundle
from nurture_rl.release.parity import normal_states
from nurture_rl.serving.storage.reading import StoreReader
from nurture_rl.serving.storage.rows import decision_of
from tests.pipeline.running_server import RunningServer
from tests.unit.release.bundles import CREATED, content
from tests.unit.serving.enrolled import journey

NAMES = ("base", "low", "high", "patient")
TERMS: dict[str, dict[str, Any]] = {
    "low": {"rest_days": 0, "priority": 1},
    "high": {"enter": {"on": ["missed"]}, "rest_days": 0, "priority": 5},
    "patient": {"rest_days": 0, "priority": 1, "busy": "wait"},
}
_RANDOM = {"kind": "random", "weights": {"send": 0.7, "pause": 0.3}}
# Sends that are confirmed or withdrawn at once, as often as chance will have it.
_RAILS: dict[str, Any] = {"frequency_caps": [{"max": 10_000, "hours": 20}], "confirm": True}
_REFUSED = (409,)


def bundles(folder: Path) -> list[Path]:
    """A bundle of each journey."""
    return [_bundle(folder / name, name) for name in NAMES]


def options(folders: Sequence[Path]) -> str:
    """How a server is told of the further ones."""
    return f"journeys=[{','.join(map(str, folders[1:]))}]"


def _bundle(folder: Path, name: str) -> Path:
    own = journey(name, TERMS.get(name), **_RAILS)
    catalog, features = ActionCatalog.of(own), FeatureSpec.of(own)
    d, draw = len(features.columns), np.random.default_rng(5)
    states = normal_states(np.zeros(d), np.ones(d), (64, len(catalog)), catalog.wait, draw)
    made = replace(content(_RANDOM), journey=own, states=states)
    write_bundle(folder, made, CREATED)
    return folder


def put(server: RunningServer, people: Sequence[str]) -> None:
    """Make contacts who may be written to."""
    rows = [{"contact_id": name, "consent": True, "time_zone": "UTC"} for name in people]
    server.send("PUT", "/v1/contacts", {"contacts": rows})


def told(server: RunningServer, path: str, body: Any) -> int:
    """The status of a request."""
    try:
        server.send("POST", path, body)
    except urllib.error.HTTPError as error:
        return error.code
    return 200


def missed(name: str, event_id: str, at: str) -> dict[str, Any]:
    """An event that enrols in `high`."""
    row = {"event_id": event_id, "contact_id": name, "type": "demo_missed", "occurred_at": at}
    return {"events": [row]}


def race(servers: Sequence[RunningServer], people: Sequence[str], clients: int, times: int) -> None:
    """Let clients of all servers move and ask for the same few people at once."""

    def client(number: int) -> None:
        draw, server = random.Random(number), servers[number % len(servers)]
        for _ in range(times):
            path, body = _step(draw, draw.choice(people))
            status = told(server, path, body)
            assert status in (200, *_REFUSED), (status, path, body)

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, range(clients)))


def _step(draw: random.Random, name: str) -> tuple[str, dict[str, Any]]:
    why, own = {"why": "a test"}, draw.choice(NAMES)
    kind = draw.choice([*["enrol", "decide"] * 5, "exit", "pause", "pause", "resume", "event"])
    if kind == "decide":
        ask = {"contact_id": name, "request_id": uuid4().hex}
        return "/v1/decisions", {
            "contacts": [ask | ({"journey": own} if draw.random() < 0.3 else {})]
        }
    if kind == "event":
        what = draw.choice([*["demo_missed", "click"] * 8, "purchase"])  # which ends the day
        row = {"event_id": uuid4().hex, "contact_id": name, "type": what}
        return "/v1/events", {"events": [row | {"occurred_at": _now()}]}
    path = f"/v1/journeys/{own}/contacts/{name}"
    return (path if kind == "enrol" else f"{path}/{kind}"), why


def _now() -> str:
    return f"{np.datetime64('now')}Z"


def faults(location: str | Path, people: Sequence[str]) -> tuple[list[str], Counter[str]]:
    """What must not be after clients raced, and how often what may be was there to be wrong.

    Two journeys at once, a decision outside of its episode, a wrong propensity, mail in a person's
    pause, mail that an end left over.
    """
    found, seen = [], Counter[str]()
    with closing(StoreReader(location)) as store:
        passes = store.passes(people)
        entries = {name: store.journey_entries(name) for name in people}
        made = [decision_of(row) for block in store.scan("decisions") for row in block]
        fates = store.fates([decision.decision_id for decision in made])
    rows = {row.episode_id: row for some in passes.values() for row in some}
    for name, some in passes.items():
        spans = sorted((row.began_us or 0, row.ended_us or 1 << 62) for row in some)
        found += [f"{name} twice" for a, b in pairwise(spans) if a[1] > b[0]]
    for one in made:
        row = rows[one.episode_id]
        if not (row.began_us or 0) <= one.decided_us <= (row.ended_us or 1 << 62):
            found.append(f"{one.decision_id} outside of its episode")
        if not np.isclose(sum(one.probabilities), 1.0) or one.propensity not in one.probabilities:
            found.append(f"{one.decision_id} has a wrong propensity")
        moves = [e for e in entries[one.contact_id] if e.at_us <= one.decided_us]
        words = [entry.what for entry in moves if entry.what in ("paused", "resumed")]
        paused, sends = words[-1:] == ["paused"], one.scheduled_us is not None
        seen += Counter(paused=paused, sends=sends)
        if paused and sends:
            found.append(f"{one.decision_id} sends to who is paused")
        if sends and row.reason in ("superseded", "person", "goal"):
            seen["ended"] += 1
            found += [] if one.decision_id in fates else [f"{one.decision_id} outlives its episode"]
    return found, seen
