"""The learned part is left out for contacts of one stage; they get what rules alone would say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from nurture_envs.clock import DAY_US, HOUR_US
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.decide import decide, replay
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.layers import FAIL_CLOSED, NO_STAGE, canary_arm, line_of, stages_of
from nurture_rl.serving.records import Answer, ContactView, Decision
from nurture_rl.serving.storage.store import Store
from tests.postgres import PostgresServer
from tests.unit.serving.contacts import (
    MIDNIGHT,
    ZONE,
    Clock,
    contact,
    event,
    view,
)
from tests.unit.serving.lives import Client, bundles_in, people, served, tell

NOW = MIDNIGHT + 2 * DAY_US
STAGES = ("mql", "sql")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundles")


@pytest.fixture(scope="module")
def bundles(root: Path) -> dict[str, Bundle]:
    return bundles_in(root)


@pytest.fixture
def service(root: Path, bundles: dict[str, Bundle], tmp_path: Path) -> Iterator[Service]:
    """A server whose contacts have entered no stage, or that of their name, or both."""
    store, clock = Store(tmp_path / "s.db"), Clock()
    made = served(root, bundles["first"], store, clock)
    people(store, *names())
    made.append_events(
        [
            event("stage_changed", MIDNIGHT - hours * HOUR_US, name, stage=stage)
            for name in names()
            for hours, stage in enumerate(("sql", "mql"), 2)
            if stage in name or ("sql" in name and stage == "mql")
        ]
    )
    clock.now_us = NOW
    yield made
    store.close()


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with TestClient(create_app(service)) as found:
        yield found


def names() -> list[str]:
    return [f"{stage}-{i}" for stage in ("new", *STAGES) for i in range(20)]


def asked(found: Service) -> dict[str, Decision]:
    """A decision for everybody."""
    answers = found.decide([Ask(name, f"d-{name}") for name in names()])
    assert all(isinstance(answer, Decision) for answer in answers)
    return {one.contact_id: one for one in answers if isinstance(one, Decision)}


def who(found: dict[str, Decision]) -> dict[str, set[str]]:
    """Policies by the stage in the contact's name."""
    return {
        stage: {one.policy_id for name, one in found.items() if name.startswith(stage)}
        for stage in ("new", *STAGES)
    }


def test_a_stage_on_rules_takes_nobody_else_with_it(
    service: Service, client: Client, bundles: dict[str, Bundle]
) -> None:
    told = tell(client, "switch", to="rules", stage="mql")
    assert (told["switch"], told["rules_in"]) == ("learned", {"inbound_lead": ["mql"]})
    own, rules = bundles["first"].policy_id, bundles["first"].manifest.rules_id
    found = asked(service)
    assert who(found) == {"new": {own}, "mql": {rules}, "sql": {own}}
    notes = {one.note for one in found.values() if one.policy_id == rules}
    assert notes == {"the switch of stage mql stands at rules"}
    assert all(replay(bundles["first"], one, service.seed) for one in found.values())
    assert {one.arm for one in found.values()} == {"policy"}


def test_with_every_stage_switched_the_answers_are_those_of_the_rules_bit_for_bit(
    bundles: dict[str, Bundle],
) -> None:
    bundle, views = bundles["first"], [_staged(i) for i in range(90)]

    def told(**of: Any) -> list[Answer]:
        line = line_of(bundle, **of)
        return decide(bundle, views, NOW, 7, ZONE, None, lambda _: line)

    def but_for_the_note(answers: list[Answer]) -> list[Decision]:
        return [replace(one, note=None) for one in answers if isinstance(one, Decision)]

    rules = but_for_the_note(told(switch="rules"))
    everywhere = but_for_the_note(told(rules_in=(NO_STAGE, *STAGES)))
    assert everywhere == rules
    assert len(rules) == len(views)
    assert but_for_the_note(told()) != rules
    part = but_for_the_note(told(rules_in=("sql",)))
    for i, one in enumerate(part):
        assert (one == rules[i]) == (i % 3 == 2), i


def _staged(i: int) -> ContactView:
    """The i-th contact: without a stage, in mql, or in sql, by turns."""
    entered = [
        event("stage_changed", MIDNIGHT - (4 - at) * HOUR_US, stage=stage)
        for at, stage in enumerate(STAGES[: i % 3])
    ]
    size = contact(attributes={"company_size": i % 9})
    return view(*entered, contact=size, decision_id=f"d-{i}")


