"""Another release on the same store: what was decided before keeps its own actions and names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import DAY_US, HOUR_US
from nurture_envs.features import FeatureSpec
from nurture_envs.journey_file import load_journey, parse_journey
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.storage.store import Store
from tests.unit.serving.contacts import MIDNIGHT, ZONE, Clock, contact

pytestmark = pytest.mark.usefixtures("either_database")


def _release(bundle: Bundle, action: str, **changes: Any) -> Bundle:
    """A bundle that always does one thing, its journey changed."""
    programs: dict[str, Any] = {"expert": []}  # they name messages that a release may rename
    found = parse_journey({**load_journey("inbound_lead").resolved, **programs, **changes})
    catalog, features = ActionCatalog.of(found), FeatureSpec.of(found)
    policy = build_policy(f"always:{action}", PolicyContext(found, catalog, features))
    return replace(bundle, journey=found, catalog=catalog, feature_spec=features, policy=policy)


class Releases:
    """One store, served by one release after the other."""

    def __init__(self, path: Path) -> None:
        self.clock = Clock(MIDNIGHT + 7 * HOUR_US)
        self.store = Store(path)
        self.store.put_contacts([contact("ada"), contact("bob")])

    def ask(self, bundle: Bundle, *names: str) -> list[Any]:
        """Ask a release for decisions under a request id per contact."""
        served = Service(bundle, self.store, ServerSettings(ZONE, False, self.clock, seed=1))
        asks = [{"contact_id": name, "request_id": f"r-{name}"} for name in names]
        with TestClient(create_app(served)) as client:
            answer = client.post("/v1/decisions", json={"contacts": asks})
            assert answer.status_code == 200
            return list(answer.json()["decisions"])


def _renamed() -> dict[str, Any]:
    messages = load_journey("inbound_lead").resolved["messages"]
    first, *others = messages
    return {"hello": messages[first], **{name: messages[name] for name in others}}


def test_a_release_with_renamed_and_more_messages_says_again_what_was_decided(
    bundle: Bundle, tmp_path: Path
) -> None:
    releases = Releases(tmp_path / "store.db")
    old = _release(bundle, "pause:1")
    (before,) = releases.ask(old, "ada")
    messages = _renamed()
    messages["news"] = messages["security_brief"]
    drip = {0: "send:hello@09", 7: "send:book_a_call@09"}
    new = _release(bundle, "pause:1", messages=messages, drip=drip, expert=[])
    assert len(new.catalog) != len(old.catalog)
    again, fresh = releases.ask(new, "ada", "bob")
    assert again == before
    assert fresh["kind"] == "decision"


def test_a_send_that_a_release_no_longer_has_is_withdrawn(bundle: Bundle, tmp_path: Path) -> None:
    releases = Releases(tmp_path / "store.db")
    (before,) = releases.ask(_release(bundle, "send:welcome@09"), "ada")
    assert before["action"] == "send:welcome@09"
    drip = {0: "send:hello@09", 7: "send:book_a_call@09"}
    new = _release(bundle, "pause:1", messages=_renamed(), drip=drip, expert=[])
    again, _ = releases.ask(new, "ada", "bob")
    assert again["code"] == "withdrawn"
    assert "no such action" in again["message"]


def test_a_send_of_another_journey_is_withdrawn(bundle: Bundle, tmp_path: Path) -> None:
    releases = Releases(tmp_path / "store.db")
    releases.ask(_release(bundle, "send:welcome@09"), "ada")
    (again,) = releases.ask(_release(bundle, "send:welcome@09", journey="other"), "ada")
    assert again["code"] == "withdrawn"
    assert "journey inbound_lead" in again["message"]


def test_a_pause_outlives_the_release_that_could_choose_it(bundle: Bundle, tmp_path: Path) -> None:
    releases = Releases(tmp_path / "store.db")
    releases.ask(_release(bundle, "pause:3"), "ada")
    releases.clock.now_us += DAY_US
    options = {"slots": [9, 15], "pauses": [1], "escalate": True, "exit": True}
    rules = [{"when": {"day": ">= 0"}, "do": "pause:1"}]
    new = _release(bundle, "send:welcome@09", actions=options, rules=rules, expert=[])
    served = Service(new, releases.store, ServerSettings(ZONE, False, releases.clock, seed=1))
    with TestClient(create_app(served)) as client:
        body = {"contacts": [{"contact_id": "ada"}]}
        (answer,) = client.post("/v1/decisions", json=body).json()["decisions"]
    assert answer["blocked"]["send:welcome@09"] == ["paused"]


def test_what_nobody_foresaw_is_told_with_a_name_and_logged_in_full(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    releases = Releases(tmp_path / "store.db")
    settings = ServerSettings(ZONE, False, releases.clock, seed=1)
    served = Service(_release(bundle, "pause:1"), releases.store, settings)

    def broken(*_: Any) -> None:
        raise ZeroDivisionError("the reason")

    monkeypatch.setattr(served, "decide", broken)
    with TestClient(create_app(served)) as client:
        answer = client.post("/v1/decisions", json={"contacts": [{"contact_id": "ada"}]})
    assert answer.status_code == 500
    name = answer.json()["detail"].split()[-1]
    printed = capsys.readouterr().err
    assert name in printed
    assert "ZeroDivisionError: the reason" in printed
