"""Whoever trusts a key loads what its owner signed and nothing else, however it is sealed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nurture_rl.errors import BundleError, ConfigError
from nurture_rl.release import bundle as bundles
from nurture_rl.release import manifest as names
from nurture_rl.release.bundle import load_bundle, write_bundle
from nurture_rl.release.signing import SIGNATURE, fingerprint
from tests.unit.release.bundles import CREATED, content
from tests.unit.release.signed import key_pair

Keys = tuple[Path, Path]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return key_pair(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def folder(tmp_path: Path, keys: Keys) -> Path:
    """A signed bundle."""
    write_bundle(tmp_path / "bundle", content(), CREATED, keys[0])
    return tmp_path / "bundle"


def resealed(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the journey and write all hashes anew, as somebody would who edits it knowingly."""
    path = folder / names.JOURNEY
    journey = json.loads(path.read_bytes())
    change(journey)
    path.write_bytes(names.encode_json(journey))
    inside = {p.name: p.read_bytes() for p in folder.iterdir()}
    sealed = names.decode_manifest(inside.pop(names.MANIFEST))
    inside.pop(SIGNATURE, None)
    hashes = {name: names.sha256(data) for name, data in inside.items()}
    sealed = replace(sealed, files=hashes, policy_id=names.policy_id(inside))
    (folder / names.MANIFEST).write_bytes(names.encode_manifest(sealed))


def test_a_signed_bundle_loads_with_trust_and_without(folder: Path, keys: Keys) -> None:
    assert load_bundle(folder, keys[1]).signatures == 1
    assert load_bundle(folder).signatures == 1
    (folder / SIGNATURE).unlink()
    assert load_bundle(folder).signatures == 0


def test_a_bundle_that_nobody_signed_is_refused(folder: Path, keys: Keys) -> None:
    (folder / SIGNATURE).unlink()
    with pytest.raises(BundleError, match="got one without a signature; export it with"):
        load_bundle(folder, keys[1])


def test_a_bundle_that_another_signed_is_refused(folder: Path, tmp_path: Path) -> None:
    _, other = key_pair(tmp_path, "other")
    with pytest.raises(BundleError, match="did not sign this manifest"):
        load_bundle(folder, other)


def test_a_signature_of_another_bundle_is_refused(folder: Path, keys: Keys, tmp_path: Path) -> None:
    write_bundle(tmp_path / "b", content({"kind": "drip"}), CREATED, keys[0])
    (folder / SIGNATURE).write_bytes((tmp_path / "b" / SIGNATURE).read_bytes())
    with pytest.raises(BundleError, match="did not sign this manifest"):
        load_bundle(folder, keys[1])


@pytest.mark.parametrize("junk", [b"", b"x" * 64, b"x" * 100_000])
def test_what_is_no_signature_is_refused(folder: Path, keys: Keys, junk: bytes) -> None:
    (folder / SIGNATURE).write_bytes(junk)
    with pytest.raises(BundleError, match="did not sign this manifest"):
        load_bundle(folder, keys[1])


def test_a_bundle_resealed_without_its_guardrails_is_refused(folder: Path, keys: Keys) -> None:
    resealed(folder, lambda journey: journey.update(guardrails={}))
    assert not load_bundle(folder).journey.guardrails.caps  # its hashes alone do not tell
    with pytest.raises(BundleError, match="did not sign this manifest"):
        load_bundle(folder, keys[1])


def test_a_changed_byte_is_refused_under_a_true_signature(folder: Path, keys: Keys) -> None:
    for name in (names.JOURNEY, names.POLICY, names.MANIFEST):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[:40] + bytes([data[40] ^ 1]) + data[41:])
        with pytest.raises(BundleError):
            load_bundle(folder, keys[1])
        (folder / name).write_bytes(data)
    assert load_bundle(folder, keys[1])


def test_a_file_that_is_no_key_is_refused_with_how_to_make_one(
    folder: Path, keys: Keys, tmp_path: Path
) -> None:
    private, public = keys
    _, other_kind = key_pair(tmp_path, "x", "x25519")
    junk = tmp_path / "junk"
    junk.write_bytes(b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    for path in (private, other_kind, junk, tmp_path / "none"):
        with pytest.raises(ConfigError, match=r"expected a public Ed25519 key .*-pubout"):
            load_bundle(folder, path)
    for path in (public, tmp_path / "x.pem", junk, tmp_path / "none"):
        with pytest.raises(ConfigError, match=r"private Ed25519 key .*genpkey|chmod 600"):
            write_bundle(tmp_path / "b", content(), CREATED, path)
    assert not (tmp_path / "b").exists()


def test_a_private_key_is_its_owners_alone(keys: Keys, tmp_path: Path) -> None:
    copied = tmp_path / "key.pem"
    copied.write_bytes(keys[0].read_bytes())
    copied.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        fingerprint(copied)
    copied.chmod(0o600)
    assert fingerprint(copied) == fingerprint(keys[0])


def test_what_is_no_plain_file_of_reasonable_size_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "model.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(BundleError, match=r"model\.pkl: the manifest does not know"):
        load_bundle(folder)
    (folder / "model.pkl").unlink()
    card = folder / names.CARD_PAGE
    card.rename(folder.parent / "card.md")
    card.symlink_to(folder.parent / "card.md")
    with pytest.raises(BundleError, match=r"card\.md: a bundle holds plain files only"):
        load_bundle(folder)
    card.unlink()
    with card.open("wb") as file:
        file.truncate(1 << 40)  # a terabyte that takes no place
    monkeypatch.setattr(bundles, "MOST_BYTES", 1 << 20)
    with pytest.raises(BundleError, match=r"card\.md: expected a bundle of at most 1 MiB"):
        load_bundle(folder)


@pytest.mark.parametrize(
    "changes",
    [{"files": ["journey.json"]}, {"files": {"journey.json": 7}}, {"policy_id": None}],
)
def test_a_manifest_of_other_kinds_is_refused(folder: Path, changes: dict[str, Any]) -> None:
    path = folder / names.MANIFEST
    plain = {**json.loads(path.read_bytes()), **changes}
    plain.pop("digest")
    path.write_bytes(names.encode_json({**plain, "digest": names.sha256(names.encode_json(plain))}))
    with pytest.raises(BundleError, match=r"manifest\.json: expected texts"):
        load_bundle(folder)
