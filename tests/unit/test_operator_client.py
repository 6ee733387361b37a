"""The operators' client against the real server; with the senders' one it has every route."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest

from nurture_rl.client import NotDecided, PolicyClient, ServedDecision, ServerRefusal
from nurture_rl.operator_client import Figures, Move, OperatorClient, Role
from nurture_rl.serving.http.api_keys import load_keys
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.http.openapi import document
from nurture_rl.serving.storage.store import Store
from tests.unit.serving.contacts import ATTRIBUTES, ZONE, Clock
from tests.unit.serving.lives import bundles_in, people, served
from tests.unit.serving.test_api_keys import key_file
from tests.unit.test_client import Relay, _relay

KEY = "operator-" + "o" * 32
# Readers and senders of mail call them.
NOT_FOR_CLIENTS = {"/u/{token}", "/u/{token}/why/{decision_id}", "/v1/webhooks/{sender}"}
JOURNEY = "inbound_lead"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("bundles")
    return folder, bundles_in(folder)


@pytest.fixture
def relay(made: tuple[Path, dict[str, Any]], tmp_path: Path) -> Iterator[Relay]:
    scopes = "contacts,decisions,events,journeys,policies"
    keys = load_keys(key_file(tmp_path / "keys", f"{scopes} {KEY}"))
    with closing(Store(tmp_path / "s.db")) as store:
        people(store, "ada", "bob")
        with _relay(create_app(served(made[0], made[1]["first"], store, Clock()), keys=keys)) as it:
            yield it


@pytest.fixture
def operator(relay: Relay) -> OperatorClient:
    return OperatorClient(f"http://127.0.0.1:{relay.server_port}", KEY, patience=5.0)


def test_a_policy_is_loaded_tried_promoted_and_rolled_back(
    operator: OperatorClient, made: tuple[Path, dict[str, Any]]
) -> None:
    new = made[1]["second"].policy_id
    assert [row["role"] for row in operator.load_policy("second", "a new one")["policies"]] == [
        *("champion", "loaded")
    ]

    def roles() -> dict[str, str]:
        return {row["policy_id"]: row["role"] for row in operator.policies()["policies"]}

    steps: list[tuple[Role, float | None, str]] = [
        *(("shadow", None, "shadow"), ("canary", 0.25, "canary")),
        *(("promote", None, "champion"), ("rollback", None, "loaded")),
    ]
    for to, share, role in steps:
        operator.set_role(new, to, f"to {role}", share)
        assert roles()[new] == role
    changes = operator.log("policies")["changes"]
    assert [row["why"] for row in changes][-2:] == ["to champion", "to loaded"]


def test_what_does_not_fit_is_refused_at_once_and_not_asked_again(
    operator: OperatorClient, relay: Relay, made: tuple[Path, dict[str, Any]]
) -> None:
    champion = made[1]["first"].policy_id
    with pytest.raises(ServerRefusal, match="is the champion already; nothing was changed"):
        operator.set_role(champion, "promote", "again")
    assert len(relay.asked) == 1


def test_switches_and_moves_reach_the_contacts_whom_they_name(operator: OperatorClient) -> None:
    assert operator.switch("rules", "a test", stage="mql")["rules_in"] == {JOURNEY: ["mql"]}
    assert operator.switch("learned", "a test", journey=JOURNEY, stage="mql")["rules_in"] == {
        JOURNEY: []
    }
    (ada,) = operator.decide(["ada"])
    assert isinstance(ada, ServedDecision)
    assert operator.move(JOURNEY, "ada", "pause", "on leave")["state"] == "paused"
    assert operator.move(JOURNEY, "ada", "resume", "is back")["state"] == "active"
    assert operator.move(JOURNEY, "ada", "exit", "asked for it")["state"] == "left"
    assert operator.in_journey(JOURNEY, "ada")["episodes"][0]["reason"] == "person"
    (switched,) = operator.move(JOURNEY, None, "pause", "all of them")["journeys"]
    assert switched["switch"] == "pause"
    assert operator.move(JOURNEY, None, "resume", "go on")["journeys"][0]["switch"] == "learned"
    assert [row["what"] for row in operator.log("journeys")["entries"]] == [
        *("paused", "resumed", "left: person")
    ]
    assert operator.journeys()["journeys"][0]["journey"] == JOURNEY


def test_a_sender_says_what_it_knows_and_hears_when_to_ask_again(operator: OperatorClient) -> None:
    context = {"consent": True, "time_zone": ZONE, "attributes": ATTRIBUTES}
    eve, ada, zoe = operator.decide(["eve/1", "ada", "zoe"], contexts=[context, None, None])
    assert isinstance(eve, ServedDecision)
    assert isinstance(ada, ServedDecision)
    assert eve.next_decision_at is not None
    assert eve.next_decision_at.utcoffset() is not None
    assert isinstance(zoe, NotDecided)
    with pytest.raises(ValueError, match=r"zip\(\) argument 3 is shorter"):
        operator.decide(["ada", "bob"], contexts=[context])
    assert operator.explain(ada.decision_id)["text"][0].endswith(".")


def test_preferences_are_put_and_told(operator: OperatorClient) -> None:
    wishes = {"refused_topics": ["pricing"], "source": "form", "proof": "f-1"}
    assert operator.put_preferences("ada", wishes) == []
    told = operator.preferences("ada")
    assert told["preferences"]["refused_topics"] == ["pricing"]
    assert [line["proof"] for line in told["ledger"]][-1] == "f-1"


def test_both_clients_together_have_every_route(monkeypatch: pytest.MonkeyPatch) -> None:
    called: set[tuple[str, str]] = set()

    def note(_: PolicyClient, method: str, path: str, *__: Any, **___: Any) -> tuple[int, Any]:
        called.add((method.lower(), path.partition("?")[0]))
        raise ServerRefusal(404, "nobody", "there")

    monkeypatch.setattr(PolicyClient, "_ask", note)
    one = OperatorClient("http://nowhere")
    asks: list[Callable[[], object]] = [
        *(lambda: one.decide(["C"]), lambda: one.confirm(["D"]), lambda: one.decision("D")),
        *(lambda: one.explain("D"), lambda: one.report([{}]), lambda: one.put_contacts([{}])),
        *(lambda: one.preferences("C"), lambda: one.put_preferences("C", {}), one.health),
        *(one.policies, lambda: one.load_policy("f", "w"), lambda: one.switch("rules", "w")),
        lambda: one.end_experiment("w"),
        *(one.handoffs, lambda: one.handoff("H"), lambda: one.why("D")),
        *(partial(one.console, what) for what in get_args(Figures)),
        lambda: one.timeline("C"),
        *(lambda: one.log("policies"), lambda: one.log("journeys"), one.journeys),
        *(lambda: one.enrol("J", "C", "w", date(2027, 3, 1)), lambda: one.in_journey("J", "C")),
        *(partial(one.set_role, "P", to, "w") for to in get_args(Role)),
        *(partial(one.move, "J", "C", to, "w") for to in get_args(Move)),
        *(partial(one.move, "J", None, to, "w") for to in get_args(Move)),
    ]
    for ask in asks:
        with pytest.raises(ServerRefusal):
            ask()
    routes = {
        (method, path)
        for path, methods in document()["paths"].items()
        if path not in NOT_FOR_CLIENTS
        for method in methods
        if method != "parameters"
    }
    # One decision is confirmed as a list of one.
    routes.remove(("post", "/v1/decisions/{decision_id}/confirm"))
    missed = {
        (method, path)
        for method, path in routes
        if not any(m == method and re.fullmatch(_pattern(path), p) for m, p in called)
    }
    assert missed == set()


def _pattern(path: str) -> str:
    """A path of the document; its placeholders are one capital letter here."""
    return re.sub(r"\{\w+\}", "[A-Z]", path)


def test_what_does_not_run_cannot_be_ended(operator: OperatorClient) -> None:
    with pytest.raises(ServerRefusal, match="no experiment runs"):
        operator.end_experiment("enough", JOURNEY)
