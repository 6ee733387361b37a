"""A word against mail that a sender reports is never lost, however it is written."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nurture_rl.errors import ConfigError
from nurture_rl.logs.reported.known_formats import FORMATS
from nurture_rl.logs.reported.report_format import UntranslatedRow
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.senders.known_senders import senders_of
from tests.unit.reported_rows import opt_out, postmark
from tests.unit.serving.contacts import contact
from tests.unit.serving.posting import NOW, Posting
from tests.unit.serving.sender_keys import ADDRESS as HUBSPOT_ADDRESS
from tests.unit.serving.sender_keys import SENDERS
from tests.unit.serving.signed_webhooks import body_of, row
from tests.unit.serving.test_sender_contract import Door

BEA = "bea@example.com"  # a contact whose id is the address


@pytest.fixture(scope="module")
def posting(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Posting]:
    found = Posting(bundle, tmp_path_factory.mktemp("posting"))
    found.service.store.put_contacts([contact(BEA, consent=True)])
    yield found
    found.service.store.close()


@pytest.fixture
def events_door(bundle: Bundle, tmp_path: Path) -> Iterator[Door]:
    (sender,) = (one for one in SENDERS if one.name == "cloudevents")
    found = Door(bundle, sender, tmp_path)
    yield found
    found.service.store.close()


@pytest.mark.parametrize("name", [["ada"], 10.5, True, " ", "\u200b", "a" * 201, {"id": "ada"}])
def test_where_the_contact_cannot_be_read_the_address_tells_who_is_meant(
    posting: Posting, name: Any
) -> None:
    number = 5000 + len(posting.events())
    said = row("unsubscribe", number, NOW, contact_id=name, email=BEA)
    answer = posting.rows(said)
    assert (answer["stored"], answer["rejected"]) == (1, [])
    assert "is no id of a contact" in answer["mended"][0]["notes"][0]
    assert posting.service.store.events([BEA])[BEA][-1].type == "unsubscribe"


def test_where_nothing_tells_who_is_meant_the_reason_names_what_came(posting: Posting) -> None:
    said = row("unsubscribe", 6000, NOW, contact_id=["x"], email="nobody@example.com")
    (refused,) = posting.rows(said)["rejected"]
    assert refused["may_forbid_mail"]
    assert "['x']" in refused["reason"]
    assert "names no contact" in refused["reason"]


def test_a_no_that_names_a_stranger_counts_for_the_address_too(
    posting: Posting, caplog: pytest.LogCaptureFixture
) -> None:
    said = row("spamreport", 7000, NOW, contact_id="crm-77", email=BEA, decision_id="d-x")
    with caplog.at_level(logging.WARNING, "nurture_rl"):
        answer = posting.rows(said)
    assert (answer["stored"], answer["rejected"]) == (2, [])
    kept = [one for one in posting.events() if "ZXZlbnQ7000" in str(one)]
    assert len(kept) == 2
    told = posting.service.store.events([BEA, "crm-77"])
    assert [told[name][-1].type for name in (BEA, "crm-77")] == ["complaint"] * 2
    assert [told[name][-1].decision_id for name in (BEA, "crm-77")] == [None, "d-x"]
    assert "1 word of sendgrid against mail of contacts that nobody knows" in caplog.text
    assert posting.rows(said)["repeated"] == 2
    other = row("open", 7001, NOW, contact_id="crm-77", email=BEA)
    assert posting.rows(other)["stored"] == 1


def test_half_a_sign_or_a_wrong_byte_in_one_row_loses_no_other(posting: Posting) -> None:
    """Programs of browsers cut titles inside of an emoji and write the half that is left."""
    cut = row("click", 8000, NOW, url="https://example.com/\\\ud83d/")
    whole = row("click", 8001, NOW, url="https://example.com/\U0001f600/")
    body = body_of([cut, whole, row("unsubscribe", 8002, NOW)])
    assert rb"\\\ud83d/" in body
    assert rb"\ud83d\ude00" in body
    body = body.replace(b"ismtpd", b"ismt\xffpd")
    answer = posting.post(body)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["stored"], answer.json()["rejected"]) == (3, [])
    found = {one[0]: json.loads(one[-1])["url"] for one in events_with_urls(posting)}
    assert found["sendgrid:ZXZlbnQ8000"] == "https://example.com/\\\ufffd/"
    assert found["sendgrid:ZXZlbnQ8001"] == "https://example.com/\U0001f600/"


def events_with_urls(posting: Posting) -> list[tuple[str, str]]:
    """Id and properties of the events that have a link."""
    told = posting.service.store.events(["ada"])["ada"]
    return [(one.event_id, one.properties) for one in told if "url" in one.properties]


@pytest.mark.parametrize("body", [b"{}", b"[{]", b"[" + b"{}," * 10_000 + b"{}]", b"[" * 5000])
def test_a_signed_request_that_cannot_be_read_is_told_to_the_operator(
    posting: Posting, caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    with caplog.at_level(logging.WARNING, "nurture_rl"):
        assert posting.post(body).status_code == 400
    assert "sendgrid signed cannot be read and may forbid mail" in caplog.text


@pytest.mark.parametrize("properties", [[1], "x", 7, True])
def test_a_batch_stands_whatever_the_properties_of_one_event_are(
    events_door: Door, properties: Any
) -> None:
    events_door.service.decide([Ask("bob", "d-bob")])
    first = opt_out("cloudevents", 1, NOW)
    data = {"decision_id": "d-bob", "properties": properties}
    mixed = {**opt_out("cloudevents", 2, NOW), "data": data}
    answer = events_door.send(events_door.signed(first, mixed))
    assert answer.status_code == 200, answer.text
    assert answer.json()["stored"] == 2


def test_an_empty_contact_of_the_data_leaves_the_subject(events_door: Door) -> None:
    said = {**opt_out("cloudevents", 3, NOW), "subject": "bob", "data": {"contact_id": ""}}
    assert events_door.send(events_door.signed(said)).json()["stored"] == 1
    assert events_door.service.store.events(["bob"])["bob"][-1].type == "unsubscribe"


def test_what_is_refused_of_two_streams_at_one_moment_is_two_words() -> None:
    """One alone would be taken back with consent to the other."""
    said = {"RecordType": "SubscriptionChange", "SuppressSending": True}
    rows = [postmark(1, NOW, {**said, "MessageStream": name}) for name in ("news", "offers")]
    events = [one for row in rows for one in FORMATS["postmark"].events(row)]
    assert len({one.cells["event_id"] for one in events}) == 2


@pytest.mark.parametrize("text", ["[" * 5000, "no JSON", '{"a": ' * 5000])
def test_what_lies_inside_of_a_text_is_read_or_refused(text: str) -> None:
    with pytest.raises(UntranslatedRow):
        FORMATS["ses"].unwrap({"Type": "Notification", "Message": text})
    row = opt_out("customerio", 1, NOW)
    row |= {"metric": "cio_subscription_preferences_changed", "object_type": "customer"}
    row["data"] = {**row["data"], "content": text}
    with pytest.raises(UntranslatedRow):
        FORMATS["customerio"].events(row)


@pytest.mark.parametrize(
    ("name", "text"),
    [("hubspot", f"short@{HUBSPOT_ADDRESS}"), ("postmark", "a-very-long-name-of-a-user:pw")],
)
def test_a_short_secret_beside_a_long_word_is_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / f"{name}.key").write_text(text)
    (tmp_path / f"{name}.key").chmod(0o600)
    with pytest.raises(ConfigError, match="at least 16"):
        senders_of(tmp_path)
