"""Requests that come at once: no mail after an acknowledged no, and caps that hold."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from nurture_envs.clock import DAY_US, HOUR_US
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.records import Decision, Event
from tests.unit.serving.contacts import MIDNIGHT, Clock, contact, event, service

pytestmark = pytest.mark.usefixtures("either_database")

PEOPLE = [f"p{i}" for i in range(24)]


def eager(bundle: Bundle, path: Path, clock: Clock) -> Service:
    """A service that sends whenever it may."""
    context = PolicyContext(bundle.journey, bundle.catalog, bundle.feature_spec)
    sends = [name for name in bundle.catalog.ids if name.startswith("send:")]
    policy = build_policy(f"always:{sends[0]}", context)
    found = service(replace(bundle, policy=policy), path, clock)
    found.store.put_contacts([contact(name) for name in PEOPLE])
    return found


def together(*work: Callable[[], None]) -> None:
    """Run all at once; the first failure is raised."""
    failures: list[BaseException] = []

    def guarded(one: Callable[[], None]) -> None:
        try:
            one()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _say(served: Service, word: Event) -> None:
    served.append_events([word])


def test_whoever_asks_after_an_acknowledged_no_gets_no_send(bundle: Bundle, tmp_path: Path) -> None:
    served = eager(bundle, tmp_path / "s.db", Clock(MIDNIGHT + 7 * HOUR_US))
    acknowledged: set[str] = set()
    over = threading.Event()
    wrong: list[str] = []
    sent: set[str] = set()

    def ask(worker: int) -> Callable[[], None]:
        def run() -> None:
            rounds = 0
            while not over.is_set() or rounds < 2:
                rounds += 1
                before = set(acknowledged)  # told before this was asked
                asks = [Ask(name.upper(), f"{name}-r") for name in PEOPLE[worker::2]]
                asks += [Ask(name) for name in PEOPLE[1 - worker :: 2]]
                for answer in served.decide(asks):
                    name = answer.contact_id.lower()
                    if isinstance(answer, Decision) and answer.action.startswith("send:"):
                        sent.add(name)
                        if name in before:
                            wrong.append(name)

        return run

    def say() -> None:
        try:
            for name in PEOPLE:
                served.append_events([event("unsubscribe", MIDNIGHT, f" {name}")])
                acknowledged.add(name)
        finally:
            over.set()

    together(ask(0), ask(1), ask(0), ask(1), say)
    assert wrong == []
    assert sent
    assert len(acknowledged) == len(PEOPLE)


def test_what_is_acknowledged_while_a_request_is_answered_is_in_the_answer(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = eager(bundle, tmp_path / "s.db", Clock(MIDNIGHT + 7 * HOUR_US))
    plain, waiting = served.decide, list(PEOPLE[:3])

    def decide(asks: Any, now_us: int | None = None) -> Any:
        """Each time it was decided, the next one opts out on another thread."""
        answers = plain(asks, now_us)
        if waiting:
            word = event("unsubscribe", MIDNIGHT, waiting.pop())
            together(partial(_say, served, word))
        return answers

    monkeypatch.setattr(served, "decide", decide)
    asks = [{"contact_id": name, "request_id": name} for name in PEOPLE]
    with TestClient(create_app(served)) as client:
        found = client.post("/v1/decisions", json={"contacts": asks}).json()["decisions"]
    codes = {row["contact_id"]: row.get("code") for row in found}
    assert [codes[name] for name in PEOPLE] == ["withdrawn"] * 3 + [None] * (len(PEOPLE) - 3)


def test_what_takes_nothing_back_holds_no_answer_up(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = eager(bundle, tmp_path / "s.db", Clock(MIDNIGHT + 7 * HOUR_US))
    plain, calls = served.decide, list[int]()

    def decide(asks: Any, now_us: int | None = None) -> Any:
        calls.append(len(asks))
        answers = plain(asks, now_us)
        served.append_events([event("sent", MIDNIGHT, "p0", event_id=f"s{len(calls)}")])
        served.append_events([event("click", MIDNIGHT, "p1", event_id=f"c{len(calls)}")])
        return answers

    monkeypatch.setattr(served, "decide", decide)
    asks = [{"contact_id": name, "request_id": name, "available": True} for name in PEOPLE[1:]]
    with TestClient(create_app(served)) as client:
        client.post("/v1/decisions", json={"contacts": asks})
        assert calls == [len(PEOPLE) - 1]  # a click takes nothing back, p0 was not asked for


@pytest.mark.slow
def test_caps_hold_whoever_asks_at_once(bundle: Bundle, tmp_path: Path) -> None:
    clock = Clock(MIDNIGHT + 7 * HOUR_US)
    served = eager(bundle, tmp_path / "s.db", clock)
    (cap,) = bundle.journey.guardrails.caps
    sent: dict[str, list[int]] = {name: [] for name in PEOPLE}
    guard = threading.Lock()

    def ask(worker: int) -> Callable[[], None]:
        def run() -> None:
            asks = [Ask(name, f"{name}-{clock.now_us}-{worker}") for name in PEOPLE]
            for answer in served.decide(asks[worker:] + asks[:worker]):
                if isinstance(answer, Decision) and answer.scheduled_us is not None:
                    with guard:
                        sent[answer.contact_id].append(answer.scheduled_us)

        return run

    for _ in range(10):
        together(*[ask(worker) for worker in range(6)])
        clock.now_us += DAY_US
    assert all(len(times) > cap.maximum for times in sent.values())  # in ten days
    for times in sent.values():
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert min(gaps) >= bundle.journey.guardrails.min_gap_hours * HOUR_US
        within = [sum(0 <= later - at < cap.hours * HOUR_US for later in times) for at in times]
        assert max(within) <= cap.maximum
