"""Policies change while clients ask: at any moment those decide whom the log of policies names."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from litestar.testing import TestClient

from nurture_envs.clock import DAY_US, HOUR_US
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving import roles as changes
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.decide import replay
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.layers import PAUSED, canary_arm
from nurture_rl.serving.policies.bundle_folder import BundleFolder
from nurture_rl.serving.policies.lineup import Lineup
from nurture_rl.serving.records import Decision, Shadow
from nurture_rl.serving.roles import canary
from nurture_rl.serving.storage.policy_rows import shadow_of
from nurture_rl.serving.storage.store import Store
from tests.unit.serving.contacts import MIDNIGHT, Clock, contact, view
from tests.unit.serving.lives import (
    RunningClock,
    bundles_in,
    decision,
    people,
    served,
    tell,
    until,
)

_CLIENTS, _EACH = 16, 20


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Bundle]]:
    """A folder of bundles that no test changes."""
    folder = tmp_path_factory.mktemp("bundles")
    return folder, bundles_in(folder)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store(tmp_path / "store.db")
    people(found, *(f"c{i}" for i in range(40)))
    yield found
    found.close()


def by_role(found: Any) -> dict[str, str]:
    return {row["role"]: row["policy_id"] for row in found["policies"] if row["role"] != "loaded"}


def test_the_whole_life_of_a_policy_while_clients_ask(
    made: tuple[Path, dict[str, Bundle]], tmp_path: Path
) -> None:
    root, bundles = made
    store = Store(tmp_path / "life.db")
    people(store, *(f"c{i}" for i in range(_CLIENTS * _EACH)))
    service = served(root, bundles["first"], store, RunningClock())
    old, new = (bundles[name].policy_id for name in ("first", "second"))
    answers: list[Any] = []
    failures: list[BaseException] = []

    def ask(worker: int) -> None:
        try:
            for i in range(_EACH):
                answers.append(decision(client, f"c{worker * _EACH + i}"))
        except BaseException as error:
            failures.append(error)

    def more(count: int) -> None:
        start = len(answers)
        until(lambda: len(answers) >= start + count or bool(failures))

    with TestClient(create_app(service)) as client:
        threads = [threading.Thread(target=ask, args=(i,), daemon=True) for i in range(_CLIENTS)]
        for thread in threads:
            thread.start()
        more(20)
        tell(client, "policies", folder="second")
        tell(client, f"policies/{new}/shadow")
        more(30)
        tell(client, f"policies/{new}/canary", share=0.2)
        more(60)
        tell(client, f"policies/{new}/promote")
        more(30)
        found = tell(client, f"policies/{new}/rollback")
        more(30)
        tell(client, "switch", to="rules")
        for thread in threads:
            thread.join()
        log = client.get("/v1/policies/log").json()["changes"]
    assert failures == []
    assert by_role(found) == {"champion": old}
    assert [row["action"] for row in log] == (
        ["start", "load", "shadow", "canary", "promote", "rollback", "switch to rules"]
    )
    rules = bundles["first"].manifest.rules_id
    assert seen(answers, log, rules) == {
        *(f"{old} policy", f"{new} {canary_arm(new)}", f"{new} policy", f"{rules} policy")
    }
    stored = store.decisions([answer["decision_id"] for answer in answers])
    assert len(stored) == len(answers) == _CLIENTS * _EACH
    own = {old: bundles["first"], new: bundles["second"], rules: bundles["first"]}
    assert all(replay(own[one.policy_id], one, 11) for one in stored.values())
    store.close()


def seen(answers: list[Any], log: list[Any], rules: str) -> set[str]:
    """Policies and arms of decisions, each of which was active by the log of policies."""
    found: set[str] = set()
    for answer in answers:
        roles = [row["to"] for row in log if _at(row["at"]) <= _at(answer["decided_at"])][-1]
        active = {roles["champion"], roles["canary"]} - {None}
        active = {rules} if roles["switch"] == "rules" else active
        assert answer["policy_id"] in active, (answer, roles)
        if roles["switch"] == "learned":
            of_canary = answer["policy_id"] == roles["canary"]
            assert answer["arm"] == (canary_arm(roles["canary"]) if of_canary else "policy")
        found.add(f"{answer['policy_id']} {answer['arm']}")
    return found


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_an_episode_stays_with_whom_it_began(
    made: tuple[Path, dict[str, Bundle]], store: Store
) -> None:
    root, bundles = made
    clock, names = Clock(), [f"c{i}" for i in range(30)]
    service = served(root, bundles["third"], store, clock)
    new = bundles["second"].policy_id
    with TestClient(create_app(service)) as client:
        assert {decision(client, name)["arm"] for name in names[:10]} == {"policy"}
        tell(client, "policies", folder="second")
        arms: list[dict[str, str]] = []
        for day, share in enumerate((0.4, 0.9, 0.01), 1):
            tell(client, f"policies/{new}/canary", share=share)
            clock.now_us = MIDNIGHT + day * DAY_US
            arms.append({name: _arm(decision(client, name)) for name in names})
        assert {arms[0][name] for name in names[:10]} == {"policy"}
        assert 1 <= list(arms[0].values()).count(canary_arm(new)) <= 19
        assert arms[0] == arms[1] == arms[2]
        tell(client, f"policies/{new}/rollback")
        clock.now_us += DAY_US
        after = [decision(client, name) for name in names[10:]]
    assert {(row["arm"], row["policy_id"]) for row in after} == {
        ("policy", bundles["third"].policy_id)
    }


def _arm(found: Any) -> str:
    assert found["kind"] == "decision", found
    return str(found["arm"])


def test_a_share_is_a_salted_hash_that_larger_shares_contain(
    made: tuple[Path, dict[str, Bundle]], store: Store
) -> None:
    root, bundles = made
    service = served(root, bundles["first"], store, Clock())
    new = service.policies.load("second", "a test", "why")
    lineup = service.policies.change("canary", new, canary(new, 0.1), "a test", "why")
    views = [view(contact=contact(f"x{i}", account_id=f"a{i % 500}")) for i in range(2_000)]

    def taken(lineup: Lineup) -> set[str]:
        arms = {one.contact.contact_id: lineup.line(one, MIDNIGHT).arm for one in views}
        return {name for name, arm in arms.items() if arm == canary_arm(new)}

    shares = {share: taken(replace(lineup, roles=replace(lineup.roles, share=share)))
              for share in (0.1, 0.2, 0.5)}  # fmt: skip
    for share, some in shares.items():
        assert abs(len(some) / 2_000 - share) < 4 * np.sqrt(share * (1 - share) / 2_000)
    assert shares[0.1] < shares[0.2] < shares[0.5]
    assert taken(replace(lineup, salt="another")) != shares[0.1]
    colleagues = taken(replace(lineup, by_account=True))
    assert {int(name[1:]) % 500 for name in colleagues} == {
        int(name[1:]) % 500 for name in colleagues if int(name[1:]) < 500
    }
    assert len(colleagues) % 4 == 0


def test_switched_to_pause_nobody_is_mailed_and_planned_sends_are_withdrawn(
    made: tuple[Path, dict[str, Bundle]], store: Store
) -> None:
    root, bundles = made
    clock = Clock()
    service = served(root, bundles["first"], store, clock)
    with TestClient(create_app(service)) as client:
        sends = [
            row
            for i in range(20)
            if (row := decision(client, f"c{i}", request_id=f"r{i}"))["action"].startswith("send:")
        ]
        tell(client, "switch", to="pause")
        found = decision(client, "c30")
        assert (found["policy_id"], found["action"], found["propensity"]) == (
            PAUSED,
            "pause:1",
            1.0,
        )
        again = decision(client, sends[0]["contact_id"], request_id=sends[0]["decision_id"])
        assert (again["kind"], again["code"]) == ("error", "withdrawn")
        assert "the switch stands at pause" in again["message"]
        due = sends[1]
        clock.now_us = MIDNIGHT + int(due["action"][-2:]) * HOUR_US
        answer = client.post(f"/v1/decisions/{due['decision_id']}/confirm").json()
        assert (answer["status"], answer["reason"]) == ("withdrawn", "the switch stands at pause")
        tell(client, "switch", to="learned")
        assert decision(client, "c31")["policy_id"] == bundles["first"].policy_id
        assert client.post(f"/v1/decisions/{due['decision_id']}/confirm").json() == answer


def test_a_shadow_is_asked_of_every_decision_and_never_followed(
    made: tuple[Path, dict[str, Bundle]], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, bundles = made
    service = served(root, bundles["first"], store, Clock())
    new = bundles["second"].policy_id
    with TestClient(create_app(service)) as client:
        tell(client, "policies", folder="second")
        tell(client, f"policies/{new}/shadow")
        rows = [decision(client, f"c{i}") for i in range(8)]
        until(lambda: len(shadows(store)) == 8)
        assert {row["policy_id"] for row in rows} == {bundles["first"].policy_id}
        stored = store.decisions([row["decision_id"] for row in rows])
        for said in shadows(store):
            one = stored[said.decision_id]
            features = np.array([one.features], np.float32)
            table = bundles["second"].policy.action_probabilities(features, np.array([one.mask]))
            assert said.probabilities == tuple(table[0].tolist()) != one.probabilities
            assert said.probability == table[0, bundles["first"].catalog.index(one.action)]

        def fail(*_: Any) -> Any:
            raise RuntimeError("no memory left")

        monkeypatch.setattr(type(bundles["second"].policy), "action_probabilities", fail)
        shadow = service.policies.lineup.shadow
        failed = replace(next(iter(stored.values())), decision_id="later")
        service.shadowing.see(shadow, service.bundle.catalog, [failed])
        until(lambda: len(shadows(store)) == 9)
        monkeypatch.setattr(store, "add_shadows", fail)
        service.shadowing.see(shadow, service.bundle.catalog, [*stored.values()])
        until(lambda: client.get("/v1/policies").json()["shadow_missed"] == 8)
    *good, bad = shadows(store)
    assert {said.note for said in good} == {None}
    assert (bad.probability, bad.note) == (None, "RuntimeError: no memory left")


def test_a_slow_shadow_holds_no_answer_up(
    made: tuple[Path, dict[str, Bundle]], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, bundles = made
    service = served(root, bundles["first"], store, Clock())
    new = service.policies.load("second", "a test", "why")
    service.policies.change("shadow", new, changes.shadow(new), "a test", "why")
    asked, go_on = threading.Event(), threading.Event()
    plain = store.add_shadows

    def slow(said: Any) -> None:
        asked.set()
        assert go_on.wait(20)
        plain(said)

    monkeypatch.setattr(store, "add_shadows", slow)
    assert all(isinstance(service.decide([Ask(f"c{i}")])[0], Decision) for i in range(5))
    assert asked.wait(20)
    assert shadows(store) == []
    go_on.set()
    until(lambda: len(shadows(store)) == 5)


def shadows(store: Store) -> list[Shadow]:
    """All that shadows said."""
    return [shadow_of(row) for block in store.scan("shadows") for row in block]


def test_a_pause_reaches_who_is_being_answered(
    made: tuple[Path, dict[str, Bundle]], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, bundles = made
    clock = Clock()
    service = served(root, bundles["first"], store, clock)
    plain = service.decide

    def then_paused(asks: Any, now_us: int | None = None) -> Any:
        answers = plain(asks, now_us)
        if service.policies.lineup.roles.switch == "learned":
            pause(service)
        return answers

    asks = [{"contact_id": f"c{i}", "request_id": f"r{i}"} for i in range(40)]
    with TestClient(create_app(service)) as client:
        monkeypatch.setattr(service, "decide", then_paused)
        rows = client.post("/v1/decisions", json={"contacts": asks}).json()["decisions"]
        assert not [row for row in rows if row.get("action", "").startswith("send:")]
        assert [row["code"] for row in rows if row["kind"] == "error"].count("withdrawn") >= 1


def test_the_log_counts_what_was_taken_back_and_names_nobody(
    made: tuple[Path, dict[str, Bundle]], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, bundles = made
    service = served(root, bundles["first"], store, Clock())
    asks, lines = [Ask(f"c{i}", f"r{i}") for i in range(20)], list[str]()
    monkeypatch.setattr(
        "nurture_rl.serving.deciding.service._log.warning",
        lambda text, *of: lines.append(text % of),
    )
    planned = [one for one in service.decide(asks) if getattr(one, "scheduled_us", None)]
    pause(service)
    service.decide(asks)
    assert lines == [f"{len(planned)} planned sends taken back: the switch stands at pause"]


def test_a_pause_reaches_who_is_being_told_to_send(
    made: tuple[Path, dict[str, Bundle]], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, bundles = made
    clock = Clock()
    service = served(root, bundles["first"], store, clock)
    asks = [{"contact_id": f"c{i}", "request_id": f"r{i}"} for i in range(40)]
    with TestClient(create_app(service)) as client:
        rows = client.post("/v1/decisions", json={"contacts": asks}).json()["decisions"]
        hours = {int(row["action"][-2:]) for row in rows if row["action"].startswith("send:")}
        clock.now_us = MIDNIGHT + max(hours) * HOUR_US
        plain = service.confirm

        def then_paused(ids: Any, now_us: int | None = None) -> Any:
            found = plain(ids, now_us)
            if service.policies.lineup.roles.switch == "learned":
                assert "send" in {one.status for one in found if one is not None}
                pause(service)
            return found

        monkeypatch.setattr(service, "confirm", then_paused)
        body = {"ids": [row["decision_id"] for row in rows]}
        told = client.post("/v1/decisions/confirm", json=body).json()["confirmations"]
    assert "send" not in {row["status"] for row in told}


def test_a_pause_waits_for_no_bundle(
    made: tuple[Path, dict[str, Bundle]], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, bundles = made
    service = served(root, bundles["first"], store, Clock())
    reading, go_on = threading.Event(), threading.Event()
    plain = BundleFolder.load

    def slow(self: BundleFolder, name: str, beside: Bundle) -> Bundle:
        reading.set()
        assert go_on.wait(20)
        return plain(self, name, beside)

    monkeypatch.setattr(BundleFolder, "load", slow)
    with TestClient(create_app(service)) as client:
        answers: list[Any] = []

        def load() -> None:
            answers.append(tell(client, "policies", folder="second"))

        loading = threading.Thread(target=load, daemon=True)
        loading.start()
        assert reading.wait(20)
        try:
            answers.append(tell(client, "switch", to="pause"))
            assert len(answers) == 1
        finally:
            go_on.set()
            loading.join()
    assert [found["switch"] for found in answers] == ["pause", "pause"]
    assert len(answers[1]["policies"]) == 2


def pause(service: Service) -> None:
    service.policies.change("switch to pause", None, changes.switched("pause"), "a test", "why")
