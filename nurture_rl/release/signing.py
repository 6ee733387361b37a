"""Signatures of bundles: Ed25519 over the manifest, whose hashes cover every other file.

`openssl genpkey -algorithm ed25519 -out key.pem` makes a key, and
`openssl pkey -in key.pem -pubout -out key.pub` the public half that servers get.
"""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from nurture_rl.errors import BundleError, ConfigError

SIGNATURE = "manifest.sig"  # 64 bytes beside the manifest
_CONTEXT = b"nurture_rl bundle manifest\n"  # so that a signature says what it signs


def signature(manifest: bytes, key: Path) -> bytes:
    """Sign the bytes of a manifest.

    Args:
        manifest: of a bundle.
        key: file of a private key, PEM.

    Raises:
        ConfigError: the file holds no private Ed25519 key.
    """
    return _private(key).sign(_CONTEXT + manifest)


def require_signed(manifest: bytes, signed: bytes | None, trust: Path) -> None:
    """Refuse a manifest that the owner of a key did not sign.

    Args:
        manifest: of a bundle.
        signed: its signature; None: it has none.
        trust: file of the public key, PEM.

    Raises:
        BundleError: it has no signature, or another one.
        ConfigError: the file holds no public Ed25519 key.
    """
    key = _public(trust)
    if signed is None:
        raise BundleError(
            f"{SIGNATURE}: expected a bundle signed by the key of {trust}, got one without a "
            "signature; export it with release.key=FILE"
        )
    try:
        key.verify(signed, _CONTEXT + manifest)
    except InvalidSignature as error:
        raise BundleError(
            f"{SIGNATURE}: the key of {trust} did not sign this manifest: it was changed, or "
            "signed by another key; copy the bundle again from where it was made"
        ) from error


def fingerprint(key: Path) -> str:
    """A short name of a private key: the begin of the SHA-256 of its public half.

    Raises:
        ConfigError: the file holds no private Ed25519 key, or others than its owner may read it.
    """
    if key.is_file() and key.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(
            f"{key} holds a private key and may be read by others than its owner; type chmod 600 "
            f"{key}"
        )
    raw = _private(key).public_key().public_bytes_raw()
    return hashlib.sha256(raw).hexdigest()[:12]


def _private(path: Path) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _no_key(path, "private", error) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key(path, "private", "a key of another kind")
    return key


def _public(path: Path) -> Ed25519PublicKey:
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise _no_key(path, "public", error) from error
    if not isinstance(key, Ed25519PublicKey):
        raise _no_key(path, "public", "a key of another kind")
    return key


def _no_key(path: Path, half: str, got: object) -> ConfigError:
    made = "`openssl genpkey -algorithm ed25519 -out key.pem` makes a private one"
    if half == "public":
        made = "`openssl pkey -in key.pem -pubout -out key.pub` makes it of the private one"
    return ConfigError(
        f"expected a {half} Ed25519 key in PEM, without a password, at {path}, got: {got}; {made}"
    )
