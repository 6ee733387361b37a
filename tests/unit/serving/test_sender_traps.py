"""What single senders leave open, and what closes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from litestar.testing import TestClient

from nurture_rl.errors import ConfigError
from nurture_rl.logs.reported.report_format import UntranslatedRow
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.senders.cloudevents_in import CloudEventsIn
from nurture_rl.serving.senders.hubspot import HubSpot
from nurture_rl.serving.senders.known_senders import senders_of
from nurture_rl.serving.senders.mailgun import Mailgun, TokensSeen
from nurture_rl.serving.senders.sender_adapter import CannotCheck, NotSigned
from nurture_rl.serving.senders.ses_over_sns import SesOverSns
from nurture_rl.serving.senders.signed_time import require_recent
from nurture_rl.serving.senders.sns_certificates import (
    SnsCertificates,
    certificate_of,
    fetch_certificate,
)
from tests.unit.reported_rows import opt_out
from tests.unit.serving.contacts import Clock, service
from tests.unit.serving.sender_keys import (
    ADDRESS,
    CERTIFICATE_AT,
    SECRET,
    SENDERS,
    TOPIC,
    amazon,
    certificate,
    sns_message,
)

NOW = 1_803_855_600
NOW_US = NOW * 1_000_000


def test_a_token_of_mailgun_is_taken_again_with_the_same_body_alone() -> None:
    (mailgun,) = (one for one in SENDERS if one.name == "mailgun")
    adapter = Mailgun(SECRET.encode())
    posted = mailgun.post([opt_out("mailgun", 1, NOW)], NOW, False)
    for _ in range(2):
        adapter.require_signed({}, posted.body, NOW_US)
    forged = posted.body.replace(b"unsubscribed", b"delivered")
    assert forged != posted.body
    with pytest.raises(NotSigned, match="another body"):
        adapter.require_signed({}, forged, NOW_US)


def test_a_forged_signature_uses_up_no_token_and_memory_is_bounded() -> None:
    (mailgun,) = (one for one in SENDERS if one.name == "mailgun")
    adapter = Mailgun(SECRET.encode())
    posted = mailgun.post([opt_out("mailgun", 1, NOW)], NOW, False)
    body = json.loads(posted.body)
    body["signature"]["signature"] = "0" * 64
    with pytest.raises(NotSigned, match="not the sender's"):
        adapter.require_signed({}, json.dumps(body).encode(), NOW_US)
    adapter.require_signed({}, posted.body, NOW_US)
    seen = TokensSeen(most=2)
    assert [seen.is_another(token, b"x") for token in "abca"] == [False] * 4
    assert seen.is_another("a", b"y")


def _ses(fetch: Callable[[str], bytes], *topics: str) -> SesOverSns:
    return SesOverSns(frozenset(topics or (TOPIC,)), SnsCertificates(fetch=fetch))


def _message(version: str = "2", at: int = NOW, **cells: Any) -> bytes:
    return sns_message({"Message": "{}", **cells}, at, version, amazon())


def test_a_signature_is_recent_up_to_the_second() -> None:
    hour, minute = 3_600_000_000, 60_000_000
    for age in (-5 * minute, 0, 2 * hour):
        require_recent(NOW_US - age, NOW_US, 2)
    for age in (-5 * minute - 1, 2 * hour + 1):
        with pytest.raises(NotSigned, match="last 2 hours"):
            require_recent(NOW_US - age, NOW_US, 2)


class _Odd(BaseHTTPRequestHandler):
    """Answers as a host may that is not Amazon's, or not well."""

    def do_GET(self) -> None:
        if self.path == "/garbage":
            self.wfile.write(b"no HTTP at all\r\n\r\n")
            return
        self.send_response(302 if self.path == "/moved" else 404 if self.path == "/no" else 200)
        self.send_header("Location", "/whole")
        self.end_headers()
        self.wfile.write(b"x" * (65_537 if self.path == "/long" else 65_536))

    def log_message(self, *_: object) -> None:
        """Nothing is told."""


def test_a_certificate_is_fetched_whole_without_redirects_and_not_too_long() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Odd) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        host = f"http://127.0.0.1:{server.server_port}"
        assert len(fetch_certificate(f"{host}/whole")) == 65_536
        for path in ("moved", "no", "long", "garbage"):
            with pytest.raises(OSError, match=r"302|404|65536|BadStatusLine"):
                fetch_certificate(f"{host}/{path}")
        server.shutdown()


def _never(address: str) -> bytes:
    raise AssertionError(f"{address} was asked")


@pytest.mark.parametrize(
    "address",
    [
        "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-0123456789abcdef.pem",
        "https://evil.example/SimpleNotificationService-0123456789abcdef.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.example/SimpleNotificationService-0123456789abcdef.pem",
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem",
        "https://bucket.s3.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem",
        CERTIFICATE_AT + "?x",
        CERTIFICATE_AT + "\n",
        "",
    ],
)
def test_a_certificate_is_asked_of_amazons_host_in_the_topics_region_alone(address: str) -> None:
    with pytest.raises(NotSigned, match="SigningCertURL"):
        _ses(_never).require_signed({}, _message(SigningCertURL=address), NOW_US)


