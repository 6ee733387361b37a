"""Mautic's webhooks in our words, as its documentation shows them, and signed by its secret."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from litestar.testing import TestClient

from nurture_envs.clock import HOUR_US
from nurture_rl.errors import ConfigError
from nurture_rl.logs.reported.report_format import UntranslatedRow
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.records import Decision
from nurture_rl.serving.senders.known_senders import senders_of
from nurture_rl.serving.senders.mautic_webhook import SIGNATURE, MauticWebhook
from nurture_rl.serving.senders.sender_adapter import NotSigned
from tests.unit.serving.contacts import MIDNIGHT, Clock, service

SECRET = "s3cret-of-the-webhook"
ADAPTER = MauticWebhook(SECRET.encode())
STAMP = "2027-03-01T09:00:00+00:00"
FIELDS = {"core": {"email": {"id": "6", "value": "ada@example.com"}}}
OWN = {"core": {**FIELDS["core"], "nurture_contact_id": {"id": "40", "value": "ada"}}}
LEAD = {"id": 12, "fields": OWN}
STATUS = "mautic.lead_channel_subscription_changed"


def body_of(trigger: str, *payloads: dict[str, Any]) -> bytes:
    return json.dumps({trigger: [{"timestamp": STAMP, **one} for one in payloads]}).encode()


def signed(body: bytes, secret: str = SECRET) -> dict[str, str]:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    return {SIGNATURE: b64encode(digest).decode()}


def said(trigger: str, **payload: Any) -> Any:
    (row,) = ADAPTER.rows({}, body_of(trigger, payload))
    (found,) = ADAPTER.events(row)
    assert "ada@example.com" not in str(found.cells)
    return found


@pytest.mark.parametrize(
    ("trigger", "payload", "kind"),
    [
        ("mautic.email_on_send", {"contact": LEAD, "idHash": "5f"}, "sent"),
        ("mautic.email_on_open", {"stat": {"lead": LEAD, "trackingHash": "5f"}}, "open"),
        ("mautic.page_on_hit", {"hit": {"lead": LEAD, "source": "email"}}, "click"),
        ("mautic.page_on_hit", {"hit": {"lead": LEAD, "source": None}}, "page_view"),
        ("mautic.form_on_submit", {"submission": {"lead": LEAD}}, "form_submitted"),
        (
            STATUS,
            {"contact": LEAD, "channel": "email", "new_status": "unsubscribed"},
            "unsubscribe",
        ),
        (STATUS, {"contact": LEAD, "channel": "email", "new_status": "manual"}, "unsubscribe"),
        (STATUS, {"contact": LEAD, "channel": " Email", "new_status": "Manual "}, "unsubscribe"),
        (STATUS, {"contact": LEAD, "channel": "email", "new_status": "bounced"}, "hard_bounce"),
        (STATUS, {"contact": LEAD, "channel": "email", "new_status": "contactable"}, "resubscribe"),
    ],
)
def test_each_trigger_has_a_word_of_ours(trigger: str, payload: dict[str, Any], kind: str) -> None:
    found = said(trigger, **payload)
    cells = found.cells
    assert (cells["type"], cells["contact_id"], cells["source"]) == (kind, "ada", "mautic")
    assert (cells["occurred_at"], found.recipient) == (STAMP, "ada@example.com")
    assert cells["is_machine"] is (kind == "open")  # nobody can tell, so it is no reader's
    grouped = kind in ("unsubscribe", "resubscribe")
    assert cells["properties"].get("group") == ("mautic email" if grouped else None)


def test_a_send_names_its_decision_and_an_open_its_mail() -> None:
    tokens = {"{nurture_decision_id}": "d-1", "{nurture_contact_id}": "c-1"}
    plain = {"id": 12, "fields": FIELDS}
    sent = said("mautic.email_on_send", contact=plain, tokens=tokens, idHash="5f").cells
    assert (sent["decision_id"], sent["contact_id"], sent["message_id"]) == ("d-1", "c-1", "5f")
    opened = said("mautic.email_on_open", stat={"lead": plain, "trackingHash": "5f"})
    assert ("contact_id" in opened.cells, opened.cells["message_id"]) == (False, "5f")


def test_a_link_is_kept_without_what_may_name_people() -> None:
    hit = {"lead": LEAD, "source": "email", "url": "https://example.com/a?who=ada#b"}
    assert said("mautic.page_on_hit", hit=hit).cells["properties"] == {
        "url": "https://example.com/a"
    }


def test_an_event_that_comes_again_is_the_same_one() -> None:
    one = said("mautic.page_on_hit", hit={"id": 1, "lead": LEAD}).cells["event_id"]
    again = said("mautic.page_on_hit", hit={"id": 1, "lead": LEAD}).cells["event_id"]
    other = said("mautic.page_on_hit", hit={"id": 2, "lead": LEAD}).cells["event_id"]
    assert one == again != other


@pytest.mark.parametrize(
    ("trigger", "payload", "may"),
    [
        ("mautic.lead_points_change", {}, False),
        ("mautic.lead_post_save_update", {}, False),
        ("mautic.something_new", {}, True),
        (STATUS, {"channel": "sms", "new_status": "unsubscribed"}, False),
        (STATUS, {"channel": "emails", "new_status": "unsubscribed"}, True),
        (STATUS, {"new_status": "unsubscribed"}, True),
        (STATUS, {"channel": "email", "new_status": "lost"}, True),
    ],
)
def test_what_has_no_word_is_refused_with_the_reason(
    trigger: str, payload: dict[str, Any], may: bool
) -> None:
    with pytest.raises(UntranslatedRow) as caught:
        said(trigger, contact=LEAD, **payload)
    assert caught.value.may_forbid_mail is may


def test_only_what_the_secret_signed_is_taken() -> None:
    body = body_of(STATUS, {"contact": LEAD})
    ADAPTER.require_signed(signed(body), body, 0)
    for headers, content in (
        ({}, body),
        (signed(body), body + b" "),
        (signed(body, "another-secret-of-it"), body),
        ({SIGNATURE: "é"}, body),
    ):
        with pytest.raises(NotSigned):
            ADAPTER.require_signed(headers, content, 0)


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [(SECRET, 0o644, "chmod 600"), ("short", 0o600, "at least 16"), ("a b" * 9, 0o600, "one")],
)
def test_a_secret_that_cannot_be_one_is_refused(
    tmp_path: Path, text: str, mode: int, message: str
) -> None:
    (tmp_path / "mautic.key").write_text(text)
    (tmp_path / "mautic.key").chmod(mode)
    with pytest.raises(ConfigError, match=message):
        senders_of(tmp_path)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_KEYS = ["trigger", "contact", "lead", "stat", "hit", "tokens", "channel", "new_status", "fields"]


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["mautic.email_on_send", "mautic.page_on_hit", STATUS, "x"]),
    st.dictionaries(st.sampled_from(_KEYS), _JSON),
)
def test_whatever_a_row_holds_it_is_read_or_refused(trigger: str, cells: dict[str, Any]) -> None:
    with suppress(UntranslatedRow):
        assert len(ADAPTER.events({"trigger": trigger, **cells})) == 1


def test_an_opt_out_in_mautic_withdraws_the_planned_send(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "mautic.key").touch(0o600)
    (tmp_path / "keys" / "mautic.key").write_text(SECRET)
    served = service(bundle, tmp_path / "s.db", Clock(MIDNIGHT + 8 * HOUR_US))
    client: TestClient[Any] = TestClient(create_app(served, senders=senders_of(tmp_path / "keys")))
    (made,) = served.decide([Ask("ada", "d-1")])
    assert isinstance(made, Decision)
    body = body_of(STATUS, {"contact": LEAD, "channel": "email", "new_status": "unsubscribed"})
    for number in (1, 0):
        answer = client.post("/v1/webhooks/mautic", content=body, headers=signed(body))
        assert (answer.status_code, answer.json()["stored"]) == (200, number)
    (event,) = served.store.events(["ada"])["ada"]
    assert event.type == "unsubscribe"
    (after,) = served.decide([Ask("ada", "d-2")])
    assert not str(getattr(after, "action", "")).startswith("send:")
    assert client.post("/v1/webhooks/mautic", content=body).status_code == 401
    served.store.close()
