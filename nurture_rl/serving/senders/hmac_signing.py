"""Signatures by HMAC, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac

from nurture_rl.serving.senders.sender_adapter import NotSigned


def digest_of(secret: bytes, content: bytes, algorithm: str = "sha256") -> bytes:
    """The HMAC of some bytes.

    Args:
        secret: the key.
        content: the bytes.
        algorithm: sha256, or sha1 where a sender has nothing better.
    """
    return hmac.new(secret, content, getattr(hashlib, algorithm)).digest()


def require_same(own: str, shown: str) -> None:
    """Refuse a signature that is not our own one.

    Raises:
        NotSigned: they differ.
    """
    if not hmac.compare_digest(own.encode(), shown.encode("utf-8", "replace")):
        raise NotSigned("the signature is not the sender's over this body")
