"""Signatures of bundles: Ed25519 over the manifest, whose hashes cover every other file.

`openssl genpkey -algorithm ed25519 -out key.pem` makes a key, and
`openssl pkey -in key.pem -pubout -out key.pub` the public half that servers get. A file of
several public halves, one after the other, is the keys of several people.
"""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from nurture_rl.errors import BundleError, ConfigError

SIGNATURE = "manifest.sig"  # beside the manifest: signatures of 64 bytes, one after the other
SIGNATURE_BYTES = 64  # of a signature
_MOST = 32  # signatures of one bundle that are looked at
_PEM_END = b"-----END PUBLIC KEY-----"
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


def signatures(signed: bytes | None) -> tuple[bytes, ...]:
    """The signatures of a file; None: there is no such file."""
    given = signed or b""
    return tuple(given[at : at + SIGNATURE_BYTES] for at in range(0, len(given), SIGNATURE_BYTES))[
        :_MOST
    ]


def signers_of(manifest: bytes, signed: bytes | None, trust: Path) -> tuple[str, ...]:
    """Who signed a manifest, of the people whose keys a file holds.

    Args:
        manifest: of a bundle.
        signed: its signatures; None: it has none.
        trust: file of public keys, PEM.

    Returns:
        Fingerprints of the keys, each once, in the order of the file.

    Raises:
        ConfigError: the file holds no public Ed25519 key.
    """
    found = signatures(signed)
    keys = {one.public_bytes_raw(): one for one in _public(trust)}
    return tuple(
        _named(raw)
        for raw, key in keys.items()
        if any(_signed_by(key, one, manifest) for one in found)
    )


def require_signed(manifest: bytes, signed: bytes | None, trust: Path, signers: int = 1) -> None:
    """Refuse a manifest that too few of the owners of some keys signed.

    Args:
        manifest: of a bundle.
        signed: its signatures; None: it has none.
        trust: file of public keys, PEM.
        signers: how many different keys of the file must have signed, >= 1.

    Raises:
        BundleError: it has no signature, others, or too few.
        ConfigError: the file holds no public Ed25519 key, or fewer than must sign.
    """
    keys = {one.public_bytes_raw() for one in _public(trust)}
    if len(keys) < signers:
        raise ConfigError(
            f"expected {signers} different public keys in {trust}, for so many people must sign, "
            f"got {len(keys)}; put the public halves of all of them into one file"
        )
    if signed is None:
        raise BundleError(
            f"{SIGNATURE}: expected a bundle signed by the key of {trust}, got one without a "
            "signature; export it with release.key=FILE"
        )
    valid = len(signers_of(manifest, signed, trust))
    if not valid:
        raise BundleError(
            f"{SIGNATURE}: the key of {trust} did not sign this manifest: it was changed, or "
            "signed by another key; copy the bundle again from where it was made"
        )
    if valid < signers:
        raise BundleError(
            f"{SIGNATURE}: expected signatures by {signers} of the keys of {trust}, got {valid}; "
            "let somebody else read the bundle and type nurture sign bundle=FOLDER key=FILE"
        )


def _signed_by(key: Ed25519PublicKey, signed: bytes, manifest: bytes) -> bool:
    try:
        key.verify(signed, _CONTEXT + manifest)
    except InvalidSignature:
        return False
    return True


def has_signed(manifest: bytes, signed: bytes | None, key: Path) -> bool:
    """Whether the owner of a private key signed a manifest.

    Raises:
        ConfigError: the file holds no private Ed25519 key.
    """
    public = _private(key).public_key()
    return any(_signed_by(public, one, manifest) for one in signatures(signed))


def fingerprint(key: Path) -> str:
    """A short name of a private key: the beginning of the SHA-256 of its public half.

    Raises:
        ConfigError: the file holds no private Ed25519 key, or others than its owner may read it.
    """
    if key.is_file() and key.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(
            f"{key} holds a private key and may be read by others than its owner; type chmod 600 "
            f"{key}"
        )
    return _named(_private(key).public_key().public_bytes_raw())


def _named(raw: bytes) -> str:
    """The short name of a public key."""
    return hashlib.sha256(raw).hexdigest()[:12]


def _private(path: Path) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _no_key(path, "private", error) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key(path, "private", "a key of another kind")
    return key


def _public(path: Path) -> list[Ed25519PublicKey]:
    """The public keys of a file, one or more."""
    try:
        text = path.read_bytes()
        parts = [part + _PEM_END for part in text.split(_PEM_END)[:-1]] or [text]
        keys = [serialization.load_pem_public_key(part) for part in parts]
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise _no_key(path, "public", error) from error
    found = [key for key in keys if isinstance(key, Ed25519PublicKey)]
    if len(found) < len(keys):
        raise _no_key(path, "public", "a key of another kind")
    return found


def _no_key(path: Path, half: str, got: object) -> ConfigError:
    made = "`openssl genpkey -algorithm ed25519 -out key.pem` makes a private one"
    if half == "public":
        made = "`openssl pkey -in key.pem -pubout -out key.pub` makes it of the private one"
    return ConfigError(
        f"expected a {half} Ed25519 key in PEM, without a password, at {path}, got: {got}; {made}"
    )
