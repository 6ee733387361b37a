"""The manifest of a bundle: its files, what their bytes hash to, and what they were made for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nurture_rl.errors import BundleError

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
JOURNEY, POLICY, MODEL = "journey.json", "policy.json", "model.onnx"
PARITY, CARD, CARD_PAGE = "parity.json", "card.json", "card.md"
REQUIRED = (JOURNEY, POLICY, PARITY, CARD, CARD_PAGE)

_AGAIN = "copy the bundle again from where it was made, or export it again"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bundle claims to be; its own digest guards the claim."""

    schema_version: int
    created_at: str  # ISO-8601, UTC
    policy_id: str  # content hash of what decides: journey, composition, model
    journey: str
    catalog: str  # hash of the action catalogue
    features: str  # hash of the feature spec
    files: Mapping[str, str]  # file -> SHA-256 of its bytes, all files but this one

    @property
    def rules_id(self) -> str:
        """The policy id of a bundle that holds the rules of the same journey and nothing else."""
        return self.id_of({"kind": "rules"})

    def id_of(self, spec: Mapping[str, Any], with_model: bool = False) -> str:
        """The policy id that a bundle of the same journey and another composition would have.

        Args:
            spec: the composition, as plain data.
            with_model: it names the model of this bundle, where there is one.
        """
        digests = [self.files[JOURNEY], sha256(encode_json(spec))]
        model = [self.files[MODEL]] if with_model and MODEL in self.files else []
        return _content_id([*digests, *model])


def policy_id(files: Mapping[str, bytes]) -> str:
    """Content hash of the files that decide; cards and dates do not change it."""
    return _content_id([sha256(files[name]) for name in (JOURNEY, POLICY, MODEL) if name in files])


def _content_id(digests: list[str]) -> str:
    return sha256(json.dumps(digests).encode())[:16]


def sha256(data: bytes) -> str:
    """SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def encode_json(data: Any) -> bytes:
    """Plain data as the one JSON text this package writes for it; keeps the order of keys."""
    return (json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def decode_json(name: str, data: bytes) -> Any:
    """Read a JSON file of a bundle.

    Raises:
        BundleError: it is no JSON.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{name}: expected JSON, got: {error}; {_AGAIN}") from error


def encode_manifest(manifest: Manifest) -> bytes:
    """The manifest's bytes, its own digest last."""
    content = asdict(manifest)
    return encode_json({**content, "digest": sha256(encode_json(content))})


def decode_manifest(data: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        BundleError: a byte was changed, or it follows another schema.
    """
    content = decode_json(MANIFEST, data)
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise BundleError(
            f"{MANIFEST}: expected schema version {SCHEMA_VERSION}, got {version!r}; "
            "export the policy again with this version of nurture_rl"
        )
    digest = content.pop("digest", None)
    if set(content) != set(Manifest.__slots__) or digest != _digest(content):
        raise BundleError(f"{MANIFEST}: its content does not match its digest; {_AGAIN}")
    texts = [value for key, value in content.items() if key not in ("schema_version", "files")]
    files = content["files"]
    if not isinstance(files, dict) or not all(
        isinstance(t, str) for t in (*texts, *files.values())
    ):
        raise BundleError(f"{MANIFEST}: expected texts, and hashes by file; {_AGAIN}")
    manifest = Manifest(**content)
    if encode_manifest(manifest) != data:
        raise BundleError(f"{MANIFEST}: its bytes were changed after it was written; {_AGAIN}")
    return manifest


def _digest(content: Mapping[str, Any]) -> str:
    try:
        return sha256(encode_json(content))
    except (ValueError, RecursionError) as error:  # half a character, or no number
        raise BundleError(f"{MANIFEST}: its content does not match its digest; {_AGAIN}") from error


def require_files(manifest: Manifest, files: Mapping[str, bytes]) -> None:
    """Refuse missing, unknown and altered files.

    Raises:
        BundleError: names the file.
    """
    for name in (*REQUIRED, *manifest.files):
        if name not in files:
            raise BundleError(f"{name}: the bundle needs this file and it is missing; {_AGAIN}")
    for name, data in files.items():
        if name not in manifest.files:
            raise BundleError(
                f"{name}: the manifest does not know this file; take it out of the bundle"
            )
        if sha256(data) != manifest.files[name]:
            raise BundleError(
                f"{name}: expected SHA-256 {manifest.files[name][:12]}..., got "
                f"{sha256(data)[:12]}...; the file was changed: {_AGAIN}"
            )
    if policy_id(files) != manifest.policy_id:
        raise BundleError(f"{MANIFEST}: policy_id does not follow from the files; {_AGAIN}")
