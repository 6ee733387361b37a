"""Whatever is acknowledged while a request is answered, or changes a contact, takes mail back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from nurture_envs.clock import DAY_US, HOUR_US
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.records import Decision
from nurture_rl.serving.store_errors import StoreUnavailable
from tests.unit.serving.contacts import Clock, contact, event
from tests.unit.serving.test_accounts import MONDAY, sends, serving
from tests.unit.serving.test_no_mail_after_no import Server

pytestmark = pytest.mark.usefixtures("either_database")


@pytest.fixture
def server(bundle: Bundle, tmp_path: Path) -> Server:
    """Seven in the morning; ada is to get mail at nine."""
    found = Server(bundle, tmp_path / "store.db")
    assert found.sends("ada", request_id="a")
    return found


def state(server: Server, name: str = "a") -> tuple[str, str | None]:
    found = server.client.get(f"/v1/decisions/{name}").json()
    return found["status"], found["reason"]


def after_first(plain: Callable[..., Any], then: Callable[[], Any]) -> Callable[..., Any]:
    """A method after whose first call something arrives."""
    done: list[bool] = []

    def method(*given: Any) -> Any:
        found = plain(*given)
        if not done:
            done.append(True)
            then()
        return found

    return method


def test_soft_bounces_are_a_word_against_mail_like_the_others(server: Server) -> None:
    stray: dict[str, Any] = {"smtp": "452"}
    for kind, more in (("soft_bounce", stray), ("Soft-Bounce", {}), ("softbounce", {})):
        answer = server.say(kind, **more)
        assert (answer.status_code, answer.json()["stored"]) == (200, 1)
    assert [one["decision_id"] for one in answer.json()["withdrawn"]] == ["a"]
    assert state(server) == ("withdrawn", "hard_bounce")


def test_an_absence_told_by_any_event_takes_mail_back_at_once(server: Server) -> None:
    (gone,) = server.say("click", reply_class="out_of_office").json()["withdrawn"]
    assert gone["reason"] == "paused"


def test_a_single_confirmation_hears_what_is_acknowledged_meanwhile(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.clock.now_us += 2 * HOUR_US
    late = after_first(server.service.confirm, lambda: server.say("unsubscribe"))
    monkeypatch.setattr(server.service, "confirm", late)
    assert server.client.post("/v1/decisions/a/confirm").json()["status"] == "withdrawn"


@pytest.mark.parametrize("path", ["/v1/decisions/confirm", "/v1/decisions"])
def test_a_colleague_s_conversation_is_heard_while_a_request_is_answered(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    clock = Clock(MONDAY + 8 * HOUR_US)
    caps: list[Any] = []
    limits = {"account": {"caps": caps, "conversation": True}}
    served = serving(bundle, tmp_path / "s.db", clock, "always:send:blue@09", **limits)
    people = [f"q{i}" for i in range(140)]
    served.put_contacts([contact(n, time_zone="UTC", account_id="big") for n in people])
    assert sends(served.decide([Ask(name, name) for name in people])) == 140

    def talks() -> None:
        served.append_events([event("escalated", clock.now_us, "q139")])

    body: dict[str, Any] = {"ids": people}
    if path == "/v1/decisions":
        body = {"contacts": [{"contact_id": name, "request_id": name} for name in people]}
        monkeypatch.setattr(served, "decide", after_first(served.decide, talks))
    else:
        clock.now_us += HOUR_US
        monkeypatch.setattr(served, "confirm", after_first(served.confirm, talks))
    with TestClient(create_app(served)) as client:
        found = client.post(path, json=body).json()
    rows = found.get("confirmations") or found["decisions"]
    assert len(rows) == 140
    assert {row.get("status") or row.get("code") for row in rows} == {"withdrawn"}


def test_consent_that_is_put_away_takes_planned_mail_back_for_good(server: Server) -> None:
    plain = {"contact_id": "ada", "consent": False}
    answer = server.client.put("/v1/contacts", json={"contacts": [plain]}).json()
    assert [(one["decision_id"], one["reason"]) for one in answer["withdrawn"]] == [
        ("a", "no_consent")
    ]
    server.put(contact_id="ada", consent=True)
    server.clock.now_us += 2 * HOUR_US
    assert server.client.post("/v1/decisions/a/confirm").json()["status"] == "withdrawn"


def test_mail_planned_for_an_hour_of_another_zone_is_not_said_again(server: Server) -> None:
    assert server.sends("ada", request_id="a")
    server.put(contact_id="ada", time_zone="America/New_York")
    assert server.ask("ada", request_id="a") == "withdrawn"
    assert state(server) == ("withdrawn", "the contact's zone is another one now")


def test_what_a_sender_calls_the_message_does_not_hide_it_from_its_cap(
    bundle: Bundle, tmp_path: Path
) -> None:
    clock = Clock(MONDAY + 10 * HOUR_US)
    served = serving(bundle, tmp_path / "s.db", clock, repeat_hours=720, account=None)
    assert sends(served.decide([Ask("p0", "r0")])) == 1
    named = {"decision_id": "r0", "message_id": "<20260406.abc@esp.example>"}
    served.append_events([event("sent", clock.now_us, "p0", **named)])
    clock.now_us += 2 * DAY_US
    assert sends(served.decide([Ask("p0")])) == 0


@pytest.mark.parametrize(
    "talk", [{"conversation": {"called": 1}}, {"conversation_until": {"called": ["bought"]}}]
)
def test_a_call_decided_in_the_same_batch_silences_colleagues(
    bundle: Bundle, tmp_path: Path, talk: dict[str, Any]
) -> None:
    clock = Clock(MONDAY + 10 * HOUR_US)
    calls = {"account": {"caps": [], "conversation": True}, "conversation": {}, **talk}
    served = serving(bundle, tmp_path / "s.db", clock, "always:escalate", **calls)
    first, second = served.decide([Ask("p0"), Ask("p1")])
    assert isinstance(first, Decision)
    assert isinstance(second, Decision)
    assert first.action == "escalate"
    blue = second.reasons[served.bundle.catalog.index("send:blue@now")]
    assert blue


def test_what_the_caller_said_of_availability_holds_when_the_server_asks_again(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(MONDAY + 10 * HOUR_US)
    served = serving(bundle, tmp_path / "s.db", clock, availability=True, account=None)
    old = event("sent", clock.now_us - 5 * DAY_US, "p1")
    late = after_first(served.decide, lambda: served.append_events([old]))
    monkeypatch.setattr(served, "decide", late)
    body = {"contacts": [{"contact_id": "p1", "available": True, "request_id": "r1"}]}
    with TestClient(create_app(served)) as client:
        (row,) = client.post("/v1/decisions", json=body).json()["decisions"]
    assert row.get("action") == "send:blue@now"


def test_a_retry_in_its_hour_leaves_a_send_to_its_confirmation(
    bundle: Bundle, tmp_path: Path
) -> None:
    clock = Clock(MONDAY + 8 * HOUR_US)
    own = {"confirm": True, "account": None}
    served = serving(bundle, tmp_path / "s.db", clock, "always:send:blue@09", **own)
    (made,) = served.decide([Ask("p0", "r0")])
    clock.now_us += HOUR_US + 60_000_000
    assert served.decide([Ask("p0", "r0")]) == [replace(made, contact_id="p0")]
    (found,) = served.confirm(["r0"])
    assert found is not None
    assert found.status == "send"


def test_a_store_that_fails_between_confirmations_says_what_may_have_happened(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(MONDAY + 8 * HOUR_US)
    served = serving(bundle, tmp_path / "s.db", clock, "always:send:blue@09", account=None)
    people = [f"n{i}" for i in range(130)]
    served.put_contacts([contact(name, time_zone="UTC") for name in people])
    served.decide([Ask(name, name) for name in people])
    clock.now_us += HOUR_US
    plain, calls = served.confirm, list[int]()

    def confirm(ids: Sequence[str], now_us: int | None = None) -> Any:
        calls.append(len(ids))
        if len(calls) == 2:
            raise StoreUnavailable("disk full")
        return plain(ids, now_us)

    monkeypatch.setattr(served, "confirm", confirm)
    with TestClient(create_app(served)) as client:
        answer = client.post("/v1/decisions/confirm", json={"ids": people})
    assert answer.status_code == 503
    assert "some may be confirmed" in answer.json()["detail"]
    assert calls == [128, 2]
