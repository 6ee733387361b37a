"""A server reads states in place of histories, and decides as if it had read everything."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nurture_envs.clock import DAY_US, HOUR_US
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts import contact_views
from nurture_rl.serving.contacts.contact_state import folding_of
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import ContactState, Decision, Event
from nurture_rl.serving.storage.store import Store
from tests.unit.serving.contacts import MIDNIGHT, ZONE, Clock, contact, event, service
from tests.unit.serving.mask_people import event_of
from tests.unit.serving.test_contact_state import WORDS

NAMES = ("ada", "bob", "Cem", "dee", "eva")


def state(served: Service, name: str) -> ContactState | None:
    folding = folding_of(served.bundle)
    found = served.store.states([name], folding.journey.name, folding.key)
    return found[name][0] if name in found else None


def a_fortnight(bundle: Bundle, path: Path, seed: int) -> tuple[list[Any], int]:
    """All answers of a server in two weeks, and how many events its states hold."""
    clock, rng = Clock(MIDNIGHT), np.random.default_rng(seed)
    served = service(bundle, path, clock)
    served.store.put_contacts([contact(name, account_id="acme") for name in NAMES])
    answers: list[Any] = []
    decided: list[str] = []
    told: list[Event] = []
    for step in range(14 * 2):
        clock.now_us += 12 * HOUR_US
        new = []
        for number in range(rng.integers(1, 12)):
            name = NAMES[rng.integers(len(NAMES))]
            at_us = clock.now_us - int(rng.integers(0, 10) ** 2 * HOUR_US)
            happened = event_of(bundle.journey, rng, f"e{step}-{number}", at_us)
            if rng.random() < 0.03:
                kind, reply = WORDS[rng.integers(len(WORDS))]
                happened = replace(happened, type=kind, reply_class=reply)
            if happened.type == "sent" and decided:  # some before the decision that they name
                ahead = f"r{step + rng.integers(3)}-{NAMES[rng.integers(len(NAMES))]}"
                named = [decided[rng.integers(len(decided))], ahead][rng.integers(2)]
                happened = replace(happened, decision_id=named)
            new.append(replace(happened, contact_id=name))
        again = [told[rng.integers(len(told))]] if told else []
        told += new
        added = served.append_events([*new, *again])
        answers.append((added.stored, added.repeated, added.withdrawn))
        if rng.random() < 0.1:
            zone = ("America/New_York", None, ZONE)[rng.integers(3)]
            name = NAMES[rng.integers(len(NAMES))]
            served.put_contacts([contact(name, time_zone=zone, account_id="acme")])
        asks = [Ask(name, f"r{step - rng.integers(2)}-{name}") for name in NAMES]
        made = served.decide(asks)
        answers.append(made)
        decided += [answer.decision_id for answer in made if isinstance(answer, Decision)]
        answers.append(served.confirm(decided[-8:]))
    held = sum(
        len(served.store.events([name])[contact_key(name)])
        for name in NAMES
        if state(served, contact_key(name)) is not None
    )
    served.store.close()
    return answers, held


@pytest.mark.usefixtures("either_database")
@pytest.mark.parametrize("seed", [3])
def test_a_server_answers_as_if_it_had_read_all_events(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(contact_views, "MOST_UNFOLDED", 10**9)
    expected, none = a_fortnight(bundle, tmp_path / "whole.db", seed)
    monkeypatch.setattr(contact_views, "MOST_UNFOLDED", 3)
    found, held = a_fortnight(bundle, tmp_path / "short.db", seed)
    assert (none, held > 100) == (0, True)
    for one, other in zip(found, expected, strict=True):
        assert one == other


class Reads:
    """What a store reads: rows that it gets, and steps that its database takes for them."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows = self.steps = 0
        source: Any = store._source
        plain = source.read

        def read(sql: str, given: tuple[Any, ...] = ()) -> Any:
            found = plain(sql, given)
            self.rows += len(found)
            return found

        def step() -> int:
            self.steps += 1
            return 0

        monkeypatch.setattr(source, "read", read)
        source._reader.set_progress_handler(step, 1)