def test_another_accounts_topic_is_refused_before_anything_is_asked() -> None:
    """Amazon signs every account's topics by the same key."""
    other = TOPIC.replace("123456789012", "999999999999")
    with pytest.raises(NotSigned, match="any account"):
        _ses(_never).require_signed({}, _message(TopicArn=other), NOW_US)


def test_a_certificate_is_fetched_once_and_what_is_none_is_refused() -> None:
    asked: list[str] = []

    def fetch(address: str) -> bytes:
        asked.append(address)
        return certificate(amazon()).encode()

    adapter = _ses(fetch)
    for version in ("1", "2", "2"):
        adapter.require_signed({}, _message(version), NOW_US)
    assert asked == [CERTIFICATE_AT]
    with pytest.raises(NotSigned, match="SignatureVersion"):
        adapter.require_signed({}, _message("3"), NOW_US)
    with pytest.raises(NotSigned, match="RSA key"):
        _ses(lambda _: b"<html>").require_signed({}, _message(), NOW_US)
    wrong = _ses(lambda _: certificate(amazon(other=True)).encode())
    with pytest.raises(NotSigned, match="not that of Amazon"):
        wrong.require_signed({}, _message(), NOW_US)


def test_where_a_certificate_does_not_come_the_sender_tries_again_and_strangers_wait() -> None:
    asked: list[str] = []

    def fetch(address: str) -> bytes:
        asked.append(address)
        raise OSError("no way there")

    adapter = _ses(fetch)
    for _ in range(3):
        with pytest.raises(CannotCheck):
            adapter.require_signed({}, _message(), NOW_US)
    assert len(asked) == 1
    with pytest.raises(CannotCheck):
        adapter.require_signed({}, _message(), NOW_US + 11_000_000)
    assert len(asked) == 2


def test_a_certificate_that_has_expired_or_not_begun_signs_nothing() -> None:
    """Kept ones are asked anew each time; a file's are asked for again, since a new one is due."""
    begins, ends = 1_767_225_600, 1_767_225_600 + 900 * 86_400  # of the one of these tests
    adapter = _ses(lambda _: certificate(amazon()).encode())
    for at in (begins, ends):
        adapter.require_signed({}, _message(at=at), at * 1_000_000)
    for at in (begins - 1, ends + 1):
        with pytest.raises(NotSigned, match="expired"):
            adapter.require_signed({}, _message(at=at), at * 1_000_000)
    found = certificate_of(certificate(amazon()).encode())
    assert found is not None
    given = SesOverSns(frozenset([TOPIC]), SnsCertificates((found,), _never))
    given.require_signed({}, _message(), NOW_US)
    with pytest.raises(CannotCheck, match=r"ses\.key have expired"):
        given.require_signed({}, _message(at=ends + 1), (ends + 1) * 1_000_000)


def test_an_address_without_a_certificate_does_not_hold_up_the_genuine_one() -> None:
    def fetch(address: str) -> bytes:
        if address != CERTIFICATE_AT:
            raise OSError("not there")
        return certificate(amazon()).encode()

    adapter = _ses(fetch)
    with pytest.raises(CannotCheck):
        adapter.require_signed(
            {}, _message(SigningCertURL=CERTIFICATE_AT.replace("0123", "3210")), NOW_US
        )
    adapter.require_signed({}, _message(), NOW_US)


@pytest.mark.parametrize("kind", ["SubscriptionConfirmation", "UnsubscribeConfirmation"])
def test_no_link_of_a_confirmation_is_followed_and_the_operator_is_told(kind: str) -> None:
    link = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=abc"
    body = _message(Type=kind, SubscribeURL=link, Token="abc", Message="confirm")
    adapter = _ses(lambda _: certificate(amazon()).encode())
    adapter.require_signed({}, body, NOW_US)
    (row,) = adapter.rows({}, body)
    with pytest.raises(UntranslatedRow, match="confirm the subscription yourself") as caught:
        adapter.events(row)
    assert caught.value.may_forbid_mail
    changed = body.replace(b"Token=abc", b"Token=abd")
    with pytest.raises(NotSigned):
        adapter.require_signed({}, changed, NOW_US)


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        (TOPIC, 0o666, "may be written by others"),
        ("", 0o644, "expected ARNs"),
        ("arn:aws:s3:::bucket", 0o644, "expected ARNs"),
        (f"{TOPIC}\n-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----", 0o644, "is none"),
    ],
)
def test_a_file_of_topics_that_cannot_be_one_is_refused(
    tmp_path: Path, text: str, mode: int, message: str
) -> None:
    (tmp_path / "ses.key").write_text(text)
    (tmp_path / "ses.key").chmod(mode)
    with pytest.raises(ConfigError, match=message):
        senders_of(tmp_path)


