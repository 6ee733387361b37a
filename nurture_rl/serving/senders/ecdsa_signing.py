"""Signatures by ECDSA on the curve P-256 with SHA-256, and files of the keys that check them."""

from __future__ import annotations

import binascii
import stat
from base64 import b64decode
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

from nurture_rl.errors import ConfigError


def is_signed(key: EllipticCurvePublicKey, signature: str, content: bytes) -> bool:
    """Whether the owner of a key signed some bytes.

    Args:
        key: the public half.
        signature: DER as base64.
        content: the bytes.
    """
    try:
        key.verify(b64decode(signature, validate=True), content, ECDSA(SHA256()))
    except (InvalidSignature, ValueError):  # no base64 is a ValueError too
        return False
    return True


def public_key(path: Path) -> EllipticCurvePublicKey:
    """Read a public key: PEM, or the one line of base64 that senders show.

    Raises:
        ConfigError: the file holds no public key on P-256, or others than its owner may write it.
    """
    try:
        if path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ConfigError(
                f"{path} says whose webhooks are believed and may be written by others than its "
                f"owner; type chmod 644 {path}"
            )
        text = path.read_bytes().strip()
        pem = text.startswith(b"-----BEGIN")
        key = load_pem_public_key(text) if pem else load_der_public_key(_decoded(text))
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise _no_key(path, error) from error
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise _no_key(path, "a key of another kind")
    return key


def _decoded(text: bytes) -> bytes:
    try:
        return b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("neither PEM nor base64") from error


def _no_key(path: Path, got: object) -> ConfigError:
    return ConfigError(
        f"expected a public ECDSA key (P-256) at {path}, as PEM or as the sender shows it, got: "
        f"{got}; copy the verification key from the sender's settings of signed webhooks"
    )
