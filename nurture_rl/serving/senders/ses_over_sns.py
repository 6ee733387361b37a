"""Events of Amazon SES that come by a topic of Amazon SNS, signed by Amazon's RSA key.

Every topic of every account is signed by the same key: only topics that the key file names are
taken. No link of a message is ever followed.

Source: Amazon SNS developer guide, Verifying the signatures of Amazon SNS messages.
"""

from __future__ import annotations

import re
import stat
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm

from nurture_rl.errors import ConfigError
from nurture_rl.logs.reported.report_format import ReportFormat
from nurture_rl.logs.reported.report_json import UNREADABLE, read_report
from nurture_rl.logs.reported.ses_rows import SES
from nurture_rl.serving.senders.sender_adapter import FormattedRows, NotSigned
from nurture_rl.serving.senders.signed_time import require_recent
from nurture_rl.serving.senders.sns_certificates import SnsCertificates, certificate_of

_HOURS = 25  # it tries again for an hour, or as long as the subscription's own policy says
_TOPIC = re.compile(r"arn:aws(-[a-z]+)*:sns:([a-z]{2}(-[a-z]+)+-[0-9]):[0-9]{12}:[\w.-]{1,256}")
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
# What is signed, in this order; a subject only where there is one.
_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED = {
    "Notification": _NOTIFICATION,
    "SubscriptionConfirmation": _CONFIRMATION,
    "UnsubscribeConfirmation": _CONFIRMATION,
}
_body_in = msgspec.json.Decoder(dict[str, Any])


@dataclass(frozen=True, slots=True)
class SesOverSns(FormattedRows):
    """Reads notifications of SES. Mails must carry `contact_id` as a message tag."""

    topics: frozenset[str]  # ARNs that are taken
    certificates: SnsCertificates
    format: ClassVar[ReportFormat] = SES

    @classmethod
    def of(cls, key_file: Path) -> SesOverSns:
        """The adapter for topics: their ARNs, one a line, and certificates in PEM where none is to
        be fetched.

        Raises:
            ConfigError: the file names no topic, or others than its owner may write it.
        """
        try:
            mode, content = key_file.stat().st_mode, key_file.read_bytes()
            text = _CERTIFICATE.sub(b"", content).decode()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"expected topics of SNS at {key_file}, got: {error}") from error
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ConfigError(
                f"{key_file} says whose webhooks are believed and may be written by others than "
                f"its owner; type chmod 644 {key_file}"
            )
        topics = text.split()
        strange = [one for one in topics if not _TOPIC.fullmatch(one)]
        if strange or not topics:
            raise ConfigError(
                f"expected ARNs of topics at {key_file}, one a line, such as "
                f"arn:aws:sns:eu-west-1:123456789012:mail, got {', '.join(strange) or 'none'}"
            )
        found = [certificate_of(one) for one in _CERTIFICATE.findall(content)]
        given = tuple(one for one in found if one is not None)
        if len(given) < len(found):
            raise ConfigError(f"{key_file}: a certificate is none, or has no RSA key")
        return cls(frozenset(topics), SnsCertificates(given))

    def require_signed(self, headers: Mapping[str, str], body: bytes, now_us: int) -> None:
        """See `SenderAdapter`; the topic is looked at before any certificate is."""
        try:
            message = read_report(_body_in, body)
        except UNREADABLE as error:
            raise NotSigned("expected a message of Amazon SNS: an object in JSON") from error
        topic = message.get("TopicArn")
        if not isinstance(topic, str) or topic not in self.topics:
            raise NotSigned("expected a topic that ses.key names; any account can sign others")
        found = _TOPIC.fullmatch(topic)
        region = found[2] if found else ""
        keys = self.certificates.keys(str(message.get("SigningCertURL")), region, now_us)
        content, algorithm = _signed_text(message), _algorithm(message)
        if not any(_is_signed(key, message, content, algorithm) for key in keys):
            raise NotSigned("the signature is not that of Amazon SNS over this message")
        require_recent(_signed_us(message), now_us, _HOURS)


def _signed_text(message: Mapping[str, Any]) -> bytes:
    """The text that is signed: names and values, a line each."""
    names = _SIGNED.get(str(message.get("Type")))
    if names is None:
        raise NotSigned(f"expected Type to be one of {', '.join(_SIGNED)}")
    cells = [(name, message.get(name)) for name in names]
    if any(not isinstance(cell, str) for name, cell in cells if name != "Subject"):
        raise NotSigned(f"expected texts in {', '.join(names)}")
    lines = [f"{name}\n{cell}\n" for name, cell in cells if cell is not None]
    return "".join(lines).encode("utf-8", "replace")


def _algorithm(message: Mapping[str, Any]) -> HashAlgorithm:
    version = str(message.get("SignatureVersion"))
    if version == "2":
        return SHA256()
    if version == "1":
        return SHA1()
    raise NotSigned(f"expected SignatureVersion 1 or 2, got {version[:20]!r}")


def _is_signed(
    key: RSAPublicKey, message: Mapping[str, Any], content: bytes, algorithm: HashAlgorithm
) -> bool:
    try:
        signature = b64decode(str(message.get("Signature")), validate=True)
        key.verify(signature, content, PKCS1v15(), algorithm)
    except (InvalidSignature, ValueError):  # no base64 is a ValueError too
        return False
    return True


def _signed_us(message: Mapping[str, Any]) -> int:
    try:
        moment = datetime.fromisoformat(message["Timestamp"])
        return round(moment.timestamp() * 1_000_000)
    except (ValueError, OverflowError) as error:
        raise NotSigned("expected a time in `Timestamp`") from error