def test_a_login_of_postmark_has_a_name_and_a_password(tmp_path: Path) -> None:
    (tmp_path / "postmark.key").write_text(SECRET)
    (tmp_path / "postmark.key").chmod(0o600)
    with pytest.raises(ConfigError, match="NAME:PASSWORD"):
        senders_of(tmp_path)


def test_a_change_that_hubspot_posted_elsewhere_is_not_taken_here(tmp_path: Path) -> None:
    (hubspot,) = (one for one in SENDERS if one.name == "hubspot")
    posted = hubspot.post([opt_out("hubspot", 1, NOW)], NOW, False)
    HubSpot(SECRET.encode(), ADDRESS.encode()).require_signed(posted.headers, posted.body, NOW_US)
    other = HubSpot(SECRET.encode(), ADDRESS.replace("nurture", "other").encode())
    with pytest.raises(NotSigned):
        other.require_signed(posted.headers, posted.body, NOW_US)
    (tmp_path / "hubspot.key").write_text(SECRET)
    (tmp_path / "hubspot.key").chmod(0o600)
    with pytest.raises(ConfigError, match="SECRET@https"):
        senders_of(tmp_path)


def test_a_wish_to_be_forgotten_is_told_and_named_as_one() -> None:
    row = {"subscriptionType": "contact.privacyDeletion", "objectId": 7, "eventId": 1}
    with pytest.raises(UntranslatedRow, match="verb erase") as caught:
        HubSpot(SECRET.encode(), ADDRESS.encode()).events(row)
    assert caught.value.may_forbid_mail


def test_what_cannot_be_checked_now_is_asked_for_again(bundle: Bundle, tmp_path: Path) -> None:
    def fetch(address: str) -> bytes:
        raise OSError("no way there")

    served = service(bundle, tmp_path / "store.db", Clock(NOW_US))
    with TestClient(create_app(served, senders={"ses": _ses(fetch)})) as client:
        answer = client.post("/v1/webhooks/ses", content=_message())
    assert (answer.status_code, answer.json()["title"]) == (503, "cannot be checked")
    served.store.close()


EVENT = {
    "specversion": "1.0",
    "id": "A234",
    "source": "/crm",
    "type": "com.example.meeting_booked",
    "subject": "ada",
    "time": "2027-02-28T23:00:00Z",
}


def test_a_cloudevent_is_the_same_in_all_three_modes() -> None:
    adapter = CloudEventsIn(SECRET.encode())
    data = {"value": 2.5, "topic": "é"}
    binary = {f"ce-{name}": cell for name, cell in EVENT.items()}
    whole = {**EVENT, "data": data}
    modes = [
        ({"content-type": "application/cloudevents+json; charset=utf-8"}, whole),
        ({"content-type": "application/json", **binary}, data),
        ({"content-type": "application/cloudevents-batch+json"}, [whole]),
    ]
    found = []
    for headers, body in modes:
        (row,) = adapter.rows(headers, json.dumps(body).encode())
        found += adapter.events(row)
    assert found[0] == found[1] == found[2]
    assert found[0].cells["type"] == "meeting_booked"
    assert (found[0].cells["value"], found[0].cells["contact_id"]) == (2.5, "ada")


def test_source_and_id_together_name_a_cloudevent() -> None:
    adapter = CloudEventsIn(SECRET.encode())

    def name(**cells: str) -> str:
        row = {**EVENT, "data": {"event_id": "own", "value": 1.0}, **cells}
        (found,) = adapter.events(row)
        return str(found.cells["event_id"])

    assert name() == name(time="2027-03-01T00:00:00Z")
    assert len({name(), name(id="A235"), name(source="/web"), name(source="/crmA", id="234")}) == 4


def test_a_message_id_that_may_be_a_texts_makes_no_two_mails_one(
    bundle: Bundle, tmp_path: Path
) -> None:
    """Counted as one, the second would not count for the caps."""
    served = service(bundle, tmp_path / "store.db", Clock(NOW_US))
    app = create_app(served, senders={"cloudevents": CloudEventsIn(SECRET.encode())})
    data = {"type": "sent", "message_id": "welcome"}
    rows = [{**EVENT, "id": name, "data": data} for name in ("a", "b", "a")]
    media = "application/cloudevents-batch+json"
    headers = {"authorization": f"Bearer {SECRET}", "content-type": media}
    with TestClient(app) as client:
        answer = client.post("/v1/webhooks/cloudevents", content=json.dumps(rows), headers=headers)
    assert (answer.json()["stored"], answer.json()["repeated"]) == (2, 1)
    served.store.close()


@pytest.mark.parametrize("lacking", ["id", "source", "specversion", "type"])
def test_a_cloudevent_without_what_it_must_have_is_refused(lacking: str) -> None:
    row = {name: cell for name, cell in {**EVENT, "data": {}}.items() if name != lacking}
    with pytest.raises(UntranslatedRow, match=lacking):
        CloudEventsIn(SECRET.encode()).events(row)
