"""What a log may hold of people: the file `privacy.yaml` beside a log's files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nurture_envs.fields import Fields
from nurture_rl.errors import LogError
from nurture_rl.logs.rule_files import rule_fields

PRIVACY_FILE = "privacy.yaml"
_LEAST_KEY = 16  # bytes of a key of pseudonyms


@dataclass(frozen=True, slots=True)
class PrivacyRules:
    """What is kept; None where a rule is not set."""

    purposes: Mapping[str, str]  # by event type: what the person must have agreed to
    events: frozenset[str] | None  # types that are kept
    attributes: frozenset[str] | None  # of contacts, that are kept
    properties: frozenset[str] | None  # of events, that are kept
    keep_days: float | None  # before the log's last event; what is older goes
    key: bytes | None  # of pseudonyms


def load_privacy(folder: Path) -> PrivacyRules | None:
    """The rules of a log's folder; None: it has none.

    Raises:
        LogError: the file or the key that it names cannot be used; all is named at once.
    """
    path = folder / PRIVACY_FILE
    if not path.is_file():
        return None
    with rule_fields(path, "privacy") as f:
        purposes = f.mapping("purposes", {})
        rules = PrivacyRules(
            {str(name): purposes.name_text(name) for name in purposes.data},
            _names(f, "events"),
            _names(f, "attributes"),
            _names(f, "properties"),
            f.number("keep_days", low=0.0) if f.has("keep_days") else None,
            _key(f, path),
        )
        purposes.finish()
    return rules


def privacy_digest(folder: Path) -> str:
    """What a folder's tables depend on beside the folder: the key of its pseudonyms, hashed.

    Raises:
        LogError: as `load_privacy`.
    """
    rules = load_privacy(folder)
    if rules is None or rules.key is None:
        return ""
    return hashlib.sha256(b"nurture_rl pseudonyms" + rules.key).hexdigest()[:16]


def load_key(place: Path) -> bytes:
    """The key of pseudonyms that a file holds.

    Raises:
        LogError: it cannot be read, others than its owner may read it, or the key is too short.
    """
    try:
        mode, key = place.stat().st_mode, place.read_bytes().strip()
    except OSError as error:
        raise LogError(f"expected a file with a key, got: {error}") from error
    if mode & 0o077:
        raise LogError(f"expected {place} to be its owner's alone; chmod 600 {place}")
    if len(key) < _LEAST_KEY:
        raise LogError(
            f"expected at least {_LEAST_KEY} bytes in {place}, got {len(key)}; "
            "openssl rand -hex 32 makes some"
        )
    return key


def _names(f: Fields, name: str) -> frozenset[str] | None:
    return frozenset(str(one) for one in f.items(name)) if f.has(name) else None


def _key(f: Fields, path: Path) -> bytes | None:
    named = f.optional_text("pseudonyms")
    if named is None:
        return None
    place = path.parent / named
    try:
        key = load_key(place)
    except LogError as error:
        f.problem("pseudonyms", str(error))
        return None
    if place.resolve().is_relative_to(path.parent.resolve()):
        f.problem("pseudonyms", f"expected the key apart from the log, got {named} inside it")
    return key
