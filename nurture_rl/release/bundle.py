"""A bundle: one folder with everything that decides, verified byte by byte before it may."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from nurture_envs.actions import ActionCatalog
from nurture_envs.errors import NurtureError
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.journey_claims import expired_claims
from nurture_envs.journey_file import parse_journey
from nurture_rl.errors import BundleError
from nurture_rl.logs.atomic import atomic_folder
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.policies.policy import Policy, Spec
from nurture_rl.release import manifest as names
from nurture_rl.release.card import PolicyCard, card_data, card_markdown
from nurture_rl.release.manifest import Manifest, decode_json, encode_json
from nurture_rl.release.onnx_policy import OnnxPolicy
from nurture_rl.release.parity import States, parity_data, require_parity
from nurture_rl.release.signing import SIGNATURE, require_signed, signature, signatures

MOST_BYTES = 256 << 20  # of all files of a bundle


@dataclass(frozen=True, slots=True)
class BundleContent:
    """What goes into a bundle."""

    journey: Journey
    spec: Spec  # the composition, as `build_policy` reads it
    model: bytes | None  # the learned core as ONNX, where the composition names one
    states: States  # what the parity vectors are computed on, some 64 states
    card: PolicyCard


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A verified bundle, ready to decide."""

    journey: Journey
    catalog: ActionCatalog
    feature_spec: FeatureSpec
    spec: Spec
    policy: Policy
    policy_id: str
    manifest: Manifest
    card: Mapping[str, Any]
    signatures: int = 0  # that it carries; whether anybody trusts them is asked at loading


def write_bundle(
    path: Path, content: BundleContent, created_at: datetime, key: Path | None = None
) -> Bundle:
    """Write a bundle whole or not at all, and load it back.

    Args:
        path: the folder to make; an older bundle there is replaced.
        content: what goes in.
        created_at: with a zone.
        key: file of the private key that signs it, PEM; None: nobody signs it.

    Raises:
        BundleError: the parts do not fit together, e.g. a model that no composition names; or a
            claim of an approved message is out of date.
        ConfigError: the key cannot be used.
        OSError: the disk refuses.
    """
    expired = expired_claims(content.journey, created_at.astimezone(UTC).date())
    if expired:
        raise BundleError("; ".join(expired))
    files = {
        names.JOURNEY: encode_json(_plain(content.journey.resolved)),
        names.POLICY: encode_json(_plain(content.spec)),
        names.CARD: encode_json(card_data(content.card)),
        names.CARD_PAGE: card_markdown(content.card).encode(),
    }
    if content.model is not None:
        files[names.MODEL] = content.model
    journey = _journey(files[names.JOURNEY])
    if replace(journey, resolved={}) != replace(content.journey, resolved={}):
        raise BundleError(
            f"journey {content.journey.name!r} cannot be read back from its own plain data; "
            "build it with load_journey or parse_journey"
        )
    policy = _policy(journey, content.spec, content.model)
    files[names.PARITY] = encode_json(parity_data(policy, content.states))
    sealed = Manifest(
        schema_version=names.SCHEMA_VERSION,
        created_at=created_at.astimezone(UTC).isoformat(),
        policy_id=names.policy_id(files),
        journey=journey.name,
        catalog=ActionCatalog.of(journey).hash,
        features=FeatureSpec.of(journey).hash,
        files={name: names.sha256(data) for name, data in sorted(files.items())},
    )
    with atomic_folder(path) as partial:
        for name, data in files.items():
            (partial / name).write_bytes(data)
        manifest = names.encode_manifest(sealed)
        (partial / names.MANIFEST).write_bytes(manifest)
        if key is not None:
            (partial / SIGNATURE).write_bytes(signature(manifest, key))
        load_bundle(partial)
    return load_bundle(path)


def load_served(path: Path, trust: Path | None, signers: int = 1) -> Bundle:
    """Read and verify a bundle that is to decide about people.

    Args:
        path: its folder.
        trust: as of `load_bundle`.
        signers: likewise.

    Raises:
        BundleError: as of `load_bundle`, or more than one person must sign and no keys say who.
        ConfigError: as of `load_bundle`.
    """
    bundle = load_bundle(path, trust, signers)
    needed = max(signers, bundle.journey.signers)
    if trust is None and needed > 1:
        raise BundleError(
            f"{path}: {needed} people must sign this bundle and nobody says who; give trust=FILE "
            "with their public keys"
        )
    return bundle


