"""The verb `sign`: another person signs a bundle that somebody exported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nurture_rl.errors import ConfigError
from nurture_rl.logs.atomic import atomic_write_bytes
from nurture_rl.release.bundle import load_bundle
from nurture_rl.release.manifest import MANIFEST
from nurture_rl.release.signing import (
    SIGNATURE,
    SIGNATURE_BYTES,
    fingerprint,
    has_signed,
    signature,
)
from nurture_rl.verb_result import VerbResult
from nurture_rl.wording import counted


@dataclass(frozen=True, slots=True)
class SignOptions:
    """What is signed, and by whom."""

    bundle: str  # folder of the bundle
    key: str  # file of a private Ed25519 key (PEM), mode 0600


def sign(options: SignOptions) -> VerbResult:
    """The verb `sign`.

    Raises:
        BundleError: there is no bundle, or a byte of it was changed.
        ConfigError: the key cannot be used, or has signed it already.
        OSError: the disk refuses.
    """
    folder, key = Path(options.bundle), Path(options.key)
    who = fingerprint(key)
    bundle = load_bundle(folder)
    manifest, path = (folder / MANIFEST).read_bytes(), folder / SIGNATURE
    given = path.read_bytes() if path.is_file() else b""
    if len(given) % SIGNATURE_BYTES:
        raise ConfigError(
            f"{path}: expected signatures of {SIGNATURE_BYTES} bytes each, got {len(given)} bytes; "
            "one behind them would not be found: copy the bundle again from where it was made"
        )
    if has_signed(manifest, given, key):
        raise ConfigError(
            f"the key {who} has signed {folder} already; somebody else has to sign it"
        )
    atomic_write_bytes(path, given + signature(manifest, key))
    count = bundle.signatures + 1
    needed = bundle.journey.signers
    print(f"signed policy {bundle.policy_id} with the key {who}: {counted(count, 'signature')}")
    if count < needed:
        missing = counted(needed - count, "more person", "more people")
        print(f"the journey asks for {needed}: {missing}")
    return VerbResult({"policy_id": bundle.policy_id, "signed_by": who, "signatures": count})
