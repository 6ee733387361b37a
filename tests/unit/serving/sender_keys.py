"""Senders with real keys: how each signs what it posts."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import CertificateBuilder, Name, NameAttribute, random_serial_number
from cryptography.x509.oid import NameOID

from tests.unit.reported_rows import iso
from tests.unit.serving.signed_webhooks import key_folder, signed, signing_key

TOPIC = "arn:aws:sns:eu-west-1:123456789012:mail"
CERTIFICATE_AT = (
    "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem"
)
ADDRESS = "https://nurture.example.com/v1/webhooks/hubspot"
SECRET, OTHER = "s3cret-of-the-webhook", "an0ther-of-the-webhook"
_SENDGRID, _OTHER_SENDGRID = signing_key(), signing_key()
_AMAZON, _OTHER_AMAZON = (generate_private_key(65537, 2048) for _ in range(2))


@dataclass(frozen=True)
class Posted:
    """A request as its sender posts it."""

    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True)
class Sender:
    """How a sender signs."""

    name: str
    post: Callable[[Sequence[Any], int, bool], Posted]  # rows, seconds, by another key
    sign: Callable[[bytes, int], dict[str, str]] | None  # a body of any bytes; None: inside of it
    many: bool = False  # rows in one request
    signs_body: bool = True
    hours: int | None = None  # how old a signature may be; None: no time is signed

    def key_file(self, folder: Path) -> None:
        """Put the file of its key into a folder."""
        folder.mkdir(exist_ok=True)
        if self.name == "sendgrid":
            key_folder(folder, _SENDGRID)
            return
        path = folder / f"{self.name}.key"
        text = {
            "postmark": f"nurture:{SECRET}",
            "ses": f"{TOPIC}\n{certificate(_AMAZON)}",
            "hubspot": f"{SECRET}@{ADDRESS}",
        }
        path.write_text(text.get(self.name, SECRET))
        path.chmod(0o600)


def certificate(key: RSAPrivateKey) -> str:
    """A certificate of a key, in PEM."""
    name = Name([NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    made = (
        CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=900))
        .sign(key, SHA256())
    )
    return made.public_bytes(Encoding.PEM).decode()


def sns_message(cells: dict[str, Any], seconds: int, version: str, key: RSAPrivateKey) -> bytes:
    """A message of Amazon SNS."""
    message = {
        "Type": "Notification",
        "MessageId": f"22b80b92-{seconds}",
        "TopicArn": TOPIC,
        "Timestamp": iso(seconds),
        "SignatureVersion": version,
        "SigningCertURL": CERTIFICATE_AT,
        **cells,
    }
    order = ("Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn")
    names = [name for name in (*order, "Type") if name in message]
    if message["Type"] == "Notification":
        names = [name for name in names if name not in ("SubscribeURL", "Token")]
    content = "".join(f"{name}\n{message[name]}\n" for name in names).encode()
    algorithm = SHA1() if version == "1" else SHA256()
    message["Signature"] = b64encode(key.sign(content, PKCS1v15(), algorithm)).decode()
    return json.dumps(message).encode()


def amazon(other: bool = False) -> RSAPrivateKey:
    """Amazon's key, or somebody else's."""
    return _OTHER_AMAZON if other else _AMAZON


def _secret(other: bool) -> bytes:
    return (OTHER if other else SECRET).encode()


def _mac(content: bytes, other: bool = False, algorithm: Any = hashlib.sha256) -> bytes:
    return hmac.new(_secret(other), content, algorithm).digest()


def _in_headers(
    body_of: Callable[[Sequence[Any]], Any], sign: Callable[[bytes, int, bool], dict[str, str]]
) -> Callable[[Sequence[Any], int, bool], Posted]:
    def post(rows: Sequence[Any], seconds: int, other: bool) -> Posted:
        body = json.dumps(body_of(rows)).encode()
        return Posted(body, sign(body, seconds, other))

    return post


def _of_sendgrid(body: bytes, seconds: int, other: bool = False) -> dict[str, str]:
    return signed(_OTHER_SENDGRID if other else _SENDGRID, body, seconds)


def _of_mautic(body: bytes, seconds: int, other: bool = False) -> dict[str, str]:
    return {"webhook-signature": b64encode(_mac(body, other)).decode()}


def _of_customerio(body: bytes, seconds: int, other: bool = False) -> dict[str, str]:
    signature = _mac(b"v0:%d:" % seconds + body, other).hex()
    return {"x-cio-timestamp": str(seconds), "x-cio-signature": signature}


def _of_hubspot(body: bytes, seconds: int, other: bool = False) -> dict[str, str]:
    stamp = f"{seconds}123"
    signature = _mac(b"POST" + ADDRESS.encode() + body + stamp.encode(), other)
    shown = b64encode(signature).decode()
    return {"x-hubspot-signature-v3": shown, "x-hubspot-request-timestamp": stamp}


def _of_segment(body: bytes, seconds: int, other: bool = False) -> dict[str, str]:
    return {"x-signature": _mac(body, other, hashlib.sha1).hex()}


def _of_postmark(body: bytes, seconds: int, other: bool = False) -> dict[str, str]:
    return {"authorization": "Basic " + b64encode(b"nurture:" + _secret(other)).decode()}


def _of_cloudevents(body: bytes, seconds: int, other: bool = False) -> dict[str, str]:
    media = "application/cloudevents-batch+json"
    return {"authorization": f"Bearer {_secret(other).decode()}", "content-type": media}


def _by_trigger(rows: Sequence[Any]) -> Any:
    found: dict[str, Any] = {}
    for row in rows:
        name = row.get("trigger", "mautic.something_new") if isinstance(row, dict) else "x"
        found.setdefault(name, []).append(row)
    return found


def _first(rows: Sequence[Any]) -> Any:
    return rows[0] if rows else {}


def _mailgun(rows: Sequence[Any], seconds: int, other: bool) -> Posted:
    token = hashlib.sha256(json.dumps([*rows, seconds]).encode()).hexdigest()[:50]
    signature = _mac(f"{seconds}{token}".encode(), other).hex()
    inner = {"timestamp": str(seconds), "token": token, "signature": signature}
    return Posted(json.dumps({"signature": inner, "event-data": _first(rows)}).encode(), {})


def _ses(version: str) -> Callable[[Sequence[Any], int, bool], Posted]:
    def post(rows: Sequence[Any], seconds: int, other: bool) -> Posted:
        cells = {"Message": json.dumps(_first(rows))}
        body = sns_message(cells, seconds, version, amazon(other))
        return Posted(body, {"content-type": "text/plain; charset=UTF-8"})

    return post


SENDERS = [
    Sender("sendgrid", _in_headers(list, _of_sendgrid), _of_sendgrid, many=True, hours=25),
    Sender("mautic", _in_headers(_by_trigger, _of_mautic), _of_mautic, many=True),
    Sender("mailgun", _mailgun, None, signs_body=False, hours=9),
    Sender("postmark", _in_headers(_first, _of_postmark), _of_postmark, signs_body=False),
    Sender("ses", _ses("1"), None, hours=25),
    Sender("ses", _ses("2"), None, hours=25),
    Sender("customerio", _in_headers(_first, _of_customerio), _of_customerio, hours=192),
    Sender("hubspot", _in_headers(list, _of_hubspot), _of_hubspot, many=True, hours=1),
    Sender(
        *("segment", _in_headers(lambda rows: {"batch": list(rows)}, _of_segment), _of_segment),
        many=True,
    ),
    Sender(
        *("cloudevents", _in_headers(list, _of_cloudevents), _of_cloudevents),
        many=True,
        signs_body=False,
    ),
]