def load_bundle(path: Path, trust: Path | None = None, signers: int = 1) -> Bundle:
    """Read and verify a bundle.

    Args:
        path: its folder.
        trust: file of the public keys that must have signed it, PEM; None: nobody has to.
        signers: how many different ones of them, where the bundle's journey asks for no more.

    Raises:
        BundleError: there is none, a file is missing, unknown, too large or altered by one byte,
            it was made for another schema, catalogue or feature spec, nobody trusted signed it, or
            the policy answers its parity vectors differently here; names the file.
        ConfigError: `trust` holds no public key.
    """
    files = _read(path)
    signed = files.pop(SIGNATURE, None)
    if trust is not None:  # before anything of the bundle is read
        require_signed(files[names.MANIFEST], signed, trust, signers)
    manifest = files.pop(names.MANIFEST)
    sealed = names.decode_manifest(manifest)
    names.require_files(sealed, files)
    journey = _journey(files[names.JOURNEY])
    if trust is not None and journey.signers > signers:
        require_signed(manifest, signed, trust, journey.signers)
    catalog, features = ActionCatalog.of(journey), FeatureSpec.of(journey)
    for what, got, wanted in (
        ("action catalogue", catalog.hash, sealed.catalog),
        ("feature spec", features.hash, sealed.features),
    ):
        if got != wanted:
            raise BundleError(
                f"{names.JOURNEY}: expected the {what} {wanted}, this version of nurture_rl makes "
                f"{got} of it; export the policy again"
            )
    spec = decode_json(names.POLICY, files[names.POLICY])
    policy = _policy(journey, spec, files.get(names.MODEL))
    require_parity(policy, decode_json(names.PARITY, files[names.PARITY]), names.PARITY)
    card = decode_json(names.CARD, files[names.CARD])
    about = (sealed.policy_id, sealed, card, len(signatures(signed)))
    return Bundle(journey, catalog, features, spec, policy, *about)


def _read(path: Path) -> dict[str, bytes]:
    if not (path / names.MANIFEST).is_file():
        raise BundleError(
            f"{path}: expected a bundle, a folder with a {names.MANIFEST}, and found none; "
            "give the folder that the export wrote"
        )
    files: dict[str, bytes] = {}
    left = MOST_BYTES
    for entry in sorted(path.iterdir()):
        if not entry.is_file() or entry.is_symlink():
            raise BundleError(f"{entry.name}: a bundle holds plain files only; take it out")
        with entry.open("rb") as file:
            files[entry.name] = file.read(left + 1)
        left -= len(files[entry.name])
        if left < 0:
            raise BundleError(
                f"{entry.name}: expected a bundle of at most {MOST_BYTES >> 20} MiB in all, got "
                "more; export a smaller model"
            )
    return files


def _journey(data: bytes) -> Journey:
    read = decode_json(names.JOURNEY, data)
    if not isinstance(read, dict):
        raise BundleError(
            f"{names.JOURNEY}: expected a journey by its keys, got {type(read).__name__}; export "
            "the policy again"
        )
    try:
        return parse_journey(read, names.JOURNEY)
    except NurtureError as error:
        raise BundleError(f"{names.JOURNEY}: {error}") from error


def _policy(journey: Journey, spec: Spec, model: bytes | None) -> Policy:
    """Compose the policy; the model must be there exactly when the composition names one."""
    asked: list[str] = []

    def load_model(name: str) -> Policy:
        asked.append(name)
        if model is None:
            raise BundleError(f"{names.MODEL}: the composition names model {name!r}; add it")
        return OnnxPolicy.load(model, name)

    catalog, features = ActionCatalog.of(journey), FeatureSpec.of(journey)
    try:
        policy = build_policy(spec, PolicyContext(journey, catalog, features, load_model))
    except BundleError:
        raise
    except NurtureError as error:
        raise BundleError(f"{names.POLICY}: {error}") from error
    if model is not None and not asked:
        raise BundleError(f"{names.MODEL}: the composition names no model; leave the file out")
    return policy


def _plain(value: Any) -> Any:
    """Mappings, lists and dates as JSON can hold them."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value
