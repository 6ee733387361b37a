"""SendGrid's rows in our words: a pure function, and signatures that nobody can forge."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from nurture_rl.errors import ConfigError
from nurture_rl.logs.reported.report_format import UntranslatedRow
from nurture_rl.serving.senders.known_senders import senders_of
from nurture_rl.serving.senders.sender_adapter import NotSigned
from nurture_rl.serving.senders.sendgrid import SIGNATURE, TIMESTAMP, SendGrid
from tests.unit.serving.signed_webhooks import body_of, key_folder, row, signed, signing_key

KEY = signing_key()
ADAPTER = SendGrid(KEY.public_key())
NOW = 1_803_855_600  # 2027-02-28 23:00 UTC
HOUR = 3600


def said(event: str, **cells: Any) -> list[dict[str, Any]]:
    return [one.cells for one in ADAPTER.events(row(event, 1, NOW, **cells))]


@pytest.mark.parametrize(
    ("event", "cells", "kind"),
    [
        ("processed", {}, "sent"),
        ("deferred", {"attempt": "5", "response": "400 try again later"}, "deferred"),
        ("delivered", {"response": "250 OK"}, "delivered"),
        ("open", {"sg_machine_open": False}, "open"),
        ("click", {"url": "https://example.com/a?who=ada"}, "click"),
        ("spamreport", {}, "complaint"),
        ("unsubscribe", {}, "unsubscribe"),
        ("group_unsubscribe", {"asm_group_id": 10}, "unsubscribe"),
        ("group_resubscribe", {"asm_group_id": 10}, "resubscribe"),
        ("dropped", {"reason": "Recipient List over Package Quota"}, "dropped"),
        ("bounce", {"type": "bounce", "status": "5.1.1"}, "hard_bounce"),
        ("bounce", {"bounce_classification": "Invalid Address"}, "hard_bounce"),
        ("bounce", {"type": "something new"}, "hard_bounce"),  # in doubt the address is dead
        ("bounce", {"type": "blocked", "bounce_classification": "Reputation"}, "soft_bounce"),
        ("bounce", {"type": "expired"}, "soft_bounce"),
        ("blocked", {}, "soft_bounce"),
        ("bounce", {"type": "blocked", "bounce_classification": "Invalid Address"}, "hard_bounce"),
        ("Spam_Report", {}, "spam_report"),  # a word against mail is never a stranger's
    ],
)
def test_each_event_has_a_word_of_ours(event: str, cells: dict[str, Any], kind: str) -> None:
    (found,) = said(event, **cells, decision_id="d-1")
    assert (found["type"], found["contact_id"], found["decision_id"]) == (kind, "ada", "d-1")
    assert (found["event_id"], found["source"]) == ("sendgrid:ZXZlbnQ1", "sendgrid")
    assert found["occurred_at"] == "2027-02-28T23:00:00+00:00"
    assert "ada@example.com" not in str(found)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("Bounced Address", "hard_bounce"),
        ("Invalid", "hard_bounce"),
        ("Unsubscribed Address", "unsubscribe"),
        ("Spam Reporting Address", "unsubscribe"),
    ],
)
def test_a_mail_dropped_for_a_list_says_the_lists_word_and_no_mail_went(
    reason: str, kind: str
) -> None:
    dropped, listed = said("dropped", reason=reason, decision_id="d-1", topic="pricing")
    assert (dropped["type"], dropped["decision_id"]) == ("dropped", "d-1")
    assert (listed["type"], listed["event_id"]) == (kind, "sendgrid:ZXZlbnQ1:list")
    # A bounce that names a decision proves that its mail went, and none did.
    assert not {"decision_id", "message_id", "topic"} & set(listed)


@pytest.mark.parametrize("flag", [True, 1, "true"])
def test_only_opens_are_called_a_machines_by_sendgrid(flag: Any) -> None:
    assert [one["is_machine"] for one in said("open", sg_machine_open=flag)] == [True]
    assert [one["is_machine"] for one in said("open")] == [False]
    assert [one["is_machine"] for one in said("click", sg_machine_open=flag)] == [False]


def test_custom_arguments_are_read_where_they_come_back() -> None:
    flat = row("open", 1, NOW, contact_id=7, decision_id="d", topic="pricing")
    apart = {**row("open", 1, NOW), "unique_args": {"contact_id": "7", "decision_id": "d"}}
    del apart["contact_id"]
    for one in (flat, apart):
        (found,) = ADAPTER.events(one)
        assert (found.cells["contact_id"], found.cells["decision_id"]) == ("7", "d")
    assert ADAPTER.events(flat)[0].cells["topic"] == "pricing"


def test_a_row_without_custom_arguments_has_its_address_alone() -> None:
    (found,) = ADAPTER.events(row("open", 1, NOW, contact_id=""))
    assert ("contact_id" in found.cells, found.recipient) == (False, "ada@example.com")


def test_a_link_is_kept_without_what_may_name_people() -> None:
    (found,) = said("click", url="https://example.com/a?who=ada#b", ip="1.2.3.4", useragent="x")
    assert found["properties"] == {"url": "https://example.com/a"}


@pytest.mark.parametrize(("event", "may"), [("account_status_change", False), ("moved", True)])
def test_what_has_no_word_is_refused_with_the_reason(event: str, may: bool) -> None:
    with pytest.raises(UntranslatedRow, match=event) as caught:
        said(event, type="compliance_suspend")
    assert caught.value.may_forbid_mail is may


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["open", "bounce", "dropped", "unsubscribe", "moved"]),
    st.dictionaries(st.sampled_from([*row("open", 1, NOW), "type", "reason", "url"]), _JSON),
)
def test_whatever_a_row_holds_it_is_read_or_refused(event: str, cells: dict[str, Any]) -> None:
    one = {**row(event, 1, NOW), **cells}
    with suppress(UntranslatedRow):
        assert 1 <= len(ADAPTER.events(one)) <= 2


def refused(headers: dict[str, str], body: bytes = b"[]", seconds: int = NOW) -> str:
    with pytest.raises(NotSigned) as caught:
        ADAPTER.require_signed(headers, body, seconds * 1_000_000)
    return str(caught.value)


def test_what_the_key_signed_is_taken_for_a_day_in_which_sendgrid_tries_again() -> None:
    body = body_of([row("open", 1, NOW)])
    for seconds in (NOW - 299, NOW, NOW + 24 * HOUR):
        ADAPTER.require_signed(signed(KEY, body, NOW), body, seconds * 1_000_000)
    assert "26.0 hours ago" in refused(signed(KEY, body, NOW), body, NOW + 26 * HOUR)
    assert "hours ago" in refused(signed(KEY, body, NOW), body, NOW - 301)


def test_what_another_key_signed_or_somebody_changed_is_refused() -> None:
    body = body_of([row("open", 1, NOW)])
    good = signed(KEY, body, NOW)
    other = signed(signing_key(), body, NOW)
    assert "not the sender's" in refused(other, body)
    assert "not the sender's" in refused(good, body[:-2])  # without the line end
    assert "not the sender's" in refused(good, body.replace(b"open", b"opem"))
    assert "not the sender's" in refused({**good, TIMESTAMP: str(NOW + 1)}, body)


@pytest.mark.parametrize("wrong", ["", "AAAA", "!" * 80, "é", "\x00", "A" * 100_000])
def test_a_signature_that_is_none_is_refused(wrong: str) -> None:
    assert refused({SIGNATURE: wrong, TIMESTAMP: str(NOW)})


@pytest.mark.parametrize("wrong", ["", "-5", "1e9", "１２３", str(NOW) + "\n", "9" * 400])
def test_a_time_that_is_none_is_refused(wrong: str) -> None:
    assert "expected the headers" in refused({**signed(KEY, b"[]", NOW), TIMESTAMP: wrong})
    assert "expected the headers" in refused({})


def test_the_key_is_read_as_shown_and_as_pem(tmp_path: Path) -> None:
    folder = key_folder(tmp_path / "keys", KEY)
    assert list(senders_of(folder)) == ["sendgrid"]
    shape = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "sendgrid.key").write_bytes(KEY.public_key().public_bytes(*shape))
    found = senders_of(folder)["sendgrid"]
    found.require_signed(signed(KEY, b"[]", NOW), b"[]", NOW * 1_000_000)


def test_a_folder_of_keys_is_refused_for_one_reason(tmp_path: Path) -> None:
    def why(folder: Path = tmp_path) -> str:
        with pytest.raises(ConfigError) as caught:
            senders_of(folder)
        return str(caught.value)

    told = why(tmp_path / "gone")
    assert "expected a folder with cloudevents.key, customerio.key, hubspot.key" in told
    assert "got no file" in why()
    key_folder(tmp_path, KEY)
    (tmp_path / "sendgrid.key").chmod(0o666)
    assert "may be written by others" in why()
    (tmp_path / "sendgrid.key").chmod(0o600)
    for content in (b"", b"secret", b"-----BEGIN PUBLIC KEY-----\n", b"\xff\xfe"):
        (tmp_path / "sendgrid.key").write_bytes(content)
        assert "expected a public ECDSA key (P-256)" in why()
    shape = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    other = generate_private_key(SECP384R1()).public_key().public_bytes(*shape)
    (tmp_path / "sendgrid.key").write_bytes(other)
    assert "a key of another kind" in why()
    (tmp_path / "mailgum.key").write_bytes(b"x")
    assert "got mailgum.key" in why()