def test_a_stage_is_switched_back_and_the_switch_of_all_stands_above_it(
    service: Service, client: Client, bundles: dict[str, Bundle]
) -> None:
    tell(client, "switch", to="rules", stage=NO_STAGE)
    tell(client, "switch", to="rules", stage="sql")
    assert tell(client, "switch", to="pause")["rules_in"] == {"inbound_lead": ["none", "sql"]}
    tell(client, "switch", to="learned")
    tell(client, "switch", to="learned", stage="sql")
    own, rules = bundles["first"].policy_id, bundles["first"].manifest.rules_id
    assert who(asked(service)) == {"new": {rules}, "mql": {own}, "sql": {own}}
    log = client.get("/v1/policies/log").json()["changes"]
    assert [row["action"] for row in log][1:] == [
        "switch to rules in stage none",
        "switch to rules in stage sql",
        "switch to pause",
        "switch to learned",
        "switch to learned in stage sql",
    ]
    assert [row["to"]["rules_in"] for row in log][-2:] == [["none", "sql"], ["none"]]


def test_a_stage_that_cannot_be_switched_is_refused_with_what_can(client: Client) -> None:
    text = tell(client, "switch", 409, to="rules", stage="customer")["detail"]
    assert "expected as stage one of mql, sql, none, got 'customer'" in text
    text = tell(client, "switch", 409, to="pause", stage="mql")["detail"]
    assert "a pause holds for everybody" in text
    assert client.get("/v1/policies").json()["rules_in"] == {"inbound_lead": []}


def test_a_canary_is_left_out_too_and_the_champions_rules_decide(
    service: Service, client: Client, bundles: dict[str, Bundle]
) -> None:
    second = bundles["second"].policy_id
    tell(client, "policies", folder="second")
    tell(client, f"policies/{second}/canary", share=0.999)
    tell(client, "switch", to="rules", stage="mql")
    found = {name: one for name, one in asked(service).items() if one.arm == canary_arm(second)}
    assert len(found) > 50
    assert who(found)["mql"] == {bundles["first"].manifest.rules_id}
    assert who(found)["sql"] == {second}


def test_rules_that_fail_in_their_stage_are_a_pause(
    service: Service, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("no memory left")

    tell(client, "switch", to="rules", stage="mql")
    monkeypatch.setattr("nurture_rl.policies.program.Rules.action_probabilities", broken)
    found = asked(service)
    assert who(found)["mql"] == {FAIL_CLOSED}
    assert {found[name].action for name in names() if name.startswith("mql")} == {"pause:1"}
    note = found["mql-0"].note or ""
    assert note.startswith("the switch of stage mql stands at rules; policy ")


def test_stages_stay_on_rules_after_a_restart_and_with_another_bundle(
    root: Path, bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    store = Store(tmp_path / "s.db")
    first = served(root, bundles["first"], store, Clock())
    with TestClient(create_app(first)) as client:
        tell(client, "switch", to="rules", stage="mql")
    assert served(root, bundles["first"], store, Clock()).policies.lineup.roles.rules_in == ("mql",)
    alone = Service(bundles["second"], store, first.settings)
    assert alone.policies.lineup.roles.rules_in == ("mql",)
    store.close()


def test_another_server_of_the_store_follows(
    root: Path, bundles: dict[str, Bundle], postgres: PostgresServer
) -> None:
    url = postgres.fresh_url()
    with closing(Store(url)) as mine, closing(Store(url)) as theirs:
        one, other = (served(root, bundles["first"], s, Clock()) for s in (mine, theirs))
        with TestClient(create_app(one)) as client:
            tell(client, "switch", to="rules", stage="mql")
        other.policies.keep_up()
        assert other.policies.lineup.roles.rules_in == ("mql",)
        assert set(other.policies.lineup.champion.by_stage) == {"mql"}


def test_columns_are_those_of_the_stages(bundles: dict[str, Bundle]) -> None:
    columns = bundles["first"].feature_spec.columns
    found = stages_of(bundles["first"])
    assert {name: columns[column] for name, column in found.items()} == {
        "mql": "stage=mql",
        "sql": "stage=sql",
    }


def test_a_journey_whose_features_tell_no_stage_says_so(
    service: Service, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nurture_rl.serving.http.policy_routes.stages_of", lambda _: {})
    text = tell(client, "switch", 409, to="rules", stage="mql")["detail"]
    assert "expected as stage none, for no feature of the journey has kind: stage" in text
