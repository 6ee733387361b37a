"""Every answer says when its contact is to be decided for again, and at that moment it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from litestar.testing import TestClient

from nurture_envs.clock import DAY_US, HOUR_US
from nurture_envs.clock import Clock as JourneyClock
from nurture_rl.release.bundle import write_bundle
from nurture_rl.serving.deciding.next_decisions import next_moments
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http.app import create_app
from tests.unit.release.bundles import CREATED, content
from tests.unit.serving.contacts import MIDNIGHT, MIDNIGHT_LOCAL, Clock, contact, service
from tests.unit.serving.lives import Client, decision

Start = Callable[[str], Any]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """A server whose policy always takes one action, and its clock."""

    @contextmanager
    def started(action: str) -> Iterator[tuple[Client, Service, Clock]]:
        spec = {"kind": "always", "action": action}
        bundle = write_bundle(tmp_path / "bundle", content(spec), CREATED)
        clock = Clock(MIDNIGHT + HOUR_US)
        found = service(bundle, tmp_path / "s.db", clock)
        with closing(found.store), TestClient(create_app(found)) as client:
            yield client, found, clock

    return started


def us_of(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1e6)


@pytest.mark.parametrize(
    ("action", "days"), [("send:welcome@09", 1), ("pause:1", 1), ("pause:3", 3)]
)
def test_asked_then_there_is_a_decision_and_asked_a_moment_before_there_is_none_yet(
    start: Start, action: str, days: int
) -> None:
    with start(action) as (client, _, clock):
        first = decision(client, "ada", request_id="r-1")
        assert first["action"] == action
        assert us_of(first["next_decision_at"]) == MIDNIGHT + days * DAY_US
        if days == 1:
            clock.now_us = us_of(first["next_decision_at"]) - 1
            assert decision(client, "ada")["code"] == "already_decided"
        clock.now_us = us_of(first["next_decision_at"])
        second = decision(client, "ada")
        assert (second["kind"], second["step"]) == ("decision", days)


def test_a_retry_and_whoever_looks_later_hear_the_same_moment(start: Start) -> None:
    with start("pause:3") as (client, _, _):
        told = decision(client, "ada", request_id="r-1")["next_decision_at"]
        assert told is not None
        assert decision(client, "ada", request_id="r-1")["next_decision_at"] == told
        seen = client.get("/v1/decisions/r-1").json()
        assert seen["decision"]["next_decision_at"] == told
        assert client.get("/v1/decisions/r-1/explain").json()["next_decision_at"] == told


def test_each_contact_hears_it_by_the_own_clock(start: Start) -> None:
    with start("pause:1") as (client, found, clock):
        clock.now_us = MIDNIGHT + 12 * HOUR_US
        found.put_contacts([contact("kim", time_zone="Asia/Tokyo")])
        body = {"contacts": [{"contact_id": "ada"}, {"contact_id": "kim"}]}
        rows = client.post("/v1/decisions", json=body).json()["decisions"]
        told = [us_of(row["next_decision_at"]) for row in rows]
        assert told == [MIDNIGHT + DAY_US, MIDNIGHT + DAY_US - 8 * HOUR_US]


def test_the_last_decision_has_none(start: Start) -> None:
    with start("exit") as (client, _, _):
        assert decision(client, "ada")["next_decision_at"] is None


def test_what_is_stored_and_proven_does_not_know_it(start: Start) -> None:
    with start("pause:1") as (client, found, _):
        decision(client, "ada", request_id="r-1")
        assert found.store.decisions(["r-1"])["r-1"].next_us is None


def test_moments_follow_bins_pauses_and_clocks_that_are_set_forward() -> None:
    clock = JourneyClock(24.0, (6.0, 18.0), 3)  # six bins
    actions = ["send:a@09", "pause:2", "slow:14", "escalate", "exit", "pause:1"]
    steps = np.array([0, 1, 2, 4, 0, 5])
    spring = 20_878 * DAY_US + 26 * DAY_US  # 2027-03-27, the day before
    anchors = np.array([MIDNIGHT_LOCAL] * 3 + [spring] * 3)
    zones = np.array(["Europe/Berlin"] * 6)
    found = next_moments(clock, actions, steps, anchors, zones)
    assert found == [
        MIDNIGHT + 18 * HOUR_US,
        MIDNIGHT + DAY_US + 18 * HOUR_US,
        MIDNIGHT + DAY_US + 18 * HOUR_US,
        spring + 2 * DAY_US + 18 * HOUR_US - 2 * HOUR_US,  # summer time
        None,
        None,
    ]