def decision_reads(
    bundle: Bundle, path: Path, monkeypatch: pytest.MonkeyPatch, events: int, loaded: bool
) -> Reads:
    """What a decision reads: the first after events that were posted, the second of a log's."""
    clock = Clock(MIDNIGHT)
    served = service(bundle, path, clock)
    kinds = ("open", "click", "page_view", "delivered", "sent", "soft_bounce", "snoozed")
    for first in range(0, events, 2500):
        some = range(first, min(events, first + 2500))
        told = [
            event(kinds[k % 7], MIDNIGHT - (events - k) * HOUR_US // 40, event_id=f"e{k}")
            for k in some
        ]
        served.store.append_events(told) if loaded else served.append_events(told)
    if loaded:  # such a log is folded when its contacts are first decided for
        served.decide([Ask("ada")])
        clock.now_us += DAY_US
    served.append_events([event("open", clock.now_us, event_id=f"new{k}") for k in range(5)])
    reads = Reads(served.store, monkeypatch)
    (answer,) = served.decide([Ask("ada")])
    assert isinstance(answer, Decision)
    served.store.close()
    return reads


@pytest.mark.parametrize(("events", "loaded"), [(20_000, True), (4000, False)])
def test_a_decision_reads_as_little_of_20000_events_as_of_ten(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events: int, loaded: bool
) -> None:
    few = decision_reads(bundle, tmp_path / "few.db", monkeypatch, 10, loaded)
    many = decision_reads(bundle, tmp_path / "many.db", monkeypatch, events, loaded)
    assert many.rows <= few.rows + contact_views.MOST_UNFOLDED
    assert many.steps < 1.5 * few.steps


def test_a_decision_reads_as_little_of_300_decisions_as_of_ten(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    for count in (10, 300):
        clock = Clock(MIDNIGHT)
        served = service(bundle, tmp_path / f"{count}.db", clock)
        (first,) = served.decide([Ask("ada")])
        assert isinstance(first, Decision)
        others = [decided_on(first, day, "send:welcome@09") for day in range(1 - count, 0)]
        served.store.append_decisions(others)
        sent = [
            event("sent", d.decided_us, event_id=d.decision_id, decision_id=d.decision_id)
            for d in others
        ]
        served.append_events(sent)
        clock.now_us += DAY_US
        reads = Reads(served.store, monkeypatch)
        served.decide([Ask("ada")])
        steps.append(reads.steps)
    assert steps[1] < 2 * steps[0]


def decided_on(decision: Decision, day: int, action: str) -> Decision:
    """The same decision on another day of the episode, under another name."""
    at_us = decision.decided_us + day * DAY_US
    sends = action.startswith("send")
    return replace(
        decision, decision_id=f"{action} on {day}", step=day, decided_us=at_us, action=action,
        scheduled_us=at_us if sends else None,
    )  # fmt: skip


@pytest.mark.usefixtures("either_database")
def test_an_episode_knows_its_last_bin_its_longest_pause_and_its_end(
    bundle: Bundle, tmp_path: Path
) -> None:
    served = service(bundle, tmp_path / "store.db", Clock(MIDNIGHT))
    (first,) = served.decide([Ask("ada")])
    assert isinstance(first, Decision)
    expected = {"pause:12": (1, 13), "pause:1": (2, 13), "send:welcome@09": (3, 13)}
    expected |= {"pause:9": (14, 23), "exit": (24, 23)}
    for action, (last_step, until) in expected.items():
        served.store.append_decisions([decided_on(first, last_step, action)])
        found = served.store.episodes(["ada"], bundle.journey.name, bundle.catalog, 0)[0]["ada"]
        assert (found.last_step, found.paused_until) == (last_step, until)
        assert found.exited == (action == "exit")


def test_a_late_event_goes_into_the_state_without_a_look_at_the_others(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = service(bundle, tmp_path / "store.db", Clock(MIDNIGHT))
    hours = [event("open", MIDNIGHT - k * HOUR_US, event_id=f"e{k}") for k in range(500)]
    served.append_events(hours)
    reads = Reads(served.store, monkeypatch)
    late = [event("click", MIDNIGHT - 400 * DAY_US, event_id=f"late{k}") for k in range(40)]
    served.append_events(late)
    assert reads.rows < 100
    found = state(served, "ada")
    assert found is not None
    assert found.through == "late39"


def test_a_clock_set_back_before_what_a_state_holds_reads_the_events(
    bundle: Bundle, tmp_path: Path
) -> None:
    clock = Clock(MIDNIGHT + HOUR_US)
    served = service(bundle, tmp_path / "store.db", clock)
    served.append_events([event("open", clock.now_us, event_id=f"e{k}") for k in range(40)])
    clock.now_us -= HOUR_US // 2
    ((view,)) = served.first.contacts.read([Ask("ada")], clock.now_us)
    assert (view.state, len(view.events)) == (None, 40)


def test_a_state_whose_last_event_is_gone_is_not_read(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    served = service(bundle, path, Clock(MIDNIGHT))
    served.append_events([event("open", MIDNIGHT, event_id=f"e{k}") for k in range(40)])
    found = state(served, "ada")
    assert found is not None
    with closing(sqlite3.connect(path)) as other:
        other.execute("DELETE FROM events WHERE event_id = ?", (found.through,))
        other.commit()
    assert state(served, "ada") is None
    assert len(served.first.contacts.read([Ask("ada")], MIDNIGHT)[0].events) <= 39


@pytest.mark.usefixtures("either_database")
def test_a_mail_reported_before_its_decision_is_looked_up_again(
    bundle: Bundle, tmp_path: Path
) -> None:
    clock = Clock(MIDNIGHT)
    served = service(bundle, tmp_path / "store.db", clock)
    early = event("sent", MIDNIGHT, decision_id="soon")
    others = [event("open", MIDNIGHT, event_id=f"e{k}") for k in range(40)]
    served.append_events([early, *others])
    assert state(served, "ada") is not None
    (answer,) = served.decide([Ask("ada", "soon")])
    assert isinstance(answer, Decision)
    assert state(served, "ada") is None


def test_another_journey_or_release_reads_no_foreign_state(bundle: Bundle, tmp_path: Path) -> None:
    served = service(bundle, tmp_path / "store.db", Clock(MIDNIGHT))
    served.append_events([event("open", MIDNIGHT, event_id=f"e{k}") for k in range(40)])
    journey = bundle.journey
    longer = replace(journey.features[-1], kind="count", of=("opened",), window=40)
    changed = replace(journey, features=(*journey.features, longer))
    spec = replace(bundle.feature_spec, features=changed.features)
    other = replace(bundle, journey=changed, feature_spec=spec)
    keys = {folding_of(one).key for one in (bundle, other, replace(bundle, policy_id="p"))}
    assert len(keys) == 2
    settings = ServerSettings(ZONE, False, Clock(MIDNIGHT))
    assert state(Service(bundle, served.store, settings), "ada") is not None
    assert state(Service(other, served.store, settings), "ada") is None
