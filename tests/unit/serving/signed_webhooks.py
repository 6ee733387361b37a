"""What SendGrid sends: rows as it documents them, signed by a real key pair."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nurture_rl.serving.senders.sendgrid import SIGNATURE, TIMESTAMP

PATH = "/v1/webhooks/sendgrid"


def signing_key() -> EllipticCurvePrivateKey:
    """A fresh key of the sender."""
    return generate_private_key(SECP256R1())


def key_folder(folder: Path, key: EllipticCurvePrivateKey) -> Path:
    """A folder with the verification key as SendGrid shows it: one line of base64."""
    folder.mkdir(exist_ok=True)
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    path = folder / "sendgrid.key"
    path.write_bytes(b64encode(der) + b"\n")
    path.chmod(0o644)
    return folder


def signed(key: EllipticCurvePrivateKey, body: bytes, seconds: int) -> dict[str, str]:
    """The headers by which a body is signed at a moment."""
    stamp = str(seconds)
    signature = key.sign(stamp.encode() + body, ECDSA(SHA256()))
    return {SIGNATURE: b64encode(signature).decode(), TIMESTAMP: stamp}


def body_of(rows: Sequence[Any]) -> bytes:
    """A body as it is posted: the line end at its end is signed too."""
    return json.dumps(rows).encode() + b"\r\n"


def row(event: str, number: int, seconds: int, **cells: Any) -> dict[str, Any]:
    """A row of ada's."""
    return {
        "email": "ada@example.com",
        "timestamp": seconds,
        "smtp-id": f"<{number}@ismtpd-1>",
        "event": event,
        "sg_event_id": f"ZXZlbnQ{number}",
        "sg_message_id": f"bXNn{number}.filter-1",
        "contact_id": "ada",
        **cells,
    }
